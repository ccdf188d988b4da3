/**
 * Ledger secrets on their way to the nodes, each encrypted to the node's RSA key.
 *
 * Format: ledger-and-receipts.md §4.6, `public:ccf.internal.encrypted_ledger_secrets`
 */

import { fromBase64, toBase64 } from "../bytes.ts";
import { parseJsonBytes, stableJsonBytes } from "../json.ts";
import { listOf, object, recordOf, text, unsigned } from "../json_shape.ts";
import type { Seqno } from "../tx_id.ts";

export interface BroadcastSecret {
  /** First seqno of the secret; undefined in a rekey, where it is the seqno after the transaction's own. */
  readonly version: Seqno | undefined;
  /** RSA-OAEP with SHA-256. */
  readonly encryptedSecret: Uint8Array;
  readonly previousSecretStoredVersion?: Seqno;
}

/** By node ID. */
export type SecretBroadcast = ReadonlyMap<string, readonly BroadcastSecret[]>;

const SHAPE = recordOf(
  listOf(object({ encrypted_secret: text }, { version: unsigned, previous_secret_stored_version: unsigned })),
);

/** @throws FormatError */
export function parseSecretBroadcast(bytes: Uint8Array): SecretBroadcast {
  const json = SHAPE(parseJsonBytes(bytes), "");
  return new Map(
    Object.entries(json).map(([node, secrets]) => [
      node,
      secrets.map(({ version, encrypted_secret, previous_secret_stored_version: stored }) => ({
        version,
        encryptedSecret: fromBase64(encrypted_secret),
        ...(stored !== undefined && { previousSecretStoredVersion: stored }),
      })),
    ]),
  );
}

/** An absent version is written as null: CCF requires the member and allows it to be empty. */
export function serialiseSecretBroadcast(broadcast: SecretBroadcast): Uint8Array {
  return stableJsonBytes(Object.fromEntries(
    [...broadcast].map(([node, secrets]) => [
      node,
      secrets.map((secret) => ({
        encrypted_secret: toBase64(secret.encryptedSecret),
        previous_secret_stored_version: secret.previousSecretStoredVersion,
        version: secret.version ?? null,
      })),
    ]),
  ));
}
