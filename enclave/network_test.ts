import { strict as assert } from "node:assert";
import { fromUtf8, toHex } from "../shared/bytes.ts";
import { NODES_INFO } from "../shared/governance/tables.ts";
import { LedgerVerifier } from "../shared/ledger/replay.ts";
import { InlineNetwork, type StartedNetwork, startNetwork } from "../tests/inline_network.ts";
import type { InlineNode, InlineSnapshot } from "../tests/inline_node.ts";
import { startInlineService } from "../tests/inline_service.ts";
import { decide } from "../tests/members.ts";
import { loadNativePowers } from "./native_powers.ts";

/** What members decide, through whoever leads. */
function govern({ network, service }: StartedNetwork, name: string, args: unknown = null): void {
  const { status, json } = decide({ ...service, node: network.primary }, { name, args });
  assert.equal(status, 200, JSON.stringify(json));
  assert.equal(json.proposalState, "Accepted", JSON.stringify(json));
}

/** Asks to join, is trusted by vote, and catches up. */
function addNode(started: StartedNetwork, snapshot?: InlineSnapshot): InlineNode {
  const { network } = started;
  const node = network.join(network.primary, {}, snapshot);
  network.advance(100);
  assert.equal(node.enclave.node!.state, "Pending");
  govern(started, "transition_node_to_trusted", { node_id: node.nodeId, valid_from: "2026-01-01T00:00:00Z" });
  network.advance(2500);
  assert.equal(node.enclave.node!.state, "PartOfNetwork", node.logs.join("\n"));
  return node;
}

/** Retires a node, and stops it once it is not needed any more. */
function removeNode(started: StartedNetwork, node: InlineNode): void {
  const { network } = started;
  govern(started, "remove_node", { node_id: node.nodeId });
  network.advance(12_000);
  network.nodes.forEach((each) => each.reconnect());
  const { body } = network.request(network.primary, { method: "GET", target: "/node/network/removable_nodes" });
  const removable = JSON.parse(fromUtf8(body)).nodes.map(({ node_id }: { node_id: string }) => node_id);
  assert.deepEqual(removable, [node.nodeId]);
  network.kill(node);
  const target = `/node/network/nodes/${node.nodeId}`;
  assert.equal(network.request(network.primary, { method: "DELETE", target }).status, 200);
  network.advance(1100);
}

function newestSnapshot({ snapshots }: InlineNode): InlineSnapshot {
  const [name, file] = [...snapshots].at(-1)!;
  return { name, file };
}

