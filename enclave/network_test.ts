import { strict as assert } from "node:assert";
import { fromUtf8, toHex } from "../shared/bytes.ts";
import { LedgerVerifier } from "../shared/ledger/replay.ts";
import { InlineNetwork } from "../tests/inline_network.ts";
import type { InlineNode } from "../tests/inline_node.ts";
import { type InlineService, startInlineService } from "../tests/inline_service.ts";
import { loadNativePowers } from "./native_powers.ts";

interface Network {
  readonly network: InlineNetwork;
  readonly service: InlineService;
}

/** Three nodes of an open service. */
async function startNetwork(): Promise<Network> {
  const workspace = await Deno.makeTempDir({ prefix: "quorate_network_" });
  try {
    const powers = await loadNativePowers();
    const service = await startInlineService(workspace, "native", { powers, closed: true });
    const network = new InlineNetwork(powers, service);
    network.join();
    network.advance(100);
    network.join();
    network.advance(1200);
    network.open(service.sandbox.opening);
    return { network, service };
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
}

function write({ network, service }: Network, node: InlineNode, id: number, msg: string): string {
  const response = network.request(node, {
    method: "POST",
    target: "/app/log/private",
    headers: [["content-type", "application/json"]],
    body: { id, msg },
    certificate: service.userCertificate,
  });
  assert.equal(response.status, 200, fromUtf8(response.body));
  return response.headers.find(([name]) => name === "x-ms-ccf-transaction-id")![1];
}

function read({ network, service }: Network, node: InlineNode, id: number): unknown {
  const target = `/app/log/private?id=${id}`;
  const response = network.request(node, { method: "GET", target, certificate: service.userCertificate });
  return response.status === 200 ? JSON.parse(fromUtf8(response.body)).msg : response.status;
}

function statusOf({ network }: Network, node: InlineNode, txId: string): unknown {
  const { body } = network.request(node, { method: "GET", target: `/app/tx?transaction_id=${txId}` });
  return JSON.parse(fromUtf8(body)).status;
}

/** All nodes have one ledger, one tree and one state, and whoever replays the ledger accepts it. */
function requireAgreement({ network, service }: Network): void {
  const [first, ...others] = network.alive;
  for (const other of others) {
    assert.deepEqual(other.committed, first!.committed);
    for (let seqno = 1; seqno <= first!.committed; seqno++) {
      const entry = other.entries[seqno - 1];
      if (entry === undefined) continue; // before its snapshot
      assert.equal(toHex(entry), toHex(first!.entries[seqno - 1]!), `entry ${seqno}`);
    }
  }
  const { primitives, path } = first!.enclave.node!;
  const verifier = new LedgerVerifier({
    primitives,
    mode: "strict",
    secrets: path.secrets,
    serviceCertificatePem: service.node.servicePem,
  });
  const findings = first!.entries.flatMap((entry) => [...verifier.add(entry)]);
  assert.deepEqual([...findings, ...verifier.finish()], []);
}

Deno.test("three nodes keep one ledger, and go on when the primary stops", async () => {
  const started = await startNetwork();
  const { network } = started;
  const [first, second, third] = network.nodes as [InlineNode, InlineNode, InlineNode];
  assert.equal(network.primary, first);
  const written = write(started, first, 1, "one");
  network.advance(1100);
  assert.equal(statusOf(started, second, written), "Committed");
  assert.equal(read(started, third, 1), "one");
  requireAgreement(started);

  network.kill(first);
  network.advance(11_000);
  const next = network.primary;
  assert(next === second || next === third);
  assert(next.enclave.node!.view > 2);
  network.nodes.forEach((node) => node.reconnect());
  const later = write(started, next, 2, "two");
  network.advance(1100);
  assert.equal(statusOf(started, next === second ? third : second, later), "Committed");
  requireAgreement(started);
});

Deno.test("what a primary wrote while it was cut off is forgotten", async () => {
  const started = await startNetwork();
  const { network } = started;
  const [first, second] = network.nodes as [InlineNode, InlineNode, InlineNode];
  network.isolate(first);
  const lost = write(started, first, 7, "lost");
  assert.equal(statusOf(started, first, lost), "Pending");
  network.advance(11_000);
  assert.notEqual(network.primary, first);
  assert.equal(first.enclave.node!.isPrimary, false, "it heard nobody for an election timeout");
  const kept = write(started, network.primary, 7, "kept");
  network.advance(1100);
  network.cut.clear();
  network.advance(11_000);
  assert.equal(statusOf(started, first, lost), undefined, "a session ends with the view that it began in");
  first.reconnect();
  second.reconnect();
  assert.equal(statusOf(started, first, lost), "Invalid");
  assert.equal(statusOf(started, first, kept), "Committed");
  assert.equal(read(started, first, 7), "kept");
  assert.equal(read(started, second, 7), "kept");
  requireAgreement(started);
});
