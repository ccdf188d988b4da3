/**
 * What Intel says about platforms, with the certificates and lists that prove it: DCAP's "collateral".
 *
 * In: a collateral file, or raw answers of Intel's Provisioning Certification Service (PCS) or of a cache of it. Out: the
 * texts, kept exactly as they were signed; and those parsed, which a caller may keep for many quotes.
 * Nothing is judged here: `verify.ts` does.
 * Format: attestation/formats.md §3.5; the file is that of the vectors: PEM chains, the exact inner JSON texts, signatures
 * and revocation lists in hex, a list that is not there null
 */

import { FormatError } from "../../assert.ts";
import { fromHex, fromUtf8, toHex, toUtf8 } from "../../bytes.ts";
import { object, orNull, text } from "../../json_shape.ts";
import { MAX_CRL_BYTES } from "../../limits.ts";
import { TAG } from "../../crypto/der.ts";
import { parsePemBlock } from "../../crypto/pem.ts";
import type { Certificate } from "../../crypto/x509.ts";
import { parseRevocationList, type RevocationList } from "../../crypto/x509_crl.ts";
import { parsePemChain } from "./pck_certificate.ts";
import { parseQeIdentity, type QeIdentity } from "./qe_identity.ts";
import { parseStatementJson } from "./statement_json.ts";
import { parseTcbInfo, type TcbInfo } from "./tcb_info.ts";

/** A collateral file, member by member. */
export interface CollateralTexts {
  /** PEM, signer first, root last. */
  readonly tcb_info_issuer_chain: string;
  /** The inner JSON object, character by character as it was signed. */
  readonly tcb_info: string;
  /** Hex of r ‖ s, either case. */
  readonly tcb_info_signature: string;
  readonly qe_identity_issuer_chain: string;
  readonly qe_identity: string;
  readonly qe_identity_signature: string;
  /** Hex of DER, either case. */
  readonly root_ca_crl: string | null;
  readonly pck_crl: string | null;
  /** PEM of the list's issuer, and root; a quote holds the same certificates, so that it may be left out. */
  readonly pck_crl_issuer_chain: string | null;
}

/** Something that Intel said, with what proves it. */
export interface Statement<T> {
  /** Signer first, root last. */
  readonly chain: readonly Certificate[];
  /** The bytes that are signed. */
  readonly signed: Uint8Array;
  /** r ‖ s. */
  readonly signature: Uint8Array;
  readonly value: T;
}

/** Parsed collateral. */
export interface Collateral {
  readonly tcbInfo: Statement<TcbInfo>;
  readonly qeIdentity: Statement<QeIdentity>;
  readonly rootCrl: RevocationList | undefined;
  readonly pckCrl: RevocationList | undefined;
  readonly pckCrlIssuerChain: readonly Certificate[] | undefined;
}

/** An answer of the PCS: its body, and the header that names the signer: PEM, URL-encoded. */
export interface PcsAnswer {
  readonly body: Uint8Array;
  readonly issuerChain: string;
}

export interface PcsAnswers {
  /** `/sgx/certification/v4/tcb` or `/tdx/certification/v4/tcb`; header `TCB-Info-Issuer-Chain`. */
  readonly tcbInfo: PcsAnswer;
  /** `…/qe/identity`; header `SGX-Enclave-Identity-Issuer-Chain`. */
  readonly qeIdentity: PcsAnswer;
  /** `/sgx/certification/v4/pckcrl`; header `SGX-PCK-CRL-Issuer-Chain`. */
  readonly pckCrl?: PcsAnswer;
  /** `IntelSGXRootCA.der`, or `/rootcacrl` of a cache. */
  readonly rootCrl?: Uint8Array;
}

const SIGNATURE_BYTES = 64;

const fileShape = object(
  {
    tcb_info_issuer_chain: text,
    tcb_info: text,
    tcb_info_signature: text,
    qe_identity_issuer_chain: text,
    qe_identity: text,
    qe_identity_signature: text,
    root_ca_crl: orNull(text),
    pck_crl: orNull(text),
  },
  { pck_crl_issuer_chain: text },
);

