import { strict as assert } from "node:assert";
import { FormatError } from "../../../shared/assert.ts";
import { fromBase64, toUtf8 } from "../../../shared/bytes.ts";
import { noblePrimitives as primitives } from "../../../shared/crypto/primitives.ts";
import { serialiseBundle } from "../../../shared/trust/bundle.ts";
import { snpChain, snpReport } from "../../../tests/snp_pki.ts";
import { ANCHORS, certificateOf, MOMENT, snpEvidenceFor, TrustForge } from "../../../tests/trust_forge.ts";
import { fieldsOf, readFields } from "./evidence_fields.ts";
import { judgeEvidenceFiles, type NamedBytes } from "./evidence_file.ts";

const forge = new TrustForge(primitives).start();
const OPTIONS = { nowMs: MOMENT, primitives, anchors: ANCHORS, pause: () => Promise.resolve() };

const bundle = (entries = forge.entries): NamedBytes => ({
  name: "evidence.json",
  bytes: toUtf8(serialiseBundle({
    evidence: snpEvidenceFor(forge.node),
    nodeCertificate: certificateOf(forge.node),
    savedAtMs: MOMENT,
    ...(entries.length > 0 && { entries }),
  })),
});
const certificates = snpChain().map((bytes, i): NamedBytes => ({ name: `${i}.der`, bytes }));

Deno.test("judgeEvidenceFiles() climbs a bundle with its ledger, up to the network", async () => {
  const { report, at, bundle: read } = await judgeEvidenceFiles([bundle()], OPTIONS);
  assert.equal(at, MOMENT);
  assert.equal(read?.entries?.length, forge.entries.length);
  assert.equal(report.rungs.find(({ name }) => name === "hardware")!.verdict, "verified", report.reason);
  assert.equal(report.rungs.find(({ name }) => name === "code")!.verdict, "verified", report.reason);
});

Deno.test("judgeEvidenceFiles() finds a ledger in a bundle that was altered", async () => {
  const entries = forge.entries.map((entry) => entry.slice());
  const middle = entries[1]!;
  middle[middle.length - 1]! ^= 1;
  const { report } = await judgeEvidenceFiles([bundle(entries)], OPTIONS);
  assert.equal(report.verdict, "refused");
  assert.match(report.reason!, /^service: ledger: /);
});

Deno.test("judgeEvidenceFiles() goes no further than the key where a bundle has no ledger", async () => {
  const { report } = await judgeEvidenceFiles([bundle([])], OPTIONS);
  assert.deepEqual(report.rungs.map(({ verdict }) => verdict), [
    "verified",
    "verified",
    "not checked",
    "not checked",
    "not checked",
  ]);
});

Deno.test("judgeEvidenceFiles() judges a bundle that claims to be of the future as of now", async () => {
  const { at } = await judgeEvidenceFiles([bundle([])], { ...OPTIONS, nowMs: MOMENT - 1000 });
  assert.equal(at, MOMENT - 1000);
});

Deno.test("judgeEvidenceFiles() judges a bare report by the certificates beside it", async () => {
  const report = { name: "report.bin", bytes: snpReport() };
  const good = await judgeEvidenceFiles([...certificates, report], OPTIONS);
  assert.equal(good.report.verdict, "verified", good.report.reason);
  const without = await judgeEvidenceFiles([report], OPTIONS);
  assert.equal(without.report.verdict, "refused");
});

Deno.test("judgeEvidenceFiles() says which files it cannot use", async () => {
  const refusal = async (files: readonly NamedBytes[]) => {
    try {
      await judgeEvidenceFiles(files, OPTIONS);
      return "accepted";
    } catch (error) {
      if (error instanceof FormatError) return error.message;
      throw error;
    }
  };
  const report = { name: "report.bin", bytes: snpReport() };
  assert.match(await refusal(certificates), /None of the files is evidence/);
  assert.match(await refusal([report, { ...report, name: "other.bin" }]), /More than one .*: report\.bin, other\.bin/);
  assert.match(await refusal([{ name: "big.bin", bytes: new Uint8Array(70_000) }]), /big\.bin has 70000 bytes/);
  assert.match(await refusal([{ name: "x.json", bytes: toUtf8('{"format":"other"}') }]), /neither a bundle/);
});

Deno.test("fieldsOf() takes evidence apart without a gap, virtual evidence included", () => {
  const { quote, format } = snpEvidenceFor(forge.node);
  let end = 0;
  for (const { offset, length } of fieldsOf(format, fromBase64(quote))) {
    assert.equal(offset, end);
    end += length;
  }
  assert.equal(end, fromBase64(quote).length);
  const virtual = btoa(
    JSON.stringify({ measurement: "m", host_data: "00".repeat(32), report_data: btoa("x".repeat(32)) }),
  );
  const fields = readFields("Insecure_Virtual", virtual);
  assert(typeof fields !== "string");
  assert.deepEqual(fields.map(({ name }) => name), ["measurement", "host_data", "report_data"]);
  assert.match(String(readFields("AMD_SEV_SNP_v1", "AAAA")), /./);
  assert.equal(typeof readFields("AMD_SEV_SNP_v1", "AAAA"), "string");
});
