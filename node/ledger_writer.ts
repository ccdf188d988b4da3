/**
 * Carries out what is to happen to ledger files, in order and behind the node's back.
 *
 * In: steps (create, write, complete, cut, remove, rename). Out: promises that everything so far is done, and as durable
 * as the setting asks for. All steps of one turn of the event loop are one round: one write call a chunk for all entries,
 * and one sync for everything that waits for it.
 * A step that fails stays first in line and is tried again in the next round. Every step comes out at the same bytes
 * however often it is repeated, whether or not the failed attempt reached the disk.
 */

import { join } from "node:path";
import { assert, AssertionFailed } from "../shared/assert.ts";
import { concat } from "../shared/bytes.ts";
import { serialiseTableOffset } from "../shared/ledger/chunk.ts";
import { LEDGER_WRITE_BYTES } from "../shared/limits.ts";
import type { LedgerChunk, UnwrittenPart } from "./ledger_chunk.ts";
import type { LedgerFile, LedgerFileSystem } from "./ledger_file_system.ts";
import type { Durability } from "./node_config.ts";
import { isNotFound, storageCause, StorageError, storageError } from "./storage_error.ts";

export type LedgerStep =
  | { readonly kind: "create"; readonly chunk: LedgerChunk; readonly name: string }
  | { readonly kind: "write"; readonly chunk: LedgerChunk; readonly parts: UnwrittenPart[] }
  /** Writes the positions table behind the entries, then its offset, which makes the chunk complete. */
  | { readonly kind: "complete"; readonly chunk: LedgerChunk; readonly tableOffset: number; readonly table: Uint8Array }
  | { readonly kind: "cut"; readonly chunk: LedgerChunk; readonly endOffset: number }
  | { readonly kind: "remove"; readonly chunk: LedgerChunk }
  | { readonly kind: "rename"; readonly chunk: LedgerChunk; readonly name: string };

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: StorageError) => void;
}

export class LedgerWriter {
  readonly #fileSystem: LedgerFileSystem;
  readonly #durability: Durability;
  readonly #onFailure: (error: StorageError) => void;
  #steps: LedgerStep[] = [];
  #waiters: Waiter[] = [];
  #unwrittenBytes = 0;
  #syncWanted = false;
  #state: "idle" | "scheduled" | "running" = "idle";
  /** Whether another round is to follow the one that runs. */
  #again = false;
  /** Set for good once a sync has failed: nobody knows then what the disk holds. */
  #broken: StorageError | undefined;
  #failure: StorageError | undefined;
  readonly #files = new Map<LedgerChunk, LedgerFile>();
  readonly #unsynced = new Set<LedgerChunk>();
  readonly #unsyncedDirectories = new Set<string>();

  constructor(
    fileSystem: LedgerFileSystem,
    durability: Durability,
    onFailure: (error: StorageError) => void,
  ) {
    this.#fileSystem = fileSystem;
    this.#durability = durability;
    this.#onFailure = onFailure;
  }

  /** Bytes of entries that are not yet in their files. */
  get unwrittenBytes(): number {
    return this.#unwrittenBytes;
  }

  /** Set for good: nothing more can be written. */
  get broken(): StorageError | undefined {
    return this.#broken;
  }

  /** Why the last attempt failed; undefined once one has succeeded. */
  get failure(): StorageError | undefined {
    return this.#failure;
  }

  /** Adds a step. It is carried out once `start` or `flush` is called. */
  add(step: LedgerStep): void {
    this.#steps.push(step);
  }

  /** Adds bytes to write, to the write before if nothing stands between. */
  write(chunk: LedgerChunk, part: UnwrittenPart): void {
    this.#unwrittenBytes += part.bytes.length;
    const before = this.#steps.at(-1);
    if (before?.kind === "write" && before.chunk === chunk) before.parts.push(part);
    else this.#steps.push({ kind: "write", chunk, parts: [part] });
  }

  /** The next round ends with a sync unless the durability is `none`: something is about to be called committed. */
  wantSync(): void {
    this.#syncWanted = true;
  }

