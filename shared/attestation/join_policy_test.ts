import { strict as assert } from "node:assert";
import { fromHex, toBase64, toHex, toUtf8 } from "../bytes.ts";
import { noblePrimitives as primitives } from "../crypto/primitives.ts";
import {
  type CheckedEvidence,
  type DcapClaims,
  describeTcb,
  type SnpClaims,
  type TcbComponents,
  verifyEvidence,
} from "./evidence.ts";
import { JOIN_REFUSALS, type JoinPolicy, judgeJoiner, parseCpuid, tcbMinimumFor } from "./join_policy.ts";

const SPKI = toUtf8("some key");
const KEY_HASH = primitives.sha256(SPKI);
const REPORT_DATA = new Uint8Array(64);
REPORT_DATA.set(KEY_HASH);
const MEASUREMENT = "0a".repeat(48);
const HOST_DATA = "bc".repeat(32);
const MILAN: SnpClaims["cpu"] = { family: 0x19, model: 1, stepping: 1 };
const TCB: TcbComponents = { boot_loader: 4, tee: 0, snp: 24, microcode: 219 };
const DID = "did:x509:0:sha256:abc::eku:1.2.3";

const CLAIMS: SnpClaims = {
  platform: "snp",
  measurement: fromHex(MEASUREMENT),
  hostData: fromHex(HOST_DATA),
  reportData: REPORT_DATA,
  cpu: MILAN,
  reportedTcb: TCB,
};
const GENUINE: CheckedEvidence = { outcome: "genuine", steps: [], claims: CLAIMS };

const DOMAIN: DcapClaims = {
  platform: "tdx",
  measurement: new Uint8Array(240).fill(0x7d),
  hostData: new Uint8Array(48).fill(0x4d),
  reportData: REPORT_DATA,
  tcbStatuses: ["UpToDate"],
};
const ENCLAVE: DcapClaims = {
  platform: "sgx",
  measurement: new Uint8Array(32).fill(0xec),
  reportData: REPORT_DATA,
  tcbStatuses: ["UpToDate"],
};

const POLICY: JoinPolicy = {
  hasVirtualMeasurement: () => false,
  hasVirtualHostData: () => false,
  hasSnpMeasurement: (hex) => hex === MEASUREMENT,
  hasSnpHostData: (hex) => hex === HOST_DATA,
  uvmMinimumSvn: (did, feed) => did === DID && feed === "UVM" ? "99" : undefined,
  tcbMinimums: () => [["00a10f11", {}], ["00a00f11", TCB]],
  hasSgxMeasurement: (hex) => hex === toHex(ENCLAVE.measurement),
  hasTdxMeasurement: (hex) => hex === toHex(DOMAIN.measurement),
  hasTdxHostData: (hex) => hex === toHex(DOMAIN.hostData!),
  hasDcapTcbStatus: (status) => status === "UpToDate",
};

function claiming(change: Partial<SnpClaims>, uvm?: CheckedEvidence["uvm"]): CheckedEvidence {
  return { ...GENUINE, claims: { ...CLAIMS, ...change }, ...(uvm && { uvm }) };
}

function endorsed(svn: number, feed = "UVM", did = DID): CheckedEvidence["uvm"] {
  return { steps: [], claims: { did, feed, svn } };
}

/** At which step evidence is refused. */
function stepOf(checked: CheckedEvidence, policy: Partial<JoinPolicy> = {}, spki = SPKI): string {
  const judgement = judgeJoiner({ ...POLICY, ...policy }, checked, spki, primitives);
  return judgement.verdict === "accepted" ? judgement.verdict : judgement.step;
}

Deno.test("a report for the key, of code and policy that members allow, on a processor that is new enough, is accepted", () => {
  const judgement = judgeJoiner(POLICY, GENUINE, SPKI, primitives);
  assert(judgement.verdict === "accepted");
  assert.equal(toHex(judgement.measurement), MEASUREMENT);
});

