import { strict as assert } from "node:assert";
import { fromBase64, toHex, toUtf8 } from "../shared/bytes.ts";
import { serialiseCertificatePem } from "../shared/crypto/x509.ts";
import {
  DCAP_TCB_STATUSES,
  NODES_INFO,
  SGX_MEASUREMENTS,
  SNP_HOST_DATA,
  SNP_MEASUREMENTS,
  SNP_TCB_VERSIONS,
  SNP_UVM_ENDORSEMENTS,
  TDX_HOST_DATA,
  TDX_MEASUREMENTS,
  VIRTUAL_HOST_DATA,
  VIRTUAL_MEASUREMENTS,
} from "../shared/governance/tables.ts";
import { LedgerVerifier } from "../shared/ledger/replay.ts";
import { makeDcap } from "../tests/dcap_machine.ts";
import { InlineNode, type OutsideOutput } from "../tests/inline_node.ts";
import { startInlineService } from "../tests/inline_service.ts";
import { SNP_PINS, snpChain, snpReport } from "../tests/snp_pki.ts";
import type { HardwarePlatform, PlatformEvidence, StartConfig } from "./messages.ts";
import { loadNativePowers } from "./native_powers.ts";
import type { EnclavePowers } from "./powers.ts";

const POLICY = "package policy\n";
const PLATFORM: HardwarePlatform = { kind: "snp", securityPolicy: POLICY };
/** When the made-up chip's certificates are valid. */
const NOW_MS = Date.UTC(2026, 5, 1);

interface Machine {
  readonly powers: EnclavePowers;
  readonly config: StartConfig;
}