function write({ network, service }: StartedNetwork, node: InlineNode, id: number, msg: string): string {
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

function read({ network, service }: StartedNetwork, node: InlineNode, id: number): unknown {
  const target = `/app/log/private?id=${id}`;
  const response = network.request(node, { method: "GET", target, certificate: service.userCertificate });
  return response.status === 200 ? JSON.parse(fromUtf8(response.body)).msg : response.status;
}

function statusOf({ network }: StartedNetwork, node: InlineNode, txId: string): unknown {
  const { body } = network.request(node, { method: "GET", target: `/app/tx?transaction_id=${txId}` });
  return JSON.parse(fromUtf8(body)).status;
}

/** All nodes have one ledger, one tree and one state, and whoever replays the ledger accepts it. */
function requireAgreement({ network, service }: StartedNetwork): void {
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

Deno.test("clients write at any node, and read what they wrote", async () => {
  const started = await startNetwork();
  const { network } = started;
  const [first, second, third] = network.nodes as [InlineNode, InlineNode, InlineNode];
  const written = write(started, second, 3, "through a backup");
  assert.equal(read(started, second, 3), "through a backup", "the session goes on at the primary");
  assert.equal(statusOf(started, first, written), "Pending");
  network.advance(1100);
  third.reconnect();
  assert.equal(read(started, third, 3), "through a backup");
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

Deno.test("every node is replaced, one after the other, the primary among them; all their ledgers are one", async () => {
  const started = await startNetwork();
  const { network } = started;
  const originals = [...network.nodes];
  for (const [i, original] of originals.entries()) {
    write(started, network.primary, i, `before ${i} is replaced`);
    addNode(started, i === 1 ? newestSnapshot(started.service.node) : undefined);
    removeNode(started, original);
    assert.notEqual(network.primary, original);
  }
  const last = write(started, network.primary, 9, "after all");
  network.advance(1100);
  network.nodes.forEach((node) => node.reconnect());
  for (const node of network.alive) {
    assert.equal(statusOf(started, node, last), "Committed");
    assert.equal(read(started, node, 0), "before 0 is replaced");
    assert.equal(read(started, node, 9), "after all");
    assert.equal(node.enclave.node!.store.beginReadOnly().open(NODES_INFO).size, 3);
  }
  requireAgreement(started);
});

Deno.test("a new ledger secret reaches every node, and the next primary writes with it", async () => {
  const started = await startNetwork();
  const { network } = started;
  const [first, second] = network.nodes as [InlineNode, InlineNode];
  govern(started, "trigger_ledger_rekey");
  write(started, first, 1, "sealed with the new secret");
  network.advance(1100);
  assert.equal(read(started, second, 1), "sealed with the new secret");
  assert.equal(second.enclave.node!.path.secrets.size, 2);
  network.kill(first);
  network.advance(11_000);
  network.nodes.forEach((node) => node.reconnect());
  write(started, network.primary, 2, "by the next primary");
  network.advance(1100);
  requireAgreement(started);
});

Deno.test("a primary that retires hands over at once, and never leads again", async () => {
  const started = await startNetwork();
  const { network } = started;
  const [first] = network.nodes as [InlineNode];
  const readiness = () =>
    ["app", "gov"].map((what) => network.request(first, { method: "GET", target: `/node/ready/${what}` }).status);
  assert.deepEqual(readiness(), [204, 204]);
  govern(started, "remove_node", { node_id: first.nodeId });
  // Two signatures: one commits the removal, one the record that it is committed. No election timeout passes.
  network.advance(2500);
  assert.notEqual(network.primary, first);
  assert.equal(first.enclave.node!.path.raft.retirementPhase, "RetiredCommitted");
  network.advance(30_000);
  assert.equal(first.enclave.node!.isPrimary, false);
  first.reconnect();
  assert.deepEqual(readiness(), [503, 503], "members are not sent to it either");
  const late = { method: "POST", target: "/app/log/private", certificate: started.service.userCertificate };
  const { status, body } = network.request(first, { ...late, body: { id: 1, msg: "to nobody" } });
  assert.equal(status, 503);
  assert.match(fromUtf8(body), /This node was removed from the service/);
});

Deno.test("the log of each node says once who leads which view", async () => {
  const workspace = await Deno.makeTempDir({ prefix: "quorate_network_" });
  try {
    const powers = await loadNativePowers();
    const service = await startInlineService(workspace, "native", {
      powers,
      closed: true,
      change: { logLevel: "info" },
    });
    const network = new InlineNetwork(powers, service);
    const first = service.node;
    for (const other of [network.join(), network.join()]) {
      network.advance(1200);
      assert.equal(other.enclave.node!.primaryId, first.nodeId);
    }
    const told = ({ logs }: InlineNode) => logs.filter((line) => line.includes(" leads view "));
    const before = [`info consensus Node ${first.nodeId} leads view 2`];
    for (const node of network.nodes) assert.deepEqual(told(node), before);
    network.kill(first);
    network.advance(11_000);
    const next = network.primary;
    const after = `info consensus Node ${next.nodeId} leads view ${next.enclave.node!.view}`;
    for (const node of network.alive) assert.deepEqual(told(node), [...before, after]);
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
});

Deno.test("a snapshot that is not of the service is refused", async () => {
  const started = await startNetwork();
  const { network } = started;
  const { name, file } = newestSnapshot(started.service.node);
  for (const at of [40, 200, file.length - 300]) {
    const changed = file.slice();
    changed[at]! ^= 1;
    assert.throws(() => network.join(network.primary, {}, { name, file: changed }), /./, `byte ${at}`);
  }
  const other = await startNetwork();
  assert.throws(
    () => network.join(network.primary, {}, newestSnapshot(other.service.node)),
    /its receipt does not hold: service: the given service signed the node's certificate/,
  );
});

Deno.test("a clock that is set forward or back holds up nothing for longer than a view", async () => {
  const started = await startNetwork();
  const { network } = started;
  for (const jumpMs of [3_600_000, -3_000_000]) {
    for (const node of network.nodes) node.nowMs += jumpMs;
    network.advance(12_000);
    network.nodes.forEach((node) => node.reconnect());
    const txId = write(started, network.primary, 1, `after ${jumpMs}`);
    network.advance(1100);
    assert.equal(statusOf(started, network.primary, txId), "Committed");
  }
  requireAgreement(started);
});

Deno.test("a node that was removed and runs on unseats nobody, though it never hears that it is not needed", async () => {
  const started = await startNetwork();
  const { network } = started;
  const [first, , third] = network.nodes as [InlineNode, InlineNode, InlineNode];
  govern(started, "remove_node", { node_id: third.nodeId });
  network.advance(30_000);
  assert.equal(network.primary, first);
  assert.equal(first.enclave.node!.view, 2);
  assert.notEqual(third.enclave.node!.path.raft.retirementPhase, "RetiredCommitted");
});

Deno.test("an entry whose flags were changed on the way is refused, and taken when it comes again", async () => {
  const started = await startNetwork();
  const { network } = started;
  const [first, second, third] = network.nodes as [InlineNode, InlineNode, InlineNode];
  const readEntries = first.readEntries;
  first.readEntries = (from, to) => {
    const entries = readEntries(from, to)?.slice() ?? null;
    if (entries !== null) entries[1]! ^= 1;
    return entries;
  };
  write(started, first, 1, "one");
  network.advance(300);
  for (const { logs } of [second, third]) {
    assert.match(
      logs.at(-1)!,
      /^fail channels Refused a consensus message .*: it was not protected .*, or was changed$/,
    );
  }
  first.readEntries = readEntries;
  network.advance(1100);
  assert.equal(read(started, second, 1), "one");
  requireAgreement(started);
});

Deno.test("of more large entries than one message carries the first are taken, and the rest is asked for", async () => {
  const started = await startNetwork();
  const { network } = started;
  const [first, second, third] = network.nodes as [InlineNode, InlineNode, InlineNode];
  const readEntries = first.readEntries;
  first.readEntries = (from, to) => readEntries(from, Math.min(to, from + 1));
  network.isolate(third);
  for (let i = 0; i < 9; i++) write(started, first, i, `message ${i}`);
  network.advance(1100);
  network.cut.clear();
  network.advance(4000);
  assert.deepEqual([second.committed, third.committed], [first.committed, first.committed]);
  requireAgreement(started);
});
