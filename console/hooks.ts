/**
 * How screens ask: the ledger worker, or the node, with all four states of an answer.
 */

import { effect, signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import type { LedgerClient } from "./ledger/client.ts";
import type { NodeApi } from "./service/node_api.ts";
import { api, connection, ledger, ledgerState } from "./service/session.ts";
import { type Loaded, ProblemError, problemOf } from "./problem.ts";

const NOT_CONNECTED = "Nothing is open: connect to a node, or open ledger files";

/** While a ledger is read more of it is signed all the time: screens ask again this often then. */
const ASK_EVERY_MS = 1000;

/** The last signed seqno, as screens go by it. */
const signedNow = signal(0);
let askedAtMs = 0;
effect(() => {
  const { status, signed } = ledgerState.value;
  const nowMs = Date.now();
  if (status === "reading" && nowMs - askedAtMs < ASK_EVERY_MS) return;
  askedAtMs = nowMs;
  signedNow.value = signed?.seqno ?? 0;
});

/**
 * What the folded ledger answers, asked again whenever more of it is signed, and when `deps` change. The last answer stays
 * while the next is on its way.
 */
export function useLedger<T>(ask: (ledger: LedgerClient) => Promise<T>, deps: readonly unknown[]): Loaded<T> {
  return useAnswer(askingLedger(ask), [...standing(), signedNow.value, ...deps]);
}

/** The same, asked once for these `deps`: for what cannot change, as an entry does not. */
export function useLedgerOnce<T>(ask: (ledger: LedgerClient) => Promise<T>, deps: readonly unknown[]): Loaded<T> {
  return useAnswer(askingLedger(ask), [...standing(), ...deps]);
}

/** Whom to ask, or why nobody can be asked yet: also a node that has not answered anything so far. */
function askingLedger<T>(ask: (ledger: LedgerClient) => Promise<T>): Asking<T> {
  const { status, signed, problem } = ledgerState.value;
  if (connection.value === undefined) return NOT_CONNECTED;
  if (signed !== undefined || status !== "reading") return () => ask(ledger());
  return problem === undefined ? "loading" : () => Promise.reject(new ProblemError(problem));
}

/** What changes whom `askingLedger` says to ask. */
function standing(): readonly unknown[] {
  const { status, signed, problem } = ledgerState.value;
  const canAsk = signed !== undefined || status !== "reading";
  return [connection.value, canAsk, canAsk ? undefined : problem?.code];
}

/** What the node says, asked again when `deps` change and every `everyMs`. Its word: show it as such. */
export function useNode<T>(
  ask: (api: NodeApi, signal: AbortSignal) => Promise<T>,
  deps: readonly unknown[],
  everyMs?: number,
): Loaded<T> {
  const node = api.value;
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (everyMs === undefined) return;
    const timer = setInterval(() => document.visibilityState === "visible" && setTurn((n) => n + 1), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return useAnswer(
    node === undefined
      ? connection.value === undefined ? NOT_CONNECTED : "Only a node can answer this, and files are open"
      : (signal) => ask(node, signal),
    [node, turn, ...deps],
  );
}

/** Text is a sentence: why nobody can be asked; "loading": not yet. */
type Asking<T> = ((signal: AbortSignal) => Promise<T>) | string;

function useAnswer<T>(ask: Asking<T>, deps: readonly unknown[]): Loaded<T> {
  const [answer, setAnswer] = useState<Loaded<T>>({ kind: "loading" });
  const latest = useRef(0);
  useEffect(() => {
    const turn = ++latest.current;
    if (typeof ask === "string") {
      setAnswer(ask === "loading" ? { kind: "loading" } : { kind: "unknown", why: ask });
      return;
    }
    const abort = new AbortController();
    ask(abort.signal).then(
      (value) => turn === latest.current && setAnswer({ kind: "ready", value }),
      (error) =>
        turn === latest.current && !abort.signal.aborted && setAnswer({ kind: "error", problem: problemOf(error) }),
    );
    return () => abort.abort();
  }, deps);
  return answer;
}
