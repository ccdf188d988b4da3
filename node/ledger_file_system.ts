/**
 * The few file-system calls that keep a ledger and its snapshots, as an interface, so that a test can make each of them
 * fail; and the real ones.
 *
 * Every call either did what it says or throws; what it throws becomes a sentence in `storage_error.ts`. A call that threw
 * may have been carried out all the same, or in part: callers repeat it and must come out at the same bytes.
 */

import { assert } from "../shared/assert.ts";

export interface LedgerFileSystem {
  /** Names of the regular files in a directory, or undefined where there is no such directory. */
  list(directory: string): Promise<string[] | undefined>;
  /** With parents; fine if it is there. */
  makeDirectory(directory: string): Promise<void>;
  /** `read` and `write` want the file to be there, `create` wants it not to be; `write` and `create` read too. */
  open(path: string, how: "read" | "write" | "create"): Promise<LedgerFile>;
  /** Replaces what is at `to`. */
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Forces names and renames in a directory to the disk. */
  syncDirectory(directory: string): Promise<void>;
}

/** An open file. Calls may overlap; they are carried out one after the other. */
export interface LedgerFile {
  sizeBytes(): Promise<number>;
  /** The bytes from `offset` on, fewer than `length` only at the end of the file. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** All of `bytes`; the file grows as needed. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  /** Forces the file's bytes to the disk (fdatasync). */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The real file system. */
export const denoFileSystem: LedgerFileSystem = {
  async list(directory) {
    try {
      const names: string[] = [];
      for await (const entry of Deno.readDir(directory)) if (entry.isFile) names.push(entry.name);
      return names;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  },

  async makeDirectory(directory) {
    await Deno.mkdir(directory, { recursive: true });
  },

  async open(path, how) {
    const write = how !== "read";
    return new DenoFile(await Deno.open(path, { read: true, write, createNew: how === "create" }));
  },

  async rename(from, to) {
    await Deno.rename(from, to);
  },

  async remove(path) {
    await Deno.remove(path);
  },

  async syncDirectory(directory) {
    using opened = await Deno.open(directory);
    await opened.sync();
  },
};

class DenoFile implements LedgerFile {
  readonly #file: Deno.FsFile;
  /** The calls so far: a file has one position, so that a seek and its read must not be parted. */
  #calls: Promise<unknown> = Promise.resolve();
  #position = 0;

  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  sizeBytes(): Promise<number> {
    return this.#inTurn(async () => (await this.#file.stat()).size);
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return this.#inTurn(async () => {
      const bytes = new Uint8Array(length);
      let count = 0;
      await this.#seek(offset);
      while (count < length) {
        const more = await this.#file.read(bytes.subarray(count));
        if (more === null) break;
        count += more;
        this.#position += more;
      }
      return bytes.subarray(0, count);
    });
  }

  write(offset: number, bytes: Uint8Array): Promise<void> {
    return this.#inTurn(async () => {
      await this.#seek(offset);
      let count = 0;
      while (count < bytes.length) {
        const more = await this.#file.write(bytes.subarray(count));
        assert(more > 0, "Writing makes progress or throws");
        count += more;
        this.#position += more;
      }
    });
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#inTurn(() => this.#file.truncate(sizeBytes));
  }

  sync(): Promise<void> {
    return this.#inTurn(() => this.#file.syncData());
  }

  close(): Promise<void> {
    return this.#inTurn(() => Promise.resolve(this.#file.close()));
  }

  async #seek(offset: number): Promise<void> {
    // The position is unknown where a call threw half-way.
    if (this.#position === offset) return;
    this.#position = -1;
    await this.#file.seek(offset, Deno.SeekMode.Start);
    this.#position = offset;
  }

  #inTurn<Result>(call: () => Promise<Result>): Promise<Result> {
    const result = this.#calls.then(call).catch((error: unknown) => {
      this.#position = -1;
      throw error;
    });
    this.#calls = result.catch(() => undefined);
    return result;
  }
}
