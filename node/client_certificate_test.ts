import { strict as assert } from "node:assert";
import { ecdsaSign, type EcPrivateKey, generateEcPrivateKey, serialiseDerSignature } from "../shared/crypto/ecdsa.ts";
import { contextTag, readDer, TAG, writeDer, writeSequence, writeUnsigned } from "../shared/crypto/der.ts";
import { serialisePrivateKeyFile } from "../shared/crypto/key_file.ts";
import {
  memberCertificate,
  randomSerial,
  toBeSigned,
  validityOfDays,
  withSignature,
} from "../shared/crypto/x509_build.ts";
import { nameFromText } from "../shared/crypto/x509_name.ts";
import { isPossessionChecked } from "./client_certificate.ts";
import { derOf, echoing, listenTls, selfSigned } from "./listener_fixtures.ts";
import { impersonate } from "./tls_impostor.ts";

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const victim = generateEcPrivateKey("P-384", random);
const thief = generateEcPrivateKey("P-384", random);

/** The victim's certificate, its fields changed as bytes. Its signature is good. */
function certificate(change: (fields: Uint8Array[]) => Uint8Array[], key: EcPrivateKey = victim): Uint8Array {
  const reader = readDer(
    toBeSigned(memberCertificate({
      key: key.publicKey,
      subject: nameFromText("CN=victim"),
      validity: validityOfDays(Date.now(), 1),
      serial: randomSerial(random),
    })),
    "a certificate",
  );
  const fields: Uint8Array[] = [];
  while (reader.peek() !== undefined) fields.push(reader.any("a field"));
  const tbs = writeSequence(...change(fields));
  const signature = serialiseDerSignature(ecdsaSign(key, tbs));
  if (tbs[2] === fields[0]![0]) return withSignature(tbs, signature);
  return writeSequence(tbs, fields[2]!, writeDer(TAG.bitString, Uint8Array.of(0), signature));
}

const asItIs = (fields: Uint8Array[]) => fields;
/** Version 1 is written by leaving the version out. */
const version1 = (fields: Uint8Array[]) => fields.slice(1);
const withUniqueId = (fields: Uint8Array[]) => [...fields, writeDer(contextTag(1, "primitive"), Uint8Array.of(0, 1))];
const version2 = (fields: Uint8Array[]) => [
  writeDer(contextTag(0, "constructed"), writeUnsigned(1)),
  ...fields.slice(1),
];

Deno.test("isPossessionChecked() trusts certificates of version 3 in good form, of any key that TLS knows", () => {
  assert.ok(isPossessionChecked(certificate(asItIs)));
  assert.ok(isPossessionChecked(derOf(selfSigned("node"))));
  for (const curve of ["P-256", "P-384", "P-521"] as const) {
    assert.ok(isPossessionChecked(derOf(selfSigned("client", { curve }))));
  }
  // Again, from memory.
  const der = certificate(asItIs);
  assert.equal(isPossessionChecked(der), isPossessionChecked(der));
});

Deno.test("isPossessionChecked() trusts no certificate that the runtime does not check", () => {
  assert.ok(!isPossessionChecked(certificate(version1)));
  assert.ok(!isPossessionChecked(certificate(withUniqueId)));
  assert.ok(!isPossessionChecked(certificate(version2)));
  const good = certificate(asItIs);
  assert.ok(!isPossessionChecked(good.subarray(0, good.length - 1)));
  assert.ok(!isPossessionChecked(Uint8Array.of(...good, 0)));
  assert.ok(!isPossessionChecked(new Uint8Array()));
  assert.ok(!isPossessionChecked(new Uint8Array(100_000)));
});

Deno.test("isPossessionChecked() remembers a limited number of certificates, the right answer for each", () => {
  const good = certificate(asItIs);
  const bad = certificate(version1);
  for (let i = 0; i < 1500; i++) assert.ok(!isPossessionChecked(Uint8Array.of(i >> 8, i & 255)));
  assert.ok(isPossessionChecked(good));
  assert.ok(!isPossessionChecked(bad));
});

Deno.test("TlsListener believes no certificate whose key the client may not have", async () => {
  const sink = echoing();
  const errors: string[] = [];
  const listener = await listenTls(sink, { onConnectionError: (message) => errors.push(message) });
  const show = async (shown: Uint8Array, key: EcPrivateKey) => {
    const before = sink.opened.length;
    const verdict = await impersonate(listener.port, shown, serialisePrivateKeyFile(key));
    const session = sink.opened[before];
    return verdict === "refused" ? "refused" : session?.callerCertificate === null ? "nobody" : "believed";
  };
  try {
    assert.equal(await show(certificate(asItIs), victim), "believed");
    assert.equal(await show(certificate(asItIs), thief), "refused");
    for (const change of [version1, version2, withUniqueId]) {
      for (const key of [victim, thief]) assert.notEqual(await show(certificate(change), key), "believed");
    }
    // This is what makes the check necessary. Once a later Deno refuses it, the check can go.
    assert.equal(await show(certificate(version1), thief), "nobody");
    assert.ok(errors.includes(
      "A client's certificate is ignored: the runtime does not check that the client has its key. Use one of X.509 version 3",
    ));
  } finally {
    await listener.stop();
  }
});
