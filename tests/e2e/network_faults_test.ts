import { strict as assert } from "node:assert";
import { stopAndVerify } from "./network_ledgers.ts";
import { Load } from "./network_load.ts";
import { parseTx, RunningNetwork, type RunningNode, sleep } from "./network_nodes.ts";

/** Cuts every way between the two sides. */
function cutBetween(one: readonly RunningNode[], other: readonly RunningNode[]): void {
  for (const a of one) {
    for (const b of other) {
      a.proxy!.cutNode(b.id);
      b.proxy!.cutNode(a.id);
    }
  }
}

/** Writes a message to one node. @returns its transaction ID, or undefined where the node does not take it */
async function write(network: RunningNetwork, node: RunningNode, id: string): Promise<string | undefined> {
  const body = JSON.stringify({ id, msg: `written as ${id}` });
  const { status, headers } = await network.request(node, "POST", "/app/log/private", { as: "user0", body });
  return status === 200 ? headers.get("x-ms-ccf-transaction-id")! : undefined;
}

Deno.test("nodes that are paused, and nodes that are cut off, cost the network nothing that was committed", async (t) => {
  await using network = await RunningNetwork.start({ nodes: 3, proxied: true });
  const load = new Load(network, "faults");
  const { electionTimeoutMs } = network;
  /** Of primaries that were lost in one way or another. */
  const views: number[] = [];

  await t.step("a backup that is paused is not missed, and catches up", async () => {
    const primary = await network.primary();
    const backup = network.nodes.find((node) => node !== primary)!;
    backup.pause();
    await load.more(40);
    await sleep(2 * electionTimeoutMs);
    const { seqno } = parseTx(await network.commitOf(await network.primary(network.nodes.filter((n) => n !== backup))));
    backup.resume();
    await network.eventually("the backup has caught up", async () => {
      return parseTx(await network.commitOf(backup)).seqno >= seqno ? true : undefined;
    });
  });

  await t.step("a primary that is paused is replaced, and follows when it wakes", async () => {
    const primary = await network.primary();
    const { view } = parseTx(await network.commitOf(primary));
    views.push(view);
    const others = network.nodes.filter((node) => node !== primary);
    primary.pause();
    const next = await network.primary(others);
    await load.more(40);
    primary.resume();
    await network.eventually("the old primary follows", async () => {
      const { primary_id, current_view } = await network.json(primary, "/node/network");
      return primary_id === (await network.primary(others)).id && current_view > view ? true : undefined;
    });
    assert.notEqual(next.id, primary.id);
  });

  await t.step("a primary that is cut off commits nothing, and what only it has becomes invalid", async () => {
    // It takes writes until it notices, which it may have before the first, on a machine that is busy.
    const { primary, view, others, lonely } = await network.eventually("a primary that is cut off writes", async () => {
      const primary = await network.primary();
      const { view } = parseTx(await network.commitOf(primary));
      const others = network.nodes.filter((node) => node !== primary);
      cutBetween([primary], others);
      const lonely: string[] = [];
      for (let i = 0; i < 5; i++) {
        const txId = await write(network, primary, `lonely.${i}`).catch(() => undefined);
        if (txId !== undefined) lonely.push(txId);
      }
      if (lonely.length > 0) return { primary, view, others, lonely };
      for (const { proxy } of network.nodes) proxy!.heal();
      return undefined;
    });
    views.push(view);
    assert(lonely.every((txId) => parseTx(txId).view === view));
    await network.primary(others);
    await load.more(40);
    for (const txId of lonely) assert.notEqual(await network.statusOf(primary, txId), "Committed");
    await network.eventually("it steps down without a majority that answers", async () => {
      const { leadership_state } = (await network.json(primary, "/node/consensus")).details;
      return leadership_state === "Leader" ? undefined : true;
    });

    for (const { proxy } of network.nodes) proxy!.heal();
    for (const txId of lonely) {
      for (const node of network.nodes) {
        await network.eventually(`${txId} is invalid at ${node.name}`, async () => {
          return await network.statusOf(node, txId) === "Invalid" ? true : undefined;
        });
      }
    }
    for (const i of lonely.keys()) {
      const { status } = await network.request(others[0]!, "GET", `/app/log/private?id=lonely.${i}`, { as: "user0" });
      assert.equal(status, 404);
    }
  });

  for (
    const [what, cut] of [
      ["that nobody hears", (primary: RunningNode, other: RunningNode) => other.proxy!.cutNode(primary.id)],
      ["that hears nobody", (primary: RunningNode, other: RunningNode) => primary.proxy!.cutNode(other.id)],
    ] as const
  ) {
    await t.step(`a primary ${what} is replaced, and follows when both ways are open again`, async () => {
      const primary = await network.primary();
      const { view } = parseTx(await network.commitOf(primary));
      views.push(view);
      const others = network.nodes.filter((node) => node !== primary);
      for (const other of others) cut(primary, other);
      await network.eventually("another leads", async () => {
        return (await network.primary(others)) !== primary ? true : undefined;
      });
      await load.more(20);
      for (const { proxy } of network.nodes) proxy!.heal();
      await network.eventually("all follow one", async () => {
        const next = await network.primary();
        const named = await Promise.all(network.nodes.map(async (node) => {
          return (await network.json(node, "/node/network")).primary_id;
        }));
        return named.every((id) => id === next.id) ? true : undefined;
      });
    });
  }

  await t.step("while nobody reaches anybody nothing is committed, and afterwards everything goes on", async () => {
    const [a, b, c] = network.nodes as [RunningNode, RunningNode, RunningNode];
    cutBetween([a], [b, c]);
    cutBetween([b], [c]);
    await sleep(2 * electionTimeoutMs);
    const before = await Promise.all(network.nodes.map((node) => network.commitOf(node)));
    await sleep(2 * electionTimeoutMs);
    const after = await Promise.all(network.nodes.map((node) => network.commitOf(node)));
    assert.deepEqual(after, before);
    for (const { proxy } of network.nodes) proxy!.heal();
    await network.primary();
    await load.more(40);
  });

  await t.step("all agree, and every ledger verifies", async () => {
    await load.stop();
    const [paused, cutOff, unheard, deaf] = views.map((view) => load.withoutWrites(view).ms);
    console.log(
      `3 nodes, election timeout ${electionTimeoutMs} ms: without writes for ${paused} ms after the primary was paused, ` +
        `${cutOff} ms when it was cut off, ${unheard} ms when nobody heard it, ${deaf} ms when it heard nobody; ` +
        load.describe(),
    );
    await stopAndVerify(network, load);
  });
});
