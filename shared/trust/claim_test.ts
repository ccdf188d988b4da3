/**
 * The claim of the system: from one quote to trust in the whole network, and the right step fails when a link is replaced.
 */

import { strict as assert } from "node:assert";
import fc from "fast-check";
import { FormatError } from "../assert.ts";
import { type QuotedEvidence, verifyEvidence } from "../attestation/evidence.ts";
import { concat, fromBase64, toBase64, toHex } from "../bytes.ts";
import { noblePrimitives as primitives } from "../crypto/primitives.ts";
import { PLAIN_BALLOTS } from "../governance/member_request.ts";
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
import { type Changes, type ForgedIdentity, one } from "../../tests/ledger_forge.ts";
import { SNP_TCB } from "../../tests/snp_pki.ts";
import { cwtDocument, UVM_FEED, UVM_MEASUREMENT, uvmSigner } from "../../tests/uvm_documents.ts";
import { splitLedger } from "./bundle.ts";
import { TrustFold } from "./trust_fold.ts";
import { climb, RUNGS, type TrustReport, type TrustRequest } from "./ladder.ts";

const OTHER = "0b".repeat(48);

function started(): TrustForge {
  return new TrustForge(primitives).start();
}

/** Verifies the node that leads the ledger, or as `change` has it. */
function report(forge: TrustForge, change: Partial<TrustRequest> = {}): TrustReport {
  return climb({
    primitives,
    evidence: snpEvidenceFor(forge.node),
    peer: { der: certificateOf(forge.node), connection: "held" },
    servicePem: forge.service.certificatePem,
    ledger: forge.fold(),
    redecided: { requests: 3, doubt: undefined, undecidable: 0 },
    at: MOMENT,
    upTo: "network",
    anchors: ANCHORS,
    ...change,
  });
}

/** That exactly this step breaks the ladder, for a reason like this; what stands above it was not reached. */
function breaksAt(found: TrustReport, at: string, reason: RegExp): void {
  assert.equal(found.verdict, "refused", at);
  const [rung, step] = at.split(": ") as [typeof RUNGS[number], string];
  const broken = found.rungs.filter(({ verdict }) => verdict === "refused");
  assert.deepEqual(broken.map(({ name }) => name), [rung], found.reason);
  const bad = broken[0]!.steps.filter(({ result }) => result === "failed" || result === "cannot be checked");
  assert.equal(bad[0]?.name, step, found.reason);
  assert.match(bad[0]!.detail, reason);
  assert.equal(found.reason, `${rung}: ${step}: ${bad[0]!.detail}`);
  const above = found.rungs.slice(RUNGS.indexOf(rung) + 1);
  assert.ok(above.every(({ verdict }) => verdict === "not checked"));
}

