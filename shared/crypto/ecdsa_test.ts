import { strict as assert } from "node:assert";
import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import fc from "fast-check";
import { concat, fromHex, toHex, toUtf8 } from "../bytes.ts";
import { DIGEST, EC_PRIVATE_KEYS, EC_PUBLIC_KEYS, EC_SIGNATURES, MESSAGE } from "../../tests/openssl_fixtures.ts";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import {
  EC_CURVES,
  ecdsaSign,
  ecdsaSignDigest,
  ecdsaVerify,
  ecdsaVerifyDigest,
  ecPrivateKey,
  ecPublicKey,
  generateEcPrivateKey,
  parseDerSignature,
  parseEcPrivateKey,
  parseEcPublicKey,
  parseSec1PrivateKey,
  serialiseDerSignature,
  serialiseEcPrivateKey,
} from "./ecdsa.ts";
import { parsePemBlock, serialisePem } from "./pem.ts";
import { type CurveName, noblePrimitives } from "./primitives.ts";

const CURVES: readonly CurveName[] = ["P-256", "P-384", "P-521"];
const message = toUtf8(MESSAGE);
const privateKeyOf = (curve: CurveName) => parseEcPrivateKey(parsePemBlock(EC_PRIVATE_KEYS[curve], "PRIVATE KEY"));

/** RFC 6979 §A.2.5 to §A.2.7: private key, and the signatures of "sample" and "test" with the curve's own hash. */
const RFC_6979: Record<CurveName, { scalar: string; sample: [string, string]; test: [string, string] }> = {
  "P-256": {
    scalar: "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
    sample: [
      "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
      "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
    ],
    test: [
      "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367",
      "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
    ],
  },
  "P-384": {
    scalar: "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5",
    sample: [
      "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46",
      "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8",
    ],
    test: [
      "8203b63d3c853e8d77227fb377bcf7b7b772e97892a80f36ab775d509d7a5feb0542a7f0812998da8f1dd3ca3cf023db",
      "ddd0760448d42d8a43af45af836fce4de8be06b485e9b61b827c2f13173923e06a739f040649a667bf3b828246baa5a5",
    ],
  },
  "P-521": {
    scalar: "00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75" +
      "caa896eb32f1f47c70855836a6d16fcc1466f6d8fbec67db89ec0c08b0e996b83538",
    sample: [
      "00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f1" +
      "74e25a1ee9017b5d450606add152b534931d7d4e8455cc91f9b15bf05ec36e377fa",
      "00617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af2" +
      "82623eaa63e5b5c0723d8b8c37ff0777b1a20f8ccb1dccc43997f1ee0e44da4a67a",
    ],
    test: [
      "013e99020abf5cee7525d16b69b229652ab6bdf2affcaef38773b4b7d08725f10" +
      "cdb93482fdcc54edcee91eca4166b2a7c6265ef0ce2bd7051b7cef945babd47ee6d",
      "01fbd0013c674aa79cb39849527916ce301c66ea7ce8b80682786ad60f98f7e78" +
      "a19ca69eff5c57400e3b3a0ad66ce0978214d13baf4e9ac60752f7b155e2de4dce3",
    ],
  },
};

Deno.test("ecdsaSign() makes the signatures of RFC 6979", () => {
  for (const curve of CURVES) {
    const { scalar, sample, test } = RFC_6979[curve];
    const key = ecPrivateKey(curve, fromHex(scalar));
    assert.equal(toHex(ecdsaSign(key, toUtf8("sample"))), sample.join(""));
    assert.equal(toHex(ecdsaSign(key, toUtf8("test"))), test.join(""));
  }
});

Deno.test("ecdsaVerify() accepts OpenSSL's signatures and nothing else", () => {
  const table: [CurveName, Uint8Array, "SHA-384" | "SHA-512"][] = [
    ["P-256", EC_SIGNATURES.p256Sha512, "SHA-512"],
    ["P-384", EC_SIGNATURES.p384Sha384, "SHA-384"],
    ["P-521", EC_SIGNATURES.p521Sha512, "SHA-512"],
  ];
  for (const [curve, der, hash] of table) {
    const key = privateKeyOf(curve).publicKey;
    const signature = parseDerSignature(curve, der);
    assert.equal(ecdsaVerify(noblePrimitives, key, message, signature, hash), true);
    assert.equal(ecdsaVerify(noblePrimitives, key, toUtf8("another message"), signature, hash), false);
    assert.equal(ecdsaVerify(noblePrimitives, key, message, signature.subarray(1), hash), false);
    assert.equal(ecdsaVerify(noblePrimitives, key, message, new Uint8Array(signature.length), hash), false);
    assert.equal(
      ecdsaVerify(noblePrimitives, generateEcPrivateKey(curve, counting()).publicKey, message, signature, hash),
      false,
    );
  }
});

