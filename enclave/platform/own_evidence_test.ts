import { strict as assert } from "node:assert";
import { FormatError } from "../../shared/assert.ts";
import { fromBase64, fromHex, toHex, toUtf8 } from "../../shared/bytes.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { serialiseCertificatePem } from "../../shared/crypto/x509.ts";
import { makeDcap } from "../../tests/dcap_machine.ts";
import { SNP_PINS, snpChain, snpReport } from "../../tests/snp_pki.ts";
import { snpVectors, vectorFile } from "../../tests/snp_vectors.ts";
import { teamTest } from "../../tests/team_data.ts";
import type { HardwarePlatform, PlatformEvidence } from "../messages.ts";
import { dcapMeasurement } from "./dcap_quote.ts";
import { checkOwnEvidence, type OwnEvidenceOptions, virtualEvidence } from "./own_evidence.ts";

const KEY_HASH = new Uint8Array(32).fill(7);
const REPORT_DATA = Uint8Array.of(...KEY_HASH, ...new Array(32).fill(0));
const POLICY = "package policy\n";
const HOST_DATA = noblePrimitives.sha256(toUtf8(POLICY));

const platform: HardwarePlatform = { kind: "snp", securityPolicy: POLICY };
const options: OwnEvidenceOptions = { keyHash: KEY_HASH, atMs: Date.UTC(2026, 5, 1), anchors: { amd: SNP_PINS } };

const pem = (chain: readonly Uint8Array[]) => toUtf8(chain.map(serialiseCertificatePem).join(""));

const good: PlatformEvidence = {
  quote: snpReport({ reportData: REPORT_DATA, hostData: HOST_DATA }),
  endorsements: pem(snpChain()),
};

const check = (
  evidence: PlatformEvidence = good,
  change: Partial<OwnEvidenceOptions> = {},
  on: HardwarePlatform = platform,
) => checkOwnEvidence(on, evidence, { ...options, ...change }, noblePrimitives);

Deno.test("checkOwnEvidence() answers what the ledger keeps of a node on SEV-SNP", () => {
  const { quoteInfo, codeDigest, trusted } = check();
  assert.equal(quoteInfo.format, "AMD_SEV_SNP_v1");
  assert.deepEqual(fromBase64(quoteInfo.quote), good.quote);
  assert.deepEqual(fromBase64(quoteInfo.endorsements), good.endorsements);
  assert.deepEqual(Object.keys(quoteInfo).sort(), ["endorsements", "format", "quote"]);
  assert.equal(codeDigest, "ea".repeat(48));
  assert.deepEqual(trusted, {
    platform: "snp",
    code: { measurement: "ea".repeat(48) },
    hostData: toHex(HOST_DATA),
    securityPolicy: POLICY,
    cpuid: "00a00f11",
    minimumTcb: { hexstring: "db18000000000104", microcode: 219, snp: 24, tee: 1, boot_loader: 4 },
  });
});

Deno.test("checkOwnEvidence() takes any host data where no policy is configured", () => {
  const { trusted } = check(good, {}, { kind: "snp", securityPolicy: null });
  assert.equal((trusted as { securityPolicy: string }).securityPolicy, "");
});

Deno.test("checkOwnEvidence() keeps for which TCB version the certificates are", () => {
  const { quoteInfo } = check({ ...good, endorsedTcb: "DB18000000000104" });
  assert.equal(quoteInfo.endorsed_tcb, "DB18000000000104");
});

