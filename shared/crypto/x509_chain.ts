/**
 * Chains of certificates: from one that a peer shows to one that is trusted.
 *
 * In: a leaf, certificates that may lie between, trusted certificates, a moment. Out: the path, or why there is none.
 * All but the trusted certificates come from whoever wants to be believed.
 * Rules: RFC 5280 §6.1 without policies, name constraints and revocation. As in CCF, any certificate may be trusted, a
 * leaf or an intermediate too, and trusted ones must be valid like the rest (OpenSSL's X509_V_FLAG_PARTIAL_CHAIN).
 * Stricter than OpenSSL in one thing: an issuer must say so in basic constraints; keyCertSign alone does not make one.
 */

import { FormatError } from "../assert.ts";
import { equalBytes } from "../bytes.ts";
import {
  MAX_CERTIFICATE_CHAIN,
  MAX_CHAIN_CERTIFICATES,
  MAX_CHAIN_SIGNATURE_CHECKS,
  MAX_QUOTED_NAME_CHARACTERS,
} from "../limits.ts";
import type { EcdsaVerifier } from "./ecdsa.ts";
import { type Certificate, isSignedBy, isValidAt, publicKeyOf } from "./x509.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  EXTENSION_OID,
  keyUsage,
  subjectKeyIdentifier,
} from "./x509_extensions.ts";
import { nameToText } from "./x509_name.ts";

export type ChainVerdict =
  /** From the leaf to the trusted certificate, both included; one element where the leaf itself is trusted. */
  | { readonly verdict: "trusted"; readonly path: readonly Certificate[] }
  | { readonly verdict: "rejected"; readonly reason: string };

/** Critical extensions that are looked at, or that say nothing about who signed for whom. */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  EXTENSION_OID.basicConstraints,
  EXTENSION_OID.keyUsage,
  EXTENSION_OID.subjectAltName,
  EXTENSION_OID.subjectKeyIdentifier,
  EXTENSION_OID.authorityKeyIdentifier,
  EXTENSION_OID.extendedKeyUsage,
  EXTENSION_OID.certificatePolicies,
  EXTENSION_OID.crlDistributionPoints,
]);

/**
 * Looks for a path from the leaf to a trusted certificate, each signed by the key of the next.
 *
 * @param nowMs milliseconds since 1970, at which all must be valid; or "ignore dates", as CCF's node-to-node channels do
 */
export function verifyChain(
  primitives: EcdsaVerifier,
  leaf: Certificate,
  intermediates: readonly Certificate[],
  trusted: readonly Certificate[],
  nowMs: number | "ignore dates",
): ChainVerdict {
  if (intermediates.length + trusted.length > MAX_CHAIN_CERTIFICATES) {
    return { verdict: "rejected", reason: `more than ${MAX_CHAIN_CERTIFICATES} certificates to choose from` };
  }
  const search = new Search(primitives, [...trusted, ...intermediates], trusted, nowMs);
  const path = search.from([leaf]);
  return path === undefined ? { verdict: "rejected", reason: search.reason } : { verdict: "trusted", path };
}

/** Depth first, with a bound on the work. The reason kept is that of the longest path that failed, the first of them. */
class Search {
  readonly #primitives: EcdsaVerifier;
  readonly #candidates: readonly Certificate[];
  readonly #trusted: readonly Certificate[];
  readonly #nowMs: number | "ignore dates";
  #signatureChecks = 0;
  #failure = { length: 0, reason: "" };

  constructor(
    primitives: EcdsaVerifier,
    candidates: readonly Certificate[],
    trusted: readonly Certificate[],
    nowMs: number | "ignore dates",
  ) {
    this.#primitives = primitives;
    this.#candidates = candidates;
    this.#trusted = trusted;
    this.#nowMs = nowMs;
  }

  get reason(): string {
    return this.#failure.reason;
  }

