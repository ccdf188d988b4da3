import assert from "node:assert/strict";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { vectorCertificate, vectorFile } from "../../tests/snp_vectors.ts";
import { teamTest } from "../../tests/team_data.ts";
import { concat, fromHex, toHex, toUtf8, Writer } from "../bytes.ts";
import { serialisePem } from "../crypto/pem.ts";
import { parseCertificateTable } from "./certificate_table.ts";

const GUIDS = {
  vcek: "63da758de6644564adc5f4b93be8accd",
  vlek: "a8074bc2a25a483eaae639c045a0b8a1",
  ask: "4ab7b379bbac4fe4a02f05aef327c782",
  ark: "c0b406a4a803495297433fb6014cd0ae",
};

function table(...entries: readonly (readonly [guid: string, contents: Uint8Array])[]): Uint8Array {
  const writer = new Writer();
  let at = 24 * (entries.length + 1);
  for (const [guid, { length }] of entries) {
    writer.bytes(fromHex(guid)).u32(at).u32(length);
    at += length;
  }
  writer.zeros(24);
  return concat(writer.finish(), ...entries.map(([, contents]) => contents));
}

const der = Uint8Array.of(0x30, 1, 5);

teamTest("parseCertificateTable() reads a recorded table, which holds PEM", () => {
  const found = parseCertificateTable(vectorFile("snp/snp-genoa-v3-configfs-tsm/auxblob.bin"));
  assert.deepEqual(Object.keys(found).sort(), ["ark", "ask", "unknown", "vcek"]);
  assert.equal(toHex(found.vcek!), toHex(vectorFile("snp/snp-genoa-v3-configfs-tsm/vek.der")));
  assert.equal(toHex(found.ask!), toHex(vectorCertificate("roots/ask-genoa.pem")));
  assert.equal(toHex(found.ark!), toHex(vectorCertificate("roots/ark-genoa.pem")));
  assert.deepEqual(found.unknown, []);
});

Deno.test("parseCertificateTable() takes DER and PEM, with the zero byte that C writes behind a text", () => {
  const pem = toUtf8(serialisePem("CERTIFICATE", der));
  const found = parseCertificateTable(
    table([GUIDS.vlek, der], [GUIDS.ask, pem], [GUIDS.ark, concat(pem, Uint8Array.of(0))], ["11".repeat(16), der]),
  );
  assert.deepEqual(found, { vlek: der, ask: der, ark: der, unknown: ["11".repeat(16)] });
});

Deno.test("parseCertificateTable() takes no bytes for no certificates, as a host without any answers", () => {
  assert.deepEqual(parseCertificateTable(new Uint8Array()), { unknown: [] });
  assert.deepEqual(parseCertificateTable(new Uint8Array(24)), { unknown: [] });
});

Deno.test("parseCertificateTable() refuses what is not one", () => {
  const whole = table([GUIDS.vcek, der]);
  const beyond = whole.slice();
  beyond[20] = 4;
  const far = whole.slice();
  far.fill(0xff, 16, 24);
  const tables: [Uint8Array, RegExp][] = [
    [whole.subarray(0, 23), /only \d+ are left/],
    [concat(fromHex(GUIDS.vcek), new Uint8Array(8)), /only 0 are left/],
    [beyond, /entry 0 reaches beyond its end/],
    [far, /entry 0 reaches beyond its end/],
    [table([GUIDS.vcek, der], [GUIDS.vcek, der]), /the certificate vcek is there twice/],
    [table(...new Array<[string, Uint8Array]>(33).fill(["11".repeat(16), der])), /it has more than 32 entries/],
    [new Uint8Array(65537), /it has 65537 bytes, more than 65536/],
    [table([GUIDS.vcek, toUtf8("-----BEGIN CERTIFICATE-----\n")]), /CERTIFICATE has no END line/],
  ];
  for (const [bytes, problem] of tables) assert.throws(() => parseCertificateTable(bytes), problem);
});

Deno.test("parseCertificateTable() on changed tables answers or throws FormatError", () => {
  const pem = toUtf8(serialisePem("CERTIFICATE", der));
  fuzzDecoder(mutated(table([GUIDS.vcek, pem], [GUIDS.ask, der], [GUIDS.ark, der])), parseCertificateTable);
});
