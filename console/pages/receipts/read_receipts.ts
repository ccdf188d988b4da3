/**
 * Receipts as people have them: files, pasted text, links.
 *
 * In: bytes of a file, or text: JSON, COSE, either of them as hex or base64, several after each other. Out: each with its
 * kind and bytes, or why it is none. Judging is `judge_receipt.ts`.
 * Formats: ledger-and-receipts.md §8.1, §8.2
 */

import { FormatError } from "../../../shared/assert.ts";
import { fromBase64, fromBase64Url, fromHex, fromUtf8, toBase64Url, toUtf8 } from "../../../shared/bytes.ts";
import { MAX_RECEIPT_BYTES, MAX_RECEIPT_LINK_CHARACTERS, MAX_RECEIPTS_AT_ONCE } from "../../../shared/limits.ts";
import { type CoseReceipt, parseCoseReceipt } from "../../../shared/receipt/cose_receipt.ts";
import { parseReceipt, type Receipt } from "../../../shared/receipt/receipt.ts";
import type { Problem } from "../../problem.ts";

export type ReadReceipt =
  | { readonly kind: "JSON"; readonly name: string; readonly bytes: Uint8Array; readonly receipt: Receipt }
  | { readonly kind: "COSE"; readonly name: string; readonly bytes: Uint8Array; readonly receipt: CoseReceipt }
  | { readonly kind: "unreadable"; readonly name: string; readonly bytes: Uint8Array; readonly problem: Problem };

export type ReadableReceipt = Exclude<ReadReceipt, { kind: "unreadable" }>;

/** First byte of a tagged COSE_Sign1; JSON begins with a brace. */
const COSE_TAG = 0xd2;

/** Every receipt in a file. @param name what people call it */
export function receiptsInBytes(name: string, bytes: Uint8Array): readonly ReadReceipt[] {
  if (bytes[0] === COSE_TAG) return [readOne(name, bytes)];
  let text: string;
  try {
    text = fromUtf8(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return [unreadable(name, bytes, "ReceiptUnknownFormat", "It is neither text nor a COSE_Sign1 message")];
  }
  return receiptsInText(name, text);
}

/** Every receipt in a text. */
export function receiptsInText(name: string, text: string): readonly ReadReceipt[] {
  const pieces = piecesOf(text);
  if (pieces.length === 0) return [unreadable(name, new Uint8Array(), "ReceiptEmpty", "There is nothing in it")];
  const read = pieces.slice(0, MAX_RECEIPTS_AT_ONCE).map((piece, i) =>
    readOne(pieces.length === 1 ? name : `${name}, receipt ${i + 1}`, bytesOf(piece))
  );
  if (pieces.length > MAX_RECEIPTS_AT_ONCE) {
    const why = `It has ${pieces.length} receipts, and ${MAX_RECEIPTS_AT_ONCE} are checked together`;
    return [...read, unreadable(`${name}, the rest`, new Uint8Array(), "ReceiptsTooMany", why)];
  }
  return read;
}

/** What stands in a link for a receipt; undefined where it would be too long for one. */
export function receiptForLink(bytes: Uint8Array): string | undefined {
  const text = toBase64Url(bytes);
  return text.length <= MAX_RECEIPT_LINK_CHARACTERS ? text : undefined;
}

/** The receipt of a link. */
export function receiptFromLink(text: string): readonly ReadReceipt[] {
  const name = "The receipt of the link";
  try {
    return receiptsInBytes(name, fromBase64Url(text));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return [unreadable(name, toUtf8(text), "ReceiptLinkDamaged", `${error.message}; the link may have been cut`)];
  }
}

/** JSON documents one after another, members of a JSON list, or lines of hex or base64. */
function piecesOf(text: string): readonly string[] {
  const trimmed = text.trim();
  if (trimmed === "") return [];
  if (trimmed.startsWith("[")) {
    try {
      const list = JSON.parse(trimmed);
      if (Array.isArray(list)) return list.map((item) => typeof item === "string" ? item : JSON.stringify(item));
    } catch {
      // Not a list: it is said of it below that it is no receipt.
    }
  }
  if (trimmed.startsWith("{")) return objectsOf(trimmed);
  const blocks = trimmed.split(/\n\s*\n/).map((block) => block.replace(/\s+/g, ""));
  if (blocks.length > 1) return blocks.filter((block) => block !== "");
  // Without empty lines: each line that is COSE by itself, else lines that were broken.
  const lines = trimmed.split(/\s*\n\s*/);
  return lines.length > 1 && lines.every((line) => bytesOf(line)[0] === COSE_TAG) ? lines : blocks;
}

/** Objects that follow each other, with or without anything but commas in between. */
function objectsOf(text: string): readonly string[] {
  const { objects, isOpen } = structureOf(text);
  // Something that does not end, or has anything else beside it, is one thing that cannot be read.
  const rest = objects.reduce((left, object) => left.replace(object, () => ""), text);
  return !isOpen && /^[\s,]*$/.test(rest) ? objects : [text];
}

/** The objects of JSON text that lie in nothing else, and whether braces, brackets or quotes are still open at the end. */
function structureOf(text: string): { readonly objects: readonly string[]; readonly isOpen: boolean } {
  const objects: string[] = [];
  let start = 0;
  let depth = 0;
  let isInString = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (isInString) {
      if (char === "\\") i++;
      else if (char === '"') isInString = false;
    } else if (char === '"') isInString = true;
    else if (char === "{" || char === "[") {
      if (depth++ === 0) start = i;
    } else if ((char === "}" || char === "]") && --depth === 0 && char === "}") objects.push(text.slice(start, i + 1));
  }
  return { objects, isOpen: depth > 0 || isInString };
}

