/**
 * What is remembered of a ledger from one verification to the next, so that a shorter or another one is noticed.
 *
 * In: a pin file, and a ledger that is being verified. Out: why the ledger is not a continuation of what was pinned; the
 * next pin file.
 *
 *     {
 *       "service_identity": "25d7fc06…",   hex SHA-256 of the service's public key (SPKI)
 *       "last_signed": "2.27",             the last signature transaction
 *       "root": "e677e946…"                what it signed
 *     }
 */

import { FormatError } from "../shared/assert.ts";
import { fromHex, toHex } from "../shared/bytes.ts";
import { parseJsonText } from "../shared/json.ts";
import { object, text } from "../shared/json_shape.ts";
import { formatTxId, parseTxId, sameTxId, type TxId } from "../shared/tx_id.ts";
import { reasonOf, UsageError } from "./commands/exit.ts";

export interface LedgerPin {
  /** Hex SHA-256 of the public key of the service that was current at the signature. */
  readonly serviceIdentity: string;
  readonly lastSigned: TxId;
  readonly root: Uint8Array;
}

const SHAPE = object({ service_identity: text, last_signed: text, root: text });

/**
 * The pin of an earlier run, or undefined where there was none.
 *
 * @throws UsageError where the file cannot be read, or is no pin
 */
export function readPin(path: string): LedgerPin | undefined {
  let content: string;
  try {
    content = Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new UsageError(`Cannot read the pin ${path}: ${reasonOf(error)}`);
  }
  try {
    return parsePin(content);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UsageError(
      `Cannot read the pin ${path}: ${error.message}; put back the file that an earlier run wrote, or name another`,
    );
  }
}

/** Writes a pin so that a crash leaves either the old one or the new one. @throws UsageError */
export function writePin(path: string, pin: LedgerPin): void {
  try {
    Deno.writeTextFileSync(`${path}.new`, serialisePin(pin));
    Deno.renameSync(`${path}.new`, path);
  } catch (error) {
    throw new UsageError(`Cannot write the pin ${path}: ${reasonOf(error)}`);
  }
}

/** Why what a ledger has at the pinned seqno is not what was pinned; undefined where it is. */
export function pinMismatch(pin: LedgerPin, found: LedgerPin): string | undefined {
  const pinned = `the pinned signature ${formatTxId(pin.lastSigned)}`;
  if (!sameTxId(pin.lastSigned, found.lastSigned)) {
    return `The ledger has transaction ${formatTxId(found.lastSigned)} in the place of ${pinned}: ` +
      "it is another ledger, or the pinned one had a tail that was never committed";
  }
  if (found.serviceIdentity !== pin.serviceIdentity) {
    return `At ${pinned} the service was ${pin.serviceIdentity}, and here it is ${found.serviceIdentity}: ` +
      "it is another ledger";
  }
  if (toHex(found.root) !== toHex(pin.root)) {
    return `At ${pinned} the root was ${toHex(pin.root)}, and here it is ${toHex(found.root)}: it is another ledger`;
  }
  return undefined;
}

/** @throws FormatError */
function parsePin(content: string): LedgerPin {
  const json = SHAPE(parseJsonText(content), "");
  const pin = {
    serviceIdentity: json.service_identity,
    lastSigned: parseTxId(json.last_signed),
    root: fromHex(json.root),
  };
  if (pin.root.length !== 32) throw new FormatError("its root is not 64 hex digits");
  return pin;
}

function serialisePin({ serviceIdentity, lastSigned, root }: LedgerPin): string {
  const json = { service_identity: serviceIdentity, last_signed: formatTxId(lastSigned), root: toHex(root) };
  return JSON.stringify(json, null, 2) + "\n";
}
