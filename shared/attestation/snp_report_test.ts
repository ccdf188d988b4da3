import assert from "node:assert/strict";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { snpVectors, vectorFile } from "../../tests/snp_vectors.ts";
import { teamTest } from "../../tests/team_data.ts";
import { fromHex, toHex } from "../bytes.ts";
import {
  cpuidOf,
  parseSnpReport,
  productOf,
  readTcb,
  SNP_REPORT_BYTES,
  type SnpReport,
  tcbFromHex,
  tcbToHex,
} from "./snp_report.ts";
import { reportValues } from "./vector_verify.ts";

teamTest("parseSnpReport() reads every field of every recorded report", () => {
  const versions = new Set<number>();
  for (const { id, files, expect } of snpVectors()) {
    const report = parseSnpReport(vectorFile(files.report as string));
    if (expect.report !== undefined) assert.deepEqual(reportValues(report), expect.report, id);
    versions.add(report.version);
  }
  assert.deepEqual([...versions].sort(), [1, 2, 3, 5, 6]);
});

/** Each byte of a blank report that is set, as `[offset, value]`. */
function blank(...changes: readonly (readonly [offset: number, byte: number])[]): Uint8Array {
  const bytes = new Uint8Array(SNP_REPORT_BYTES);
  for (const [offset, byte] of changes) bytes[offset] = byte;
  return bytes;
}

Deno.test("parseSnpReport() tells the bits of policy, platform and key apart", () => {
  const policies: [bit: number, name: keyof SnpReport["policy"]][] = [
    [16, "smtAllowed"],
    [18, "migrateMa"],
    [19, "debug"],
    [20, "singleSocket"],
    [21, "cxlAllowed"],
    [22, "memAes256Xts"],
    [23, "raplDisabled"],
    [24, "ciphertextHiding"],
    [25, "pageSwapDisabled"],
  ];
  for (const [bit, name] of policies) {
    const { policy } = parseSnpReport(blank([0x08 + (bit >> 3), 1 << (bit & 7)]));
    assert.deepEqual(Object.entries(policy).filter(([, value]) => value === true), [[name, true]]);
    assert.equal(policy.bits, 1n << BigInt(bit));
  }
  const platforms: [bit: number, name: keyof SnpReport["platformInfo"]][] = [
    [0, "smtEnabled"],
    [1, "tsmeEnabled"],
    [2, "eccEnabled"],
    [3, "raplDisabled"],
    [4, "ciphertextHidingEnabled"],
    [5, "aliasCheckComplete"],
    [7, "tioEnabled"],
  ];
  for (const [bit, name] of platforms) {
    const { platformInfo } = parseSnpReport(blank([0x40, 1 << bit]));
    assert.deepEqual(Object.entries(platformInfo).filter(([, value]) => value === true), [[name, true]]);
  }
  const signingKeys = [0, 1, 2, 7].map((key) => parseSnpReport(blank([0x48, key << 2])).keyInfo.signingKey);
  assert.deepEqual(signingKeys, ["VCEK", "VLEK", "unknown", "none"]);
  assert.equal(parseSnpReport(blank([0x0f, 0x80])).policy.bits, 1n << 63n, "the highest bit of a number of 64");
});

Deno.test("parseSnpReport() turns the signature around, and reads it from its own field", () => {
  const { signature } = parseSnpReport(blank([0x2a0, 1], [0x2a0 + 47, 2], [0x2e8, 3], [0x2e8 + 47, 4]));
  assert.equal(toHex(signature), `02${"00".repeat(46)}01` + `04${"00".repeat(46)}03`);
});

Deno.test("parseSnpReport() refuses another length, and what the signature does not cover", () => {
  for (const length of [0, 64, 1183, 1185, 2368]) {
    assert.throws(() => parseSnpReport(new Uint8Array(length)), {
      name: "FormatError",
      message: `Cannot read a report: it has ${length} bytes and must have 1184`,
    });
  }
  const table: [offset: number, field: string][] = [
    [0x4c, "the bytes after the key information"],
    [0x4f, "the bytes after the key information"],
    [0x2a0 + 48, "the bytes above r in the signature"],
    [0x2a0 + 71, "the bytes above r in the signature"],
    [0x2e8 + 48, "the bytes above s in the signature"],
    [0x2e8 + 71, "the bytes above s in the signature"],
    [0x330, "the bytes after the signature"],
    [0x49f, "the bytes after the signature"],
  ];
  for (const [offset, field] of table) {
    assert.throws(() => parseSnpReport(blank([offset, 1])), { message: `Cannot read a report: ${field} are not zero` });
  }
});

Deno.test("parseSnpReport() on changed reports answers or throws FormatError", () => {
  fuzzDecoder(mutated(blank([0, 3], [0x34, 1], [0x180, 7])), parseSnpReport, ({ signed }) => {
    assert.equal(signed.length, 0x2a0);
  });
});

Deno.test("readTcb() finds the components where the product has them", () => {
  const bytes = fromHex("0102030405060708");
  assert.deepEqual(readTcb("Milan", bytes), { boot_loader: 1, tee: 2, snp: 7, microcode: 8 });
  assert.deepEqual(readTcb("Genoa", bytes), { boot_loader: 1, tee: 2, snp: 7, microcode: 8 });
  assert.deepEqual(readTcb("Turin", bytes), { fmc: 1, boot_loader: 2, tee: 3, snp: 4, microcode: 8 });
});

Deno.test("a TCB version as one number has its last byte first", () => {
  // Azure's `tcbm` and the report of one chip (attestation/formats.md §1).
  assert.equal(tcbToHex(fromHex("04000000000018db")), "db18000000000004");
  assert.equal(toHex(tcbFromHex("DB18000000000004")), "04000000000018db");
  assert.throws(() => tcbFromHex("DB18"), /is not of 16 hex digits/);
  assert.throws(() => tcbFromHex("x"), /Cannot read "x" as hex/);
});

Deno.test("productOf() and cpuidOf() know AMD's numbers, CCF's rules fewer of them", () => {
  const cpu = (family: number, model: number, stepping = 1) => ({ family, model, stepping });
  assert.deepEqual([cpuidOf(cpu(0x19, 0x01)), cpuidOf(cpu(0x19, 0x11))], ["00a00f11", "00a10f11"]);
  assert.deepEqual([cpuidOf(cpu(0x1a, 0x02)), cpuidOf(cpu(6, 0x5e, 3))], ["00b00f21", "000506e3"]);
  const table: [family: number, model: number, general: string | undefined, ccf: string | undefined][] = [
    [0x19, 0x01, "Milan", "Milan"],
    [0x19, 0x00, "Milan", undefined],
    [0x19, 0x11, "Genoa", "Genoa"],
    [0x19, 0xa0, "Genoa", undefined],
    [0x19, 0x20, undefined, undefined],
    [0x1a, 0x02, "Turin", "Turin"],
    [0x1a, 0x11, "Turin", undefined],
    [0x1a, 0x12, undefined, undefined],
    [0x00, 0x00, undefined, undefined],
  ];
  for (const [family, model, general, ccf] of table) {
    assert.deepEqual([productOf(cpu(family, model), "general"), productOf(cpu(family, model), "ccf")], [general, ccf]);
  }
});
