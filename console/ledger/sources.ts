/**
 * Where the worker gets entries from: a node, or files. Nobody who hands them out is believed.
 *
 * In: a seqno to go on with. Out: entries from there on, in order, as many as come at once; and any entry again, later.
 * Failures are `ProblemError`s, which say whether to try again.
 */

import { FormatError } from "../../shared/assert.ts";
import { ChunkScanner, compareChunkNames, parseChunkName } from "../../shared/ledger/chunk.ts";
import { parseSnapshotName, Snapshot, type SnapshotName, splitSnapshotFile } from "../../shared/ledger/snapshot.ts";
import {
  MAX_ENTRY_BYTES,
  MAX_LEDGER_ANSWER_BYTES,
  MAX_PAGE_FILES,
  MAX_PAGE_LEDGER_WAIT_MS,
  MAX_SNAPSHOT_BYTES,
  PAGE_FILE_SLICE_BYTES,
} from "../../shared/limits.ts";
import { splitLedger } from "../../shared/trust/bundle.ts";
import type { Seqno } from "../../shared/tx_id.ts";
import { ProblemError } from "../problem.ts";
import { responseBody } from "../response_body.ts";
import type { LedgerState } from "./protocol.ts";

export interface EntrySource {
  readonly name: string;
  /** Whether more may come later. */
  readonly isLive: boolean;
  /** Where to begin: a snapshot, where the first entry is not there. */
  readonly snapshot: { readonly name: SnapshotName; readonly snapshot: Snapshot } | undefined;
  /** The last seqno that it says it has, so far. */
  readonly last: Seqno;
  readonly gaps: LedgerState["gaps"];
  readonly warnings: readonly string[];
  /** Entries from `from` on; none: there are no more now. @throws ProblemError */
  read(from: Seqno): AsyncGenerator<Uint8Array>;
  /** One entry again. @throws ProblemError */
  entry(seqno: Seqno): Promise<Uint8Array>;
}

type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** A node that hands out its ledger at `/node/ledger/entries`. */
export class NodeEntries implements EntrySource {
  readonly isLive = true;
  readonly snapshot = undefined;
  readonly gaps = [];
  readonly warnings = [];
  last: Seqno = 0;
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #fetch: Fetch;

  constructor(url: string, headers: Readonly<Record<string, string>> = {}, fetcher: Fetch = (u, i) => fetch(u, i)) {
    this.#url = url.replace(/\/+$/, "");
    this.#headers = headers;
    this.#fetch = fetcher;
  }

  get name(): string {
    return this.#url;
  }

  async *read(from: Seqno): AsyncGenerator<Uint8Array> {
    const committed = await this.#committed();
    this.last = Math.max(this.last, committed);
    if (from > committed) return;
    // The next answer is on its way while this one is being verified.
    let next: Promise<Uint8Array[]> | undefined = this.#entries(from, committed);
    for (let at = from; next !== undefined;) {
      const entries: Uint8Array[] = await next;
      at += entries.length;
      next = at <= committed ? this.#entries(at, committed) : undefined;
      // Whoever stops reading leaves it unread.
      next?.catch(() => {});
      yield* entries;
    }
  }

  async entry(seqno: Seqno): Promise<Uint8Array> {
    const [entry] = await this.#entries(seqno, seqno);
    return entry!;
  }

  async #committed(): Promise<Seqno> {
    const body = await this.#get("/node/commit", MAX_LEDGER_ANSWER_BYTES);
    try {
      const { transaction_id: id } = JSON.parse(new TextDecoder().decode(body)) as { transaction_id?: unknown };
      const seqno = Number(/^\d+\.(\d+)$/.exec(String(id))?.[1]);
      if (Number.isSafeInteger(seqno)) return seqno;
    } catch {
      // Said below.
    }
    throw nonsense(this.#url, "/node/commit", "it does not say how far its ledger is committed");
  }

