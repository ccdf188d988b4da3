/**
 * Whether a report of AMD SEV-SNP is genuine, and says what the relying party wants.
 *
 * In: the report, its certificates, a moment, a policy. Out: every step of the checking, and what the report says.
 * All but moment, policy and trusted keys come from whoever wants to be believed.
 * Rules: attestation/formats.md §1.3 in its order. "ccf" are those by which CCF lets a node join, see its last paragraph
 * and nodes-and-attestation.md §8.2; they are stricter in all but two things: versions to come are taken, and a TCB version
 * above that of the certificate is too.
 */

import { assert } from "../assert.ts";
import { concat, equalBytes, toHex } from "../bytes.ts";
import { type EcdsaVerifier, ecdsaVerify } from "../crypto/ecdsa.ts";
import { EvidenceSteps, type EvidenceVerdict, type ReasonCode } from "./evidence_steps.ts";
import type { SnpCertificate } from "./snp_certificate.ts";
import { AMD_PINS, SNP_CHAIN_LENGTH, SnpChain, type SnpPins } from "./snp_chain.ts";
import {
  parseSnpReport,
  productOf,
  readTcb,
  SNP_REPORT_BYTES,
  type SnpReport,
  type SnpTcb,
  tcbToHex,
} from "./snp_report.ts";

export interface SnpEvidence {
  readonly report: Uint8Array;
  /** DER: VCEK or VLEK, its issuer, AMD's root; or the same as it was read for an earlier report. */
  readonly chain: readonly Uint8Array[] | SnpChain;
  /** DER, of the root; only beside a chain in DER. It is checked where it is given, by CCF's rules too, which ask for none. */
  readonly crl?: Uint8Array;
}

/** What the relying party wants. What is left out is not checked. */
export interface SnpPolicy {
  /** Under the rules of CCF a debugged guest is refused whatever stands here, and one that may migrate. */
  readonly allowDebug?: boolean;
  readonly allowMigration?: boolean;
  /** Up to 64 bytes, zeros after them. */
  readonly reportData?: Uint8Array;
  /** 48 bytes. */
  readonly measurement?: Uint8Array;
  /** 32 bytes. */
  readonly hostData?: Uint8Array;
  readonly vmpl?: number;
  /** Each component that is named must be there, and at least this. */
  readonly minTcb?: Partial<SnpTcb>;
  readonly minGuestSvn?: number;
  /** 48 bytes each. */
  readonly idKeyDigest?: Uint8Array;
  readonly authorKeyDigest?: Uint8Array;
  /** 8 bytes as in memory: for which TCB version the certificates were fetched (`tcbFromHex`). */
  readonly endorsedTcb?: Uint8Array;
}

export interface SnpOptions {
  /** Milliseconds since 1970, at which certificates must be valid. */
  readonly at: number;
  readonly rules: "general" | "ccf";
  readonly policy?: SnpPolicy;
  /** AMD's own keys unless said otherwise. */
  readonly pins?: SnpPins;
}

/** What was read stands there also where it is refused, as far as it was read. */
export interface SnpVerdict extends EvidenceVerdict {
  readonly report?: SnpReport;
  readonly signer?: SnpCertificate;
  /** The report's TCB version, by the product of the certificate. */
  readonly reportedTcb?: SnpTcb;
}

const GENERAL_RULES = {
  report: "The report has 1184 bytes, and those that the signature does not cover are zero",
  version: "The version is one from 2 to 5",
  algorithm: "The signature is announced as ECDSA on P-384 with SHA-384",
  certificates: "There are three certificates, that of a VCEK or VLEK first",
  chain: "The certificates lead to AMD's key for the product, by names, authority, dates and signatures",
  revocation: "AMD's list is genuine, in force, and names none of the certificates",
  signature: "The key of the first certificate signed the report",
  "signing key": "The report was signed with a key of the certificate's kind",
  product: "The processor is of the certificate's product",
  "certificate TCB": "The reported TCB version is the one for which the key was derived",
  chip: "The chip is the one of the certificate",
  "privilege level": "A guest asked for the report, not the host: its privilege level is 0 to 3",
  debug: "The host cannot debug the guest",
  migration: "The guest cannot be migrated, and so not be copied",
  "report data": "The report data is as wanted",
  measurement: "The measurement is as wanted",
  "host data": "The host data is as wanted",
  "wanted privilege level": "The privilege level is as wanted",
  "minimum TCB": "No component of the reported TCB version is below the minimum",
  "guest SVN": "The guest's security version is not below the minimum",
  "ID key": "The key that signed the guest's identity is as wanted",
  "author key": "The key that signed the ID key is as wanted",
  "endorsed TCB": "The reported TCB version is the one for which the certificates were fetched",
} as const;

