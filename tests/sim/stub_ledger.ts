/**
 * A ledger without bytes, for bare consensus: entries with a body, and what each means.
 *
 * Two entries are equal if view, seqno, signature or not, and body are; the same log up to an entry has the same `chain`.
 * Source: raft-scenario-language.md §2 "Log entries".
 */

import type { EntryEffects, Members } from "../../shared/consensus/port.ts";
import type { NodeId } from "../../shared/consensus/messages.ts";
import type { Seqno, View } from "../../shared/tx_id.ts";
import { toUtf8 } from "../../shared/bytes.ts";
import type { LoggedEntry } from "./picture.ts";

export type Body =
  | { readonly kind: "raw"; readonly text: string }
  | { readonly kind: "reconfiguration"; readonly nodes: readonly NodeId[] }
  | { readonly kind: "retired_committed"; readonly nodes: readonly NodeId[] };

export interface StubEntry extends LoggedEntry {
  readonly seqno: Seqno;
  readonly chain: number;
  readonly body: Body;
  /** As CCF's driver would serialise it: the batch size of a leader follows from it. */
  readonly sizeBytes: number;
  readonly effects: EntryEffects;
}

/** Every entry of a world, so that equal logs are found by comparing one number. */
export class StubLedger {
  readonly #chains = new Map<string, number>();

  entryAfter(previous: StubEntry | undefined, view: View, committable: boolean, body: Body): StubEntry {
    const seqno = (previous?.seqno ?? 0) + 1;
    const nodes = body.kind === "raw" ? undefined : [...body.nodes].sort();
    const key = JSON.stringify([previous?.chain ?? 0, view, committable, body.kind, nodes ?? textOf(body)]);
    const chain = this.#chains.get(key) ?? this.#chains.size + 1;
    this.#chains.set(key, chain);
    const members = body.kind === "reconfiguration" ? membersOf(nodes!) : undefined;
    return {
      view,
      seqno,
      committable,
      chain,
      body,
      sizeBytes: sizeOf(body),
      effects: { committable, ...members !== undefined && { members } },
      ...body.kind === "reconfiguration" && { members: nodes! },
      ...body.kind === "retired_committed" && { retiredCommitted: nodes! },
    };
  }
}

/** Stub nodes have no address worth a name. */
export function membersOf(nodes: readonly NodeId[]): Members {
  return new Map([...nodes].sort().map((id) => [id, ":"]));
}

const textOf = (body: Body): string => body.kind === "raw" ? body.text : "";

/** The body as CCF's driver writes it: base64 inside JSON. */
function sizeOf(body: Body): number {
  const data = body.kind === "raw"
    ? body.text
    : JSON.stringify(Object.fromEntries([...body.nodes].sort().map((id) => [id, { address: ":" }])));
  const base64Length = Math.ceil(toUtf8(data).length / 3) * 4;
  return `{"data":"","type":"${body.kind}"}`.length + base64Length;
}
