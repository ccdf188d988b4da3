/**
 * The attestation report of AMD SEV-SNP: what the secure processor says about a guest, and signs.
 *
 * In: 1184 bytes. Out: every field, and the numbers inside them. Nothing is verified here.
 * Knows nothing of certificates and of what anybody wants. Versions differ in what is zero, not in where things are.
 * Format: AMD 56860 "SEV Secure Nested Paging Firmware ABI", as in attestation/formats.md §1; integers little-endian
 */

import { assert, FormatError } from "../assert.ts";
import { concat, fromHex, Reader, toHex } from "../bytes.ts";
import type { SnpProduct } from "./anchors.ts";

export const SNP_REPORT_BYTES = 1184;
/** The signature covers the report up to here. */
const SIGNED_BYTES = 0x2a0;
const TCB_BYTES = 8;
/** Width of r and s in the report, and of numbers on P-384. */
const [SCALAR_FIELD_BYTES, SCALAR_BYTES] = [72, 48];

/** Security versions of the processor's parts, by the names that the ledger and the vectors have. `fmc`: Turin only. */
export interface SnpTcb {
  readonly fmc?: number;
  readonly boot_loader: number;
  readonly tee: number;
  readonly snp: number;
  readonly microcode: number;
}

/** What the owner of the guest has allowed, fixed at its launch. */
export interface SnpGuestPolicy {
  readonly bits: bigint;
  readonly abiMajor: number;
  readonly abiMinor: number;
  readonly smtAllowed: boolean;
  /** A migration agent may move the guest, and so copy it. */
  readonly migrateMa: boolean;
  /** The host may read and change the guest's memory. */
  readonly debug: boolean;
  readonly singleSocket: boolean;
  readonly cxlAllowed: boolean;
  readonly memAes256Xts: boolean;
  readonly raplDisabled: boolean;
  readonly ciphertextHiding: boolean;
  readonly pageSwapDisabled: boolean;
}

export interface SnpPlatformInfo {
  readonly bits: bigint;
  readonly smtEnabled: boolean;
  readonly tsmeEnabled: boolean;
  readonly eccEnabled: boolean;
  readonly raplDisabled: boolean;
  readonly ciphertextHidingEnabled: boolean;
  readonly aliasCheckComplete: boolean;
  readonly tioEnabled: boolean;
}

/** VCEK: of the chip. VLEK: of a cloud provider. none: the report is not signed. */
export type SnpSigningKey = "VCEK" | "VLEK" | "none" | "unknown";

export interface SnpCpu {
  /** Base and extended family together, as `model` is both of its parts. All zero before version 3. */
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
}

export interface SnpFirmware {
  readonly major: number;
  readonly minor: number;
  readonly build: number;
}

/** Byte strings are views into the report. TCB versions are 8 bytes as in memory: see `readTcb`. */
export interface SnpReport {
  readonly version: number;
  readonly guestSvn: number;
  readonly policy: SnpGuestPolicy;
  /** 16 bytes each. */
  readonly familyId: Uint8Array;
  readonly imageId: Uint8Array;
  /** Privilege level that asked for the report; the host's own reports have more than 3. */
  readonly vmpl: number;
  /** 1 is ECDSA on P-384 with SHA-384. */
  readonly signatureAlgorithm: number;
  readonly currentTcb: Uint8Array;
  readonly platformInfo: SnpPlatformInfo;
  readonly keyInfo: {
    readonly bits: number;
    readonly authorKeyEnabled: boolean;
    /** The signature is left zero. */
    readonly maskChipKey: boolean;
    readonly signingKey: SnpSigningKey;
  };
  /** 64 bytes that the guest chose. */
  readonly reportData: Uint8Array;
  /** SHA-384 over the guest's memory at launch. */
  readonly measurement: Uint8Array;
  /** 32 bytes that the host chose at launch. */
  readonly hostData: Uint8Array;
  /** 48 bytes each. */
  readonly idKeyDigest: Uint8Array;
  readonly authorKeyDigest: Uint8Array;
  /** 32 bytes each; all ff where there is no migration agent. */
  readonly reportId: Uint8Array;
  readonly reportIdMa: Uint8Array;
  /** The TCB version for which the signing key was derived. */
  readonly reportedTcb: Uint8Array;
  readonly cpu: SnpCpu;
  /** 64 bytes; all zero where the chip is not told. On Turin only 8 are used. */
  readonly chipId: Uint8Array;
  readonly committedTcb: Uint8Array;
  readonly currentFirmware: SnpFirmware;
  readonly committedFirmware: SnpFirmware;
  readonly launchTcb: Uint8Array;
  /** Zero before version 5. */
  readonly launchMitigations: bigint;
  readonly currentMitigations: bigint;
  /** The bytes that are signed. */
  readonly signed: Uint8Array;
  /** r ‖ s, big-endian, 48 bytes each. */
  readonly signature: Uint8Array;
}

