import { strict as assert } from "node:assert";
import { createPublicKey, publicEncrypt, verify, X509Certificate } from "node:crypto";
import { fromBase64, toUtf8 } from "../../shared/bytes.ts";
import { memberIdOf } from "../../shared/crypto/identifiers.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { isSignedBy, parseCertificatePem, publicKeyOf } from "../../shared/crypto/x509.ts";
import { nameToText } from "../../shared/crypto/x509_name.ts";
import { MAX_BROWSER_KEYS, MAX_KEY_USES } from "../../shared/limits.ts";
import { CERTIFICATES } from "../../tests/openssl_fixtures.ts";
import { serialiseCertificatePem } from "../../shared/crypto/x509.ts";
import { ProblemError } from "../problem.ts";
import {
  type BrowserKey,
  browserSigner,
  keepStorage,
  type KeyStore,
  keyWarnings,
  offerKeys,
  openShareWith,
  publicFiles,
} from "./key_store.ts";
import { memoryRecords } from "./memory_records.ts";

const NOW = Date.parse("2026-11-24T20:00:00.500Z");

function store(): KeyStore {
  const offer = offerKeys("relay", memoryRecords());
  assert(offer.offered);
  return offer.keys;
}

const refuses = (code: string) => (error: unknown) => error instanceof ProblemError && error.problem.code === code;

Deno.test("offerKeys() offers none to a page from disk, and says why", () => {
  const offer = offerKeys("file", memoryRecords());
  assert(!offer.offered);
  assert.equal(offer.problem.code, "KeysNotFromDisk");
  assert.match(offer.problem.why, /every other local page could use a key/);
  for (const origin of ["relay", "served", "host"] as const) assert(offerKeys(origin, memoryRecords()).offered);
});

Deno.test("KeyStore.create() makes keys that cannot be exported, with certificates that OpenSSL verifies", async () => {
  const keys = store();
  for (const curve of ["P-384", "P-256"] as const) {
    const name = `Müller, "A&B" + Co = 1 #\\ ${curve}`;
    const key = await keys.create({ name, curve, validityDays: 30 }, NOW);
    assert.equal(key.signingKey.extractable, false);
    await assert.rejects(crypto.subtle.exportKey("pkcs8", key.signingKey));

    const certificate = parseCertificatePem(key.certificatePem);
    assert(isSignedBy(noblePrimitives, certificate, publicKeyOf(certificate)));
    assert.equal(certificate.extensions.length, 0);
    assert.equal(new Date(certificate.notBeforeMs).toISOString(), "2026-11-24T20:00:00.000Z");
    assert.equal(new Date(certificate.notAfterMs).toISOString(), "2026-12-24T19:59:59.000Z");
    assert.equal(key.memberId, memberIdOf(certificate.der));

    const theirs = new X509Certificate(key.certificatePem);
    assert.equal(theirs.subject, `CN=${name}`);
    const file = await Deno.makeTempFile({ suffix: ".pem" });
    await Deno.writeTextFile(file, key.certificatePem);
    const args = ["verify", "-check_ss_sig", "-attime", String(NOW / 1000 | 0), "-trusted", file, file];
    assert((await new Deno.Command("openssl", { args }).output()).success);
    await Deno.remove(file);

    const signature = await browserSigner(key).sign(toUtf8("something"));
    const hash = curve === "P-384" ? "sha384" : "sha256";
    assert(verify(hash, toUtf8("something"), { key: theirs.publicKey, dsaEncoding: "ieee-p1363" }, signature));
  }
  assert.equal((await keys.list()).length, 2);
});

Deno.test("an encryption key opens what was encrypted to it with OAEP and SHA-256, and nothing else", async () => {
  const keys = store();
  const key = await keys.create({ name: "alice", encryption: true }, NOW);
  assert.equal(key.encryption!.key.extractable, false);
  const publicKey = createPublicKey(key.encryption!.publicKeyPem);
  assert.equal(publicKey.asymmetricKeyDetails!.modulusLength, 2048);
  const share = new Uint8Array(44).fill(3);
  const encrypted = new Uint8Array(publicEncrypt({ key: publicKey, oaepHash: "sha256" }, share));
  assert.deepEqual(await openShareWith(key, encrypted), share);
  assert.equal(await openShareWith(key, encrypted.fill(0)), undefined);
  assert.equal(await openShareWith(await keys.create({ name: "bob" }, NOW), encrypted), undefined);
  assert.deepEqual(publicFiles(key).map(({ name }) => name), ["alice_cert.pem", "alice_enc_pubk.pem"]);
  assert(publicFiles(key).every(({ text }) => !text.includes("PRIVATE")));
});

