/**
 * What a node keeps on its disk: the ledger, snapshots, and an index over the ledger.
 *
 * In: a configuration, whose command says how it begins: with an empty ledger to start a service, behind a snapshot to
 * join one; then entries, commits and rollbacks as the enclave decides them. Out: entries and files, for the enclave, for
 * other nodes and for clients. Order of things at the start: operations.md §1 and §5, nodes-and-attestation.md §3.3.
 */

import { dirname, join } from "node:path";
import { MAX_HISTORICAL_READ_BYTES, MAX_SNAPSHOT_BYTES } from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";
import { HostBodies } from "./host_bodies.ts";
import { HostIndex } from "./host_index.ts";
import { firstDirectoryInUse } from "./ledger_directory.ts";
import { denoFileSystem } from "./ledger_file_system.ts";
import { LedgerFiles } from "./ledger_files.ts";
import type { NodeLog } from "./log.ts";
import type { CommandConfig, NodeConfig } from "./node_config.ts";
import type { LedgerRange } from "./ledger_reader.ts";
import { RecentEntries } from "./recent_entries.ts";
import { type SnapshotFile, SnapshotFiles } from "./snapshot_files.ts";
import { StorageError } from "./storage_error.ts";

export type JoinCommand = CommandConfig & { readonly type: "Join" };

/** A whole snapshot file that a joiner starts from. */
export interface StartSnapshot {
  readonly name: string;
  /** Of the state it holds. */
  readonly seqno: Seqno;
  readonly file: Uint8Array;
}

export interface NodeStorageOptions {
  readonly config: NodeConfig;
  readonly log: NodeLog;
  /** Gets the service's newest snapshot into the directory; undefined, with the reason in the log, where there is none. */
  readonly fetchSnapshot: (command: JoinCommand, snapshots: SnapshotFiles) => Promise<SnapshotFile | undefined>;
  /** Told when the ledger cannot be written, or what was to be lasting is not. */
  readonly onFailure: (message: string) => void;
}

export class NodeStorage {
  readonly snapshots: SnapshotFiles;
  /** Answers to clients that are in files. */
  readonly bodies: HostBodies;
  /** null: from the first entry on. */
  readonly start: StartSnapshot | null;
  readonly #options: NodeStorageOptions;
  readonly #ledger: LedgerFiles;
  readonly #index: HostIndex;
  readonly #recent = new RecentEntries();
  /** Resolves when outputs so far are as lasting as the configuration asks for. */
  #durable: Promise<void> = Promise.resolve();
  #mustWait = false;

  private constructor(
    options: NodeStorageOptions,
    snapshots: SnapshotFiles,
    start: StartSnapshot | null,
    ledger: LedgerFiles,
    index: HostIndex,
  ) {
    this.#options = options;
    this.snapshots = snapshots;
    this.start = start;
    this.#ledger = ledger;
    this.#index = index;
    this.bodies = new HostBodies(ledger, snapshots, index, (message) => options.log.write("fail", "host", message));
  }

  /** Opens everything, and for Join gets a snapshot first. @throws StorageError with a sentence for people */
  static async open(options: NodeStorageOptions): Promise<NodeStorage> {
    const { config, log, onFailure } = options;
    const { command, durability } = config;
    const { directory, readOnlyDirectories } = config.ledger;
    if (command.type === "Start") await requireEmpty([directory, ...readOnlyDirectories]);
    const snapshots = new SnapshotFiles(config.snapshots.directory, config.snapshots.readOnlyDirectory);
    await snapshots.prepare();
    const start = command.type === "Join" ? await startSnapshot(command, snapshots, options) : null;
    const ledger = await LedgerFiles.open({
      directory,
      readOnlyDirectories,
      durability,
      onFailure: ({ message }) => onFailure(message),
    });
    const note = (sentence: string) => log.write("info", "host", sentence);
    try {
      ledger.notices.forEach(note);
      if (command.type === "Join") await beginBehind(start?.seqno ?? 0, ledger, note);
      const index = await HostIndex.open(join(dirname(directory), "index.kv"), ledger, note);
      return new NodeStorage(options, snapshots, start, ledger, index);
    } catch (error) {
      await ledger.close();
      throw error;
    }
  }

