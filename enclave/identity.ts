/**
 * Keys and certificates of a node and of its service.
 *
 * In: entropy, names, validity. Out: key pairs with the certificates that go with them.
 * Rules: ledger-and-receipts.md §11, nodes-and-attestation.md §3.1.
 */

import { FormatError } from "../shared/assert.ts";
import { equalBytes } from "../shared/bytes.ts";
import {
  type CertificateRequest,
  parseCertificateRequest,
  serialiseCertificateRequestPem,
} from "../shared/crypto/csr.ts";
import { signCertificateRequest } from "../shared/crypto/csr.ts";
import { type EcPrivateKey, generateEcPrivateKey, serialiseEcPrivateKey } from "../shared/crypto/ecdsa.ts";
import { nodeIdOf } from "../shared/crypto/identifiers.ts";
import { serialisePem } from "../shared/crypto/pem.ts";
import type { CurveName, Random } from "../shared/crypto/primitives.ts";
import { serialisePublicKeyPem } from "../shared/crypto/public_key.ts";
import {
  type Certificate,
  parseCertificate,
  parseCertificatePem,
  serialiseCertificatePem,
} from "../shared/crypto/x509.ts";
import {
  endorsedNodeCertificate,
  randomSerial,
  selfSignedNodeCertificate,
  serviceCertificate,
  signCertificate,
  type Validity,
} from "../shared/crypto/x509_build.ts";
import { parseSubjectAltName } from "../shared/crypto/x509_extensions.ts";
import { nameFromConfiguration } from "../shared/crypto/x509_name.ts";
import type { CommonConfig } from "./messages.ts";
import type { EnclavePowers } from "./powers.ts";

/** The service's key signs node certificates and the ledger's COSE signatures; all its trusted nodes share it. */
export interface ServiceIdentity {
  readonly key: EcPrivateKey;
  readonly certificate: Certificate;
  readonly certificatePem: string;
}

/** A node's own keys, made anew at every start of its process. */
export interface NodeIdentity {
  /** Hex SHA-256 of the public key (SPKI DER). */
  readonly id: string;
  readonly key: EcPrivateKey;
  readonly publicKeyPem: string;
  readonly request: CertificateRequest;
  readonly requestPem: string;
  readonly selfSignedPem: string;
  /** By which ledger secrets reach this node. */
  readonly encryption: { readonly publicKeyPem: string; readonly privateKeyPkcs8: Uint8Array };
}

/** A new service key with its self-signed certificate. */
export function createServiceIdentity(
  curve: CurveName,
  subjectName: string,
  validity: Validity,
  random: Random,
): ServiceIdentity {
  const key = generateEcPrivateKey(curve, random);
  return certifyService(key, nameFromConfiguration(subjectName), validity, random);
}

/** A new certificate for the same key and name: whoever trusts the key goes on trusting what it signed. */
export function renewService(
  { key, certificate }: ServiceIdentity,
  validity: Validity,
  random: Random,
): ServiceIdentity {
  return certifyService(key, certificate.subject, validity, random);
}

/**
 * The same key under the certificate that the service's tables have now.
 *
 * @throws FormatError where that is none, or another key's
 */
export function withServiceCertificate({ key }: ServiceIdentity, certificatePem: string): ServiceIdentity {
  const certificate = parseCertificatePem(certificatePem);
  requireKey(certificate, key, "the service's certificate");
  return { key, certificate, certificatePem };
}

function certifyService(key: EcPrivateKey, subject: Uint8Array, validity: Validity, random: Random): ServiceIdentity {
  const fields = serviceCertificate({ key: key.publicKey, subject, validity, serial: randomSerial(random) });
  const der = signCertificate(fields, key);
  return { key, certificate: parseCertificate(der), certificatePem: serialiseCertificatePem(der) };
}

/**
 * A node's new keys, its certificate request and its self-signed certificate.
 *
 * @throws FormatError where a subject alternative name cannot be read
 */
export function createNodeIdentity(
  config: CommonConfig["node"],
  validity: Validity,
  { random, rsaKeyPair }: EnclavePowers,
): NodeIdentity {
  const key = generateEcPrivateKey(config.curve, random);
  const subject = nameFromConfiguration(config.subjectName);
  const subjectAltNames = config.subjectAltNames.map(parseSubjectAltName);
  const request = signCertificateRequest(key, subject, subjectAltNames);
  return {
    id: nodeIdOf(key.publicKey.spki),
    key,
    publicKeyPem: serialisePublicKeyPem(key.publicKey),
    request: parseCertificateRequest(request),
    requestPem: serialiseCertificateRequestPem(request),
    selfSignedPem: selfSign(config, key, validity, random),
    encryption: rsaKeyPair(),
  };
}

/**
 * A node whose endorsed certificate was renewed: its self-signed one is too, for the same time, as CCF does.
 *
 * @param endorsedPem what the service's tables have for this node
 * @throws FormatError where that is no certificate, or another key's
 */
export function renewNode(
  identity: NodeIdentity,
  config: CommonConfig["node"],
  endorsedPem: string,
  random: Random,
): NodeIdentity {
  const endorsed = parseCertificatePem(endorsedPem);
  requireKey(endorsed, identity.key, "this node's certificate");
  const { notBeforeMs, notAfterMs } = endorsed;
  return { ...identity, selfSignedPem: selfSign(config, identity.key, { notBeforeMs, notAfterMs }, random) };
}

/** @throws FormatError where a certificate is for another key. `what`: which certificate, for the message */
export function requireKey({ spki }: Certificate, { publicKey }: EcPrivateKey, what: string): void {
  if (!equalBytes(spki, publicKey.spki)) throw new FormatError(`Cannot use ${what}: it is for another key`);
}

function selfSign(config: CommonConfig["node"], key: EcPrivateKey, validity: Validity, random: Random): string {
  const fields = selfSignedNodeCertificate({
    key: key.publicKey,
    subject: nameFromConfiguration(config.subjectName),
    validity,
    serial: randomSerial(random),
    subjectAltNames: config.subjectAltNames.map(parseSubjectAltName),
  });
  return serialiseCertificatePem(signCertificate(fields, key));
}

/** The service's certificate for a node, from the node's request. */
export function endorseNode(
  request: CertificateRequest,
  service: ServiceIdentity,
  validity: Validity,
  random: Random,
): string {
  const fields = endorsedNodeCertificate({
    request,
    validity,
    issuer: service.certificate,
    issuerKey: service.key.publicKey,
    serial: randomSerial(random),
  });
  return serialiseCertificatePem(signCertificate(fields, service.key));
}

/** The key as TLS stacks read it. */
export function privateKeyPem(key: EcPrivateKey): string {
  return serialisePem("PRIVATE KEY", serialiseEcPrivateKey(key));
}
