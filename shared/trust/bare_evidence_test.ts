import { strict as assert } from "node:assert";
import { toHex } from "../bytes.ts";
import { parsePemBlock } from "../crypto/pem.ts";
import { noblePrimitives as primitives } from "../crypto/primitives.ts";
import { parseJsonText } from "../json.ts";
import { collateralTexts } from "../attestation/dcap/collateral.ts";
import { makeDcap } from "../../tests/dcap_machine.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { ANCHORS, HOST_DATA, MEASUREMENT, MOMENT } from "../../tests/trust_forge.ts";
import { SNP_LEAF_KEY, SNP_ROOT_KEY, snpCertificate, snpChain, snpReport } from "../../tests/snp_pki.ts";
import { cwtDocument, UVM_MEASUREMENT } from "../../tests/uvm_documents.ts";
import { type BareEvidence, type BareOptions, checkBareEvidence, inOrder } from "./bare_evidence.ts";

const REPORT: BareEvidence = { bytes: snpReport(), certificates: snpChain() };

function check(options: Partial<BareOptions> = {}, evidence = REPORT) {
  return checkBareEvidence(evidence, { at: MOMENT, anchors: ANCHORS, ...options }, primitives);
}

Deno.test("a report with its certificates, in any order, is verified as far as hardware goes, and no further", () => {
  const found = check({}, { ...REPORT, certificates: REPORT.certificates.toReversed() });
  assert.equal(found.verdict, "verified", found.reason);
  assert.deepEqual(found.rungs.map(({ verdict }) => verdict), [
    "verified",
    "not checked",
    "not checked",
    "not checked",
    "not checked",
  ]);
  assert.ok(found.notProved.some((sentence) => sentence.startsWith("Whose evidence it is")));
  assert.ok(found.notProved.some((sentence) => sentence.includes("revoked")));
});

Deno.test("a report is refused at the step that fails", () => {
  const table: readonly [string, ReturnType<typeof check>][] = [
    ["chain", check({ anchors: undefined })],
    ["certificates", check({}, { ...REPORT, certificates: [] })],
    ["signature", check({}, { ...REPORT, bytes: REPORT.bytes.map((byte, i) => i === 0x90 ? byte ^ 1 : byte) })],
    ["debug", check({}, { ...REPORT, bytes: snpReport({ policy: 0xb001fn }) })],
    ["expected measurement", check({ expected: { measurements: ["00"] } })],
    ["expected host data", check({ expected: { hostData: ["00"] } })],
    // What is neither is read as a quote of Intel's.
    ["quote header", check({}, { ...REPORT, bytes: new Uint8Array(10) })],
  ];
  for (const [step, { verdict, reason }] of table) {
    assert.equal(verdict, "refused", step);
    assert.equal(reason!.split(": ")[1], step);
  }
  const expected = { measurements: ["00", MEASUREMENT], hostData: [HOST_DATA] };
  assert.equal(check({ expected }).verdict, "verified");
});

Deno.test("certificates are put in order, and strangers among them stay out", () => {
  const [leaf, issuer, root] = REPORT.certificates as [Uint8Array, Uint8Array, Uint8Array];
  const stranger = snpCertificate("CN=stranger", SNP_ROOT_KEY, "CN=stranger", SNP_ROOT_KEY, []);
  const hex = (ders: readonly Uint8Array[]) => ders.map(toHex);
  assert.deepEqual(hex(inOrder([root, stranger, leaf, issuer])), hex([leaf, issuer, root]));
  assert.deepEqual(inOrder([]), []);
  assert.deepEqual(hex(inOrder([leaf])), hex([leaf]));
  // Two that issued each other have no beginning, and a chain has an end.
  const loop = [
    snpCertificate("CN=a", SNP_LEAF_KEY, "CN=b", SNP_ROOT_KEY, []),
    snpCertificate("CN=b", SNP_ROOT_KEY, "CN=a", SNP_LEAF_KEY, []),
  ];
  assert.deepEqual(inOrder(loop), []);
  const below = snpCertificate("CN=c", SNP_LEAF_KEY, "CN=a", SNP_LEAF_KEY, []);
  assert.ok(inOrder([...loop, below]).length > 2);
});

