/**
 * A made-up Intel and a machine of it, for tests: root and signers, what Intel says, a quoting enclave, and its quotes.
 *
 * In: what is to differ from a good machine that is up to date. Out: evidence as `verifyDcap` takes it, with the pin of the
 * made-up root. All keys are fixed numbers, so that two runs make the same.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { concat, fromHex, toHex, toUtf8, Writer } from "../shared/bytes.ts";
import {
  TAG,
  writeBitString,
  writeBoolean,
  writeDer,
  writeOctetString,
  writeOid,
  writeSequence,
  writeUnsigned,
} from "../shared/crypto/der.ts";
import { ecdsaSign, type EcPrivateKey, ecPrivateKey, serialiseDerSignature } from "../shared/crypto/ecdsa.ts";
import { ecdsaAlgorithm } from "../shared/crypto/public_key.ts";
import { parseCertificate, serialiseCertificatePem } from "../shared/crypto/x509.ts";
import { type CertificateFields, toBeSigned, withSignature } from "../shared/crypto/x509_build.ts";
import { basicConstraintsExtension, keyUsageExtension } from "../shared/crypto/x509_extensions.ts";
import { nameFromText } from "../shared/crypto/x509_name.ts";
import type { CollateralTexts } from "../shared/attestation/dcap/collateral.ts";
import { pinOf } from "../shared/attestation/evidence_chain.ts";

export const DCAP_AT = Date.parse("2026-06-15T12:00:00Z");
const FROM = Date.parse("2026-06-01T00:00:00Z");
const TO = Date.parse("2026-07-01T00:00:00Z");
const FOREVER = { notBeforeMs: Date.parse("2020-01-01T00:00:00Z"), notAfterMs: Date.parse("2040-01-01T00:00:00Z") };
export const SGX_EXTENSION = "1.2.840.113741.1.13.1";
const INTEL_VENDOR = fromHex("939a7233f79c4ca9940a0db3957f0607");

export type DcapRole = "root" | "pckCa" | "pck" | "tcbSigner";
// deno-lint-ignore no-explicit-any -- JSON that a test changes as it likes
export type Json = any;

/** What differs from a good machine. Functions change what they are given, before it is signed. */
export interface DcapDifferences {
  /** Version 4 and TDX 1.0 where left out. */
  readonly version?: 3 | 4 | 5;
  readonly kind?: "sgx" | "td10" | "td15";
  readonly body?: (bytes: Uint8Array) => void;
  readonly qeReport?: (bytes: Uint8Array) => void;
  readonly authData?: Uint8Array;
  /** Of the platform's sixteen components; sixteen sevens where left out. */
  readonly components?: readonly number[];
  readonly pceSvn?: number;
  readonly fmspc?: string;
  readonly tcbInfo?: (info: Json) => void;
  readonly qeIdentity?: (identity: Json) => void;
  /** Of both statements, as texts. */
  readonly statementText?: (text: string) => string;
  readonly certificate?: (role: DcapRole, fields: CertificateFields) => CertificateFields;
  /** Serial numbers, one byte each. */
  readonly revokedByRoot?: readonly number[];
  readonly revokedByPckCa?: readonly number[];
  /** The PCK's key, if not one on P-256. */
  readonly pckKey?: EcPrivateKey;
  /** Signatures are of the right form and no more: for tests that look at none, since signing takes most of the time. */
  readonly unsigned?: boolean;
}

export interface DcapMade {
  readonly quote: Uint8Array;
  readonly collateral: CollateralTexts;
  readonly pins: readonly string[];
  readonly at: number;
}

const key = (number: number) => ecPrivateKey("P-256", new Uint8Array(32).fill(number));
const KEYS: Readonly<Record<DcapRole | "attestation", EcPrivateKey>> = {
  root: key(1),
  pckCa: key(2),
  pck: key(3),
  tcbSigner: key(4),
  attestation: key(5),
};
const NAMES: Readonly<Record<DcapRole, Uint8Array>> = {
  root: nameFromText("CN=Intel SGX Root CA,O=Made up"),
  pckCa: nameFromText("CN=Intel SGX PCK Platform CA,O=Made up"),
  pck: nameFromText("CN=Intel SGX PCK Certificate,O=Made up"),
  tcbSigner: nameFromText("CN=Intel SGX TCB Signing,O=Made up"),
};
export const DCAP_SERIALS: Readonly<Record<DcapRole, number>> = { root: 1, pckCa: 2, pck: 3, tcbSigner: 4 };