for (
  const [what, evidence, change, expected] of [
    ["the report of another key", good, { keyHash: new Uint8Array(32).fill(8) }, /not of this node's key$/],
    ["certificates that have ended", good, { atMs: Date.UTC(2028, 0, 1) }, /it does not verify: chain: /],
    ["a root that nobody trusts", good, { anchors: undefined }, /it does not verify: chain: /],
    [
      "a changed report",
      { ...good, quote: good.quote.map((byte, i) => i === 0x90 ? byte ^ 1 : byte) },
      {},
      /signature: /,
    ],
    ["no report", { ...good, quote: new Uint8Array() }, {}, /it does not verify: report: /],
    ["no certificates", { ...good, endorsements: new Uint8Array() }, {}, /it does not verify: /],
    ["certificates that are no text", { ...good, endorsements: Uint8Array.of(0xff) }, {}, /it does not verify: /],
    ["certificates for another TCB version", { ...good, endorsedTcb: "DB17000000000104" }, {}, /endorsed TCB: /],
    ["a TCB version that is none", { ...good, endorsedTcb: "DB" }, {}, /it does not verify: /],
    [
      "a machine that can be debugged",
      { ...good, quote: snpReport({ reportData: REPORT_DATA, hostData: HOST_DATA, policy: 0xb001fn }) },
      {},
      /debug: /,
    ],
    ["an endorsement that is none", { ...good, uvmEndorsements: Uint8Array.of(1) }, {}, /UVM endorsement: /],
    [
      "another security policy",
      { ...good, quote: snpReport({ reportData: REPORT_DATA, hostData: new Uint8Array(32) }) },
      {},
      new RegExp(
        `security policy of digest ${"00".repeat(32)}, and the one in .* has ${toHex(HOST_DATA)}; name the file`,
      ),
    ],
  ] as const
) {
  Deno.test(`checkOwnEvidence() refuses ${what}`, () => {
    assert.throws(() => check(evidence, change), (error) => {
      assert.ok(error instanceof FormatError, `${error}`);
      assert.match(error.message, /^Cannot use this node's own evidence: /);
      assert.match(error.message, expected);
      return true;
    });
  });
}

teamTest("checkOwnEvidence() takes recorded evidence, and trusts who endorsed its measurement", () => {
  let endorsed = 0;
  for (const { id, files, verifyAt, expect } of snpVectors()) {
    if (typeof files.uvm !== "string" || typeof files.endorsements !== "string") continue;
    endorsed++;
    const report = expect.report as { report_data: string; measurement: string; host_data: string };
    const evidence = {
      quote: vectorFile(files.report as string),
      endorsements: vectorFile(files.endorsements),
      uvmEndorsements: vectorFile(files.uvm),
    };
    const { codeDigest, trusted, quoteInfo } = check(evidence, {
      keyHash: fromHex(report.report_data).subarray(0, 32),
      atMs: Date.parse(verifyAt),
      anchors: undefined,
    }, { kind: "snp", securityPolicy: null });
    assert.equal(codeDigest, report.measurement);
    assert.ok(trusted.platform === "snp");
    assert.equal(trusted.hostData, report.host_data, id);
    assert.ok("did" in trusted.code);
    assert.match(trusted.code.did, /^did:x509:0:sha256:I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s::eku:/);
    assert.match(trusted.code.svn, /^\d+$/);
    assert.deepEqual(fromBase64(quoteInfo.uvm_endorsements!), evidence.uvmEndorsements);
  }
  assert.equal(endorsed, 2);
});

for (const [kind, at, measurementBytes] of [["tdx", 520, 240], ["sgx", 320, 32]] as const) {
  const made = makeDcap({
    version: kind === "sgx" ? 3 : 4,
    kind: kind === "sgx" ? "sgx" : "td10",
    body: (bytes) => bytes.set(REPORT_DATA, at),
    components: new Array(16).fill(5),
  });
  const evidence = { quote: made.quote, endorsements: toUtf8(JSON.stringify(made.collateral)) };
  const dcap = { atMs: made.at, anchors: { amd: {}, intel: made.pins } };

  Deno.test(`checkOwnEvidence() answers what the ledger keeps of a node on ${kind}`, () => {
    const { quoteInfo, codeDigest, trusted } = check(evidence, dcap, { kind });
    assert.equal(quoteInfo.format, kind === "tdx" ? "Intel_TDX_v1" : "Intel_SGX_DCAP_v1");
    assert.deepEqual(fromBase64(quoteInfo.quote), made.quote);
    assert.equal(codeDigest, toHex(dcapMeasurement(made.quote)));
    assert.equal(codeDigest.length, 2 * measurementBytes);
    const { hostData, ...others } = trusted as { hostData?: string };
    assert.equal(hostData?.length, kind === "tdx" ? 96 : undefined);
    assert.deepEqual(others, { platform: kind, measurement: codeDigest, tcbStatuses: ["UpToDate", "OutOfDate"] });
  });

  Deno.test(`checkOwnEvidence() refuses evidence of ${kind} that is another's, of another kind, old, or alone`, () => {
    const refuses = (expected: RegExp, ...args: Parameters<typeof check>) =>
      assert.throws(() => check(...args), (error) => error instanceof FormatError && expected.test(error.message));
    refuses(/not of this node's key/, evidence, { ...dcap, keyHash: new Uint8Array(32) }, { kind });
    refuses(/it does not verify/, evidence, dcap, { kind: kind === "tdx" ? "sgx" : "tdx" });
    refuses(/it does not verify/, evidence, { ...dcap, atMs: Date.UTC(2026, 7, 1) }, { kind });
    refuses(/it does not verify/, { ...evidence, endorsements: new Uint8Array() }, dcap, { kind });
    refuses(/it does not verify/, evidence, { ...dcap, anchors: undefined }, { kind });
  });
}

Deno.test("virtualEvidence() says what governance.md §7 has", () => {
  const { quoteInfo, codeDigest, trusted } = virtualEvidence({ kind: "virtual", hostData: "ab".repeat(32) }, KEY_HASH);
  assert.equal(
    new TextDecoder().decode(fromBase64(quoteInfo.quote)),
    `{"host_data":"${"ab".repeat(32)}","measurement":"Insecure hard-coded virtual measurement v1",` +
      `"report_data":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="}`,
  );
  assert.equal(codeDigest, toHex(toUtf8("Insecure hard-coded virtual measurement v1")));
  assert.equal(trusted.platform, "virtual");
});