Deno.test("one quote leads to trust in a network whose code, members and service have changed by decisions since", () => {
  const forge = started();
  forge.addNode();
  // Members take in another one, who then takes part.
  const zoe = forge.makeMember("zoe");
  forge.decide("set_member", {
    [TABLES.membersCerts]: { [zoe.id]: zoe.certificatePem },
    [TABLES.membersInfo]: { [zoe.id]: stableJsonBytes({ status: "Accepted" }) },
  });
  forge.acknowledge(zoe);
  forge.sign();
  // They allow new code, a node with it joins.
  const id = forge.propose({ name: "add_snp_measurement", args: { measurement: OTHER } }, zoe);
  forge.vote(zoe, id);
  forge.vote(0, id, allowing(OTHER));
  const updated = forge.addNode((node) => snpEvidenceFor(node, { measurement: OTHER }));
  // A new service takes over, and what is known of the one before stays.
  forge.recovered();
  const found = report(forge);
  assert.equal(found.verdict, "verified", found.reason);
  assert.equal(found.nodeId, forge.node.id);
  assert.equal(found.serviceIdentity, forge.service.id);
  assert.ok(found.rungs.every(({ verdict }) => verdict === "verified"));
  const network = found.rungs.at(-1)!.steps;
  const ofNode = network.find(({ name }) => name === `node ${updated.id}`)!;
  assert.match(
    ofNode.detail,
    /genuine evidence.*by proposal [0-9a-f]{64} \(transition_node_to_trusted\).*yes \(signed in/,
  );
  assert.deepEqual(network.filter(({ name }) => name.startsWith("node ")).length, 4);
  assert.match(network.find(({ name }) => name === "recovery 1")!.detail, /opened by proposal/);
});

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

/** Ledgers with one link of the induction replaced: the step that fails, why, and how it comes about. */
const REPLACED: readonly [step: string, reason: RegExp, replace: (forge: TrustForge) => void][] = [
  ["allowed code", /by a request of member .* that decided nothing/, (forge) => {
    const id = forge.propose({ name: "add_snp_measurement" });
    forge.vote(0, id, allowing(OTHER));
  }],
  ["allowed code", /did not sign the ballot that is counted/, (forge) => {
    const id = forge.propose({ name: "add_snp_measurement" });
    forge.vote(0, id, allowing(OTHER), (info) => ({
      ...info,
      state: "Accepted",
      ballots: { ...info.ballots, [forge.members[1]!.id]: PLAIN_BALLOTS.yes },
      final_votes: { [forge.members[0]!.id]: true, [forge.members[1]!.id]: true },
    }));
  }],
  ["allowed code", /did not sign the ballot that is counted/, (forge) => {
    const id = forge.propose({ name: "add_snp_measurement" });
    forge.vote(0, id, {}, (info) => ({ ...info, ballots: { [forge.members[0]!.id]: PLAIN_BALLOTS.no } }));
    forge.vote(1, id, allowing(OTHER));
  }],
  ["allowed code", /was no active member/, (forge) => {
    const zoe = forge.makeMember("zoe");
    forge.decide("set_member", {
      [TABLES.membersCerts]: { [zoe.id]: zoe.certificatePem },
      [TABLES.membersInfo]: { [zoe.id]: stableJsonBytes({ status: "Accepted" }) },
    });
    const id = forge.propose({ name: "add_snp_measurement" });
    forge.vote(0, id);
    forge.vote(zoe, id, allowing(OTHER));
  }],
  ["allowed code", /is filed under/, (forge) => {
    const id = forge.propose({ name: "add_snp_measurement" });
    forge.vote(0, id);
    forge.vote(1, id, allowing(OTHER), (info) => ({ ...info, proposer_id: forge.members[2]!.id }));
  }],
  ["allowed code", /is not about this proposal/, (forge) => {
    const [one, other] = [forge.propose({ name: "noop" }), forge.propose({ name: "add_snp_measurement" })];
    forge.vote(0, other);
    const accepted = {
      proposer_id: forge.members[0]!.id,
      state: "Accepted",
      ballots: { [forge.members[0]!.id]: PLAIN_BALLOTS.yes },
    };
    forge.vote(1, one, allowing(OTHER), (info) => info);
    forge.entries.pop();
    forge.tree.retract(forge.tree.size - 1);
    const envelope = forge.signed(forge.members[1]!, { kind: "ballot", proposalId: one, ballot: PLAIN_BALLOTS.yes });
    forge.write({
      ...allowing(OTHER),
      "public:ccf.gov.proposals_info": { [other]: stableJsonBytes(accepted) },
      "public:ccf.gov.cose_history": { [forge.members[1]!.id]: stableJsonBytes(toBase64(envelope)) },
    });
  }],
  ["rules", /is done by a node by itself/, (forge) => {
    const zoe = forge.makeMember("zoe");
    forge.write({ [TABLES.membersCerts]: { [zoe.id]: zoe.certificatePem } });
  }],
  ["rules", /the constitution changes/, (forge) => {
    forge.write({ "public:ccf.gov.constitution": one(stableJsonBytes("// whatever")) });
  }],
  ["rules", /changes that of others/, (forge) => {
    forge.acknowledge(forge.members[0]!, {
      [TABLES.membersInfo]: { [forge.members[1]!.id]: stableJsonBytes({ status: "Active" }) },
    });
  }],
  ["node", /its evidence is not acceptable: measurement 0b0b.* is not in the join policy/, (forge) => {
    forge.decide("add_snp_measurement", allowing(OTHER));
    forge.decide("remove_snp_measurement", disallowing(OTHER));
    forge.addNode((node) => snpEvidenceFor(node, { measurement: OTHER }));
  }],
  ["node", /its evidence is not acceptable: the TCB version/, (forge) => {
    forge.addNode((node) => snpEvidenceFor(node, { tcb: { ...SNP_TCB, snp: 23 } }));
  }],
  ["node", /its evidence is not acceptable: the evidence is for another key/, (forge) => {
    forge.addNode(() => snpEvidenceFor(forge.node));
  }],
  ["node", /its evidence is not acceptable: signature/, (forge) => {
    forge.addNode((node) => {
      const evidence = snpEvidenceFor(node);
      const report = fromBase64(evidence.quote);
      report[0x60]! ^= 1;
      return { ...evidence, quote: toBase64(report) };
    });
  }],
  ["node", /virtual evidence, which proves nothing/, (forge) => {
    forge.decide("add_virtual", {
      "public:ccf.gov.nodes.virtual.measurements": { virtual: stableJsonBytes("AllowedToJoin") },
      "public:ccf.gov.nodes.virtual.host_data": { [HOST_DATA]: new Uint8Array(8) },
    });
    forge.addNode(virtualEvidenceFor);
  }],
  ["node", /its evidence or its key changes/, (forge) => {
    const node = forge.addNode();
    const newer = snpEvidenceFor(node, { tcb: { ...SNP_TCB, microcode: 220 } });
    forge.write({ [TABLES.nodes]: { [node.id]: nodeRow(node, "Trusted", newer) } });
  }],
  ["node", /trusted by a node by itself while the service is open/, (forge) => {
    const node = forge.makeNode(forge.service);
    forge.write(forge.trusting(node));
  }],
  ["node", /trusted by a request of member/, (forge) => {
    const node = forge.makeNode(forge.service);
    forge.joins(node);
    const id = forge.propose({ name: "transition_node_to_trusted" });
    forge.vote(0, id, forge.trusting(node));
  }],
  ["node", /has no certificate of the service/, (forge) => {
    const node = forge.makeNode(forge.service);
    forge.joins(node);
    forge.decide("transition_node_to_trusted", { [TABLES.nodes]: { [node.id]: nodeRow(node, "Trusted") } });
  }],
  ["node", /was retired, and is trusted again/, (forge) => {
    const node = forge.addNode();
    forge.decide("remove_node", { [TABLES.nodes]: { [node.id]: nodeRow(node, "Retired") } });
    forge.decide("transition_node_to_trusted", { [TABLES.nodes]: { [node.id]: nodeRow(node, "Trusted") } });
  }],
];

for (const [step, reason, replace] of REPLACED) {
  Deno.test(`the network rung breaks at "${step}" where ${reason.source.replaceAll("\\", "")}`, () => {
    const forge = started();
    replace(forge);
    forge.sign();
    const found = report(forge);
    // A node's step has its ID in its name.
    const bad = found.rungs.at(-1)!.steps.find(({ result }) => result === "failed");
    const name = step === "node" && bad?.name.startsWith("node ") ? bad.name : step;
    breaksAt(found, `network: ${name}`, reason);
  });
}

Deno.test("the ledger itself is refused where a ballot is a stranger's, or a member's envelope is not", () => {
  const stranger = started();
  const id = stranger.propose({ name: "add_snp_measurement" });
  stranger.vote(0, id);
  stranger.vote(stranger.makeMember("mallory"), id, allowing(OTHER));
  stranger.sign();
  breaksAt(report(stranger), "service: ledger", /is of nobody who is known/);

  const forged = started();
  const other = forged.propose({ name: "add_snp_measurement" });
  const mallory = { ...forged.makeMember("mallory"), id: forged.members[1]!.id };
  forged.vote(mallory, other, allowing(OTHER));
  forged.sign();
  breaksAt(report(forged), "service: ledger", /did not sign the request/);
});

Deno.test("the network rung breaks where members have not opened the service, or what they decided does not follow", () => {
  const closed = new TrustForge(primitives).genesis();
  breaksAt(report(closed), "network: service", /have not opened/);
  const openedByNode = new TrustForge(primitives).genesis().open().sign();
  breaksAt(report(openedByNode as TrustForge), "network: service", /opened by a node by itself/);
  const recoveredByNode = started();
  recoveredByNode.recover();
  breaksAt(report(recoveredByNode), "network: recovery 1", /opened by a node by itself/);
});

Deno.test("what scripts say when they are run again counts, and that nobody ran them is said", () => {
  const forge = started();
  const doubted = { requests: 3, doubt: "2.5 does not follow", undecidable: 0 };
  breaksAt(report(forge, { redecided: doubted }), "network: decisions", /2\.5 does not follow/);
  const undecided = report(forge, { redecided: { ...doubted, doubt: undefined, undecidable: 1 } });
  assert.match(undecided.rungs.at(-1)!.steps.find(({ name }) => name === "decisions")!.detail, /it cannot be said/);
  const none = report(forge, { redecided: undefined });
  assert.equal(none.verdict, "verified");
  assert.equal(none.rungs.at(-1)!.steps.find(({ name }) => name === "decisions")!.result, "not checked");
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

Deno.test("no bit of evidence, certificate or ledger may change", () => {
  const forge = started();
  const evidence = snpEvidenceFor(forge.node);
  const parts = {
    quote: fromBase64(evidence.quote),
    certificate: certificateOf(forge.node),
    // All but the last: of the entry that signs, nothing covers the frame.
    ledger: concat(...forge.entries.slice(0, -1)),
  };
  const rest = forge.entries.at(-1)!;
  const flip = fc.constantFrom(...Object.keys(parts) as (keyof typeof parts)[]).chain((part) =>
    fc.record({ part: fc.constant(part), at: fc.nat(parts[part].length * 8 - 1) })
  );
  const check = ({ part, at }: { part: keyof typeof parts; at: number }) => {
    const changed = { ...parts, [part]: parts[part].slice() };
    changed[part][at >> 3]! ^= 1 << (at & 7);
    const fold = new TrustFold({ primitives, mode: "strict", anchors: ANCHORS });
    const entries = readable(() => splitLedger(concat(changed.ledger, rest)));
    if (entries?.every((entry) => fold.add(entry))) fold.finish();
    const ledger = entries === undefined ? { unavailable: "it cannot be split" } : fold;
    const found = report(forge, {
      evidence: { ...evidence, quote: toBase64(changed.quote) },
      peer: { der: changed.certificate, connection: "held" },
      ledger,
    });
    assert.equal(found.verdict, "refused", `bit ${at} of ${part}`);
  };
  fc.assert(fc.property(flip, check), { numRuns: 60, seed: 20261124 });
});

function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

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