/**
 * Reads a report of any version: whether it is one that is understood is for the verifier.
 *
 * Reserved bytes must be zero where AMD's rules for verifying say so and where the signature does not reach. Other
 * reserved bytes are signed, and newer firmware may have put something there: they are passed over.
 *
 * @throws FormatError
 */
export function parseSnpReport(bytes: Uint8Array): SnpReport {
  if (bytes.length !== SNP_REPORT_BYTES) {
    throw new FormatError(`Cannot read a report: it has ${bytes.length} bytes and must have ${SNP_REPORT_BYTES}`);
  }
  const reader = new Reader(bytes);
  const version = reader.u32();
  const guestSvn = reader.u32();
  const policy = guestPolicy(u64(reader));
  const familyId = reader.bytes(16);
  const imageId = reader.bytes(16);
  const vmpl = reader.u32();
  const signatureAlgorithm = reader.u32();
  const currentTcb = reader.bytes(TCB_BYTES);
  const platformInfo = readPlatformInfo(u64(reader));
  const keyInfo = readKeyInfo(reader.u32());
  expectZeros(reader.bytes(4), "the bytes after the key information");
  const reportData = reader.bytes(64);
  const measurement = reader.bytes(48);
  const hostData = reader.bytes(32);
  const idKeyDigest = reader.bytes(48);
  const authorKeyDigest = reader.bytes(48);
  const reportId = reader.bytes(32);
  const reportIdMa = reader.bytes(32);
  const reportedTcb = reader.bytes(TCB_BYTES);
  const [family, model, stepping] = [reader.u8(), reader.u8(), reader.u8()];
  reader.bytes(21); // reserved, signed
  const chipId = reader.bytes(64);
  const committedTcb = reader.bytes(TCB_BYTES);
  const currentFirmware = readFirmware(reader);
  const committedFirmware = readFirmware(reader);
  const launchTcb = reader.bytes(TCB_BYTES);
  const launchMitigations = u64(reader);
  const currentMitigations = u64(reader);
  reader.bytes(152); // reserved, signed
  assert(reader.position === SIGNED_BYTES, "The signature begins where the signed bytes end");
  const signature = concat(readScalar(reader, "r"), readScalar(reader, "s"));
  expectZeros(reader.rest(), "the bytes after the signature");
  return {
    version,
    guestSvn,
    policy,
    familyId,
    imageId,
    vmpl,
    signatureAlgorithm,
    currentTcb,
    platformInfo,
    keyInfo,
    reportData,
    measurement,
    hostData,
    idKeyDigest,
    authorKeyDigest,
    reportId,
    reportIdMa,
    reportedTcb,
    cpu: { family, model, stepping },
    chipId,
    committedTcb,
    currentFirmware,
    committedFirmware,
    launchTcb,
    launchMitigations,
    currentMitigations,
    signed: bytes.subarray(0, SIGNED_BYTES),
    signature,
  };
}

/** The components of a TCB version, which stand elsewhere on Turin. */
export function readTcb(product: SnpProduct, bytes: Uint8Array): SnpTcb {
  assert(bytes.length === TCB_BYTES, "A TCB version has 8 bytes");
  return product === "Turin"
    ? { fmc: bytes[0]!, boot_loader: bytes[1]!, tee: bytes[2]!, snp: bytes[3]!, microcode: bytes[7]! }
    : { boot_loader: bytes[0]!, tee: bytes[1]!, snp: bytes[6]!, microcode: bytes[7]! };
}

/** A TCB version as one number in hex, as Azure's `tcbm` and CCF have it: the last byte comes first. Lower case. */
export function tcbToHex(bytes: Uint8Array): string {
  return toHex(bytes.toReversed());
}

/** The 8 bytes of a TCB version from its number in hex, either case. @throws FormatError */
export function tcbFromHex(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  if (bytes.length !== TCB_BYTES) {
    throw new FormatError(`Cannot read a TCB version: ${JSON.stringify(hex.slice(0, 40))} is not of 16 hex digits`);
  }
  return bytes.reverse();
}

