/**
 * The certificate of a platform's provisioning key (PCK): which processor it is, and how new its parts are.
 *
 * In: certification data of a quote, a certificate. Out: the chain; Intel's SGX extension, read.
 * Knows nothing of what Intel thinks of these numbers: see `tcb_info.ts`.
 * Format: attestation/formats.md §3.4; Intel's "SGX PCK Certificate and CRL Profile Specification"
 */

import { FormatError } from "../../assert.ts";
import { fromUtf8, toHex } from "../../bytes.ts";
import { type DerReader, readDer } from "../../crypto/der.ts";
import { type Certificate, parseCertificateBundle } from "../../crypto/x509.ts";
import { attributeOid, nameAttributes } from "../../crypto/x509_name.ts";
import { MAX_EVIDENCE_CHAIN } from "../../limits.ts";
import type { Refusal } from "../evidence_steps.ts";

/** A platform as its certificate describes it. */
export interface PckPlatform {
  /** Hex, 16 bytes: names the processor, or the processors of one board. */
  readonly ppid: string;
  /** SVNs of sixteen components, each 0 to 255. */
  readonly components: readonly number[];
  /** Of the provisioning certification enclave. */
  readonly pceSvn: number;
  /** Hex, 16 bytes: the components as the processor gives them. */
  readonly cpuSvn: string;
  /** Hex, 2 bytes. */
  readonly pceId: string;
  /** Hex, 6 bytes: family, model, stepping, platform and SKU. TCB info is issued for one of these. */
  readonly fmspc: string;
  /** 0 standard, 1 scalable, 2 scalable with integrity. */
  readonly sgxType: number;
  /** Hex, 16 bytes; of multi-package platforms. */
  readonly platformInstanceId?: string;
  /** What the board's owner chose; of multi-package platforms. */
  readonly configuration?: PlatformConfiguration;
}

export interface PlatformConfiguration {
  readonly dynamicPlatform?: boolean;
  readonly cachedKeys?: boolean;
  readonly smtEnabled?: boolean;
}

export const PCK_NAMES: readonly (readonly string[])[] = [
  ["Intel SGX PCK Certificate"],
  ["Intel SGX PCK Processor CA", "Intel SGX PCK Platform CA"],
  ["Intel SGX Root CA"],
];
export const TCB_SIGNER_NAMES: readonly (readonly string[])[] = [["Intel SGX TCB Signing"], ["Intel SGX Root CA"]];

const SGX_EXTENSION = "1.2.840.113741.1.13.1";
const TCB = `${SGX_EXTENSION}.2`;
const CONFIGURATION = `${SGX_EXTENSION}.7`;
const ENUMERATED_TAG = 0x0a;
const COMPONENTS = 16;
const COMMON_NAME = attributeOid("CN");

/**
 * The certificates in PEM, as they stand in a quote (leaf, intermediate, root; a zero byte may follow) or in an answer.
 *
 * @throws FormatError
 */
export function parsePemChain(pem: Uint8Array | string): Certificate[] {
  const text = typeof pem === "string" ? pem : fromUtf8(pem.at(-1) === 0 ? pem.subarray(0, -1) : pem);
  const chain = parseCertificateBundle(text);
  if (chain.length > MAX_EVIDENCE_CHAIN) {
    throw new FormatError(`Cannot read a chain: it has ${chain.length} certificates, more than ${MAX_EVIDENCE_CHAIN}`);
  }
  return chain;
}

