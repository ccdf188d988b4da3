import { strict as assert } from "node:assert";
import { constants, createPrivateKey, generateKeyPairSync, privateDecrypt, publicEncrypt, sign } from "node:crypto";
import fc from "fast-check";
import { concat, fromUtf8, toHex, toUtf8 } from "../bytes.ts";
import {
  EC_PUBLIC_KEYS,
  MESSAGE,
  OAEP_LABEL,
  RSA_CIPHERTEXTS,
  RSA_PRIVATE_KEY,
  RSA_PUBLIC_KEY,
  RSA_SIGNATURES,
} from "../../tests/openssl_fixtures.ts";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { readDer, writeSequence, writeUnsigned } from "./der.ts";
import { parsePrivateKeyInfo, serialisePrivateKeyInfo } from "./key_info.ts";
import { parsePemBlock } from "./pem.ts";
import { noblePrimitives } from "./primitives.ts";
import {
  parsePkcs1PrivateKey,
  parseRsaPrivateKey,
  parseRsaPublicKey,
  rsaOaepDecrypt,
  rsaOaepEncrypt,
  rsaPublicKey,
  rsaVerifyPkcs1,
  rsaVerifyPss,
} from "./rsa.ts";

const message = toUtf8(MESSAGE);
const pkcs8 = parsePemBlock(RSA_PRIVATE_KEY, "PRIVATE KEY");
const spki = parsePemBlock(RSA_PUBLIC_KEY, "PUBLIC KEY");
const privateKey = parseRsaPrivateKey(pkcs8);
const { publicKey } = privateKey;

/** A source of bytes that everybody can predict. */
const counting = (length: number) => Uint8Array.from({ length }, (_, i) => i + 1);

Deno.test("parseRsaPrivateKey() and parseRsaPublicKey() read OpenSSL's keys and keep their bytes", () => {
  assert.deepEqual(privateKey.pkcs8, pkcs8);
  assert.deepEqual(parseRsaPublicKey(spki), publicKey);
  assert.deepEqual(publicKey.spki, spki);
  assert.equal(publicKey.e, 65537n);
  assert.equal(publicKey.modulusBits, 2048);
  assert.equal(publicKey.widthBytes, 256);
  const pkcs1 = new Uint8Array(createPrivateKey(RSA_PRIVATE_KEY).export({ format: "der", type: "pkcs1" }));
  assert.deepEqual(parsePkcs1PrivateKey(pkcs1), privateKey);
});

Deno.test("rsaOaepDecrypt() opens OpenSSL's ciphertexts, with and without a label", () => {
  const { plain, labelled } = RSA_CIPHERTEXTS;
  assert.equal(fromUtf8(rsaOaepDecrypt(privateKey, plain)!), MESSAGE);
  assert.equal(fromUtf8(rsaOaepDecrypt(privateKey, labelled, toUtf8(OAEP_LABEL))!), MESSAGE);
  assert.equal(rsaOaepDecrypt(privateKey, labelled), undefined);
  assert.equal(rsaOaepDecrypt(privateKey, plain, toUtf8(OAEP_LABEL)), undefined);
});

Deno.test("Primitives.rsaOaepDecrypt() opens a ciphertext with a PKCS#8 key", () => {
  assert.equal(fromUtf8(noblePrimitives.rsaOaepDecrypt(pkcs8, RSA_CIPHERTEXTS.plain)!), MESSAGE);
  assert.equal(noblePrimitives.rsaOaepDecrypt(pkcs8, RSA_CIPHERTEXTS.plain.toReversed()), undefined);
  assert.throws(() => noblePrimitives.rsaOaepDecrypt(spki, RSA_CIPHERTEXTS.plain), { name: "FormatError" });
});

Deno.test("rsaOaepDecrypt() answers undefined for whatever is no ciphertext of this key", () => {
  const { plain } = RSA_CIPHERTEXTS;
  for (
    const bad of [new Uint8Array(), plain.subarray(1), concat(plain, Uint8Array.of(0)), new Uint8Array(256).fill(0xff)]
  ) {
    assert.equal(rsaOaepDecrypt(privateKey, bad), undefined);
  }
  for (const at of [0, 100, 255]) {
    const changed = plain.slice();
    changed[at]! ^= 1;
    assert.equal(rsaOaepDecrypt(privateKey, changed), undefined);
  }
});