const u16 = (value: number) => Uint8Array.of(value & 0xff, value >> 8);
const u32 = (value: number) => new Writer().u32(value).finish();
const filled = (length: number, byte: number) => new Uint8Array(length).fill(byte);

export function makeDcap(differences: DcapDifferences = {}): DcapMade {
  const root = certificate("root", "root", [], differences);
  const pckCa = certificate("pckCa", "root", [], differences);
  const pck = certificate("pck", "pckCa", [sgxExtension(differences)], differences);
  const tcbSigner = certificate("tcbSigner", "root", [], differences);
  const pem = (...chain: Uint8Array[]) => chain.map(serialiseCertificatePem).join("");
  const text = (value: Json) => (differences.statementText ?? ((same) => same))(JSON.stringify(value));
  const [tcbInfo, qeIdentity] = [text(tcbInfoOf(differences)), text(qeIdentityOf(differences))];
  return {
    quote: quoteOf(differences, toUtf8(pem(pck, pckCa, root))),
    collateral: {
      tcb_info_issuer_chain: pem(tcbSigner, root),
      tcb_info: tcbInfo,
      tcb_info_signature: toHex(sign(KEYS.tcbSigner, toUtf8(tcbInfo), differences)),
      qe_identity_issuer_chain: pem(tcbSigner, root),
      qe_identity: qeIdentity,
      qe_identity_signature: toHex(sign(KEYS.tcbSigner, toUtf8(qeIdentity), differences)),
      root_ca_crl: toHex(revocationList("root", differences.revokedByRoot ?? [], differences)),
      pck_crl: toHex(revocationList("pckCa", differences.revokedByPckCa ?? [], differences)),
      pck_crl_issuer_chain: pem(pckCa, root),
    },
    pins: [pinOf(parseCertificate(root))],
    at: DCAP_AT,
  };
}

/** r ‖ s on P-256; of another curve as many bytes of it. */
function sign(key: EcPrivateKey, message: Uint8Array, { unsigned = false }: DcapDifferences): Uint8Array {
  return unsigned ? filled(64, 1) : ecdsaSign(key, message).subarray(0, 64);
}

function certificate(
  role: DcapRole,
  issuer: DcapRole,
  extensions: CertificateFields["extensions"],
  differences: DcapDifferences,
): Uint8Array {
  const { certificate: change = (_, fields) => fields, pckKey } = differences;
  const isAuthority = role === "root" || role === "pckCa";
  const publicKey = (role === "pck" ? pckKey ?? KEYS.pck : KEYS[role]).publicKey;
  const fields: CertificateFields = {
    serial: Uint8Array.of(DCAP_SERIALS[role]),
    signatureAlgorithm: ecdsaAlgorithm("SHA-256"),
    issuer: NAMES[issuer],
    ...FOREVER,
    subject: NAMES[role],
    spki: publicKey.spki,
    extensions: [
      basicConstraintsExtension({ ca: isAuthority, pathLength: role === "pckCa" ? 0 : undefined }),
      isAuthority ? keyUsageExtension("keyCertSign", "cRLSign") : keyUsageExtension("digitalSignature"),
      ...extensions,
    ],
  };
  const tbs = toBeSigned(change(role, fields));
  return withSignature(tbs, serialiseDerSignature(sign(KEYS[issuer], tbs, differences)));
}

