/**
 * A report or quote field by field, for people who look at one: what stands where, what it is, and what it says.
 *
 * In: the bytes. Out: neighbouring fields from the first byte to the last, reserved ones too. Nothing is verified here, and
 * what the verifiers read they read for themselves (`snp_report.ts`, `dcap/quote.ts`): the same tables of the same documents.
 * Formats: attestation/formats.md §1 (AMD 56860), §3.1 to §3.3 (Intel's quoting libraries); integers little-endian
 */

import { FormatError } from "../assert.ts";
import { toHex } from "../bytes.ts";
import type { SnpProduct } from "./anchors.ts";
import { CERTIFICATION_TYPES, parseQuote, TEE_TDX } from "./dcap/quote.ts";
import { cpuidOf, productOf, readTcb, SNP_REPORT_BYTES, tcbToHex } from "./snp_report.ts";

export interface ReportField {
  /** As the maker's documents have it; fields of the quoting enclave's report begin with "QE ". */
  readonly name: string;
  /** Bytes from the start of the evidence. */
  readonly offset: number;
  readonly length: number;
  /** The bytes, in their order. */
  readonly hex: string;
  /** What they say, where that is more than the bytes: numbers, flags, parts. */
  readonly value?: string;
  /** A sentence. */
  readonly meaning: string;
}

type Decode = (bytes: Uint8Array) => string | undefined;
type Row = readonly [name: string, length: number, meaning: string, decode?: Decode | undefined];

const RESERVED = "Kept for later; zero until somebody gives it a meaning";

/**
 * A report of SEV-SNP, of any version.
 *
 * @param product of the certificate, where the report does not name the processor (before version 3)
 * @throws FormatError where there are not 1184 bytes
 */
export function snpReportFields(bytes: Uint8Array, product?: SnpProduct): ReportField[] {
  if (bytes.length !== SNP_REPORT_BYTES) {
    throw new FormatError(`Cannot read a report: it has ${bytes.length} bytes and must have ${SNP_REPORT_BYTES}`);
  }
  const [family, model, stepping] = bytes.subarray(CPUID_OFFSET, CPUID_OFFSET + 3) as Uint8Array & [
    number,
    number,
    number,
  ];
  const cpu = { family, model, stepping };
  const maker = productOf(cpu, "general") ?? product;
  const tcb: Decode = (version) => {
    const parts = maker && Object.entries(readTcb(maker, version)).map(([part, svn]) => `${part} ${svn}`).join(", ");
    return parts === undefined ? `${tcbToHex(version)}; its parts stand elsewhere on each processor` : parts;
  };
  const fields = new Fields(bytes);
  for (
    const row of snpRows(tcb, (stated) => {
      return stated.every((byte) => byte === 0) ? undefined : `${maker ?? "unknown processor"}, CPUID ${cpuidOf(cpu)}`;
    })
  ) fields.take(row);
  return fields.all;
}

const CPUID_OFFSET = 0x188;

