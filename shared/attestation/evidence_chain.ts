/**
 * The chain of certificates that comes with evidence: from the key that signed it to a root whose key is pinned.
 *
 * In: the chain as it was given, leaf first, its self-signed root last; a moment; the fingerprints of trusted keys.
 * Out: nothing, or why it is refused. All certificates come from whoever wants to be believed.
 * Knows nothing of chips, quotes and revocation. Where a path has to be looked for, see `x509_chain.ts`.
 * Rules: RFC 5280 §6.1 without policies and name constraints; attestation/formats.md §1.3, §2.1 and §3.6
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { FormatError } from "../assert.ts";
import { equalBytes, toHex } from "../bytes.ts";
import type { EcdsaVerifier } from "../crypto/ecdsa.ts";
import { type Certificate, isSignedBy, publicKeyOf } from "../crypto/x509.ts";
import { dateProblem, describeSubject, extensionProblem, issuerProblem } from "../crypto/x509_chain.ts";
import { type KeyUsage, keyUsage } from "../crypto/x509_extensions.ts";
import { MAX_EVIDENCE_CHAIN } from "../limits.ts";
import type { Refusal } from "./evidence_steps.ts";

export interface EvidenceChainOptions {
  /** Hex SHA-256 of the SubjectPublicKeyInfo of each trusted root; "any root" where the caller compares it otherwise. */
  readonly pins: readonly string[] | "any root";
  /** Where the leaf limits its key's uses, it must allow one of these. */
  readonly leafUsages?: readonly KeyUsage[];
}

/** The pin of a certificate: hex SHA-256 of its SubjectPublicKeyInfo. */
export function pinOf({ spki }: Certificate): string {
  return toHex(sha256(spki));
}

/**
 * Checks that each certificate was issued by the next, and that the last one is a trusted root.
 *
 * The root must be signed by itself too: only so is every bit of the chain covered by the pinned key, its dates included.
 *
 * @param chain leaf first, self-signed root last
 * @param at milliseconds since 1970, at which all must be valid; "ignore dates" leaves only that question out
 * @returns undefined where it holds; what costs a signature is checked last
 */
export function checkEvidenceChain(
  primitives: EcdsaVerifier,
  chain: readonly Certificate[],
  at: number | "ignore dates",
  { pins, leafUsages = ["digitalSignature"] }: EvidenceChainOptions,
): Refusal | undefined {
  if (chain.length < 2 || chain.length > MAX_EVIDENCE_CHAIN) {
    return {
      code: "chain_invalid",
      detail: `the chain has ${chain.length} certificates and must have 2 to ${MAX_EVIDENCE_CHAIN}, its root included`,
    };
  }
  try {
    return structureRefusal(chain, leafUsages) ?? rootRefusal(chain.at(-1)!, pins) ?? dateRefusal(chain, at) ??
      signatureRefusal(primitives, chain);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { code: "chain_invalid", detail: error.message };
  }
}

function structureRefusal(chain: readonly Certificate[], leafUsages: readonly KeyUsage[]): Refusal | undefined {
  for (const [i, certificate] of chain.entries()) {
    const problem = extensionProblem(certificate);
    if (problem !== undefined) return invalid(certificate, problem);
    const issuer = chain[i + 1] ?? certificate;
    if (!equalBytes(certificate.issuer, issuer.subject)) {
      const found = issuer === certificate ? "another than itself" : `another than ${describeSubject(issuer)}`;
      return invalid(certificate, `was issued by ${found}`);
    }
    if (issuer === certificate) continue; // that the root is an authority was seen from below
    const issuerFault = issuerProblem(issuer, chain.slice(0, i + 1));
    if (issuerFault !== undefined) return invalid(issuer, issuerFault);
  }
  const usage = keyUsage(chain[0]!.extensions);
  return usage !== undefined && !leafUsages.some((wanted) => usage.has(wanted))
    ? invalid(chain[0]!, `has a key for other uses than ${leafUsages.join(" or ")}`)
    : undefined;
}

function rootRefusal(root: Certificate, pins: readonly string[] | "any root"): Refusal | undefined {
  if (pins === "any root" || pins.includes(pinOf(root))) return undefined;
  return {
    code: "untrusted_root",
    detail: `${describeSubject(root)} has the key ${pinOf(root)}, which is not one of the trusted ones`,
  };
}

function dateRefusal(chain: readonly Certificate[], at: number | "ignore dates"): Refusal | undefined {
  if (at === "ignore dates") return undefined;
  for (const certificate of chain) {
    const problem = dateProblem(certificate, at);
    if (problem !== undefined) {
      const dates = `${toDate(certificate.notBeforeMs)} to ${toDate(certificate.notAfterMs)}`;
      return {
        code: "cert_not_valid_at_time",
        detail: `${describeSubject(certificate)} ${problem} at ${toDate(at)}: it is valid from ${dates}`,
      };
    }
  }
  return undefined;
}

/** From the root down, so that no key is used before it is trusted. */
function signatureRefusal(primitives: EcdsaVerifier, chain: readonly Certificate[]): Refusal | undefined {
  for (let i = chain.length - 1; i >= 0; i--) {
    const issuer = chain[Math.min(i + 1, chain.length - 1)]!;
    if (!isSignedBy(primitives, chain[i]!, publicKeyOf(issuer))) {
      return invalid(issuer, `did not sign ${describeSubject(chain[i]!)}`);
    }
  }
  return undefined;
}

function invalid(certificate: Certificate, problem: string): Refusal {
  return { code: "chain_invalid", detail: `${describeSubject(certificate)} ${problem}` };
}

function toDate(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}