Deno.test("an endorsement of a machine's image counts below Microsoft's root only: anybody can make one", () => {
  const report = { ...REPORT, bytes: snpReport({ measurement: UVM_MEASUREMENT }) };
  assert.equal(check({}, report).verdict, "verified");
  const found = check({}, { ...report, uvm: cwtDocument() });
  assert.match(found.reason ?? "", /^hardware: UVM endorser: did:x509:0:sha256:.* is not below Microsoft/);
});

teamTest("a recorded report of a container's machine is verified with its endorsement", () => {
  const { vectors } = JSON.parse(Deno.readTextFileSync(teamData("attestation/vectors/vectors.json")));
  const vector = vectors.find(({ id }: { id: string }) => id === "snp-milan-v3-aci-bundle-20250617");
  const file = (path: string) => teamData(`attestation/vectors/${path}`);
  const pems = vector.files.chain.map((path: string) =>
    parsePemBlock(Deno.readTextFileSync(file(path)), "CERTIFICATE")
  );
  const evidence = {
    bytes: Deno.readFileSync(file(vector.files.report)),
    certificates: [Deno.readFileSync(file(vector.files.vek)), ...pems],
    uvm: Deno.readFileSync(file(vector.files.uvm)),
  };
  const found = checkBareEvidence(evidence, { at: Date.parse(vector.verifyAt) }, primitives);
  assert.equal(found.verdict, "verified", found.reason);
  assert.equal(found.rungs[0]!.steps.at(-1)!.name, "UVM endorser");
});

Deno.test("a trust domain that can be moved to another machine is refused, as for nodes that want to join", () => {
  const check = (body: (bytes: Uint8Array) => void) => {
    const { quote, collateral, pins, at } = makeDcap({ body });
    return checkBareEvidence(
      { bytes: quote, certificates: [], collateral },
      { at, anchors: { ...ANCHORS, intel: pins } },
      primitives,
    );
  };
  assert.equal(check(() => {}).verdict, "verified");
  const movable = check((body) => (body[TD_ATTRIBUTES_AT + 3]! |= 0x20));
  assert.equal(movable.reason, "hardware: migration: the trust domain may be moved to another machine");
});

/** attestation/formats.md §3.2 */
const TD_ATTRIBUTES_AT = 120;

teamTest("a recorded quote of TDX with its collateral is verified, and its measurement is MRTD with its RTMRs", () => {
  const folder = teamData("attestation/vectors/tdx/tdx-v4-uptodate-gcp-padded");
  const { vectors } = JSON.parse(Deno.readTextFileSync(teamData("attestation/vectors/vectors.json")));
  const vector = vectors.find(({ id }: { id: string }) => id === "tdx-v4-uptodate-gcp-padded");
  const evidence = {
    bytes: Deno.readFileSync(`${folder}/quote.bin`),
    certificates: [],
    collateral: collateralTexts(parseJsonText(Deno.readTextFileSync(`${folder}/collateral.json`))),
  };
  const at = Date.parse(vector.verifyAt);
  const { mrtd, rtmr0, rtmr1, rtmr2, rtmr3 } = vector.expect.body;
  const measurements = [[mrtd, rtmr0, rtmr1, rtmr2, rtmr3].join("")];
  const found = checkBareEvidence(evidence, { at, expected: { measurements } }, primitives);
  assert.equal(found.verdict, "verified", found.reason);
  const firmware = checkBareEvidence(evidence, { at, expected: { measurements: [mrtd] } }, primitives);
  assert.equal(firmware.reason!.split(": ")[1], "expected measurement");
  const host = checkBareEvidence(evidence, { at, expected: { hostData: ["00"] } }, primitives);
  assert.match(host.reason!, /the host data is [0-9a-f]{96}$/);
});
