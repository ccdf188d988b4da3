import { strict as assert } from "node:assert";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { concat, fromBase64, fromHex, toHex, toUtf8 } from "../bytes.ts";
import { CERTIFICATES, EC_PRIVATE_KEYS, EC_PUBLIC_KEYS, ED25519_PRIVATE_KEY } from "../../tests/openssl_fixtures.ts";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { realPemBlocks } from "../../tests/real_pem.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { writeSequence } from "./der.ts";
import { ecdsaVerifyDigest, parseDerSignature } from "./ecdsa.ts";
import { memberIdOf, nodeIdOf } from "./identifiers.ts";
import { parseEcPrivateKeyFile } from "./key_file.ts";
import { serialisePem } from "./pem.ts";
import { noblePrimitives } from "./primitives.ts";
import { parsePublicKeyPem } from "./public_key.ts";
import {
  type Certificate,
  isSignedBy,
  isValidAt,
  parseCertificate,
  parseCertificateBundle,
  parseCertificatePem,
  publicKeyOf,
  serialiseCertificatePem,
} from "./x509.ts";
import { type CertificateFields, memberCertificate, signCertificate, toBeSigned, withSignature } from "./x509_build.ts";
import { nameFromText, nameToText } from "./x509_name.ts";

const key = parseEcPrivateKeyFile(EC_PRIVATE_KEYS["P-256"]);

function fields(change: Partial<CertificateFields> = {}): CertificateFields {
  const subject = nameFromText("CN=x");
  const validity = { notBeforeMs: Date.UTC(2026, 0, 1), notAfterMs: Date.UTC(2027, 0, 1) };
  return { ...memberCertificate({ key: key.publicKey, subject, validity, serial: Uint8Array.of(5) }), ...change };
}

Deno.test("parseCertificate() reads what OpenSSL wrote", () => {
  const { der, ...certificate } = parseCertificate(CERTIFICATES.many);
  assert.deepEqual(der, CERTIFICATES.many);
  assert.equal(certificate.version, 3);
  assert.equal(toHex(certificate.serial), "1234");
  assert.equal(new Date(certificate.notBeforeMs).toISOString(), "2026-11-24T05:47:47.000Z");
  assert.equal(new Date(certificate.notAfterMs).toISOString(), "2126-10-31T05:47:47.000Z");
  assert.equal(toHex(certificate.signatureAlgorithm), "300a06082a8648ce3d040304");
  assert.deepEqual(certificate.subject, certificate.issuer);
  const p521 = parsePublicKeyPem(EC_PUBLIC_KEYS["P-521"]);
  assert.deepEqual(certificate.spki, p521.spki);
  assert.deepEqual(publicKeyOf(parseCertificate(CERTIFICATES.many)), p521);
  assert.equal(certificate.extensions.length, 5);
});

Deno.test("isSignedBy() checks signatures of every kind", () => {
  for (const der of Object.values(CERTIFICATES)) {
    const certificate = parseCertificate(der);
    assert.equal(isSignedBy(noblePrimitives, certificate, publicKeyOf(certificate)), true);
    assert.equal(isSignedBy(noblePrimitives, certificate, key.publicKey), false);
    const tbs = certificate.tbs.slice();
    tbs[30]! ^= 1;
    assert.equal(isSignedBy(noblePrimitives, { ...certificate, tbs }, publicKeyOf(certificate)), false);
  }
  const ed25519 = fields({ signatureAlgorithm: fromHex("300506032b6570") });
  const certificate = parseCertificate(withSignature(toBeSigned(ed25519), new Uint8Array(64)));
  assert.throws(() => isSignedBy(noblePrimitives, certificate, key.publicKey), {
    name: "FormatError",
    message: "Cannot read a signature algorithm: 1.3.101.112 with its parameters is not known",
  });
});

Deno.test("parseCertificate() reads a key of a kind that nobody here knows", () => {
  const spki = fromHex(`302a300506032b6570032100${"07".repeat(32)}`);
  const certificate = parseCertificate(signCertificate(fields({ spki }), key));
  assert.deepEqual(certificate.spki, spki);
  assert.throws(() => publicKeyOf(certificate), { name: "FormatError" });
});