Deno.test("rsaOaepEncrypt() makes ciphertexts that node:crypto opens, of every length that fits", () => {
  const oaep = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" };
  for (const length of [0, 1, 189, 190]) {
    const ciphertext = rsaOaepEncrypt(publicKey, counting(length), counting);
    assert.deepEqual(new Uint8Array(privateDecrypt({ key: RSA_PRIVATE_KEY, ...oaep }, ciphertext)), counting(length));
    assert.deepEqual(rsaOaepDecrypt(privateKey, ciphertext), counting(length));
  }
  const labelled = rsaOaepEncrypt(publicKey, message, counting, toUtf8("x"));
  const opened = privateDecrypt({ key: RSA_PRIVATE_KEY, ...oaep, oaepLabel: toUtf8("x") }, labelled);
  assert.equal(fromUtf8(new Uint8Array(opened)), MESSAGE);
  assert.throws(() => rsaOaepEncrypt(publicKey, counting(191), counting), {
    name: "FormatError",
    message: "Cannot encrypt 191 bytes to an RSA key: it has room for 190",
  });
});

Deno.test("rsaOaepEncrypt() is a function of its random bytes", () => {
  const first = rsaOaepEncrypt(publicKey, message, counting);
  assert.equal(toHex(rsaOaepEncrypt(publicKey, message, counting)), toHex(first));
  assert.notEqual(toHex(rsaOaepEncrypt(publicKey, message, (length) => new Uint8Array(length))), toHex(first));
});

