/**
 * What the endpoints of a node say of itself and of others where it is not the primary.
 */

import { strict as assert } from "node:assert";
import { client, type ForwardingNetwork, networkTest } from "../../tests/forwarding_network.ts";
import { bodyText, headerOf } from "../../tests/inline_app.ts";

function get(network: ForwardingNetwork, target: string): Record<string, unknown> {
  const response = network.ask(client(), `GET ${target}`);
  assert.equal(response.status, 200, bodyText(response));
  return JSON.parse(bodyText(response));
}

networkTest("a backup says that it is one, and where the primary is", (network) => {
  const ask = (line: string, interfaceName?: string) => network.ask(client(interfaceName), line);
  const result = (line: string, interfaceName?: string) => network.result(client(interfaceName), line);
  assert.deepEqual([ask("GET /node/backup").status, ask("GET /node/backup").body.length], [200, 0]);
  assert.equal(result("GET /node/primary"), "404 ResourceNotFound Node is not primary");
  const head = ask("HEAD /node/primary");
  assert.deepEqual([head.status, head.body.length], [308, 0]);
  assert.equal(headerOf(head, "location"), "https://n.example:443/node/primary");
  const primary = network.primary.node.id;
  assert.equal(
    result("HEAD /node/primary", "unheard_of"),
    "500 InternalError Cannot redirect request. Received on RPC interface unheard_of, which is not present on target " +
      `node ${primary}`,
  );
  network.backup.role.primaryId = "ff";
  assert.equal(
    result("HEAD /node/primary"),
    "500 InternalError Cannot find node info to produce redirect response for node ff",
  );
  assert.equal(result("GET /node/network/nodes/primary"), "404 ResourceNotFound Node not found");
  network.backup.role.primaryId = undefined;
  assert.equal(result("HEAD /node/primary"), "500 InternalError Primary unknown");
  assert.equal(result("GET /node/network/nodes/primary"), "500 InternalError Primary unknown");
  assert.equal(get(network, "/node/network").primary_id, null);
  assert.equal(network.commands, 0, "none of them is asked of the primary");
});

networkTest("a backup marks the primary among the nodes", (network) => {
  const [primary, backup] = [network.primary.node.id, network.backup.node.id];
  assert.equal(get(network, "/node/network").primary_id, primary);
  assert.equal(get(network, "/node/network/nodes/primary").node_id, primary);
  assert.deepEqual(
    [get(network, "/node/network/nodes/self").node_id, get(network, "/node/network/nodes/self").primary],
    [backup, false],
  );
  const { nodes } = get(network, "/node/network/nodes") as { nodes: { node_id: string; primary: boolean }[] };
  assert.deepEqual(
    new Map(nodes.map((node) => [node.node_id, node.primary])),
    new Map([[primary, true], [backup, false]]),
  );
});
