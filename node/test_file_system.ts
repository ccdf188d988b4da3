/**
 * For tests: a file system of which one call can be made to fail, and that counts calls; and ledger entries to write.
 */

import { Writer } from "../shared/bytes.ts";
import type { Seqno } from "../shared/tx_id.ts";
import { denoFileSystem, type LedgerFile, type LedgerFileSystem } from "./ledger_file_system.ts";

/** How a call fails: before anything happened, half-way through its bytes, or after it was carried out. */
export type Fault = "not stored" | "half stored" | "stored";

/** The calls that change something, as they are counted. */
export type ChangingCall = "create" | "write" | "truncate" | "sync" | "rename" | "remove" | "syncDirectory";

export class TestFileSystem implements LedgerFileSystem {
  /** Calls since the last `reset`, failed ones included. */
  readonly calls: ChangingCall[] = [];
  #fault: { call: number; how: Fault; error: Error } | undefined;
  openFiles = 0;
  /** Syncs that have begun, those that wait too. */
  begunSyncs = 0;
  /** While set, syncs wait. */
  syncGate: Promise<void> | undefined;
  /** While set, reads wait. */
  readGate: Promise<void> | undefined;

  /** Lets the n-th changing call from now fail, counted from 0. */
  failCall(call: number, how: Fault, error: Error = diskFull()): void {
    this.#fault = { call: this.calls.length + call, how, error };
  }

  count(call: ChangingCall): number {
    return this.calls.filter((other) => other === call).length;
  }

  reset(): void {
    this.calls.length = 0;
  }

  list(directory: string): Promise<string[] | undefined> {
    return denoFileSystem.list(directory);
  }

  makeDirectory(directory: string): Promise<void> {
    return denoFileSystem.makeDirectory(directory);
  }

  async open(path: string, how: "read" | "write" | "create"): Promise<LedgerFile> {
    if (how !== "create") return this.#file(await denoFileSystem.open(path, how));
    return this.#file(
      await this.#change("create", () => denoFileSystem.open(path, how), async (file) => await file.close()),
    );
  }

  rename(from: string, to: string): Promise<void> {
    return this.#change("rename", () => denoFileSystem.rename(from, to));
  }

  remove(path: string): Promise<void> {
    return this.#change("remove", () => denoFileSystem.remove(path));
  }

  async syncDirectory(directory: string): Promise<void> {
    await this.#change("syncDirectory", () => denoFileSystem.syncDirectory(directory));
  }

  #file(file: LedgerFile): LedgerFile {
    this.openFiles += 1;
    return {
      sizeBytes: () => file.sizeBytes(),
      read: async (offset, length) => {
        await this.readGate;
        return await file.read(offset, length);
      },
      write: (offset, bytes) =>
        this.#change("write", () => file.write(offset, bytes), undefined, async () => {
          await file.write(offset, bytes.subarray(0, bytes.length >> 1));
        }),
      truncate: (sizeBytes) => this.#change("truncate", () => file.truncate(sizeBytes)),
      sync: async () => {
        this.begunSyncs += 1;
        await this.syncGate;
        await this.#change("sync", () => file.sync());
      },
      close: async () => {
        await file.close();
        this.openFiles -= 1;
      },
    };
  }

  async #change<Result>(
    call: ChangingCall,
    carryOut: () => Promise<Result>,
    dispose?: (result: Result) => Promise<void>,
    half?: () => Promise<void>,
  ): Promise<Result> {
    const fault = this.#fault;
    const fails = fault !== undefined && this.calls.length === fault.call;
    this.calls.push(call);
    if (!fails) return await carryOut();
    if (fault.how === "half stored") await half?.();
    if (fault.how === "stored") {
      const result = await carryOut();
      await dispose?.(result);
    }
    throw fault.error;
  }
}

/** The error that a full disk makes. */
export function diskFull(): Error {
  return Object.assign(new Error("No space left on device (os error 28)"), { code: "ENOSPC" });
}

/** A ledger entry: a proper header, GCM header and length of the public domain; the rest is filled with the seqno. */
export function testEntry(seqno: Seqno, options: { flags?: number; publicBytes?: number } = {}): Uint8Array {
  const { flags = 0, publicBytes = 20 + (seqno * 7) % 90 } = options;
  const size = 16 + 12 + 8 + publicBytes;
  return new Writer(8 + size).u8(1).u8(flags).u48(size).zeros(16).u64(seqno).u32(2).u64(publicBytes)
    .bytes(new Uint8Array(publicBytes).fill(seqno)).finish();
}

/** Names and bytes of a directory, sorted by name. */
export function directoryContent(directory: string): Map<string, Uint8Array> {
  const names = [...Deno.readDirSync(directory)].filter((entry) => entry.isFile).map((entry) => entry.name).sort();
  return new Map(names.map((name) => [name, Deno.readFileSync(`${directory}/${name}`)]));
}

/** A directory that goes away with the test. */
export async function withTempDirectory(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "quorate-test-" });
  try {
    await run(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
