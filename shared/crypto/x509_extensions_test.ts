import { strict as assert } from "node:assert";
import { fromHex, toHex } from "../bytes.ts";
import { CERTIFICATES } from "../../tests/openssl_fixtures.ts";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { readDer, writeSequence } from "./der.ts";
import { parseCertificate } from "./x509.ts";
import {
  authorityKeyIdentifier,
  authorityKeyIdentifierExtension,
  basicConstraints,
  basicConstraintsExtension,
  extendedKeyUsageExtension,
  extendedKeyUsages,
  type Extension,
  EXTENSION_OID,
  keyIdentifierOf,
  keyUsage,
  keyUsageExtension,
  parseSubjectAltName,
  readExtensions,
  subjectAltNameExtension,
  subjectAltNameOfHost,
  subjectAltNames,
  subjectKeyIdentifier,
  subjectKeyIdentifierExtension,
  writeExtensions,
} from "./x509_extensions.ts";

const many = parseCertificate(CERTIFICATES.many);
const saying = (oid: string, value: string): Extension[] => [{ oid, critical: false, value: fromHex(value) }];

Deno.test("extension readers read what OpenSSL wrote", () => {
  const { extensions } = many;
  assert.deepEqual(extensions.map(({ critical }) => critical), [true, true, false, false, false]);
  assert.deepEqual(basicConstraints(extensions), { ca: true, pathLength: 3 });
  assert.deepEqual(keyUsage(extensions), new Set(["digitalSignature", "keyCertSign", "cRLSign", "decipherOnly"]));
  assert.equal(toHex(subjectKeyIdentifier(extensions)!), "89f14ba22a4da2bb84c65326a29a8894ee73efa7");
  assert.deepEqual(subjectKeyIdentifier(extensions), keyIdentifierOf(many.spki));
  assert.equal(authorityKeyIdentifier(extensions), undefined, "it names issuer and serial number instead of a key");
  assert.deepEqual(subjectAltNames(extensions), [
    { kind: "iPAddress", value: "192.0.2.7" },
    { kind: "iPAddress", value: "2001:db8::ff00:42:8329" },
    { kind: "dNSName", value: "ledger.example.com" },
    { kind: "rfc822Name", value: "a@example.com" },
    { kind: "uniformResourceIdentifier", value: "https://example.com/x" },
    { kind: "other", der: fromHex("a410300e310c300a06035504030c03646972") },
  ]);
});

Deno.test("extension writers write what was read, and what CCF's certificates have", () => {
  const value = (extension: Extension) => `${extension.critical ? "critical " : ""}${toHex(extension.value)}`;
  assert.deepEqual(subjectAltNameExtension(subjectAltNames(many.extensions)), many.extensions[4]);
  assert.deepEqual(basicConstraintsExtension({ ca: true, pathLength: 3 }), many.extensions[0]);
  // As in ledger-and-receipts.md §11 and in the bytes of real certificates.
  assert.equal(value(basicConstraintsExtension({ ca: true, pathLength: 1 })), "critical 30060101ff020101");
  assert.equal(value(basicConstraintsExtension({ ca: false, pathLength: undefined })), "critical 3000");
  assert.equal(value(keyUsageExtension("digitalSignature", "keyCertSign")), "critical 03020284");
  assert.equal(value(keyUsageExtension("digitalSignature")), "critical 03020780");
  assert.equal(value(keyUsageExtension("encipherOnly")), "critical 03020001");
  assert.equal(value(subjectKeyIdentifierExtension(fromHex("0102"))), "04020102");
  assert.equal(value(authorityKeyIdentifierExtension(fromHex("0102"))), "300480020102");
  assert.equal(
    value(
      subjectAltNameExtension([{ kind: "iPAddress", value: "127.0.0.1" }, { kind: "dNSName", value: "localhost" }]),
    ),
    "301187047f00000182096c6f63616c686f7374",
  );
  assert.throws(() => keyUsageExtension(), { name: "AssertionFailed" });
  assert.throws(() => subjectAltNameExtension([{ kind: "dNSName", value: "zürich.example" }]), {
    message: 'Cannot write "zürich.example" as a dNSName: only ASCII is allowed',
  });
});

Deno.test("extension readers answer undefined, or no names, where there is no such extension", () => {
  assert.equal(basicConstraints([]), undefined);
  assert.equal(keyUsage([]), undefined);
  assert.equal(subjectKeyIdentifier([]), undefined);
  assert.equal(authorityKeyIdentifier([]), undefined);
  assert.deepEqual(subjectAltNames([]), []);
});

