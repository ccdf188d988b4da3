import { strict as assert } from "node:assert";
import { FormatError } from "../../shared/assert.ts";
import { concat, fromHex, toHex, Writer } from "../../shared/bytes.ts";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { dcapMeasurement, withoutPadding } from "./dcap_quote.ts";
import type { Detected } from "./detect.ts";
import { follow, PlatformFailure } from "./devices.ts";
import { failed, FakeMachine } from "./fake_machine.ts";
import { hardwarePlatform } from "./platform.ts";

interface Vector {
  readonly id: string;
  readonly kind: string;
  readonly files: { readonly quote?: string; readonly report?: string };
  readonly expect: {
    readonly body?: Readonly<Record<string, string>>;
    readonly report?: { readonly measurement?: string };
  };
}

/** Recorded from real machines; each piece of evidence once. */
function recorded(kind: string): readonly Vector[] {
  const { vectors } = JSON.parse(Deno.readTextFileSync(teamData("attestation/vectors/vectors.json"))) as {
    vectors: readonly Vector[];
  };
  const files = new Set<string | undefined>();
  return vectors.filter(({ kind: is, id, files: { quote, report } }) => {
    const file = quote ?? report;
    const isNew = is === kind && !id.startsWith("syn-") && !files.has(file);
    files.add(file);
    return isNew;
  });
}

const bytesOf = (file: string) => Deno.readFileSync(teamData(`attestation/vectors/${file}`));

const REPORT_DATA = new Uint8Array(32).fill(7);

function evidence(detected: Exclude<Detected, { kind: "virtual" }>, machine: FakeMachine) {
  const platform = hardwarePlatform(detected, "quorate-1");
  const { quote, certificates } = follow(platform.evidence(REPORT_DATA), machine.perform);
  return { quote, certificates, measurement: toHex(platform.measure(quote)) };
}

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof PlatformFailure, `${error}`);
    return error.message;
  }
  throw new Error("Nothing was thrown");
}

teamTest("recorded reports of SEV-SNP come whole and measured, from configfs-tsm and from the device", () => {
  const vectors = recorded("snp");
  assert.ok(vectors.length >= 10);
  for (const { files, expect } of vectors) {
    const report = bytesOf(files.report!);
    const configfs = Object.assign(new FakeMachine(), { provider: "sev_guest", makeReport: () => report });
    const device = Object.assign(new FakeMachine(), {
      sevGuest: () => ({
        isDone: true as const,
        bytes: new Writer(4000).u32(0).u32(report.length).zeros(24).bytes(report).zeros(4000 - 32 - report.length)
          .finish(),
      }),
    });
    for (const [by, machine] of [["configfs-tsm", configfs], ["sev-guest", device]] as const) {
      const got = evidence({ kind: "snp", by }, machine);
      assert.deepEqual(got.quote, report);
      assert.equal(got.measurement, expect.report!.measurement);
    }
  }
});

Deno.test("a report of SEV-SNP of another size is not handed on", () => {
  const machine = Object.assign(new FakeMachine(), { provider: "sev_guest", makeReport: () => new Uint8Array(1185) });
  assert.match(
    refusal(() => evidence({ kind: "snp", by: "configfs-tsm" }, machine)),
    /^Cannot use the report of SEV-SNP: it has 1185 bytes, not 1184/,
  );
});

teamTest("recorded quotes of TDX come without the zeros behind them, and measured", () => {
  const vectors = recorded("tdx").filter(({ id }) => id !== "tdx-v4-trailing-garbage");
  assert.ok(vectors.length >= 8);
  for (const { files, expect } of vectors) {
    const buffer = bytesOf(files.quote!);
    const machine = Object.assign(new FakeMachine(), { provider: "tdx_guest", makeReport: () => buffer });
    const { quote, measurement } = evidence({ kind: "tdx" }, machine);
    const { mrtd, rtmr0, rtmr1, rtmr2, rtmr3 } = expect.body!;
    assert.equal(measurement, `${mrtd}${rtmr0}${rtmr1}${rtmr2}${rtmr3}`);
    assert.deepEqual(concat(quote, new Uint8Array(buffer.length - quote.length)), buffer);
  }
  const padded = bytesOf("tdx/tdx-v4-uptodate-gcp-padded/quote.bin");
  assert.equal(padded.length - withoutPadding(padded, "tdx").length, 3065);
});

