/**
 * The claim of the system: from one quote to trust in the whole network, and the right step fails when a link is replaced.
 */

import { strict as assert } from "node:assert";
import fc from "fast-check";
import { FormatError } from "../assert.ts";
import { concat, fromBase64, toBase64 } from "../bytes.ts";
import { PLAIN_BALLOTS } from "../governance/member_request.ts";
import { stableJsonBytes } from "../json.ts";
import {
  allowing,
  ANCHORS,
  certificateOf,
  disallowing,
  HOST_DATA,
  nodeRow,
  snpEvidenceFor,
  TABLES,
  TrustForge,
  virtualEvidenceFor,
} from "../../tests/trust_forge.ts";
import { one } from "../../tests/ledger_forge.ts";
import { SNP_TCB } from "../../tests/snp_pki.ts";
import { splitLedger } from "./bundle.ts";
import { TrustFold } from "./trust_fold.ts";
import { breaksAt, OTHER, primitives, report, started } from "../../tests/trust_climb.ts";

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

Deno.test("a node that is trusted still, with code that members have taken back, is not passed over", () => {
  const forge = started();
  forge.decide("add_snp_measurement", allowing(OTHER));
  const other = forge.addNode((node) => snpEvidenceFor(node, { measurement: OTHER }));
  assert.equal(report(forge).verdict, "verified");
  forge.decide("remove_snp_measurement", disallowing(OTHER));
  forge.sign();
  breaksAt(
    report(forge),
    `network: node ${other.id}`,
    /now Trusted, though it would not be let in any more: measurement /,
  );
});

Deno.test("what scripts say when they are run again counts, and that nobody ran them is said", () => {
  const forge = started();
  const doubted = { requests: 3, doubt: "2.5 does not follow", undecidable: 0 };
  breaksAt(report(forge, { redecided: doubted }), "network: decisions", /2\.5 does not follow/);
  const undecided = report(forge, { redecided: { ...doubted, doubt: undefined, undecidable: 1 } });
  assert.equal(undecided.verdict, "refused");
  assert.match(undecided.reason ?? "", /^network: decisions: of 1 of 3 requests of members it cannot be said/);
  const none = report(forge, { redecided: undefined });
  assert.equal(none.verdict, "verified");
  assert.equal(none.rungs.at(-1)!.steps.find(({ name }) => name === "decisions")!.result, "not checked");
  assert.ok(none.notProved.some((sentence) => sentence.startsWith("That members' ballots were enough")));
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
