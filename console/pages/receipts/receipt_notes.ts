/**
 * What is worth knowing about a receipt and refuses nothing, and what it does not prove: sentences.
 *
 * In: a receipt that was read, the service that it is of, what it was compared with. Out: sentences.
 */

import { FormatError } from "../../../shared/assert.ts";
import { toHex } from "../../../shared/bytes.ts";
import { parseLedgerSignatureHeader } from "../../../shared/crypto/cose_headers.ts";
import { type Certificate, parseCertificatePem } from "../../../shared/crypto/x509.ts";
import { NO_CLAIMS } from "../../../shared/merkle/leaf.ts";
import type { Expected } from "../../../shared/receipt/expected.ts";
import { formatTxId } from "../../../shared/tx_id.ts";
import type { ReadableReceipt } from "./read_receipts.ts";
import { CLAIMS, type DrawnPath } from "./receipt_path.ts";

export function notesOf(
  read: ReadableReceipt,
  service: Certificate | undefined,
  paths: readonly DrawnPath[],
  nowMs: number,
): readonly string[] {
  const notes: string[] = [];
  if (read.kind === "JSON") {
    const node = reading(() => parseCertificatePem(read.receipt.certificatePem));
    if (!(node instanceof FormatError)) notes.push(...dateNotes("certificate of the node that signed", node, nowMs));
    if (read.receipt.leaf.kind === "digest") {
      notes.push(
        "It is the receipt of a signature transaction, which proves a signed root alone and names no transaction.",
      );
    }
  } else {
    const header = reading(() => parseLedgerSignatureHeader(read.receipt.message));
    if (!(header instanceof FormatError)) {
      const time = new Date(header.issuedAtSeconds * 1000).toISOString().replace(".000", "");
      notes.push(`The root was signed in transaction ${formatTxId(header.txId)}, at ${time} by the signer's clock.`);
    }
  }
  if (service !== undefined) notes.push(...dateNotes("certificate of the service", service, nowMs));
  const claims = paths[0]?.parts.find(({ name }) => name === CLAIMS)?.hash;
  if (claims === toHex(NO_CLAIMS)) notes.push("The application made no claims about this transaction.");
  return notes;
}

function dateNotes(what: string, { notBeforeMs, notAfterMs }: Certificate, nowMs: number): string[] {
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  if (notAfterMs < nowMs) {
    return [
      `The ${what} ended on ${
        day(notAfterMs)
      }. That refuses nothing: a receipt proves what was signed then, and is kept ` +
      "for longer than certificates last.",
    ];
  }
  return notBeforeMs > nowMs ? [`The ${what} begins on ${day(notBeforeMs)}, which is still to come.`] : [];
}

export function notProved({ kind }: ReadableReceipt, { claimsDigest, txId }: Expected): readonly string[] {
  return [
    ...(claimsDigest === undefined
      ? ["What the transaction did: the receipt holds digests. Give the claims of the application to compare with."]
      : []),
    ...(txId === undefined ? ["That it is the transaction that you mean: give its TxID to compare with."] : []),
    "That what the transaction wrote still stands: a later one may have changed it.",
    "That the application was right, or did what it says: read its code, and who allowed it.",
    kind === "JSON"
      ? "When it was committed: no time is signed in a receipt of this kind."
      : "When it was committed, but for the clock of the node that signed.",
    "That the service runs on protected hardware: that is what Attestation is for.",
  ];
}

/** What is read, or why it cannot be. */
export function reading<T>(read: () => T): T | FormatError {
  try {
    return read();
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
}