type StepName = keyof typeof GENERAL_RULES;

const CCF_RULES: Readonly<Record<StepName, string>> = {
  ...GENERAL_RULES,
  version: "The version is at least 3",
  certificates: "There are three certificates, that of a VCEK first",
  "signing key": "The report was signed with the chip's own key, which is not masked",
  product: "The processor is a Milan, Genoa or Turin that CCF knows, as the certificate says",
  "certificate TCB": "No component of the reported TCB version is below the one for which the key was derived",
  chip: "The chip is the one of the certificate; one that is not told is none",
};

type Steps = EvidenceSteps<Readonly<Record<StepName, string>>>;

/**
 * Checks a report. Never throws for anything in the evidence.
 *
 * What is cheap comes before what costs signatures, which are at most five, and ends at the first step that fails.
 */
export function verifySnp(evidence: SnpEvidence, options: SnpOptions, primitives: EcdsaVerifier): SnpVerdict {
  const steps: Steps = new EvidenceSteps(options.rules === "ccf" ? CCF_RULES : GENERAL_RULES);
  const report = takeReport(steps, evidence.report);
  const isUsable = report !== undefined && takeVersion(steps, report, options.rules);
  const chain = isUsable ? takeChain(steps, evidence) : undefined;
  const reportedTcb = report && chain && readTcb(chain.signer.product, report.reportedTcb);
  if (report !== undefined && chain !== undefined && reportedTcb !== undefined) {
    const isGenuine = takeSignatures(steps, report, chain, options, primitives) &&
      takeBinding(steps, report, chain.signer, reportedTcb, options.rules) &&
      takeGuest(steps, report, options);
    if (isGenuine) takeWishes(steps, report, reportedTcb, options.policy ?? {});
  }
  return {
    ...steps.end(),
    ...(report && { report }),
    ...(chain && { signer: chain.signer }),
    ...(reportedTcb && { reportedTcb }),
  };
}

/** Step 1 of the rules. */
function takeReport(steps: Steps, bytes: Uint8Array): SnpReport | undefined {
  const code: ReasonCode = bytes.length > SNP_REPORT_BYTES ? "trailing_bytes" : "malformed";
  return steps.read("report", code, () => parseSnpReport(bytes), "it has the form of a report", {
    bytes: String(bytes.length),
  });
}

/** Step 1. */
function takeVersion(steps: Steps, { version, signatureAlgorithm }: SnpReport, rules: SnpOptions["rules"]): boolean {
  const isKnown = rules === "ccf" ? version >= 3 : version >= 2 && version <= 5;
  return steps.check("version", isKnown, "unsupported_version", `the report has version ${version}`) &&
    steps.check(
      "algorithm",
      signatureAlgorithm === 1,
      "unsupported_key_type",
      `the report has algorithm ${signatureAlgorithm}`,
    );
}

/** Step 2. */
function takeChain(steps: Steps, { chain, crl }: SnpEvidence): SnpChain | undefined {
  assert(!(chain instanceof SnpChain) || crl === undefined, "A chain that was read brings its revocation list along");
  const count = chain instanceof SnpChain ? chain.certificates.length : chain.length;
  if (count !== SNP_CHAIN_LENGTH) {
    steps.check("certificates", false, "chain_invalid", `there are ${count} certificates and not ${SNP_CHAIN_LENGTH}`);
    return undefined;
  }
  return steps.read(
    "certificates",
    "malformed",
    () => chain instanceof SnpChain ? chain : new SnpChain(chain, crl),
    "they are certificates of the form that AMD issues",
  );
}

