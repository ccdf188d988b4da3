/**
 * Services that began on attested hardware, made up: what they are themselves is what they let in, and nothing else.
 */

import { strict as assert } from "node:assert";
import { toHex, toUtf8 } from "../shared/bytes.ts";
import { parsePemBlock } from "../shared/crypto/pem.ts";
import { serialiseCertificatePem } from "../shared/crypto/x509.ts";
import { NODES_INFO, SNP_MEASUREMENTS } from "../shared/governance/tables.ts";
import { makeDcap } from "../tests/dcap_machine.ts";
import {
  askToJoin,
  dcapEvidence,
  HARDWARE_NOW_MS,
  hardwarePowers,
  hardwareService,
  joiner,
  KEY_HASH,
  QUOTE_BODY,
  refusedBy,
  reportDataOf,
  SNP_MEASUREMENT,
  snpEvidence,
  UNLISTED_HOST_DATA,
  UNLISTED_MEASUREMENT,
} from "../tests/hardware_joiner.ts";
import { bodyText } from "../tests/inline_app.ts";
import { InlineNode, type OutsideOutput } from "../tests/inline_node.ts";
import { SNP_TCB, snpChain, snpReport } from "../tests/snp_pki.ts";
import { parseJoinResponse } from "./join_request.ts";
import { loadNativePowers } from "./native_powers.ts";
import type { HardwarePlatform, PlatformEvidence } from "./messages.ts";
import { virtualQuote } from "./platform/virtual.ts";

const SNP: HardwarePlatform = { kind: "snp", securityPolicy: null };

function snpOver(keyHash: Uint8Array): PlatformEvidence {
  return {
    quote: snpReport({ reportData: reportDataOf(keyHash) }),
    endorsements: toUtf8(snpChain().map(serialiseCertificatePem).join("")),
  };
}

function tdxOver(keyHash: Uint8Array): PlatformEvidence {
  const { quote, collateral } = makeDcap({
    body: (body) => body.set(reportDataOf(keyHash), QUOTE_BODY.tdx.reportData),
  });
  return { quote, endorsements: toUtf8(JSON.stringify(collateral)) };
}

/** A service of one node, which is not open yet: who is allowed to join is trusted at once. */
async function startOn(
  platform: HardwarePlatform,
  evidenceOver: (keyHash: Uint8Array) => PlatformEvidence,
): Promise<InlineNode> {
  const { config } = await hardwareService();
  const node = InlineNode.start(hardwarePowers, { ...config, platform }, HARDWARE_NOW_MS);
  node.send({ kind: "quote", evidence: evidenceOver(node.quotesAsked[0]!) });
  assert.equal(node.fatal, undefined);
  return node;
}

async function virtualEvidence() {
  const { config } = await hardwareService();
  const quote = virtualQuote(config.platform.hostData, KEY_HASH);
  return { format: "Insecure_Virtual", quote, endorsements: "" } as const;
}