Deno.test("ecdsaVerifyDigest() accepts a 32-byte digest signed as it is on P-384", () => {
  const key = privateKeyOf("P-384");
  const signature = parseDerSignature("P-384", EC_SIGNATURES.p384Digest);
  assert.equal(ecdsaVerifyDigest(noblePrimitives, key.publicKey, DIGEST, signature), true);
  assert.equal(ecdsaVerify(noblePrimitives, key.publicKey, DIGEST, signature), false, "it is not hashed again");
  assert.equal(ecdsaVerifyDigest(noblePrimitives, key.publicKey, DIGEST, ecdsaSignDigest(key, DIGEST)), true);
});

Deno.test("ecdsaVerify() accepts a signature with s and with -s", () => {
  const key = ecPrivateKey("P-256", fromHex(RFC_6979["P-256"].scalar));
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const [r, s] = RFC_6979["P-256"].sample;
  const other = (order - BigInt(`0x${s}`)).toString(16).padStart(64, "0");
  for (const half of [s, other]) {
    assert.equal(ecdsaVerify(noblePrimitives, key.publicKey, toUtf8("sample"), fromHex(r + half)), true);
  }
});

Deno.test("ecdsaVerify() asks the primitives it is given", () => {
  const key = privateKeyOf("P-256");
  const asked: unknown[] = [];
  const primitives = {
    ecdsaVerifyHashed: (...args: unknown[]) => {
      asked.push(args);
      return true;
    },
  };
  const signature = new Uint8Array(64);
  assert.equal(ecdsaVerifyDigest(primitives, key.publicKey, DIGEST, signature), true);
  assert.deepEqual(asked, [["P-256", key.publicKey.point, DIGEST, signature]]);
});

Deno.test("ecdsaSign() and ecdsaVerify() agree with node:crypto on every curve", () => {
  for (const curve of CURVES) {
    const key = privateKeyOf(curve);
    const nodeKey = createPrivateKey(EC_PRIVATE_KEYS[curve]);
    const hash = EC_CURVES[curve].hash.replace("-", "").toLowerCase();
    const ours = serialiseDerSignature(ecdsaSign(key, message));
    assert.equal(verify(hash, message, createPublicKey(EC_PUBLIC_KEYS[curve]), ours), true);
    const theirs = new Uint8Array(sign(hash, message, nodeKey));
    assert.equal(ecdsaVerify(noblePrimitives, key.publicKey, message, parseDerSignature(curve, theirs)), true);
  }
});

Deno.test("parseEcPublicKey() reads OpenSSL's SubjectPublicKeyInfo and keeps its bytes", () => {
  for (const [curve, length] of [["P-256", 91], ["P-384", 120], ["P-521", 158]] as const) {
    const spki = parsePemBlock(EC_PUBLIC_KEYS[curve], "PUBLIC KEY");
    const key = parseEcPublicKey(spki);
    assert.equal(key.curve, curve);
    assert.deepEqual(key.spki, spki);
    assert.equal(spki.length, length);
    assert.deepEqual(key, privateKeyOf(curve).publicKey);
  }
});

Deno.test("serialiseEcPrivateKey() writes the PKCS#8 that OpenSSL wrote", () => {
  for (const curve of CURVES) {
    assert.equal(serialisePem("PRIVATE KEY", serialiseEcPrivateKey(privateKeyOf(curve))), EC_PRIVATE_KEYS[curve]);
  }
});

Deno.test("EC key parsers refuse keys that are not one of ours, and say why", () => {
  const spki = parsePemBlock(EC_PUBLIC_KEYS["P-256"], "PUBLIC KEY");
  const offCurve = spki.slice();
  offCurve[90]! ^= 1;
  const compressed = concat(
    fromHex("3039301306072a8648ce3d020106082a8648ce3d030107032200"),
    fromHex("02"),
    spki.slice(27, 59),
  );
  const otherCurve = concat(spki.slice(0, 22), fromHex("0a"), spki.slice(23));
  const wrongAlgorithm = concat(spki.slice(0, 12), fromHex("02"), spki.slice(13));
  const table: [Uint8Array, string][] = [
    [offCurve, "Cannot read a public key: its point is not on P-256"],
    [compressed, "Cannot read a public key: its point is not an uncompressed one of P-256"],
    [otherCurve, "Cannot read an EC key: its curve 1.2.840.10045.3.1.10 is none of P-256, P-384 and P-521"],
    [wrongAlgorithm, "Cannot read an EC key: its algorithm is 1.2.840.10045.2.2"],
  ];
  for (const [der, message] of table) assert.throws(() => parseEcPublicKey(der), { name: "FormatError", message });

  const { scalar } = privateKeyOf("P-256");
  const order = fromHex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
  for (const bad of [new Uint8Array(32), order, scalar.subarray(1)]) {
    assert.throws(() => ecPrivateKey("P-256", bad), {
      message: `Cannot read a private key: ${bad.length} bytes are no scalar of P-256`,
    });
  }
  assert.throws(() => ecPublicKey("P-384", privateKeyOf("P-256").publicKey.point), {
    message: "Cannot read a public key: its point is not an uncompressed one of P-384",
  });
});

