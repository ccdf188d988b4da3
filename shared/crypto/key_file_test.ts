import { strict as assert } from "node:assert";
import { createPrivateKey } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { cbc } from "@noble/ciphers/aes.js";
import { pbkdf2 } from "@noble/hashes/pbkdf2.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { toUtf8 } from "../bytes.ts";
import {
  CERTIFICATES,
  EC_PRIVATE_KEYS,
  EC_PUBLIC_KEYS,
  ED25519_PRIVATE_KEY,
  ENCRYPTED_EC,
  ENCRYPTED_OTHERWISE,
  PASSPHRASE,
  RSA_ENCRYPTED_OLD,
  RSA_PRIVATE_KEY,
  SEC1_WITH_PARAMETERS,
  SEC1_WITHOUT_PUBLIC_KEY,
} from "../../tests/openssl_fixtures.ts";
import { fuzzDecoder, mutated, mutatedText } from "../../tests/mutations.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { MAX_PBKDF2_ITERATIONS } from "../limits.ts";
import { writeNull, writeOctetString, writeOid, writeSequence, writeUnsigned } from "./der.ts";
import { ecdsaSign, ecdsaVerify } from "./ecdsa.ts";
import {
  decryptPrivateKeyInfo,
  parseEcPrivateKeyFile,
  parsePrivateKey,
  parsePrivateKeyFile,
  parseRsaPrivateKeyFile,
  serialisePrivateKeyFile,
  WrongPassphrase,
} from "./key_file.ts";
import { parsePemBlock, serialisePem } from "./pem.ts";
import { noblePrimitives } from "./primitives.ts";
import { parseCertificatePem, publicKeyOf } from "./x509.ts";

Deno.test("parsePrivateKeyFile() reads every form that OpenSSL writes of one key", () => {
  for (const curve of ["P-256", "P-384", "P-521"] as const) {
    const key = parsePrivateKeyFile(EC_PRIVATE_KEYS[curve]);
    assert.ok(key.kind === "EC");
    assert.equal(key.curve, curve);
    assert.deepEqual(key.publicKey.spki, parsePemBlock(EC_PUBLIC_KEYS[curve], "PUBLIC KEY"));
    assert.equal(serialisePrivateKeyFile(key), EC_PRIVATE_KEYS[curve]);
  }
  const key = parsePrivateKeyFile(EC_PRIVATE_KEYS["P-384"]);
  assert.deepEqual(parsePrivateKeyFile(ENCRYPTED_EC, PASSPHRASE), key);
  assert.deepEqual(parsePrivateKeyFile(SEC1_WITHOUT_PUBLIC_KEY), key);
  assert.equal(parsePrivateKeyFile(SEC1_WITH_PARAMETERS).kind, "EC");

  const rsa = parsePrivateKeyFile(RSA_PRIVATE_KEY);
  assert.equal(rsa.kind, "RSA");
  const pkcs1 = createPrivateKey(RSA_PRIVATE_KEY).export({ format: "pem", type: "pkcs1" }) as string;
  assert.match(pkcs1, /^-----BEGIN RSA PRIVATE KEY-----/);
  assert.deepEqual(parsePrivateKeyFile(pkcs1), rsa);
});

Deno.test("parsePrivateKeyFile() opens what node:crypto encrypted, with a passphrase in any script", () => {
  const passphrase = "Zürich 🔑";
  const encrypted = createPrivateKey(RSA_PRIVATE_KEY).export({
    format: "pem",
    type: "pkcs8",
    cipher: "aes-256-cbc",
    passphrase,
  }) as string;
  assert.deepEqual(parsePrivateKeyFile(encrypted, passphrase), parsePrivateKeyFile(RSA_PRIVATE_KEY));
});

Deno.test("parsePrivateKeyFile() passes over certificates and ignores a passphrase that is not needed", () => {
  const text = serialisePem("CERTIFICATE", CERTIFICATES.many) + EC_PRIVATE_KEYS["P-256"];
  assert.equal(parsePrivateKeyFile(text, "whatever").kind, "EC");
});

