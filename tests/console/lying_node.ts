/**
 * A node that lies: between the page and a node that does not, what passes is changed on its way.
 *
 * In: a context of the browser; what to say instead. Out: the node's answers but for that. Everything between page and node
 * goes through here: requests of the page and of its workers, whether it came from the relay, a node or disk.
 * A lie that was never told proves nothing: `told` counts the answers that each has changed.
 */

import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import type { BrowserContext, Route } from "playwright-core";
import { concat, equalBytes, fromHex, toHex, toUtf8 } from "../../shared/bytes.ts";
import { parseFrame } from "../../shared/ledger/entry.ts";
import { splitLedger } from "../../shared/trust/bundle.ts";
import type { Seqno } from "../../shared/tx_id.ts";

export interface Said {
  readonly status: number;
  readonly contentType: string;
  readonly body: Uint8Array;
}

/**
 * What becomes of an answer. The path is the node's own, with its query, whichever way it was asked.
 *
 * @returns what is said instead; undefined where this is no occasion to lie; "silence" for never answering, "hang up" for
 *          ending the connection
 */
export type Lie = (path: string, truth: () => Promise<Said>) => Promise<Said | "silence" | "hang up" | undefined>;

export class LyingNode {
  /** Answers that were changed since the last lie was chosen. */
  told = 0;
  /** Paths that were asked for, without their queries. */
  readonly asked = new Set<string>();
  #lie: Lie | undefined;

  /** Puts it between all pages of a context and whatever node they ask; it says the truth at first. */
  static async between(context: BrowserContext): Promise<LyingNode> {
    const node = new LyingNode();
    await context.route((url) => nodePathOf(url) !== undefined, (route) => node.#answer(route));
    return node;
  }

  /** From now on; undefined: the truth. */
  tell(lie: Lie | undefined): void {
    this.#lie = lie;
    this.told = 0;
  }

  /** After a lie: a test that goes on without one having been told would see nothing. */
  assertTold(): void {
    assert(this.told > 0, `the lie was told to nobody; asked for: ${[...this.asked].join(", ")}`);
  }

  async #answer(route: Route): Promise<void> {
    const path = nodePathOf(new URL(route.request().url()))!;
    this.asked.add(path.split("?")[0]!);
    try {
      const said = await this.#lie?.(path, async () => {
        const answer = await route.fetch();
        return {
          status: answer.status(),
          contentType: answer.headers()["content-type"] ?? "",
          body: Uint8Array.from(await answer.body()),
        };
      });
      if (said === undefined) return await route.fallback();
      this.told++;
      if (said === "silence") return;
      if (said === "hang up") return await route.abort();
      await route.fulfill({
        status: said.status,
        // Pages from disk and from other nodes are told by CORS whether they may read it.
        headers: { "content-type": said.contentType, "access-control-allow-origin": "*" },
        body: Buffer.from(said.body),
      });
    } catch {
      // The page has gone, or stopped waiting.
    }
  }
}

/** `/relay/node/node/commit` and `/node/commit` both ask a node for `/node/commit`; undefined: it is no question to a node. */
function nodePathOf({ pathname, search }: URL): string | undefined {
  const path = pathname.startsWith("/relay/node/") ? pathname.slice("/relay/node".length) : pathname;
  return /^\/(node|gov|app|api|rpc|receipt|commit|tx)(\/|$)/.test(path) ? path + search : undefined;
}

/** Only for paths that match. */
export function at(pattern: RegExp, lie: Lie): Lie {
  return (path, truth) => pattern.test(path) ? lie(path, truth) : Promise.resolve(undefined);
}

/** The first of them that has something to say. */
export function either(...lies: Lie[]): Lie {
  return async (path, truth) => {
    for (const lie of lies) {
      const said = await lie(path, truth);
      if (said !== undefined) return said;
    }
    return undefined;
  };
}

export const silence: Lie = () => Promise.resolve("silence");
export const hangUp: Lie = () => Promise.resolve("hang up");

/** Something that no node answers. */
export function nonsense(body: string | Uint8Array, contentType = "text/html", status = 200): Lie {
  return () => Promise.resolve({ status, contentType, body: typeof body === "string" ? toUtf8(body) : body });
}

/** Text instead of text of the same length, wherever it stands: in raw entries and in answers of the API. */
export function instead(find: string, put: string): Lie {
  const [from, to] = [toUtf8(find), toUtf8(put)];
  assert.equal(from.length, to.length, "what is put in has the length of what it replaces");
  return async (_, truth) => {
    const said = await truth();
    const body = replaced(said.body, from, to);
    return body === undefined ? undefined : { ...said, body };
  };
}

/** undefined: it does not stand there. */
function replaced(body: Uint8Array, from: Uint8Array, to: Uint8Array): Uint8Array | undefined {
  const hex = toHex(body);
  const wanted = toHex(from);
  let out = hex;
  for (let found = hex.indexOf(wanted); found >= 0; found = hex.indexOf(wanted, found + 1)) {
    // Between bytes, and not in the middle of one.
    if (found % 2 === 0) out = out.slice(0, found) + toHex(to) + out.slice(found + wanted.length);
  }
  const bytes = fromHex(out);
  return equalBytes(bytes, body) ? undefined : bytes;
}

/** Another JSON document. */
export function otherJson(change: (document: never) => unknown): Lie {
  return async (_, truth) => {
    const said = await truth();
    if (said.status !== 200) return undefined;
    const document = JSON.parse(new TextDecoder().decode(said.body));
    const before = JSON.stringify(document);
    const after = JSON.stringify(change(document as never) ?? document);
    return before === after ? undefined : { ...said, body: toUtf8(after) };
  };
}

const ENTRIES = /^\/node\/ledger\/entries\?/;
const COMMIT = /^\/node\/commit(\?|$)/;

/** One entry is left out of the ledger that is handed out. */
export function withoutEntry(seqno: Seqno): Lie {
  return at(ENTRIES, async (_, truth) => {
    const said = await truth();
    const entries = said.status === 200 ? splitLedger(said.body) : [];
    const kept = entries.filter((entry) => parseFrame(entry).seqno !== seqno);
    return kept.length === entries.length ? undefined : { ...said, body: concat(...kept) };
  });
}

/** A ledger of other entries, from the first to a committed last; all else is the truth. */
export function otherLedger(entries: readonly Uint8Array[]): Lie {
  const { view, seqno: last } = parseFrame(entries.at(-1)!);
  return either(
    at(COMMIT, () => json({ transaction_id: `${view}.${last}` })),
    at(ENTRIES, (path) => {
      const query = new URLSearchParams(path.split("?")[1]);
      const [from, to] = [Number(query.get("from")), Math.min(Number(query.get("to")), last)];
      if (from > last) return json({ error: { code: "InvalidInput", message: "not there" } }, 400);
      const contentType = "application/octet-stream";
      return Promise.resolve({ status: 200, contentType, body: concat(...entries.slice(from - 1, to)) });
    }),
  );
}

function json(document: object, status = 200): Promise<Said> {
  return Promise.resolve({ status, contentType: "application/json", body: toUtf8(JSON.stringify(document)) });
}
