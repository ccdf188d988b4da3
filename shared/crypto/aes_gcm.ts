/**
 * The two layouts in which CCF stores what AES-256-GCM sealed: the box of a secret, and the header of an entry.
 *
 * In: keys, IVs and plaintexts, or bytes of a file. Out: boxes and headers, and back.
 * Knows nothing of whose keys they are, or what stands around the header.
 * Format: ledger-and-receipts.md §4.2 and §3.1
 *
 *     box                         header of an entry or snapshot
 *      0  16  tag                  0  16  tag
 *     16  12  IV                  16   8  IV: seqno
 *     28      ciphertext          24   4  IV: view, its top bit set in a snapshot
 *
 * The tag comes first, unlike in most formats (CCF writes it so, `src/crypto/symmetric_key.h`).
 */

import { assert, FormatError } from "../assert.ts";
import { concat, Reader, Writer } from "../bytes.ts";
import { MAX_VIEW } from "../limits.ts";
import type { Seqno, View } from "../tx_id.ts";
import type { Primitives } from "./primitives.ts";

export const GCM_KEY_BYTES = 32;
export const GCM_IV_BYTES = 12;
export const GCM_TAG_BYTES = 16;
export const GCM_HEADER_BYTES = GCM_TAG_BYTES + GCM_IV_BYTES;

/** What sealing and opening need of the primitives. */
export type Gcm = Pick<Primitives, "gcmSeal" | "gcmOpen">;

const NO_DATA = new Uint8Array();

/**
 * Seals a secret in a box, without additional data.
 *
 * @param iv 12 bytes, never used before under this key
 * @returns 28 bytes more than the plaintext
 */
export function sealBox(primitives: Gcm, key: Uint8Array, iv: Uint8Array, plaintext: Uint8Array): Uint8Array {
  assert(
    key.length === GCM_KEY_BYTES && iv.length === GCM_IV_BYTES,
    "A box is sealed with a 32-byte key and 12-byte IV",
  );
  const { ciphertext, tag } = primitives.gcmSeal(key, iv, NO_DATA, plaintext);
  return concat(tag, iv, ciphertext);
}

/**
 * Opens a box.
 *
 * @returns the plaintext, or undefined where the box was not sealed with this key or has changed since
 * @throws FormatError where the box is too short to be one
 */
export function openBox(primitives: Gcm, key: Uint8Array, box: Uint8Array): Uint8Array | undefined {
  assert(key.length === GCM_KEY_BYTES, "A box is opened with a 32-byte key");
  if (box.length < GCM_HEADER_BYTES) {
    throw new FormatError(`Cannot open a sealed box of ${box.length} bytes: tag and IV alone are ${GCM_HEADER_BYTES}`);
  }
  const reader = new Reader(box);
  const tag = reader.bytes(GCM_TAG_BYTES);
  const iv = reader.bytes(GCM_IV_BYTES);
  return primitives.gcmOpen(key, iv, NO_DATA, reader.rest(), tag);
}

/** The IV of an entry: no two entries and snapshots of a ledger may share one. */
export interface EntryIv {
  readonly seqno: Seqno;
  /** 0 in snapshots. */
  readonly view: View;
  readonly isSnapshot: boolean;
}

export interface GcmHeader extends EntryIv {
  readonly tag: Uint8Array;
}

const SNAPSHOT_BIT = 0x8000_0000;

/** The 12 bytes of an entry's IV. */
export function entryIv(fields: EntryIv): Uint8Array {
  const writer = new Writer(GCM_IV_BYTES);
  writeIv(writer, fields);
  return writer.finish();
}

function writeIv(writer: Writer, { seqno, view, isSnapshot }: EntryIv): void {
  assert(view >= 0 && view <= MAX_VIEW, "A view fits the 31 bits that the IV has for it");
  writer.u64(seqno).u32(isSnapshot ? view + SNAPSHOT_BIT : view);
}

/** Reads the 28 bytes of a header. @throws FormatError where they run out or the seqno is over 2^53 */
export function readGcmHeader(reader: Reader): GcmHeader {
  const tag = reader.bytes(GCM_TAG_BYTES);
  const seqno = reader.u64();
  const word = reader.u32();
  const isSnapshot = word >= SNAPSHOT_BIT;
  return { tag, seqno, view: isSnapshot ? word - SNAPSHOT_BIT : word, isSnapshot };
}

export function writeGcmHeader(writer: Writer, header: GcmHeader): void {
  assert(header.tag.length === GCM_TAG_BYTES, "A tag is 16 bytes");
  writer.bytes(header.tag);
  writeIv(writer, header);
}
