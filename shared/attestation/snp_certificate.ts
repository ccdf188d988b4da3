/**
 * Certificates of the keys that sign SEV-SNP reports: a chip's own (VCEK), or a cloud provider's (VLEK).
 *
 * In: a certificate. Out: for which processor, chip and TCB version its key was made.
 * Knows nothing of chains and reports.
 * Format: AMD 57230 "VCEK Certificate and KDS Interface", as in attestation/formats.md §1.1
 */

import { FormatError } from "../assert.ts";
import { toByteString } from "../bytes.ts";
import { DerReader, TAG } from "../crypto/der.ts";
import type { Certificate } from "../crypto/x509.ts";
import { nameAttributes } from "../crypto/x509_name.ts";
import type { SnpProduct } from "./anchors.ts";
import type { SnpTcb } from "./snp_report.ts";

export interface SnpCertificate {
  readonly kind: "VCEK" | "VLEK";
  readonly product: SnpProduct;
  /** As written, perhaps with a stepping: `Milan-B0`. */
  readonly productName: string;
  /** The TCB version for which the key was derived. */
  readonly tcb: SnpTcb;
  /** Of a VCEK, the identifier of its chip: 64 bytes, on Turin 8. */
  readonly hardwareId: Uint8Array | undefined;
  /** Of a VLEK, who has it, e.g. `CN=cc-us-east-2.amazonaws.com`. */
  readonly providerId: string | undefined;
}

const AMD = "1.3.6.1.4.1.3704.1";
const PRODUCT_NAME = `${AMD}.2`;
const HARDWARE_ID = `${AMD}.4`;
const PROVIDER_ID = `${AMD}.5`;
/** Suffixes below which each security version stands; `fmc` on Turin only. */
const SECURITY_VERSIONS = { boot_loader: 1, tee: 2, snp: 3, microcode: 8, fmc: 9 } as const;
const PRODUCTS: readonly SnpProduct[] = ["Milan", "Genoa", "Turin"];
const COMMON_NAME = "2.5.4.3";

/**
 * Reads the extensions of a VCEK or VLEK. All that its kind must have must be there.
 *
 * @throws FormatError
 */
export function parseSnpCertificate(certificate: Certificate): SnpCertificate {
  const kind = kindOf(commonNameOf(certificate.subject));
  const productName = text(certificate, PRODUCT_NAME, "product name");
  const product = PRODUCTS.find((product) => product === productName.split("-")[0]);
  if (product === undefined) throw problem(`the product ${JSON.stringify(productName.slice(0, 64))} is not known`);

  const version = (name: keyof typeof SECURITY_VERSIONS) => securityVersion(certificate, name);
  const common = {
    boot_loader: version("boot_loader"),
    tee: version("tee"),
    snp: version("snp"),
    microcode: version("microcode"),
  };
  const tcb = product === "Turin" ? { fmc: version("fmc"), ...common } : common;

  const other = kind === "VCEK" ? PROVIDER_ID : HARDWARE_ID;
  if (valueOf(certificate, other) !== undefined) throw problem(`it is a ${kind} and has the extension ${other}`);
  return {
    kind,
    product,
    productName,
    tcb,
    hardwareId: kind === "VCEK" ? hardwareId(certificate, product) : undefined,
    providerId: kind === "VLEK" ? text(certificate, PROVIDER_ID, "provider") : undefined,
  };
}

/** The one common name of a name. @throws FormatError where there is none, or several */
export function commonNameOf(name: Uint8Array): string {
  const [first, ...others] = nameAttributes(name).filter(({ oid }) => oid === COMMON_NAME);
  if (first?.value === undefined || others.length > 0) throw problem("a name in it has not one common name");
  return first.value;
}

function kindOf(commonName: string): "VCEK" | "VLEK" {
  switch (commonName) {
    case "SEV-VCEK":
      return "VCEK";
    case "SEV-VLEK":
      return "VLEK";
    default:
      throw problem(`it is of ${JSON.stringify(commonName.slice(0, 64))} and not of SEV-VCEK or SEV-VLEK`);
  }
}

function securityVersion(certificate: Certificate, name: keyof typeof SECURITY_VERSIONS): number {
  const oid = `${AMD}.3.${SECURITY_VERSIONS[name]}`;
  const reader = new DerReader(required(certificate, oid, `security version of ${name}`), "a key's certificate of AMD");
  const version = reader.smallInteger(`the security version of ${name}`);
  reader.end();
  if (version > 0xff) throw problem(`the security version of ${name}, ${version}, does not fit a byte`);
  return version;
}

/**
 * AMD puts the identifier into the extension as it is. An OCTET STRING around it has been seen in a made-up certificate
 * only (that of confidential-containers/trustee), and is read too: the lengths tell them apart.
 */
function hardwareId(certificate: Certificate, product: SnpProduct): Uint8Array {
  const value = required(certificate, HARDWARE_ID, "hardware ID");
  const length = product === "Turin" ? 8 : 64;
  if (value.length === length) return value;
  if (value.length === length + 2 && value[0] === TAG.octetString && value[1] === length) return value.subarray(2);
  throw problem(`its hardware ID has ${value.length} bytes and must have ${length}`);
}

function text(certificate: Certificate, oid: string, field: string): string {
  const reader = new DerReader(required(certificate, oid, field), "a key's certificate of AMD");
  const contents = reader.contents(TAG.ia5String, `the ${field}`);
  reader.end();
  if (contents.some((byte) => byte < 0x20 || byte > 0x7e)) throw problem(`its ${field} is not of printable characters`);
  return toByteString(contents);
}

function required(certificate: Certificate, oid: string, field: string): Uint8Array {
  const value = valueOf(certificate, oid);
  if (value === undefined) throw problem(`it has no ${field} (extension ${oid})`);
  return value;
}

function valueOf({ extensions }: Certificate, oid: string): Uint8Array | undefined {
  return extensions.find((extension) => extension.oid === oid)?.value;
}

function problem(text: string): FormatError {
  return new FormatError(`Cannot read a key's certificate of AMD: ${text}`);
}