/** Steps 3 to 5. */
function takeSignatures(
  steps: Steps,
  report: SnpReport,
  chain: SnpChain,
  { at, pins = AMD_PINS }: SnpOptions,
  primitives: EcdsaVerifier,
): boolean {
  const found = chain.check(primitives, at, pins);
  const { kind, productName } = chain.signer;
  const inputs = { kind, product: productName, at: new Date(at).toISOString() };
  if (!steps.found("chain", found.chain, chain.names.join(" < "), inputs)) return false;
  if (found.revocation === "no list") {
    steps.skip("revocation", "no list of revoked certificates came along");
  } else if (!steps.found("revocation", found.revocation, "no certificate of the chain is revoked")) {
    return false;
  }
  return steps.check(
    "signature",
    ecdsaVerify(primitives, chain.signingKey, report.signed, report.signature),
    "bad_signature",
    report.keyInfo.maskChipKey
      ? "the host had the chip's key masked, so that nothing is signed"
      : `over ${report.signed.length} bytes with the key of the ${kind}`,
    { signature: toHex(report.signature) },
  );
}

/** Steps 6 to 9: the report and the certificate speak of one processor in one state. */
function takeBinding(
  steps: Steps,
  report: SnpReport,
  signer: SnpCertificate,
  reportedTcb: SnpTcb,
  rules: SnpOptions["rules"],
): boolean {
  return takeSigningKey(steps, report, signer, rules) &&
    takeProduct(steps, report, signer, rules) &&
    takeCertificateTcb(steps, report, signer, reportedTcb, rules) &&
    takeChip(steps, report, signer, rules);
}

function takeSigningKey(steps: Steps, { keyInfo }: SnpReport, { kind }: SnpCertificate, rules: SnpOptions["rules"]) {
  const { signingKey, maskChipKey } = keyInfo;
  if (rules === "ccf" && maskChipKey) {
    return steps.check("signing key", false, "key_masked", "the report says that the chip's key is masked");
  }
  return steps.check(
    "signing key",
    signingKey === kind && (rules === "general" || kind === "VCEK"),
    "cert_kind_mismatch",
    `the report is signed by ${signingKey}, the certificate is that of a ${kind}`,
  );
}

function takeProduct(
  steps: Steps,
  { version, cpu }: SnpReport,
  { product }: SnpCertificate,
  rules: SnpOptions["rules"],
) {
  if (version < 3) {
    steps.skip(
      "product",
      `a report of version ${version} does not name its processor: the certificate's word is taken`,
    );
    return true;
  }
  const inputs = { family: String(cpu.family), model: String(cpu.model), stepping: String(cpu.stepping) };
  const found = productOf(cpu, rules) ?? "of no known product";
  return steps.check(
    "product",
    found === product,
    "product_mismatch",
    `the processor is ${found}, the certificate is for ${product}`,
    inputs,
  );
}

function takeCertificateTcb(
  steps: Steps,
  report: SnpReport,
  { tcb }: SnpCertificate,
  reported: SnpTcb,
  rules: SnpOptions["rules"],
): boolean {
  const holds = isTcbAtLeast(reported, tcb) && (rules === "ccf" || isTcbAtLeast(tcb, reported));
  return steps.check(
    "certificate TCB",
    holds,
    "cert_tcb_mismatch",
    `the report has ${describe(reported)}, the certificate ${describe(tcb)}`,
    { reported: tcbToHex(report.reportedTcb) },
  );
}

function takeChip(steps: Steps, { chipId }: SnpReport, { hardwareId }: SnpCertificate, rules: SnpOptions["rules"]) {
  if (hardwareId === undefined) {
    steps.skip("chip", "a provider's key is of no one chip");
    return true;
  }
  if (rules === "general" && isZero(chipId)) {
    steps.skip("chip", "the report does not tell its chip; the certificate's key signed it all the same");
    return true;
  }
  // On Turin the identifier has 8 bytes, and zeros follow in the report.
  const holds = equalBytes(chipId.subarray(0, hardwareId.length), hardwareId);
  const detail = `the report is of chip ${toHex(chipId)}, the certificate of ${toHex(hardwareId)}`;
  return steps.check("chip", holds, "chip_id_mismatch", detail);
}