  from(path: readonly Certificate[]): readonly Certificate[] | undefined {
    const tip = path[path.length - 1]!;
    const problem = this.#problemWith(tip);
    if (problem !== undefined) return this.#fail(path, `${describeSubject(tip)} ${problem}`);
    if (this.#trusted.some(({ der }) => equalBytes(der, tip.der))) return path;
    if (path.length === MAX_CERTIFICATE_CHAIN) {
      return this.#fail(path, `no trusted certificate within ${MAX_CERTIFICATE_CHAIN} steps`);
    }
    for (const candidate of this.#candidates) {
      if (!equalBytes(candidate.subject, tip.issuer) || path.some(({ der }) => equalBytes(der, candidate.der))) {
        continue;
      }
      const refusal = this.#whyNotIssuer(candidate, path);
      if (refusal !== undefined) {
        this.#fail([...path, candidate], `${describeSubject(candidate)} ${refusal}`);
        continue;
      }
      const found = this.from([...path, candidate]);
      if (found !== undefined) return found;
    }
    return this.#fail(path, `no certificate that issued ${describeSubject(tip)} is at hand`);
  }

  /** What is wrong with a certificate wherever it stands. */
  #problemWith(certificate: Certificate): string | undefined {
    return (this.#nowMs === "ignore dates" ? undefined : dateProblem(certificate, this.#nowMs)) ??
      extensionProblem(certificate);
  }

  /** Why a certificate of the right name did not issue the last of the path. */
  #whyNotIssuer(issuer: Certificate, path: readonly Certificate[]): string | undefined {
    const tip = path[path.length - 1]!;
    try {
      const problem = issuerProblem(issuer, path);
      if (problem !== undefined) return problem;
      if (++this.#signatureChecks > MAX_CHAIN_SIGNATURE_CHECKS) return "is one candidate too many";
      return isSignedBy(this.#primitives, tip, publicKeyOf(issuer))
        ? undefined
        : `did not sign ${describeSubject(tip)}`;
    } catch (error) {
      if (error instanceof FormatError) return `cannot be used: ${error.message}`;
      throw error;
    }
  }

  #fail(path: readonly Certificate[], reason: string): undefined {
    if (path.length > this.#failure.length) this.#failure = { length: path.length, reason };
    return undefined;
  }
}

/** Why a certificate is not valid at a moment, as the end of a sentence about it. */
export function dateProblem(certificate: Certificate, nowMs: number): string | undefined {
  if (isValidAt(certificate, nowMs)) return undefined;
  return nowMs < certificate.notBeforeMs ? "is not valid yet" : "has expired";
}

/** Why a certificate must not be used, as the end of a sentence about it (RFC 5280 §4.2). */
export function extensionProblem(certificate: Certificate): string | undefined {
  const strange = certificate.extensions.find(({ oid, critical }) => critical && !UNDERSTOOD.has(oid));
  return strange === undefined ? undefined : `has a critical extension that is not understood, ${strange.oid}`;
}

/**
 * Why a certificate of the right name cannot have issued the last of a path, as the end of a sentence about it. All is
 * looked at but the signature.
 *
 * @param path from the leaf up to the certificate in question
 * @throws FormatError where one of the extensions is malformed
 */
export function issuerProblem(issuer: Certificate, path: readonly Certificate[]): string | undefined {
  const wanted = authorityKeyIdentifier(path[path.length - 1]!.extensions);
  const offered = subjectKeyIdentifier(issuer.extensions);
  if (wanted !== undefined && offered !== undefined && !equalBytes(wanted, offered)) return "has another key";
  const constraints = basicConstraints(issuer.extensions);
  if (constraints?.ca !== true) return "is not a certificate authority";
  if (keyUsage(issuer.extensions)?.has("keyCertSign") === false) return "may not sign certificates";
  if (issuer.extensions.some(({ oid }) => oid === EXTENSION_OID.nameConstraints)) return "constrains names";
  const between = path.slice(1).filter(({ subject, issuer }) => !equalBytes(subject, issuer)).length;
  return constraints.pathLength !== undefined && between > constraints.pathLength
    ? `allows ${constraints.pathLength} certificates below it, not ${between}`
    : undefined;
}

/** A certificate's subject in quotes, for messages; a long one is cut off. */
export function describeSubject({ subject }: Certificate): string {
  try {
    const text = nameToText(subject);
    const { length } = text;
    return JSON.stringify(length > MAX_QUOTED_NAME_CHARACTERS ? `${text.slice(0, MAX_QUOTED_NAME_CHARACTERS)}…` : text);
  } catch {
    return "a certificate with an unreadable subject";
  }
}
