/**
 * The part of a node that effects of proposals draw on: keys, ledger secrets, entropy.
 */

import { validityOfDays } from "../../shared/crypto/x509_build.ts";
import { LEDGER_SECRET_BYTES, LedgerSecret, LedgerSecrets } from "../../shared/ledger/secrets.ts";
import { createServiceIdentity } from "../identity.ts";
import type { CommitPath } from "../commit_path.ts";
import type { Node } from "../node.ts";

/** What effects need of a node. A dry run gives them one that holds no secret. */
export type EffectSource =
  & Pick<Node, "engine" | "nowMs" | "primitives" | "random" | "service" | "state" | "store">
  & { readonly path: Pick<CommitPath, "secrets"> };

/** A source for effects that nobody has decided: other keys and secrets stand where the node's are, for this one use. */
export function sourceWithoutSecrets(node: Node): EffectSource {
  const { engine, nowMs, primitives, random, state, store } = node;
  const secrets = new LedgerSecrets();
  for (const { first, secret } of node.path.secrets) {
    const other = random(LEDGER_SECRET_BYTES);
    secrets.add(first, new LedgerSecret(primitives, other, secret.previousSecretStoredVersion));
  }
  const service = createServiceIdentity(
    node.service.key.curve,
    "CN=Nobody has decided this",
    validityOfDays(nowMs, 1),
    random,
  );
  return { engine, nowMs, primitives, random, state, store, path: { secrets }, service };
}
