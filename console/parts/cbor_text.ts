/**
 * CBOR in the diagnostic notation of RFC 8949 §8, and the header of a COSE message in lines with names.
 *
 * In: decoded CBOR. Out: text. Knows nothing of what is signed.
 * Names: RFC 9052 §3.1, RFC 9597, RFC 9942; CCF's own parameters, ledger-and-receipts.md §6, governance.md §3
 */

import { fromUtf8, toHex } from "../../shared/bytes.ts";
import { FormatError } from "../../shared/assert.ts";
import { CborTag, type CborValue } from "../../shared/crypto/cbor.ts";
import type { CoseSign1 } from "../../shared/crypto/cose.ts";
import type { FormFact } from "./value_forms.ts";

const MAX_LINE_CHARACTERS = 72;

export function cborText(value: CborValue, indent = ""): string {
  if (value === null) return "null";
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value !== "object") return String(value);
  if (value instanceof Uint8Array) return `h'${toHex(value)}'`;
  if (value instanceof CborTag) return `${value.tag}(${cborText(value.value, indent)})`;
  const inner = `${indent}  `;
  const [open, items, close] = value instanceof Map
    ? ["{", [...value].map(([key, item]) => `${cborText(key)}: ${cborText(item, inner)}`), "}"]
    : ["[", (value as readonly CborValue[]).map((item) => cborText(item, inner)), "]"];
  const short = `${open}${items.join(", ")}${close}`;
  if (short.length <= MAX_LINE_CHARACTERS && !short.includes("\n")) return short;
  return `${open}\n${items.map((item) => inner + item).join(",\n")}\n${indent}${close}`;
}

const HEADER_NAMES: Readonly<Record<string, string>> = {
  "1": "Algorithm",
  "2": "Must be understood",
  "3": "Content type",
  "4": "Key ID",
  "15": "CWT claims",
  "33": "Certificate chain",
  "395": "Kind of verifiable data structure",
  "396": "Proofs",
};

const ALGORITHMS: Readonly<Record<string, string>> = {
  "-7": "ES256",
  "-35": "ES384",
  "-36": "ES512",
  "-37": "PS256",
  "-38": "PS384",
  "-39": "PS512",
  "-8": "EdDSA",
};

/** Every parameter of both headers, the payload's size and the signature. */
export function coseHeaderFacts(message: CoseSign1): FormFact[] {
  const facts: FormFact[] = [];
  for (const [key, value] of message.protectedHeader) facts.push([headerName(key), headerValue(key, value)]);
  for (const [key, value] of message.unprotectedHeader) {
    facts.push([`${headerName(key)} (not signed)`, headerValue(key, value)]);
  }
  facts.push([
    "Payload",
    message.payload === undefined ? "detached: it is not in here" : `${message.payload.length} bytes`,
  ]);
  facts.push(["Signature", { hash: toHex(message.signature) }]);
  return facts;
}

function headerName(key: number | string): string {
  return HEADER_NAMES[String(key)] ?? String(key);
}

function headerValue(key: number | string, value: CborValue): FormFact[1] {
  if (key === 1) return `${ALGORITHMS[String(value)] ?? "not known here"} (${String(value)})`;
  if (key === 4 && value instanceof Uint8Array) return keyId(value);
  if ((key === "ccf.gov.msg.created_at" || key === "created_at") && typeof value === "number") {
    return { ms: value * 1000 };
  }
  if (typeof value === "string") return value;
  return cborText(value);
}

/** CCF writes hex text; others write bytes. */
function keyId(bytes: Uint8Array): FormFact[1] {
  try {
    const text = fromUtf8(bytes);
    if (/^[0-9a-f]{64}$/.test(text)) return { hash: text };
    if (/^[\x20-\x7e]*$/.test(text)) return text;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  }
  return { hash: toHex(bytes) };
}