function snpRows(tcb: Decode, processor: Decode): Row[] {
  return [
    ["VERSION", 4, "Which version of this format the firmware wrote", number],
    ["GUEST_SVN", 4, "Security version of the guest, as its owner's ID block says", number],
    ["POLICY", 8, "What the guest's owner allowed, fixed at its launch", policyOf],
    ["FAMILY_ID", 16, "Family of images, as the owner's ID block says"],
    ["IMAGE_ID", 16, "Image, as the owner's ID block says"],
    ["VMPL", 4, "Privilege level in the guest that asked for the report: 0 is the highest, 3 the lowest", number],
    [
      "SIGNATURE_ALGO",
      4,
      "How the report is signed",
      (bytes) => number(bytes) === "1" ? "1: ECDSA on P-384 with SHA-384" : number(bytes),
    ],
    ["CURRENT_TCB", 8, "Security versions of the processor's firmware that runs now", tcb],
    ["PLATFORM_INFO", 8, "How the machine is set up", flagsOf(PLATFORM_FLAGS)],
    ["KEY_INFO", 4, "Which key signs the report, and whether the author's key counts", keyInfoOf],
    ["reserved", 4, RESERVED],
    ["REPORT_DATA", 64, "What the guest asked to be put here: a node puts the hash of its public key"],
    ["MEASUREMENT", 48, "SHA-384 over the guest's memory at its launch: which code was started"],
    [
      "HOST_DATA",
      32,
      "What the host set at the launch: with Azure's containers, the hash of the policy that runs them",
    ],
    ["ID_KEY_DIGEST", 48, "Digest of the key that signed the owner's ID block; zero without one"],
    ["AUTHOR_KEY_DIGEST", 48, "Digest of the key that vouches for the ID key; zero without one"],
    ["REPORT_ID", 32, "Names this guest for as long as it runs"],
    [
      "REPORT_ID_MA",
      32,
      "Names the migration agent; all ff where there is none",
      (bytes) => bytes.every((byte) => byte === 0xff) ? "no migration agent" : undefined,
    ],
    [
      "REPORTED_TCB",
      8,
      "The security versions for which the signing key was derived: what the certificate must say",
      tcb,
    ],
    ["CPUID", 3, "Family, model and stepping of the processor; zero before version 3", processor],
    ["reserved", 21, RESERVED],
    [
      "CHIP_ID",
      64,
      "Names the chip, whose key has a certificate of AMD's; zero where the chip is not told",
      (bytes) => bytes.every((byte) => byte === 0) ? "not told" : undefined,
    ],
    ["COMMITTED_TCB", 8, "Security versions that the firmware can no longer be set back below", tcb],
    ["CURRENT_VERSION", 3, "Version of the firmware that runs now", firmware],
    ["reserved", 1, RESERVED],
    ["COMMITTED_VERSION", 3, "Version that the firmware can no longer be set back below", firmware],
    ["reserved", 1, RESERVED],
    ["LAUNCH_TCB", 8, "Security versions at the time when the guest was launched", tcb],
    ["LAUNCH_MIT_VECTOR", 8, "Mitigations in force when the guest was launched; zero before version 5"],
    ["CURRENT_MIT_VECTOR", 8, "Mitigations in force now; zero before version 5"],
    ["reserved", 152, RESERVED],
    ["SIGNATURE_R", 72, "First half of the signature over all bytes before it, lowest byte first"],
    ["SIGNATURE_S", 72, "Second half of the signature, lowest byte first"],
    ["reserved", 368, "Zero; the signature does not reach here"],
  ];
}

/** A quote of SGX or TDX, with what stands in the buffer behind it. @throws FormatError where it cannot be read as one */
export function quoteFields(bytes: Uint8Array): ReportField[] {
  const { header: { version }, body, qeAuthData, certification, trailing } = parseQuote(bytes);
  const fields = new Fields(bytes);
  const rows: readonly Row[] = [
    ...HEADER_ROWS,
    ...(version === 5 ? DESCRIPTOR_ROWS : []),
    ...(body.kind === "sgx" ? SGX_ROWS : body.kind === "td10" ? TD_ROWS : [...TD_ROWS, ...TD_15_ROWS]),
    ["signature length", 4, "Bytes of all that follows in the quote", number],
    ["signature", 64, "r and s over all bytes before the length, by the attestation key"],
    ["attestation key", 64, "x and y on P-256: the quoting enclave made it, and vouches for it below"],
    // Later versions wrap the rest, whose fields follow, into certification data of its own.
    ...(version > 3 ? certificationRows("outer certification", 0) : []),
    ...SGX_ROWS.map((
      [name, length, meaning, decode],
    ): Row => [`QE ${name}`, length, QE_MEANINGS[name] ?? `Of the quoting enclave: ${lowerFirst(meaning)}`, decode]),
    ["QE signature", 64, "r and s over the quoting enclave's report, by the platform's key (PCK)"],
    ["QE auth data length", 2, "Bytes of the next field", number],
    ["QE auth data", qeAuthData.length, "Chosen by the quoting enclave, and hashed into its report data"],
    ...certificationRows("certification", certification.data.length),
    ["padding", trailing.length, "What stands behind the quote in its buffer; not signed, and to be zero"],
  ];
  for (const row of rows) fields.take(row);
  return fields.all;
}

type Flags = readonly (readonly [bit: number, name: string])[];

