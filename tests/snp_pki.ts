/**
 * SEV-SNP evidence with keys of our own, for tests: what no recorded chip would sign.
 *
 * In: what the report and the certificates shall say. Out: evidence, and the pins under which it is genuine. The roots
 * and intermediates have keys on P-384 where AMD's have RSA: the checks are the same, and making keys is fast.
 */

import { AMD_ROOTS, type SnpProduct } from "../shared/attestation/anchors.ts";
import { type SnpPins, snpPinsOf } from "../shared/attestation/snp_chain.ts";
import { SNP_REPORT_BYTES, type SnpTcb } from "../shared/attestation/snp_report.ts";
import { toUtf8 } from "../shared/bytes.ts";
import { TAG, writeDer, writeUnsigned } from "../shared/crypto/der.ts";
import { ecdsaSign, type EcPrivateKey, generateEcPrivateKey } from "../shared/crypto/ecdsa.ts";
import { ecdsaAlgorithm } from "../shared/crypto/public_key.ts";
import { parseCertificate } from "../shared/crypto/x509.ts";
import { type CertificateFields, signCertificate } from "../shared/crypto/x509_build.ts";
import { basicConstraintsExtension, type Extension } from "../shared/crypto/x509_extensions.ts";
import { nameFromText } from "../shared/crypto/x509_name.ts";

const AMD = "1.3.6.1.4.1.3704.1";

/** Keys that are the same in every run. */
function keyOf(seed: number): EcPrivateKey {
  return generateEcPrivateKey("P-384", (length) => new Uint8Array(length).fill(seed));
}

export const SNP_ROOT_KEY = keyOf(1);
export const SNP_ISSUER_KEY = keyOf(2);
export const SNP_LEAF_KEY = keyOf(3);

/** Valid in 2026. */
export function snpCertificate(
  subject: string,
  key: EcPrivateKey,
  issuer: string,
  issuerKey: EcPrivateKey,
  extensions: readonly Extension[],
  change: Partial<CertificateFields> = {},
): Uint8Array {
  return signCertificate({
    serial: Uint8Array.of(0),
    signatureAlgorithm: ecdsaAlgorithm("SHA-384"),
    issuer: nameFromText(issuer),
    notBeforeMs: Date.UTC(2026, 0, 1),
    notAfterMs: Date.UTC(2027, 0, 1) - 1000,
    subject: nameFromText(subject),
    spki: key.publicKey.spki,
    extensions,
    ...change,
  }, issuerKey);
}

const extension = (suffix: string, value: Uint8Array): Extension => ({
  oid: `${AMD}.${suffix}`,
  critical: false,
  value,
});

export interface SnpLeafFields {
  readonly kind?: "VCEK" | "VLEK";
  readonly product?: SnpProduct;
  readonly tcb?: SnpTcb;
  readonly hardwareId?: Uint8Array;
}

export const SNP_TCB: SnpTcb = { boot_loader: 4, tee: 1, snp: 24, microcode: 219 };

/** Extensions of a VCEK or VLEK, in AMD's order. */
export function snpLeafExtensions(
  { kind = "VCEK", product = "Milan", tcb = SNP_TCB, hardwareId = snpChipId(product) }: SnpLeafFields = {},
): Extension[] {
  const name = kind === "VCEK" && product === "Milan" ? "Milan-B0" : product;
  return [
    extension("1", writeUnsigned(product === "Turin" ? 1 : 0)),
    extension("2", writeDer(TAG.ia5String, toUtf8(name))),
    ...(tcb.fmc === undefined ? [] : [extension("3.9", writeUnsigned(tcb.fmc))]),
    extension("3.1", writeUnsigned(tcb.boot_loader)),
    extension("3.2", writeUnsigned(tcb.tee)),
    extension("3.3", writeUnsigned(tcb.snp)),
    extension("3.8", writeUnsigned(tcb.microcode)),
    kind === "VCEK" ? extension("4", hardwareId) : extension("5", writeDer(TAG.ia5String, toUtf8("CN=cloud.example"))),
  ];
}