/** Intel's extension, of a multi-package platform. */
export function sgxExtension(
  { components = filledList(7), pceSvn = 11, fmspc = "00a1b2c3d4e5" }: DcapDifferences = {},
): CertificateFields["extensions"][number] {
  const field = (suffix: string, value: Uint8Array) => writeSequence(writeOid(`${SGX_EXTENSION}${suffix}`), value);
  const tcb = writeSequence(
    ...components.map((svn, i) => field(`.2.${i + 1}`, writeUnsigned(svn))),
    field(".2.17", writeUnsigned(pceSvn)),
    field(".2.18", writeOctetString(Uint8Array.from(components))),
  );
  const configuration = writeSequence(
    field(".7.1", writeBoolean(true)),
    field(".7.2", writeBoolean(false)),
    field(".7.3", writeBoolean(true)),
  );
  const value = writeSequence(
    field(".1", writeOctetString(filled(16, 0x11))),
    field(".2", tcb),
    field(".3", writeOctetString(filled(2, 0))),
    field(".4", writeOctetString(fromHex(fmspc))),
    field(".5", writeDer(0x0a, Uint8Array.of(1))),
    field(".6", writeOctetString(filled(16, 0x66))),
    field(".7", configuration),
  );
  return { oid: SGX_EXTENSION, critical: false, value };
}

function filledList(value: number): number[] {
  return new Array<number>(16).fill(value);
}

function revocationList(
  issuer: "root" | "pckCa",
  serials: readonly number[],
  differences: DcapDifferences,
): Uint8Array {
  const time = (ms: number) =>
    writeDer(TAG.utcTime, toUtf8(`${new Date(ms).toISOString().slice(2, 19).replace(/[-T:]/g, "")}Z`));
  const entries = serials.map((serial) => writeSequence(writeUnsigned(serial), time(FROM)));
  const tbs = writeSequence(
    writeUnsigned(1),
    ecdsaAlgorithm("SHA-256"),
    NAMES[issuer],
    time(FROM),
    time(TO),
    entries.length === 0 ? new Uint8Array() : writeSequence(...entries),
  );
  const signature = serialiseDerSignature(sign(KEYS[issuer], tbs, differences));
  return writeSequence(tbs, ecdsaAlgorithm("SHA-256"), writeBitString(signature));
}

const DATES = { issueDate: "2026-06-01T00:00:00Z", nextUpdate: "2026-07-01T00:00:00Z" };

function tcbInfoOf({ kind = "td10", tcbInfo: change = () => {} }: DcapDifferences): Json {
  const svns = (value: number) => filledList(value).map((svn) => ({ svn }));
  const module = { mrsigner: "00".repeat(48), attributes: "00".repeat(8), attributesMask: "FF".repeat(8) };
  const level = (svn: number, date: string, tcbStatus: string, ...advisoryIDs: string[]) => ({
    tcb: {
      sgxtcbcomponents: svns(svn),
      pcesvn: 11,
      ...(kind === "sgx" ? {} : { tdxtcbcomponents: svns(svn) }),
    },
    tcbDate: date,
    tcbStatus,
    ...(advisoryIDs.length === 0 ? {} : { advisoryIDs }),
  });
  const moduleLevel = (isvsvn: number, date: string, tcbStatus: string, ...advisoryIDs: string[]) => ({
    tcb: { isvsvn },
    tcbDate: date,
    tcbStatus,
    ...(advisoryIDs.length === 0 ? {} : { advisoryIDs }),
  });
  const info = {
    id: kind === "sgx" ? "SGX" : "TDX",
    version: 3,
    ...DATES,
    fmspc: "00A1B2C3D4E5",
    pceId: "0000",
    tcbType: 0,
    tcbEvaluationDataNumber: 20,
    ...(kind === "sgx" ? {} : {
      tdxModule: module,
      tdxModuleIdentities: [{
        ...module,
        id: "TDX_01",
        tcbLevels: [
          moduleLevel(7, "2026-05-01T00:00:00Z", "UpToDate"),
          moduleLevel(5, "2025-05-01T00:00:00Z", "OutOfDate", "INTEL-SA-00002"),
          moduleLevel(3, "2024-05-01T00:00:00Z", "Revoked"),
        ],
      }],
    }),
    tcbLevels: [
      level(7, "2026-05-01T00:00:00Z", "UpToDate"),
      level(5, "2025-05-01T00:00:00Z", "OutOfDate", "INTEL-SA-00003", "INTEL-SA-00001"),
      level(3, "2024-05-01T00:00:00Z", "Revoked"),
    ],
  };
  change(info);
  return info;
}

