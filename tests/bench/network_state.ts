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
/** So often each of the two is measured. */
const TURNS = 6;
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

/** Both networks run at once and are written to in turn, so that both see the same machine. */
async function benchGrowth(seconds: number): Promise<Figure[]> {
  await using small = await RunningNetwork.start({ nodes: 3, ...UNHURRIED, patienceMs: PATIENCE_MS });
  await using large = await RunningNetwork.start({ nodes: 3, ...UNHURRIED, patienceMs: PATIENCE_MS });
  const sides = await Promise.all(
    [{ network: small, keys: FEW_KEYS }, { network: large, keys: MANY_KEYS }].map(async ({ network, keys }) => ({
      network,
      keys,
      primary: await network.primary(),
      requests: 0,
      seconds: 0,
      cpuSeconds: 0,
    })),
  );
  for (const { network, primary, keys } of sides) await fill(network, primary, keys);
  for (let turn = 0; turn <= TURNS; turn++) {
    for (const side of sides) {
      const { requests, requestsPerSecond, cpuSeconds } = await writes(side.network, side.primary, side.keys, seconds);
      if (turn === 0) continue; // to warm up
      side.requests += requests;
      side.seconds += requests / requestsPerSecond;
      side.cpuSeconds += cpuSeconds;
    }
  }
  const figures = sides.map(({ keys, requests, seconds, cpuSeconds }): Figure => ({
    group: "network",
    what: `three nodes with ${keys.toLocaleString("en")} keys, writes`,
    value: requests / seconds,
    unit: "/s",
    note: `${Math.round(1e6 * cpuSeconds / requests)} µs of the nodes' processor time each`,
  }));
  const [few, many] = sides.map(({ requests, seconds, cpuSeconds }) => ({
    rate: requests / seconds,
    cpu: cpuSeconds / requests,
  }));
  const what = "of these writes with few keys, as many with many";
  const note = `by processor time ${(few!.cpu / many!.cpu).toFixed(2)}`;
  return [...figures, { group: "network", what, value: many!.rate / few!.rate, unit: "", target: MIN_RATIO, note }];
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
  const cpu = async () => {
    const stats = await Promise.all(network.nodes.map(({ pid }) => statOf(pid)));
    return stats.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
  };
  const before = await cpu();
  const { requests, requestsPerSecond } = await runLoadProcess({
    urls: [`${primary.url}/app/log/private`],
    method: "POST",
    body: `{"id":"{i}","msg":"${MESSAGE}"}`,
    variants: keys,
    connections: 64,
    seconds,
    ...credentialsOf(network),
  });
  return { requests, requestsPerSecond, cpuSeconds: await cpu() - before };
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
