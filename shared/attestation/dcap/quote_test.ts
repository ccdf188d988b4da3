import { strict as assert } from "node:assert";
import fc from "fast-check";
import { fuzzDecoder, mutated } from "../../../tests/mutations.ts";
import { teamData, teamTest } from "../../../tests/team_data.ts";
import { FormatError } from "../../assert.ts";
import { concat, fromHex, Writer } from "../../bytes.ts";
import { MAX_EVIDENCE_BYTES } from "../../limits.ts";
import { hasSeptVeDisabled, isDebuggable, parseSgxReport, parseTdReport, type TdReport } from "./bodies.ts";
import { headerRefusal, parseQuote, parseQuoteHeader } from "./quote.ts";

const INTEL = fromHex("939a7233f79c4ca9940a0db3957f0607");

/** A quote of the right form, every field filled with a byte of its own. */
interface Made {
  readonly version: 3 | 4 | 5;
  readonly teeType: number;
  readonly body: Uint8Array;
  /** Of version 5. */
  readonly bodyType?: number;
  readonly bodySize?: number;
  readonly keyType?: number;
  readonly vendor?: Uint8Array;
  readonly outerType?: number;
  readonly certificationType?: number;
  readonly certification?: Uint8Array;
  readonly extraInside?: number;
}

const filled = (length: number, byte: number) => new Uint8Array(length).fill(byte);
const u16 = (value: number) => Uint8Array.of(value & 0xff, value >> 8);
const u32 = (value: number) => new Writer().u32(value).finish();

function make(made: Made): Uint8Array {
  const certification = made.certification ?? filled(10, 0xcc);
  const qePart = concat(
    filled(384, 0xe1),
    filled(64, 0xe2),
    u16(5),
    filled(5, 0xe3),
    u16(made.certificationType ?? 5),
    u32(certification.length),
    certification,
    filled(made.extraInside ?? 0, 0),
  );
  const wrapped = made.version === 3 ? qePart : concat(u16(made.outerType ?? 6), u32(qePart.length), qePart);
  const signatureData = concat(filled(64, 0xa1), filled(64, 0xa2), wrapped);
  const descriptor = made.version === 5
    ? concat(u16(made.bodyType ?? 2), u32(made.bodySize ?? made.body.length))
    : new Uint8Array();
  return concat(
    u16(made.version),
    u16(made.keyType ?? 2),
    u32(made.teeType),
    filled(4, 0),
    made.vendor ?? INTEL,
    filled(20, 0xdd),
    descriptor,
    made.body,
    u32(signatureData.length),
    signatureData,
  );
}

const SGX3: Made = { version: 3, teeType: 0, body: filled(384, 1) };
const TDX4: Made = { version: 4, teeType: 0x81, body: filled(584, 1) };
const TDX5: Made = { version: 5, teeType: 0x81, body: filled(648, 1), bodyType: 3 };

Deno.test("parseQuote() reads every kind of quote, and what follows it", () => {
  const kinds: [Made, string, number][] = [
    [SGX3, "sgx", 432],
    [{ version: 4, teeType: 0, body: filled(384, 1) }, "sgx", 432],
    [TDX4, "td10", 632],
    [{ version: 5, teeType: 0, body: filled(384, 1), bodyType: 1 }, "sgx", 438],
    [{ version: 5, teeType: 0x81, body: filled(584, 1) }, "td10", 638],
    [TDX5, "td15", 702],
  ];
  for (const [made, kind, signedBytes] of kinds) {
    const quote = parseQuote(concat(make(made), filled(3, 7)));
    assert.equal(quote.body.kind, kind);
    assert.equal(quote.signed.length, signedBytes);
    assert.deepEqual(quote.body.bytes, made.body);
    assert.deepEqual(quote.signature, filled(64, 0xa1));
    assert.deepEqual(quote.attestationKey, filled(64, 0xa2));
    assert.deepEqual(quote.qeReport.bytes, filled(384, 0xe1));
    assert.deepEqual(quote.qeReportSignature, filled(64, 0xe2));
    assert.deepEqual(quote.qeAuthData, filled(5, 0xe3));
    assert.deepEqual(quote.certification, { type: 5, data: filled(10, 0xcc) });
    assert.deepEqual(quote.trailing, filled(3, 7));
    assert.deepEqual(quote.header.userData, filled(20, 0xdd));
  }
});

