/**
 * Everything that can happen to a network, at random, for as long as one likes: to find what no test thought of.
 *
 * In: minutes, and a seed that chooses what happens; when it happens is up to the machine. Out: one line for each event; in
 * the end every ledger is verified, all are compared, and what users were told is looked up. It is no test by itself:
 *
 *     deno run -A tests/e2e/network_chaos.ts --minutes 5 --seed 1
 */

import { parseArgs } from "node:util";
import { SeededRandom } from "../sim/random.ts";
import { stopAndVerify } from "./network_ledgers.ts";
import { Load } from "./network_load.ts";
import { RunningNetwork, type RunningNode, sleep } from "./network_nodes.ts";

/** One may be dead and another out of reach, and a majority is still there. */
const NODES = 5;

class Chaos {
  readonly #network: RunningNetwork;
  readonly #random: SeededRandom;
  readonly #startMs = performance.now();

  constructor(network: RunningNetwork, seed: number) {
    this.#network = network;
    this.#random = new SeededRandom(seed);
  }

  async run(minutes: number, load: Load): Promise<void> {
    const untilMs = performance.now() + minutes * 60_000;
    while (performance.now() < untilMs) {
      await load.more(20);
      await this.#happen();
    }
  }

  async #happen(): Promise<void> {
    const kind = this.#random.below(10);
    if (kind < 4) return await this.#trouble();
    if (kind < 5) return await this.#partition();
    if (kind < 6) return await this.#decide();
    const trouble = this.#random.chance(0.5) ? this.#trouble() : Promise.resolve();
    await (kind < 8 ? this.#killAndReplace() : this.#replace());
    await trouble;
  }

  /** One node is slow, silent or out of reach for a while. */
  async #trouble(): Promise<void> {
    const node = await this.#pick();
    const ms = this.#random.between(200, 3000);
    const kind = this.#random.below(6);
    const others = this.#network.live.filter((other) => other !== node);
    this.#say(`${node.name}: ${["paused", "cut off", "unheard", "deaf", "stalled", "slow"][kind]} for ${ms} ms`);
    if (kind === 0) node.pause();
    if (kind === 1 || kind === 3) { for (const other of others) node.proxy!.cutNode(other.id); }
    if (kind === 1 || kind === 2) { for (const other of others) other.proxy!.cutNode(node.id); }
    if (kind === 4) node.proxy!.stall();
    if (kind === 5) node.proxy!.delay(this.#random.between(10, 300));
    await sleep(ms);
    if (kind === 0 && !node.hasEnded) node.resume();
    for (const { proxy } of this.#network.live) proxy!.heal();
  }

  /** A majority and the rest. */
  async #partition(): Promise<void> {
    const nodes = this.#random.shuffled(this.#network.live);
    const few = nodes.splice(0, Math.floor((nodes.length - 1) / 2));
    const ms = this.#random.between(500, 4000);
    this.#say(`${few.map(({ name }) => name).join(" and ")} apart from the others for ${ms} ms`);
    for (const a of few) {
      for (const b of nodes) {
        a.proxy!.cutNode(b.id);
        b.proxy!.cutNode(a.id);
      }
    }
    await sleep(ms);
    for (const { proxy } of this.#network.live) proxy!.heal();
  }

  /** Members change what has effects on nodes. */
  async #decide(): Promise<void> {
    const name = this.#random.pick(["trigger_ledger_rekey", "trigger_ledger_chunk", "trigger_recovery_shares_refresh"]);
    this.#say(name);
    let asked = false;
    await this.#network.govern([{ name }], () => Promise.resolve(asked || !(asked = true)));
  }

  async #killAndReplace(): Promise<void> {
    const old = await this.#pick();
    this.#say(`${old.name} is killed`);
    await old.kill();
    await this.#join(this.#random.chance(0.5) ? old : undefined);
    this.#say(`${old.name} is retired`);
    await this.#network.retire(old);
  }

  async #replace(): Promise<void> {
    const old = await this.#pick();
    await this.#join(undefined);
    this.#say(`${old.name} is retired and stopped`);
    await this.#network.retire(old);
  }

  async #join(inPlaceOf: RunningNode | undefined): Promise<void> {
    if (this.#random.chance(0.3)) await this.#network.takeSnapshot();
    const fetchSnapshot = this.#random.chance(0.7);
    const place = inPlaceOf === undefined ? {} : { inPlaceOf };
    let joiner: RunningNode;
    try {
      joiner = await this.#network.join({ ...place, fetchSnapshot });
    } catch (error) {
      // A primary that began with a snapshot has not got what is older.
      if (!String(error).includes("StartupSeqnoIsOld")) throw error;
      this.#say("a joiner without a snapshot is refused");
      await this.#network.takeSnapshot();
      joiner = await this.#network.join();
    }
    this.#say(`${joiner.name} has joined${inPlaceOf === undefined ? "" : " with what the dead one left"}`);
  }

  /** The primary more often than others. */
  async #pick(): Promise<RunningNode> {
    return this.#random.chance(0.5) ? await this.#network.primary() : this.#random.pick(this.#network.live);
  }

  #say(what: string): void {
    console.log(`${((performance.now() - this.#startMs) / 1000).toFixed(1).padStart(7)} s  ${what}`);
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { minutes: { type: "string", default: "2" }, seed: { type: "string", default: "1" } },
  });
  await using network = await RunningNetwork.start({ nodes: NODES, proxied: true, chunkSize: "30KB" });
  const load = new Load(network, "chaos");
  await new Chaos(network, Number(values.seed)).run(Number(values.minutes), load);
  await load.stop();
  console.log(load.describe());
  await stopAndVerify(network, load);
  console.log("Every ledger verifies, all agree, and what was told is true");
}