/** AMD's ranges of models, as virtee/sev has them: "general". CCF knows one model of each: "ccf". */
export type CpuRules = "general" | "ccf";

const PRODUCT_MODELS: Readonly<
  Record<CpuRules, readonly (readonly [family: number, from: number, to: number, SnpProduct])[]>
> = {
  general: [
    [0x19, 0x00, 0x0f, "Milan"],
    [0x19, 0x10, 0x1f, "Genoa"],
    [0x19, 0xa0, 0xaf, "Genoa"],
    [0x1a, 0x00, 0x11, "Turin"],
  ],
  ccf: [
    [0x19, 0x01, 0x01, "Milan"],
    [0x19, 0x11, 0x11, "Genoa"],
    [0x1a, 0x02, 0x02, "Turin"],
  ],
};

/** What a processor is sold as; undefined where that is not known, as before version 3. */
export function productOf({ family, model }: SnpCpu, rules: CpuRules): SnpProduct | undefined {
  return PRODUCT_MODELS[rules].find(([f, from, to]) => f === family && from <= model && model <= to)?.[3];
}

/**
 * EAX of CPUID leaf 1 in hex, by which the ledger knows a processor: family 0x19, model 1, stepping 1 is "00a00f11".
 *
 * Bits from low to high: stepping 4, model 4, family 4, reserved 4, extended model 4, extended family 8, reserved 4.
 * A family from 15 on has 15 as its base.
 */
export function cpuidOf({ family, model, stepping }: SnpCpu): string {
  const base = Math.min(family, 0xf);
  const bits = ((family - base) << 20) | ((model >> 4) << 16) | (base << 8) | ((model & 0xf) << 4) | (stepping & 0xf);
  return bits.toString(16).padStart(8, "0");
}

function guestPolicy(bits: bigint): SnpGuestPolicy {
  return {
    bits,
    abiMinor: Number(bits & 0xffn),
    abiMajor: Number((bits >> 8n) & 0xffn),
    smtAllowed: bit(bits, 16),
    migrateMa: bit(bits, 18),
    debug: bit(bits, 19),
    singleSocket: bit(bits, 20),
    cxlAllowed: bit(bits, 21),
    memAes256Xts: bit(bits, 22),
    raplDisabled: bit(bits, 23),
    ciphertextHiding: bit(bits, 24),
    pageSwapDisabled: bit(bits, 25),
  };
}

function readPlatformInfo(bits: bigint): SnpPlatformInfo {
  return {
    bits,
    smtEnabled: bit(bits, 0),
    tsmeEnabled: bit(bits, 1),
    eccEnabled: bit(bits, 2),
    raplDisabled: bit(bits, 3),
    ciphertextHidingEnabled: bit(bits, 4),
    aliasCheckComplete: bit(bits, 5),
    tioEnabled: bit(bits, 7),
  };
}

function readKeyInfo(bits: number): SnpReport["keyInfo"] {
  const signingKeys: Readonly<Record<number, SnpSigningKey>> = { 0: "VCEK", 1: "VLEK", 7: "none" };
  return {
    bits,
    authorKeyEnabled: (bits & 1) !== 0,
    maskChipKey: (bits & 2) !== 0,
    signingKey: signingKeys[(bits >>> 2) & 7] ?? "unknown",
  };
}

function readFirmware(reader: Reader): SnpFirmware {
  const [build, minor, major] = [reader.u8(), reader.u8(), reader.u8()];
  reader.u8(); // reserved, signed
  return { major, minor, build };
}

/** A number of the signature: little-endian in a field that is wider than the curve. */
function readScalar(reader: Reader, name: string): Uint8Array {
  const field = reader.bytes(SCALAR_FIELD_BYTES);
  expectZeros(field.subarray(SCALAR_BYTES), `the bytes above ${name} in the signature`);
  return field.subarray(0, SCALAR_BYTES).toReversed();
}

function expectZeros(bytes: Uint8Array, field: string): void {
  if (bytes.some((byte) => byte !== 0)) throw new FormatError(`Cannot read a report: ${field} are not zero`);
}

function u64(reader: Reader): bigint {
  const low = reader.u32();
  return BigInt(low) | (BigInt(reader.u32()) << 32n);
}

function bit(bits: bigint, index: number): boolean {
  return ((bits >> BigInt(index)) & 1n) === 1n;
}
