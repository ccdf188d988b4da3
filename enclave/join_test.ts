import { strict as assert } from "node:assert";
import type { HttpResponse } from "./messages.ts";
import { loadNativePowers } from "./native_powers.ts";
import { toUtf8 } from "../shared/bytes.ts";
import { MAX_EARLY_KEY_EXCHANGES } from "../shared/limits.ts";
import { startNetwork } from "../tests/inline_network.ts";
import { decide } from "../tests/members.ts";
import { InlineNode, type OutsideOutput } from "../tests/inline_node.ts";
import { startInlineService } from "../tests/inline_service.ts";

type Question = OutsideOutput & { readonly kind: "httpRequest" };

/** A node that asks every 100 ms, and is answered by the test. */
async function withJoiner(
  run: (joiner: InlineNode, asked: readonly Question[], answer: Answer) => void,
): Promise<void> {
  const workspace = await Deno.makeTempDir({ prefix: "quorate_join_" });
  try {
    const powers = await loadNativePowers();
    const { node: first, config } = await startInlineService(workspace, "native", { powers });
    const { service: _, ...common } = config;
    const joiner = InlineNode.join(powers, {
      ...common,
      logLevel: "info",
      servicePem: first.servicePem,
      targetAddress: "service.example:443",
      retryTimeoutMs: 100,
      followRedirect: true,
    }, first.nowMs);
    const asked: Question[] = [];
    joiner.outside = (output) => void (output.kind === "httpRequest" && asked.push(output));
    joiner.advance(0);
    run(joiner, asked, (response) => {
      joiner.send({ kind: "httpResult", id: asked.at(-1)!.id, response });
      joiner.advance(100);
    });
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
}

type Answer = (response: HttpResponse | null) => void;

const redirect = (address: string): HttpResponse => ({
  status: 308,
  headers: [["location", `https://${address}/node/join`]],
  body: new Uint8Array(),
});

Deno.test("Joining goes back to the configured address where the node that it was sent to does not answer", async () => {
  await withJoiner((_, asked, answer) => {
    answer(redirect("10.0.0.1:443"));
    answer(null);
    answer(redirect("10.0.0.2:443"));
    answer({ status: 503, headers: [], body: new Uint8Array() });
    assert.deepEqual(asked.map(({ address }) => address), [
      "service.example:443",
      "10.0.0.1:443",
      "service.example:443",
      "10.0.0.2:443",
      "service.example:443",
    ]);
  });
});

const pendingAt = (joiner: InlineNode): HttpResponse => ({
  status: 200,
  headers: [],
  body: toUtf8(`{"node_id":"${joiner.nodeId}","node_status":"Pending"}`),
});

Deno.test("a node that waits asks where it is known and at the configured address in turn, since either may be gone", async () => {
  await withJoiner((joiner, asked, answer) => {
    answer(redirect("10.0.0.1:443"));
    answer(pendingAt(joiner));
    answer(null);
    answer(pendingAt(joiner));
    answer(pendingAt(joiner));
    assert.deepEqual(asked.map(({ address }) => address), [
      "service.example:443",
      "10.0.0.1:443",
      "service.example:443",
      "10.0.0.1:443",
      "service.example:443",
      "10.0.0.1:443",
    ]);
  });
});

Deno.test("a node that began too early for one node of the service waits for the others that have its request", async () => {
  const old: HttpResponse = {
    status: 400,
    headers: [],
    body: toUtf8(`{"error":{"code":"StartupSeqnoIsOld","message":"from another snapshot"}}`),
  };
  await withJoiner((joiner, asked, answer) => {
    answer(pendingAt(joiner));
    answer(old);
    assert.equal(asked.length, 3, "it asks again");
    answer({ ...old, body: toUtf8(`{"error":{"code":"InvalidNodeState","message":"retired"}}`) });
    assert.match(joiner.fatal ?? "", /InvalidNodeState/);
  });
  await withJoiner((joiner, _, answer) => {
    answer(old);
    assert.match(joiner.fatal ?? "", /StartupSeqnoIsOld/, "nobody has its request: it may begin again");
  });
});

Deno.test("a node that waits says so once a minute, and at once what has changed", async () => {
  await withJoiner((joiner, asked, answer) => {
    const lines = () => joiner.logs.filter((line) => / join /.test(line)).length;
    const pending = pendingAt(joiner);
    for (let i = 0; i < 590; i++) answer(pending);
    assert.deepEqual([asked.length, lines()], [591, 1]);
    for (let i = 0; i < 20; i++) answer(pending);
    assert.equal(lines(), 2, "a minute has passed");
    answer(null);
    assert.equal(lines(), 3);
    for (let i = 0; i < 20; i++) {
      answer(redirect("10.0.0.1:443"));
      answer(null);
    }
    assert.equal(lines(), 4, "where it is sent, and no more of what comes of it");
  });
});

/**
 * Trusts a node that waits, and counts the time until it has all that is committed.
 *
 * @param meanwhile is called once the leader has begun to speak to the node, which does not know yet that it is trusted
 */
async function msUntilUpToDate(meanwhile: (joiner: InlineNode, leader: InlineNode) => void): Promise<number> {
  const { network, service } = await startNetwork();
  const joiner = network.join();
  network.advance(100);
  assert.equal(joiner.enclave.node!.state, "Pending");
  const action = {
    name: "transition_node_to_trusted",
    args: { node_id: joiner.nodeId, valid_from: "2026-01-01T00:00:00Z" },
  };
  assert.equal(decide({ ...service, node: network.primary }, action).status, 200);
  let ms = 0;
  const pass = () => {
    network.advance(10);
    ms += 10;
  };
  for (let i = 0; i < 20; i++) pass();
  assert.equal(joiner.enclave.node!.state, "Pending", "it asks once a second");
  meanwhile(joiner, network.primary);
  const { nodeId } = network.primary;
  while (joiner.committed === 0 || joiner.committed < network.primary.committed) {
    pass();
    assert.ok(ms < 10_000, joiner.logs.join("\n"));
  }
  assert.equal(joiner.enclave.node!.primaryId, nodeId);
  assert.equal(network.primary.enclave.node!.view, 2, "nobody had to be elected");
  return ms;
}

/** As from anybody who has reached the port. */
function strangers(joiner: InlineNode, count: number, from: string): void {
  for (let i = 0; i < count; i++) {
    const payload = toUtf8("no key exchange");
    joiner.send({ kind: "nodeInbound", connection: 1000 + i, from, messageType: 0, payload });
  }
}

Deno.test("a node that is trusted is up to date soon after it has asked, with what its leader said meanwhile", async () => {
  const ms = await msUntilUpToDate(() => {});
  assert.ok(ms <= 1200, `${ms} ms`);
});

Deno.test("strangers that say they are the leader hold up no new node, until they have more connections than it keeps", async () => {
  const few = await msUntilUpToDate((joiner, leader) => {
    for (let times = 0; times < 10; times++) strangers(joiner, MAX_EARLY_KEY_EXCHANGES - 1, leader.nodeId);
  });
  assert.ok(few <= 1200, `${few} ms`);
  const many = await msUntilUpToDate((joiner, leader) => strangers(joiner, MAX_EARLY_KEY_EXCHANGES, leader.nodeId));
  assert.ok(many > 2000 && many <= 3300, `${many} ms: the leader begins again`);
});