Deno.test("KeyStore.create() refuses names that no certificate can have, and more keys than are kept", async () => {
  const keys = store();
  for (const name of ["", "  ", "x".repeat(65), "\ud800"]) {
    await assert.rejects(keys.create({ name }, NOW), refuses("InvalidKeyName"));
  }
  for (let i = 0; i < MAX_BROWSER_KEYS; i++) await keys.create({ name: `key ${i}`, curve: "P-256" }, NOW);
  await assert.rejects(keys.create({ name: "one more" }, NOW), refuses("TooManyKeys"));
  assert.equal((await keys.list()).length, MAX_BROWSER_KEYS);
});

Deno.test("a key remembers what it was used for, and a transaction that became known later", async () => {
  const keys = store();
  const { id } = await keys.create({ name: "alice" }, NOW);
  const use = { what: "A ballot", atMs: NOW, service: "ab" };
  await keys.recordUse(id, use);
  await keys.recordUse(id, { ...use, txId: "2.7" });
  assert.deepEqual((await keys.get(id))!.uses, [{ ...use, txId: "2.7" }]);
  for (let i = 1; i <= MAX_KEY_USES; i++) await keys.recordUse(id, { ...use, atMs: NOW + i });
  const { uses, usesLeftOut } = (await keys.get(id))!;
  assert.deepEqual([uses.length, usesLeftOut, uses.at(-1)!.atMs], [MAX_KEY_USES, 1, NOW + MAX_KEY_USES]);
});

Deno.test("another certificate is taken over for the same key only", async () => {
  const keys = store();
  const [alice, bob] = [await keys.create({ name: "alice" }, NOW), await keys.create({ name: "bob" }, NOW)];
  await assert.rejects(keys.replaceCertificate(alice.id, bob.certificatePem), refuses("CertificateOfAnotherKey"));
  const rsa = serialiseCertificatePem(CERTIFICATES.rsaSha384);
  await assert.rejects(keys.replaceCertificate(alice.id, rsa), refuses("CertificateUnusable"));
  await assert.rejects(keys.replaceCertificate(alice.id, "no"), refuses("CertificateUnusable"));
  const same = await keys.replaceCertificate(alice.id, alice.certificatePem);
  assert.equal(same.memberId, alice.memberId);
});

Deno.test("a key that was wiped is gone, and using it says so", async () => {
  const keys = store();
  const { id, certificatePem } = await keys.create({ name: "alice" }, NOW);
  await keys.wipe(id);
  assert.equal(await keys.get(id), undefined);
  await assert.rejects(keys.recordUse(id, { what: "x", atMs: NOW }), refuses("KeyGone"));
  await assert.rejects(keys.replaceCertificate(id, certificatePem), refuses("KeyGone"));
  await keys.create({ name: "bob" }, NOW);
  await keys.wipeAll();
  assert.deepEqual(await keys.list(), []);
});

Deno.test("keyWarnings() says what threatens keys, by where the page came from and what the browser promises", async () => {
  const storage = (persisted: boolean) => ({ persisted: () => Promise.resolve(persisted) });
  const codes = async (...args: Parameters<typeof keyWarnings>) => (await keyWarnings(...args)).map(({ code }) => code);
  assert.deepEqual(await codes("relay", storage(true)), ["PrivateWindow"]);
  assert.deepEqual(await codes("relay", storage(false)), ["KeysMayBeEvicted", "PrivateWindow"]);
  assert.deepEqual(await codes("served", undefined), ["PageFromElsewhere", "KeysMayBeEvicted", "PrivateWindow"]);
  assert.equal(await keepStorage({ persist: () => Promise.resolve(true) }), true);
  assert.equal(await keepStorage(undefined), false);
});

Deno.test("what is kept of a key is no secret, but for keys that cannot be read", async () => {
  const records = memoryRecords<BrowserKey>();
  const offer = offerKeys("relay", records);
  assert(offer.offered);
  const { id } = await offer.keys.create({ name: "alice", encryption: true }, NOW);
  const { signingKey, encryption, ...rest } = (await records.get(id))!;
  assert.deepEqual([signingKey.extractable, encryption!.key.extractable], [false, false]);
  assert(fromBase64(rest.certificatePem.replace(/-----.*?-----|\s/g, "")).length < 500, "nothing but a certificate");
  assert.deepEqual(Object.keys(rest).sort(), [
    "certificatePem",
    "createdAtMs",
    "curve",
    "id",
    "memberId",
    "name",
    "uses",
    "usesLeftOut",
  ]);
  assert.equal(nameToText(parseCertificatePem(rest.certificatePem).subject), "CN=alice");
});