Deno.test("RSA works with moduli whose bits are no multiple of eight, against node:crypto", () => {
  for (const modulusLength of [1025, 1031]) {
    const pair = generateKeyPairSync("rsa", { modulusLength });
    const key = parseRsaPrivateKey(new Uint8Array(pair.privateKey.export({ format: "der", type: "pkcs8" })));
    assert.equal(key.publicKey.modulusBits, modulusLength);
    const oaep = { key: pair.publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" };
    assert.deepEqual(rsaOaepDecrypt(key, new Uint8Array(publicEncrypt(oaep, message))), message);
    assert.deepEqual(rsaOaepDecrypt(key, rsaOaepEncrypt(key.publicKey, message, counting)), message);
    const pss = { key: pair.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
    const signature = new Uint8Array(sign("sha256", message, pss));
    assert.equal(rsaVerifyPss(key.publicKey, "SHA-256", message, signature), true);
    const pkcs1 = new Uint8Array(sign("sha256", message, pair.privateKey));
    assert.equal(rsaVerifyPkcs1(key.publicKey, "SHA-256", message, pkcs1), true);
  }
});

Deno.test("rsaVerifyPkcs1() and rsaVerifyPss() accept OpenSSL's signatures and nothing else", () => {
  const { pkcs1Sha256, pssSha256, pssSha384, pssSha512 } = RSA_SIGNATURES;
  assert.equal(rsaVerifyPkcs1(publicKey, "SHA-256", message, pkcs1Sha256), true);
  assert.equal(rsaVerifyPkcs1(publicKey, "SHA-384", message, pkcs1Sha256), false);
  assert.equal(rsaVerifyPkcs1(publicKey, "SHA-256", message, pssSha256), false);
  for (const [hash, signature] of [["SHA-256", pssSha256], ["SHA-384", pssSha384], ["SHA-512", pssSha512]] as const) {
    assert.equal(rsaVerifyPss(publicKey, hash, message, signature), true);
    assert.equal(rsaVerifyPss(publicKey, hash, message, signature, 20), false, "the salt has another length");
    assert.equal(rsaVerifyPss(publicKey, hash, message, signature, 10_000), false);
    assert.equal(rsaVerifyPss(publicKey, hash, toUtf8("another"), signature), false);
    assert.equal(rsaVerifyPkcs1(publicKey, hash, message, signature), false);
    const nodeSignature = new Uint8Array(sign(hash.replace("-", "").toLowerCase(), message, RSA_PRIVATE_KEY));
    assert.equal(rsaVerifyPkcs1(publicKey, hash, message, nodeSignature), true);
  }
  for (const saltLength of [0, 20]) {
    const options = { key: RSA_PRIVATE_KEY, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength };
    const signature = new Uint8Array(sign("sha384", message, options));
    assert.equal(rsaVerifyPss(publicKey, "SHA-384", message, signature, saltLength), true);
  }
});

Deno.test("RSA verification answers false for whatever is no signature", () => {
  const noSignature = fc.oneof(
    fc.uint8Array({ minLength: 256, maxLength: 256 }),
    fc.uint8Array({ maxLength: 300 }),
    mutated(RSA_SIGNATURES.pkcs1Sha256, RSA_SIGNATURES.pssSha256),
  ).filter((bytes) => ![RSA_SIGNATURES.pkcs1Sha256, RSA_SIGNATURES.pssSha256].some((s) => toHex(s) === toHex(bytes)));
  fc.assert(
    fc.property(noSignature, (signature) => {
      assert.equal(rsaVerifyPkcs1(publicKey, "SHA-256", message, signature), false);
      assert.equal(rsaVerifyPss(publicKey, "SHA-256", message, signature), false);
    }),
    { numRuns: 100 },
  );
});

Deno.test("RSA key parsers refuse numbers that are no key", () => {
  const { n } = publicKey;
  const table: [() => unknown, string][] = [
    [
      () => rsaPublicKey(n >> 1100n | 1n, 65537n),
      "Cannot read an RSA key: its modulus has 948 bits and must be an odd number of 1024 to 8192",
    ],
    [
      () => rsaPublicKey(n - 1n, 65537n),
      "Cannot read an RSA key: its modulus has 2048 bits and must be an odd number of 1024 to 8192",
    ],
    [
      () => rsaPublicKey((1n << 8192n) + 1n, 65537n),
      "Cannot read an RSA key: its modulus has 8193 bits and must be an odd number of 1024 to 8192",
    ],
    ...[1n, 4n, (1n << 64n) + 1n].map((e): [() => unknown, string] => [
      () => rsaPublicKey(n, e),
      "Cannot read an RSA key: its public exponent must be an odd number from 3 to 2^64",
    ]),
    [
      () => parseRsaPublicKey(parsePemBlock(EC_PUBLIC_KEYS["P-256"], "PUBLIC KEY")),
      "Cannot read an RSA key: its algorithm is 1.2.840.10045.2.1",
    ],
  ];
  for (const [read, message] of table) assert.throws(read, { name: "FormatError", message });
});

Deno.test("parsePkcs1PrivateKey() refuses a key if any of its private numbers is another", () => {
  const pkcs1 = parsePrivateKeyInfo(pkcs8).key;
  const reader = readDer(pkcs1, "a test");
  const numbers: Uint8Array[] = [];
  while (!reader.done) numbers.push(reader.unsigned("it"));
  assert.deepEqual(writeSequence(...numbers.map(writeUnsigned)), pkcs1);
  for (let i = 3; i < numbers.length; i++) {
    const changed = numbers.map((number) => number.slice());
    changed[i]![5]! ^= 1;
    assert.throws(() => parsePkcs1PrivateKey(writeSequence(...changed.map(writeUnsigned))), {
      name: "FormatError",
      message: "Cannot read an RSA private key: its numbers do not fit together",
    });
  }
});

Deno.test("RSA key parsers answer or throw FormatError on changed input, and answers are written back unchanged", () => {
  fuzzDecoder(mutated(spki), parseRsaPublicKey, (key, der) => assert.deepEqual(key.spki, der), 300);
  fuzzDecoder(mutated(pkcs8), parseRsaPrivateKey, (key, der) => {
    // What may stand around the key itself in PKCS#8 is passed over.
    const { algorithm, key: inside } = parsePrivateKeyInfo(der);
    assert.deepEqual(key.pkcs8, serialisePrivateKeyInfo({ algorithm, key: inside }));
  }, 200);
});
