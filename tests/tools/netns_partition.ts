/**
 * Three nodes, each on a machine of its own as far as the network goes: Linux network namespaces behind a bridge. What a
 * proxy cannot do happens here: packets vanish, and nobody is told that a connection is lost.
 *
 * In: nothing; it takes root, and the commands `ip` and `tc`. Out: a line for each step; everything is taken down again.
 * Not a part of the tests:
 *
 *     deno run -A tests/tools/netns_partition.ts
 */

import { strict as assert } from "node:assert";
import { stopAndVerify } from "../e2e/network_ledgers.ts";
import { Load } from "../e2e/network_load.ts";
import { type Machine, parseTx, RunningNetwork, type RunningNode, sleep } from "../e2e/network_nodes.ts";

const COUNT = 3;
/** A network of its own; .254 is this side of the bridge. */
const PREFIX = "10.231.77";
/** Names of links are at most 15 characters. */
const TAG = `q${Deno.pid % 100_000}`;
const BRIDGE = `${TAG}br`;

const machines: readonly Machine[] = Array.from({ length: COUNT }, (_, i) => ({
  address: `${PREFIX}.${i + 1}`,
  enter: ["ip", "netns", "exec", `${TAG}n${i}`],
}));

function setUp(): void {
  run("ip", "link", "add", BRIDGE, "type", "bridge");
  run("ip", "addr", "add", `${PREFIX}.254/24`, "dev", BRIDGE);
  run("ip", "link", "set", BRIDGE, "up");
  for (const [i, { address, enter }] of machines.entries()) {
    run("ip", "netns", "add", `${TAG}n${i}`);
    run("ip", "link", "add", `${TAG}v${i}`, "type", "veth", "peer", "name", "eth0", "netns", `${TAG}n${i}`);
    run("ip", "link", "set", `${TAG}v${i}`, "master", BRIDGE, "up");
    run(...enter, "ip", "link", "set", "lo", "up");
    run(...enter, "ip", "addr", "add", `${address}/24`, "dev", "eth0");
    run(...enter, "ip", "link", "set", "eth0", "up");
  }
}

function takeDown(): void {
  for (let i = 0; i < COUNT; i++) tryRun("ip", "netns", "del", `${TAG}n${i}`);
  for (let i = 0; i < COUNT; i++) tryRun("ip", "link", "del", `${TAG}v${i}`);
  tryRun("ip", "link", "del", BRIDGE);
}

function run(...command: readonly string[]): void {
  const why = tryRun(...command);
  if (why !== undefined) throw new Error(`Cannot ${command.join(" ")}: ${why}`);
}

/** @returns why it failed */
function tryRun(...[program, ...args]: readonly string[]): string | undefined {
  const { success, stderr } = new Deno.Command(program!, { args, stdout: "null" }).outputSync();
  return success ? undefined : new TextDecoder().decode(stderr).trim();
}

const numberOf = (node: RunningNode) => Number(node.name.slice("node".length));

/** The machine is unplugged, from clients too. */
function plug(node: RunningNode, how: "up" | "down"): void {
  run("ip", "link", "set", `${TAG}v${numberOf(node)}`, how);
}

/** What one node sends to another vanishes; others and clients notice nothing. */
function swallow(from: RunningNode, to: RunningNode, how: "add" | "del"): void {
  run(...machines[numberOf(from)]!.enter, "ip", "route", how, "blackhole", `${machines[numberOf(to)]!.address}/32`);
}

/** Every packet is late, and some are lost. @returns why that cannot be had: not every kernel has it */
function disturb(node: RunningNode, how: "add" | "del"): string | undefined {
  const netem = how === "add" ? ["netem", "delay", "40ms", "20ms", "loss", "5%"] : [];
  return tryRun(...machines[numberOf(node)]!.enter, "tc", "qdisc", how, "dev", "eth0", "root", ...netem);
}

async function withoutPrimary(
  what: string,
  network: RunningNetwork,
  load: Load,
  fault: (primary: RunningNode, others: readonly RunningNode[]) => void,
  repair: (primary: RunningNode, others: readonly RunningNode[]) => void,
): Promise<void> {
  const primary = await network.primary();
  const { view } = parseTx(await network.commitOf(primary));
  const others = network.nodes.filter((node) => node !== primary);
  fault(primary, others);
  await network.primary(others);
  await load.more(40);
  const { ms } = load.withoutWrites(view);
  repair(primary, others);
  const { seqno } = parseTx(await network.commitOf(others[0]!));
  await network.eventually("the old primary has caught up", async () => {
    return parseTx(await network.commitOf(primary)).seqno >= seqno ? true : undefined;
  });
  console.log(`${what}: ${ms} ms without writes, with an election timeout of ${network.electionTimeoutMs} ms`);
}

async function main(): Promise<void> {
  await using network = await RunningNetwork.start({ nodes: COUNT, machines });
  const load = new Load(network, "netns");
  await load.more(40);
  await withoutPrimary(
    "The primary's machine is unplugged",
    network,
    load,
    (primary) => plug(primary, "down"),
    (primary) => plug(primary, "up"),
  );
  await withoutPrimary(
    "What the primary sends to others vanishes",
    network,
    load,
    (primary, others) => others.forEach((other) => swallow(primary, other, "add")),
    (primary, others) => others.forEach((other) => swallow(primary, other, "del")),
  );
  await withoutPrimary(
    "What others send to the primary vanishes",
    network,
    load,
    (primary, others) => others.forEach((other) => swallow(other, primary, "add")),
    (primary, others) => others.forEach((other) => swallow(other, primary, "del")),
  );
  const [missing] = network.nodes.map((node) => disturb(node, "add"));
  if (missing !== undefined) console.log(`Loss and delay are left out: ${missing}`);
  else {
    const before = load.writes.length;
    await sleep(10_000);
    assert(load.writes.length > before);
    console.log(`5 % loss and 40 ms: ${load.writes.length - before} writes in 10 s`);
    for (const node of network.nodes) disturb(node, "del");
  }
  await load.stop();
  console.log(load.describe());
  await stopAndVerify(network, load);
  console.log("Every ledger verifies, all agree, and what was told is true");
}

if (import.meta.main) {
  try {
    setUp();
    await main();
  } finally {
    takeDown();
  }
}