/** Step 10, what holds for every guest. */
function takeGuest(steps: Steps, { vmpl, policy: guest }: SnpReport, { rules, policy = {} }: SnpOptions): boolean {
  const inputs = { policy: `0x${guest.bits.toString(16)}` };
  if (!steps.check("privilege level", vmpl <= 3, "vmpl_out_of_range", `it is ${vmpl}`)) return false;
  const isLenient = rules === "general";
  const may = (allowed: boolean) => allowed ? "may" : "may not";
  if (isLenient && policy.allowDebug === true) {
    steps.skip("debug", `the guest ${may(guest.debug)} be debugged, and is wanted either way`, inputs);
  } else if (
    !steps.check("debug", !guest.debug, "debug_enabled", `the guest ${may(guest.debug)} be debugged`, inputs)
  ) {
    return false;
  }
  if (isLenient && policy.allowMigration === true) {
    steps.skip("migration", `the guest ${may(guest.migrateMa)} be migrated, and is wanted either way`, inputs);
    return true;
  }
  const detail = `the guest ${may(guest.migrateMa)} be migrated`;
  return steps.check("migration", !guest.migrateMa, "migration_agent", detail, inputs);
}

/** Step 10, what the relying party wants; ends at the first wish that is not met. */
function takeWishes(steps: Steps, report: SnpReport, reportedTcb: SnpTcb, policy: SnpPolicy): void {
  const { vmpl, guestSvn } = report;
  const { reportData, minTcb, minGuestSvn } = policy;
  const wishes: readonly Wish[] = [
    same("report data", "report_data_mismatch", report.reportData, reportData && padded(reportData)),
    same("measurement", "measurement_mismatch", report.measurement, policy.measurement),
    same("host data", "host_data_mismatch", report.hostData, policy.hostData),
    ["wanted privilege level", "vmpl_mismatch", String(vmpl), policy.vmpl?.toString(), vmpl === policy.vmpl],
    [
      "minimum TCB",
      "tcb_too_low",
      describe(reportedTcb),
      minTcb && `at least ${describe(minTcb)}`,
      isTcbAtLeast(reportedTcb, minTcb ?? {}),
    ],
    [
      "guest SVN",
      "guest_svn_too_low",
      String(guestSvn),
      minGuestSvn === undefined ? undefined : `at least ${minGuestSvn}`,
      guestSvn >= (minGuestSvn ?? 0),
    ],
    same("ID key", "id_key_mismatch", report.idKeyDigest, policy.idKeyDigest),
    same("author key", "author_key_mismatch", report.authorKeyDigest, policy.authorKeyDigest),
    same("endorsed TCB", "cert_tcb_mismatch", report.reportedTcb, policy.endorsedTcb),
  ];
  for (const [name, code, found, wanted, holds] of wishes) {
    if (wanted === undefined) steps.skip(name, "nothing is wanted here", { found });
    else if (!steps.check(name, holds, code, `the report has ${found}, wanted is ${wanted}`, { found, wanted })) return;
  }
}

/** `wanted`: undefined where the policy says nothing. */
type Wish = readonly [name: StepName, code: ReasonCode, found: string, wanted: string | undefined, holds: boolean];

function same(name: StepName, code: ReasonCode, found: Uint8Array, wanted: Uint8Array | undefined): Wish {
  return wanted === undefined
    ? [name, code, toHex(found), undefined, true]
    : [name, code, toHex(found), toHex(wanted), equalBytes(found, wanted)];
}

/** A component that is wanted and not there is too low. */
function isTcbAtLeast(tcb: Partial<SnpTcb>, minimum: Partial<SnpTcb>): boolean {
  return Object.entries(minimum).every(([name, least]) => (tcb[name as keyof SnpTcb] ?? -1) >= least);
}

function describe(tcb: Partial<SnpTcb>): string {
  return Object.entries(tcb).map(([name, value]) => `${name.replace("_", " ")} ${value}`).join(", ");
}

function padded(reportData: Uint8Array): Uint8Array {
  assert(reportData.length <= 64, "Report data that is wanted has up to 64 bytes");
  return concat(reportData, new Uint8Array(64 - reportData.length));
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
