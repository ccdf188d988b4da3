/**
 * The page's ledger worker in a test's own thread.
 *
 * In: files, or entries that a made-up node hands out. Out: the reading once it has come to rest.
 */

import { concat } from "../shared/bytes.ts";
import { parseFrame } from "../shared/ledger/entry.ts";
import type { LedgerSource, LedgerState, OpenOptions } from "../console/ledger/protocol.ts";
import { LedgerReading, type ReadingOptions } from "../console/ledger/reading.ts";
import { NodeEntries } from "../console/ledger/sources.ts";
import type { LedgerDirectory } from "./services.ts";
import { readChunkFiles } from "./services.ts";

const RESTING: ReadonlySet<LedgerState["status"]> = new Set(["following", "complete", "stopped"]);

/** Opens a source and waits until it is read, or refused. */
export async function readLedger(
  source: LedgerSource,
  options: OpenOptions = {},
  reading: Partial<ReadingOptions> = {},
): Promise<LedgerReading> {
  const rest = Promise.withResolvers<void>();
  const made = new LedgerReading({ ...reading, onState: ({ status }) => RESTING.has(status) && rest.resolve() });
  await made.open(source, options);
  await rest.promise;
  return made;
}

/** The files of a ledger directory, as a person would drop them. */
export function filesOf(directory: LedgerDirectory): File[] {
  return readChunkFiles(directory).map(({ fileName, bytes }) => new File([bytes as BlobPart], fileName));
}

/** What a node would answer that has these entries; `change` may lie. */
export class MadeUpNode {
  entries: readonly Uint8Array[];
  change: (path: string, body: Uint8Array) => Uint8Array | number = (_, body) => body;
  /** Entries in an answer. */
  perAnswer = 100;

  constructor(entries: readonly Uint8Array[]) {
    this.entries = entries;
  }

  /** For `ReadingOptions`. */
  get options(): Partial<ReadingOptions> {
    return {
      makeSource: () => Promise.resolve(new NodeEntries("https://node", {}, (url) => this.answer(new URL(url)))),
    };
  }

  /** What it says to a request. */
  answer({ pathname, searchParams }: URL): Promise<Response> {
    const body = pathname === "/node/commit" ? this.#commit() : this.#range(searchParams);
    const changed = this.change(pathname, body);
    return Promise.resolve(
      typeof changed === "number" ? new Response("no", { status: changed }) : new Response(changed as BodyInit),
    );
  }

  #commit(): Uint8Array {
    const { view, seqno } = parseFrame(this.entries.at(-1)!);
    return new TextEncoder().encode(JSON.stringify({ transaction_id: `${view}.${seqno}` }));
  }

  #range(query: URLSearchParams): Uint8Array {
    const from = Number(query.get("from"));
    const to = Math.min(Number(query.get("to")), from + this.perAnswer - 1);
    return concat(...this.entries.slice(from - 1, to));
  }
}