const POLICY_FLAGS: Flags = [
  [16, "simultaneous threads allowed"],
  [18, "may be migrated"],
  [19, "may be debugged"],
  [20, "one socket only"],
  [21, "CXL allowed"],
  [22, "memory under AES-256-XTS"],
  [23, "RAPL off"],
  [24, "ciphertexts hidden"],
  [25, "no page swapping"],
];
const PLATFORM_FLAGS: Flags = [
  [0, "simultaneous threads on"],
  [1, "all memory encrypted (TSME)"],
  [2, "memory with ECC"],
  [3, "RAPL off"],
  [4, "ciphertexts hidden"],
  [5, "memory aliases checked"],
  [7, "trusted I/O on"],
];
const SGX_FLAGS: Flags = [
  [0, "initialised"],
  [1, "may be debugged"],
  [2, "64 bit"],
  [4, "provisioning key"],
  [5, "launch token key"],
  [7, "key separation and sharing"],
];
const TD_FLAGS: Flags = [
  [0, "may be debugged"],
  ...[1, 2, 3, 4, 5, 6, 7].map((bit) => [bit, `debugging, bit ${bit}`] as const),
  [28, "taken pages are noticed"],
  [29, "may be migrated"],
  [30, "supervisor protection keys"],
  [31, "key locker"],
  [63, "performance counters"],
];

const HEADER_ROWS: readonly Row[] = [
  ["VERSION", 2, "Version of this format", number],
  [
    "ATTESTATION_KEY_TYPE",
    2,
    "What signs the quote",
    (bytes) => number(bytes) === "2" ? "2: ECDSA on P-256" : number(bytes),
  ],
  [
    "TEE_TYPE",
    4,
    "What the quote is about",
    (bytes) => number(bytes) === String(TEE_TDX) ? "0x81: a trust domain (TDX)" : "0: an enclave (SGX)",
  ],
  ["SVNs", 4, "Security versions of the quoting and the provisioning enclave in version 3; reserved in later ones"],
  ["QE_VENDOR_ID", 16, "Who made the quoting enclave: Intel"],
  ["USER_DATA", 20, "Chosen by the quoting enclave; the first 16 bytes name the platform"],
];

const DESCRIPTOR_ROWS: readonly Row[] = [
  [
    "BODY_TYPE",
    2,
    "Kind of the report that follows",
    (bytes) =>
      ["1: an enclave", "2: a trust domain, 1.0", "3: a trust domain, 1.5"][Number(number(bytes)) - 1] ?? number(bytes),
  ],
  ["BODY_SIZE", 4, "Bytes of the report that follows", number],
];

const SGX_ROWS: readonly Row[] = [
  ["CPUSVN", 16, "Security versions of the processor's parts"],
  ["MISCSELECT", 4, "What is kept when the enclave is left by an exception"],
  ["reserved", 12, RESERVED],
  ["ISVEXTPRODID", 16, "Product, as the enclave's maker says; the long form"],
  [
    "ATTRIBUTES",
    16,
    "How the enclave was started, and which of the processor's states it may use",
    (bytes) => flagsOf(SGX_FLAGS)(bytes.subarray(0, 8)),
  ],
  ["MRENCLAVE", 32, "SHA-256 over the enclave's code and data: which code was started"],
  ["reserved", 32, RESERVED],
  ["MRSIGNER", 32, "SHA-256 of the key that signed the enclave"],
  ["reserved", 32, RESERVED],
  ["CONFIGID", 64, "Configuration that the host set when it started the enclave"],
  ["ISVPRODID", 2, "Product, as the enclave's maker says", number],
  ["ISVSVN", 2, "Security version, as the enclave's maker says", number],
  ["CONFIGSVN", 2, "Security version of the configuration", number],
  ["reserved", 42, RESERVED],
  ["ISVFAMILYID", 16, "Family of products, as the enclave's maker says"],
  ["REPORTDATA", 64, "What the enclave asked to be put here: a node puts the hash of its public key"],
];

