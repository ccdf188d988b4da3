/**
 * Snapshots as files in a directory, as CCF keeps them.
 *
 * In: a snapshot with its receipt, part by part, and its name. Out: what is there, the newest, ranges of bytes. A file
 * gets its `.committed` name when all of it is on the disk; until then it is a draft, which is not there for anybody.
 * Format: ledger-and-receipts.md §9.1
 */

import { join } from "node:path";
import { assert } from "../shared/assert.ts";
import { formatSnapshotName, parseSnapshotName } from "../shared/ledger/snapshot.ts";
import { MAX_SNAPSHOT_FILES } from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";
import { denoFileSystem, type LedgerFile, type LedgerFileSystem } from "./ledger_file_system.ts";
import { isNotFound, storageError } from "./storage_error.ts";

export interface SnapshotFile {
  /** "snapshot_12_14.committed" */
  readonly name: string;
  readonly directory: string;
  /** Of the state it holds. */
  readonly seqno: Seqno;
  readonly evidenceSeqno: Seqno;
}

/**
 * A snapshot that is being written. Calls are made one after the other. One that fails removes the draft, and throws a
 * StorageError; after that, as after `commit`, there is nothing to do but `discard`, which then does nothing.
 */
export interface SnapshotWriter {
  /** Adds bytes at the end. */
  append(bytes: Uint8Array): Promise<void>;
  /** Puts all of it on the disk, and gives it its last name: "snapshot_12_14.committed". */
  commit(name: string): Promise<void>;
  /** Removes what was written, if it can. */
  discard(): Promise<void>;
}

export class SnapshotFiles {
  readonly #directory: string;
  readonly #readOnlyDirectory: string | undefined;
  readonly #fileSystem: LedgerFileSystem;

  constructor(directory: string, readOnlyDirectory?: string, fileSystem: LedgerFileSystem = denoFileSystem) {
    this.#directory = directory;
    this.#readOnlyDirectory = readOnlyDirectory;
    this.#fileSystem = fileSystem;
  }

  /**
   * Begins a snapshot. Its name is known only at its end, since it tells where its digest stands in the ledger; the draft
   * is "snapshot_12.draft", and takes the place of one that a killed node has begun.
   *
   * @param seqno of the state it holds
   * @throws StorageError
   */
  async writer(seqno: Seqno): Promise<SnapshotWriter> {
    assert(Number.isSafeInteger(seqno) && seqno > 0, "A snapshot is of a state that a transaction made");
    const draft = join(this.#directory, `snapshot_${seqno}${DRAFT_SUFFIX}`);
    try {
      await this.#fileSystem.makeDirectory(this.#directory);
      return new DraftWriter(this.#fileSystem, this.#directory, seqno, draft, await this.#create(draft));
    } catch (error) {
      throw cannotWrite(draft, error);
    }
  }

  /** Writes a whole snapshot. @throws StorageError; what was written of it is removed */
  async write(name: string, bytes: Uint8Array): Promise<void> {
    const parsed = parseSnapshotName(name);
    assert(parsed !== undefined, "A snapshot is written under the name of one");
    const writer = await this.writer(parsed.seqno);
    await writer.append(bytes);
    await writer.commit(formatSnapshotName({ ...parsed, committed: true }));
  }

  /**
   * Before a node begins: makes the directory, which whoever audits may look into at any time, and removes drafts of a node
   * that was killed.
   *
   * @throws StorageError
   */
  async prepare(): Promise<void> {
    try {
      await this.#fileSystem.makeDirectory(this.#directory);
      for (const name of await this.#fileSystem.list(this.#directory) ?? []) {
        if (DRAFT_NAME.test(name)) await this.#fileSystem.remove(join(this.#directory, name));
      }
    } catch (error) {
      throw storageError(`prepare the snapshots directory ${JSON.stringify(this.#directory)}`, error);
    }
  }

  /** All that are there, oldest first. A snapshot in both directories is listed once. @throws StorageError */
  async list(): Promise<SnapshotFile[]> {
    const found = new Map<string, SnapshotFile>();
    for (const directory of [this.#directory, this.#readOnlyDirectory]) {
      if (directory === undefined) continue;
      let names: string[];
      try {
        names = await this.#fileSystem.list(directory) ?? [];
      } catch (error) {
        throw storageError(`read the snapshots directory ${JSON.stringify(directory)}`, error);
      }
      for (const name of names) {
        const parsed = parseSnapshotName(name);
        if (parsed?.committed !== true || found.has(name)) continue;
        if (found.size === MAX_SNAPSHOT_FILES) break;
        found.set(name, { name, directory, seqno: parsed.seqno, evidenceSeqno: parsed.evidenceSeqno });
      }
    }
    return [...found.values()].sort((a, b) => a.seqno - b.seqno || a.evidenceSeqno - b.evidenceSeqno);
  }

  /** The newest that is not empty and holds a state after `since`, or undefined. @throws StorageError */
  async newest(since: Seqno = 0): Promise<SnapshotFile | undefined> {
    const candidates = (await this.list()).filter(({ seqno }) => seqno > since).reverse();
    for (const file of candidates) if ((await this.sizeBytes(file.name) ?? 0) > 0) return file;
    return undefined;
  }

  /** Size of the snapshot of that name, or undefined where there is none. @throws StorageError */
  async sizeBytes(name: string): Promise<number | undefined> {
    return await this.#withFile(name, (file) => file.sizeBytes());
  }

  /**
   * Bytes `start` up to but without `end`, as far as there are any; all of them without `start` and `end`.
   *
   * @returns undefined where there is no snapshot of that name; a name from a request may be any text
   * @throws StorageError
   */
  async read(name: string, start = 0, end = Infinity): Promise<Uint8Array | undefined> {
    return await this.#withFile(name, async (file) => {
      const until = Math.min(end, await file.sizeBytes());
      return await file.read(start, Math.max(0, until - start));
    });
  }

  async #create(path: string): Promise<LedgerFile> {
    try {
      return await this.#fileSystem.open(path, "create");
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      await this.#fileSystem.remove(path);
      return await this.#fileSystem.open(path, "create");
    }
  }

