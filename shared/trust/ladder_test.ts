/**
 * The rungs from one node's evidence to its code, each broken where it must break. The last rung: `claim_test.ts`.
 */

import { strict as assert } from "node:assert";
import { type QuotedEvidence, verifyEvidence } from "../attestation/evidence.ts";
import { fromBase64, toBase64, toHex } from "../bytes.ts";

import { DCAP_TCB_STATUSES, SNP_UVM_ENDORSEMENTS, TDX_HOST_DATA, TDX_MEASUREMENTS } from "../governance/tables.ts";
import { stableJsonBytes } from "../json.ts";
import {
  allowing,
  ANCHORS,
  certificateOf,
  disallowing,
  HOST_DATA,
  MEASUREMENT,
  MILAN_CPUID,
  MOMENT,
  nodeRow,
  snpEvidenceFor,
  TABLES,
  tdxEvidenceFor,
  TrustForge,
  virtualEvidenceFor,
} from "../../tests/trust_forge.ts";
import { type Changes, type ForgedIdentity } from "../../tests/ledger_forge.ts";
import { SNP_TCB } from "../../tests/snp_pki.ts";
import { cwtDocument, UVM_FEED, UVM_MEASUREMENT, uvmSigner } from "../../tests/uvm_documents.ts";

import { TrustFold } from "./trust_fold.ts";

import { breaksAt, OTHER, primitives, report, started } from "../../tests/trust_climb.ts";

Deno.test("who allowed the code is told by proposal and ballots, or as genesis", () => {
  const forge = started();
  const fromGenesis = report(forge).rungs[3]!.steps;
  assert.match(fromGenesis[0]!.detail, /was allowed in 2\.1 by genesis, by the members who started the service$/);
  const names = ["measurement", "host data", "minimum TCB version", "today"];
  assert.deepEqual(fromGenesis.map(({ name }) => name), names);

  const id = forge.propose({ name: "add_snp_measurement", args: { measurement: OTHER } });
  forge.vote(0, id);
  forge.vote(1, id, allowing(OTHER));
  const node = forge.addNode((node) => snpEvidenceFor(node, { measurement: OTHER }));
  const found = report(forge, {
    evidence: snpEvidenceFor(node, { measurement: OTHER }),
    peer: { der: certificateOf(node), connection: "held" },
  });
  assert.equal(found.verdict, "verified", found.reason);
  const { detail } = found.rungs[3]!.steps[0]!;
  assert.ok(detail.includes(`${OTHER} was allowed in 2.9 by proposal ${id} (add_snp_measurement)`), detail);
  for (const member of forge.members.slice(0, 2)) assert.ok(detail.includes(`member ${member.id} yes (signed in 2.`));
});

Deno.test("the hardware rung breaks where hardware did not sign the evidence, or not what is expected", () => {
  const forge = started();
  const evidence = snpEvidenceFor(forge.node);
  const flipped = fromBase64(evidence.quote);
  flipped[0x90]! ^= 1;
  breaksAt(report(forge, { evidence: { ...evidence, quote: toBase64(flipped) } }), "hardware: signature", /VCEK/);
  breaksAt(report(forge, { anchors: undefined }), "hardware: chain", /not one of the trusted/);
  breaksAt(report(forge, { at: Date.UTC(2027, 5, 1) }), "hardware: chain", /expired/);
  breaksAt(report(forge, { evidence: { ...evidence, endorsements: "" } }), "hardware: certificates", /0 certificates/);
  const measurements = [OTHER];
  breaksAt(report(forge, { expected: { measurements } }), "hardware: expected measurement", new RegExp(MEASUREMENT));
  breaksAt(report(forge, { expected: { hostData: [OTHER] } }), "hardware: expected host data", /fafa/);
  assert.equal(report(forge, { expected: { measurements: [OTHER, MEASUREMENT] } }).verdict, "verified");
});

Deno.test("the key rung breaks where the evidence is another node's, or another key ended the connection", () => {
  const forge = started();
  const other = forge.addNode();
  const names = /it names key/;
  breaksAt(report(forge, { evidence: snpEvidenceFor(other) }), "key: report data", names);
  breaksAt(report(forge, { peer: { der: certificateOf(other), connection: "held" } }), "key: report data", names);
  breaksAt(
    report(forge, { peer: { der: Uint8Array.of(0x30, 0), connection: "held" } }),
    "key: certificate",
    /Cannot read/,
  );
  breaksAt(report(forge, { peer: undefined, nodeId: other.id }), "key: report data", names);
  breaksAt(report(forge, { peer: undefined }), "key: report data", /no certificate came with/);
});