/** Text that may be JSON, hex, base64 or base64url. */
function bytesOf(piece: string): Uint8Array {
  if (piece.startsWith("{")) return toUtf8(piece);
  const compact = piece.replace(/\s+/g, "");
  const readers = [/^([0-9a-fA-F]{2})+$/.test(compact) ? fromHex : undefined, fromBase64, fromBase64Url];
  for (const read of readers) {
    try {
      const bytes = read?.(read === fromHex ? compact.toLowerCase() : compact);
      if (bytes !== undefined && bytes.length > 0) return bytes;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
    }
  }
  return toUtf8(piece);
}

function readOne(name: string, bytes: Uint8Array): ReadReceipt {
  if (bytes.length > MAX_RECEIPT_BYTES) {
    const why = `It has ${bytes.length} bytes, and a receipt has ${MAX_RECEIPT_BYTES} at most`;
    return unreadable(name, bytes, "ReceiptTooLarge", why);
  }
  try {
    if (bytes[0] === COSE_TAG) return { kind: "COSE", name, bytes, receipt: parseCoseReceipt(bytes) };
    const text = fromUtf8(bytes);
    if (!text.trimStart().startsWith("{")) {
      return unreadable(
        name,
        bytes,
        "ReceiptUnknownFormat",
        "It begins neither as JSON nor as a COSE_Sign1 message, and is not the hex or base64 of either",
      );
    }
    if (structureOf(text).isOpen) {
      return unreadable(name, bytes, "ReceiptCutShort", "The JSON ends in the middle: a part of the text is missing");
    }
    return { kind: "JSON", name, bytes, receipt: parseReceipt(text) };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return unreadable(name, bytes, "ReceiptUnreadable", error.message);
  }
}

function unreadable(name: string, bytes: Uint8Array, code: string, why: string): ReadReceipt {
  const problem: Problem = {
    code,
    what: `${name} is not a receipt that can be read`,
    why,
    todo: WHAT_TO_DO_BY_CODE[code] ??
      "Fetch it again, with GET /app/receipt?transaction_id=… of a node, and drop the file",
  };
  return { kind: "unreadable", name, bytes, problem };
}

const WHAT_TO_DO_BY_CODE: Readonly<Record<string, string>> = {
  ReceiptLinkDamaged: "Ask for the link again, or for the receipt as a file",
  ReceiptsTooMany: "Check them in parts, or with `deno task run receipt verify`",
};
