import { strict as assert } from "node:assert";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { type SnpVector, snpVectors, vectorFile } from "../../tests/snp_vectors.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { FormatError } from "../assert.ts";
import { concat, fromHex, toHex } from "../bytes.ts";
import { quoteFields, type ReportField, snpReportFields } from "./report_fields.ts";
import { SNP_REPORT_BYTES } from "./snp_report.ts";

/** Fields stand side by side from the first byte to the last, and their bytes are those of the input. */
function expectWhole(fields: readonly ReportField[], bytes: Uint8Array): void {
  let offset = 0;
  for (const field of fields) {
    assert.equal(field.offset, offset, field.name);
    assert.match(field.meaning, /^[A-Za-z].*[^.]$/, field.name);
    offset += field.length;
  }
  assert.equal(offset, bytes.length);
  assert.equal(fields.map(({ hex }) => hex).join(""), toHex(bytes));
}

const named = (fields: readonly ReportField[]) => new Map(fields.map((field) => [field.name, field]));

/** Names of the vectors that are not simply ours in small letters. */
const VECTOR_NAMES: Readonly<Record<string, string>> = {
  current_ver: "CURRENT_VERSION",
  committed_ver: "COMMITTED_VERSION",
  launch_mit: "LAUNCH_MIT_VECTOR",
  current_mit: "CURRENT_MIT_VECTOR",
  signature_algo: "SIGNATURE_ALGO",
  tee_tcb_svn2: "TEE_TCB_SVN_2",
};
/** They have these as numbers, whose last byte comes first. */
const NUMBERS = new Set(["policy", "platform_info", "key_info", "launch_mit", "current_mit"]);
/** Bits inside other fields. */
const PARTS = new Set([
  "abi",
  "smt",
  "migrate_ma",
  "debug",
  "single_socket",
  "author_key_en",
  "mask_chip_key",
  "signing_key",
]);

/** What a vector says of a field, as the bytes that must stand there. */
function bytesOf(name: string, expected: unknown, length: number): string {
  if (typeof expected === "string") return NUMBERS.has(name) ? toHex(fromHex(expected).reverse()) : expected;
  const bytes = Array.isArray(expected)
    ? Uint8Array.from(expected)
    : Uint8Array.from({ length }, (_, i) => Math.floor(Number(expected) / 256 ** i) % 256);
  return toHex(bytes);
}

function expectVector(fields: readonly ReportField[], expected: Readonly<Record<string, unknown>>, id: string): number {
  const byName = named(fields);
  let compared = 0;
  for (const [name, value] of Object.entries(expected)) {
    if (PARTS.has(name)) continue;
    const field = byName.get(VECTOR_NAMES[name] ?? name.toUpperCase());
    assert.ok(field !== undefined, `${id}: ${name}`);
    assert.equal(field.hex, bytesOf(name, value, field.length), `${id}: ${name}`);
    compared++;
  }
  return compared;
}

teamTest("every field of every recorded SEV-SNP report stands where the vectors have it", () => {
  let compared = 0;
  for (const { id, files, expect } of snpVectors()) {
    const bytes = vectorFile(files.report as string);
    const fields = snpReportFields(bytes, expect.product);
    expectWhole(fields, bytes);
    if (expect.report === undefined) continue;
    compared += expectVector(fields, expect.report, id);
    const { value } = named(fields).get("KEY_INFO")!;
    const signer = {
      VCEK: "the chip's key",
      VLEK: "a cloud provider's key",
      none: "no key",
      unknown: "an unknown key",
    };
    assert.ok(value!.startsWith(`signed by ${signer[expect.report["signing_key"] as keyof typeof signer]}`), value);
    const policy = named(fields).get("POLICY")!.value!;
    assert.equal(policy.includes("may be debugged"), expect.report["debug"], policy);
    assert.equal(policy.includes("may be migrated"), expect.report["migrate_ma"], policy);
    const [major, minor] = expect.report["abi"] as number[];
    assert.ok(policy.startsWith(`interface ${major}.${minor} `), policy);
    if (expect.tcb === undefined) continue;
    const parts = Object.entries(expect.tcb).map(([part, svn]) => `${part} ${svn}`).sort();
    assert.deepEqual(named(fields).get("REPORTED_TCB")!.value!.split(", ").sort(), parts, id);
  }
  assert.ok(compared > 500, `${compared}`);
});

