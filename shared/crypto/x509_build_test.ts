import { strict as assert } from "node:assert";
import { X509Certificate } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { toHex } from "../bytes.ts";
import { EC_PRIVATE_KEYS } from "../../tests/openssl_fixtures.ts";
import { realPemBlocks } from "../../tests/real_pem.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { parseCertificateRequest, parseCertificateRequestPem, signCertificateRequest } from "./csr.ts";
import { ecdsaSign, ecdsaVerify, type EcPublicKey, parseDerSignature, serialiseDerSignature } from "./ecdsa.ts";
import { parseEcPrivateKeyFile } from "./key_file.ts";
import { noblePrimitives } from "./primitives.ts";
import { type Certificate, isSignedBy, parseCertificate, parseCertificatePem, publicKeyOf } from "./x509.ts";
import {
  type CertificateFields,
  endorsedNodeCertificate,
  endorsedServiceCertificate,
  memberCertificate,
  randomSerial,
  selfSignedNodeCertificate,
  serviceCertificate,
  signCertificate,
  toBeSigned,
  validityOfDays,
  withSignature,
} from "./x509_build.ts";
import { type SubjectAltName, subjectAltNames, subjectKeyIdentifier } from "./x509_extensions.ts";
import { nameFromConfiguration, nameFromText, nameToText } from "./x509_name.ts";

const serviceKey = parseEcPrivateKeyFile(EC_PRIVATE_KEYS["P-384"]);
const nodeKey = parseEcPrivateKeyFile(EC_PRIVATE_KEYS["P-256"]);
const serial = Uint8Array.of(0x12, 0x34);
const validity = validityOfDays(Date.UTC(2026, 10, 24, 6, 7, 8), 90);
const altNames: SubjectAltName[] = [
  { kind: "iPAddress", value: "127.0.0.1" },
  { kind: "iPAddress", value: "2001:db8::1" },
  { kind: "dNSName", value: "localhost" },
];

const serviceFields = serviceCertificate({
  key: serviceKey.publicKey,
  subject: nameFromConfiguration("CN=CCF Service"),
  validity,
  serial,
});
const service = parseCertificate(signCertificate(serviceFields, serviceKey));

Deno.test("validityOfDays() ends one second before the same time of day", () => {
  const { notBeforeMs, notAfterMs } = validityOfDays(Date.UTC(2026, 10, 22, 8, 59, 9) + 321, 90);
  assert.equal(new Date(notBeforeMs).toISOString(), "2026-11-22T08:59:09.000Z");
  assert.equal(new Date(notAfterMs).toISOString(), "2027-02-20T08:59:08.000Z");
});

Deno.test("randomSerial() is 16 random bytes as a positive INTEGER", () => {
  assert.equal(toHex(randomSerial((length) => new Uint8Array(length).fill(0x7f))), "7f".repeat(16));
  assert.equal(toHex(randomSerial((length) => new Uint8Array(length).fill(0x80))), "00" + "80".repeat(16));
  const leadingZeros = (length: number) => new Uint8Array(length).fill(0x11, 2);
  assert.equal(toHex(randomSerial(leadingZeros)), "11".repeat(14));
});

Deno.test("serviceCertificate() makes what node:crypto takes for a certificate authority", () => {
  const theirs = new X509Certificate(service.der);
  assert.equal(theirs.ca, true);
  assert.equal(theirs.subject, "CN=CCF Service");
  assert.equal(theirs.issuer, "CN=CCF Service");
  assert.equal(theirs.serialNumber, "1234");
  assert.equal(theirs.verify(theirs.publicKey), true);
  assert.equal(theirs.checkIssued(theirs), true);
});

