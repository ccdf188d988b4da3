import { strict as assert } from "node:assert";
import fc from "fast-check";
import { fromHex, toHex } from "../bytes.ts";
import { CERTIFICATES, REQUEST_IN_LATIN1 } from "../../tests/openssl_fixtures.ts";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { parseCertificateRequest } from "./csr.ts";
import { parseCertificate } from "./x509.ts";
import { attributeOid, nameAttributes, nameFromConfiguration, nameFromText, nameToText } from "./x509_name.ts";

Deno.test("nameFromText() writes the DER that OpenSSL writes, and nameToText() reads it", () => {
  const table: [text: string, hex: string][] = [
    ["CN=CCF Service", "301631143012060355040 30c0b43434620 53657276696365"],
    ["CN=CCF Node", "3013 3111 300f 0603550403 0c08 434346204e6f6465"],
    [
      "C=CH,O=Gold,CN=x",
      "3028 310b 3009 0603550406 1302 4348 310d 300b 060355040a 0c04 476f6c64 310a 3008 0603550403 0c01 78",
    ],
    ["2.5.4.65=p", "300c 310a 3008 0603550441 0c01 70"],
  ];
  for (const [text, hex] of table) {
    assert.equal(toHex(nameFromText(text)), hex.replaceAll(" ", ""));
    assert.equal(nameToText(nameFromText(text)), text);
  }
  const { subject } = parseCertificate(CERTIFICATES.many);
  assert.equal(nameToText(subject), "C=CH,O=Gold\\, Silver \\+ Co,OU=Ledgers,CN=x,emailAddress=a@example.com");
  assert.deepEqual(nameFromText(nameToText(subject)), subject);
  const umlauts = parseCertificate(CERTIFICATES.rsaSha384).subject;
  assert.equal(nameToText(umlauts), "CN=Rösli & Söhne");
  assert.deepEqual(nameFromText("CN=Rösli & Söhne"), umlauts);
});

Deno.test("nameFromText() knows escapes, spaces and sets of several attributes", () => {
  const table: [text: string, usual: string][] = [
    [" CN = x , O = y ", "CN=x,O=y"],
    ["CN=\\ x\\ ", "CN=\\ x\\ "],
    ["CN=\\  x y \\  ", "CN=\\  x y \\ "],
    ["CN=\\#1", "CN=\\#1"],
    ["CN=a=b", "CN=a=b"],
    ["CN=a\\2cb", "CN=a\\,b"],
    ["CN=Z\\c3\\bcrich", "CN=Zürich"],
    ["CN=a\\0ab", "CN=a\\0ab"],
    ['CN=\\"a\\"\\;\\<\\>\\\\', 'CN=\\"a\\"\\;\\<\\>\\\\'],
    ["commonName=x,organizationName=y", "CN=x,O=y"],
    ["O=y+CN=x", "CN=x+O=y"], // DER sorts a set
    ["DC=org,DC=example", "DC=org,DC=example"],
  ];
  for (const [text, usual] of table) {
    assert.equal(nameToText(nameFromText(text)), usual);
    assert.equal(nameToText(nameFromText(usual)), usual);
  }
});

Deno.test("nameFromText() refuses what no certificate should say", () => {
  const table: [text: string, problem: string][] = [
    ["", '"" is not of the form CN=name'],
    ["CCF Service", '"CCF Service" is not of the form CN=name'],
    ["CN=x,", '"" is not of the form CN=name'],
    ["CN=", "CN has 0 characters and must have 1 to 64"],
    [`CN=${"x".repeat(65)}`, "CN has 65 characters and must have 1 to 64"],
    ["C=CHE", "C has 3 characters and must have 2 to 2"],
    ["C=C*", "C has characters that a PrintableString cannot hold"],
    ["emailAddress=ä", "emailAddress has characters outside ASCII"],
    ["X=y", 'the attribute "X" is not known'],
    ["cn=y", 'the attribute "cn" is not known'],
    ["CN=#04", 'a value begins with "#"; write "\\#" if that is its first character'],
    ["CN=a\\", "it ends in a backslash"],
    [`CN=${"x".repeat(70_000)}`, "it is longer than 65536 characters"],
  ];
  for (const [text, problem] of table) {
    assert.throws(() => nameFromText(text), {
      name: "FormatError",
      message: `Cannot read a distinguished name: ${problem}`,
    });
  }
  assert.throws(() => nameFromText("CN=\\ff"), { message: "Cannot read 1 bytes as text: they are not UTF-8" });
});