  /** @throws StorageError where the disk has failed for so long that the node cannot go on */
  append(seqno: Seqno, entry: Uint8Array, committable: boolean): void {
    this.#ledger.append(seqno, entry, committable);
    this.#recent.append(seqno, entry);
    if (this.#options.config.durability === "always") this.#mustWait = true;
  }

  commit(seqno: Seqno): void {
    this.#ledger.commit(seqno);
    this.#index.advance(seqno);
    if (this.#options.config.durability !== "none") this.#mustWait = true;
  }

  /** Forgets what comes after `seqno`. The index goes no further than what is committed, and stays. */
  truncate(seqno: Seqno): void {
    this.#ledger.truncate(seqno);
    this.#recent.truncate(seqno);
  }

  /**
   * Entries back to back, for another node, at once where they were appended not long ago; of many large ones the first
   * that one message carries. Undefined where the first is not here.
   */
  entriesFor(from: Seqno, to: Seqno): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    return this.#recent.range(from, to) ?? this.#logged(async () => (await this.#ledger.read(from, to))?.bytes);
  }

  /** The entries that one reading gives to the enclave; undefined where the first is not here, or cannot be read. */
  read(from: Seqno, to: Seqno): Promise<LedgerRange | undefined> {
    return this.#logged(() => this.#ledger.read(from, to, MAX_HISTORICAL_READ_BYTES));
  }

  /**
   * Tells the world something, but not before what it rests on is as lasting as the configuration asks for. Calls are in
   * order; after a failure nothing more is told.
   */
  whenDurable(tell: () => void): void {
    if (this.#options.config.durability === "none") return tell();
    if (this.#mustWait) {
      this.#mustWait = false;
      this.#durable = this.#durable.then(() => this.#ledger.flush());
      this.#durable.catch((error) => this.#options.onFailure(messageOf(error)));
    }
    void this.#durable.then(tell, () => {});
  }

  /** Writes what is left and lets go of everything. @returns why something could not be written, which is logged too */
  async close(): Promise<string | undefined> {
    let failure: string | undefined;
    // The ledger last: the index reads from it to the end.
    for (const part of [this.#index, this.#ledger]) {
      try {
        await part.close();
      } catch (error) {
        failure ??= messageOf(error);
        this.#options.log.write("fail", "host", messageOf(error));
      }
    }
    return failure;
  }

  async #logged<Result>(step: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await step();
    } catch (error) {
      this.#options.log.write("fail", "host", messageOf(error));
      return undefined;
    }
  }
}

async function requireEmpty(directories: readonly string[]): Promise<void> {
  const inUse = await firstDirectoryInUse(denoFileSystem, directories);
  if (inUse === undefined) return;
  throw new StorageError(
    `Cannot start a new service: the ledger directory ${inUse} is not empty; ` +
      "choose another directory, or recover the service from it",
  );
}

/** The service's newest snapshot if it gives one, else the newest here, else none. @throws StorageError */
async function startSnapshot(
  command: JoinCommand,
  snapshots: SnapshotFiles,
  { log, fetchSnapshot }: NodeStorageOptions,
): Promise<StartSnapshot | null> {
  const fetched = command.fetchRecentSnapshot ? await fetchSnapshot(command, snapshots) : undefined;
  const chosen = fetched ?? await snapshots.newest();
  if (chosen === undefined) {
    log.write("info", "host", "No snapshot to start from: this node gets every entry from the first on");
    return null;
  }
  const { name, seqno } = chosen;
  const refuse = (why: string) => new StorageError(`Cannot start from the snapshot ${name}: ${why}`);
  const sizeBytes = await snapshots.sizeBytes(name) ?? 0;
  if (sizeBytes > MAX_SNAPSHOT_BYTES) {
    throw refuse(`it has ${sizeBytes} bytes, and a node reads at most ${MAX_SNAPSHOT_BYTES}`);
  }
  const file = await snapshots.read(name);
  if (file === undefined) throw refuse("it is no longer there; start the node again");
  log.write("info", "host", `Starting from the snapshot ${name} of ${sizeBytes} bytes`);
  return { name, seqno, file };
}

/** What an earlier node left may be the tail of another history: the service has all that was committed of it. */
async function beginBehind(seqno: Seqno, ledger: LedgerFiles, note: (sentence: string) => void): Promise<void> {
  const { lastSeqno } = ledger;
  await ledger.startAfterSnapshot(seqno);
  if (lastSeqno === 0) return;
  const kept = ledger.firstSeqnoFrom(1) === undefined ? "none of them" : `committed files that end by ${seqno}`;
  note(
    `The ledger directory had entries up to ${lastSeqno}: ${kept} stay, others are put aside as .ignored, ` +
      `and this node gets what comes after ${seqno} from the service`,
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
