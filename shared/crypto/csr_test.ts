import { strict as assert } from "node:assert";
import { concat, fromHex, toHex } from "../bytes.ts";
import { CERTIFICATES, EC_PRIVATE_KEYS, REQUEST_IN_LATIN1 } from "../../tests/openssl_fixtures.ts";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { realPemBlocks } from "../../tests/real_pem.ts";
import { teamTest } from "../../tests/team_data.ts";
import {
  isRequestSigned,
  parseCertificateRequest,
  parseCertificateRequestPem,
  requestToBeSigned,
  requestWithSignature,
  serialiseCertificateRequestPem,
  signCertificateRequest,
} from "./csr.ts";
import { contextTag, TAG, writeBitString, writeDer, writeOid, writeSequence, writeUnsigned } from "./der.ts";
import { parseEcPrivateKeyFile } from "./key_file.ts";
import { noblePrimitives } from "./primitives.ts";
import { ecdsaAlgorithm } from "./public_key.ts";
import { parseCertificate } from "./x509.ts";
import { type SubjectAltName, subjectAltNames, writeExtensions } from "./x509_extensions.ts";
import { nameFromText, nameToText } from "./x509_name.ts";

const key = parseEcPrivateKeyFile(EC_PRIVATE_KEYS["P-256"]);
const subject = nameFromText("CN=CCF Node");
const names: SubjectAltName[] = [{ kind: "iPAddress", value: "127.0.0.1" }, { kind: "dNSName", value: "localhost" }];

Deno.test("parseCertificateRequest() reads OpenSSL's request, and it is written back byte for byte", () => {
  const request = parseCertificateRequest(REQUEST_IN_LATIN1);
  assert.equal(nameToText(request.subject), "CN=ZÃ¼rich,O=two");
  assert.deepEqual(request.spki, key.publicKey.spki);
  assert.deepEqual(request.extensions, []);
  assert.equal(isRequestSigned(noblePrimitives, request), true);
  const tbs = requestToBeSigned(request.subject, request.spki, []);
  assert.deepEqual(requestWithSignature(tbs, request.signature), REQUEST_IN_LATIN1);
});

Deno.test("signCertificateRequest() signs with SHA-512 on every curve", () => {
  for (const text of Object.values(EC_PRIVATE_KEYS)) {
    const key = parseEcPrivateKeyFile(text);
    const request = parseCertificateRequest(signCertificateRequest(key, subject, names));
    assert.equal(toHex(request.signatureAlgorithm), "300a06082a8648ce3d040304");
    assert.equal(isRequestSigned(noblePrimitives, request), true);
    assert.deepEqual(request.subject, subject);
    assert.deepEqual(request.spki, key.publicKey.spki);
    assert.deepEqual(subjectAltNames(request.extensions), names);
    const other = nameFromText("CN=CCF Mode");
    const tampered = { ...request, tbs: requestToBeSigned(other, request.spki, names) };
    assert.equal(isRequestSigned(noblePrimitives, tampered), false);
  }
});

Deno.test("parseCertificateRequestPem() reads back what serialiseCertificateRequestPem() wrote", () => {
  const der = signCertificateRequest(key, subject, names);
  assert.deepEqual(parseCertificateRequestPem(serialiseCertificateRequestPem(der)).der, der);
});

/** A request with these attributes, not signed. */
function requestWith(version: number, ...attributes: Uint8Array[]): Uint8Array {
  const part = writeDer(contextTag(0, "constructed"), ...attributes);
  const tbs = writeSequence(writeUnsigned(version), subject, key.publicKey.spki, part);
  return writeSequence(tbs, ecdsaAlgorithm("SHA-512"), writeBitString(Uint8Array.of(1)));
}

Deno.test("parseCertificateRequest() passes over other attributes and refuses what is malformed", () => {
  const { extensions } = parseCertificate(CERTIFICATES.many);
  const asking = writeSequence(writeOid("1.2.840.113549.1.9.14"), writeDer(TAG.set, writeExtensions(extensions)));
  const password = writeSequence(writeOid("1.2.840.113549.1.9.7"), writeDer(TAG.set, fromHex("0c0178")));
  assert.deepEqual(parseCertificateRequest(requestWith(0, password, asking)).extensions, extensions);
  const table: [Uint8Array, string][] = [
    [requestWith(1), "version 2 is not known"],
    [requestWith(0, asking, asking), "it asks for extensions twice"],
    [writeSequence(), "the part that is signed is missing"],
    [concat(requestWith(0), Uint8Array.of(0)), "1 bytes are left over"],
    [new Uint8Array(70_000), "it is longer than 65536 bytes"],
  ];
  for (const [der, problem] of table) {
    assert.throws(() => parseCertificateRequest(der), {
      name: "FormatError",
      message: `Cannot read a certificate request: ${problem}`,
    });
  }
});

Deno.test("parseCertificateRequest() answers or throws FormatError on changed input", () => {
  fuzzDecoder(
    mutated(signCertificateRequest(key, subject, names), REQUEST_IN_LATIN1),
    (der) => {
      const request = parseCertificateRequest(der);
      isRequestSigned(noblePrimitives, request);
      return subjectAltNames(request.extensions);
    },
    () => {},
    300,
  );
});

teamTest("every real node's request is signed by its own key, and is written back byte for byte", () => {
  const blocks = realPemBlocks("CERTIFICATE REQUEST");
  assert.ok(blocks.length > 30, `${blocks.length} requests`);
  for (const pem of blocks) {
    const request = parseCertificateRequestPem(pem);
    assert.equal(isRequestSigned(noblePrimitives, request), true);
    assert.equal(nameToText(request.subject), "CN=CCF Node");
    const tbs = requestToBeSigned(subject, request.spki, subjectAltNames(request.extensions));
    assert.equal(serialiseCertificateRequestPem(requestWithSignature(tbs, request.signature)), pem);
  }
});
