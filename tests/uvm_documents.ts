/**
 * Endorsements of utility VMs, as Azure signs them, by keys that a seed makes.
 *
 * In: what an endorsement says. Out: its COSE_Sign1 document, and the chain that it carries.
 */

import { toBase64Url, toHex, toUtf8 } from "../shared/bytes.ts";
import { type CborMap, type CborValue, encodeCbor } from "../shared/crypto/cbor.ts";
import { COSE_ALGORITHMS, serialiseCoseSign1, toBeSigned, withSignature } from "../shared/crypto/cose.ts";
import { EC_CURVES, ecdsaSign, type EcPrivateKey, generateEcPrivateKey } from "../shared/crypto/ecdsa.ts";
import { hash } from "../shared/crypto/hashes.ts";
import type { CurveName } from "../shared/crypto/primitives.ts";
import { ecdsaAlgorithm } from "../shared/crypto/public_key.ts";
import { type Certificate, parseCertificate } from "../shared/crypto/x509.ts";
import { signCertificate } from "../shared/crypto/x509_build.ts";
import {
  basicConstraintsExtension,
  extendedKeyUsageExtension,
  type Extension,
  keyUsageExtension,
} from "../shared/crypto/x509_extensions.ts";
import { nameFromText } from "../shared/crypto/x509_name.ts";

export const UVM_EKU = "1.3.6.1.4.1.311.76.59.1.2";
export const UVM_FEED = "ContainerPlat-AMD-UVM";
export const UVM_MEASUREMENT = new Uint8Array(48).fill(0x5a);
/** In the middle of the certificates' validity. */
export const UVM_NOW_MS = Date.UTC(2026, 0, 1);

const DAY_MS = 86_400_000;

/** An authority with one intermediate, and a signer below it. */
export interface UvmSigner {
  readonly key: EcPrivateKey;
  /** Signer, intermediate, root. */
  readonly chain: readonly [Certificate, Certificate, Certificate];
  /** Of the root and the purpose. */
  readonly did: string;
}

export interface SignerOptions {
  readonly curve?: CurveName;
  /** Of the signer, besides that it is no authority. */
  readonly extensions?: readonly Extension[];
  readonly subject?: string;
  readonly notAfterMs?: number;
}

/** The keys are the same for the same curve. */
export function uvmSigner(
  {
    curve = "P-384",
    extensions = [keyUsageExtension("digitalSignature"), extendedKeyUsageExtension(UVM_EKU)],
    subject = "O=Test,CN=Signer",
    notAfterMs = UVM_NOW_MS + DAY_MS,
  }: SignerOptions = {},
): UvmSigner {
  const [rootKey, middleKey, key] = [1, 2, 3].map((seed) =>
    generateEcPrivateKey(curve, (length) => new Uint8Array(length).fill(seed))
  ) as [EcPrivateKey, EcPrivateKey, EcPrivateKey];
  const certify = (
    of: EcPrivateKey,
    by: EcPrivateKey,
    subjectText: string,
    issuer: string,
    own: readonly Extension[],
  ) =>
    parseCertificate(signCertificate({
      serial: Uint8Array.of(1),
      signatureAlgorithm: ecdsaAlgorithm(EC_CURVES[curve].hash),
      issuer: nameFromText(issuer),
      notBeforeMs: UVM_NOW_MS - DAY_MS,
      notAfterMs: of === key ? notAfterMs : UVM_NOW_MS + 1000 * DAY_MS,
      subject: nameFromText(subjectText),
      spki: of.publicKey.spki,
      extensions: own,
    }, by));
  const authority = [basicConstraintsExtension({ ca: true, pathLength: undefined }), keyUsageExtension("keyCertSign")];
  const root = certify(rootKey, rootKey, "CN=Root", "CN=Root", authority);
  const middle = certify(middleKey, rootKey, "CN=Intermediate", "CN=Root", authority);
  const leaf = certify(key, middleKey, subject, "CN=Intermediate", extensions);
  return { key, chain: [leaf, middle, root], did: didOf(root) };
}

/** A did:x509 of this authority, with the purpose of `UVM_EKU` unless said otherwise. */
export function didOf({ der }: Certificate, predicates = `eku:${UVM_EKU}`): string {
  return `did:x509:0:sha256:${toBase64Url(hash("SHA-256", der))}::${predicates}`;
}

export interface DocumentOptions {
  readonly signer?: UvmSigner;
  readonly did?: string;
  readonly feed?: string;
  readonly svn?: CborValue;
  readonly contentType?: string;
  readonly algorithm?: number;
  readonly chain?: readonly Uint8Array[];
  readonly payload?: Uint8Array;
  /** Added to the protected header, or in the place of what it has. */
  readonly more?: CborMap;
}

/** The layout since ContainerPlat 0.2.10. */
export function cwtDocument({ signer = uvmSigner(), svn = 105, ...options }: DocumentOptions = {}): Uint8Array {
  const claims = new Map<number | string, CborValue>([[1, options.did ?? signer.did], [2, options.feed ?? UVM_FEED]]);
  claims.set("svn", svn);
  const header = new Map<number | string, CborValue>([[15, claims], [258, -43]]);
  header.set(259, options.contentType ?? "application/json");
  return document(header, signer, { ...options, payload: options.payload ?? UVM_MEASUREMENT });
}

/** The layout before. */
export function legacyDocument({ signer = uvmSigner(), svn = "105", ...options }: DocumentOptions = {}): Uint8Array {
  const header = new Map<number | string, CborValue>([[3, options.contentType ?? "application/json"]]);
  header.set("iss", options.did ?? signer.did).set("feed", options.feed ?? UVM_FEED);
  const payload = { "x-ms-sevsnpvm-guestsvn": svn, "x-ms-sevsnpvm-launchmeasurement": toHex(UVM_MEASUREMENT) };
  return document(header, signer, { ...options, payload: options.payload ?? toUtf8(JSON.stringify(payload)) });
}

function document(
  header: CborMap,
  { key, chain }: UvmSigner,
  options: DocumentOptions & { readonly payload: Uint8Array },
): Uint8Array {
  const protectedBytes = encodeCbor(
    new Map<number | string, CborValue>([
      [1, options.algorithm ?? COSE_ALGORITHMS[key.curve]],
      [33, options.chain ?? chain.map(({ der }) => der)],
      ...header,
      ...options.more ?? [],
    ]),
  );
  const signature = ecdsaSign(key, toBeSigned(protectedBytes, options.payload));
  return serialiseCoseSign1(withSignature(protectedBytes, options.payload, signature));
}
