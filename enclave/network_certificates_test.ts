import { strict as assert } from "node:assert";
import { parseCertificatePem } from "../shared/crypto/x509.ts";
import { NODES_ENDORSED_CERTIFICATES } from "../shared/governance/tables.ts";
import { LedgerVerifier } from "../shared/ledger/replay.ts";
import { type StartedNetwork, startNetwork } from "../tests/inline_network.ts";
import type { InlineNode } from "../tests/inline_node.ts";
import { decide } from "../tests/members.ts";

const VALID_FROM = "2026-11-24T10:00:00.000Z";
const DAY_MS = 86_400_000;

interface Started extends StartedNetwork {
  readonly first: InlineNode;
  readonly second: InlineNode;
}

async function start(): Promise<Started> {
  const started = await startNetwork();
  const [first, second] = started.network.nodes as [InlineNode, InlineNode];
  return { ...started, first, second };
}

function govern({ network, service }: Started, name: string, args: unknown): void {
  const { json } = decide({ ...service, node: network.primary }, { name, args });
  assert.equal(json.proposalState, "Accepted", JSON.stringify(json));
  network.advance(1100);
}

/** When the certificates run out that a node shows: the one that the service made for it, and its own. */
function ends({ enclave }: InlineNode): number[] {
  const { endorsedPem, identity } = enclave.node!;
  return [endorsedPem, identity.selfSignedPem].map((pem) => parseCertificatePem(pem).notAfterMs);
}

const endOf = (days: number) => Date.parse(VALID_FROM) + days * DAY_MS - 1000;

/** Whoever replays the ledger accepts it. */
function requireSoundLedger({ first, service }: Started): void {
  const { primitives, path } = first.enclave.node!;
  const verifier = new LedgerVerifier({
    primitives,
    mode: "strict",
    secrets: path.secrets,
    serviceCertificatePem: service.node.servicePem,
  });
  assert.deepEqual([...first.entries.flatMap((entry) => [...verifier.add(entry)]), ...verifier.finish()], []);
}

Deno.test("members renew the certificates of all nodes, or of one that is not the primary", async () => {
  const started = await start();
  const { network, first, second } = started;
  govern(started, "set_all_nodes_certificate_validity", { valid_from: VALID_FROM, validity_period_days: 90 });
  for (const node of network.alive) {
    assert.deepEqual(ends(node), [endOf(90), endOf(90)]);
    const recorded = first.enclave.node!.store.beginCommitted().open(NODES_ENDORSED_CERTIFICATES).get(node.nodeId);
    assert.equal(node.enclave.node!.endorsedPem, recorded);
    assert.equal(node.nodePem, node.enclave.node!.identity.selfSignedPem, "its host was given them");
  }
  govern(started, "set_node_certificate_validity", {
    node_id: second.nodeId,
    valid_from: VALID_FROM,
    validity_period_days: 30,
  });
  assert.deepEqual(network.alive.map((node) => ends(node)[0]), [endOf(90), endOf(30), endOf(90)]);

  network.kill(first);
  network.advance(11_000);
  assert.notEqual(network.primary, first, "the others go on under their new certificates");
  govern(started, "set_all_nodes_certificate_validity", { valid_from: VALID_FROM, validity_period_days: 60 });
  assert.deepEqual(network.alive.map((node) => ends(node)[0]), [endOf(60), endOf(60)]);
  requireSoundLedger(started);
});

Deno.test("a renewed certificate of the service is shown by every node, and who trusts the old one may join", async () => {
  const started = await start();
  const { network, first } = started;
  const before = first.servicePem;
  govern(started, "set_service_certificate_validity", { valid_from: VALID_FROM, validity_period_days: 45 });
  for (const node of network.alive) {
    assert.notEqual(node.servicePem, before);
    assert.equal(node.servicePem, first.servicePem);
    assert.equal(parseCertificatePem(node.servicePem).notAfterMs, endOf(45));
    assert.equal(node.enclave.node!.service.certificatePem, node.servicePem);
  }
  const joining = network.join(first, { servicePem: before });
  network.advance(100);
  govern(started, "transition_node_to_trusted", { node_id: joining.nodeId, valid_from: VALID_FROM });
  network.advance(2500);
  assert.equal(joining.enclave.node!.state, "PartOfNetwork", joining.logs.join("\n"));
  assert.equal(joining.servicePem, first.servicePem, "it shows the new one");
  requireSoundLedger(started);
});
