/**
 * What users of a network of three wait for: a commit, and another primary.
 *
 * In: how long. Out: from the moment a write is sent until its sender knows that it is committed, with the signatures of
 * the default configuration and with one each 10 ms; and from `kill -9` of the primary to the next write that succeeds.
 */

import { parseTx, RunningNetwork, type RunningNode, sleep } from "../e2e/network_nodes.ts";
import { MESSAGE } from "./enclave.ts";
import type { Figure } from "./figure.ts";
import { UNHURRIED } from "./network.ts";

/** Writers that do not wait for commits, so that there is always something new to sign. */
const STEADY_WRITERS = 8;
/** Before the next write. */
const PAUSE_MS = 10;
/** Between two questions how far it is committed. */
const POLL_MS = 1;
/** p50 of CCF 7.0.0-dev7 with its own defaults. */
const CCF_COMMIT_MS = 715;
const COMMIT_TARGET_MS = 30;
/** A write that is tried while there is no primary may wait for so long. */
const TRY_MS = 200;
/** Without writes, of the election timeout. */
const MAX_ELECTION = 1.5;

export async function benchNetworkWaits(seconds: number): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (
    const [name, delay, target] of [["default", undefined, CCF_COMMIT_MS], ["10 ms", "10ms", COMMIT_TARGET_MS]] as const
  ) {
    await using network = await RunningNetwork.start({
      nodes: 3,
      ...UNHURRIED,
      configure: (config) => delay !== undefined && (config.ledger_signatures = { ...config.ledger_signatures, delay }),
    });
    for (const [load, writers] of [["one writer, who waits", 1], ["steady load", STEADY_WRITERS]] as const) {
      const ms = await commitLatencies(network, writers, seconds);
      figures.push({
        group: "network",
        what: `write to commit, signature delay ${name}, ${load}: p50`,
        value: quantile(ms, 0.5),
        unit: "ms",
        target,
        note: `p99 ${quantile(ms, 0.99).toFixed(0)} ms, ${Math.round(ms.length / seconds)} writes/s`,
      });
    }
  }
  for (const [electionTimeoutMs, nodes, kills] of [[1000, 5, 2], [5000, 3, 1]] as const) {
    const ms = await electionTimes(nodes, electionTimeoutMs, kills);
    figures.push({
      group: "network",
      what: `kill -9 of the primary of ${nodes} to the next write, timeout ${electionTimeoutMs} ms`,
      value: Math.max(...ms),
      unit: "ms",
      target: MAX_ELECTION * electionTimeoutMs,
      note: kills === 1 ? "one primary killed" : `the longest of ${ms.map((each) => Math.round(each)).join(", ")} ms`,
    });
  }
  return figures;
}

/** Milliseconds from sending a write until a question how far the ledger is committed, asked each millisecond, has it. */
async function commitLatencies(network: RunningNetwork, writers: number, seconds: number): Promise<number[]> {
  const primary = await network.primary();
  const waiting = new Set<{ readonly seqno: number; readonly committed: () => void }>();
  const latencies: number[] = [];
  const endMs = performance.now() + seconds * 1000;
  const write = async (writer: number) => {
    while (performance.now() < endMs) {
      const sentMs = performance.now();
      const { seqno } = parseTx(await writeOnce(network, primary, writer));
      const committing = new Promise<void>((committed) => waiting.add({ seqno, committed }))
        .then(() => latencies.push(performance.now() - sentMs));
      if (writers === 1) await committing;
      await sleep(PAUSE_MS);
    }
  };
  let isOver = false;
  const poll = async () => {
    while (!isOver) {
      const { seqno } = parseTx(await network.commitOf(primary));
      for (const each of [...waiting].filter((each) => each.seqno <= seqno)) {
        waiting.delete(each);
        each.committed();
      }
      await sleep(POLL_MS);
    }
  };
  const polling = poll();
  await Promise.race([polling, Promise.all(Array.from({ length: writers }, (_, i) => write(i)))]);
  isOver = true;
  await polling;
  return latencies;
}

/** Milliseconds from each kill of a primary to the first answer to a write by another one. */
async function electionTimes(nodes: number, electionTimeoutMs: number, kills: number): Promise<number[]> {
  await using network = await RunningNetwork.start({ nodes, electionTimeoutMs });
  const times: number[] = [];
  for (let i = 0; i < kills; i++) {
    await network.agreed();
    const primary = await network.primary();
    const killedMs = performance.now();
    await primary.kill();
    const tries = network.live.map((node) => untilWritten(network, node));
    await Promise.any(tries);
    times.push(performance.now() - killedMs);
    await Promise.all(tries);
  }
  return times;
}

async function untilWritten(network: RunningNetwork, node: RunningNode): Promise<void> {
  for (;;) {
    try {
      return void await writeOnce(network, node, 0, TRY_MS);
    } catch {
      await sleep(PAUSE_MS);
    }
  }
}

/** @returns the transaction's ID. Rejects where the write does not succeed */
async function writeOnce(
  network: RunningNetwork,
  node: RunningNode,
  id: number,
  timeoutMs?: number,
): Promise<string> {
  const body = JSON.stringify({ id, msg: MESSAGE });
  const options = { as: "user0", body, ...(timeoutMs !== undefined && { timeoutMs }) };
  const { status, headers, text } = await network.request(node, "POST", "/app/log/private", options);
  if (status !== 200) throw new Error(`${node.name} answers ${status} to a write: ${text}`);
  return headers.get("x-ms-ccf-transaction-id")!;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
}
