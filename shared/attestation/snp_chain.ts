/**
 * The certificates behind an SEV-SNP report: the signing key's, its issuer's, and AMD's root; perhaps a list of revoked
 * ones.
 *
 * In: their bytes, a moment, trusted keys. Out: whether they hold, remembered for as long as the answer stays the same,
 * so that whoever checks many reports of one chip keeps the value and pays for one signature each.
 * Knows nothing of reports.
 * Rules: attestation/formats.md §1.1 and §1.3, steps 2 to 4
 */

import { assert, FormatError } from "../assert.ts";
import type { EcdsaVerifier, EcPublicKey } from "../crypto/ecdsa.ts";
import { type Certificate, parseCertificate, publicKeyOf } from "../crypto/x509.ts";
import { describeSubject } from "../crypto/x509_chain.ts";
import { checkRevocationList, parseRevocationList, type RevocationList } from "../crypto/x509_crl.ts";
import { AMD_ROOTS, type SnpProduct } from "./anchors.ts";
import { checkEvidenceChain, pinOf } from "./evidence_chain.ts";
import type { Refusal } from "./evidence_steps.ts";
import { commonNameOf, parseSnpCertificate, type SnpCertificate } from "./snp_certificate.ts";

/** Leaf, intermediate, root: AMD's chains have no other form. */
export const SNP_CHAIN_LENGTH = 3;

/** Beyond this there are no dates in JavaScript. */
const MAX_DATE_MS = 8.64e15;

/** Hex SHA-256 of the SubjectPublicKeyInfo of trusted roots, for each product its own. */
export type SnpPins = Readonly<Partial<Record<SnpProduct, readonly string[]>>>;

export const AMD_PINS: SnpPins = {
  Milan: [AMD_ROOTS.Milan.spkiSha256],
  Genoa: [AMD_ROOTS.Genoa.spkiSha256],
  Turin: [AMD_ROOTS.Turin.spkiSha256],
};

/**
 * Pins of these roots, each for the product in its name, `ARK-Milan`.
 *
 * @throws FormatError where a name is not of that form
 */
export function snpPinsOf(roots: readonly Certificate[]): SnpPins {
  const pins: Partial<Record<SnpProduct, string[]>> = {};
  for (const root of roots) {
    const [, product] = /^ARK-(Milan|Genoa|Turin)$/.exec(commonNameOf(root.subject)) ?? [];
    if (product === undefined) throw new FormatError(`Cannot trust ${describeSubject(root)} as a root of AMD`);
    (pins[product as SnpProduct] ??= []).push(pinOf(root));
  }
  return pins;
}

/** What checking found, each with undefined where all holds. */
interface ChainFindings {
  readonly chain: Refusal | undefined;
  /** "no list" where none came along. */
  readonly revocation: Refusal | "no list" | undefined;
}

/** A chain that was read. Its bytes must not change afterwards. */
export class SnpChain {
  readonly certificates: readonly Certificate[];
  /** What the signing key's certificate says. */
  readonly signer: SnpCertificate;
  readonly signingKey: EcPublicKey;
  /** Common names that the certificates must have: which issuer and which root go with a key is said by names alone. */
  readonly names: readonly string[];
  readonly #list: Uint8Array | undefined;
  /** The last time that nothing was found: in this window, with these pins, nothing will be. */
  #held: { readonly pins: SnpPins; readonly fromMs: number; readonly untilMs: number } | undefined;

  /**
   * Reads the certificates.
   *
   * @param certificates DER: leaf, intermediate, root
   * @param revocationList DER, of the root; it is read when it is checked
   * @throws FormatError
   */
  constructor(certificates: readonly Uint8Array[], revocationList?: Uint8Array) {
    if (certificates.length !== SNP_CHAIN_LENGTH) {
      throw new FormatError(
        `Cannot read a chain of AMD: it has ${certificates.length} certificates and must have ${SNP_CHAIN_LENGTH}`,
      );
    }
    this.certificates = certificates.map(parseCertificate);
    const leaf = this.certificates[0]!;
    this.signer = parseSnpCertificate(leaf);
    const { kind, product } = this.signer;
    this.names = [`SEV-${kind}`, kind === "VCEK" ? `SEV-${product}` : `SEV-VLEK-${product}`, `ARK-${product}`];
    const key = publicKeyOf(leaf);
    if (key.kind !== "EC" || key.curve !== "P-384") {
      throw new FormatError("Cannot read a chain of AMD: the key that signs reports is not one of P-384");
    }
    this.signingKey = key;
    this.#list = revocationList;
  }

  /** @param at milliseconds since 1970 */
  check(primitives: EcdsaVerifier, at: number, pins: SnpPins): ChainFindings {
    assert(Math.abs(at) <= MAX_DATE_MS, "The moment at which certificates must be valid is a date");
    const holdsStill = this.#held?.pins === pins && this.#held.fromMs <= at && at < this.#held.untilMs;
    if (holdsStill) return { chain: undefined, revocation: this.#list === undefined ? "no list" : undefined };
    const chain = this.#namesRefusal() ?? checkEvidenceChain(primitives, this.certificates, at, {
      pins: pins[this.signer.product] ?? [],
    });
    if (chain !== undefined) return { chain, revocation: undefined };
    const [list, revocation] = this.#checkList(primitives, at);
    if (revocation === undefined || revocation === "no list") this.#held = { pins, ...this.#window(list) };
    return { chain, revocation };
  }

  #namesRefusal(): Refusal | undefined {
    const { kind, product } = this.signer;
    for (const [i, certificate] of this.certificates.entries()) {
      let found: string;
      try {
        found = commonNameOf(certificate.subject);
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        return { code: "chain_invalid", detail: error.message };
      }
      if (found !== this.names[i]) {
        const detail = `${describeSubject(certificate)} is not the ${
          this.names[i]
        } that belongs to a ${kind} of ${product}`;
        return { code: "chain_invalid", detail };
      }
    }
    return undefined;
  }

  #checkList(primitives: EcdsaVerifier, at: number): [RevocationList | undefined, Refusal | "no list" | undefined] {
    if (this.#list === undefined) return [undefined, "no list"];
    try {
      const list = parseRevocationList(this.#list);
      const root = this.certificates[SNP_CHAIN_LENGTH - 1]!;
      return [list, checkRevocationList(primitives, list, root, at, this.certificates)];
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      return [undefined, { code: "crl_invalid", detail: error.message }];
    }
  }

  /** The milliseconds in which all are valid, the second bound not included: a last second counts whole. */
  #window(list: RevocationList | undefined): { fromMs: number; untilMs: number } {
    const starts = this.certificates.map(({ notBeforeMs }) => notBeforeMs);
    const ends = this.certificates.map(({ notAfterMs }) => notAfterMs);
    if (list !== undefined) {
      starts.push(list.thisUpdateMs);
      ends.push(list.nextUpdateMs ?? -Infinity);
    }
    return { fromMs: Math.max(...starts), untilMs: Math.min(...ends) + 1000 };
  }
}
