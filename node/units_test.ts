import { strict as assert } from "node:assert";
import fc from "fast-check";
import { FormatError } from "../shared/assert.ts";
import { formatAddress, parseAddress, parseSizeBytes, parseTimeMs } from "./units.ts";

Deno.test("parseTimeMs() reads each unit, in either case, and a bare number as microseconds", () => {
  const good: readonly (readonly [string, number])[] = [
    ["0s", 0],
    ["10000us", 10],
    ["500us", 0.5],
    ["100ms", 100],
    ["60s", 60_000],
    ["30min", 1_800_000],
    ["2h", 7_200_000],
    ["5MIN", 300_000],
    ["2500", 2.5],
  ];
  for (const [text, ms] of good) assert.equal(parseTimeMs(text), ms, text);
});

Deno.test("parseSizeBytes() reads each unit as a power of 1024, and a bare number as bytes", () => {
  const good: readonly (readonly [string, number])[] = [
    ["0", 0],
    ["1048576", 1_048_576],
    ["7B", 7],
    ["16KB", 16_384],
    ["5MB", 5_242_880],
    ["5mb", 5_242_880],
    ["10GB", 10_737_418_240],
    ["1TB", 1_099_511_627_776],
    ["7PB", 7_881_299_347_898_368],
  ];
  for (const [text, bytes] of good) assert.equal(parseSizeBytes(text), bytes, text);
});

Deno.test("parseTimeMs() and parseSizeBytes() refuse everything else with the text and what is allowed", () => {
  const time = "it must be a whole number and us, ms, s, min or h";
  for (
    const text of ["", "ms", "1.5s", "-1s", "1 s", "1d", "1e3s", "0x10s", "1ss", "١s", "1s\n", "12345678901234567s"]
  ) {
    assert.throws(() => parseTimeMs(text), new FormatError(`Cannot read ${JSON.stringify(text)} as a time: ${time}`));
  }
  const size = "it must be a whole number and B, KB, MB, GB, TB or PB";
  for (const text of ["", "MB", "1.5MB", "-1B", "1 MB", "1MiB", "1K", "1EB"]) {
    assert.throws(
      () => parseSizeBytes(text),
      new FormatError(`Cannot read ${JSON.stringify(text)} as a size: ${size}`),
    );
  }
  assert.throws(() => parseSizeBytes("8PB"), new FormatError(`Cannot read "8PB" as a size: it is more than 8 PB`));
});

Deno.test("parseAddress() takes host and port apart, and formatAddress() joins them", () => {
  const good: readonly (readonly [string, string, number])[] = [
    ["127.0.0.1:8000", "127.0.0.1", 8000],
    ["localhost:0", "localhost", 0],
    ["node-0.example.com:65535", "node-0.example.com", 65535],
    ["[::1]:8081", "::1", 8081],
    ["[fe80::1%eth0]:1", "fe80::1%eth0", 1],
  ];
  for (const [text, host, port] of good) {
    assert.deepEqual(parseAddress(text), { host, port });
    assert.equal(formatAddress({ host, port }), text);
  }
  for (const text of ["", ":", "a", "a:", ":80", "::1:80", "[::1]", "a:b", "a:65536", "a b:1", "https://a:1", "a:-1"]) {
    assert.throws(() => parseAddress(text), {
      name: "FormatError",
      message:
        `Cannot read ${JSON.stringify(text)} as an address: it must look like "127.0.0.1:8000" or "[::1]:8000", ` +
        "with a port up to 65535",
    });
  }
});

Deno.test("parseTimeMs(), parseSizeBytes() and parseAddress() parse any text or throw a FormatError, nothing else", () => {
  const text = fc.oneof(
    fc.string(),
    fc.stringMatching(/^[0-9]{1,20}[a-zA-Z]{0,3}$/),
    fc.stringMatching(/^.{0,9}:[0-9]+$/),
  );
  fc.assert(fc.property(text, (text) => {
    for (const parse of [parseTimeMs, parseSizeBytes, (text: string) => parseAddress(text).port]) {
      try {
        const value = parse(text);
        assert.ok(Number.isFinite(value) && value >= 0 && value <= Number.MAX_SAFE_INTEGER);
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
      }
    }
  }));
});