Deno.test("nameFromConfiguration() does as CCF and OpenSSL do", () => {
  const sorted = nameFromText("C=CH,CN=x,O=Gold");
  assert.deepEqual(nameFromConfiguration("C=CH,O=Gold,CN=x"), sorted);
  assert.deepEqual(nameFromConfiguration("O=Gold,CN=x,C=CH,CN=again"), sorted);
  assert.deepEqual(nameFromConfiguration("CN=CCF Service"), nameFromText("CN=CCF Service"));
  assert.deepEqual(nameFromConfiguration("CN=a=b+c\\"), nameFromText("CN=a=b\\+c\\\\"));
  // OpenSSL made this one from the UTF-8 of "Zürich", told that it is not UTF-8.
  assert.deepEqual(nameFromConfiguration("CN=Zürich,O=two"), parseCertificateRequest(REQUEST_IN_LATIN1).subject);
  assert.throws(() => nameFromConfiguration("CCF Service"), {
    message: 'Cannot read a distinguished name: the attribute "CCF Service" is not known',
  });
});

Deno.test("nameToText() shows other string types as text and anything else as hex", () => {
  const table: [value: string, text: string][] = [
    ["1403 5afc72", "Zür"], // TeletexString, taken for Latin-1
    ["1e06 005a00fc0072", "Zür"], // BMPString
    ["0c01 ff", "\ufffd"],
    ["0201 05", "#020105"],
    ["3000", "#3000"],
  ];
  for (const [value, text] of table) {
    const der = fromHex(value.replaceAll(" ", ""));
    const attribute = Uint8Array.of(0x30, der.length + 5, 0x06, 0x03, 0x55, 0x04, 0x03, ...der);
    const name = Uint8Array.of(0x30, attribute.length + 2, 0x31, attribute.length, ...attribute);
    assert.equal(nameToText(name), `CN=${text}`);
  }
  assert.equal(nameToText(fromHex("3000")), "");
  assert.throws(() => nameToText(fromHex("30023100")), {
    message: "Cannot read a distinguished name: an attribute is missing",
  });
});

Deno.test("nameAttributes() lists types and values as they are, without escapes", () => {
  const { subject } = parseCertificate(CERTIFICATES.many);
  assert.deepEqual(nameAttributes(subject), [
    { oid: "2.5.4.6", value: "CH" },
    { oid: "2.5.4.10", value: "Gold, Silver + Co" },
    { oid: "2.5.4.11", value: "Ledgers" },
    { oid: "2.5.4.3", value: "x" },
    { oid: "1.2.840.113549.1.9.1", value: "a@example.com" },
  ]);
  assert.deepEqual(nameAttributes(nameFromText("CN=a+O=b,1.2.3=\\ü")).map(({ value }) => value), ["a", "b", "ü"]);
  assert.deepEqual(nameAttributes(fromHex("300c310a3008060355040302 0105".replaceAll(" ", ""))), [
    { oid: "2.5.4.3", value: undefined },
  ]);
  assert.throws(() => nameAttributes(fromHex("300c310a300806035504030c01ff")), { name: "FormatError" });
  assert.deepEqual(["CN", "ST", "STREET"].map(attributeOid), ["2.5.4.3", "2.5.4.8", undefined]);
  fuzzDecoder(mutated(subject), nameAttributes, (attributes, name) => {
    assert.equal(attributes.length > 0, nameToText(name) !== "");
  });
});

Deno.test("nameFromText() reads back what nameToText() wrote", () => {
  for (const spaces of ["\\20", "\\20\\20", "\\20a\\20"]) {
    assert.deepEqual(nameFromText(nameToText(nameFromText(`CN=${spaces}`))), nameFromText(`CN=${spaces}`));
  }
  const value = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 })
    .map((text) => text.replace(/[\ud800-\udfff]/gu, "")).filter((text) => text.length > 0);
  const pair = fc.tuple(fc.constantFrom("CN", "O", "OU", "1.2.3"), value);
  fc.assert(fc.property(fc.array(pair, { minLength: 1, maxLength: 4 }), (pairs) => {
    const escape = (text: string) =>
      [...new TextEncoder().encode(text)].map((byte) => `\\${toHex(Uint8Array.of(byte))}`);
    const name = nameFromText(pairs.map(([type, value]) => `${type}=${escape(value).join("")}`).join(","));
    assert.deepEqual(nameFromText(nameToText(name)), name);
  }));
});

Deno.test("nameToText() answers or throws FormatError on changed input", () => {
  fuzzDecoder(mutated(parseCertificate(CERTIFICATES.many).subject, nameFromText("O=y+CN=x")), nameToText);
  fuzzDecoder(fc.string({ unit: fc.constantFrom(..."CNO=,+\\# ä5f"), maxLength: 30 }), nameFromText, (name, text) => {
    assert.deepEqual(nameFromText(nameToText(name)), name, text);
  });
});