Deno.test("a node that is no test's believes the makers' own keys, and refuses made-up hardware", async () => {
  const powers = await loadNativePowers();
  assert.equal("evidenceAnchors" in powers, false);
  const { config } = await hardwareService();
  const node = InlineNode.start(powers, { ...config, platform: SNP }, HARDWARE_NOW_MS);
  node.send({ kind: "quote", evidence: snpOver(node.quotesAsked[0]!) });
  assert.match(node.fatal!, /^Cannot use this node's own evidence: it does not verify: .*not one of the trusted ones$/);
});

Deno.test("a service that began on SEV-SNP lets in its own code on firmware as new, and no virtual node", async () => {
  const node = await startOn(SNP, snpOver);
  const older = { ...SNP_TCB, microcode: SNP_TCB.microcode - 1 };
  for (
    const [name, quoteInfo, told, logged] of [
      ["virtual", await virtualEvidence(), UNLISTED_HOST_DATA, /host data: host_data_mismatch/],
      ["of TDX", dcapEvidence(), UNLISTED_HOST_DATA, /host data: host_data_mismatch/],
      ["of SGX", dcapEvidence({ kind: "sgx", version: 3 }), UNLISTED_MEASUREMENT, /measurement: measurement_mismatch/],
      ["of other code", snpEvidence({ report: { measurement: new Uint8Array(48) } }), UNLISTED_MEASUREMENT, /0{96}/],
      [
        "of older firmware",
        snpEvidence({ report: { tcb: older }, leaf: { tcb: older } }),
        "500 InvalidQuote Unknown quote verification error",
        /microcode 218.*microcode 219.*\(tcb version: tcb_too_low\)/,
      ],
    ] as const
  ) {
    const refusal = refusedBy(node, quoteInfo);
    assert.equal(refusal.told, told, name);
    assert.match(refusal.logged, logged, name);
  }
  const newer = { ...SNP_TCB, microcode: SNP_TCB.microcode + 1 };
  const response = askToJoin(node, snpEvidence({ report: { tcb: newer }, leaf: { tcb: newer } }));
  assert.equal(response.status, 200, bodyText(response));
  assert.equal(parseJoinResponse(response.body).nodeStatus, "Trusted");
});

Deno.test("a service that began on TDX lets in its own code, and neither virtual nodes nor those of SEV-SNP", async () => {
  const node = await startOn({ kind: "tdx" }, tdxOver);
  assert.equal(refusedBy(node, await virtualEvidence()).told, UNLISTED_HOST_DATA);
  assert.equal(refusedBy(node, snpEvidence()).told, UNLISTED_HOST_DATA);
  assert.equal(
    refusedBy(node, dcapEvidence({ components: new Array(16).fill(5) })).told,
    "401 InvalidQuote Quote TCB status is not authorised",
  );
  const response = askToJoin(node, dcapEvidence());
  assert.equal(response.status, 200, bodyText(response));
});

Deno.test("two nodes on SEV-SNP: the second shows its evidence, is told the secrets and takes part", async () => {
  const first = await startOn(SNP, snpOver);
  const { config: { service: _, ...common } } = await hardwareService();
  const second = InlineNode.join(hardwarePowers, {
    ...common,
    platform: SNP,
    servicePem: first.servicePem,
    targetAddress: "127.0.0.1:8000",
    retryTimeoutMs: 1000,
    followRedirect: true,
    nodeToNodeInterface: { bind_address: "127.0.0.1:9", published_address: "127.0.0.1:9" },
  }, HARDWARE_NOW_MS);
  const asked: OutsideOutput[] = [];
  second.outside = (output) => asked.push(output);
  const [keyHash] = second.quotesAsked;
  second.send({ kind: "quote", evidence: snpOver(keyHash!) });
  second.advance(10);
  const question = asked.find((output) => output.kind === "httpRequest")!;
  const { identity } = second.enclave.node!;
  const { method, target, body } = question.request;
  const certificate = parsePemBlock(identity.selfSignedPem, "CERTIFICATE");
  const response = first.request({ method, target, body, certificate });
  assert.equal(response.status, 200, bodyText(response));
  second.send({ kind: "httpResult", id: question.id, response });
  assert.equal(second.fatal, undefined);
  assert.equal(second.enclave.node!.state, "PartOfNetwork");
  const tx = first.enclave.node!.store.beginReadOnly();
  const row = tx.open(NODES_INFO).get(toHex(keyHash!))!;
  assert.deepEqual([row.status, row.code_digest], ["Trusted", SNP_MEASUREMENT]);
});

Deno.test("new code on SEV-SNP: allowed, let in; the old disallowed, kept out, and whoever runs it stays until removed", async () => {
  const node = await startOn(SNP, snpOver);
  const [oldCode, newCode] = [snpEvidence(), snpEvidence({ report: { measurement: new Uint8Array(48).fill(0xee) } })];
  assert.equal(refusedBy(node, newCode).told, UNLISTED_MEASUREMENT);
  node.write((tx) => tx.open(SNP_MEASUREMENTS).put("ee".repeat(48), "AllowedToJoin"));
  assert.equal(askToJoin(node, newCode).status, 200);
  node.write((tx) => {
    tx.open(NODES_INFO).remove(joiner.id);
    tx.open(SNP_MEASUREMENTS).remove(SNP_MEASUREMENT);
  });
  assert.equal(refusedBy(node, oldCode).told, UNLISTED_MEASUREMENT);
  const own = node.enclave.node!.store.beginReadOnly().open(NODES_INFO).get(node.nodeId)!;
  assert.deepEqual([own.status, own.code_digest], ["Trusted", SNP_MEASUREMENT]);
});