  /** As many as one answer has, at least one. */
  async #entries(from: Seqno, to: Seqno): Promise<Uint8Array[]> {
    const path = `/node/ledger/entries?from=${from}&to=${to}`;
    const body = await this.#get(path, MAX_LEDGER_ANSWER_BYTES + MAX_ENTRY_BYTES);
    let entries: Uint8Array[];
    try {
      entries = splitLedger(body);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      throw nonsense(this.#url, path, error.message);
    }
    if (entries.length === 0 || entries.length > to - from + 1) {
      throw nonsense(this.#url, path, `it answers with ${entries.length} entries`);
    }
    return entries;
  }

  async #get(path: string, maxBytes: number): Promise<Uint8Array> {
    const timeout = AbortSignal.timeout(MAX_PAGE_LEDGER_WAIT_MS);
    let response: Response;
    try {
      response = await this.#fetch(this.#url + path, {
        headers: this.#headers,
        signal: timeout,
        cache: "no-store",
        credentials: "omit",
      });
      if (response.ok) return await responseBody(response, maxBytes, TOO_LARGE);
    } catch (error) {
      if (error instanceof ProblemError) throw error;
      throw new ProblemError(
        timeout.aborted
          ? {
            code: "NodeSilent",
            what: "The node does not hand out its ledger in time",
            why: `Nothing came for ${MAX_PAGE_LEDGER_WAIT_MS / 1000} seconds`,
            todo: "The page asks again; or connect to another node of the service",
            details: path,
          }
          : {
            code: "NodeUnreachable",
            what: "The node cannot be reached",
            why: "The connection failed; a page is not told why",
            todo: "The page asks again. See that the node runs; `deno task run console` says more about what fails",
            details: `${path}: ${error instanceof Error ? error.message : String(error)}`,
          },
      );
    }
    const text = new TextDecoder().decode(await responseBody(response, MAX_LEDGER_ANSWER_BYTES, TOO_LARGE));
    throw new ProblemError({
      code: response.status >= 500 ? "NodeUnreachable" : "LedgerNotHandedOut",
      what: "The node does not hand out its ledger",
      why: messageIn(text) ?? `It answers with HTTP status ${response.status}`,
      todo: "Ask an operator to allow LedgerRead on this interface, connect to another node, or open ledger files",
      details: `${path}: HTTP ${response.status}: ${text.slice(0, 500)}`,
    });
  }
}

const TOO_LARGE = {
  what: "The node answers with more than the page reads",
  todo: "Connect to another node of the service",
};

/** What a node, or the relay, says about why not. */
function messageIn(text: string): string | undefined {
  try {
    const { error, why } = JSON.parse(text) as { error?: { message?: unknown }; why?: unknown };
    const message = why ?? error?.message;
    return typeof message === "string" ? message : undefined;
  } catch {
    return undefined;
  }
}

function nonsense(url: string, path: string, why: string): ProblemError {
  return new ProblemError({
    code: "NodeNonsense",
    what: `What ${url} answers is no ledger`,
    why,
    todo: "Check that this is the address of a node; if it is, do not trust it",
    details: path,
  });
}

interface LedgerFile {
  readonly file: File;
  readonly first: Seqno;
  readonly last: Seqno | undefined;
}

/** Ledger files and snapshots that a person chose. */
export class FileEntries implements EntrySource {
  readonly isLive = false;
  readonly name: string;
  readonly gaps: { from: Seqno; to: Seqno }[] = [];
  readonly warnings: string[] = [];
  last: Seqno = 0;
  readonly #files: readonly LedgerFile[];
  /** Where each entry is in its file, from `#firstSeqno` on. */
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  #firstSeqno: Seqno = 1;
  /** Files that entries were taken from, in order. */
  readonly #taken: { readonly file: File; readonly from: Seqno }[] = [];

  private constructor(
    files: readonly LedgerFile[],
    ignored: readonly string[],
    readonly snapshot: EntrySource["snapshot"],
  ) {
    this.#files = files;
    this.name = files.length === 1 ? files[0]!.file.name : `${files.length} ledger files`;
    this.last = Math.max(0, ...files.map(({ first, last }) => last ?? first));
    if (ignored.length > 0) {
      const names = ignored.slice(0, 3).join(", ");
      this.warnings.push(`${ignored.length} files are neither ledger nor snapshot files and are left out: ${names}`);
    }
  }

