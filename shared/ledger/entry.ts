/**
 * Ledger entries: the bytes of one transaction.
 *
 * In: entry bytes, or a write set to seal. Out: header fields, tables of both domains, digest and leaf; or bytes.
 * Knows nothing of files, of the store, nor of who holds which secret.
 * Format: ledger-and-receipts.md §3
 */

import { assert, FormatError } from "../assert.ts";
import { Reader, Writer } from "../bytes.ts";
import {
  type EntryIv,
  GCM_HEADER_BYTES,
  GCM_IV_BYTES,
  GCM_TAG_BYTES,
  type GcmHeader,
  readGcmHeader,
  writeGcmHeader,
} from "../crypto/aes_gcm.ts";
import type { Primitives } from "../crypto/primitives.ts";
import {
  parseTables,
  serialisedLength,
  serialiseTablesInto,
  type TableWrites,
  type WriteSet,
  type WriteSetDeviation,
} from "../kv/write_set.ts";
import { MAX_ENTRY_BYTES } from "../limits.ts";
import { leafOf } from "../merkle/leaf.ts";
import type { Seqno, TxId, View } from "../tx_id.ts";

/** Version, flags, and the size of what follows. */
export const ENTRY_HEADER_BYTES = 8;
/** All that stands before the public domain. */
export const FRAME_HEADER_BYTES = ENTRY_HEADER_BYTES + GCM_HEADER_BYTES + 8;
const TAG_AT = ENTRY_HEADER_BYTES;
const IV_AT = TAG_AT + GCM_TAG_BYTES;
const DIGEST_BYTES = 32;
/** Type, seqno, both digests and the unused conflict version of a current entry. */
const PUBLIC_HEADER_BYTES = 1 + 8 + 2 * DIGEST_BYTES + 8;
const FORMAT_VERSION = 1;
const NO_TAG = new Uint8Array(GCM_TAG_BYTES);

/** The chunk that holds the entry ends behind it. Only on signature transactions. */
export const FORCE_CHUNK_AFTER = 0x01;
/** The entry is the first of its chunk. Only on the first transaction of a recovered service. */
export const FORCE_CHUNK_BEFORE = 0x02;

/** First byte of the public domain. Current writers write nothing but `evidenceAndClaims`, and `snapshot` in snapshots. */
export const EntryType = {
  /** 1.x */
  plain: 0,
  snapshot: 1,
  claims: 2,
  /** Early 2.x */
  evidence: 3,
  evidenceAndClaims: 4,
} as const;
export type EntryType = typeof EntryType[keyof typeof EntryType];

/** What entries and snapshots share: a public domain in clear, a private one sealed, the public one authenticated. */
export interface SealedFrame {
  /** Header included. */
  readonly bytes: Uint8Array;
  readonly flags: number;
  readonly tag: Uint8Array;
  readonly iv: Uint8Array;
  /** From the IV. */
  readonly seqno: Seqno;
  /** From the IV; 0 in snapshots. */
  readonly view: View;
  /** The top bit of the IV. */
  readonly isSnapshot: boolean;
  readonly publicDomain: Uint8Array;
  readonly ciphertext: Uint8Array;
}

/**
 * Bytes of the whole entry, or snapshot, whose first bytes these are.
 *
 * @param start at least `ENTRY_HEADER_BYTES` of it
 * @throws FormatError
 */
export function entryBytes(start: Uint8Array, maxBytes: number = MAX_ENTRY_BYTES): number {
  return readHeader(new Reader(start), maxBytes).entryBytes;
}

/**
 * Parses what entries and snapshots share.
 *
 *     01 00 e50000000000                  version, flags, 229 bytes follow
 *     917c08b6ebfa01165104343842b5c121    GCM tag; it comes first, unlike in most formats
 *     1800000000000000 02000000           GCM IV: seqno 24, view 2; top bit clear, so no snapshot
 *     c100000000000000                    193 bytes of public domain
 *     04 …                                public domain
 *     …                                   private domain, sealed; empty here
 *
 * @throws FormatError
 */