teamTest("something other than zeros behind a quote of TDX is not handed on", () => {
  const machine = Object.assign(new FakeMachine(), {
    provider: "tdx_guest",
    makeReport: () => bytesOf("tdx/tdx-v4-trailing-garbage/quote.bin"),
  });
  assert.match(refusal(() => evidence({ kind: "tdx" }, machine)), /after its \d+ bytes there is something else/);
});

Deno.test("what TDX answers with more than 8 KiB is a token of DICE, and not handed on", () => {
  const machine = Object.assign(new FakeMachine(), { provider: "tdx_guest", makeReport: () => new Uint8Array(8193) });
  assert.match(refusal(() => evidence({ kind: "tdx" }, machine)), /8193 bytes, more than 8192, are a token of DICE/);
});

teamTest("evidence of another kind than TDX is not handed on", () => {
  const sgx = bytesOf("sgx/sgx-v3-debug-a/quote.bin");
  for (
    const [buffer, expected] of [[sgx, /its type 0x0 is not that of tdx/], [fromHex("0400"), /it has 2 bytes/]] as const
  ) {
    const machine = Object.assign(new FakeMachine(), { provider: "tdx_guest", makeReport: () => buffer });
    assert.match(refusal(() => evidence({ kind: "tdx" }, machine)), expected);
  }
});

teamTest("recorded quotes of SGX come whole and measured", () => {
  const vectors = recorded("sgx");
  assert.ok(vectors.length >= 5);
  for (const { files, expect } of vectors) {
    const buffer = bytesOf(files.quote!);
    const machine = Object.assign(new FakeMachine(), { gramine: { type: "dcap", quote: buffer } });
    const { quote, measurement } = evidence({ kind: "sgx" }, machine);
    assert.deepEqual(concat(quote, new Uint8Array(buffer.length - quote.length)), buffer);
    if (expect.body !== undefined) assert.equal(measurement, expect.body.mrenclave);
  }
});

teamTest("evidence of another kind than SGX is not handed on", () => {
  const machine = Object.assign(new FakeMachine(), {
    gramine: { type: "dcap", quote: bytesOf("tdx/tdx-v4-debug/quote.bin") },
  });
  assert.match(
    refusal(() => evidence({ kind: "sgx" }, machine)),
    /type 0x81 is not that of sgx; is Gramine up to date\?/,
  );
});

teamTest("quotes from a kernel that has gone mad are read to the end, or refused", () => {
  const quotes = [...recorded("tdx"), ...recorded("sgx")].map(({ files }) => bytesOf(files.quote!));
  const read = (bytes: Uint8Array) => {
    const kind = bytes[4] === 0x81 ? "tdx" : "sgx";
    return { kind, measurement: dcapMeasurement(withoutPadding(bytes, kind)) };
  };
  fuzzDecoder(mutated(...quotes), read, ({ kind, measurement }) => {
    assert.equal(measurement.length, kind === "tdx" ? 240 : 32);
  });
  assert.throws(() => withoutPadding(new Uint8Array(), "tdx"), FormatError);
});

Deno.test("only SEV-SNP has a key to seal with", () => {
  const key = new Uint8Array(32).fill(9);
  const bytes = new Writer(64).zeros(32).bytes(key).finish();
  const machine = Object.assign(new FakeMachine(), { sevGuest: () => ({ isDone: true as const, bytes }) });
  const { sealingKey } = hardwarePlatform({ kind: "snp", by: "configfs-tsm" }, "quorate-1");
  assert.deepEqual(follow(sealingKey!(new Uint8Array(8)), machine.perform), key);
  machine.sevGuest = () => failed("EIO") as never;
  assert.match(refusal(() => follow(sealingKey!(new Uint8Array(8)), machine.perform)), /^Cannot get a key from /);
  assert.equal(hardwarePlatform({ kind: "tdx" }, "x").sealingKey, undefined);
  assert.equal(hardwarePlatform({ kind: "sgx" }, "x").sealingKey, undefined);
});
