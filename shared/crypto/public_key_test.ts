import { strict as assert } from "node:assert";
import { concat, fromHex, toHex, toUtf8 } from "../bytes.ts";
import {
  CERTIFICATES,
  EC_PUBLIC_KEYS,
  EC_SIGNATURES,
  MESSAGE,
  RSA_PUBLIC_KEY,
  RSA_SIGNATURES,
} from "../../tests/openssl_fixtures.ts";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { parsePemBlock } from "./pem.ts";
import { noblePrimitives } from "./primitives.ts";
import {
  ecdsaAlgorithm,
  parsePublicKey,
  parsePublicKeyPem,
  parseSignatureAlgorithm,
  serialisePublicKeyPem,
  type SignatureAlgorithm,
  verifySignature,
} from "./public_key.ts";
import { parseCertificate } from "./x509.ts";

const message = toUtf8(MESSAGE);
const p384 = parsePublicKeyPem(EC_PUBLIC_KEYS["P-384"]);
const rsa = parsePublicKeyPem(RSA_PUBLIC_KEY);

/** Algorithms as AMD's root writes them (RSASSA-PSS with SHA-384 and the trailer field) and as others might. */
const PSS_AMD = "304606092a864886f70d01010a3039a00f300d06096086480165030402020500" +
  "a11c301a06092a864886f70d010108300d06096086480165030402020500a203020130a303020101";

Deno.test("parsePublicKeyPem() reads both kinds of key, and serialisePublicKeyPem() writes them back", () => {
  for (const text of [...Object.values(EC_PUBLIC_KEYS), RSA_PUBLIC_KEY]) {
    assert.equal(serialisePublicKeyPem(parsePublicKeyPem(text)), text);
  }
  assert.equal(p384.kind, "EC");
  assert.equal(rsa.kind, "RSA");
  assert.throws(() => parsePublicKey(fromHex("302a300506032b6570032100" + "07".repeat(32))), {
    name: "FormatError",
    message: "Cannot read a public key: its algorithm 1.3.101.112 is neither EC nor RSA",
  });
});

Deno.test("parseSignatureAlgorithm() knows ECDSA, PKCS#1 v1.5 and PSS", () => {
  const table: [hex: string, SignatureAlgorithm][] = [
    ["300a06082a8648ce3d040302", { kind: "ECDSA", hash: "SHA-256" }],
    ["300a06082a8648ce3d040303", { kind: "ECDSA", hash: "SHA-384" }],
    ["300a06082a8648ce3d040304", { kind: "ECDSA", hash: "SHA-512" }],
    ["300d06092a864886f70d01010b0500", { kind: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }],
    ["300d06092a864886f70d01010c0500", { kind: "RSASSA-PKCS1-v1_5", hash: "SHA-384" }],
    ["300d06092a864886f70d01010d0500", { kind: "RSASSA-PKCS1-v1_5", hash: "SHA-512" }],
    [PSS_AMD, { kind: "RSASSA-PSS", hash: "SHA-384", saltBytes: 48 }],
    [toHex(parseCertificate(CERTIFICATES.rsaPss).signatureAlgorithm), {
      kind: "RSASSA-PSS",
      hash: "SHA-256",
      saltBytes: 32,
    }],
  ];
  for (const [hex, algorithm] of table) assert.deepEqual(parseSignatureAlgorithm(fromHex(hex)), algorithm);
  for (const hash of ["SHA-256", "SHA-384", "SHA-512"] as const) {
    assert.deepEqual(parseSignatureAlgorithm(ecdsaAlgorithm(hash)), { kind: "ECDSA", hash });
  }
});

Deno.test("parseSignatureAlgorithm() refuses what is old, unknown or mixed", () => {
  const unknown = (oid: string) => `Cannot read a signature algorithm: ${oid} with its parameters is not known`;
  const table: [hex: string, message: string][] = [
    ["300906072a8648ce3d0401", unknown("1.2.840.10045.4.1")], // ECDSA with SHA-1
    ["300d06092a864886f70d0101050500", unknown("1.2.840.113549.1.1.5")], // PKCS#1 v1.5 with SHA-1
    ["300b06092a864886f70d01010b", unknown("1.2.840.113549.1.1.11")], // NULL is missing
    ["300c06082a8648ce3d0403020500", unknown("1.2.840.10045.4.3.2")], // NULL is too much
    ["300506032b6570", unknown("1.3.101.112")], // Ed25519
    [
      "300d06092a864886f70d01010a3000",
      "Cannot read a signature algorithm: RSASSA-PSS with SHA-1 is not supported",
    ],
    [
      PSS_AMD.replace("010108300d", "010109300d"),
      "Cannot read a signature algorithm: RSASSA-PSS with two hashes or another trailer is not supported",
    ],
    [
      PSS_AMD.replace(
        "a11c301a06092a864886f70d010108300d0609608648016503040202",
        "a11c301a06092a864886f70d010108300d0609608648016503040201",
      ),
      "Cannot read a signature algorithm: RSASSA-PSS with two hashes or another trailer is not supported",
    ],
    [
      PSS_AMD.slice(0, -1) + "2",
      "Cannot read a signature algorithm: RSASSA-PSS with two hashes or another trailer is not supported",
    ],
    [
      PSS_AMD.replaceAll("0402020500", "0402040500"),
      "Cannot read a signature algorithm: the hash 2.16.840.1.101.3.4.2.4 is not supported",
    ],
  ];
  for (const [hex, message] of table) {
    assert.throws(() => parseSignatureAlgorithm(fromHex(hex)), { name: "FormatError", message });
  }
});

Deno.test("verifySignature() goes by key and algorithm", () => {
  const ecdsa: SignatureAlgorithm = { kind: "ECDSA", hash: "SHA-384" };
  const pkcs1: SignatureAlgorithm = { kind: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const pss: SignatureAlgorithm = { kind: "RSASSA-PSS", hash: "SHA-512", saltBytes: 64 };
  const { p384Sha384 } = EC_SIGNATURES;
  const { pkcs1Sha256, pssSha512 } = RSA_SIGNATURES;
  const verify = (key: typeof p384, algorithm: SignatureAlgorithm, signature: Uint8Array) =>
    verifySignature(noblePrimitives, key, algorithm, message, signature);

  assert.equal(verify(p384, ecdsa, p384Sha384), true);
  assert.equal(verify(rsa, pkcs1, pkcs1Sha256), true);
  assert.equal(verify(rsa, pss, pssSha512), true);
  assert.equal(verify(rsa, { ...pss, saltBytes: 32 }, pssSha512), false);
  assert.equal(verify(p384, { ...ecdsa, hash: "SHA-256" }, p384Sha384), false);
  assert.equal(verify(rsa, ecdsa, p384Sha384), false);
  assert.equal(verify(p384, pkcs1, pkcs1Sha256), false);
  assert.equal(verify(p384, ecdsa, concat(p384Sha384, Uint8Array.of(0))), false, "not DER");
});

Deno.test("decoders of keys and algorithms answer or throw FormatError on changed input", () => {
  const spkis = [...Object.values(EC_PUBLIC_KEYS), RSA_PUBLIC_KEY].map((text) => parsePemBlock(text, "PUBLIC KEY"));
  fuzzDecoder(mutated(...spkis), parsePublicKey, (key, spki) => assert.deepEqual(key.spki, spki), 200);
  fuzzDecoder(mutated(fromHex(PSS_AMD), ecdsaAlgorithm("SHA-384")), parseSignatureAlgorithm);
});
