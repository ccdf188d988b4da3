import { strict as assert } from "node:assert";
import { stopAndVerify } from "./network_ledgers.ts";
import { Load } from "./network_load.ts";
import { parseTx, RunningNetwork } from "./network_nodes.ts";

for (const [count, kills] of [[3, 1], [5, 2]] as const) {
  Deno.test(`${count} nodes lose nothing that was committed when ${kills} primaries are killed under load`, async () => {
    await using network = await RunningNetwork.start({ nodes: count });
    const load = new Load(network, "kill");
    const views: number[] = [];
    for (let i = 0; i < kills; i++) {
      await load.more(60);
      const primary = await network.primary();
      views.push(parseTx(await network.commitOf(primary)).view);
      await primary.kill();
      await network.primary();
    }
    await load.more(60);
    await load.stop();
    const pauses = views.map((view) => Math.round(load.withoutWrites(view)));
    console.log(
      `${count} nodes: ${pauses.join(" ms, ")} ms without writes after a kill, with an election timeout of ` +
        `${network.electionTimeoutMs} ms; ${load.describe()}`,
    );
    assert(load.committed.length >= 60 * kills);
    await stopAndVerify(network, load);
    for (const ms of pauses) assert(ms <= 1.5 * network.electionTimeoutMs, `${ms} ms without writes`);
  });
}
