import { strict as assert } from "node:assert";
import { nodeIdOf } from "../shared/crypto/identifiers.ts";
import { noblePrimitives as primitives } from "../shared/crypto/primitives.ts";
import { parseCertificatePem } from "../shared/crypto/x509.ts";
import { NODES_ENDORSED_CERTIFICATES, USERS_INFO } from "../shared/governance/tables.ts";
import { climb } from "../shared/trust/ladder.ts";
import type { TrustReport } from "../shared/trust/report.ts";
import { loadScriptEngine } from "../enclave/js/runtime.ts";
import { serviceTest } from "../tests/inline_app.ts";
import type { InlineService } from "../tests/inline_service.ts";
import { decide } from "../tests/members.ts";
import { LedgerReader } from "./quote_ledger.ts";

const engine = await loadScriptEngine(() => performance.now());

/** Verifies the node of a service that runs in this process. */
function report({ node }: InlineService): TrustReport {
  node.enclave.node!.signWhatIsLeft();
  node.send();
  const reader = new LedgerReader({ primitives, mode: "strict", anchors: undefined, engine, keepEntries: false });
  const { ledger, redecided } = reader.fromEntries(node.entries);
  assert.ok(!("unavailable" in ledger));
  const nodeId = nodeIdOf(parseCertificatePem(node.nodePem).spki);
  const { row } = ledger.admissionOf(nodeId)!;
  const certificate = ledger.tables().open(NODES_ENDORSED_CERTIFICATES).get(nodeId)!;
  return climb({
    primitives,
    evidence: row.quote_info,
    peer: { der: parseCertificatePem(certificate).der, connection: "held" },
    servicePem: node.servicePem,
    ledger,
    redecided,
    at: node.nowMs,
    upTo: "network",
  });
}

serviceTest(
  "of a service that works as it should every decision follows, and its node is verified",
  "native",
  (service) => {
    const action = { name: "add_virtual_host_data", args: { host_data: "ab".repeat(32) } };
    assert.equal(decide(service, action).json.proposalState, "Accepted");
    const found = report(service);
    assert.equal(found.verdict, "virtual", found.reason);
    const { result, detail } = found.rungs[4]!.steps.find(({ name }) => name === "decisions")!;
    assert.equal(result, "verified");
    assert.match(detail, /^\d+ requests of members were decided again, and follow from what they signed$/);
  },
);

serviceTest("what only scripts can tell breaks the last rung too", "native", (service) => {
  service.node.write((tx) => tx.open(USERS_INFO).put("0".repeat(64), { user_data: "a friend of the node's" }));
  const { verdict, reason } = report(service);
  assert.equal(verdict, "refused");
  assert.match(reason!, /^network: decisions: 2\.\d+ does not follow: No member's request stands behind this/);
});
