/**
 * Networks of one, three and five nodes, each a process of its own, under as much load as they take.
 *
 * In: how long. Out: writes at the primary, through a backup, and reads spread over all nodes, in a second; and the
 * processor time that a request takes of every process together, which says what a network costs on a machine with fewer
 * cores than nodes.
 */

import { type NetworkOptions, RunningNetwork, type RunningNode } from "../e2e/network_nodes.ts";
import { MESSAGE } from "./enclave.ts";
import type { Figure } from "./figure.ts";
import { runLoadProcess } from "./load_process.ts";
import { statOf } from "./process_stat.ts";

const NODES = [1, 3, 5] as const;
const CONNECTIONS = 64;
/** Different IDs. */
const VARIANTS = 1000;
/** A busy machine must not make nodes elect another primary while it is measured. */
export const UNHURRIED = { electionTimeoutMs: 30_000 } as const;

/** Writes in a second asked of three nodes on two cores. */
const TARGETS = { native: 8000, js: 5000 } as const;

interface Load {
  readonly network: RunningNetwork;
  readonly nodes: readonly RunningNode[];
  readonly method: "GET" | "POST";
  readonly seconds: number;
}

interface Measured {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Microseconds of processor time a request: of each node, and of the load itself. */
  readonly nodeCpu: readonly number[];
  readonly clientCpu: number;
}

export async function benchNetworkRates(seconds: number): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const app of ["native", "js"] as const) {
    for (const nodes of NODES) figures.push(...await benchOne(app, nodes, seconds));
  }
  return figures;
}

async function benchOne(app: "native" | "js", nodes: number, seconds: number): Promise<Figure[]> {
  await using network = await startNetwork({ nodes, app, ...UNHURRIED });
  const primary = await network.primary();
  const backup = network.nodes.find((node) => node !== primary);
  const base = `${app} app, ${nodes === 1 ? "one node" : `${nodes} nodes`}`;
  const load = { network, seconds };
  const figures = [];
  const writes = await measure({ ...load, nodes: [primary], method: "POST" });
  figures.push(figure(`${base}, writes at the primary`, writes, nodes === 3 ? TARGETS[app] : undefined));
  if (backup !== undefined) {
    const forwarded = await measure({ ...load, nodes: [backup], method: "POST" });
    figures.push(figure(`${base}, writes through a backup`, forwarded));
  }
  const reads = await measure({ ...load, nodes: network.nodes, method: "GET" });
  figures.push(figure(`${base}, reads spread over all`, reads));
  return figures;
}

/** A network whose keys that are read are there. */
async function startNetwork(options: NetworkOptions): Promise<RunningNetwork> {
  const network = await RunningNetwork.start(options);
  try {
    await load(network, [await network.primary()], "POST", "once");
    await network.agreed();
    return network;
  } catch (error) {
    await network[Symbol.asyncDispose]();
    throw error;
  }
}

async function measure({ network, nodes, method, seconds }: Load): Promise<Measured> {
  await load(network, nodes, method, 1); // until the compilers have seen it
  const cpu = () => Promise.all(network.nodes.map(async ({ pid }) => (await statOf(pid)).cpuSeconds));
  const before = await cpu();
  const { requests, requestsPerSecond, p50Ms, p99Ms, clientCpu } = await load(network, nodes, method, seconds);
  const after = await cpu();
  return {
    perSecond: requestsPerSecond,
    p50Ms,
    p99Ms,
    nodeCpu: after.map((cpuSeconds, i) => 1e6 * (cpuSeconds - before[i]!) / requests),
    clientCpu: 1e6 * clientCpu / requestsPerSecond,
  };
}

function load(
  network: RunningNetwork,
  nodes: readonly RunningNode[],
  method: "GET" | "POST",
  seconds: number | "once",
) {
  return runLoadProcess({
    urls: nodes.map(({ url }) => `${url}/app/log/private${method === "GET" ? "?id={i}" : ""}`),
    method,
    body: method === "POST" ? `{"id":{i},"msg":"${MESSAGE}"}` : undefined,
    variants: VARIANTS,
    connections: CONNECTIONS,
    seconds,
    ...credentialsOf(network),
  });
}

/** With which the user of a network is known to it. */
export function credentialsOf(network: RunningNetwork) {
  return {
    serviceCertificate: network.credential("service_cert.pem"),
    credentials: { certificate: network.credential("user0_cert.pem"), key: network.credential("user0_privk.pem") },
  };
}

function figure(what: string, measured: Measured, target?: number): Figure {
  const { perSecond, p50Ms, p99Ms, nodeCpu, clientCpu } = measured;
  const all = nodeCpu.reduce((sum, cpu) => sum + cpu, clientCpu);
  return {
    group: "network",
    what,
    value: perSecond,
    unit: "/s",
    ...(target !== undefined && { target }),
    note: `p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms; ${Math.round(all)} µs of processor time: ` +
      `${nodeCpu.map((cpu) => Math.round(cpu)).join(" + ")}, client ${Math.round(clientCpu)}`,
  };
}
