/**
 * A network changes to new code, as operators and members do it, with real processes on the virtual platform: new code is
 * allowed by vote, nodes that run it come, those with the old code go, and then the old code is allowed no more.
 *
 * What stands for a node's code is set by its configuration, so that one checkout plays both.
 */

import { strict as assert } from "node:assert";
import { stopAndVerify } from "./network_ledgers.ts";
import { Load } from "./network_load.ts";
import { RunningNetwork, type RunningNode } from "./network_nodes.ts";

const OLD = "01".repeat(32);
const NEW = "02".repeat(32);

Deno.test("a network changes to new code under load, and lets the old code in no more", async (t) => {
  /** Of the node that starts next. */
  let code = OLD;
  await using network = await RunningNetwork.start({
    nodes: 3,
    chunkSize: "20KB",
    configure: (config) => config.attestation = { ...config.attestation, test_only_host_data: code },
  });
  const load = new Load(network, "code update");
  const oldNodes = [...network.nodes];
  await load.more(20);

  const allowed = async (): Promise<string[]> => {
    const policy = await network.json(await network.primary(), "/gov/service/join-policy?api-version=2024-07-01");
    return policy.virtual.hostData.sort();
  };
  /** Waits until a node is told that it may not join, and answers what the primary logged of it. */
  const refusalOf = async (joiner: RunningNode): Promise<string> => {
    await network.eventually(`${joiner.name} is refused`, () => {
      return Promise.resolve(/An error occurred while joining[^\n]*InvalidQuote/.test(joiner.log()) || undefined);
    });
    return await network.eventually("the primary says why", () => {
      const log = network.live.map((node) => node.log()).join("\n");
      return Promise.resolve(new RegExp(`Node ${joiner.id} is not let in: (.*)$`, "m").exec(log)?.[1]);
    });
  };

  code = NEW;
  const first = await network.startJoiner();
  await t.step("before members have decided, a node with new code is kept out and says why", async () => {
    assert.equal(
      await refusalOf(first),
      `host data ${NEW} is not in the join policy (host data: host_data_mismatch)`,
    );
    assert.deepEqual(await allowed(), [OLD]);
  });

  await t.step("members allow the new code, and the node that waits is taken in", async () => {
    await network.govern(
      [{ name: "add_virtual_host_data", args: { host_data: NEW } }],
      async () => (await allowed()).includes(NEW),
    );
    await network.trust(first);
    await load.more(20);
  });

  await t.step("nodes with new code take the place of all others", async () => {
    for (const [i, old] of oldNodes.entries()) {
      if (i > 0) await network.join();
      await network.retire(old);
      await load.more(10);
    }
    const { attestations } = await network.json(await network.primary(), "/node/attestations");
    const codes = attestations.map(({ raw }: { raw: string }) => JSON.parse(atob(raw)).host_data);
    assert.deepEqual(codes, [NEW, NEW, NEW], "nobody runs the old code");
  });

  await t.step("members take the old code back, and no node with it is let in", async () => {
    await network.govern(
      [{ name: "remove_virtual_host_data", args: { host_data: OLD } }],
      async () => !(await allowed()).includes(OLD),
    );
    assert.deepEqual(await allowed(), [NEW]);
    code = OLD;
    const late = await network.startJoiner();
    assert.equal(
      await refusalOf(late),
      `host data ${OLD} is not in the join policy (host data: host_data_mismatch)`,
    );
    const { nodes } = await network.json(await network.primary(), "/node/network/nodes");
    assert(!nodes.some(({ node_id }: { node_id: string }) => node_id === late.id), "it leaves no trace in the ledger");
    await late.stop();
  });

  await t.step("nothing was lost on the way, and every ledger verifies", async () => {
    await load.stop();
    await stopAndVerify(network, load);
  });
});
