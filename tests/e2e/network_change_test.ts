import { strict as assert } from "node:assert";
import { stopAndVerify } from "./network_ledgers.ts";
import { Load } from "./network_load.ts";
import { RunningNetwork } from "./network_nodes.ts";

Deno.test("every node of a network is replaced under load, by nodes that start from a snapshot and by some that do not", async (t) => {
  await using network = await RunningNetwork.start({ nodes: 3, chunkSize: "20KB" });
  const load = new Load(network, "replace");
  const first = [...network.nodes];
  await load.more(40);

  for (const [i, old] of first.entries()) {
    // First without: a node that has begun with a snapshot itself takes nobody without one.
    const fetchSnapshot = i !== 0;
    await t.step(`node ${i} goes, and one comes ${fetchSnapshot ? "with" : "without"} a snapshot`, async () => {
      if (fetchSnapshot) await network.takeSnapshot();
      const joiner = await network.join({ fetchSnapshot });
      assert.equal(/Starting from the snapshot/.test(joiner.log()), fetchSnapshot);
      await network.retire(old);
      await load.more(20);
    });
  }

  await t.step("nobody of the first nodes is left, nothing is lost, and every ledger verifies", async () => {
    const { nodes } = await network.json(await network.primary(), "/node/network/nodes");
    const ids = nodes.map(({ node_id }: { node_id: string }) => node_id).sort();
    assert.deepEqual(ids, network.live.map(({ id }) => id).sort());
    await load.stop();
    console.log(`every node replaced: ${load.describe()}`);
    await stopAndVerify(network, load);
  });
});
