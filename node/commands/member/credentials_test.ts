import { strict as assert } from "node:assert";
import { join } from "node:path";
import {
  CERTIFICATES,
  EC_PRIVATE_KEYS,
  ENCRYPTED_EC,
  PASSPHRASE,
  RSA_PRIVATE_KEY,
} from "../../../tests/openssl_fixtures.ts";
import { type EcPrivateKey, generateEcPrivateKey } from "../../../shared/crypto/ecdsa.ts";
import { memberIdOf } from "../../../shared/crypto/identifiers.ts";
import { parseEcPrivateKeyFile, serialisePrivateKeyFile } from "../../../shared/crypto/key_file.ts";
import { serialiseCertificatePem } from "../../../shared/crypto/x509.ts";
import { memberCertificate, randomSerial, signCertificate, validityOfDays } from "../../../shared/crypto/x509_build.ts";
import { nameFromText } from "../../../shared/crypto/x509_name.ts";
import { UsageError } from "../exit.ts";
import { readEncryptionKey, readIdentity, readSigningKey, subjectOf, validityWarning } from "./credentials.ts";

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const DAY_MS = 24 * 60 * 60 * 1000;
const START_MS = Date.parse("2026-01-01T00:00:00Z");
const nobody = () => Promise.resolve(undefined);

/** Files of one test. */
class Folder implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "quorate_member_" });

  file(name: string, content: string): string {
    const path = join(this.path, name);
    Deno.writeTextFileSync(path, content);
    return path;
  }

  /** A certificate of thirty days. */
  certificate(key: EcPrivateKey): { path: string; id: string } {
    const der = signCertificate(
      memberCertificate({
        key: key.publicKey,
        subject: nameFromText("CN=member7"),
        validity: validityOfDays(START_MS, 30),
        serial: randomSerial(random),
      }),
      key,
    );
    return { path: this.file("cert.pem", serialiseCertificatePem(der)), id: memberIdOf(der) };
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

Deno.test("readIdentity() says who a certificate's member is, and what to think of its dates", () => {
  using folder = new Folder();
  const { path, id } = folder.certificate(generateEcPrivateKey("P-521", random));
  const identity = readIdentity(path);
  assert.deepEqual([identity.memberId, identity.curve, subjectOf(identity.certificate)], [id, "P-521", "CN=member7"]);
  assert.equal(validityWarning(identity, START_MS + DAY_MS), undefined);
  assert.match(validityWarning(identity, START_MS - 1)!, /is valid from 2026-01-01T00:00:00Z on$/);
  assert.match(validityWarning(identity, START_MS + 31 * DAY_MS)!, /was valid until 2026-01-3\dT.*; services do not/);
});

Deno.test("readIdentity() refuses what is no certificate of a member", () => {
  using folder = new Folder();
  assert.throws(() => readIdentity(undefined), UsageError);
  assert.throws(() => readIdentity(join(folder.path, "none")), UsageError);
  assert.throws(() => readIdentity(folder.file("key.pem", EC_PRIVATE_KEYS["P-256"])), UsageError);
  const rsa = folder.file("rsa.pem", serialiseCertificatePem(CERTIFICATES.rsaSha384));
  assert.throws(() => readIdentity(rsa), { name: "UsageError", message: /its key is RSA/ });
});

Deno.test("readSigningKey() takes the certificate's key and no other", async () => {
  using folder = new Folder();
  const key = generateEcPrivateKey("P-384", random);
  const identity = readIdentity(folder.certificate(key).path);
  const path = folder.file("key.pem", serialisePrivateKeyFile(key));
  assert.deepEqual((await readSigningKey(path, undefined, identity, nobody)).scalar, key.scalar);
  const refused = async (path: string | undefined, message: RegExp) =>
    await assert.rejects(readSigningKey(path, undefined, identity, nobody), { name: "UsageError", message });
  await refused(undefined, /give --key FILE/);
  await refused(folder.file("other.pem", EC_PRIVATE_KEYS["P-384"]), /it is not the key of the certificate/);
  await refused(folder.file("rsa.pem", RSA_PRIVATE_KEY), /holds an RSA key.*give the one for signing/);
  await refused(folder.file("none.pem", "x"), /there is no private key in it/);
});

Deno.test("readSigningKey() asks for a passphrase, or reads it from a file, and never shows it", async () => {
  using folder = new Folder();
  const identity = readIdentity(folder.certificate(parseEcPrivateKeyFile(ENCRYPTED_EC, PASSPHRASE)).path);
  const path = folder.file("key.pem", ENCRYPTED_EC);
  const asked: string[] = [];
  const answering = (answer: string | undefined) => (question: string) => {
    asked.push(question);
    return Promise.resolve(answer);
  };
  await readSigningKey(path, undefined, identity, answering(PASSPHRASE));
  assert.deepEqual(asked, [`Passphrase of ${path}: `]);
  for (const end of ["", "\n", "\r\n"]) {
    await readSigningKey(path, folder.file("pass", PASSPHRASE + end), identity, answering("not asked"));
  }
  assert.equal(asked.length, 1);
  await assert.rejects(readSigningKey(path, undefined, identity, nobody), {
    name: "UsageError",
    message: /there is no terminal to ask at; give its passphrase with --passphrase-file/,
  });
  await assert.rejects(readSigningKey(path, undefined, identity, answering("wrong horse")), (error: Error) => {
    assert(error instanceof UsageError);
    assert.match(error.message, /the passphrase is wrong/);
    assert(!error.message.includes("wrong horse"));
    return true;
  });
});

Deno.test("readEncryptionKey() takes an RSA key, and names the right file where it is given the other", async () => {
  using folder = new Folder();
  const key = await readEncryptionKey(folder.file("enc.pem", RSA_PRIVATE_KEY), undefined, nobody);
  assert.equal(key.kind, "RSA");
  await assert.rejects(readEncryptionKey(folder.file("sign.pem", EC_PRIVATE_KEYS["P-256"]), undefined, nobody), {
    name: "UsageError",
    message: /holds an EC key.*give the one for encryption/,
  });
});