/** Checks that parsed JSON is a collateral file. @throws FormatError */
export function collateralTexts(json: unknown): CollateralTexts {
  const { pck_crl_issuer_chain = null, ...others } = fileShape(json, "");
  return { ...others, pck_crl_issuer_chain };
}

/** @throws FormatError */
export function parseCollateral(texts: CollateralTexts): Collateral {
  return {
    tcbInfo: {
      chain: parsePemChain(texts.tcb_info_issuer_chain),
      signed: toUtf8(texts.tcb_info),
      signature: signatureBytes(texts.tcb_info_signature),
      value: parseTcbInfo(texts.tcb_info),
    },
    qeIdentity: {
      chain: parsePemChain(texts.qe_identity_issuer_chain),
      signed: toUtf8(texts.qe_identity),
      signature: signatureBytes(texts.qe_identity_signature),
      value: parseQeIdentity(texts.qe_identity),
    },
    rootCrl: listOrNothing(texts.root_ca_crl),
    pckCrl: listOrNothing(texts.pck_crl),
    pckCrlIssuerChain: texts.pck_crl_issuer_chain === null ? undefined : parsePemChain(texts.pck_crl_issuer_chain),
  };
}

/**
 * A collateral file made from what the PCS answered. The signed object is cut out of the answer as it stands there:
 * written anew, it would have other bytes and no signature.
 *
 * @throws FormatError where an answer has not the form it must have; whether it is true is seen later
 */
export function collateralFromPcs({ tcbInfo, qeIdentity, pckCrl, rootCrl }: PcsAnswers): CollateralTexts {
  const info = signedMember(tcbInfo, "tcbInfo");
  const identity = signedMember(qeIdentity, "enclaveIdentity");
  return {
    tcb_info_issuer_chain: info.chain,
    tcb_info: info.text,
    tcb_info_signature: info.signature,
    qe_identity_issuer_chain: identity.chain,
    qe_identity: identity.text,
    qe_identity_signature: identity.signature,
    root_ca_crl: rootCrl === undefined ? null : toHex(listBytes(rootCrl)),
    pck_crl: pckCrl === undefined ? null : toHex(listBytes(pckCrl.body)),
    pck_crl_issuer_chain: pckCrl === undefined ? null : urlDecoded(pckCrl.issuerChain),
  };
}

function signedMember(
  { body, issuerChain }: PcsAnswer,
  name: string,
): { text: string; signature: string; chain: string } {
  const { value, members } = parseStatementJson(fromUtf8(body));
  const { signature } = object({ signature: text })(value, "");
  const member = members.get(name);
  if (member === undefined) throw new FormatError(`Cannot read an answer of the PCS: it has no member "${name}"`);
  return { text: member, signature, chain: urlDecoded(issuerChain) };
}

function urlDecoded(header: string): string {
  try {
    return decodeURIComponent(header);
  } catch {
    throw new FormatError("Cannot read an answer of the PCS: its issuer chain is not URL-encoded");
  }
}

/** A list comes in DER if one asks for it, else in PEM; caches answer DER in hex. */
function listBytes(body: Uint8Array): Uint8Array {
  if (body[0] === TAG.sequence) return body; // hex of the same begins with "3", which is another byte
  const written = fromUtf8(body).trim();
  return written.startsWith("-----BEGIN ") ? parsePemBlock(written, "X509 CRL") : fromHex(written);
}

function signatureBytes(hex: string): Uint8Array {
  if (hex.length !== 2 * SIGNATURE_BYTES) {
    throw new FormatError(
      `Cannot read a signature: it has ${hex.length} hex digits and must have ${2 * SIGNATURE_BYTES}`,
    );
  }
  return fromHex(hex);
}

function listOrNothing(hex: string | null): RevocationList | undefined {
  if (hex === null) return undefined;
  if (hex.length > 2 * MAX_CRL_BYTES) {
    throw new FormatError(`Cannot read a revocation list: it is longer than ${MAX_CRL_BYTES} bytes`);
  }
  return parseRevocationList(fromHex(hex));
}