  /** @throws ProblemError where there is nothing to begin with */
  static async open(given: readonly File[]): Promise<FileEntries> {
    if (given.length > MAX_PAGE_FILES) {
      throw new ProblemError({
        code: "TooManyFiles",
        what: "These are more files than the page opens",
        why: `There are ${given.length}, of ${MAX_PAGE_FILES} at most`,
        todo: "Choose fewer, or use `deno task run ledger verify`",
      });
    }
    const chunks = given.flatMap((file) => {
      const name = parseChunkName(file.name);
      return name === undefined ? [] : [{ file, name }];
    }).sort((a, b) => compareChunkNames(a.name, b.name));
    const snapshots = given.flatMap((file) => {
      const name = parseSnapshotName(file.name);
      return name === undefined ? [] : [{ file, name }];
    });
    const known = new Set([...chunks, ...snapshots].map(({ file }) => file));
    const ignored = given.filter((file) => !known.has(file)).map(({ name }) => name);
    if (chunks.length === 0 && snapshots.length === 0) {
      throw new ProblemError({
        code: "NoLedgerFiles",
        what: "There is no ledger in what was chosen",
        why: "Ledger files are named like ledger_1-20.committed, snapshots like snapshot_20_22.committed",
        todo: "Choose the files of a node's ledger directory, with their names as they are",
      });
    }
    // Of those that begin with the same entry the best comes first.
    const files: LedgerFile[] = [];
    for (const { file, name } of chunks) {
      if (files.at(-1)?.first !== name.first) files.push({ file, first: name.first, last: name.last });
    }
    const snapshot = files[0]?.first === 1 ? undefined : await firstSnapshot(snapshots, files);
    if (snapshot === undefined && files[0]?.first !== 1) {
      throw new ProblemError({
        code: "LedgerWithoutBeginning",
        what: "The ledger has no beginning",
        why: `The first file begins with entry ${files[0]?.first ?? "none"}, and no snapshot leads there`,
        todo: "Choose the files from ledger_1 on too, or a snapshot that was taken right before the first file",
      });
    }
    return new FileEntries(files, ignored, snapshot);
  }

  async *read(from: Seqno): AsyncGenerator<Uint8Array> {
    if (this.#starts.length > 0) return;
    this.#firstSeqno = from;
    let next = from;
    for (const [i, { file, first, last }] of this.#files.entries()) {
      if (last !== undefined && last < next) continue;
      if (first > next) {
        this.gaps.push({ from: next, to: first - 1 });
        return;
      }
      let seqno = first;
      const scanner = new ChunkScanner();
      try {
        for (let at = 0; at < file.size; at += PAGE_FILE_SLICE_BYTES) {
          const slice = new Uint8Array(await file.slice(at, at + PAGE_FILE_SLICE_BYTES).arrayBuffer());
          for (const { offset, bytes } of scanner.feed(slice)) {
            if (seqno++ < next) continue;
            if (this.#taken.at(-1)?.file !== file) this.#taken.push({ file, from: next });
            this.#starts.push(offset);
            this.#ends.push(offset + bytes.length);
            next++;
            yield bytes;
          }
        }
        const { incompleteBytes } = scanner.end();
        if (incompleteBytes > 0) {
          this.warnings.push(`${file.name} ends with ${incompleteBytes} bytes that are not a whole entry`);
        }
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        throw damaged(file.name, error.message);
      }
      if (last !== undefined && next <= last) {
        throw damaged(file.name, `its name promises entries up to ${last}, and it ends with ${next - 1}`);
      }
      if (i + 1 === this.#files.length) this.last = next - 1;
    }
  }

  async entry(seqno: Seqno): Promise<Uint8Array> {
    const { file } = this.#taken.findLast(({ from }) => from <= seqno)!;
    const at = seqno - this.#firstSeqno;
    return new Uint8Array(await file.slice(this.#starts[at]!, this.#ends[at]!).arrayBuffer());
  }
}

function damaged(name: string, why: string): ProblemError {
  return new ProblemError({
    code: "FileDamaged",
    what: `The ledger file ${name} is damaged`,
    why,
    todo: "Take the file from another node; what was read before it stands",
  });
}

/** The newest snapshot from which the files lead on. */
async function firstSnapshot(
  snapshots: readonly { readonly file: File; readonly name: SnapshotName }[],
  files: readonly LedgerFile[],
): Promise<EntrySource["snapshot"]> {
  const usable = snapshots.filter(({ name: { seqno } }) =>
    files.length === 0 || files.some(({ first, last }) => first <= seqno + 1 && (last ?? Infinity) > seqno)
  ).sort((a, b) => b.name.seqno - a.name.seqno);
  const [newest] = usable;
  if (newest === undefined) return undefined;
  if (newest.file.size > MAX_SNAPSHOT_BYTES) throw damaged(newest.file.name, `it has ${newest.file.size} bytes`);
  try {
    const bytes = new Uint8Array(await newest.file.arrayBuffer());
    return { name: newest.name, snapshot: Snapshot.parse(splitSnapshotFile(bytes).snapshot) };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw damaged(newest.file.name, error.message);
  }
}