Deno.test("each step of judging a report refuses what is its own", () => {
  const newer = { ...TCB, microcode: 220 };
  const table: readonly [string, CheckedEvidence, Partial<JoinPolicy>?, Uint8Array?][] = [
    ["evidence", { outcome: "refused", steps: [], claims: CLAIMS, code: "bad_signature", reason: "no" }],
    ["evidence", { outcome: "genuine", steps: [] }],
    ["host data", claiming({ hostData: new Uint8Array(32) })],
    ["measurement", claiming({ measurement: new Uint8Array(48) })],
    ["uvm endorsement", claiming({}, { steps: [], code: "bad_signature", reason: "no" })],
    ["uvm endorsement", claiming({}, endorsed(98))],
    ["uvm endorsement", claiming({}, endorsed(100, "Other"))],
    ["uvm endorsement", claiming({}, endorsed(100, "UVM", "did:x509:0:sha256:xyz::eku:1.2.3"))],
    ["uvm endorsement", claiming({}, endorsed(100)), { uvmMinimumSvn: () => "1e1" }],
    ["cpuid", claiming({ cpu: { ...MILAN, stepping: 2 } })],
    ["cpuid", GENUINE, { tcbMinimums: () => [] }],
    ["cpuid", GENUINE, { tcbMinimums: () => [["0a00f11", TCB]] }],
    ["tcb version", GENUINE, { tcbMinimums: () => [["00A00F11", newer]] }],
    ["tcb version", claiming({ reportedTcb: { ...TCB, snp: 23 } })],
    ["public key", GENUINE, {}, toUtf8("another key")],
  ];
  for (const [step, checked, policy, spki] of table) assert.equal(stepOf(checked, policy, spki), step);
  // Every step but those that only virtual evidence or Intel's can fail.
  const steps = new Set(table.map(([step]) => step));
  assert.deepEqual(Object.keys(JOIN_REFUSALS).filter((step) => !steps.has(step)), ["no host data", "tcb status"]);
});

Deno.test("a quote of SGX or TDX goes through the same steps, and its platform's state is one that members accept", () => {
  const quoting = (claims: DcapClaims): CheckedEvidence => ({ outcome: "genuine", steps: [], claims });
  const domain = (change: Partial<DcapClaims> = {}) => quoting({ ...DOMAIN, ...change });
  const enclave = (change: Partial<DcapClaims> = {}) => quoting({ ...ENCLAVE, ...change });
  const changed = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => i === at ? byte ^ 1 : byte);
  const table: readonly [string, CheckedEvidence, Partial<JoinPolicy>?, Uint8Array?][] = [
    ["accepted", domain()],
    ["accepted", enclave()],
    ["accepted", domain({ tcbStatuses: ["OutOfDate", "UpToDate"] })],
    ["host data", domain({ hostData: new Uint8Array(48) })],
    ["host data", domain(), { hasTdxHostData: () => false, hasTdxMeasurement: () => false }],
    ["measurement", domain(), { hasTdxMeasurement: () => false, hasDcapTcbStatus: () => false }],
    ["measurement", domain({ measurement: changed(DOMAIN.measurement, 0) })],
    // MRTD alone is the firmware; what runs above it counts as much.
    ...[48, 96, 144, 192].map((at): [string, CheckedEvidence] => {
      return ["measurement", domain({ measurement: changed(DOMAIN.measurement, at) })];
    }),
    ["measurement", enclave(), { hasSgxMeasurement: () => false, hasTdxMeasurement: () => true }],
    ["measurement", domain(), { hasSgxMeasurement: () => true, hasTdxMeasurement: () => false }],
    ["tcb status", domain({ tcbStatuses: ["OutOfDate"] }), {}, toUtf8("another key")],
    ["tcb status", enclave({ tcbStatuses: [] })],
    ["public key", domain(), {}, toUtf8("another key")],
    ["public key", enclave(), {}, toUtf8("another key")],
  ];
  for (const [step, checked, policy, spki] of table) assert.equal(stepOf(checked, policy, spki), step);
});

Deno.test("what no member has allowed is refused on every platform, whichever look-ups find nothing", () => {
  const nothing: JoinPolicy = {
    hasVirtualMeasurement: () => false,
    hasVirtualHostData: () => false,
    hasSnpMeasurement: () => false,
    hasSnpHostData: () => false,
    uvmMinimumSvn: () => undefined,
    tcbMinimums: () => [],
    hasSgxMeasurement: () => false,
    hasTdxMeasurement: () => false,
    hasTdxHostData: () => false,
    hasDcapTcbStatus: () => false,
  };
  const virtual = {
    platform: "virtual",
    measurement: "Insecure hard-coded virtual measurement v1",
    hostData: HOST_DATA,
    reportData: KEY_HASH,
  } as const;
  for (const claims of [virtual, CLAIMS, DOMAIN, ENCLAVE]) {
    const outcome = claims.platform === "virtual" ? "virtual" : "genuine";
    for (const uvm of [undefined, endorsed(1000)!]) {
      const checked: CheckedEvidence = { outcome, steps: [], claims, ...(uvm && { uvm }) };
      assert.equal(judgeJoiner(nothing, checked, SPKI, primitives).verdict, "rejected", claims.platform);
    }
  }
});

