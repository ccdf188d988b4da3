import { strict as assert } from "node:assert";
import { toUtf8 } from "../shared/bytes.ts";
import { NODES_INFO } from "../shared/governance/tables.ts";
import { startNetwork } from "../tests/inline_network.ts";

/** The same choices each time. */
function* choices(seed: number): Generator<number> {
  for (let state = seed;;) {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    yield state / 2 ** 31;
  }
}

Deno.test("whatever a constitution writes into the table of nodes, no node stops", async () => {
  for (const seed of [1, 2, 3, 4]) {
    const { network, service } = await startNetwork();
    const choice = choices(seed);
    const pick = <T>(of: readonly T[]): T => of[Math.floor(choice.next().value! * of.length)]!;
    const info = service.node.enclave.node!.store.beginReadOnly().open(NODES_INFO).get(service.node.nodeId)!;
    for (let step = 0; step < 40; step++) {
      const leaders = network.nodes.filter(({ enclave }) => enclave.node!.canReplicate);
      if (leaders.length === 0) break; // what was written has left nobody who could lead
      pick(leaders).write((tx) => {
        const id = pick([...network.nodes.map(({ nodeId }) => nodeId), "ab".repeat(32)]);
        const status = pick(["Trusted", "Pending", "Retired", "Retired"] as const);
        const row = { ...info, status, ...pick([{}, { retired_committed: true }]) };
        pick([
          () => tx.open(NODES_INFO).put(id, row),
          () => tx.open(NODES_INFO).put(id, row),
          () => tx.openRaw(NODES_INFO.name).put(NODES_INFO.key.encode(id), toUtf8(pick(["{}", "x", "[1]"]))),
          () => tx.open(NODES_INFO).remove(id),
        ])();
      });
      network.advance(pick([0, 20, 1100, 6000]));
      for (const node of network.nodes) assert.equal(node.fatal, undefined, `seed ${seed}, step ${step}`);
    }
  }
});