export function parseFrame(bytes: Uint8Array, maxBytes: number = MAX_ENTRY_BYTES): SealedFrame {
  const reader = new Reader(bytes);
  const header = readHeader(reader, maxBytes);
  if (header.entryBytes !== bytes.length) {
    throw new FormatError(
      `Cannot read a ledger entry: its header says ${header.entryBytes} bytes, and there are ${bytes.length}`,
    );
  }
  const { tag, seqno, view, isSnapshot } = readGcmHeader(reader);
  return {
    bytes,
    flags: header.flags,
    tag,
    iv: bytes.subarray(IV_AT, IV_AT + GCM_IV_BYTES),
    seqno,
    view,
    isSnapshot,
    publicDomain: reader.lengthPrefixed(),
    ciphertext: reader.rest(),
  };
}

/** The private domain in clear, or undefined where the key is not the one it was sealed with, or a byte changed. */
export function openFrame(primitives: Primitives, frame: SealedFrame, key: Uint8Array): Uint8Array | undefined {
  return primitives.gcmOpen(key, frame.iv, frame.publicDomain, frame.ciphertext, frame.tag);
}

/** A frame that is being written: the header is there, the two domains are to be filled in, and then it is sealed. */
export interface UnsealedFrame {
  readonly bytes: Uint8Array;
  readonly publicAt: number;
  readonly privateAt: number;
}

/** Allocates the whole frame at once, so that an entry is written where it will stay. */
export function layOutFrame(flags: number, iv: EntryIv, publicBytes: number, privateBytes: number): UnsealedFrame {
  const out = new Writer(FRAME_HEADER_BYTES + publicBytes + privateBytes);
  writeFrameHeader(out, flags, { tag: NO_TAG, ...iv }, publicBytes, privateBytes);
  const publicAt = out.length;
  out.zeros(publicBytes + privateBytes);
  return { bytes: out.finish(), publicAt, privateAt: publicAt + publicBytes };
}

/** Writes what stands before the public domain. */
export function writeFrameHeader(
  writer: Writer,
  flags: number,
  header: GcmHeader,
  publicBytes: number,
  privateBytes: number,
): void {
  writer.u8(FORMAT_VERSION).u8(flags).u48(GCM_HEADER_BYTES + 8 + publicBytes + privateBytes);
  writeGcmHeader(writer, header);
  writer.u64(publicBytes);
}

/** Encrypts the private domain in place and puts the tag in front. */
export function sealFrame(
  primitives: Primitives,
  { bytes, publicAt, privateAt }: UnsealedFrame,
  key: Uint8Array,
): Uint8Array {
  const ciphertext = bytes.subarray(privateAt);
  const into = { ciphertext, tag: bytes.subarray(TAG_AT, TAG_AT + GCM_TAG_BYTES) };
  const iv = bytes.subarray(IV_AT, IV_AT + GCM_IV_BYTES);
  primitives.gcmSeal(key, iv, bytes.subarray(publicAt, privateAt), ciphertext, into);
  return bytes;
}

function readHeader(reader: Reader, maxBytes: number): { flags: number; entryBytes: number } {
  const version = reader.u8();
  const flags = reader.u8();
  const entryBytes = ENTRY_HEADER_BYTES + reader.u48();
  if (version !== FORMAT_VERSION) throw new FormatError(`Cannot read a ledger entry: its format version is ${version}`);
  if (flags > (FORCE_CHUNK_AFTER | FORCE_CHUNK_BEFORE)) {
    throw new FormatError(`Cannot read a ledger entry: its flags are 0x${flags.toString(16)}`);
  }
  if (entryBytes > maxBytes) {
    throw new FormatError(`Cannot read a ledger entry of ${entryBytes} bytes: at most ${maxBytes}`);
  }
  return { flags, entryBytes };
}

