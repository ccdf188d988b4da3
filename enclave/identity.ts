/**
 * Keys and certificates of a node and of its service.
 *
 * In: entropy, names, validity. Out: key pairs with the certificates that go with them.
 * Rules: ledger-and-receipts.md §11, nodes-and-attestation.md §3.1.
 */

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
import { type Certificate, parseCertificate, serialiseCertificatePem } from "../shared/crypto/x509.ts";
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
import type { StartConfig } from "./messages.ts";
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
  const subject = nameFromConfiguration(subjectName);
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
  config: StartConfig["node"],
  validity: Validity,
  { random, rsaKeyPair }: EnclavePowers,
): NodeIdentity {
  const key = generateEcPrivateKey(config.curve, random);
  const subject = nameFromConfiguration(config.subjectName);
  const subjectAltNames = config.subjectAltNames.map(parseSubjectAltName);
  const request = signCertificateRequest(key, subject, subjectAltNames);
  const selfSigned = signCertificate(
    selfSignedNodeCertificate({ key: key.publicKey, subject, validity, serial: randomSerial(random), subjectAltNames }),
    key,
  );
  return {
    id: nodeIdOf(key.publicKey.spki),
    key,
    publicKeyPem: serialisePublicKeyPem(key.publicKey),
    request: parseCertificateRequest(request),
    requestPem: serialiseCertificateRequestPem(request),
    selfSignedPem: serialiseCertificatePem(selfSigned),
    encryption: rsaKeyPair(),
  };
}

/** The service's certificate for a node, from the node's request. */
export function endorseNode(
  { request }: NodeIdentity,
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
