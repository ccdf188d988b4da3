import { strict as assert } from "node:assert";
import { createPublicKey, publicEncrypt } from "node:crypto";
import { toUtf8 } from "../../shared/bytes.ts";
import { ecdsaVerify, generateEcPrivateKey } from "../../shared/crypto/ecdsa.ts";
import { parseEcPrivateKeyFile, serialisePrivateKeyFile } from "../../shared/crypto/key_file.ts";
import { parsePemBlock, serialisePem } from "../../shared/crypto/pem.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { serialiseCertificatePem } from "../../shared/crypto/x509.ts";
import { memberCertificate, randomSerial, signCertificate, validityOfDays } from "../../shared/crypto/x509_build.ts";
import { nameFromText } from "../../shared/crypto/x509_name.ts";
import { MAX_KEY_FILE_CHARACTERS } from "../../shared/limits.ts";
import {
  CERTIFICATES,
  EC_PRIVATE_KEYS,
  ENCRYPTED_EC,
  ENCRYPTED_OTHERWISE,
  PASSPHRASE,
  RSA_PRIVATE_KEY,
  SEC1_WITH_PARAMETERS,
} from "../../tests/openssl_fixtures.ts";
import { ProblemError } from "../problem.ts";
import { keyFileSigner, membersWithKey, openKeyFile, type SigningFile } from "./key_file.ts";

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const MESSAGE = toUtf8("what is signed");
const refuses = (code: string) => (error: unknown) => error instanceof ProblemError && error.problem.code === code;

function certificateOf(text: string, passphrase?: string): string {
  const key = parseEcPrivateKeyFile(text, passphrase);
  const fields = memberCertificate({
    key: key.publicKey,
    subject: nameFromText("CN=member"),
    validity: validityOfDays(0, 30),
    serial: randomSerial(random),
  });
  return serialiseCertificatePem(signCertificate(fields, key));
}

async function signing(text: string, passphrase?: string): Promise<SigningFile> {
  const opened = await openKeyFile(text, passphrase);
  assert.equal(opened.kind, "signing");
  assert(opened.kind === "signing");
  return opened.file;
}

Deno.test("openKeyFile() takes every form of a signing key, and what it signs verifies", async () => {
  for (const text of [...Object.values(EC_PRIVATE_KEYS), SEC1_WITH_PARAMETERS, ENCRYPTED_EC]) {
    const file = await signing(text, PASSPHRASE);
    const signature = await file.sign(MESSAGE);
    assert(ecdsaVerify(noblePrimitives, file.publicKey, MESSAGE, signature));
    file.forget();
    await assert.rejects(file.sign(MESSAGE), refuses("KeyFileForgotten"));
  }
});

Deno.test("openKeyFile() tells no passphrase, a wrong one, and a damaged file apart", async () => {
  assert.equal((await openKeyFile(ENCRYPTED_EC)).kind, "passphrase needed");
  for (const wrong of ["", "correct", "wrong horse"]) {
    const opened = await openKeyFile(ENCRYPTED_EC, wrong);
    assert.equal(opened.kind, "wrong passphrase");
    assert(wrong === "" || !JSON.stringify(opened).includes(wrong));
  }
  const der = parsePemBlock(ENCRYPTED_EC, "ENCRYPTED PRIVATE KEY");
  der[der.length - 1]! ^= 1;
  const damaged = await openKeyFile(serialisePem("ENCRYPTED PRIVATE KEY", der), PASSPHRASE);
  assert(damaged.kind === "unusable" && damaged.problem.why.includes("passphrase is right, and the file is damaged"));
  for (
    const text of [
      "",
      "-----BEGIN PRIVATE KEY-----",
      ENCRYPTED_OTHERWISE.scrypt,
      "x".repeat(MAX_KEY_FILE_CHARACTERS + 1),
    ]
  ) {
    const opened = await openKeyFile(text, PASSPHRASE);
    assert(opened.kind === "unusable" && opened.problem.code === "KeyFileUnusable", text.slice(0, 40));
  }
});

Deno.test("openKeyFile() says so where the browser does not take the key", async () => {
  const { importKey } = crypto.subtle;
  crypto.subtle.importKey = () => Promise.reject(new DOMException("No", "DataError"));
  try {
    for (const text of [RSA_PRIVATE_KEY, EC_PRIVATE_KEYS["P-384"]]) {
      const opened = await openKeyFile(text);
      assert(opened.kind === "unusable" && opened.problem.why.includes("DataError"));
    }
  } finally {
    crypto.subtle.importKey = importKey;
  }
});

Deno.test("openKeyFile() takes the key for recovery shares too, and opens shares with it", async () => {
  const opened = await openKeyFile(RSA_PRIVATE_KEY);
  assert(opened.kind === "encryption");
  const key = createPublicKey(RSA_PRIVATE_KEY);
  const encrypted = new Uint8Array(publicEncrypt({ key, oaepHash: "sha256" }, MESSAGE));
  assert.deepEqual(await opened.file.open(encrypted), MESSAGE);
  encrypted[5]! ^= 1;
  assert.equal(await opened.file.open(encrypted), undefined);
  opened.file.forget();
  await assert.rejects(opened.file.open(encrypted), refuses("KeyFileForgotten"));
});

Deno.test("membersWithKey() finds whose key it is by the public key alone", async () => {
  const others = [serialisePrivateKeyFile(generateEcPrivateKey("P-384", random)), EC_PRIVATE_KEYS["P-256"]];
  const members = [
    { name: "someone", certificatePem: certificateOf(others[0]!) },
    { name: "unreadable", certificatePem: "no certificate" },
    { name: "rsa", certificatePem: serialiseCertificatePem(CERTIFICATES.rsaSha384) },
    { name: "me", certificatePem: certificateOf(EC_PRIVATE_KEYS["P-384"]) },
  ];
  const { publicKey } = await signing(EC_PRIVATE_KEYS["P-384"]);
  assert.deepEqual(membersWithKey(publicKey, members).map(({ name }) => name), ["me"]);
  assert.deepEqual(membersWithKey((await signing(others[1]!)).publicKey, members), []);
});

Deno.test("keyFileSigner() signs with the certificate's own key, and once where it is to", async () => {
  const certificatePem = certificateOf(EC_PRIVATE_KEYS["P-384"]);
  const file = await signing(EC_PRIVATE_KEYS["P-384"]);
  assert.throws(
    () => keyFileSigner(file, certificateOf(EC_PRIVATE_KEYS["P-256"]), { once: false }),
    refuses("WrongKey"),
  );
  const often = keyFileSigner(file, certificatePem, { once: false });
  await often.sign(MESSAGE);
  await often.sign(MESSAGE);
  const once = keyFileSigner(file, certificatePem, { once: true });
  assert(ecdsaVerify(noblePrimitives, file.publicKey, MESSAGE, await once.sign(MESSAGE)));
  await assert.rejects(once.sign(MESSAGE), refuses("KeyFileForgotten"));
});