/** The one common name of a certificate's subject; undefined where there is none, or several, or none that can be read. */
export function commonName(certificate: Certificate): string | undefined {
  try {
    const names = nameAttributes(certificate.subject).filter(({ oid }) => oid === COMMON_NAME);
    return names.length === 1 ? names[0]!.value : undefined;
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/**
 * Whether the certificates of a chain, leaf first, play the parts that their names say: Intel has one root for
 * everything, so only the names tell a signer of TCB info from a platform.
 */
export function namesRefusal(
  chain: readonly Certificate[],
  names: readonly (readonly string[])[],
): Refusal | undefined {
  if (chain.length !== names.length) {
    return {
      code: "chain_invalid",
      detail: `the chain has ${chain.length} certificates and must have ${names.length}`,
    };
  }
  for (const [i, certificate] of chain.entries()) {
    const name = commonName(certificate);
    if (name === undefined || !names[i]!.includes(name)) {
      const wanted = names[i]!.map((one) => JSON.stringify(one)).join(" or ");
      return { code: "chain_invalid", detail: `a certificate has the name ${JSON.stringify(name)}, not ${wanted}` };
    }
  }
  return undefined;
}

/** Reads Intel's SGX extension of a PCK certificate. @throws FormatError */
export function parsePckPlatform(certificate: Certificate): PckPlatform {
  const extension = certificate.extensions.find(({ oid }) => oid === SGX_EXTENSION);
  if (extension === undefined) throw new FormatError("Cannot read a PCK certificate: it has no SGX extension");
  const fields = readFields(readDer(extension.value, "an SGX extension"));
  const tcb = readFields(required(fields, TCB, "the TCB").sequence("the TCB"));
  const platformInstanceId = fields.get(`${SGX_EXTENSION}.6`);
  const configuration = fields.get(CONFIGURATION);
  return {
    ppid: octets(fields, `${SGX_EXTENSION}.1`, "the PPID", 16),
    components: Array.from({ length: COMPONENTS }, (_, i) => svn(tcb, `${TCB}.${i + 1}`, `component ${i + 1}`, 0xff)),
    pceSvn: svn(tcb, `${TCB}.${COMPONENTS + 1}`, "the PCE's SVN", 0xffff),
    cpuSvn: octets(tcb, `${TCB}.${COMPONENTS + 2}`, "the CPUSVN", 16),
    pceId: octets(fields, `${SGX_EXTENSION}.3`, "the PCE's ID", 2),
    fmspc: octets(fields, `${SGX_EXTENSION}.4`, "the FMSPC", 6),
    sgxType: enumerated(required(fields, `${SGX_EXTENSION}.5`, "the type of SGX")),
    ...(platformInstanceId === undefined
      ? {}
      : { platformInstanceId: octets(fields, `${SGX_EXTENSION}.6`, "the platform's instance ID", 16) }),
    ...(configuration === undefined ? {} : { configuration: readConfiguration(configuration) }),
  };
}

/** A SEQUENCE of pairs of a name and a value; of each value a reader that stands before it. */
function readFields(list: DerReader): Map<string, DerReader> {
  const fields = new Map<string, DerReader>();
  while (!list.done) {
    const field = list.sequence("a field");
    const oid = field.oid("the name of a field");
    if (fields.has(oid)) throw list.error(`its field ${oid} is there twice`);
    fields.set(oid, field);
  }
  return fields;
}

function required(fields: ReadonlyMap<string, DerReader>, oid: string, field: string): DerReader {
  const reader = fields.get(oid);
  if (reader === undefined) throw new FormatError(`Cannot read an SGX extension: ${field} is missing`);
  return reader;
}

function octets(fields: ReadonlyMap<string, DerReader>, oid: string, field: string, length: number): string {
  const reader = required(fields, oid, field);
  const bytes = reader.octetString(field);
  reader.end();
  if (bytes.length !== length) throw reader.error(`${field} has ${bytes.length} bytes and must have ${length}`);
  return toHex(bytes);
}

function svn(fields: ReadonlyMap<string, DerReader>, oid: string, field: string, max: number): number {
  const reader = required(fields, oid, field);
  const value = reader.smallInteger(field);
  reader.end();
  if (value > max) throw reader.error(`${field} is ${value}, more than ${max}`);
  return value;
}

function enumerated(reader: DerReader): number {
  const contents = reader.contents(ENUMERATED_TAG, "the type of SGX");
  reader.end();
  if (contents.length !== 1 || contents[0]! > 0x7f) throw reader.error("the type of SGX is not a small number");
  return contents[0]!;
}

function readConfiguration(reader: DerReader): PlatformConfiguration {
  const fields = readFields(reader.sequence("the configuration"));
  const flag = (n: number) => {
    const field = fields.get(`${CONFIGURATION}.${n}`);
    const value = field?.boolean("a flag of the configuration");
    field?.end();
    return value;
  };
  const [dynamicPlatform, cachedKeys, smtEnabled] = [flag(1), flag(2), flag(3)];
  return {
    ...(dynamicPlatform === undefined ? {} : { dynamicPlatform }),
    ...(cachedKeys === undefined ? {} : { cachedKeys }),
    ...(smtEnabled === undefined ? {} : { smtEnabled }),
  };
}
