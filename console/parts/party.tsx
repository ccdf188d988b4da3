/** A member, user or node: its name before its ID. */

import { foldedNames } from "../folded.ts";
import { useLedger } from "../hooks.ts";
import { linkTo } from "../routes.ts";
import { Hash } from "./hash.tsx";

const NONE: ReadonlyMap<string, string> = new Map();

/** Names by ID, as of the last signature. */
export function useNames(): ReadonlyMap<string, string> {
  const names = useLedger(foldedNames, []);
  return names.kind === "ready" ? names.value : NONE;
}

export function Party({ id, kind, names }: {
  readonly id: string;
  readonly kind: "member" | "user" | "node";
  readonly names: ReadonlyMap<string, string>;
}) {
  const name = names.get(id);
  const to = kind === "node" ? linkTo("attestation", id) : linkTo("members", id);
  return (
    <span class="row">
      {name !== undefined && <a class="foreign" href={to}>{name}</a>}
      <Hash value={id} of={`ID of the ${kind}${name === undefined ? "" : ` ${name}`}`} />
    </span>
  );
}
