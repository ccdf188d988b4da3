import { strict as assert } from "node:assert";
import fc from "fast-check";
import { fromUtf8 } from "../../shared/bytes.ts";
import { parseCertificatePem } from "../../shared/crypto/x509.ts";
import { NODES_ENDORSED_CERTIFICATES, SERVICE_INFO } from "../../shared/governance/tables.ts";
import { parseJsonBytes } from "../../shared/json.ts";
import { LedgerEntry } from "../../shared/ledger/entry.ts";
import { fuzzDecoder, mutatedText } from "../../tests/mutations.ts";
import { ledgerDirectory, readEntries } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import { parseTime, validityFrom } from "./certificate_renewal.ts";

const iso = (text: string) => new Date(parseTime(text)).toISOString().replace(".000Z", "Z");

Deno.test("parseTime() reads the forms that CCF's own tests and clients use", () => {
  const cases: [text: string, time: string][] = [
    ["220405175422Z", "2022-04-05T17:54:22Z"],
    ["20220405175422Z", "2022-04-05T17:54:22Z"],
    ["20220405175422+0100", "2022-04-05T16:54:22Z"],
    ["220425165619+0100", "2022-04-25T15:56:19Z"],
    ["2022-04-05 18:53:27", "2022-04-05T18:53:27Z"],
    ["2022-04-05 18:53:27.190380", "2022-04-05T18:53:27Z"],
    ["2022-04-05 18:53:27 +1000", "2022-04-05T08:53:27Z"],
    ["2022-04-05 18:53:27.190380+00:00", "2022-04-05T18:53:27Z"],
    ["2022-04-05 18:53:27.190380-02:00", "2022-04-05T20:53:27Z"],
    ["2022-04-05T18:53:27", "2022-04-05T18:53:27Z"],
    ["2022-04-05T18:53:27.999", "2022-04-05T18:53:27Z"],
    ["2022-04-05T18:53:27.190380+03:15", "2022-04-05T15:38:27Z"],
    ["1969-12-31T23:59:59", "1969-12-31T23:59:59Z"],
    ["2024-02-29 00:00:00", "2024-02-29T00:00:00Z"],
    ["500101000000Z", "2050-01-01T00:00:00Z"],
    ["690101000000Z", "1969-01-01T00:00:00Z"],
    ["500101000000+0000", "1950-01-01T00:00:00Z"],
    ["00500101000000Z", "0050-01-01T00:00:00Z"],
    // Quirks: what follows is not looked at, and minutes of an offset count ahead.
    ["2022-04-05T18:53:27Z", "2022-04-05T18:53:27Z"],
    ["2022-04-05T18:53:27 in Oslo", "2022-04-05T18:53:27Z"],
    ["2022-04-05T18:53:27+25:00", "2022-04-05T18:53:27Z"],
    ["2022-04-05 18:53:27-05:30", "2022-04-05T23:23:27Z"],
  ];
  for (const [text, time] of cases) assert.equal(iso(text), time, text);
});

Deno.test("parseTime() refuses what is no time, quoting it", () => {
  const bad = [
    "",
    "now",
    "2022-04-05",
    "2022-13-05 18:53:27",
    "2022-02-30 18:53:27",
    "2023-02-29 18:53:27",
    "2022-04-05 25:53:27",
    "2022-04-05 18:61:27",
    "220431175422Z",
    "2204051754Z",
    "1649182407",
    "-2022-04-05 18:53:27",
    "0000-01-01 00:00:00+23:00",
    "9999-12-31 23:59:59-23:00",
  ];
  for (const text of bad) {
    assert.throws(() => parseTime(text), {
      name: "FormatError",
      message: `'${text}' does not match any accepted time format`,
    });
  }
});

Deno.test("parseTime() reads any second of any year back, in each form", () => {
  const second = fc.integer({ min: Date.UTC(1950, 0) / 1000, max: Date.UTC(9999, 11, 31) / 1000 });
  fc.assert(fc.property(second, (seconds) => {
    const iso = new Date(seconds * 1000).toISOString().slice(0, 19);
    const digits = iso.replaceAll(/[-T:]/g, "");
    for (const text of [iso, iso.replace("T", " "), `${digits}Z`, `${digits}+0000`, `${iso}.123456+00:00`]) {
      assert.equal(parseTime(text), seconds * 1000, text);
    }
  }));
});

Deno.test("parseTime() answers a whole second that a certificate can name, or refuses", () => {
  const samples = ["220405175422Z", "20220405175422+0100", "2022-04-05 18:53:27.190380-02:00", "2022-04-05T18:53:27"];
  fuzzDecoder(mutatedText(...samples), parseTime, (ms) => {
    assert.equal(Math.abs(ms) % 1000, 0);
    assert.equal(new Date(ms).toISOString().length, 24);
  });
});

Deno.test("validityFrom() ends a second before the same time of day", () => {
  assert.deepEqual(validityFrom("2026-11-24 10:00:00", 90), {
    notBeforeMs: Date.UTC(2026, 10, 24, 10),
    notAfterMs: Date.UTC(2027, 1, 22, 9, 59, 59),
  });
});

Deno.test("validityFrom() refuses periods that no certificate can have", () => {
  for (const days of [0, -1, 1.5, NaN, Infinity, 2 ** 53]) {
    assert.throws(() => validityFrom("2026-11-24 10:00:00", days), {
      name: "FormatError",
      message: `a certificate cannot be valid for ${days} days: at least 1`,
    });
  }
  for (const days of [3_000_000, Number.MAX_SAFE_INTEGER]) {
    assert.throws(() => validityFrom("2026-11-24 10:00:00", days), {
      name: "FormatError",
      message: `a certificate cannot be valid for ${days} days from 2026-11-24 10:00:00: that is after the year 9999`,
    });
  }
});

teamTest("validityFrom() gives the periods of certificates that a real service renewed", () => {
  // What members proposed, and the entry that the last ballot made. Without days, a node's certificate has the most.
  const renewals: [service: string, seqno: number, table: string, validFrom: string, days: number][] = [
    ["recorded_governance", 102, NODES_ENDORSED_CERTIFICATES.name, "20261122090002Z", 90],
    ["recorded_governance", 105, NODES_ENDORSED_CERTIFICATES.name, "20261122090002Z", 365],
    ["recorded_governance", 109, SERVICE_INFO.name, "20261122090002Z", 120],
    ["recorded_nodes/node0", 19, NODES_ENDORSED_CERTIFICATES.name, "2026-11-22T08:58:10.000Z", 365],
    ["recorded_nodes/node0", 25, NODES_ENDORSED_CERTIFICATES.name, "2026-11-22T08:58:15.000Z", 365],
  ];
  for (const [service, seqno, table, validFrom, days] of renewals) {
    const entry = LedgerEntry.parse(readEntries(ledgerDirectory(service))[seqno - 1]!);
    const value = entry.publicTables().find(({ name }) => name === table)!.writes[0]![1];
    const pem = table === SERVICE_INFO.name ? (parseJsonBytes(value) as { cert: string }).cert : fromUtf8(value);
    const { notBeforeMs, notAfterMs } = parseCertificatePem(pem);
    assert.deepEqual(validityFrom(validFrom, days), { notBeforeMs, notAfterMs }, `${service} ${seqno}`);
  }
});