Deno.test("parseCertificate() and toBeSigned() agree on times in every century", () => {
  for (
    const [iso, der] of [
      ["1949-12-31T23:59:59Z", "180f31393439313233313233353935395a"],
      ["1950-01-01T00:00:00Z", "170d3530303130313030303030305a"],
      ["2026-02-28T12:34:56Z", "170d3236303232383132333435365a"],
      ["2049-12-31T23:59:59Z", "170d3439313233313233353935395a"],
      ["2050-01-01T00:00:00Z", "180f32303530303130313030303030305a"],
      ["9999-12-31T23:59:59Z", "180f39393939313233313233353935395a"],
    ] as const
  ) {
    const ms = Date.parse(iso);
    const tbs = toBeSigned(fields({ notBeforeMs: ms, notAfterMs: ms }));
    assert.ok(toHex(tbs).includes(der + der), iso);
    const certificate = parseCertificate(withSignature(tbs, Uint8Array.of(1)));
    assert.deepEqual([certificate.notBeforeMs, certificate.notAfterMs], [ms, ms]);
  }
});

Deno.test("parseCertificate() refuses what is malformed, and says what", () => {
  const good = toHex(signCertificate(fields(), key));
  const change = (from: string, to: string) => {
    assert.ok(good.includes(from), from);
    return fromHex(good.replace(from, to));
  };
  const notBefore = "170d3236303130313030303030305a";
  const table: [Uint8Array, string][] = [
    [new Uint8Array(), "the outermost SEQUENCE is missing"],
    [concat(fromHex(good), Uint8Array.of(0)), "1 bytes are left over"],
    [change("a003020102", "a003020103"), "version 4 is not known"],
    [change("a003020102", "a003020100"), "version 1 is not known"],
    [fromHex(good).subarray(1), "the outermost SEQUENCE has tag 82 and not 30"],
    [change("300a06082a8648ce3d040302", "300a06082a8648ce3d040303"), "it names two signature algorithms"],
    [change(notBefore, "170d3236303233303030303030305a"), "the start of the validity is no time"], // 30 February
    [change(notBefore, "170d3236303130313234303030305a"), "the start of the validity is no time"], // 24 o'clock
    [change(notBefore, "170d32363031303130303030303030"), "the start of the validity is no time"], // no Z
    [change(notBefore, "180d3236303130313030303030305a"), "the start of the validity is no time"],
    [change(notBefore, "130d3236303130313030303030305a"), "the start of the validity has tag 13 and not 17"],
    [new Uint8Array(70_000), "it is longer than 65536 bytes"],
  ];
  for (const [der, problem] of table) {
    assert.throws(() => parseCertificate(der), {
      name: "FormatError",
      message: `Cannot read a certificate: ${problem}`,
    });
  }
  const withExtension = toBeSigned(fields({ extensions: parseCertificate(CERTIFICATES.many).extensions }));
  const version2 = fromHex(toHex(withExtension).replace("a003020102", "a003020101"));
  assert.throws(() => parseCertificate(withSignature(version2, new Uint8Array())), {
    message: "Cannot read a certificate: it has extensions, but its version is 2",
  });
});

Deno.test("parseCertificatePem() wants one certificate, parseCertificateBundle() takes all", () => {
  const one = serialiseCertificatePem(CERTIFICATES.many);
  const two = serialiseCertificatePem(CERTIFICATES.rsaPss);
  assert.deepEqual(parseCertificatePem(one).der, CERTIFICATES.many);
  assert.throws(() => parseCertificatePem(one + two), { name: "FormatError" });
  assert.throws(() => parseCertificatePem(ED25519_PRIVATE_KEY), { name: "FormatError" });
  const bundle = parseCertificateBundle(`x\n${one}\n${ED25519_PRIVATE_KEY}${two}`);
  assert.deepEqual(bundle.map(({ der }) => der), [CERTIFICATES.many, CERTIFICATES.rsaPss]);
  assert.deepEqual(parseCertificateBundle(""), []);
});

Deno.test("isValidAt() counts the last second whole", () => {
  const certificate = parseCertificate(signCertificate(fields(), key));
  const { notBeforeMs, notAfterMs } = certificate;
  const table: [nowMs: number, valid: boolean][] = [
    [notBeforeMs - 1, false],
    [notBeforeMs, true],
    [notAfterMs, true],
    [notAfterMs + 999, true],
    [notAfterMs + 1000, false],
    [NaN, false],
  ];
  for (const [nowMs, valid] of table) assert.equal(isValidAt(certificate, nowMs), valid, `${nowMs}`);
});

