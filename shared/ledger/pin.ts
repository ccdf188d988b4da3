/**
 * What is remembered of a ledger from one verification to the next, so that an older state or another branch is noticed.
 *
 * In: the text of a pin, or what a verified ledger has at the pinned place. Out: the pin; why a ledger does not continue
 * it; the text of the next one. Knows nothing of files and of how a ledger is verified.
 *
 * A pin is JSON, of our own making; the command line keeps it in a file, and the page keeps and exports the same text:
 *
 *     {
 *       "service_identity": "25d7fc06…",   hex SHA-256 of the service's public key (SPKI), as of that signature
 *       "last_signed": "2.27",             TxID of the last signature transaction
 *       "root": "e677e946…"                hex: the Merkle root that it signed, over every transaction before it
 *     }
 *
 * A disaster recovery goes on with the same ledger, so that the place of the pin keeps its root and its identity of then
 * (ledger-and-receipts.md §4.8). But everybody who has the public ledger can write such a recovery behind it, under a key of
 * their own. So a pin does not move over a recovery by itself (`mayMovePin`): else a forged ledger could move it.
 */

import { FormatError } from "../assert.ts";
import { equalBytes, fromHex, toHex } from "../bytes.ts";
import { parseJsonText } from "../json.ts";
import { object, text } from "../json_shape.ts";
import { NODE_BYTES } from "../merkle/tree.ts";
import { formatTxId, parseTxId, sameTxId, type TxId } from "../tx_id.ts";

export interface LedgerPin {
  /** Hex SHA-256 of the public key of the service that was current at the signature. */
  readonly serviceIdentity: string;
  readonly lastSigned: TxId;
  /** 32 bytes. */
  readonly root: Uint8Array;
}

/** Why a ledger does not continue what was pinned. */
export interface PinBreach {
  readonly code:
    /** It ends before the pin: an older state is shown, or it was cut. */
    | "LedgerOlderThanPinned"
    /** The same service, and another transaction or root in the pinned place: two branches. */
    | "LedgerForked"
    /** In the pinned place the service had another key. */
    | "IdentityChanged"
    /** What was verified begins behind the pin. */
    | "PinNotCovered";
  /** A sentence without a full stop. */
  readonly reason: string;
}

const SHAPE = object({ service_identity: text, last_signed: text, root: text });

/** @throws FormatError */
export function parsePin(content: string): LedgerPin {
  const json = SHAPE(parseJsonText(content), "");
  const pin = {
    serviceIdentity: json.service_identity,
    lastSigned: parseTxId(json.last_signed),
    root: fromHex(json.root),
  };
  if (!/^[0-9a-f]{64}$/.test(pin.serviceIdentity)) {
    throw new FormatError("its service_identity is not 64 hex digits in lower case");
  }
  if (pin.root.length !== NODE_BYTES) throw new FormatError("its root is not 64 hex digits");
  return pin;
}

export function serialisePin({ serviceIdentity, lastSigned, root }: LedgerPin): string {
  const json = { service_identity: serviceIdentity, last_signed: formatTxId(lastSigned), root: toHex(root) };
  return JSON.stringify(json, null, 2) + "\n";
}

/**
 * Compares a pin with what a ledger has in its place.
 *
 * @param found the transaction with the pinned seqno, the root over all before it, and the service's identity as of it
 * @param isSignature whether that transaction is a signature, and was verified
 * @returns undefined where the ledger goes on from the pin
 */
export function pinMismatch(pin: LedgerPin, found: LedgerPin, isSignature: boolean): PinBreach | undefined {
  const pinned = `the pinned signature ${formatTxId(pin.lastSigned)}`;
  if (found.serviceIdentity !== pin.serviceIdentity) {
    return {
      code: "IdentityChanged",
      reason: `At ${pinned} the service was ${pin.serviceIdentity}, and here it is ${found.serviceIdentity}: ` +
        "it is the ledger of another service, or of one that was recovered from an older copy",
    };
  }
  const fork = (reason: string): PinBreach => ({ code: "LedgerForked", reason });
  if (!sameTxId(pin.lastSigned, found.lastSigned)) {
    return fork(
      `The ledger has transaction ${formatTxId(found.lastSigned)} in the place of ${pinned}: ` +
        "it is another branch, or the pinned one had a tail that was never committed",
    );
  }
  if (!equalBytes(found.root, pin.root)) {
    return fork(
      `At ${pinned} the root was ${toHex(pin.root)}, and here it is ${toHex(found.root)}: it is another branch`,
    );
  }
  if (!isSignature) {
    return fork(`Transaction ${formatTxId(pin.lastSigned)} was pinned as a signature, and is none here`);
  }
  return undefined;
}

/** Of a ledger that was verified to its end without coming by the pin. @param last its last transaction */
export function pinNotSeen(pin: LedgerPin, last: TxId): PinBreach {
  const pinned = formatTxId(pin.lastSigned);
  return last.seqno < pin.lastSigned.seqno
    ? {
      code: "LedgerOlderThanPinned",
      reason: `The ledger ends with transaction ${formatTxId(last)}, before the pinned signature ${pinned}: ` +
        "it is an older state, or was cut short",
    }
    : {
      code: "PinNotCovered",
      reason: `The pinned signature ${pinned} lies before what was verified; add the files that have it`,
    };
}

/**
 * Whether the next pin may take the place of one that the ledger continues.
 *
 * @param isServiceKnown whether the service's certificate of now came from somebody who is trusted, and was compared
 */
export function mayMovePin(pin: LedgerPin | undefined, next: LedgerPin, isServiceKnown: boolean): boolean {
  return pin === undefined || isServiceKnown || pin.serviceIdentity === next.serviceIdentity;
}