Deno.test("parseSec1PrivateKey() refuses a key that contradicts itself", () => {
  const pkcs8 = serialiseEcPrivateKey(privateKeyOf("P-256"));
  const wrongPublic = pkcs8.slice();
  wrongPublic[wrongPublic.length - 1]! ^= 1;
  assert.throws(() => parseEcPrivateKey(wrongPublic), {
    message: "Cannot read a private key: its public key belongs to another private key",
  });
  const sec1 = parsePemBlock(
    createPrivateKey(EC_PRIVATE_KEYS["P-256"]).export({ format: "pem", type: "sec1" }) as string,
    "EC PRIVATE KEY",
  );
  assert.deepEqual(parseSec1PrivateKey(sec1, "P-256"), privateKeyOf("P-256"));
  assert.throws(() => parseSec1PrivateKey(sec1, "P-384"), {
    message: "Cannot read a private key: it names both P-384 and P-256",
  });
});

Deno.test("generateEcPrivateKey() makes the same key of the same random bytes", () => {
  for (const curve of CURVES) {
    const key = generateEcPrivateKey(curve, counting());
    assert.deepEqual(generateEcPrivateKey(curve, counting()), key);
    assert.notDeepEqual(generateEcPrivateKey(curve, counting(7)), key);
    assert.equal(key.scalar.length, EC_CURVES[curve].widthBytes);
    assert.equal(ecdsaVerify(noblePrimitives, key.publicKey, message, ecdsaSign(key, message)), true);
  }
});

Deno.test("parseDerSignature() reads back what serialiseDerSignature() wrote", () => {
  fc.assert(fc.property(fc.constantFrom(...CURVES), fc.infiniteStream(fc.nat({ max: 255 })), (curve, stream) => {
    const signature = Uint8Array.from({ length: 2 * EC_CURVES[curve].widthBytes }, () => stream.next().value!);
    signature.fill(0, 0, signature[5]! % 4);
    assert.deepEqual(parseDerSignature(curve, serialiseDerSignature(signature)), signature);
  }));
});

Deno.test("parseDerSignature() refuses what is not strict DER", () => {
  const table: [hex: string, message: string][] = [
    ["3006020101020101ff", "Cannot read an ECDSA signature: 1 bytes are left over"],
    ["30070202000102 0101", "Cannot read an ECDSA signature: r is a padded INTEGER"],
    ["3006 0201ff 020101", "Cannot read an ECDSA signature: r is negative"],
    ["3003 020101", "Cannot read an ECDSA signature: s is missing"],
    ["3009 020101 020101 020101", "Cannot read an ECDSA signature: 3 bytes are left over"],
    [`3026 0221 01${"00".repeat(32)} 020101`, "Cannot read an ECDSA signature: r is too wide for P-256"],
  ];
  for (const [hex, message] of table) {
    const der = fromHex(hex.replaceAll(" ", ""));
    assert.throws(() => parseDerSignature("P-256", der), { name: "FormatError", message });
  }
});

Deno.test("EC decoders answer or throw FormatError on changed input, and answers are written back unchanged", () => {
  const spkis = CURVES.map((curve) => parsePemBlock(EC_PUBLIC_KEYS[curve], "PUBLIC KEY"));
  fuzzDecoder(mutated(...spkis), parseEcPublicKey, (key, spki) => assert.deepEqual(key.spki, spki), 300);
  const pkcs8s = CURVES.slice(0, 2).map((curve) => parsePemBlock(EC_PRIVATE_KEYS[curve], "PRIVATE KEY"));
  fuzzDecoder(mutated(...pkcs8s), parseEcPrivateKey, () => {}, 100);
  fuzzDecoder(
    mutated(EC_SIGNATURES.p384Sha384),
    (der) => parseDerSignature("P-384", der),
    (signature, der) => assert.deepEqual(serialiseDerSignature(signature), der),
  );
});

/** A source of bytes that everybody can predict. */
function counting(start = 0) {
  return (length: number) => Uint8Array.from({ length }, (_, i) => start + i + 1);
}