Deno.test("parseCertificate() answers or throws FormatError on changed input", () => {
  const samples = [...Object.values(CERTIFICATES), signCertificate(fields(), key)];
  fuzzDecoder(mutated(...samples), (der) => {
    const certificate = parseCertificate(der);
    nameToText(certificate.subject);
    publicKeyOf(certificate);
    isSignedBy(noblePrimitives, certificate, key.publicKey);
    return certificate;
  }, ({ der, tbs, signatureAlgorithm, signature }) => {
    // What was read from the outer layer is all there was.
    const bits = concat(Uint8Array.of(0), signature);
    const header = bits.length < 0x80 ? [0x03, bits.length] : bits.length < 256 ? [0x03, 0x81, bits.length] : undefined;
    if (header !== undefined) {
      assert.deepEqual(writeSequence(tbs, signatureAlgorithm, concat(Uint8Array.from(header), bits)), der);
    }
  }, 400);
});

teamTest("every real certificate is read as node:crypto reads it, and is written back byte for byte", () => {
  const blocks = realPemBlocks("CERTIFICATE");
  assert.ok(blocks.length > 150, `${blocks.length} certificates`);
  for (const pem of blocks) {
    const certificate = parseCertificatePem(pem);
    assert.equal(serialiseCertificatePem(certificate.der), pem);
    assert.deepEqual(withSignature(toBeSigned(certificate), certificate.signature), certificate.der);
    const theirs = new X509Certificate(certificate.der);
    assert.equal(certificate.notBeforeMs, Date.parse(theirs.validFrom));
    assert.equal(certificate.notAfterMs, Date.parse(theirs.validTo));
    assert.equal(memberIdOf(certificate.der), theirs.fingerprint256.replaceAll(":", "").toLowerCase());
    assert.equal(nameToText(certificate.subject).replaceAll(",", "\n"), theirs.subject);
    if (isSelfSigned(certificate)) assert.deepEqual(certificate.subject, certificate.issuer);
  }
});

function isSelfSigned(certificate: Certificate): boolean {
  return isSignedBy(noblePrimitives, certificate, publicKeyOf(certificate));
}

teamTest("a real receipt verifies: root as digest, node certificate, node ID", () => {
  const text = readFileSync(teamData("ccf/testdata/double_sealed_service/expected/receipt_2.24.json"), "utf8");
  const receipt = JSON.parse(text);
  const certificate = parseCertificatePem(receipt.cert);
  assert.equal(nodeIdOf(certificate.spki), receipt.node_id);
  const nodeKey = publicKeyOf(certificate);
  assert.ok(nodeKey.kind === "EC");
  const { claims_digest, commit_evidence, write_set_digest } = receipt.leaf_components;
  const { sha256 } = noblePrimitives;
  let root = sha256(concat(fromHex(write_set_digest), sha256(toUtf8(commit_evidence)), fromHex(claims_digest)));
  for (const { left, right } of receipt.proof) {
    root = sha256(left === undefined ? concat(root, fromHex(right)) : concat(fromHex(left), root));
  }
  const signature = parseDerSignature(nodeKey.curve, fromBase64(receipt.signature));
  assert.equal(ecdsaVerifyDigest(noblePrimitives, nodeKey, root, signature), true);
  root[0]! ^= 1;
  assert.equal(ecdsaVerifyDigest(noblePrimitives, nodeKey, root, signature), false);
});

teamTest("memberIdOf() gives the IDs under which a real service knows its members", () => {
  const lines = readFileSync(teamData("ccf/transcripts/one_node_get.jsonl"), "utf8").trimEnd().split("\n");
  const exchanges = lines.map((line) => JSON.parse(line));
  const members = exchanges.find(({ request }) => request.line.startsWith("GET /gov/service/members?api-version=2024"));
  let checked = 0;
  for (const { memberId, certificate } of JSON.parse(members.response.body).value) {
    assert.equal(memberIdOf(parseCertificatePem(certificate).der), memberId);
    checked++;
  }
  assert.ok(checked > 1);
  assert.throws(() => parseCertificatePem(serialisePem("CERTIFICATE", Uint8Array.of(0x30, 0))), {
    name: "FormatError",
  });
});