Deno.test("parsePrivateKeyFile() says what is wrong with a file, and never what is in it", () => {
  const rewrite = 'is not supported; rewrite it with "openssl pkcs8 -topk8 -v2 aes-256-cbc"';
  const table: [text: string, passphrase: string | undefined, message: string][] = [
    ["", undefined, "Cannot read a private key file: there is no private key in it"],
    [EC_PUBLIC_KEYS["P-256"], undefined, "Cannot read a private key file: there is no private key in it"],
    [
      EC_PRIVATE_KEYS["P-256"] + RSA_PRIVATE_KEY,
      undefined,
      "Cannot read a private key file: there are several private keys in it",
    ],
    [ENCRYPTED_EC, undefined, "Cannot read a private key: it is encrypted; give its passphrase"],
    [ENCRYPTED_EC, "", "Cannot decrypt a private key: the passphrase is wrong, or the file is damaged"],
    [ENCRYPTED_EC, "correct horsf", "Cannot decrypt a private key: the passphrase is wrong, or the file is damaged"],
    [
      ENCRYPTED_OTHERWISE.aes128,
      PASSPHRASE,
      `Cannot decrypt a private key: its cipher 2.16.840.1.101.3.4.1.2 ${rewrite}`,
    ],
    [
      ENCRYPTED_OTHERWISE.scrypt,
      PASSPHRASE,
      `Cannot decrypt a private key: its key derivation 1.3.6.1.4.1.11591.4.11 ${rewrite}`,
    ],
    [
      ENCRYPTED_OTHERWISE.hmacSha1,
      undefined,
      `Cannot decrypt a private key: its pseudo-random function HMAC-SHA1 ${rewrite}`,
    ],
    [
      ENCRYPTED_OTHERWISE.pbes1,
      PASSPHRASE,
      `Cannot decrypt a private key: its scheme 1.2.840.113549.1.12.1.3 ${rewrite}`,
    ],
    [
      RSA_ENCRYPTED_OLD,
      PASSPHRASE,
      "Cannot read PEM: RSA PRIVATE KEY has header lines, as old encrypted keys have; " +
      'rewrite it with "openssl pkcs8 -topk8"',
    ],
    [ED25519_PRIVATE_KEY, undefined, "Cannot read a private key: its algorithm 1.3.101.112 is neither EC nor RSA"],
    [
      ED25519_PRIVATE_KEY.replaceAll("PRIVATE KEY", "OPENSSH PRIVATE KEY"),
      undefined,
      "Cannot read a private key file: keys of the form OPENSSH PRIVATE KEY are not known",
    ],
  ];
  for (const [text, passphrase, message] of table) {
    assert.throws(() => parsePrivateKeyFile(text, passphrase), { name: "FormatError", message });
  }
});

Deno.test("a wrong passphrase is called wrong also where the padding comes out right by chance", () => {
  const der = parsePemBlock(ENCRYPTED_EC, "ENCRYPTED PRIVATE KEY");
  // "guess 81" is the first of its kind whose padding is right; so the DER inside has to give it away.
  const key = pbkdf2(sha256, "guess 81", der.slice(36, 44), { c: 2048, dkLen: 32 });
  assert.notEqual(cbc(key, der.slice(77, 93)).decrypt(der.slice(96)).length, 0);
  assert.throws(() => decryptPrivateKeyInfo(der, "guess 81"), {
    name: "FormatError",
    message: "Cannot decrypt a private key: the passphrase is wrong, or the file is damaged",
  });
});

Deno.test("decryptPrivateKeyInfo() refuses parameters that would take for ever or do not fit AES-256", () => {
  const encrypted = (iterations: number, ivBytes: number, ...more: Uint8Array[]) =>
    writeSequence(
      writeSequence(
        writeOid("1.2.840.113549.1.5.13"),
        writeSequence(
          writeSequence(
            writeOid("1.2.840.113549.1.5.12"),
            writeSequence(
              writeOctetString(new Uint8Array(8)),
              writeUnsigned(iterations),
              ...more,
              writeSequence(writeOid("1.2.840.113549.2.9"), writeNull()),
            ),
          ),
          writeSequence(writeOid("2.16.840.1.101.3.4.1.42"), writeOctetString(new Uint8Array(ivBytes))),
        ),
      ),
      writeOctetString(new Uint8Array(16)),
    );
  const table: [Uint8Array, string][] = [
    [encrypted(0, 16), `its iteration count 0 is not from 1 to ${MAX_PBKDF2_ITERATIONS}`],
    [encrypted(2_000_001, 16), `its iteration count 2000001 is not from 1 to ${MAX_PBKDF2_ITERATIONS}`],
    [encrypted(1, 12), "its IV has 12 bytes and not 16"],
    [encrypted(1, 16, writeUnsigned(16)), "its key length 16 is not that of AES-256"],
  ];
  for (const [der, problem] of table) {
    assert.throws(() => decryptPrivateKeyInfo(der, ""), {
      message: `Cannot read an encrypted private key: ${problem}`,
    });
  }
  assert.throws(() => decryptPrivateKeyInfo(encrypted(1, 16, writeUnsigned(32)), ""), {
    message: "Cannot decrypt a private key: the passphrase is wrong, or the file is damaged",
  });
});

