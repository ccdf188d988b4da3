/**
 * Answers that the host has: parts of snapshot files, ledger entries, what the index knows.
 *
 * In: a response of the enclave without its body, and what that is to be. Out: the whole response, or why there is none.
 * The enclave has decided who may ask and for what; here nothing is refused but what is not there.
 */

import { toUtf8 } from "../shared/bytes.ts";
import { MAX_LEDGER_ANSWER_BYTES, MAX_LEDGER_WRITES } from "../shared/limits.ts";
import type { HeaderList, HostBody, HttpResponse } from "../enclave/messages.ts";
import type { HostIndex } from "./host_index.ts";
import type { LedgerFiles } from "./ledger_files.ts";
import { errorResponse } from "./listener.ts";
import type { SnapshotFiles } from "./snapshot_files.ts";

/** Which entries an answer holds: "12-57". */
export const LEDGER_RANGE_HEADER = "x-quorate-ledger-range";
/** The first entry that was asked for and had no room any more. */
export const LEDGER_NEXT_HEADER = "x-quorate-ledger-next";

export class HostBodies {
  readonly #ledger: Pick<LedgerFiles, "read" | "firstSeqnoFrom">;
  readonly #snapshots: Pick<SnapshotFiles, "read">;
  readonly #index: Pick<HostIndex, "newestWrites" | "indexedSeqno">;
  readonly #onFailure: (message: string) => void;

  /** @param onFailure told, in a sentence, of files that cannot be read */
  constructor(
    ledger: Pick<LedgerFiles, "read" | "firstSeqnoFrom">,
    snapshots: Pick<SnapshotFiles, "read">,
    index: Pick<HostIndex, "newestWrites" | "indexedSeqno">,
    onFailure: (message: string) => void,
  ) {
    this.#ledger = ledger;
    this.#snapshots = snapshots;
    this.#index = index;
    this.#onFailure = onFailure;
  }

  /** Puts the body in its place. Never rejects. */
  async complete({ fromHost, ...response }: HttpResponse): Promise<HttpResponse> {
    if (fromHost === undefined) return response;
    try {
      return await this.#complete(response, fromHost);
    } catch (error) {
      this.#onFailure(error instanceof Error ? error.message : String(error));
      return errorResponse(500, "InternalError", "This node cannot read its files; its log says why");
    }
  }

  async #complete(response: HttpResponse, what: HostBody): Promise<HttpResponse> {
    switch (what.kind) {
      case "snapshot": {
        const body = await this.#snapshots.read(what.name, what.from, what.to);
        if (body?.length === what.to - what.from) return { ...response, body };
        return errorResponse(404, "ResourceNotFound", `This node does not have a snapshot named ${what.name}`);
      }
      case "entries": {
        const range = await this.#ledger.read(what.from, what.to, MAX_LEDGER_ANSWER_BYTES);
        if (range === undefined) return this.#missingEntry(what.from);
        const { to, bytes } = range;
        const next: HeaderList = to < what.to ? [[LEDGER_NEXT_HEADER, String(to + 1)]] : [];
        const headers = [...response.headers, ...next, [LEDGER_RANGE_HEADER, `${what.from}-${to}`] as const];
        return { ...response, headers, body: bytes };
      }
      case "writes": {
        const limit = MAX_LEDGER_WRITES + 1;
        const found = await this.#index.newestWrites(what.table, what.key, { before: what.before, limit });
        const seqnos = found.slice(0, MAX_LEDGER_WRITES);
        const answer = {
          first_seqno: this.#ledger.firstSeqnoFrom(1) ?? 0,
          indexed_seqno: this.#index.indexedSeqno,
          ...(found.length > seqnos.length && { next_before: seqnos.at(-1) }),
          seqnos,
        };
        return { ...response, body: toUtf8(JSON.stringify(answer)) };
      }
    }
  }

  /** It is committed, but another node has it: this one began behind a snapshot, or files were taken away. */
  #missingEntry(seqno: number): HttpResponse {
    const next = this.#ledger.firstSeqnoFrom(seqno);
    const here = next === undefined || next === seqno ? "" : `; the next one that it has is ${next}`;
    return errorResponse(
      404,
      "ResourceNotFound",
      `This node does not have ledger entry ${seqno}, as one that began with a snapshot lacks what was before it${here}. ` +
        "Ask another node of the service",
    );
  }
}
