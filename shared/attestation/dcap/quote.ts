/**
 * A DCAP quote: a report, the signature over it, and where the signing key comes from.
 *
 * In: bytes as the quoting enclave gave them, which may stand in a larger buffer. Out: the parts, as views into the input.
 * Nothing is judged but the form: `verify.ts` asks whether any of it is true.
 * Format: attestation/formats.md §3.1 to §3.3. Integers are little-endian, ECDSA numbers big-endian
 *
 *     04 00 02 00 81 00 00 00  version 4, ECDSA on P-256, TDX
 *     00 00 00 00 93 9a 72 33 …  reserved, then the vendor of the quoting enclave: Intel
 */

import { FormatError } from "../../assert.ts";
import { equalBytes, fromHex, Reader, toHex } from "../../bytes.ts";
import { MAX_EVIDENCE_BYTES } from "../../limits.ts";
import type { Refusal } from "../evidence_steps.ts";
import {
  parseSgxReport,
  parseTdReport,
  type QuoteBody,
  SGX_REPORT_BYTES,
  type SgxReport,
  TD_REPORT_10_BYTES,
  TD_REPORT_15_BYTES,
} from "./bodies.ts";

export interface QuoteHeader {
  readonly version: number;
  /** 2 is ECDSA on P-256, the only one in use. */
  readonly attestationKeyType: number;
  /** 0 is SGX, 0x81 TDX. Version 3 keeps these bytes reserved, which comes to the same. */
  readonly teeType: number;
  /** 16 bytes. */
  readonly qeVendorId: Uint8Array;
  /** 20 bytes that the quoting enclave chose. */
  readonly userData: Uint8Array;
}

export interface CertificationData {
  /** See `CERTIFICATION_TYPES`. */
  readonly type: number;
  readonly data: Uint8Array;
}

export interface Quote {
  readonly header: QuoteHeader;
  readonly body: QuoteBody;
  /** Header and body, with what describes the body: the bytes that the attestation key signs. */
  readonly signed: Uint8Array;
  /** r ‖ s. */
  readonly signature: Uint8Array;
  /** x ‖ y on P-256. */
  readonly attestationKey: Uint8Array;
  /** Of the quoting enclave, which vouches for the attestation key. */
  readonly qeReport: SgxReport;
  /** r ‖ s, by the platform's PCK. */
  readonly qeReportSignature: Uint8Array;
  readonly qeAuthData: Uint8Array;
  /** Where the PCK certificate is found. */
  readonly certification: CertificationData;
  /** What stands in the buffer behind the quote. */
  readonly trailing: Uint8Array;
}

/** What certification data can be, for messages. */
export const CERTIFICATION_TYPES: Readonly<Record<number, string>> = {
  1: "a platform ID in clear text",
  2: "a platform ID encrypted with RSA-2048",
  3: "a platform ID encrypted with RSA-3072",
  4: "a PCK certificate without its chain",
  5: "a PCK certificate with its chain",
  6: "the report of a quoting enclave",
  7: "a platform manifest",
};
export const PCK_CHAIN_TYPE = 5;
const QE_REPORT_TYPE = 6;

const HEADER_BYTES = 48;
const TEE_SGX = 0;
export const TEE_TDX = 0x81;
const ECDSA_P256 = 2;
const INTEL_QE_VENDOR = fromHex("939a7233f79c4ca9940a0db3957f0607");
const V5_BODIES: Readonly<Record<number, { kind: QuoteBody["kind"]; size: number }>> = {
  1: { kind: "sgx", size: SGX_REPORT_BYTES },
  2: { kind: "td10", size: TD_REPORT_10_BYTES },
  3: { kind: "td15", size: TD_REPORT_15_BYTES },
};

/** Reads the first 48 bytes, whatever they say. @throws FormatError where there are not as many, or far too many */
export function parseQuoteHeader(bytes: Uint8Array): QuoteHeader {
  if (bytes.length > MAX_EVIDENCE_BYTES) {
    throw new FormatError(`Cannot read a quote: it is longer than ${MAX_EVIDENCE_BYTES} bytes`);
  }
  if (bytes.length < HEADER_BYTES) {
    throw new FormatError(
      `Cannot read a quote: it has ${bytes.length} bytes, and its header alone has ${HEADER_BYTES}`,
    );
  }
  const reader = new Reader(bytes);
  const version = u16(reader);
  const attestationKeyType = u16(reader);
  const teeType = reader.u32();
  reader.bytes(4); // SVNs of the quoting and the provisioning enclave, which version 4 and 5 keep reserved
  return { version, attestationKeyType, teeType, qeVendorId: reader.bytes(16), userData: reader.bytes(20) };
}