Deno.test("headerRefusal() names what it does not know", () => {
  const codeOf = (made: Made, version: number = made.version) => {
    const bytes = make(made);
    bytes[0] = version;
    return headerRefusal(parseQuoteHeader(bytes))?.code;
  };
  for (const made of [SGX3, TDX4, TDX5]) assert.equal(codeOf(made), undefined);
  assert.equal(codeOf(SGX3, 2), "unsupported_version");
  assert.equal(codeOf(TDX5, 6), "unsupported_version");
  assert.equal(codeOf({ ...TDX4, keyType: 3 }), "unsupported_key_type");
  assert.equal(codeOf({ ...TDX4, teeType: 0x82 }), "unsupported_tee_type");
  // In version 3 these bytes are reserved.
  assert.equal(codeOf({ ...SGX3, teeType: 0x81 }), "unsupported_tee_type");
  assert.equal(codeOf({ ...SGX3, vendor: filled(16, 0) }), "malformed");
});

Deno.test("parseQuote() refuses parts that contradict each other", () => {
  const wrong: [Made, RegExp][] = [
    [{ ...TDX5, teeType: 0 }, /two kinds of TEE/],
    [{ ...TDX5, bodyType: 1, body: filled(384, 1) }, /two kinds of TEE/],
    [{ ...TDX5, bodyType: 2 }, /said to have 648 bytes, not 584/],
    [{ ...TDX5, bodySize: 647 }, /said to have 647 bytes, not 648/],
    [{ ...TDX5, bodyType: 4 }, /type 4 is not known/],
    [{ ...TDX4, outerType: 5 }, /type 5, not 6/],
    [{ ...TDX4, extraInside: 1 }, /1 bytes are left inside its signature/],
    [{ ...SGX3, extraInside: 2 }, /2 bytes are left inside its signature/],
    [{ ...SGX3, teeType: 1 }, /not about a TEE of type 0x1/],
  ];
  for (const [made, message] of wrong) assert.throws(() => parseQuote(make(made)), { name: "FormatError", message });
});

Deno.test("parseQuote() refuses a quote that ends anywhere before its end, and one that is far too long", () => {
  for (const made of [SGX3, TDX4, TDX5]) {
    const bytes = make(made);
    for (let length = 0; length < bytes.length; length++) {
      assert.throws(() => parseQuote(bytes.subarray(0, length)), FormatError, `${length}`);
    }
    parseQuote(bytes);
    assert.throws(() => parseQuote(concat(bytes, new Uint8Array(MAX_EVIDENCE_BYTES))), /longer than/);
  }
});

Deno.test("parseQuote() answers or refuses whatever it is given, and loses no byte of what it answers", () => {
  fuzzDecoder(mutated(make(SGX3), make(TDX4), make(TDX5)), parseQuote, (quote, bytes) => {
    const parts = [quote.signature, quote.attestationKey, quote.qeReport.bytes, quote.qeReportSignature];
    const known = [quote.signed, ...parts, quote.qeAuthData, quote.certification.data, quote.trailing];
    // Besides these there are: length, size of the auth data, type and size of certification data, once or twice.
    const lengths = 4 + 2 + (quote.header.version === 3 ? 6 : 12);
    assert.equal(known.reduce((sum, part) => sum + part.length, lengths), bytes.length);
  });
});

