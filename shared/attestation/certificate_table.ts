/**
 * The table of certificates that a host hands to its SEV-SNP guests beside a report.
 *
 * In: the table, e.g. `auxblob` of configfs-tsm. Out: the certificates as DER. The host wrote it: it is a source of
 * candidates, and only a chain that verifies makes one of them count.
 * Knows nothing of what is in a certificate.
 * Format: AMD 56421 "GHCB" (extended guest request), as in attestation/formats.md §1.2; integers little-endian
 *
 *     c0b406a4a803495297433fb6014cd0ae  ARK, a GUID in the order of its text
 *     60000000 e5080000                 from byte 96, 2277 bytes long
 *     …                                 more entries; 24 zero bytes end them
 */

import { FormatError } from "../assert.ts";
import { fromUtf8, Reader, toHex } from "../bytes.ts";
import { parsePemBlock } from "../crypto/pem.ts";
import { MAX_CERTIFICATE_TABLE_BYTES, MAX_CERTIFICATE_TABLE_ENTRIES } from "../limits.ts";

/** DER. An entry with ASVK, which issued a VLEK, is under `ask`. */
export interface CertificateTable {
  readonly vcek?: Uint8Array;
  readonly vlek?: Uint8Array;
  readonly ask?: Uint8Array;
  readonly ark?: Uint8Array;
  /** GUIDs, as 32 hex digits, of entries that are none of these. */
  readonly unknown: readonly string[];
}

const NAMES: Readonly<Record<string, "vcek" | "vlek" | "ask" | "ark">> = {
  "63da758de6644564adc5f4b93be8accd": "vcek",
  "a8074bc2a25a483eaae639c045a0b8a1": "vlek",
  "4ab7b379bbac4fe4a02f05aef327c782": "ask",
  "c0b406a4a803495297433fb6014cd0ae": "ark",
};
const END = "0".repeat(32);
const PEM_START = "-----BEGIN";

/**
 * Reads a table; without any bytes there is none, and so no certificates.
 *
 * @throws FormatError
 */
export function parseCertificateTable(table: Uint8Array): CertificateTable {
  if (table.length > MAX_CERTIFICATE_TABLE_BYTES) {
    throw problem(`it has ${table.length} bytes, more than ${MAX_CERTIFICATE_TABLE_BYTES}`);
  }
  const found: Partial<Record<"vcek" | "vlek" | "ask" | "ark", Uint8Array>> = {};
  const unknown: string[] = [];
  if (table.length === 0) return { unknown };
  const reader = new Reader(table);
  for (let count = 0;; count++) {
    const guid = toHex(reader.bytes(16));
    const [offset, length] = [reader.u32(), reader.u32()];
    if (guid === END && offset === 0 && length === 0) break;
    if (count === MAX_CERTIFICATE_TABLE_ENTRIES) {
      throw problem(`it has more than ${MAX_CERTIFICATE_TABLE_ENTRIES} entries`);
    }
    if (offset + length > table.length) throw problem(`entry ${count} reaches beyond its end`);
    const name = NAMES[guid];
    if (name === undefined) {
      unknown.push(guid);
    } else {
      if (found[name] !== undefined) throw problem(`the certificate ${name} is there twice`);
      found[name] = toDer(table.subarray(offset, offset + length));
    }
  }
  return { ...found, unknown };
}

/** Some hosts put PEM there. */
function toDer(certificate: Uint8Array): Uint8Array {
  const isPem = PEM_START.split("").every((character, i) => certificate[i] === character.charCodeAt(0));
  // A text may end in the zero byte that C writes behind it.
  return isPem ? parsePemBlock(fromUtf8(certificate).replace(/\0+$/, ""), "CERTIFICATE") : certificate;
}

function problem(text: string): FormatError {
  return new FormatError(`Cannot read a table of certificates: ${text}`);
}