/** Why a quote with this header is not one that we know, if it is not. */
export function headerRefusal(header: QuoteHeader): Refusal | undefined {
  const { version, attestationKeyType, teeType, qeVendorId } = header;
  if (version < 3 || version > 5) {
    return { code: "unsupported_version", detail: `quotes of version ${version} are not known, only of 3, 4 and 5` };
  }
  if (attestationKeyType !== ECDSA_P256) {
    const detail = `attestation keys of type ${attestationKeyType} are not known, only ECDSA on P-256, which is type 2`;
    return { code: "unsupported_key_type", detail };
  }
  if (teeType !== TEE_SGX && (version === 3 || teeType !== TEE_TDX)) {
    const detail = `a quote of version ${version} is not about a TEE of type 0x${teeType.toString(16)}`;
    return { code: "unsupported_tee_type", detail };
  }
  if (!equalBytes(qeVendorId, INTEL_QE_VENDOR)) {
    return { code: "malformed", detail: `the quoting enclave's vendor is ${toHex(qeVendorId)} and not Intel` };
  }
  return undefined;
}

/** @throws FormatError also where the header is of a kind that we do not know */
export function parseQuote(bytes: Uint8Array): Quote {
  const header = parseQuoteHeader(bytes);
  const refusal = headerRefusal(header);
  if (refusal !== undefined) throw new FormatError(`Cannot read a quote: ${refusal.detail}`);

  const reader = new Reader(bytes, HEADER_BYTES);
  const { kind, size } = header.version === 5 ? readBodyDescriptor(reader) : bodyOf(header);
  if ((kind === "sgx") !== (header.teeType === TEE_SGX)) {
    throw new FormatError(`Cannot read a quote: its header and its body, ${kind}, are of two kinds of TEE`);
  }
  const bodyBytes = reader.bytes(size);
  const body = kind === "sgx" ? parseSgxReport(bodyBytes) : parseTdReport(kind, bodyBytes);
  const signed = bytes.subarray(0, reader.position);
  const signatureData = reader.bytes(reader.u32());
  return { header, body, signed, ...parseSignatureData(header.version, signatureData), trailing: reader.rest() };
}

function bodyOf({ teeType }: QuoteHeader): { kind: QuoteBody["kind"]; size: number } {
  return teeType === TEE_SGX ? V5_BODIES[1]! : V5_BODIES[2]!;
}

/** Version 5 says which body follows, and how long it is. */
function readBodyDescriptor(reader: Reader): { kind: QuoteBody["kind"]; size: number } {
  const type = u16(reader);
  const size = reader.u32();
  const known = V5_BODIES[type];
  if (known === undefined) throw new FormatError(`Cannot read a quote: a body of type ${type} is not known`);
  if (size !== known.size) {
    throw new FormatError(
      `Cannot read a quote: its body of type ${type} is said to have ${size} bytes, not ${known.size}`,
    );
  }
  return known;
}

type SignatureData = Omit<Quote, "header" | "body" | "signed" | "trailing">;

/** Version 3 has all parts in a row; later ones wrap what the quoting enclave adds into certification data of type 6. */
function parseSignatureData(version: number, bytes: Uint8Array): SignatureData {
  const reader = new Reader(bytes);
  const signature = reader.bytes(64);
  const attestationKey = reader.bytes(64);
  if (version === 3) return { signature, attestationKey, ...parseQePart(reader) };
  const { type, data } = readCertificationData(reader);
  if (type !== QE_REPORT_TYPE) {
    throw new FormatError(`Cannot read a quote: behind the attestation key stands data of type ${type}, not 6`);
  }
  return { signature, attestationKey, ...parseQePart(new Reader(data)) };
}

function parseQePart(reader: Reader): Omit<SignatureData, "signature" | "attestationKey"> {
  return {
    qeReport: parseSgxReport(reader.bytes(SGX_REPORT_BYTES)),
    qeReportSignature: reader.bytes(64),
    qeAuthData: reader.bytes(u16(reader)),
    certification: readCertificationData(reader),
  };
}

/** It is the last thing in whatever holds it. */
function readCertificationData(reader: Reader): CertificationData {
  const type = u16(reader);
  const data = reader.bytes(reader.u32());
  if (!reader.done) {
    throw new FormatError(`Cannot read a quote: ${reader.remaining} bytes are left inside its signature`);
  }
  return { type, data };
}

function u16(reader: Reader): number {
  return reader.u8() + reader.u8() * 256;
}
