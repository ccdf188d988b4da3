/**
 * Snapshots as files in a directory, as CCF keeps them.
 *
 * In: a snapshot with its receipt, and its name. Out: what is there, the newest, ranges of bytes. A file gets its
 * `.committed` name when all of it is on the disk; without it, it is not there for anybody.
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
   * Writes a snapshot and its receipt, and gives it its last name once it is on the disk.
   *
   * @param name with or without `.committed`
   * @throws StorageError; what was written of it is removed
   */
  async write(name: string, bytes: Uint8Array): Promise<void> {
    const parsed = parseSnapshotName(name);
    assert(parsed !== undefined, "A snapshot is written under the name of one");
    const draft = join(this.#directory, formatSnapshotName({ ...parsed, committed: false }));
    const path = join(this.#directory, formatSnapshotName({ ...parsed, committed: true }));
    let created = false;
    try {
      await this.#fileSystem.makeDirectory(this.#directory);
      const file = await this.#create(draft);
      created = true;
      try {
        await file.write(0, bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await this.#fileSystem.rename(draft, path);
      await this.#fileSystem.syncDirectory(this.#directory);
    } catch (error) {
      if (created) await this.#fileSystem.remove(draft).catch(() => undefined);
      throw storageError(`write the snapshot ${JSON.stringify(path)}`, error, "choose another snapshots.directory");
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

  /** A file left by a node that was killed while writing it is nobody's, and written anew. */
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