/** The identifier in the certificate of the chip of `snpReport`. */
export function snpChipId(product: SnpProduct = "Milan"): Uint8Array {
  return new Uint8Array(product === "Turin" ? 8 : 64).fill(0xc1);
}

/** Leaf, intermediate, root, DER. */
export function snpChain(leaf: SnpLeafFields = {}): Uint8Array[] {
  const { kind = "VCEK", product = "Milan" } = leaf;
  const issuer = kind === "VCEK" ? `SEV-${product}` : `SEV-VLEK-${product}`;
  const root = AMD_ROOTS[product].name;
  const authority = (pathLength: number | undefined) => [basicConstraintsExtension({ ca: true, pathLength })];
  return [
    snpCertificate(`CN=SEV-${kind}`, SNP_LEAF_KEY, `CN=${issuer}`, SNP_ISSUER_KEY, snpLeafExtensions(leaf)),
    snpCertificate(`CN=${issuer}`, SNP_ISSUER_KEY, `CN=${root}`, SNP_ROOT_KEY, authority(0), {
      serial: Uint8Array.of(2),
    }),
    snpCertificate(`CN=${root}`, SNP_ROOT_KEY, `CN=${root}`, SNP_ROOT_KEY, authority(undefined), {
      serial: Uint8Array.of(1),
    }),
  ];
}

/** What trusts the roots of `snpChain`. */
export const SNP_PINS: SnpPins = snpPinsOf(
  (["Milan", "Genoa", "Turin"] as const).map((product) => parseCertificate(snpChain({ product })[2]!)),
);

export interface SnpReportFields {
  readonly version?: number;
  readonly product?: SnpProduct;
  readonly tcb?: SnpTcb;
  readonly policy?: bigint;
  readonly vmpl?: number;
  readonly guestSvn?: number;
  /** 0 VCEK, 1 VLEK. */
  readonly signingKey?: number;
  readonly chipId?: Uint8Array;
  readonly reportData?: Uint8Array;
  readonly measurement?: Uint8Array;
  readonly hostData?: Uint8Array;
}

/** A report, signed with the key of `snpChain`'s leaf. */
export function snpReport(fields: SnpReportFields = {}): Uint8Array {
  const { product = "Milan", tcb = SNP_TCB } = fields;
  const report = new Uint8Array(SNP_REPORT_BYTES);
  const view = new DataView(report.buffer);
  view.setUint32(0, fields.version ?? 3, true);
  view.setUint32(4, fields.guestSvn ?? 2, true);
  view.setBigUint64(8, fields.policy ?? 0x3001fn, true);
  view.setUint32(0x30, fields.vmpl ?? 0, true);
  view.setUint32(0x34, 1, true);
  view.setUint32(0x48, (fields.signingKey ?? 0) << 2, true);
  report.set(fields.reportData ?? new Uint8Array(64).fill(0xda), 0x50);
  report.set(fields.measurement ?? new Uint8Array(48).fill(0xea), 0x90);
  report.set(fields.hostData ?? new Uint8Array(32).fill(0xfa), 0xc0);
  report.set(
    product === "Turin"
      ? [tcb.fmc ?? 0, tcb.boot_loader, tcb.tee, tcb.snp, 0, 0, 0, tcb.microcode]
      : [tcb.boot_loader, tcb.tee, 0, 0, 0, 0, tcb.snp, tcb.microcode],
    0x180,
  );
  const cpus = { Milan: [0x19, 1, 1], Genoa: [0x19, 0x11, 1], Turin: [0x1a, 2, 1] } as const;
  if ((fields.version ?? 3) >= 3) report.set(cpus[product], 0x188);
  report.set(fields.chipId ?? snpChipId(product), 0x1a0);
  return signSnpReport(report);
}

/** Writes the signature of the leaf's key into a report. */
export function signSnpReport(report: Uint8Array): Uint8Array {
  const signature = ecdsaSign(SNP_LEAF_KEY, report.subarray(0, 0x2a0));
  report.set(signature.slice(0, 48).reverse(), 0x2a0);
  report.set(signature.slice(48).reverse(), 0x2e8);
  return report;
}