Deno.test("endorsedNodeCertificate() takes names and key from the request, issuer and hash from the service", () => {
  const subject = nameFromText("CN=CCF Node");
  const request = parseCertificateRequest(signCertificateRequest(nodeKey, subject, altNames));
  const fields = endorsedNodeCertificate({
    request,
    validity,
    issuer: service,
    issuerKey: serviceKey.publicKey,
    serial,
  });
  const theirs = new X509Certificate(signCertificate(fields, serviceKey));
  assert.equal(theirs.ca, false);
  assert.equal(theirs.subject, "CN=CCF Node");
  assert.equal(theirs.issuer, "CN=CCF Service");
  assert.equal(theirs.subjectAltName, "IP Address:127.0.0.1, IP Address:2001:db8::1, DNS:localhost");
  assert.equal(theirs.verify(new X509Certificate(service.der).publicKey), true);
  assert.equal(theirs.checkIssued(new X509Certificate(service.der)), true);
  assert.deepEqual(new Uint8Array(theirs.publicKey.export({ format: "der", type: "spki" })), nodeKey.publicKey.spki);
  assert.equal(
    toHex(fields.signatureAlgorithm),
    "300a06082a8648ce3d040303",
    "SHA-384, as the service's curve is P-384",
  );
  assert.deepEqual(fields.extensions.map(({ oid, critical }) => `${oid}${critical ? " critical" : ""}`), [
    "2.5.29.19 critical",
    "2.5.29.14",
    "2.5.29.35",
    "2.5.29.17",
  ]);
});

Deno.test("selfSignedNodeCertificate() without alternative names has no such extension", () => {
  const subject = nameFromText("CN=CCF Node");
  const self = { key: nodeKey.publicKey, subject, validity, serial };
  const extensions = (names: SubjectAltName[]) =>
    selfSignedNodeCertificate({ ...self, subjectAltNames: names }).extensions;
  assert.equal(extensions([]).length, 4);
  assert.deepEqual(subjectAltNames(extensions(altNames)), altNames);
});

Deno.test("memberCertificate() has no extensions, and is verified by node:crypto", () => {
  const subject = nameFromText("CN=member0");
  const fields = memberCertificate({ key: nodeKey.publicKey, subject, validity, serial });
  const der = signCertificate(fields, nodeKey);
  assert.deepEqual(parseCertificate(der).extensions, []);
  const theirs = new X509Certificate(der);
  assert.equal(theirs.verify(theirs.publicKey), true);
});

Deno.test("toBeSigned() and withSignature() are the two halves of signCertificate()", () => {
  const tbs = toBeSigned(serviceFields);
  const signature = serialiseDerSignature(ecdsaSign(serviceKey, tbs));
  assert.deepEqual(withSignature(tbs, signature), service.der);
  assert.deepEqual(parseCertificate(service.der).tbs, tbs);
  assert.equal(isSignedBy(noblePrimitives, service, serviceKey.publicKey), true);
  assert.throws(() => toBeSigned({ ...serviceFields, notBeforeMs: 1 }), {
    name: "AssertionFailed",
    message: "Assertion failed: A time in a certificate is of whole seconds",
  });
});

/** What a real certificate is made of, but for the signature. */
function made(fields: CertificateFields, real: Certificate): void {
  assert.equal(toHex(toBeSigned(fields)), toHex(real.tbs), nameToText(real.subject));
  assert.deepEqual(withSignature(toBeSigned(fields), real.signature), real.der);
}

function ecKeyOf(certificate: Certificate): EcPublicKey {
  const key = publicKeyOf(certificate);
  assert.ok(key.kind === "EC");
  return key;
}

const period = ({ notBeforeMs, notAfterMs }: Certificate) => ({ notBeforeMs, notAfterMs });

teamTest("serviceCertificate() makes the certificates of real services byte for byte, on both curves", () => {
  const curves = new Set<string>();
  for (const folder of readdirSync(teamData("ccf/testdata")).filter((name) => name.startsWith("recorded_"))) {
    const common = teamData(`ccf/testdata/${folder}/common`);
    for (const file of readdirSync(common).filter((name) => /^service_cert.*\.pem$/.test(name))) {
      const real = parseCertificatePem(readFileSync(`${common}/${file}`, "utf8"));
      const key = ecKeyOf(real);
      const subject = nameFromConfiguration("CN=CCF Service");
      made(serviceCertificate({ key, subject, validity: period(real), serial: real.serial }), real);
      curves.add(key.curve);
    }
  }
  assert.deepEqual([...curves].sort(), ["P-256", "P-384"]);
});