Deno.test("an endorsement that is presented counts alone, and versions are compared as numbers", () => {
  const unlisted = { measurement: new Uint8Array(48) };
  assert.equal(stepOf(claiming(unlisted, endorsed(99))), "accepted");
  assert.equal(stepOf(claiming(unlisted, endorsed(100))), "accepted"); // "100" < "99" as text
  assert.equal(stepOf(claiming({}, endorsed(98))), "uvm endorsement", "though the measurement itself is listed");
});

// The same table as in CCF's src/pal/test/attestation.cpp, by its facts: present in one and not in the other fails.
Deno.test("a TCB version is at least another where every component is, and both have the same components", () => {
  const ten: TcbComponents = { boot_loader: 10, tee: 10, snp: 10, microcode: 10 };
  const table: readonly [minimum: TcbComponents, reported: TcbComponents, step: string][] = [
    [ten, ten, "accepted"],
    [ten, { ...ten, microcode: 11 }, "accepted"],
    [ten, { ...ten, microcode: 9 }, "tcb version"],
    [ten, { ...ten, boot_loader: 11, tee: 9 }, "tcb version"],
    [ten, { ...ten, fmc: 1 }, "tcb version"],
    [{ ...ten, fmc: 1 }, ten, "tcb version"],
    [{ ...ten, fmc: 1 }, { ...ten, fmc: 1 }, "accepted"],
    [{}, ten, "tcb version"],
  ];
  for (const [minimum, reportedTcb, step] of table) {
    assert.equal(stepOf(claiming({ reportedTcb }), { tcbMinimums: () => [["00a00f11", minimum]] }), step);
  }
});

Deno.test("a CPUID is read by its fields", () => {
  assert.deepEqual(parseCpuid("00a00f11"), { family: 0x19, model: 1, stepping: 1 });
  assert.deepEqual(parseCpuid("00A10F11"), { family: 0x19, model: 0x11, stepping: 1 });
  assert.deepEqual(parseCpuid("00b00f21"), { family: 0x1a, model: 2, stepping: 1 });
  for (const wrong of ["", "a00f11", "00a00f1g", "00a00f110"]) assert.equal(parseCpuid(wrong), undefined);
  assert.deepEqual(tcbMinimumFor(POLICY, CLAIMS)?.cpuid, "00a00f11");
  assert.equal(describeTcb(TCB), "boot loader 4, tee 0, snp 24, microcode 219");
});

Deno.test("virtual evidence goes through the same steps", () => {
  const claims = { measurement: "M", host_data: HOST_DATA, report_data: toBase64(KEY_HASH) };
  const policy = { hasVirtualMeasurement: (text: string) => text === "M", hasVirtualHostData: () => true };
  const check = (change: object) => {
    const quote = toBase64(toUtf8(JSON.stringify({ ...claims, ...change })));
    return verifyEvidence({ format: "Insecure_Virtual", quote, endorsements: "" }, { at: 0 }, primitives);
  };
  assert.equal(check({}).outcome, "virtual");
  assert.equal(stepOf(check({}), policy), "accepted");
  assert.equal(stepOf(check({ host_data: undefined }), policy), "no host data");
  assert.equal(stepOf(check({}), { ...policy, hasVirtualHostData: () => false }), "host data");
  assert.equal(stepOf(check({ measurement: "N" }), policy), "measurement");
  assert.equal(stepOf(check({ report_data: toBase64(new Uint8Array(32)) }), policy), "public key");
  assert.equal(stepOf(check({ report_data: "AAAA" }), policy), "evidence");
});

Deno.test("virtual evidence is never called genuine, and its signature is a step that nobody took", () => {
  const quote = toBase64(toUtf8(JSON.stringify({ measurement: "M", report_data: toBase64(KEY_HASH) })));
  const { outcome, steps } = verifyEvidence(
    { format: "Insecure_Virtual", quote, endorsements: "" },
    { at: 0 },
    primitives,
  );
  assert.equal(outcome, "virtual");
  assert.deepEqual(steps.map(({ name, result }) => [name, result]), [
    ["form", "verified"],
    ["signature", "not checked"],
  ]);
});
