/**
 * Which bytes of an entry mean what, for an annotated view of them.
 *
 * In: the bytes of an entry that has been parsed. Out: neighbouring ranges that cover all of it.
 * Format: ledger-and-receipts.md §3.1 to §3.3
 */

import { fromUtf8Lenient, Reader, toHex } from "../../shared/bytes.ts";
import { EntryType, FRAME_HEADER_BYTES } from "../../shared/ledger/entry.ts";

export interface LayoutRange {
  readonly start: number;
  readonly end: number;
  readonly what: string;
  readonly value?: string;
}

const MAX_VALUE_CHARACTERS = 80;

/** @throws FormatError where the bytes are no entry */
export function entryLayout(bytes: Uint8Array): LayoutRange[] {
  const ranges: LayoutRange[] = [];
  const reader = new Reader(bytes);
  const take = (what: string, count: number, show?: (part: Uint8Array) => string): Uint8Array => {
    const start = reader.position;
    const part = reader.bytes(count);
    const value = show?.(part);
    ranges.push({ start, end: reader.position, what, ...(value !== undefined && { value }) });
    return part;
  };
  const number = (part: Uint8Array) => String(littleEndian(part));
  take("version of the format", 1, number);
  take("flags", 1, (part) => `0x${toHex(part)}`);
  take("size of what follows the header", 6, number);
  take("GCM tag", 16, toHex);
  take("IV: seqno", 8, number);
  take("IV: view", 4, number);
  const publicBytes = littleEndian(take("size of the public part", 8, number));
  const publicEnd = FRAME_HEADER_BYTES + publicBytes;
  const type = take("type of the entry", 1, number)[0]!;
  take("seqno", 8, number);
  if (type === EntryType.evidenceAndClaims || type === EntryType.claims) take("digest of the claims", 32, toHex);
  if (type === EntryType.evidenceAndClaims || type === EntryType.evidence) {
    take("digest of the commit evidence", 32, toHex);
  }
  take("conflict version", 8, number);
  const sized = (what: string) => {
    const size = littleEndian(take(`size of ${what}`, 8, number));
    return fromUtf8Lenient(take(what, size, shown));
  };
  const counted = (what: string) => littleEndian(take(what, 8, number));
  while (reader.position < publicEnd) {
    const table = sized("the table's name");
    take(`${table}: read version`, 8, number);
    const reads = counted(`${table}: number of reads`);
    for (let i = 0; i < reads; i++) {
      sized(`the key that was read, ${table}`);
      take(`${table}: version that was read`, 8, number);
    }
    const writes = counted(`${table}: number of writes`);
    for (let i = 0; i < writes; i++) {
      sized(`a key of ${table}`);
      sized(`the value in ${table}`);
    }
    const removes = counted(`${table}: number of removals`);
    for (let i = 0; i < removes; i++) sized(`a removed key of ${table}`);
  }
  if (reader.position < bytes.length) take("private tables, encrypted", bytes.length - reader.position);
  return ranges;
}

function shown(part: Uint8Array): string {
  const text = fromUtf8Lenient(part.subarray(0, MAX_VALUE_CHARACTERS));
  return part.length > MAX_VALUE_CHARACTERS ? `${text}… (${part.length} bytes)` : text;
}

function littleEndian(bytes: Uint8Array): number {
  let value = 0;
  for (let i = bytes.length - 1; i >= 0; i--) value = value * 256 + bytes[i]!;
  return value;
}