const TD_ROWS: readonly Row[] = [
  ["TEE_TCB_SVN", 16, "Security versions of the TDX module under which the domain began", moduleSvn],
  ["MRSEAM", 48, "Digest of the TDX module"],
  [
    "MRSIGNERSEAM",
    48,
    "Who signed the TDX module; zero for Intel",
    (bytes) => bytes.every((byte) => byte === 0) ? "Intel" : undefined,
  ],
  ["SEAMATTRIBUTES", 8, "How the TDX module was started; zero for the one that Intel ships"],
  [
    "TDATTRIBUTES",
    8,
    "How the domain was started; the first byte is not zero where the host may look into it",
    flagsOf(TD_FLAGS),
  ],
  ["XFAM", 8, "Which of the processor's states the domain may use"],
  ["MRTD", 48, "Digest of what the domain was started with: its firmware"],
  ["MRCONFIGID", 48, "What the host set at the start, of the owner's choosing"],
  ["MROWNER", 48, "Who owns the domain, as the host set it at the start"],
  ["MROWNERCONFIG", 48, "Configuration by the owner, as the host set it at the start"],
  ["RTMR0", 48, "Digest of what was measured while it ran: by convention the firmware's configuration"],
  ["RTMR1", 48, "The next digest: by convention the boot loader and the kernel"],
  ["RTMR2", 48, "The next digest: by convention the kernel's command line and its first file system"],
  ["RTMR3", 48, "The last digest, which is left to what runs in the domain"],
  ["REPORTDATA", 64, "What the domain asked to be put here: a node puts the hash of its public key"],
];

const TD_15_ROWS: readonly Row[] = [
  ["TEE_TCB_SVN_2", 16, "Security versions of the TDX module that runs now", moduleSvn],
  ["MRSERVICETD", 48, "Digest over the domains that serve this one, such as one that migrates it"],
];

/** Where a field means something else in the quoting enclave's own report. */
const QE_MEANINGS: Readonly<Record<string, string>> = {
  MRENCLAVE: "SHA-256 over the quoting enclave's code and data",
  MRSIGNER: "Who signed the quoting enclave: must be Intel's key, as the collateral names it",
  ISVSVN: "Security version of the quoting enclave, which the collateral judges",
  REPORTDATA: "SHA-256 of the attestation key and the auth data, then zeros: so it vouches for the key",
};

function certificationRows(name: string, dataBytes: number): Row[] {
  const kind: Decode = (bytes) => `${number(bytes)}: ${CERTIFICATION_TYPES[Number(number(bytes))] ?? "unknown"}`;
  return [
    [`${name} type`, 2, "What the certification data are", kind],
    [`${name} length`, 4, "Bytes of the certification data", number],
    [name, dataBytes, "Where the platform's key comes from: mostly certificates in PEM, up to Intel's root"],
  ];
}

function flagsOf(flags: Flags): Decode {
  return (bytes) => {
    const names = flags.filter(([bit]) => (bytes[bit >> 3]! >> (bit & 7) & 1) === 1).map(([, name]) => name);
    return names.length === 0 ? "none of the known flags" : names.join(", ");
  };
}

/** The lowest two bytes are the version of AMD's interface that the owner wants at least. */
function policyOf(bytes: Uint8Array): string {
  return `interface ${bytes[1]}.${bytes[0]} at least; ${flagsOf(POLICY_FLAGS)(bytes)}`;
}

function keyInfoOf(bytes: Uint8Array): string {
  const signer = ["the chip's key (VCEK)", "a cloud provider's key (VLEK)"][bytes[0]! >> 2 & 7] ??
    ((bytes[0]! >> 2 & 7) === 7 ? "no key" : "an unknown key");
  const author = (bytes[0]! & 1) === 1 ? ", with an author's key" : "";
  const mask = (bytes[0]! & 2) === 2 ? ", the signature left out" : "";
  return `signed by ${signer}${author}${mask}`;
}

function moduleSvn(bytes: Uint8Array): string {
  return `module ${bytes[1]}.${bytes[0]}, loader ${bytes[2]}`;
}

/** Build, minor and major in this order. */
function firmware([build, minor, major]: Uint8Array): string {
  return `${major}.${minor} build ${build}`;
}

/** Up to four bytes. */
function number(bytes: Uint8Array): string {
  return String(bytes.reduceRight((sum, byte) => sum * 256 + byte, 0));
}

function lowerFirst(sentence: string): string {
  return /^[A-Z][a-z]/.test(sentence) ? sentence.charAt(0).toLowerCase() + sentence.slice(1) : sentence;
}

/** Takes field after field; one without bytes is left out. */
class Fields {
  readonly all: ReportField[] = [];
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  take([name, length, meaning, decode]: Row): void {
    if (length === 0) return;
    const bytes = this.#bytes.subarray(this.#offset, this.#offset + length);
    const value = decode?.(bytes);
    this.all.push({
      name,
      offset: this.#offset,
      length,
      hex: toHex(bytes),
      ...(value !== undefined && { value }),
      meaning,
    });
    this.#offset += length;
  }
}