async function machine(): Promise<Machine> {
  const powers = { ...await loadNativePowers(), evidenceAnchors: { amd: SNP_PINS } };
  const workspace = await Deno.makeTempDir({ prefix: "quorate_hardware_" });
  try {
    const { config } = await startInlineService(workspace, "native", { powers, nowMs: NOW_MS, closed: true });
    return { powers, config: { ...config, platform: PLATFORM } };
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
}

function evidenceOver(reportData: Uint8Array, { powers }: Machine): PlatformEvidence {
  const padded = new Uint8Array(64);
  padded.set(reportData);
  return {
    quote: snpReport({ reportData: padded, hostData: powers.primitives.sha256(toUtf8(POLICY)) }),
    endorsements: toUtf8(snpChain().map(serialiseCertificatePem).join("")),
  };
}

Deno.test("a node on SEV-SNP starts its service once there is evidence over its key, and trusts what it is itself", async () => {
  const on = await machine();
  const node = InlineNode.start(on.powers, on.config, NOW_MS);
  assert.equal(node.entries.length, 0, "nothing is written before there is evidence");
  const [reportData] = node.quotesAsked;
  assert.equal(reportData!.length, 32);
  node.advance(1000);
  assert.equal(node.quotesAsked.length, 1);
  assert.equal(node.request({ method: "GET", target: "/node/network" }).status, 503);

  node.send({ kind: "quote", evidence: evidenceOver(reportData!, on) });
  assert.equal(node.fatal, undefined);
  assert.equal(node.nodeId, toHex(reportData!), "the evidence is over the hash of the key, which is the node's ID too");
  const tx = node.enclave.node!.store.beginReadOnly();
  const info = tx.open(NODES_INFO).get(node.nodeId)!;
  assert.equal(info.status, "Trusted");
  assert.equal(info.code_digest, "ea".repeat(48));
  assert.equal(info.quote_info.format, "AMD_SEV_SNP_v1");
  assert.deepEqual(fromBase64(info.quote_info.quote).subarray(0x50, 0x70), reportData);
  assert.deepEqual([...tx.open(SNP_MEASUREMENTS).entries()], [["ea".repeat(48), "AllowedToJoin"]]);
  assert.deepEqual([...tx.open(SNP_HOST_DATA).entries()], [
    [toHex(on.powers.primitives.sha256(toUtf8(POLICY))), POLICY],
  ]);
  assert.deepEqual([...tx.open(SNP_TCB_VERSIONS).entries()], [
    ["00a00f11", { hexstring: "db18000000000104", microcode: 219, snp: 24, tee: 1, boot_loader: 4 }],
  ]);
  for (const table of [SNP_UVM_ENDORSEMENTS, VIRTUAL_MEASUREMENTS, VIRTUAL_HOST_DATA]) {
    assert.equal(tx.openRaw(table.name).size, 0);
  }

  node.send({ kind: "quote", evidence: null, reason: "nobody has asked again" });
  assert.equal(node.fatal, undefined);
  node.send({ kind: "stop" });
  const { primitives } = on.powers;
  const verifier = new LedgerVerifier({ primitives, mode: "strict", serviceCertificatePem: node.servicePem });
  assert.deepEqual([...node.entries.flatMap((entry) => [...verifier.add(entry)]), ...verifier.finish()], []);
});

Deno.test("a node on TDX starts its service, and trusts its measurement, its host data and its platform's state", async () => {
  const on = await machine();
  const evidenceOverKey = (hash: Uint8Array) =>
    makeDcap({ body: (bytes) => bytes.set([...hash, ...new Array(32).fill(0)], 520) });
  const { pins, at: nowMs } = evidenceOverKey(new Uint8Array(32));
  const powers = { ...on.powers, evidenceAnchors: { amd: {}, intel: pins } };
  const node = InlineNode.start(powers, { ...on.config, platform: { kind: "tdx" } }, nowMs);
  const { quote, collateral } = evidenceOverKey(node.quotesAsked[0]!);
  node.send({ kind: "quote", evidence: { quote, endorsements: toUtf8(JSON.stringify(collateral)) } });
  assert.equal(node.fatal, undefined);
  const tx = node.enclave.node!.store.beginReadOnly();
  const info = tx.open(NODES_INFO).get(node.nodeId)!;
  assert.equal(info.quote_info.format, "Intel_TDX_v1");
  assert.equal(info.code_digest!.length, 480);
  assert.deepEqual([...tx.open(TDX_MEASUREMENTS).entries()], [[info.code_digest, "AllowedToJoin"]]);
  assert.deepEqual([...tx.open(TDX_HOST_DATA).entries()].map(([digest, policy]) => [digest.length, policy]), [[
    96,
    "",
  ]]);
  assert.deepEqual([...tx.open(DCAP_TCB_STATUSES).entries()], [["UpToDate", "AllowedToJoin"]]);
  for (const table of [SGX_MEASUREMENTS, SNP_MEASUREMENTS, VIRTUAL_MEASUREMENTS, VIRTUAL_HOST_DATA]) {
    assert.equal(tx.openRaw(table.name).size, 0);
  }
});

Deno.test("a node whose host has no evidence stops with the host's reason", async () => {
  const on = await machine();
  const node = InlineNode.start(on.powers, on.config, NOW_MS);
  node.send({ kind: "quote", evidence: null, reason: "Cannot make a directory" });
  assert.equal(node.fatal, "Cannot make a directory");
  assert.equal(node.entries.length, 0);
});

Deno.test("a node whose host has evidence of something else stops", async () => {
  const on = await machine();
  const node = InlineNode.start(on.powers, on.config, NOW_MS);
  node.send({ kind: "quote", evidence: evidenceOver(new Uint8Array(32), on) });
  assert.match(node.fatal!, /^Cannot use this node's own evidence: it is over other report data than was asked for/);
  assert.equal(node.entries.length, 0);
});

Deno.test("a node that joins asks to once there is evidence over its key, and shows it", async () => {
  const on = await machine();
  const first = InlineNode.start(on.powers, on.config, NOW_MS);
  first.send({ kind: "quote", evidence: evidenceOver(first.quotesAsked[0]!, on) });
  const { service: _, ...common } = on.config;
  const node = InlineNode.join(on.powers, {
    ...common,
    servicePem: first.servicePem,
    targetAddress: "127.0.0.1:8000",
    retryTimeoutMs: 1000,
    followRedirect: true,
  }, NOW_MS);
  const asked: OutsideOutput[] = [];
  node.outside = (output) => asked.push(output);
  node.advance(5000);
  assert.equal(asked.length, 0, "not before");
  const [reportData] = node.quotesAsked;
  const evidence = evidenceOver(reportData!, on);
  node.send({ kind: "quote", evidence });
  node.advance(10);
  const [question] = asked;
  assert.ok(question?.kind === "httpRequest");
  const { quote_info } = JSON.parse(new TextDecoder().decode(question.request.body));
  assert.equal(quote_info.format, "AMD_SEV_SNP_v1");
  assert.deepEqual(fromBase64(quote_info.quote), evidence.quote);
});