teamTest("endorsedNodeCertificate() makes the certificates of real nodes from their requests byte for byte", () => {
  const certificates = realPemBlocks("CERTIFICATE").map(parseCertificatePem);
  const requests = realPemBlocks("CERTIFICATE REQUEST").map(parseCertificateRequestPem);
  const service = nameFromText("CN=CCF Service");
  let checked = 0;
  const pairs = new Set<string>();
  for (const real of certificates.filter(({ subject }) => nameToText(subject) === "CN=CCF Node")) {
    const request = requests.find(({ spki }) => toHex(spki) === toHex(real.spki));
    const issuer = certificates.find((candidate) =>
      toHex(candidate.subject) === toHex(service) && toHex(candidate.subject) === toHex(real.issuer) &&
      isSignedBy(noblePrimitives, real, publicKeyOf(candidate))
    );
    if (request === undefined || issuer === undefined) continue;
    const issuerKey = ecKeyOf(issuer);
    made(
      endorsedNodeCertificate({ request, validity: period(real), issuer, issuerKey, serial: real.serial }),
      real,
    );
    pairs.add(`${ecKeyOf(real).curve} by ${issuerKey.curve}`);
    checked++;
  }
  assert.ok(checked > 20, `${checked} certificates`);
  assert.ok(
    pairs.has("P-384 by P-384") && pairs.has("P-384 by P-256") && pairs.has("P-256 by P-256"),
    [...pairs].join(),
  );
});

teamTest("selfSignedNodeCertificate() makes a real node's own certificate byte for byte", () => {
  const lines = readFileSync(teamData("ccf/transcripts/one_node_get.jsonl"), "utf8").trimEnd().split("\n");
  const exchanges = lines.map((line) => JSON.parse(line));
  const reply = exchanges.find(({ request }) => request.line === "GET /node/self_signed_certificate HTTP/1.1").response;
  const real = parseCertificatePem(JSON.parse(reply.body).self_signed_certificate);
  made(
    selfSignedNodeCertificate({
      key: ecKeyOf(real),
      subject: nameFromConfiguration("CN=CCF Node"),
      validity: period(real),
      serial: real.serial,
      subjectAltNames: [{ kind: "iPAddress", value: "127.0.0.1" }, { kind: "dNSName", value: "localhost" }],
    }),
    real,
  );
});

teamTest("endorsedServiceCertificate() makes real endorsements of older services byte for byte", () => {
  const recovery = teamData("ccf/testdata/recorded_recovery");
  const services = realPemBlocks("CERTIFICATE").map(parseCertificatePem)
    .filter(({ subject }) => nameToText(subject) === "CN=CCF Service");
  let checked = 0;
  for (const path of readdirSync(`${recovery}/receipts`, { recursive: true }) as string[]) {
    if (!path.endsWith(".json")) continue;
    const { service_endorsements: endorsements } = JSON.parse(readFileSync(`${recovery}/receipts/${path}`, "utf8"));
    for (const pem of endorsements ?? []) {
      const real = parseCertificatePem(pem);
      const issuer = services.find((service) =>
        isSignedBy(noblePrimitives, service, publicKeyOf(service)) && service.notAfterMs === real.notAfterMs &&
        isSignedBy(noblePrimitives, real, publicKeyOf(service))
      )!;
      const previousSpki = real.spki;
      made(
        endorsedServiceCertificate({ previousSpki, issuer, issuerKey: ecKeyOf(issuer), serial: real.serial }),
        real,
      );
      checked++;
    }
  }
  assert.ok(checked > 10, `${checked} endorsements`);
});

teamTest("memberCertificate() makes a real member's certificate byte for byte, and its key signs it anew", () => {
  const common = teamData("ccf/testdata/recorded_nodes/common");
  const real = parseCertificatePem(readFileSync(`${common}/member0_cert.pem`, "utf8"));
  const key = parseEcPrivateKeyFile(readFileSync(`${common}/member0_privk.pem`, "utf8"));
  const subject = nameFromText("CN=member0");
  const fields = memberCertificate({ key: key.publicKey, subject, validity: period(real), serial: real.serial });
  made(fields, real);
  const ours = parseCertificate(signCertificate(fields, key));
  const signature = parseDerSignature("P-384", ours.signature);
  assert.equal(ecdsaVerify(noblePrimitives, ecKeyOf(real), real.tbs, signature), true);
  assert.equal(subjectKeyIdentifier(ours.extensions), undefined);
});
