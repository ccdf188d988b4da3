/**
 * A node's evidence, fetched, and climbed from over the ledger that is open.
 *
 * In: the connection. Out: what the node shows about itself, the certificate that the relay saw, the worker's report. What
 * is fetched here is checked there, so that it does not matter who says it.
 */

import { useEffect, useState } from "preact/hooks";
import { anything, listOf, object, text } from "../../shared/json_shape.ts";
import { parseCertificatePem } from "../../shared/crypto/x509.ts";
import type { TrustReport } from "../../shared/trust/report.ts";
import { useNode } from "../hooks.ts";
import type { NodeEvidence } from "../ledger/protocol.ts";
import { type Loaded, type Problem, ProblemError, problemOf } from "../problem.ts";
import { jsonOf, type NodeApi, refusalOf, shaped } from "./node_api.ts";
import { connection, ledger, ledgerState, relayApi } from "./session.ts";

/** What `GET /node/quotes` answers of each node, as far as it is looked at here: the rest is for the worker. */
export interface QuoteAnswer {
  readonly node_id?: string;
  readonly format?: string;
  readonly raw?: string;
  readonly endorsements?: string;
  readonly uvm_endorsements?: string;
}

/** Members that it does not know stay: the worker judges the answer as it came. */
const quoteShape = object({}, {
  node_id: text,
  format: text,
  raw: text,
  endorsements: text,
  uvm_endorsements: text,
});

/** @throws FormatError */
function quoteAnswer(answer: unknown): QuoteAnswer {
  return quoteShape(answer, "");
}

const quotesShape = object({ quotes: listOf(anything) });

/** @throws FormatError */
function quoteAnswers(answer: unknown): readonly QuoteAnswer[] {
  return quotesShape(answer, "").quotes.map(quoteAnswer);
}

/** What `GET /relay/peer` answers: what the relay saw of its connection to the node. */
export interface RelayPeer {
  readonly node_url: string;
  readonly pinned: boolean;
  readonly certificate: string;
  /** Of the node whose key ended the connection. */
  readonly node_id?: string;
  readonly service_certificate: string | null;
  readonly tls?: unknown;
}

export async function fetchPeer(signal?: AbortSignal): Promise<RelayPeer | undefined> {
  return await relayApi?.get<RelayPeer>("/relay/peer", signal === undefined ? {} : { signal });
}

/** Behind one address there may be several nodes: so often the same one is waited for. */
const MAX_PEER_TRIES = 4;

/** Of the node that is connected: with the certificate of the connection, where the relay saw it. */
async function fetchOwn(api: NodeApi, signal: AbortSignal): Promise<NodeEvidence> {
  const path = "/node/quotes/self";
  for (let tries = 1;; tries++) {
    const said = await api.ask(path, { signal });
    if (said.status !== 200) throw new ProblemError(refusalOf(said, api.name, path));
    const answer = shaped(jsonOf(said, api.name, path), api.name, path, quoteAnswer);
    const peer = await fetchPeer(signal);
    const shownBy = said.headers.get("x-quorate-relay-peer");
    if (shownBy !== null && peer?.node_id !== undefined && peer.node_id !== shownBy && tries < MAX_PEER_TRIES) continue;
    return {
      format: String(answer.format),
      answer,
      ...(peer !== undefined && { peerCertificate: parseCertificatePem(peer.certificate).der }),
      nowMs: Date.now(),
    };
  }
}

/** Of any node of the service, as the connected one hands them on. */
async function fetchOf(api: NodeApi, nodeId: string, signal: AbortSignal): Promise<NodeEvidence | undefined> {
  const own = await fetchOwn(api, signal);
  if ((own.answer as QuoteAnswer).node_id === nodeId) return own;
  const quotes = await api.getAs("/node/quotes", quoteAnswers, { signal });
  const answer = quotes.find(({ node_id }) => node_id === nodeId);
  return answer && { format: String(answer.format), answer, nowMs: Date.now() };
}

/** @param nodeId undefined: of the node that is connected; @param turn another one fetches again */
export function useEvidence(nodeId: string | undefined, turn: number): Loaded<NodeEvidence> {
  const fetched = useNode(
    (api, signal) => nodeId === undefined ? fetchOwn(api, signal) : fetchOf(api, nodeId, signal),
    [nodeId, turn],
  );
  if (fetched.kind !== "ready") return fetched;
  return fetched.value === undefined
    ? { kind: "unknown", why: "the connected node has no evidence of that node; a node that is not trusted shows none" }
    : { kind: "ready", value: fetched.value };
}

export interface Climbed {
  readonly report: TrustReport;
  /** The last signature that the ledger had. */
  readonly asOf: number;
  readonly tookMs: number;
}

/** Climbs once for each evidence, as soon as the ledger is read to its end. */
export function useClimb(evidence: Loaded<NodeEvidence>): Loaded<Climbed> {
  const { status, problem } = ledgerState.value;
  const isRead = status === "following" || status === "complete" || status === "stopped";
  const value = evidence.kind === "ready" ? evidence.value : undefined;
  const [climbed, setClimbed] = useState<Loaded<Climbed>>({ kind: "loading" });
  useEffect(() => {
    if (value === undefined || !isRead || connection.peek() === undefined) return setClimbed({ kind: "loading" });
    let isOver = false;
    const startedMs = performance.now();
    ledger().climb(value).then(
      (report) =>
        !isOver && setClimbed({
          kind: "ready",
          value: { report, asOf: ledgerState.peek().signed?.seqno ?? 0, tookMs: performance.now() - startedMs },
        }),
      (error) => !isOver && setClimbed({ kind: "error", problem: problemOf(error) }),
    );
    return () => {
      isOver = true;
    };
  }, [value, isRead, problem?.code]);
  return evidence.kind === "ready" ? climbed : evidence;
}

/** The problem of something that could not be loaded, if it is one. */
export function problemIn<T>(loaded: Loaded<T>): Problem | undefined {
  return loaded.kind === "error" ? loaded.problem : undefined;
}
