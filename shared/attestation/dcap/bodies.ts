/**
 * What a DCAP quote is about: the report of an SGX enclave or of a TDX trust domain.
 *
 * In: the bytes of a report. Out: its fields, all as views into the input.
 * Knows nothing of quotes and signatures.
 * Format: attestation/formats.md §3.2; Intel's "SGX ECDSA Quote Library Reference" and "TDX DCAP Quoting Library API"
 */

import { FormatError } from "../../assert.ts";
import { Reader } from "../../bytes.ts";

export const SGX_REPORT_BYTES = 384;
export const TD_REPORT_10_BYTES = 584;
export const TD_REPORT_15_BYTES = 648;

/** Bytes stand in the order of memory; names are Intel's. */
export interface SgxReport {
  readonly kind: "sgx";
  /** The report whole, as it is signed. */
  readonly bytes: Uint8Array;
  /** 16 bytes. */
  readonly cpuSvn: Uint8Array;
  /** 4 bytes. */
  readonly miscSelect: Uint8Array;
  /** 16 bytes. */
  readonly isvExtProdId: Uint8Array;
  /** 16 bytes: flags (bit 1 is DEBUG), then XFRM. */
  readonly attributes: Uint8Array;
  /** SHA-256 of the enclave's code and data. */
  readonly mrenclave: Uint8Array;
  /** SHA-256 of the signer's RSA modulus. */
  readonly mrsigner: Uint8Array;
  /** 64 bytes. */
  readonly configId: Uint8Array;
  readonly isvProdId: number;
  readonly isvSvn: number;
  readonly configSvn: number;
  /** 16 bytes. */
  readonly isvFamilyId: Uint8Array;
  /** 64 bytes that the enclave chose. */
  readonly reportData: Uint8Array;
}

/** A trust domain's report, 1.0 or 1.5. Digests are SHA-384, 48 bytes. */
export interface TdReport {
  readonly kind: "td10" | "td15";
  /** The report whole, as it is signed. */
  readonly bytes: Uint8Array;
  /** 16 bytes: minor SVN and major version of the TDX module, SVN of its loader, others of the platform. */
  readonly teeTcbSvn: Uint8Array;
  /** Digest of the TDX module. */
  readonly mrseam: Uint8Array;
  /** Of who signed the TDX module; zero for Intel. */
  readonly mrsignerseam: Uint8Array;
  /** 8 bytes. */
  readonly seamAttributes: Uint8Array;
  /** 8 bytes: byte 0 is not zero where the host can look into the domain. */
  readonly tdAttributes: Uint8Array;
  /** 8 bytes. */
  readonly xfam: Uint8Array;
  /** Digest of what the domain was started with. */
  readonly mrtd: Uint8Array;
  readonly mrconfigid: Uint8Array;
  readonly mrowner: Uint8Array;
  readonly mrownerconfig: Uint8Array;
  readonly rtmr0: Uint8Array;
  readonly rtmr1: Uint8Array;
  readonly rtmr2: Uint8Array;
  readonly rtmr3: Uint8Array;
  /** 64 bytes that the domain chose. */
  readonly reportData: Uint8Array;
  /** Only 1.5: `teeTcbSvn` of the module that runs now, which may be newer than the one that the domain began under. */
  readonly teeTcbSvn2?: Uint8Array;
  /** Only 1.5. */
  readonly mrservicetd?: Uint8Array;
}

export type QuoteBody = SgxReport | TdReport;

/** @throws FormatError where there are not 384 bytes */
export function parseSgxReport(bytes: Uint8Array): SgxReport {
  expectLength(bytes, SGX_REPORT_BYTES, "an SGX report");
  const at = (start: number, length: number) => bytes.subarray(start, start + length);
  const u16 = (start: number) => bytes[start]! + bytes[start + 1]! * 256;
  return {
    kind: "sgx",
    bytes,
    cpuSvn: at(0, 16),
    miscSelect: at(16, 4),
    isvExtProdId: at(32, 16),
    attributes: at(48, 16),
    mrenclave: at(64, 32),
    mrsigner: at(128, 32),
    configId: at(192, 64),
    isvProdId: u16(256),
    isvSvn: u16(258),
    configSvn: u16(260),
    isvFamilyId: at(304, 16),
    reportData: at(320, 64),
  };
}

/** @throws FormatError where there are not as many bytes as this kind of report has */
export function parseTdReport(kind: TdReport["kind"], bytes: Uint8Array): TdReport {
  expectLength(bytes, kind === "td10" ? TD_REPORT_10_BYTES : TD_REPORT_15_BYTES, "a TD report");
  const reader = new Reader(bytes);
  const report: TdReport = {
    kind,
    bytes,
    teeTcbSvn: reader.bytes(16),
    mrseam: reader.bytes(48),
    mrsignerseam: reader.bytes(48),
    seamAttributes: reader.bytes(8),
    tdAttributes: reader.bytes(8),
    xfam: reader.bytes(8),
    mrtd: reader.bytes(48),
    mrconfigid: reader.bytes(48),
    mrowner: reader.bytes(48),
    mrownerconfig: reader.bytes(48),
    rtmr0: reader.bytes(48),
    rtmr1: reader.bytes(48),
    rtmr2: reader.bytes(48),
    rtmr3: reader.bytes(48),
    reportData: reader.bytes(64),
  };
  return kind === "td10" ? report : { ...report, teeTcbSvn2: reader.bytes(16), mrservicetd: reader.bytes(48) };
}

/**
 * Whether the host may look into what this report is about: SGX by the flag DEBUG, TDX by any bit of the first byte of
 * TDATTRIBUTES, since all of those are kept for debugging.
 */
export function isDebuggable(body: QuoteBody): boolean {
  return body.kind === "sgx" ? (body.attributes[0]! & 0x02) !== 0 : body.tdAttributes[0] !== 0;
}

/** TDATTRIBUTES bit 28: a page that the host takes away is not silently given back to the domain. */
export function hasSeptVeDisabled(body: TdReport): boolean {
  return (body.tdAttributes[3]! & 0x10) !== 0;
}

/** TDATTRIBUTES bit 29: the domain can be moved to another machine, by a service that this report does not vouch for. */
export function isMigratable(body: TdReport): boolean {
  return (body.tdAttributes[3]! & 0x20) !== 0;
}

function expectLength(bytes: Uint8Array, length: number, subject: string): void {
  if (bytes.length !== length) {
    throw new FormatError(`Cannot read ${subject}: it has ${bytes.length} bytes and must have ${length}`);
  }
}
