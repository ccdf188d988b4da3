import { strict as assert } from "node:assert";
import fc from "fast-check";
import { fromHex, toHex } from "../bytes.ts";
import { CERTIFICATES } from "../../tests/openssl_fixtures.ts";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import {
  DerReader,
  integerContents,
  isOid,
  readDer,
  TAG,
  writeBitString,
  writeBoolean,
  writeDer,
  writeNull,
  writeOctetString,
  writeOid,
  writeSequence,
  writeUnsigned,
} from "./der.ts";

const reader = (hex: string) => new DerReader(fromHex(hex), "a test");

Deno.test("DerReader reads what X.690 gives as examples, and the writers write it", () => {
  assert.equal(reader("0101ff").boolean("it"), true);
  assert.equal(reader("010100").boolean("it"), false);
  reader("0500").null("it");
  assert.deepEqual(reader("0307040a3b5f291cd0").bitString("it"), {
    bytes: fromHex("0a3b5f291cd0"),
    unusedBits: 4,
  });
  assert.equal(reader("0603883703").oid("it"), "2.999.3");
  assert.equal(reader("06082a8648ce3d030107").oid("it"), "1.2.840.10045.3.1.7");

  assert.equal(toHex(writeBoolean(true)), "0101ff");
  assert.equal(toHex(writeBoolean(false)), "010100");
  assert.equal(toHex(writeNull()), "0500");
  assert.equal(toHex(writeBitString(fromHex("0a3b5f291cd0"), 4)), "0307040a3b5f291cd0");
  assert.equal(toHex(writeOid("2.999.3")), "0603883703");
  assert.equal(toHex(writeOid("1.2.840.10045.3.1.7")), "06082a8648ce3d030107");
});

Deno.test("writeUnsigned() writes the shortest positive INTEGER", () => {
  const table: [value: number | bigint | Uint8Array, hex: string][] = [
    [0, "020100"],
    [127, "02017f"],
    [128, "02020080"],
    [256, "02020100"],
    [0xffff_ffff_ffffn, "020700ffffffffffff"],
    [fromHex("00000080"), "02020080"],
    [new Uint8Array(), "020100"],
  ];
  for (const [value, hex] of table) assert.equal(toHex(writeUnsigned(value)), hex);
  assert.equal(toHex(integerContents(fromHex("0001"))), "01");
});

Deno.test("DerReader.unsigned() and smallInteger() answer magnitudes", () => {
  assert.equal(toHex(reader("020100").unsigned("it")), "");
  assert.equal(toHex(reader("02020080").unsigned("it")), "80");
  assert.equal(reader("02047fffffff").smallInteger("it"), 0x7fffffff);
  assert.equal(reader("020100").smallInteger("it"), 0);
  assert.equal(toHex(reader("0201ff").integerContents("it")), "ff");
});

Deno.test("writeDer() writes lengths in their shortest form, and DerReader reads them", () => {
  for (const [length, header] of [[0, "0400"], [127, "047f"], [128, "048180"], [255, "0481ff"], [256, "04820100"]]) {
    const der = writeOctetString(new Uint8Array(length as number));
    assert.equal(toHex(der.subarray(0, der.length - (length as number))), header);
    assert.equal(new DerReader(der, "a test").octetString("it").length, length);
  }
  assert.equal(toHex(writeDer(TAG.octetString, new Uint8Array(70_000)).subarray(0, 5)), "0483011170");
});