  /** Carries out all steps so far, at the end of this turn of the event loop. */
  start(): void {
    if (this.#state === "running") this.#again = true;
    if (this.#state !== "idle") return;
    this.#state = "scheduled";
    queueMicrotask(() => void this.#run());
  }

  /**
   * Carries out all steps so far.
   *
   * @throws StorageError where one fails; it is tried again at the next `start` or `flush`
   */
  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.start();
    });
  }

  /** Lets go of all files. Flush first. */
  async close(): Promise<void> {
    const files = [...this.#files.values()];
    this.#files.clear();
    for (const file of files) await file.close();
  }

  async #run(): Promise<void> {
    this.#state = "running";
    do {
      this.#again = false;
      await this.#round();
    } while (this.#again);
    this.#state = "idle";
  }

  async #round(): Promise<void> {
    const steps = this.#steps;
    const waiters = this.#waiters;
    const syncWanted = this.#syncWanted;
    this.#steps = [];
    this.#waiters = [];
    this.#syncWanted = false;
    let done = 0;
    try {
      if (this.#broken !== undefined) throw this.#broken;
      for (; done < steps.length; done++) await this.#perform(steps[done]!);
      if (this.#durability === "always" || (this.#durability === "commit" && syncWanted)) await this.#syncAll();
      await this.#closeFinished();
      this.#failure = undefined;
      for (const waiter of waiters) waiter.resolve();
    } catch (error) {
      if (error instanceof AssertionFailed) throw error;
      const failure = storageError("write the ledger", error);
      this.#steps = [...steps.slice(done), ...this.#steps];
      this.#syncWanted ||= syncWanted;
      // A full disk fails at every attempt, and is told of once.
      if (failure.message !== this.#failure?.message) this.#onFailure(failure);
      this.#failure = failure;
      for (const waiter of waiters) waiter.reject(failure);
    }
  }

  async #perform(step: LedgerStep): Promise<void> {
    const { chunk } = step;
    const path = join(chunk.directory, chunk.diskName ?? ("name" in step ? step.name : chunk.name));
    try {
      switch (step.kind) {
        case "create":
          return await this.#create(chunk, step.name);
        case "write":
          return await this.#write(chunk, step.parts);
        case "complete":
          return await this.#complete(chunk, step.tableOffset, step.table);
        case "cut":
          return await this.#cut(chunk, step.endOffset);
        case "remove":
          return await this.#remove(chunk);
        case "rename":
          return await this.#rename(chunk, step.name);
      }
    } catch (error) {
      if (error instanceof AssertionFailed) throw error;
      throw storageError(`${DOING[step.kind]} the ledger file ${JSON.stringify(path)}`, error);
    }
  }

  async #create(chunk: LedgerChunk, name: string): Promise<void> {
    const path = join(chunk.directory, name);
    let file: LedgerFile;
    try {
      file = await this.#fileSystem.open(path, "create");
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      // An attempt that failed may have left the empty file. Any other file of that name is not ours to write over.
      file = await this.#fileSystem.open(path, "write");
      if (await file.sizeBytes() > 0) {
        await file.close();
        throw error;
      }
    }
    this.#files.set(chunk, file);
    chunk.diskName = name;
    this.#unsyncedDirectories.add(chunk.directory);
  }

  async #write(chunk: LedgerChunk, parts: UnwrittenPart[]): Promise<void> {
    const file = await this.#file(chunk);
    this.#unsynced.add(chunk);
    while (parts.length > 0) {
      // One call for all, unless that is more than it is wise to copy for every attempt on a full disk.
      let bytes = 0;
      let count = 0;
      while (count < parts.length && (count === 0 || bytes < 8 * LEDGER_WRITE_BYTES)) {
        bytes += parts[count++]!.bytes.length;
      }
      const written = parts.slice(0, count);
      await file.write(
        written[0]!.offset,
        count === 1 ? written[0]!.bytes : concat(...written.map((part) => part.bytes)),
      );
      for (const part of written) part.written = true;
      parts.splice(0, count);
      chunk.forgetWritten();
      this.#unwrittenBytes -= bytes;
    }
  }