Deno.test("extension readers refuse what is malformed", () => {
  const table: [() => unknown, string][] = [
    [
      () => basicConstraints(saying(EXTENSION_OID.basicConstraints, "3003020101ff")),
      "Cannot read basic constraints: 1 bytes are left over",
    ],
    [() => keyUsage(saying(EXTENSION_OID.keyUsage, "0302028400")), "Cannot read a key usage: 1 bytes are left over"],
    [
      () => subjectKeyIdentifier(saying(EXTENSION_OID.subjectKeyIdentifier, "0500")),
      "Cannot read a subject key identifier: the identifier has tag 05 and not 04",
    ],
    [
      () => subjectAltNames(saying(EXTENSION_OID.subjectAltName, "30058703010203")),
      "Cannot read an IP address: it has 3 bytes, not 4 or 16",
    ],
    [
      () => subjectAltNames(saying(EXTENSION_OID.subjectAltName, "30048202c3bc")),
      "Cannot read subject alternative names: a dNSName has characters outside ASCII",
    ],
    [
      () => readExtensions(readDer(writeExtensions([many.extensions[0]!, many.extensions[0]!]), "a test")),
      "Cannot read a test: its extension 2.5.29.19 is there twice",
    ],
  ];
  for (const [read, message] of table) assert.throws(read, { name: "FormatError", message });
});

Deno.test("extendedKeyUsages() reads purposes, and what extendedKeyUsageExtension() writes", () => {
  // serverAuth and clientAuth (RFC 5280 §4.2.1.12)
  const written = fromHex("3014 0608 2b06010505070301 0608 2b06010505070302".replaceAll(" ", ""));
  const extension = extendedKeyUsageExtension("1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2");
  assert.deepEqual(extension, { oid: "2.5.29.37", critical: false, value: written });
  assert.deepEqual(extendedKeyUsages([extension]), ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  assert.equal(extendedKeyUsages([]), undefined);
  assert.throws(() => extendedKeyUsages(saying(EXTENSION_OID.extendedKeyUsage, "3000")), {
    name: "FormatError",
    message: "Cannot read an extended key usage: a purpose is missing",
  });
  fuzzDecoder(
    mutated(written),
    (value) => extendedKeyUsages([{ ...extension, value }])!,
    (purposes, value) => assert.deepEqual(extendedKeyUsageExtension(...purposes).value, value),
  );
});

Deno.test("extension readers accept FALSE written out, as some authorities do", () => {
  const list = fromHex("30113 00f 0603551d13 010100 0405 3003010100".replaceAll(" ", ""));
  const extensions = readExtensions(readDer(list, "a test"));
  assert.deepEqual(extensions, saying(EXTENSION_OID.basicConstraints, "3003010100"));
  assert.deepEqual(basicConstraints(extensions), { ca: false, pathLength: undefined });
});

Deno.test("parseSubjectAltName() reads CCF's configuration", () => {
  assert.deepEqual(parseSubjectAltName("iPAddress:127.0.0.1"), { kind: "iPAddress", value: "127.0.0.1" });
  assert.deepEqual(parseSubjectAltName("iPAddress:0:0::1"), { kind: "iPAddress", value: "::1" });
  assert.deepEqual(parseSubjectAltName("dNSName:localhost"), { kind: "dNSName", value: "localhost" });
  for (const text of ["localhost", "dNSName:", "dNSName:a b", "rfc822Name:a@b", "IP:1.2.3.4"]) {
    assert.throws(() => parseSubjectAltName(text), {
      name: "FormatError",
      message: `Cannot read ${JSON.stringify(text)} as a subject alternative name: ` +
        'it must look like "iPAddress:127.0.0.1" or "dNSName:localhost"',
    });
  }
  assert.throws(() => parseSubjectAltName("iPAddress:localhost"), {
    message: 'Cannot read "localhost" as an IP address',
  });
});

Deno.test("subjectAltNameOfHost() tells addresses from names", () => {
  assert.deepEqual(subjectAltNameOfHost("127.0.0.1"), { kind: "iPAddress", value: "127.0.0.1" });
  assert.deepEqual(subjectAltNameOfHost("::1"), { kind: "iPAddress", value: "::1" });
  assert.deepEqual(subjectAltNameOfHost("localhost"), { kind: "dNSName", value: "localhost" });
  assert.throws(() => subjectAltNameOfHost("a host"), { name: "FormatError" });
});

Deno.test("extension readers answer or throw FormatError on changed input", () => {
  const list = writeExtensions(many.extensions);
  fuzzDecoder(mutated(list), (der) => {
    const extensions = readExtensions(readDer(der, "a test"));
    return [basicConstraints, keyUsage, subjectKeyIdentifier, authorityKeyIdentifier].map((read) => read(extensions));
  });
  fuzzDecoder(
    mutated(list),
    (der) => readExtensions(readDer(der, "a test")),
    (extensions) => assert.deepEqual(readExtensions(readDer(writeExtensions(extensions), "a test")), extensions),
  );
  const names = many.extensions[4]!.value;
  const asExtension = (value: Uint8Array) => [{ oid: EXTENSION_OID.subjectAltName, critical: false, value }];
  fuzzDecoder(
    mutated(names, writeSequence()),
    (value) => subjectAltNames(asExtension(value)),
    (read, value) => assert.deepEqual(subjectAltNameExtension(read).value, value),
  );
});