/**
 * Entries that lie back to back, as views.
 *
 * @returns undefined where there are not exactly so many
 */
export function splitEntries(bytes: Uint8Array, count: number): Uint8Array[] | undefined {
  const entries = splitEntriesUpTo(bytes, count);
  return entries?.length === count ? entries : undefined;
}

/** The same where fewer may have come. @returns undefined where there are more, or the bytes are not entries */
export function splitEntriesUpTo(bytes: Uint8Array, max: number): Uint8Array[] | undefined {
  const starts = entryStarts(bytes, max);
  return starts?.map((start, i) => bytes.subarray(start, starts[i + 1] ?? bytes.length));
}

/**
 * The flags of entries that lie back to back. No seal covers them: who carries entries elsewhere must protect them.
 *
 * @returns undefined where there are more than `max`, or the bytes are not entries
 */
export function entryFlags(bytes: Uint8Array, max: number): number[] | undefined {
  return entryStarts(bytes, max)?.map((start) => bytes[start + 1]!);
}

/** Where entries that lie back to back begin. @returns undefined where there are more, or the bytes are not entries */
function entryStarts(bytes: Uint8Array, max: number): number[] | undefined {
  const starts: number[] = [];
  let at = 0;
  try {
    while (at < bytes.length) {
      if (starts.length === max) return undefined;
      starts.push(at);
      at += readHeader(new Reader(bytes, at), MAX_ENTRY_BYTES).entryBytes;
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return undefined;
  }
  return at === bytes.length ? starts : undefined;
}

/** One transaction as the ledger holds it. The bytes are kept as they are; tables are parsed when asked for. */
export class LedgerEntry {
  readonly #mapsAt: number;
  #publicTables: readonly TableWrites[] | undefined;

  private constructor(
    readonly frame: SealedFrame,
    readonly type: EntryType,
    /** 32 bytes, zero without a claim; undefined in types 0 and 3. */
    readonly claimsDigest: Uint8Array | undefined,
    /** 32 bytes; undefined in types 0 and 2. */
    readonly commitEvidenceDigest: Uint8Array | undefined,
    /** 0 in everything current; 1.x wrote more. */
    readonly maxConflictVersion: Seqno,
    mapsAt: number,
  ) {
    this.#mapsAt = mapsAt;
  }

  /**
   * Parses all but the tables.
   *
   * @throws FormatError
   */
  static parse(bytes: Uint8Array): LedgerEntry {
    const frame = parseFrame(bytes);
    if (frame.isSnapshot) {
      throw new FormatError(`Cannot read ledger entry ${frame.seqno}: its IV is that of a snapshot`);
    }
    const reader = new Reader(frame.publicDomain);
    const type = parseType(reader.u8());
    const seqno = reader.u64();
    if (seqno !== frame.seqno) {
      throw new FormatError(`Cannot read a ledger entry: its IV says seqno ${frame.seqno}, its public domain ${seqno}`);
    }
    const hasClaims = type === EntryType.evidenceAndClaims || type === EntryType.claims;
    const hasEvidence = type === EntryType.evidenceAndClaims || type === EntryType.evidence;
    const claimsDigest = hasClaims ? reader.bytes(DIGEST_BYTES) : undefined;
    const commitEvidenceDigest = hasEvidence ? reader.bytes(DIGEST_BYTES) : undefined;
    const maxConflictVersion = reader.u64();
    return new LedgerEntry(frame, type, claimsDigest, commitEvidenceDigest, maxConflictVersion, reader.position);
  }

  get bytes(): Uint8Array {
    return this.frame.bytes;
  }

  get flags(): number {
    return this.frame.flags;
  }

  get seqno(): Seqno {
    return this.frame.seqno;
  }

  get view(): View {
    return this.frame.view;
  }

  get txId(): TxId {
    return { view: this.frame.view, seqno: this.frame.seqno };
  }

  /**
   * Changes to public tables.
   *
   * @param tolerate told of what no current writer writes, instead of an error (`parseTables`); the first call decides
   * @throws FormatError
   */
  publicTables(tolerate?: (deviation: WriteSetDeviation) => void): readonly TableWrites[] {
    return this.#publicTables ??= parseTables(this.frame.publicDomain.subarray(this.#mapsAt), "public", tolerate);
  }

  get hasPrivateTables(): boolean {
    return this.frame.ciphertext.length > 0;
  }

  /**
   * Changes to private tables, or undefined where the GCM tag does not match.
   *
   * The tag is there and means something also where there are no private tables: it covers the public domain.
   *
   * @throws FormatError where what was sealed is not a list of tables
   */
  privateTables(
    primitives: Primitives,
    key: Uint8Array,
    tolerate?: (deviation: WriteSetDeviation) => void,
  ): readonly TableWrites[] | undefined {
    const plaintext = openFrame(primitives, this.frame, key);
    return plaintext && parseTables(plaintext, "private", tolerate);
  }

  /** sha256 of the whole entry, flags and ciphertext included. */
  writeSetDigest(primitives: Primitives): Uint8Array {
    return primitives.sha256(this.frame.bytes);
  }

  /** The entry's leaf in the Merkle tree. @param into where it is written; without it, in a new array */
  leaf(primitives: Primitives, into?: Uint8Array): Uint8Array {
    const { commitEvidenceDigest, claimsDigest } = this;
    const writeSetDigest = primitives.sha256(this.frame.bytes, into);
    return leafOf(primitives, { writeSetDigest, commitEvidenceDigest, claimsDigest }, into);
  }
}

/** A transaction that is about to become an entry. */
export interface EntryContent {
  readonly txId: TxId;
  readonly flags: number;
  readonly claimsDigest: Uint8Array;
  readonly commitEvidenceDigest: Uint8Array;
  readonly writeSet: WriteSet;
}

/**
 * The bytes of an entry of the current type, its private tables sealed with the ledger secret of its seqno.
 *
 * @param key the ledger secret itself
 */
export function sealEntry(primitives: Primitives, key: Uint8Array, content: EntryContent): Uint8Array {
  const { publicTables, privateTables } = content.writeSet;
  assert(publicTables.length + privateTables.length > 0, "A transaction that wrote nothing has no entry");
  const publicBytes = PUBLIC_HEADER_BYTES + serialisedLength(publicTables);
  const { txId, flags, claimsDigest, commitEvidenceDigest } = content;
  const frame = layOutFrame(flags, { ...txId, isSnapshot: false }, publicBytes, serialisedLength(privateTables));
  const { bytes, publicAt, privateAt } = frame;
  assert(bytes.length <= MAX_ENTRY_BYTES, "An entry written is one that can be read back");
  const tablesAt = publicAt + PUBLIC_HEADER_BYTES;
  const header = new Writer(bytes.subarray(publicAt, tablesAt)).u8(EntryType.evidenceAndClaims).u64(txId.seqno);
  header.bytes(claimsDigest).bytes(commitEvidenceDigest).u64(0);
  assert(header.length === PUBLIC_HEADER_BYTES, "The header fits the place that it has");
  const publicEnd = serialiseTablesInto(bytes, tablesAt, publicTables);
  const privateEnd = serialiseTablesInto(bytes, privateAt, privateTables);
  assert(publicEnd === privateAt && privateEnd === bytes.length, "An entry has the size its header states");
  return sealFrame(primitives, frame, key);
}

function parseType(value: number): EntryType {
  switch (value) {
    case EntryType.plain:
    case EntryType.claims:
    case EntryType.evidence:
    case EntryType.evidenceAndClaims:
      return value;
    default:
      throw new FormatError(`Cannot read a ledger entry: its type is ${value}`);
  }
}
