/**
 * The chain that leads from the newest ledger secret back to the first: each is sealed under the one that followed it.
 *
 * In: values of `public:ccf.internal.historical_encrypted_ledger_secret`, and one secret. Out: all older ones.
 * Knows nothing of how the newest secret was got (`recovery_shares.ts`).
 * Format: ledger-and-receipts.md §4.5, §4.9
 */

import { FormatError } from "../assert.ts";
import { fromBase64, toBase64 } from "../bytes.ts";
import { openBox } from "../crypto/aes_gcm.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { parseJsonBytes, stableJsonBytes } from "../json.ts";
import { object, text, unsigned } from "../json_shape.ts";
import type { Seqno } from "../tx_id.ts";
import { LEDGER_SECRET_BYTES, LedgerSecret, type LedgerSecrets } from "./secrets.ts";

/** One value of the table: says from where on the current secret counts, and holds the one before it. */
export interface HistoricalSecret {
  /** First seqno of the current secret; absent after a rekey, when it is the seqno after the transaction's own. */
  readonly nextVersion?: Seqno;
  /** Absent when the service opens for the first time. */
  readonly predecessor?: {
    /** The secret before, in a box under the current one. */
    readonly box: Uint8Array;
    /** Its first seqno. */
    readonly version: Seqno;
    /** Seqno at which its own predecessor was stored. */
    readonly previousSecretStoredVersion?: Seqno;
  };
}

/** A value of the table with the seqno of the transaction that wrote it. */
export interface ChainLink {
  readonly seqno: Seqno;
  readonly value: HistoricalSecret;
}

/** First seqno of the secret that is current after this write. */
export function currentFrom(link: ChainLink): Seqno {
  return link.value.nextVersion ?? link.seqno + 1;
}

/**
 * Opens every older secret and adds it to `secrets`.
 *
 * After an election in the middle of a recovery the next primary may seal the same predecessor again, under the same
 * secret but in another box; such a second link is passed over.
 *
 * @param links every write of the table up to the one that made the newest secret current, in order
 * @param newest the secret that is current after the last link
 * @throws FormatError where a box does not open
 */
export function restoreOlderSecrets(
  primitives: Primitives,
  links: readonly ChainLink[],
  newest: LedgerSecret,
  secrets: LedgerSecrets,
): void {
  let key = newest.key;
  for (const { seqno, value: { predecessor } } of links.toReversed()) {
    if (predecessor === undefined) return;
    const { box, version, previousSecretStoredVersion } = predecessor;
    if (secrets.startingAt(version) !== undefined) continue;
    const opened = openBox(primitives, key, box);
    if (opened?.length !== LEDGER_SECRET_BYTES) {
      throw new FormatError(
        `Cannot open the ledger secret from seqno ${version}, as transaction ${seqno} holds it: it is sealed under another secret`,
      );
    }
    key = opened;
    secrets.add(version, new LedgerSecret(primitives, key, previousSecretStoredVersion));
  }
}

const SHAPE = object({}, {
  next_version: unsigned,
  previous_ledger_secret: object(
    { encrypted_data: text, version: unsigned },
    { previous_secret_stored_version: unsigned },
  ),
});

/** @throws FormatError */
export function parseHistoricalSecret(bytes: Uint8Array): HistoricalSecret {
  const { next_version: nextVersion, previous_ledger_secret: previous } = SHAPE(parseJsonBytes(bytes), "");
  const stored = previous?.previous_secret_stored_version;
  return {
    ...(nextVersion !== undefined && { nextVersion }),
    ...(previous !== undefined && {
      predecessor: {
        box: fromBase64(previous.encrypted_data),
        version: previous.version,
        ...(stored !== undefined && { previousSecretStoredVersion: stored }),
      },
    }),
  };
}

export function serialiseHistoricalSecret({ nextVersion, predecessor }: HistoricalSecret): Uint8Array {
  return stableJsonBytes({
    next_version: nextVersion,
    previous_ledger_secret: predecessor && {
      encrypted_data: toBase64(predecessor.box),
      previous_secret_stored_version: predecessor.previousSecretStoredVersion,
      version: predecessor.version,
    },
  });
}