Deno.test("parseSgxReport() finds each field in its place", () => {
  const bytes = Uint8Array.from({ length: 384 }, (_, i) => i & 0xff);
  const report = parseSgxReport(bytes);
  const first = { cpuSvn: 0, miscSelect: 16, isvExtProdId: 32, attributes: 48, mrenclave: 64, mrsigner: 128 } as const;
  for (const [name, at] of Object.entries(first)) assert.equal(report[name as keyof typeof first][0], at, name);
  assert.equal(report.configId[0], 192);
  assert.deepEqual([report.isvProdId, report.isvSvn, report.configSvn], [0x0100, 0x0302, 0x0504]);
  assert.deepEqual([report.isvFamilyId[0], report.reportData[0], report.reportData.length], [
    304 & 0xff,
    320 & 0xff,
    64,
  ]);
  for (const length of [0, 383, 385]) assert.throws(() => parseSgxReport(new Uint8Array(length)), /must have 384/);
});

Deno.test("parseTdReport() finds each field in its place", () => {
  // Each byte is the number of its 8-byte word: every field begins at one.
  const bytes = Uint8Array.from({ length: 648 }, (_, i) => i >> 3);
  const places: [keyof TdReport, number, number][] = [
    ["teeTcbSvn", 0, 16],
    ["mrseam", 16, 48],
    ["mrsignerseam", 64, 48],
    ["seamAttributes", 112, 8],
    ["tdAttributes", 120, 8],
    ["xfam", 128, 8],
    ["mrtd", 136, 48],
    ["mrconfigid", 184, 48],
    ["mrowner", 232, 48],
    ["mrownerconfig", 280, 48],
    ["rtmr0", 328, 48],
    ["rtmr1", 376, 48],
    ["rtmr2", 424, 48],
    ["rtmr3", 472, 48],
    ["reportData", 520, 64],
    ["teeTcbSvn2", 584, 16],
    ["mrservicetd", 600, 48],
  ];
  const report = parseTdReport("td15", bytes);
  for (const [name, at, length] of places) assert.deepEqual(report[name], bytes.subarray(at, at + length), name);
  const older = parseTdReport("td10", bytes.subarray(0, 584));
  assert.equal(older.teeTcbSvn2, undefined);
  assert.throws(() => parseTdReport("td10", bytes), /has 648 bytes and must have 584/);
  assert.throws(() => parseTdReport("td15", bytes.subarray(1)), /has 647 bytes and must have 648/);
});

Deno.test("isDebuggable() looks at DEBUG of an enclave, and at the whole first byte of a trust domain's attributes", () => {
  const sgx = new Uint8Array(384);
  assert.equal(isDebuggable(parseSgxReport(sgx)), false);
  sgx[48] = 0xfd;
  assert.equal(isDebuggable(parseSgxReport(sgx)), false);
  sgx[48] = 0x02;
  assert.equal(isDebuggable(parseSgxReport(sgx)), true);
  for (let bit = 0; bit < 64; bit++) {
    const td = new Uint8Array(584);
    td[120 + (bit >> 3)] = 1 << (bit & 7);
    const report = parseTdReport("td10", td);
    assert.equal(isDebuggable(report), bit < 8, `bit ${bit}`);
    assert.equal(hasSeptVeDisabled(report), bit === 28, `bit ${bit}`);
  }
});

teamTest("parseQuote() takes quotes out of larger buffers, as machines hand them over", () => {
  const bytes = Deno.readFileSync(teamData("attestation/vectors/tdx/tdx-v4-uptodate-gcp-padded/quote.bin"));
  const quote = parseQuote(bytes);
  assert.equal(bytes.length, 8000);
  assert.equal(quote.trailing.length, 3065);
  fc.assert(
    fc.property(fc.nat({ max: 64 }), (padding) => {
      const again = parseQuote(concat(bytes.subarray(0, 8000 - 3065), new Uint8Array(padding)));
      assert.equal(again.trailing.length, padding);
      assert.deepEqual(again.certification, quote.certification);
    }),
    { numRuns: 20 },
  );
});