Deno.test("DerReader refuses what is not DER, and says what and why", () => {
  const table: [hex: string, read: (reader: DerReader) => unknown, message: string][] = [
    ["", (r) => r.oid("it"), "Cannot read a test: it is missing"],
    ["", (r) => r.any("it"), "Cannot read a test: it is missing"],
    ["02", (r) => r.any("it"), "Cannot read a test: it is cut off"],
    ["0202", (r) => r.any("it"), "Cannot read a test: it is cut off"],
    ["020201", (r) => r.any("it"), "Cannot read a test: it is cut off"],
    ["0282ff", (r) => r.any("it"), "Cannot read a test: it is cut off"],
    ["02 01 01", (r) => r.oid("it"), "Cannot read a test: it has tag 02 and not 06"],
    ["1f0101", (r) => r.any("it"), "Cannot read a test: it has a tag of several bytes"],
    ["308000", (r) => r.any("it"), "Cannot read a test: it has an indefinite or oversized length"],
    ["30850000000000", (r) => r.any("it"), "Cannot read a test: it has an indefinite or oversized length"],
    ["04810101", (r) => r.any("it"), "Cannot read a test: it has a length in too long a form"],
    ["0482008001", (r) => r.any("it"), "Cannot read a test: it has a length in too long a form"],
    ["0200", (r) => r.integerContents("it"), "Cannot read a test: it is an INTEGER without bytes"],
    ["0202007f", (r) => r.integerContents("it"), "Cannot read a test: it is a padded INTEGER"],
    ["0202ff80", (r) => r.integerContents("it"), "Cannot read a test: it is a padded INTEGER"],
    ["0201ff", (r) => r.unsigned("it"), "Cannot read a test: it is negative"],
    ["02050080000000", (r) => r.smallInteger("it"), "Cannot read a test: it is out of range"],
    ["010101", (r) => r.boolean("it"), "Cannot read a test: it is not a BOOLEAN of 00 or ff"],
    ["0100", (r) => r.boolean("it"), "Cannot read a test: it is not a BOOLEAN of 00 or ff"],
    ["050100", (r) => r.null("it"), "Cannot read a test: it is a NULL with bytes"],
    ["0300", (r) => r.bitString("it"), "Cannot read a test: it is not a well-formed BIT STRING"],
    ["030101", (r) => r.bitString("it"), "Cannot read a test: it is not a well-formed BIT STRING"],
    ["030208ff", (r) => r.bitString("it"), "Cannot read a test: it is not a well-formed BIT STRING"],
    ["030201ff", (r) => r.bitString("it"), "Cannot read a test: it is not a well-formed BIT STRING"],
    ["030201fe", (r) => r.bitStringBytes("it"), "Cannot read a test: it is not of whole bytes"],
    ["0600", (r) => r.oid("it"), "Cannot read a test: it is not a well-formed OBJECT IDENTIFIER"],
    ["06022a86", (r) => r.oid("it"), "Cannot read a test: it is not a well-formed OBJECT IDENTIFIER"],
    ["06032a8001", (r) => r.oid("it"), "Cannot read a test: it is an OBJECT IDENTIFIER with a padded number"],
    ["0641" + "01".repeat(65), (r) => r.oid("it"), "Cannot read a test: it is not a well-formed OBJECT IDENTIFIER"],
    ["0500", (r) => r.end(), "Cannot read a test: 2 bytes are left over"],
  ];
  for (const [hex, read, message] of table) {
    assert.throws(() => read(reader(hex.replaceAll(" ", ""))), { name: "FormatError", message });
  }
  assert.throws(() => readDer(fromHex("300000"), "a test"), { message: "Cannot read a test: 1 bytes are left over" });
});

Deno.test("DerReader goes no deeper than its limit", () => {
  let der = writeSequence();
  for (let i = 0; i < 40; i++) der = writeSequence(der);
  let at = readDer(der, "a test");
  assert.throws(() => {
    for (let i = 0; i < 40; i++) at = at.sequence("it");
  }, { name: "FormatError", message: "Cannot read a test: it is nested deeper than 32 levels" });
});

Deno.test("isOid() knows dotted OBJECT IDENTIFIERs", () => {
  for (const text of ["1.2", "0.39", "2.999.3", "2.25.329800735698586629295641978511506172918"]) {
    assert.ok(isOid(text), text);
    assert.equal(new DerReader(writeOid(text), "a test").oid("it"), text);
  }
  for (const text of ["", "1", "1.40", "3.1", "1.2.", "1.02", "1.2.x", "CN", "-1.2", "1..2"]) {
    assert.ok(!isOid(text), text);
  }
});

Deno.test("DerReader.oid() reads back what writeOid() wrote", () => {
  fc.assert(fc.property(
    fc.tuple(
      fc.nat({ max: 2 }),
      fc.nat({ max: 39 }),
      fc.array(fc.bigInt({ min: 0n, max: 1n << 64n }), { maxLength: 5 }),
    ),
    ([root, second, rest]) => {
      const dotted = [root, second, ...rest].join(".");
      assert.equal(new DerReader(writeOid(dotted), "a test").oid("it"), dotted);
    },
  ));
});

Deno.test("DerReader walks any changed certificate to its end or throws FormatError", () => {
  const walk = (reader: DerReader): number => {
    let elements = 0;
    while (!reader.done) {
      const tag = reader.peek()!;
      if ((tag & 0x20) !== 0) elements += walk(reader.inside(tag, "it"));
      else if (tag === TAG.oid) reader.oid("it");
      else if (tag === TAG.integer) reader.integerContents("it");
      else if (tag === TAG.bitString) reader.bitString("it");
      else reader.any("it");
      elements++;
    }
    return elements;
  };
  const samples = Object.values(CERTIFICATES);
  fuzzDecoder(mutated(...samples), (der) => walk(new DerReader(der, "a test")), (elements, der) => {
    assert.ok(elements <= der.length / 2);
  });
});