Deno.test("the service rung breaks where certificate, ledger or the node's row are of something else", () => {
  const forge = started();
  const stranger = new TrustForge(primitives, "stranger").start();
  const otherPem = stranger.service.certificatePem;
  breaksAt(report(forge, { servicePem: otherPem }), "service: endorsement", /did not issue/);
  breaksAt(report(forge, { servicePem: "none" }), "service: service certificate", /PEM/);
  // The node's own key, under a certificate of another service.
  const foreign = forge.endorse(forge.node.key, stranger.service);
  breaksAt(
    report(forge, { peer: { der: certificateOf(foreign), connection: "held" } }),
    "service: endorsement",
    /did not issue/,
  );
  breaksAt(report(forge, { ledger: stranger.fold() }), "service: ledger's service", /is of service/);
  const nowhere = { unavailable: "nobody has it" };
  breaksAt(report(forge, { ledger: nowhere }), "service: ledger", /nobody has it/);
  breaksAt(report(forge, { ledger: nowhere, servicePem: undefined }), "service: ledger", /nobody has it/);

  const cut = started();
  cut.entries[2]![40]! ^= 1;
  breaksAt(report(cut), "service: ledger", /^transaction \d+: /);
  const empty = { ledger: new TrustFold({ primitives, mode: "strict" }), servicePem: undefined };
  breaksAt(report(forge, empty), "service: ledger", /no signature/);

  // A certificate of the service for a node that the ledger does not have, or that is not trusted.
  const node = forge.makeNode(forge.service);
  const asked = { evidence: snpEvidenceFor(node), peer: { der: certificateOf(node), connection: "held" } } as const;
  breaksAt(report(forge, asked), "service: row", /has no node/);
  forge.joins(node);
  forge.sign();
  breaksAt(report(forge, asked), "service: row", /is Pending/);
  forge.decide("transition_node_to_trusted", forge.trusting(node));
  forge.sign();
  assert.equal(report(forge, asked).verdict, "verified");
  const newer = snpEvidenceFor(node, { tcb: { ...SNP_TCB, microcode: 220 } });
  breaksAt(report(forge, { ...asked, evidence: newer }), "service: row's evidence", /other evidence/);
  forge.decide("remove_node", { [TABLES.nodes]: { [node.id]: nodeRow(node, "Retired") } });
  forge.sign();
  breaksAt(report(forge, asked), "service: row", /is Retired/);
});

Deno.test("the code rung breaks where members have taken back what the node runs", () => {
  const forge = started();
  const gone = forge.decide("remove_snp_measurement", disallowing(MEASUREMENT));
  forge.sign();
  breaksAt(
    report(forge),
    "code: today",
    new RegExp(`not in the join policy, since ${gone.view}\\.${gone.seqno}, by proposal`),
  );
  // It is not only a list that may change.
  const raised = started();
  raised.decide("set_snp_minimum_tcb_version_hex", {
    [TABLES.tcb]: { [MILAN_CPUID]: stableJsonBytes({ ...SNP_TCB, snp: 25 }) },
  });
  raised.sign();
  breaksAt(
    report(raised),
    "code: today",
    /the TCB version is .* snp 24.* wants .* snp 25.*, since 2\.\d+, by proposal/,
  );
});

Deno.test("the code rung breaks where nobody but a node allowed the code", () => {
  const forge = started();
  forge.write(allowing(OTHER));
  const node = forge.addNode((node) => snpEvidenceFor(node, { measurement: OTHER }));
  const asked = {
    evidence: snpEvidenceFor(node, { measurement: OTHER }),
    peer: { der: certificateOf(node), connection: "held" },
  } as const;
  breaksAt(report(forge, asked), "code: measurement", /by a node by itself/);
  // Whoever asks another node learns of it too.
  breaksAt(report(forge), "network: allowed code", /and not by a decision of members/);
});

Deno.test("a table that cannot be read breaks the rung that reads it", () => {
  const forge = started();
  forge.decide("set_snp_minimum_tcb_version_hex", { [TABLES.tcb]: { "00000000": stableJsonBytes([]) } });
  forge.sign();
  breaksAt(report(forge), "code: code", /tcb_versions/);
});

Deno.test("rungs that nobody asked for are not checked, and do not refuse", () => {
  const forge = started();
  const none = { unavailable: "nobody has it" };
  const found = report(forge, { ledger: none, upTo: "key" });
  assert.equal(found.verdict, "verified");
  assert.deepEqual(found.rungs.map(({ verdict }) => verdict), [
    "verified",
    "verified",
    "not checked",
    "not checked",
    "not checked",
  ]);
});

