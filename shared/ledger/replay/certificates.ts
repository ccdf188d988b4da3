/**
 * Certificates that a ledger names again and again, parsed once.
 *
 * In: PEM text, as tables hold it. Out: the certificate, its key and the IDs made of it; whether another key signed it.
 */

import type { EcdsaVerifier } from "../../crypto/ecdsa.ts";
import { memberIdOf, nodeIdOf } from "../../crypto/identifiers.ts";
import type { PublicKey } from "../../crypto/public_key.ts";
import { type Certificate, isSignedBy, parseCertificatePem, publicKeyOf } from "../../crypto/x509.ts";
import { MAX_CACHED_CERTIFICATES } from "../../limits.ts";

export interface KnownCertificate {
  readonly certificate: Certificate;
  readonly key: PublicKey;
  /** Of the certificate, as members and users are called. */
  readonly memberId: string;
  /** Of the key, as nodes and services are called. */
  readonly nodeId: string;
}

export class CertificateCache {
  readonly #verifier: EcdsaVerifier;
  readonly #known = new Map<string, KnownCertificate>();
  /** Node ID of an issuer that was found to have signed, by PEM. */
  readonly #issuers = new Map<string, string>();

  constructor(verifier: EcdsaVerifier) {
    this.#verifier = verifier;
  }

  /** @throws FormatError */
  get(pem: string): KnownCertificate {
    const known = this.#known.get(pem);
    if (known !== undefined) return known;
    const certificate = parseCertificatePem(pem);
    const parsed = {
      certificate,
      key: publicKeyOf(certificate),
      memberId: memberIdOf(certificate.der),
      nodeId: nodeIdOf(certificate.spki),
    };
    remember(this.#known, pem, parsed);
    return parsed;
  }

  /** Whether the key of `issuer` signed the certificate. Dates do not count. @throws FormatError */
  isSignedBy(pem: string, issuer: KnownCertificate): boolean {
    if (this.#issuers.get(pem) === issuer.nodeId) return true;
    if (!isSignedBy(this.#verifier, this.get(pem).certificate, issuer.key)) return false;
    remember(this.#issuers, pem, issuer.nodeId);
    return true;
  }
}

/** Forgets everything when it is full: a ledger with so many certificates has no favourites. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  if (map.size >= MAX_CACHED_CERTIFICATES) map.clear();
  map.set(key, value);
}
