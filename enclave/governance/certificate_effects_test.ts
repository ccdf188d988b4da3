import { strict as assert } from "node:assert";
import { serialisePem } from "../../shared/crypto/pem.ts";
import { isSignedBy, parseCertificateBundle, parseCertificatePem } from "../../shared/crypto/x509.ts";
import { NODES_ENDORSED_CERTIFICATES, NODES_INFO, SERVICE_INFO, SIGNATURES } from "../../shared/governance/tables.ts";
import {
  changeService,
  govern,
  governedTest,
  open,
  reader,
  refused,
  sign,
  verifyLedger,
} from "../../tests/governed_service.ts";

governedTest("a node's renewed certificate is in the next signature, and then shown by its listeners", (service) => {
  const { node, state, outputs, config } = service;
  open(service);
  sign(service);
  const [before, selfSigned] = [state.endorsedPem, state.identity.selfSignedPem];
  govern(service, (effects, tx) => {
    const request = tx.open(NODES_INFO).get(state.id)!.certificate_signing_request!;
    const pem = effects.endorsedCertificate(request, "2026-11-24 10:00:00+00:00", 90);
    tx.open(NODES_ENDORSED_CERTIFICATES).put(state.id, pem);
  });
  assert.equal(state.endorsedPem, before, "nothing is shown that no signature covers");
  outputs.length = 0;
  sign(service);
  const renewed = reader(service).open(NODES_ENDORSED_CERTIFICATES).get(state.id)!;
  assert.notEqual(renewed, before);
  assert.equal(state.endorsedPem, renewed);
  assert.equal(reader(service).open(SIGNATURES).get()!.cert, renewed);
  const [certificate, old, service_] = [renewed, before, node.servicePem].map(parseCertificatePem);
  assert.equal(certificate!.notBeforeMs, Date.UTC(2026, 10, 24, 10));
  assert.equal(certificate!.notAfterMs, Date.UTC(2027, 1, 22, 9, 59, 59));
  assert(isSignedBy(state.primitives, certificate!, state.service.key.publicKey));
  assert.deepEqual(certificate!.spki, old!.spki);
  assert.deepEqual(certificate!.subject, old!.subject);
  assert.deepEqual(certificate!.issuer, service_!.subject);

  const shown = outputs.filter((output) => output.kind === "tlsIdentity");
  assert.deepEqual(shown.map(({ authority }) => authority), ["Service", "Node"]);
  assert.equal(shown[0]!.certificateChainPem, renewed + node.servicePem);
  const own = parseCertificateBundle(shown[1]!.certificateChainPem)[0]!;
  assert.notEqual(shown[1]!.certificateChainPem, selfSigned);
  assert.deepEqual([own.notBeforeMs, own.notAfterMs], [certificate!.notBeforeMs, certificate!.notAfterMs]);
  assert.deepEqual(own.spki, old!.spki);
  assert.deepEqual(own.subject, parseCertificatePem(selfSigned).subject);
  assert.deepEqual(own.issuer, own.subject);
  assert.deepEqual(own.extensions, parseCertificatePem(selfSigned).extensions);
  assert.notDeepEqual(own.serial, certificate!.serial);
  assert(isSignedBy(state.primitives, own, state.identity.key.publicKey));
  assert.equal(config.node.subjectName, "CN=CCF Node");
  outputs.length = 0;
  sign(service);
  assert(outputs.every(({ kind }) => kind !== "tlsIdentity"), "once is enough");
  verifyLedger(service);
});

governedTest("the service's renewed certificate has the same key and name, and is shown from then on", (service) => {
  const { node, state, outputs } = service;
  open(service);
  sign(service);
  const before = node.servicePem;
  govern(service, (effects, tx) => {
    changeService(tx, { cert: effects.serviceCertificate("20261124100000Z", 30) });
  });
  outputs.length = 0;
  sign(service);
  assert.notEqual(node.servicePem, before, "the host has the new one");
  const [renewed, old] = [node.servicePem, before].map(parseCertificatePem);
  assert.deepEqual([renewed!.spki, renewed!.subject, renewed!.issuer], [old!.spki, old!.subject, old!.issuer]);
  assert.equal(renewed!.notAfterMs, Date.UTC(2026, 11, 24, 9, 59, 59));
  assert(isSignedBy(state.primitives, renewed!, state.service.key.publicKey));
  const shown = outputs.filter((output) => output.kind === "tlsIdentity");
  assert.equal(shown[0]!.certificateChainPem, state.endorsedPem + node.servicePem);
  assert.equal(state.service.certificatePem, node.servicePem);
  verifyLedger(service);
});

governedTest("certificates that nobody can use are logged, and those in use stay", (service) => {
  const { node, state, outputs } = service;
  open(service);
  sign(service);
  const [endorsed, certificate] = [state.endorsedPem, node.servicePem];
  govern(service, (_, tx) => changeService(tx, { cert: "no certificate" }));
  govern(service, (_, tx) => changeService(tx, { cert: endorsed }));
  outputs.length = 0;
  sign(service);
  assert.equal(node.logs.at(-1), "fail node Cannot use the service's certificate: it is for another key");
  govern(service, (_, tx) => {
    changeService(tx, { cert: certificate });
    tx.open(NODES_ENDORSED_CERTIFICATES).put(state.id, certificate);
  });
  sign(service);
  assert.equal(node.logs.at(-1), "fail node Cannot use this node's certificate: it is for another key");
  assert.equal(state.endorsedPem, endorsed);
  assert.equal(node.fatal, undefined);
  assert(outputs.every(({ kind }) => kind !== "tlsIdentity"));
  govern(service, (_, tx) => tx.openRaw(SERVICE_INFO.name).put("\0".repeat(8), new Uint8Array(1)));
  sign(service);
  assert.match(node.logs.at(-1)!, /^fail node Cannot use table public:ccf.gov.service.info: /);
  assert.equal(node.fatal, undefined);
});

governedTest("no certificate is made for a request that is not signed, or for a time that is none", (service) => {
  const { state } = service;
  const { requestPem, request } = state.identity;
  refused(service, "Failed to create endorsed cert: 'soon' does not match any accepted time format", (effects) => {
    effects.endorsedCertificate(requestPem, "soon", 1);
  });
  refused(
    service,
    "Failed to create endorsed cert: a certificate cannot be valid for 0 days: at least 1",
    (effects) => {
      effects.endorsedCertificate(requestPem, "2026-11-24 10:00:00", 0);
    },
  );
  refused(service, "Error: 'soon' does not match any accepted time format", (effects) => {
    effects.serviceCertificate("soon", 1);
  });
  refused(service, /^Failed to create endorsed cert: Cannot read /, (effects) => {
    effects.endorsedCertificate("request", "2026-11-24 10:00:00", 1);
  });
  const forged = request.der.slice();
  forged[forged.length - 1]! ^= 1;
  const forgedPem = serialisePem("CERTIFICATE REQUEST", forged);
  refused(
    service,
    "Failed to create endorsed cert: the request is not signed with the key that it is for",
    (effects) => {
      effects.endorsedCertificate(forgedPem, "2026-11-24 10:00:00", 1);
    },
  );
});
