/**
 * An index over the committed ledger: where each entry lies, and which entries wrote a key of a public table.
 *
 * In: the ledger, and how far it is committed. Out: places and seqnos. It follows in the background, reading what it needs
 * from the ledger files; it can be deleted at any time, and is built anew where it does not belong to the ledger it finds.
 * Nothing depends on it for truth: whoever uses an answer reads the entry and sees for themselves.
 *
 * Deno KV, with
 *     ["meta"]                       → how far it goes, and the digest of the entry there
 *     ["place", seqno]               → first seqno of the file, offsets of the entries from seqno on, end of the last
 *     ["write", table, key, seqno]   → nothing; long tables and keys are there by their digest
 *     ["table", table, seqno]        → which entries from seqno on changed the table: their distances from it, ascending
 */

import { assert, FormatError } from "../shared/assert.ts";
import { type ByteString, equalBytes, fromByteString, toHex, toUtf8 } from "../shared/bytes.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import {
  INDEX_READ_BYTES,
  MAX_INDEX_ATOMIC_BYTES,
  MAX_INDEX_ATOMIC_KEY_BYTES,
  MAX_INDEX_ATOMIC_MUTATIONS,
  MAX_INDEX_KEY_PART_BYTES,
  MAX_INDEX_READ_ENTRIES,
  MAX_INDEX_RESULTS,
  MAX_INDEX_VALUE_BYTES,
} from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";
import type { ChunkRange } from "./ledger_reader.ts";
import { storageError } from "./storage_error.ts";

/** What the index needs of the ledger; `LedgerFiles` has it. */
export interface IndexedLedger {
  /** The first entry that is there from `seqno` on, undefined where there is none. */
  firstSeqnoFrom(seqno: Seqno): Seqno | undefined;
  readInChunk(from: Seqno, to: Seqno, maxBytes: number): Promise<ChunkRange | undefined>;
}

export interface EntryPlace {
  /** First seqno of the file that holds the entry. */
  readonly chunkFirst: Seqno;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** Of the form above; an index of another one is built anew. */
const VERSION = 2;

interface Meta {
  readonly version: typeof VERSION;
  readonly seqno: Seqno;
  readonly digest: Uint8Array;
}

interface Places {
  readonly chunkFirst: Seqno;
  readonly offsets: Uint32Array;
  readonly endOffset: number;
}

export class HostIndex {
  readonly #kv: Deno.Kv;
  readonly #ledger: IndexedLedger;
  readonly #onNotice: (sentence: string) => void;
  #indexedSeqno: Seqno;
  #committedSeqno: Seqno = 0;
  #running: Promise<void> | undefined;
  #closed = false;

  private constructor(
    kv: Deno.Kv,
    ledger: IndexedLedger,
    onNotice: (sentence: string) => void,
    indexedSeqno: Seqno,
  ) {
    this.#kv = kv;
    this.#ledger = ledger;
    this.#onNotice = onNotice;
    this.#indexedSeqno = indexedSeqno;
  }

  /**
   * Opens the index at a path (":memory:" for none), empty where it is damaged or that of another ledger.
   *
   * @param onNotice told of what was found, and of what fails later, one sentence each
   * @throws StorageError where the file can be neither read nor replaced
   */
  static async open(path: string, ledger: IndexedLedger, onNotice: (sentence: string) => void): Promise<HostIndex> {
    const { kv, meta } = await openKv(path, onNotice);
    const usable = meta !== undefined && await belongsTo(ledger, meta);
    if (meta !== undefined && !usable) onNotice(`The index ${path} is not that of this ledger and is built anew`);
    // Also without a record of how far it goes there may be something: the rest of a clearing that was interrupted.
    if (!usable) await clear(kv);
    return new HostIndex(kv, ledger, onNotice, usable ? meta.seqno : 0);
  }

  /** Entries up to here are in the index. */
  get indexedSeqno(): Seqno {
    return this.#indexedSeqno;
  }

  /** The ledger is committed up to here: the index follows in the background. Costs nothing. */
  advance(committedSeqno: Seqno): void {
    this.#committedSeqno = Math.max(this.#committedSeqno, committedSeqno);
    if (this.#running !== undefined || this.#closed || this.#indexedSeqno >= this.#committedSeqno) return;
    this.#running = this.#follow().finally(() => this.#running = undefined);
  }

  /** Waits until the index has come as far as it can. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /** Where an entry lies, or undefined where the index does not go so far. */
  async placeOf(seqno: Seqno): Promise<EntryPlace | undefined> {
    const entries = this.#kv.list<Places>({ prefix: ["place"], end: ["place", seqno + 1] }, {
      reverse: true,
      limit: 1,
    });
    for await (const { key, value: { chunkFirst, offsets, endOffset } } of entries) {
      const i = seqno - Number(key[1]);
      const offset = offsets[i];
      if (offset !== undefined) return { chunkFirst, offset, sizeBytes: (offsets[i + 1] ?? endOffset) - offset };
    }
    return undefined;
  }