teamTest("every field of every recorded quote of TDX and SGX stands where the vectors have it", () => {
  const { vectors }: { vectors: SnpVector[] } = JSON.parse(
    Deno.readTextFileSync(teamData("attestation/vectors/vectors.json")),
  );
  const kinds = new Set<string>();
  for (const { id, kind, files, expect } of vectors) {
    const { body, bodyKind, certDataType, quoteVersion } = expect as Record<string, unknown>;
    if ((kind !== "tdx" && kind !== "sgx") || body === undefined) continue;
    const bytes = vectorFile(files["quote"] as string);
    const fields = quoteFields(bytes);
    expectWhole(fields, bytes);
    expectVector(fields, body as Record<string, unknown>, id);
    const version = named(fields).get("VERSION")!.value;
    assert.ok(quoteVersion === undefined || version === String(quoteVersion), id);
    const certification = named(fields).get("certification type")!.value!;
    if (certDataType !== undefined) assert.ok(certification.startsWith(`${certDataType}: `), certification);
    kinds.add(`${version} ${bodyKind ?? kind}`);
  }
  assert.deepEqual([...kinds].sort(), ["3 sgx", "4 sgx", "4 td10", "5 td10", "5 td15"]);
});

teamTest("changed quotes are shown field by field, or refused", () => {
  const samples = ["tdx/tdx-v4-uptodate-a/quote.bin"].map(vectorFile);
  fuzzDecoder(mutated(...samples), quoteFields, (fields, bytes) => expectWhole(fields, bytes));
});

Deno.test("any 1184 bytes are shown, also those that the verifier refuses, and no others", () => {
  fuzzDecoder(
    mutated(new Uint8Array(SNP_REPORT_BYTES), new Uint8Array(SNP_REPORT_BYTES).fill(0xff)),
    (bytes) => snpReportFields(bytes),
    (fields, bytes) => expectWhole(fields, bytes),
  );
  assert.throws(() => snpReportFields(new Uint8Array(SNP_REPORT_BYTES - 1)), FormatError);
});

Deno.test("parts of a TCB version are told where the processor is known, in the report or by its certificate", () => {
  const tcbOf = (bytes: Uint8Array, ...more: ["Milan" | "Turin"] | []) =>
    named(snpReportFields(bytes, ...more)).get("REPORTED_TCB")!.value;
  const bytes = new Uint8Array(SNP_REPORT_BYTES);
  bytes.set(fromHex("0102030000000708"), 0x180);
  assert.equal(tcbOf(bytes), "0807000000030201; its parts stand elsewhere on each processor");
  assert.equal(tcbOf(bytes, "Milan"), "boot_loader 1, tee 2, snp 7, microcode 8");
  assert.equal(tcbOf(bytes, "Turin"), "fmc 1, boot_loader 2, tee 3, snp 0, microcode 8");
  bytes.set([0x19, 0x11, 1], 0x188);
  assert.equal(tcbOf(bytes, "Turin"), "boot_loader 1, tee 2, snp 7, microcode 8", "what is signed counts");
  assert.equal(named(snpReportFields(bytes)).get("CPUID")!.value, "Genoa, CPUID 00a10f11");
});

Deno.test("flags and versions of a report are told in words", () => {
  const bytes = new Uint8Array(SNP_REPORT_BYTES);
  bytes.set(fromHex("1f00030000000000"), 0x08);
  bytes.set([0x25], 0x40);
  bytes.set([21, 55, 1], 0x1e8);
  const fields = named(snpReportFields(concat(bytes)));
  assert.equal(fields.get("POLICY")!.value, "interface 0.31 at least; simultaneous threads allowed");
  assert.equal(fields.get("PLATFORM_INFO")!.value, "simultaneous threads on, memory with ECC, memory aliases checked");
  assert.equal(fields.get("CURRENT_VERSION")!.value, "1.55 build 21");
  assert.equal(fields.get("KEY_INFO")!.value, "signed by the chip's key (VCEK)");
});
