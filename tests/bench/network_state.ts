/**
 * What a large state costs: writes while it grows, and a node that joins when it is there.
 *
 * Out: writes in a second by three nodes that hold 10,000 keys and a million; how long a joiner takes to have 1 GB, from a
 * snapshot and from the ledger's first entry on, and the memory that both sides need.
 */

import { RunningNetwork, type RunningNode } from "../e2e/network_nodes.ts";
import { MESSAGE } from "./enclave.ts";
import type { Figure } from "./figure.ts";
import { runLoadProcess } from "./load_process.ts";
import { credentialsOf, UNHURRIED } from "./network.ts";
import { statOf } from "./process_stat.ts";

const FEW_KEYS = 10_000;
const MANY_KEYS = 1_000_000;
/** What may be lost on the way: throughput within 20 %. */
const MIN_RATIO = 0.8;
/** Calls in one JSON-RPC request, by which the keys are made; a power of ten, for their last digits. */
const BATCH = 100;

/** Together 1 GB, and a snapshot of it is not above `MAX_SNAPSHOT_BYTES`. */
const RECORDS = 100_000;
const RECORD_BYTES = 10_000;
/** What has not happened after so long will not. */
const PATIENCE_MS = 900_000;

export async function benchNetworkState(seconds: number): Promise<Figure[]> {
  return [...await benchGrowth(seconds), ...await benchCatchUp()];
}

async function benchGrowth(seconds: number): Promise<Figure[]> {
  await using network = await RunningNetwork.start({ nodes: 3, ...UNHURRIED, patienceMs: PATIENCE_MS });
  const primary = await network.primary();
  await fill(network, primary, FEW_KEYS);
  const few = await writes(network, primary, FEW_KEYS, seconds);
  await fill(network, primary, MANY_KEYS);
  const many = await writes(network, primary, MANY_KEYS, seconds);
  const figures: Figure[] = [few, many].map(({ perSecond, cpu }, i) => ({
    group: "network",
    what: `three nodes with ${(i === 0 ? FEW_KEYS : MANY_KEYS).toLocaleString("en")} keys, writes`,
    value: perSecond,
    unit: "/s",
    note: `${Math.round(cpu)} µs of the nodes' processor time each`,
  }));
  const ratio = many.perSecond / few.perSecond;
  const what = "of these writes with few keys, as many with many";
  const note = `by processor time ${(few.cpu / many.cpu).toFixed(2)}`;
  return [...figures, { group: "network", what, value: ratio, unit: "", target: MIN_RATIO, note }];
}

/** Makes keys "000", "001", … as many as asked for. */
async function fill(network: RunningNetwork, primary: RunningNode, keys: number): Promise<void> {
  const calls = Array.from({ length: BATCH }, (_, i) => {
    const id = `{i}${String(i).padStart(2, "0")}`;
    return `{"jsonrpc":"2.0","id":${i},"method":"app/postLogPrivate","params":{"id":"${id}","msg":"${MESSAGE}"}}`;
  });
  await runLoadProcess({
    urls: [`${primary.url}/rpc`],
    method: "POST",
    body: `[${calls.join(",")}]`,
    variants: keys / BATCH,
    connections: 4,
    seconds: "once",
    ...credentialsOf(network),
  });
  await network.agreed();
}

async function writes(network: RunningNetwork, primary: RunningNode, keys: number, seconds: number) {
  const load = (seconds: number) =>
    runLoadProcess({
      urls: [`${primary.url}/app/log/private`],
      method: "POST",
      body: `{"id":"{i}","msg":"${MESSAGE}"}`,
      variants: keys,
      connections: 64,
      seconds,
      ...credentialsOf(network),
    });
  const cpu = async () => {
    const stats = await Promise.all(network.nodes.map(({ pid }) => statOf(pid)));
    return stats.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
  };
  await load(1);
  const before = await cpu();
  const { requests, requestsPerSecond } = await load(seconds);
  return { perSecond: requestsPerSecond, cpu: 1e6 * (await cpu() - before) / requests };
}

async function benchCatchUp(): Promise<Figure[]> {
  // One snapshot, when it is asked for: those on the way would be what is measured.
  const configure = (config: { snapshots: Record<string, unknown> }) => {
    config.snapshots = { ...config.snapshots, tx_count: 1_000_000 };
  };
  await using network = await RunningNetwork.start({ nodes: 1, ...UNHURRIED, configure, patienceMs: PATIENCE_MS });
  const primary = await network.primary();
  await runLoadProcess({
    urls: [`${primary.url}/app/log/private`],
    method: "POST",
    body: `{"id":{i},"msg":"${"x".repeat(RECORD_BYTES)}"}`,
    variants: RECORDS,
    connections: 8,
    pipeline: 2,
    seconds: "once",
    ...credentialsOf(network),
  });
  await network.agreed();
  const before = await statOf(primary.pid);
  const startMs = performance.now();
  await network.takeSnapshot();
  const snapshotSeconds = (performance.now() - startMs) / 1000;
  const { peakBytes } = await statOf(primary.pid);
  const figures: Figure[] = [{
    group: "network",
    what: "1 GB of state, from the vote for a snapshot to its receipt",
    value: snapshotSeconds,
    unit: "s",
    note: `memory ${gb(before.residentBytes)} before, at most ${gb(peakBytes)} until then`,
  }];
  for (const [how, fetchSnapshot] of [["a snapshot", true], ["the first entry on", false]] as const) {
    const startMs = performance.now();
    const joiner = await network.startJoiner({ fetchSnapshot });
    await network.trust(joiner);
    const value = (performance.now() - startMs) / 1000;
    const [joined, primaryStat] = await Promise.all([statOf(joiner.pid), statOf(primary.pid)]);
    figures.push({
      group: "network",
      what: `1 GB of state, a joiner from its start to the last commit, from ${how}`,
      value,
      unit: "s",
      note: `memory at most ${gb(joined.peakBytes)}, of the primary ${gb(primaryStat.peakBytes)}`,
    });
    await network.retire(joiner);
  }
  return figures;
}

function gb(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