  async #complete(chunk: LedgerChunk, tableOffset: number, table: Uint8Array): Promise<void> {
    const file = await this.#file(chunk);
    this.#unsynced.add(chunk);
    await file.write(tableOffset, table);
    // The offset says that all of the rest is there, so it must not reach the disk before it.
    if (this.#durability !== "none") await this.#sync(chunk);
    this.#unsynced.add(chunk);
    await file.write(0, serialiseTableOffset(tableOffset));
  }

  async #cut(chunk: LedgerChunk, endOffset: number): Promise<void> {
    const file = await this.#file(chunk);
    this.#unsynced.add(chunk);
    await file.write(0, serialiseTableOffset(0));
    await file.truncate(endOffset);
  }

  async #remove(chunk: LedgerChunk): Promise<void> {
    await this.#release(chunk);
    this.#unsynced.delete(chunk);
    this.#unsyncedDirectories.add(chunk.directory);
    if (chunk.diskName === undefined) return;
    await this.#fileSystem.remove(join(chunk.directory, chunk.diskName)).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
    chunk.diskName = undefined;
  }

  async #rename(chunk: LedgerChunk, name: string): Promise<void> {
    assert(chunk.diskName !== undefined, "A chunk is created before it is renamed");
    // The new name says "committed": the bytes must have reached the disk by then.
    if (this.#durability !== "none") await this.#sync(chunk);
    const to = join(chunk.directory, name);
    this.#unsyncedDirectories.add(chunk.directory);
    await this.#fileSystem.rename(join(chunk.directory, chunk.diskName), to).catch(async (error: unknown) => {
      // An attempt that failed may have renamed the file all the same.
      if (!isNotFound(error)) throw error;
      const file = await this.#fileSystem.open(to, "read");
      await file.close();
    });
    chunk.diskName = name;
  }

  async #file(chunk: LedgerChunk): Promise<LedgerFile> {
    const open = this.#files.get(chunk);
    if (open !== undefined) return open;
    assert(chunk.diskName !== undefined, "A chunk is created before it is written");
    const file = await this.#fileSystem.open(join(chunk.directory, chunk.diskName), "write");
    this.#files.set(chunk, file);
    return file;
  }

  async #release(chunk: LedgerChunk): Promise<void> {
    const file = this.#files.get(chunk);
    this.#files.delete(chunk);
    await file?.close();
  }

  async #sync(chunk: LedgerChunk): Promise<void> {
    if (!this.#unsynced.has(chunk)) return;
    const file = await this.#file(chunk);
    try {
      await file.sync();
    } catch (error) {
      // After a failed sync the system may have dropped what it could not write, and the next sync would not say so.
      const path = JSON.stringify(join(chunk.directory, chunk.diskName ?? chunk.name));
      this.#broken = new StorageError(
        `Cannot force the ledger file ${path} to the disk: ${storageCause(error)}; nobody knows now what it holds, ` +
          "so that this node must be replaced by a new one",
        { cause: error },
      );
      throw this.#broken;
    }
    this.#unsynced.delete(chunk);
  }

  async #syncAll(): Promise<void> {
    for (const chunk of [...this.#unsynced]) await this.#sync(chunk);
    for (const directory of [...this.#unsyncedDirectories]) {
      await this.#fileSystem.syncDirectory(directory).catch((error: unknown) => {
        throw storageError(`force the names in ${JSON.stringify(directory)} to the disk`, error);
      });
      this.#unsyncedDirectories.delete(directory);
    }
  }

  /** Complete chunks are hardly ever written again. */
  async #closeFinished(): Promise<void> {
    for (const chunk of [...this.#files.keys()]) {
      const mayNeedSync = this.#durability !== "none" && this.#unsynced.has(chunk);
      if (chunk.complete && chunk.unwritten.length === 0 && !mayNeedSync) {
        this.#unsynced.delete(chunk);
        await this.#release(chunk);
      }
    }
  }
}

const DOING: Readonly<Record<LedgerStep["kind"], string>> = {
  create: "create",
  write: "write",
  complete: "complete",
  cut: "cut",
  remove: "remove",
  rename: "rename",
};