  /**
   * Seqnos, newest first, of the entries that wrote or removed a key of a public table.
   *
   * @param key null: any
   * @param range only seqnos below `before`, and at most `limit` of them
   */
  async newestWrites(
    table: string,
    key: ByteString | null,
    range: { readonly before?: Seqno | null; readonly limit?: number } = {},
  ): Promise<Seqno[]> {
    const before = range.before ?? Number.MAX_SAFE_INTEGER;
    const limit = Math.min(range.limit ?? MAX_INDEX_RESULTS, MAX_INDEX_RESULTS);
    const tablePart = await keyPart(toUtf8(table));
    const seqnos: Seqno[] = [];
    if (key !== null) {
      const prefix = ["write", tablePart, await keyPart(fromByteString(key))];
      const selector = { start: [...prefix, 0], end: [...prefix, before] };
      for await (const entry of this.#kv.list(selector, { limit, reverse: true })) seqnos.push(Number(entry.key[3]));
      return seqnos;
    }
    const selector = { start: ["table", tablePart, 0], end: ["table", tablePart, before] };
    for await (const { key: [, , from], value } of this.#kv.list<Uint16Array>(selector, { reverse: true })) {
      for (const distance of value.toReversed()) {
        const seqno = Number(from) + distance;
        if (seqno < before) seqnos.push(seqno);
        if (seqnos.length === limit) return seqnos;
      }
    }
    return seqnos;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
    this.#kv.close();
  }

  async #follow(): Promise<void> {
    try {
      while (!this.#closed && this.#indexedSeqno < this.#committedSeqno) {
        // A ledger that begins behind a snapshot has a gap there, or nothing before.
        const from = this.#ledger.firstSeqnoFrom(this.#indexedSeqno + 1);
        if (from === undefined || from > this.#committedSeqno) return;
        const to = Math.min(this.#committedSeqno, from + MAX_INDEX_READ_ENTRIES - 1);
        const range = await this.#ledger.readInChunk(from, to, INDEX_READ_BYTES);
        if (range === undefined) return;
        await this.#add(range);
        this.#indexedSeqno = range.to;
      }
    } catch (error) {
      // It is tried again at the next commit; whoever needs the index meanwhile finds that it does not go so far.
      this.#onNotice(
        `Cannot follow the ledger with the index: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  /** Adds entries. What was added of them before, by an attempt that did not come to its end, is added again. */
  async #add(range: ChunkRange): Promise<void> {
    const { from, to, bytes, offsets, chunkFirst } = range;
    const start = offsets[0]!;
    const batch = new Batch(this.#kv);
    let lastEntry: Uint8Array = bytes;
    const distances = new Map<string, number[]>();
    for (let seqno = from; seqno <= to; seqno++) {
      const next = offsets[seqno + 1 - from];
      lastEntry = bytes.subarray(offsets[seqno - from]! - start, next === undefined ? bytes.length : next - start);
      for (const [table, key] of this.#publicKeys(lastEntry, seqno)) {
        await batch.set(["write", await keyPart(toUtf8(table)), await keyPart(fromByteString(key)), seqno], null, 1);
        const ofTable = distances.get(table);
        if (ofTable === undefined) distances.set(table, [seqno - from]);
        else if (ofTable.at(-1) !== seqno - from) ofTable.push(seqno - from);
      }
    }
    for (const [table, ofTable] of distances) {
      const value = new Uint16Array(ofTable); // at most MAX_INDEX_READ_ENTRIES of them
      await batch.set(["table", await keyPart(toUtf8(table)), from], value, 2 * value.length + 128);
    }
    const places: Places = { chunkFirst, offsets: new Uint32Array(offsets), endOffset: start + bytes.length };
    await batch.set(["place", from], places, 4 * offsets.length + 128);
    const meta: Meta = { version: VERSION, seqno: to, digest: await sha256(lastEntry) };
    await batch.set(["meta"], meta, 128);
    await batch.commit();
  }

  #publicKeys(entry: Uint8Array, seqno: Seqno): (readonly [table: string, key: ByteString])[] {
    try {
      // Old releases wrote what no current one does; it is indexed all the same.
      return LedgerEntry.parse(entry).publicTables(() => {}).flatMap(({ name, writes, removes }) => [
        ...writes.map(([key]) => [name, key] as const),
        ...removes.map((key) => [name, key] as const),
      ]);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#onNotice(`Cannot index the keys of ledger entry ${seqno}: ${error.message}`);
      return [];
    }
  }
}

/** Changes, committed together as far as Deno KV takes them together. */
class Batch {
  readonly #kv: Deno.Kv;
  #atomic: Deno.AtomicOperation;
  #mutations = 0;
  #keyBytes = 0;
  #bytes = 0;

  constructor(kv: Deno.Kv) {
    this.#kv = kv;
    this.#atomic = kv.atomic();
  }

  /** @param valueBytes at least as many as the value takes */
  async set(key: Deno.KvKey, value: unknown, valueBytes: number): Promise<void> {
    assert(valueBytes <= MAX_INDEX_VALUE_BYTES, "A value of the index fits Deno KV");
    await this.#makeRoom(key, valueBytes);
    this.#atomic.set(key, value);
  }

  async delete(key: Deno.KvKey): Promise<void> {
    await this.#makeRoom(key, 0);
    this.#atomic.delete(key);
  }

  async commit(): Promise<void> {
    if (this.#mutations === 0) return;
    await this.#atomic.commit();
    this.#atomic = this.#kv.atomic();
    this.#mutations = this.#keyBytes = this.#bytes = 0;
  }

  async #makeRoom(key: Deno.KvKey, valueBytes: number): Promise<void> {
    const bytes = keyBytes(key);
    const full = this.#mutations === MAX_INDEX_ATOMIC_MUTATIONS ||
      this.#keyBytes + bytes > MAX_INDEX_ATOMIC_KEY_BYTES ||
      this.#bytes + bytes + valueBytes > MAX_INDEX_ATOMIC_BYTES;
    if (full) await this.commit();
    this.#mutations += 1;
    this.#keyBytes += bytes;
    this.#bytes += bytes + valueBytes;
  }
}

/** At least as many bytes as Deno KV makes of a key: a zero byte of a part takes two. */
function keyBytes(key: Deno.KvKey): number {
  return key.reduce<number>((sum, part) => {
    return sum + (part instanceof Uint8Array || typeof part === "string" ? 2 * part.length + 2 : 10);
  }, 0);
}

async function openKv(
  path: string,
  onNotice: (sentence: string) => void,
): Promise<{ kv: Deno.Kv; meta: Meta | undefined }> {
  try {
    return await readKv(path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    onNotice(`The index ${path} cannot be read and is built anew: ${why}`);
    try {
      for (const suffix of ["", "-shm", "-wal"]) {
        await Deno.remove(path + suffix).catch((error: unknown) => {
          if (!(error instanceof Deno.errors.NotFound)) throw error;
        });
      }
      return await readKv(path);
    } catch (error) {
      throw storageError(`open the index ${JSON.stringify(path)}`, error, "choose another place for it");
    }
  }
}

async function readKv(path: string): Promise<{ kv: Deno.Kv; meta: Meta | undefined }> {
  const kv = await Deno.openKv(path);
  try {
    const { value } = await kv.get<Meta>(["meta"]);
    const sound = value === null ||
      (value.version === VERSION && Number.isSafeInteger(value.seqno) && value.digest.length === 32);
    if (!sound) throw new Error("its form is another one");
    return { kv, meta: value ?? undefined };
  } catch (error) {
    kv.close();
    throw error;
  }
}

/** Whether the last entry that is indexed is in the ledger. */
async function belongsTo(ledger: IndexedLedger, { seqno, digest }: Meta): Promise<boolean> {
  try {
    const range = await ledger.readInChunk(seqno, seqno, INDEX_READ_BYTES);
    return range !== undefined && equalBytes(await sha256(range.bytes), digest);
  } catch {
    // A damaged file or a disk that fails: an index over it is better made again.
    return false;
  }
}

async function clear(kv: Deno.Kv): Promise<void> {
  await kv.delete(["meta"]);
  const batch = new Batch(kv);
  for await (const { key } of kv.list({ prefix: [] })) await batch.delete(key);
  await batch.commit();
}

/** A key part for bytes: themselves, or where they are long the hex of their digest, which is of another type. */
async function keyPart(bytes: Uint8Array): Promise<Deno.KvKeyPart> {
  return bytes.length <= MAX_INDEX_KEY_PART_BYTES ? bytes : toHex(await sha256(bytes));
}

async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes.slice()));
}