Deno.test("a wrong passphrase is told apart from a damaged file", () => {
  const der = parsePemBlock(ENCRYPTED_EC, "ENCRYPTED PRIVATE KEY");
  const changed = (at: number) => der.map((byte, i) => i === at ? byte ^ 1 : byte);
  const damaged = { message: "Cannot decrypt a private key: the passphrase is right, and the file is damaged" };
  // The last block but one decides over the padding; the last one becomes noise.
  assert.throws(() => decryptPrivateKeyInfo(changed(der.length - 17), PASSPHRASE), damaged);
  assert.throws(() => decryptPrivateKeyInfo(changed(der.length - 1), PASSPHRASE), damaged);
  for (const passphrase of ["", "correct", "Correct horse", ...Array.from({ length: 300 }, (_, i) => `wrong ${i}`)]) {
    assert.throws(() => decryptPrivateKeyInfo(der, passphrase), (error) => error instanceof WrongPassphrase);
  }
});

Deno.test("parseEcPrivateKeyFile() and parseRsaPrivateKeyFile() want their own kind", () => {
  assert.equal(parseEcPrivateKeyFile(EC_PRIVATE_KEYS["P-256"]).kind, "EC");
  assert.equal(parseRsaPrivateKeyFile(RSA_PRIVATE_KEY).kind, "RSA");
  assert.throws(() => parseEcPrivateKeyFile(RSA_PRIVATE_KEY), {
    message: "Cannot use a private key file: it holds an RSA key, expected an EC key",
  });
  assert.throws(() => parseRsaPrivateKeyFile(EC_PRIVATE_KEYS["P-256"]), {
    message: "Cannot use a private key file: it holds an EC key, expected an RSA key",
  });
});

Deno.test("private key decoders answer or throw FormatError on changed input", () => {
  const files = [EC_PRIVATE_KEYS["P-256"], SEC1_WITH_PARAMETERS, RSA_PRIVATE_KEY, RSA_ENCRYPTED_OLD];
  fuzzDecoder(mutatedText(...files), (text) => parsePrivateKeyFile(text), () => {}, 200);
  const pkcs8s = [parsePemBlock(ED25519_PRIVATE_KEY, "PRIVATE KEY"), parsePemBlock(RSA_PRIVATE_KEY, "PRIVATE KEY")];
  fuzzDecoder(mutated(...pkcs8s), parsePrivateKey, () => {}, 200);
  // Without a passphrase everything but the decryption itself runs.
  const blocks = [ENCRYPTED_EC, ...Object.values(ENCRYPTED_OTHERWISE)].map((text) =>
    parsePemBlock(text, "ENCRYPTED PRIVATE KEY")
  );
  fuzzDecoder(mutated(...blocks), (der) => decryptPrivateKeyInfo(der, undefined), () => assert.fail("it was opened"));
});

teamTest("parsePrivateKeyFile() reads the keys of real services, and the EC ones belong to their certificates", () => {
  let pairs = 0;
  let rewritten = 0;
  let rsa = 0;
  for (const service of readdirSync(teamData("ccf/testdata"), { withFileTypes: true })) {
    if (!service.isDirectory()) continue;
    const folder = teamData(`ccf/testdata/${service.name}/common`);
    for (const file of readdirSync(folder).filter((name) => name.endsWith("_privk.pem"))) {
      const text = readFileSync(`${folder}/${file}`, "utf8");
      const key = parsePrivateKeyFile(text);
      if (key.kind === "RSA") {
        rsa++;
        continue;
      }
      if (file.includes("_enc_")) continue;
      const certificate = parseCertificatePem(readFileSync(`${folder}/${file.replace("_privk", "_cert")}`, "utf8"));
      const publicKey = publicKeyOf(certificate);
      assert.ok(publicKey.kind === "EC");
      assert.equal(ecdsaVerify(noblePrimitives, publicKey, toUtf8(file), ecdsaSign(key, toUtf8(file))), true);
      pairs++;
      if (text.startsWith("-----BEGIN PRIVATE KEY-----")) {
        assert.equal(serialisePrivateKeyFile(key), text);
        rewritten++;
      }
    }
  }
  assert.ok(pairs > 30 && rewritten > 20 && rsa > 10, `${pairs} pairs, ${rewritten} rewritten, ${rsa} RSA keys`);
});