  async #withFile<Result>(name: string, use: (file: LedgerFile) => Promise<Result>): Promise<Result | undefined> {
    if (parseSnapshotName(name)?.committed !== true) return undefined;
    for (const directory of [this.#directory, this.#readOnlyDirectory]) {
      if (directory === undefined) continue;
      const path = join(directory, name);
      try {
        const file = await this.#fileSystem.open(path, "read");
        try {
          return await use(file);
        } finally {
          await file.close();
        }
      } catch (error) {
        if (isNotFound(error)) continue;
        throw storageError(`read the snapshot ${JSON.stringify(path)}`, error);
      }
    }
    return undefined;
  }
}

const DRAFT_SUFFIX = ".draft";
const DRAFT_NAME = /^snapshot_[1-9][0-9]*\.draft$/;

class DraftWriter implements SnapshotWriter {
  readonly #fileSystem: LedgerFileSystem;
  readonly #directory: string;
  readonly #seqno: Seqno;
  readonly #draft: string;
  #file: LedgerFile | undefined;
  #sizeBytes = 0;

  constructor(fileSystem: LedgerFileSystem, directory: string, seqno: Seqno, draft: string, file: LedgerFile) {
    this.#fileSystem = fileSystem;
    this.#directory = directory;
    this.#seqno = seqno;
    this.#draft = draft;
    this.#file = file;
  }

  async append(bytes: Uint8Array): Promise<void> {
    const file = this.#open();
    try {
      await file.write(this.#sizeBytes, bytes);
      this.#sizeBytes += bytes.length;
    } catch (error) {
      await this.#remove();
      throw cannotWrite(this.#draft, error);
    }
  }

  async commit(name: string): Promise<void> {
    const parsed = parseSnapshotName(name);
    assert(parsed?.committed === true && parsed.seqno === this.#seqno, "A draft gets the name of the state it holds");
    const file = this.#open();
    const path = join(this.#directory, name);
    try {
      await file.sync();
      await file.close();
      this.#file = undefined;
      await this.#fileSystem.rename(this.#draft, path);
      await this.#fileSystem.syncDirectory(this.#directory);
    } catch (error) {
      await this.#remove();
      throw cannotWrite(path, error);
    }
  }

  async discard(): Promise<void> {
    if (this.#file !== undefined) await this.#remove();
  }

  /** A draft that was renamed although the call threw is whole, and stays. */
  async #remove(): Promise<void> {
    await this.#file?.close().catch(() => undefined);
    this.#file = undefined;
    await this.#fileSystem.remove(this.#draft).catch(() => undefined);
  }

  #open(): LedgerFile {
    assert(this.#file !== undefined, "Nothing is written to a snapshot that is finished, or has failed");
    return this.#file;
  }
}

function cannotWrite(path: string, error: unknown): Error {
  return storageError(`write the snapshot ${JSON.stringify(path)}`, error, "choose another snapshots.directory");
}
