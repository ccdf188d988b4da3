/**
 * Ledger secrets on their way to a node: in the answer to its join request, and later through the ledger.
 *
 * In: the secrets that a node has; what a node is told. Out: the other.
 * Rules: nodes-and-attestation.md §3.5, §3.6, ledger-and-receipts.md §4.6, §4.7
 */

import { FormatError } from "../shared/assert.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import type { TableWrites } from "../shared/kv/write_set.ts";
import { parseSecretBroadcast } from "../shared/ledger/secret_broadcast.ts";
import { LEDGER_SECRET_BYTES, type LedgerSecrets } from "../shared/ledger/secrets.ts";
import { onlyValueOf } from "../shared/ledger/single_value.ts";
import type { Seqno } from "../shared/tx_id.ts";
import type { NodeIdentity } from "./identity.ts";
import type { SecretOfLedger } from "./join_request.ts";

/**
 * The secrets that a trusted node is told when it joins. Those that came into force after it was trusted reach it through
 * the ledger.
 *
 * @param last first seqno of the secret that was in force when the node was trusted; undefined: whatever there is
 * @throws FormatError where this node has no secret that begins there: it was started from a later snapshot
 */
export function secretsForJoiner(secrets: LedgerSecrets, last: Seqno | undefined): SecretOfLedger[] {
  if (last !== undefined && secrets.startingAt(last) === undefined) {
    throw new FormatError(`Cannot tell ledger secrets to a node: this one has none that begins at seqno ${last}`);
  }
  const told: SecretOfLedger[] = [];
  for (const { first, secret: { key, previousSecretStoredVersion } } of secrets) {
    if (last !== undefined && first > last) break;
    told.push({
      first,
      secret: key,
      ...(previousSecretStoredVersion !== undefined && { previousSecretStoredVersion }),
    });
  }
  return told;
}

/**
 * The new secret that a rekey sealed for a node.
 *
 * @param changes of `public:ccf.internal.encrypted_ledger_secrets` in one transaction
 * @returns 32 bytes, in force from the seqno after that transaction; undefined where there is none for this node, or the
 *   broadcast is that of a recovery, whose secrets are older ones
 * @throws FormatError where what is sealed for the node is not a secret that its key opens
 */
export function secretFromBroadcast(
  changes: TableWrites,
  nodeId: string,
  { encryption }: Pick<NodeIdentity, "encryption">,
  primitives: Primitives,
): Uint8Array | undefined {
  const sealed = parseSecretBroadcast(onlyValueOf(changes)).get(nodeId)?.filter(({ version }) => version === undefined);
  const [next, ...others] = sealed ?? [];
  if (next === undefined) return undefined;
  if (others.length > 0) throw new FormatError("Cannot use a broadcast of ledger secrets: it has two for one seqno");
  const secret = primitives.rsaOaepDecrypt(encryption.privateKeyPkcs8, next.encryptedSecret);
  if (secret?.length !== LEDGER_SECRET_BYTES) {
    throw new FormatError("Cannot use a broadcast of ledger secrets: the key of this node does not open its own");
  }
  return secret;
}