Deno.test("without the service's certificate from elsewhere, and without a connection, it says so", () => {
  const forge = started();
  const found = report(forge, {
    servicePem: undefined,
    peer: { der: certificateOf(forge.node), connection: "recorded" },
  });
  assert.equal(found.verdict, "verified");
  const skipped = found.rungs.flatMap(({ name, steps }) =>
    steps.filter(({ result }) => result === "not checked").map((step) => `${name}: ${step.name}`)
  );
  assert.ok(skipped.includes("key: connection") && skipped.includes("service: service certificate"), skipped.join());
  assert.ok(found.notProved.some((sentence) => sentence.startsWith("Which service this is")));
  assert.ok(found.notProved.some((sentence) => sentence.includes("ended a connection")));
});

/** A node with this evidence, let in after a decision with these changes, as somebody asks about it. */
function asking(
  forge: TrustForge,
  name: string,
  changes: Changes,
  evidenceOf: (node: ForgedIdentity) => QuotedEvidence,
) {
  forge.decide(name, changes);
  const node = forge.addNode(evidenceOf);
  return { evidence: evidenceOf(node), peer: { der: certificateOf(node), connection: "held" } } as const;
}

Deno.test("a node whose measurement is endorsed is followed to who trusted the endorser, for this feed and version", () => {
  const signer = uvmSigner();
  const withSvn = (svn: string) => ({
    [SNP_UVM_ENDORSEMENTS.name]: { [signer.did]: stableJsonBytes({ [UVM_FEED]: { svn } }) },
  });
  const evidenceOf = (node: ForgedIdentity) => ({
    ...snpEvidenceFor(node, { measurement: toHex(UVM_MEASUREMENT) }),
    uvm_endorsements: toBase64(cwtDocument({ signer, svn: 105 })),
  });
  const forge = started();
  const asked = asking(forge, "add_snp_uvm_endorsement", withSvn("100"), evidenceOf);
  const found = report(forge, asked);
  assert.equal(found.verdict, "verified", found.reason);
  const { name, detail } = found.rungs[3]!.steps[0]!;
  assert.equal(name, "UVM endorsement");
  assert.match(detail, /^did:x509:.* was allowed in 2\.\d+ by proposal [0-9a-f]{64} \(add_snp_uvm_endorsement\)/);
  assert.ok(found.rungs[0]!.steps.some((each) => each.name === "UVM signature" && each.result === "verified"));

  forge.decide("add_snp_uvm_endorsement", withSvn("106"));
  forge.sign();
  breaksAt(
    report(forge, asked),
    "code: today",
    /version 105 .* wants 106.*, since 2\.\d+, by proposal/,
  );
  const other = { ...asked.evidence, uvm_endorsements: toBase64(cwtDocument({ payload: new Uint8Array(48) })) };
  breaksAt(report(forge, { ...asked, evidence: other }), "hardware: UVM measurement", /./);
});

Deno.test("a trust domain of Intel's is followed the same way, and judged by Intel's word of its platform", () => {
  const forge = started();
  const claims = verifyEvidence(tdxEvidenceFor(forge.node), { at: MOMENT, anchors: ANCHORS }, primitives).claims;
  assert.ok(claims?.platform === "tdx");
  forge.signedAtMs = MOMENT;
  const allowed = {
    [TDX_MEASUREMENTS.name]: { [toHex(claims.measurement)]: stableJsonBytes("AllowedToJoin") },
    [TDX_HOST_DATA.name]: { [toHex(claims.hostData!)]: stableJsonBytes("") },
    [DCAP_TCB_STATUSES.name]: { UpToDate: stableJsonBytes("AllowedToJoin") },
  };
  const asked = asking(forge, "add_tdx", allowed, (node) => tdxEvidenceFor(node));
  const found = report(forge, asked);
  assert.equal(found.verdict, "verified", found.reason);
  assert.equal(found.rungs[3]!.steps.length, 4);
  // Intel's statements hold for a month.
  breaksAt(report(forge, { ...asked, at: Date.UTC(2026, 7, 1) }), "hardware: root CRL", /./);
  breaksAt(report(forge, { ...asked, anchors: { amd: ANCHORS.amd } }), "hardware: PCK chain", /./);
});

Deno.test("a virtual node is never verified, whatever else holds", () => {
  const forge = started();
  forge.decide("add_virtual", {
    "public:ccf.gov.nodes.virtual.measurements": { virtual: stableJsonBytes("AllowedToJoin") },
    "public:ccf.gov.nodes.virtual.host_data": { [HOST_DATA]: new Uint8Array(8) },
  });
  const node = forge.addNode(virtualEvidenceFor);
  const found = report(forge, {
    evidence: virtualEvidenceFor(node),
    peer: { der: certificateOf(node), connection: "held" },
  });
  assert.equal(found.verdict, "virtual", found.reason);
  assert.ok(found.rungs.every(({ verdict }) => verdict === "virtual"));
  assert.match(found.notProved[0]!, /^The platform is virtual/);
});