function qeIdentityOf({ kind = "td10", qeIdentity: change = () => {} }: DcapDifferences): Json {
  const level = (isvsvn: number, tcbStatus: string, ...advisoryIDs: string[]) => ({
    tcb: { isvsvn },
    tcbDate: "2026-05-01T00:00:00Z",
    tcbStatus,
    ...(advisoryIDs.length === 0 ? {} : { advisoryIDs }),
  });
  const identity = {
    id: kind === "sgx" ? "QE" : "TD_QE",
    version: 2,
    ...DATES,
    tcbEvaluationDataNumber: 20,
    miscselect: "00000000",
    miscselectMask: "FFFFFFFF",
    attributes: "11000000000000000000000000000000",
    attributesMask: "FBFFFFFFFFFFFFFF0000000000000000",
    mrsigner: "5E".repeat(32),
    isvprodid: kind === "sgx" ? 1 : 2,
    tcbLevels: [level(6, "UpToDate"), level(4, "OutOfDate", "INTEL-SA-00004"), level(2, "Revoked")],
  };
  change(identity);
  return identity;
}

function quoteOf(differences: DcapDifferences, chain: Uint8Array): Uint8Array {
  const { version = 4, kind = "td10", authData = filled(32, 0xad), pckKey = KEYS.pck } = differences;
  const body = bodyOf(kind);
  differences.body?.(body);
  const bodyType = kind === "sgx" ? 1 : kind === "td10" ? 2 : 3;
  const signed = concat(
    u16(version),
    u16(2),
    u32(kind === "sgx" ? 0 : 0x81),
    filled(4, 0),
    INTEL_VENDOR,
    filled(20, 0xdd),
    version === 5 ? concat(u16(bodyType), u32(body.length)) : new Uint8Array(),
    body,
  );
  const attestationKey = KEYS.attestation.publicKey.point.subarray(1);
  const qeReport = new Uint8Array(384);
  qeReport[48] = 0x15; // ATTRIBUTES: INIT, MODE64BIT, PROVISION_KEY
  qeReport.set(filled(32, 0x5e), 128); // MRSIGNER
  qeReport[256] = kind === "sgx" ? 1 : 2; // ISVPRODID
  qeReport[258] = 6; // ISVSVN
  qeReport.set(sha256(concat(attestationKey, authData)), 320); // REPORTDATA
  differences.qeReport?.(qeReport);
  const qePart = concat(
    qeReport,
    sign(pckKey, qeReport, differences),
    u16(authData.length),
    authData,
    u16(5),
    u32(chain.length),
    chain,
  );
  const signatureData = concat(
    sign(KEYS.attestation, signed, differences),
    attestationKey,
    version === 3 ? qePart : concat(u16(6), u32(qePart.length), qePart),
  );
  return concat(signed, u32(signatureData.length), signatureData);
}

function bodyOf(kind: "sgx" | "td10" | "td15"): Uint8Array {
  if (kind === "sgx") {
    const body = new Uint8Array(384);
    body[48] = 0x05; // ATTRIBUTES: INIT, MODE64BIT
    body.set(filled(32, 0xec), 64); // MRENCLAVE
    body.set(filled(32, 0x51), 128); // MRSIGNER
    body[256] = 9; // ISVPRODID
    body[258] = 3; // ISVSVN
    body.set(filled(64, 0xda), 320); // REPORTDATA
    return body;
  }
  const body = new Uint8Array(kind === "td10" ? 584 : 648);
  body.set(filled(16, 7), 0); // TEE_TCB_SVN
  body[1] = 1; // a TDX module of version 1
  body[123] = 0x10; // TDATTRIBUTES: SEPT_VE_DISABLE
  body.set(filled(48, 0x7d), 136); // MRTD
  for (let i = 0; i < 4; i++) body.set(filled(48, 0xf0 + i), 328 + 48 * i); // RTMR0 to RTMR3
  body.set(filled(64, 0xda), 520); // REPORTDATA
  if (kind === "td15") {
    body.set(body.subarray(0, 16), 584); // TEE_TCB_SVN_2
  }
  return body;
}
