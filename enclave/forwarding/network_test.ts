/**
 * Clients of backups, with all that lies between nodes: whole enclaves, channels, consensus.
 */

import { strict as assert } from "node:assert";
import { startNetwork } from "../../tests/inline_network.ts";
import type { InlineNode, InlineRequest } from "../../tests/inline_node.ts";
import { bodyText, headerOf, odataError } from "../../tests/inline_app.ts";
import type { HttpResponse } from "../messages.ts";

/** Three nodes of an open service, of which the first leads, and a user of it. */
async function start() {
  const { network, service } = await startNetwork();
  return { network, certificate: service.userCertificate };
}

const post = (id: number, msg: string): InlineRequest => ({
  method: "POST",
  target: "/app/log/private",
  body: { id, msg },
});
const get = (id: number): InlineRequest => ({ method: "GET", target: `/app/log/private?id=${id}` });

Deno.test("clients of a backup write through it, read what they wrote at once, and find it committed everywhere", async () => {
  const { network, certificate } = await start();
  const [primary, backup, other] = network.nodes as [InlineNode, InlineNode, InlineNode];
  const ask = (node: InlineNode, request: InlineRequest) => network.request(node, { ...request, certificate });
  const written = ask(backup, post(1, "mine"));
  assert.equal(written.status, 200, bodyText(written));
  const txId = headerOf(written, "x-ms-ccf-transaction-id")!;
  assert.equal(bodyText(ask(backup, get(1))), '{"msg":"mine"}', "the same session");
  network.advance(1200);
  for (const node of network.nodes) {
    const { status } = JSON.parse(bodyText(ask(node, { method: "GET", target: `/app/tx?transaction_id=${txId}` })));
    assert.equal(status, "Committed");
    assert.equal(bodyText(ask(node, get(1))), '{"msg":"mine"}');
  }
  // Governance is forwarded like anything else that writes; what says nothing is refused by the primary.
  const refused = network.request(other, {
    method: "POST",
    target: "/gov/members/proposals:create?api-version=2024-07-01",
  });
  assert.equal(refused.status, 401);
  const rpc = { jsonrpc: "2.0", id: 1, method: "app/postLogPrivate", params: { id: 2, msg: "called" } };
  const called = ask(other, {
    method: "POST",
    target: "/rpc",
    body: [rpc, { ...rpc, id: 2, method: "node/getPrimary" }],
  });
  const [first, second] = JSON.parse(bodyText(called));
  assert.equal(first.result, true);
  assert.equal(second.error.message, "Node is not primary");
  assert.equal(bodyText(ask(primary, get(2))), '{"msg":"called"}');
});

Deno.test("every node says who leads, and a backup what consensus is", async () => {
  const { network } = await start();
  const [primary, backup] = network.nodes as [InlineNode, InlineNode];
  const json = (node: InlineNode, target: string) =>
    JSON.parse(bodyText(network.request(node, { method: "GET", target })));
  const ids = network.nodes.map(({ nodeId }) => nodeId).toSorted();
  for (const node of network.nodes) {
    assert.equal(json(node, "/node/network").primary_id, primary.nodeId);
    assert.deepEqual(Object.keys(json(node, "/node/config")).toSorted(), ids);
    const { details } = json(node, "/node/consensus");
    assert.equal(details.primary_id, primary.nodeId);
    assert.equal(details.leadership_state, node === primary ? "Leader" : "Follower");
    assert.deepEqual(Object.keys(details.configs.at(-1).nodes).toSorted(), ids);
  }
  const acks = (node: InlineNode) => Object.keys(json(node, "/node/consensus").details.acks);
  assert.deepEqual(acks(primary).toSorted(), ids.filter((id) => id !== primary.nodeId));
  const head = network.request(backup, { method: "HEAD", target: "/node/primary" });
  assert.deepEqual([head.status, headerOf(head, "location")], [308, "https://127.0.0.1:8000/node/primary"]);
});

Deno.test("a client of a backup that is cut off is told so in time", async () => {
  const { network, certificate } = await start();
  const [first, second] = network.nodes as [InlineNode, InlineNode];
  network.isolate(second);
  const waiting = second.ask({ ...post(1, "lost"), certificate });
  network.advance(2990);
  assert.equal(second.takeResponse(waiting), undefined);
  network.advance(20);
  const late = second.takeResponse(waiting)!;
  assert.equal(late.status, 504);
  assert.equal(
    bodyText(late),
    `Request was forwarded to node ${first.nodeId}, but no response was received after 3000ms`,
  );
});

Deno.test("a client whose primary is gone is told so once another leads, and its session ends with the view", async () => {
  const { network, certificate } = await start();
  const [first, second, third] = network.nodes as [InlineNode, InlineNode, InlineNode];
  const ask = (node: InlineNode, request: InlineRequest) => network.request(node, { ...request, certificate });
  assert.equal(ask(second, post(1, "one")).status, 200);
  network.advance(1200);
  network.kill(first);
  network.advance(2300); // half of the election timeout is not over, so nobody is impatient
  const waiting = second.ask({ ...post(2, "lost"), certificate });
  while (second.enclave.node!.primaryId === first.nodeId) network.advance(10);
  while (second.enclave.node!.primaryId === undefined) network.advance(10);
  assert.equal(second.takeResponse(waiting), undefined);
  network.advance(110);
  const told = second.takeResponse(waiting)!;
  assert.equal(told.status, 504);
  assert.equal(
    bodyText(told),
    `Request was forwarded to node ${first.nodeId}, but no response was received before another node became primary; ` +
      "whether it was executed is not known",
  );
  const next = network.primary;
  const ended: HttpResponse = ask(second, get(1));
  assert.deepEqual([ended.status, odataError(ended).code, ended.close], [500, "SessionConsistencyLost", true]);
  network.nodes.forEach((node) => node.reconnect());
  const backup = next === second ? third : second;
  assert.equal(ask(backup, post(3, "three")).status, 200);
  network.advance(1200);
  assert.equal(bodyText(ask(next, get(3))), '{"msg":"three"}');
  assert.equal(ask(next, get(2)).status, 404, "what was forwarded to the dead has never been");
});
