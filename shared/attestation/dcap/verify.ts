/**
 * Checking DCAP evidence: that a genuine Intel platform, new enough, runs the enclave or trust domain of a quote.
 *
 * In: a quote; collateral; a moment; a policy; the pinned root keys. Out: every step with its result, and the values that
 * the evidence gives.
 * No clock, no network, no memory between calls: who checks many quotes keeps the parsed collateral.
 * Rules: attestation/formats.md §3.6, in that order, where Intel's quote verification library decides what is left open
 */

import { assert } from "../../assert.ts";
import { concat, equalBytes, toHex } from "../../bytes.ts";
import type { EcdsaVerifier } from "../../crypto/ecdsa.ts";
import type { Primitives } from "../../crypto/primitives.ts";
import { type Certificate, publicKeyOf } from "../../crypto/x509.ts";
import { checkRevocationList } from "../../crypto/x509_crl.ts";
import { checkEvidenceChain, pinOf } from "../evidence_chain.ts";
import { EvidenceSteps, type EvidenceVerdict, type Refusal, type StepInputs } from "../evidence_steps.ts";
import { isDebuggable, isMigratable, type QuoteBody } from "./bodies.ts";
import type { Collateral, Statement } from "./collateral.ts";
import { commonName, namesRefusal, PCK_NAMES, type PckPlatform, TCB_SIGNER_NAMES } from "./pck_certificate.ts";
import {
  asksForMeasurement,
  type DcapPolicy,
  DEFAULT_TCB_STATUSES,
  isvSvnRefusal,
  measurementRefusal,
  reportDataRefusal,
  septVeRefusal,
} from "./policy.ts";
import { CERTIFICATION_TYPES, headerRefusal, PCK_CHAIN_TYPE, type Quote } from "./quote.ts";
import { type DcapEvidence, type DcapValues, readable, Reading, refusalOf } from "./reading.ts";
import { quoted } from "./statement_json.ts";
import { isRefusal, type TcbResult } from "./tcb_status.ts";

export interface DcapOptions {
  /** Milliseconds since 1970, at which certificates, lists and statements must count. */
  readonly at: number;
  readonly policy: DcapPolicy;
  /** Hex SHA-256 of the SubjectPublicKeyInfo of each trusted root; `INTEL_SGX_ROOT.spkiSha256` for real platforms. */
  readonly pins: readonly string[];
}

/** The values are there, as far as they can be read, also where the verdict is "refused": only "verified" makes them true. */
export interface DcapVerdict extends EvidenceVerdict, DcapValues {}

export type DcapPrimitives = EcdsaVerifier & Pick<Primitives, "sha256">;

const RULES = {
  "quote header":
    "A quote of version 3, 4 or 5, of SGX or TDX, signed with ECDSA P-256, by Intel's quoting enclave (§3.1)",
  "quote structure": "All lengths inside the quote add up exactly (§3.2, §3.3)",
  "bytes after the quote": "Nothing but zeros follows the quote (§0.7)",
  "certification data": "The quote carries the chain of the platform's PCK certificate (§3.3)",
  "PCK chain": "PCK certificate, PCK CA and root, each signed by the next, valid, to a pinned key (§3.4)",
  "PCK certificate": "The PCK certificate says which platform it is, and its SVNs (§3.4)",
  "collateral": "What Intel says about platforms is at hand and can be read (§3.5)",
  "root CRL": "The root's revocation list is current, signed, and lists neither the PCK CA nor the TCB signer (§3.6.3)",
  "PCK CRL": "The PCK CA's revocation list is current, signed, and does not list the PCK certificate (§3.6.3)",
  "QE report signature": "The quoting enclave's report is signed by the PCK (§3.6.4)",
  "QE report data": "The quoting enclave's report vouches for the attestation key (§3.6.4)",
  "quote signature": "Header and body are signed by the attestation key (§3.6.5)",
  "TCB info": "The TCB info is signed by Intel, current, and for this kind of platform (§3.6.6)",
  "QE identity": "The quoting enclave's identity is signed by Intel, current, and for this kind of TEE (§3.6.6)",
  "quoting enclave": "The quoting enclave is the one that its identity describes, of a known version (§3.6.7)",
  "TCB level": "The platform's SVNs reach a level that Intel knows (§3.6.8)",
  "TDX module": "The TDX module is one that Intel knows (§3.6.9)",
  "TCB status": "The joined status is not Revoked, and is one that the policy takes (§3.6.10, §3.6.11)",
  "evaluation number": "Intel's data is of a generation that the policy takes",
  "debugging": "The host cannot look into the enclave or trust domain (§3.6.11)",
  "migration":
    "The trust domain cannot be migrated, and so not be copied, if the policy wants it (CCF's rule for SEV-SNP)",
  "report data": "REPORTDATA is what the policy wants (§3.6.12)",
  "measurements": "MRENCLAVE, MRSIGNER, MRTD, RTMRs and the like are what the policy wants (§3.6.12)",
  "enclave SVN": "ISVSVN is not lower than the policy wants (§3.6.12)",
  "SEPT_VE_DISABLE": "The trust domain learns of pages that the host takes away, if the policy wants it (§3.6.12)",
} as const;

/** Checks one piece of evidence. Every root key comes from `pins`, the time from `at`: nothing else is believed. */
export function verifyDcap(
  evidence: DcapEvidence,
  options: DcapOptions,
  primitives: DcapPrimitives,
): DcapVerdict {
  assert(Math.abs(options.at) <= MAX_MOMENT_MS, "The moment is one that a date can have");
  const reading = new Reading(evidence);
  const steps = new EvidenceSteps(RULES);
  new Verification(steps, reading, options, primitives).run();
  return { ...steps.end(), ...reading.values() };
}

type Steps = EvidenceSteps<typeof RULES>;

/** The steps in their order. Each method answers whether to go on. */
class Verification {
  readonly #steps: Steps;
  readonly #reading: Reading;
  readonly #options: DcapOptions;
  readonly #primitives: DcapPrimitives;

  constructor(steps: Steps, reading: Reading, options: DcapOptions, primitives: DcapPrimitives) {
    this.#steps = steps;
    this.#reading = reading;
    this.#options = options;
    this.#primitives = primitives;
  }

  run(): void {
    const quote = this.#quote();
    if (quote === undefined) return;
    const pck = this.#pck();
    if (pck === undefined) return;
    const collateral = this.#collateral();
    if (collateral === "refused") return;
    const goOn = this.#revocation(pck.chain, collateral) && this.#signatures(quote, pck.chain[0]!) &&
      this.#statements(quote, pck.platform, collateral) && this.#tcb(quote, collateral);
    if (goOn) this.#relyingParty(quote);
  }

  #quote(): Quote | undefined {
    const { policy } = this.#options;
    const { header, quote: read } = this.#reading;
    const refusal = refusalOf(() => headerRefusal(header()));
    const known = readable(header);
    const inputs: StepInputs = known === undefined
      ? {}
      : { version: String(known.version), teeType: `0x${known.teeType.toString(16)}` };
    if (!this.#steps.found("quote header", refusal, "the header is of a known kind", inputs)) return undefined;
    const quote = this.#steps.read(
      "quote structure",
      "malformed",
      read,
      "all parts are there and nothing is left over",
    );
    if (quote === undefined) return undefined;
    const { trailing, certification: { type } } = quote;
    const isPadding = trailing.every((byte) => byte === 0);
    const length = `${trailing.length} bytes follow the quote`;
    if (policy.allowTrailing === true && !isPadding) {
      this.#steps.skip("bytes after the quote", `${length}, and the policy takes them`);
    } else if (!this.#steps.check("bytes after the quote", isPadding, "trailing_bytes", length)) return undefined;
    const kind = CERTIFICATION_TYPES[type] ?? "unknown";
    const detail = `the certification data is of type ${type}, ${kind}`;
    return this.#steps.check("certification data", type === PCK_CHAIN_TYPE, "unsupported_cert_type", detail)
      ? quote
      : undefined;
  }

  #pck(): { chain: readonly Certificate[]; platform: PckPlatform } | undefined {
    const refusal = refusalOf(() => this.#chainRefusal(this.#reading.pckChain(), PCK_NAMES));
    const inputs: StepInputs = refusal === undefined ? namesOf(this.#reading.pckChain()) : {};
    if (!this.#steps.found("PCK chain", refusal, "the chain leads to a pinned root", inputs)) return undefined;
    const { platform: read } = this.#reading;
    const svns = platformInputs(readable(read));
    const platform = this.#steps.read("PCK certificate", "malformed", read, "the SGX extension is whole", svns);
    return platform === undefined ? undefined : { chain: this.#reading.pckChain(), platform };
  }

  /** Undefined where the policy leaves it out. */
  #collateral(): Collateral | undefined | "refused" {
    if (this.#options.policy.noCollateral === true) {
      this.#steps.skip("collateral", NO_COLLATERAL);
      return undefined;
    }
    const refusal = refusalOf(() => void this.#reading.collateral());
    const collateral = refusal === undefined ? this.#reading.collateral() : undefined;
    if (refusal === undefined && collateral === undefined) {
      this.#steps.cannot(
        "collateral",
        "missing_collateral",
        "no collateral is at hand; fetch it from Intel or a cache",
      );
      return "refused";
    }
    return this.#steps.found("collateral", refusal, "all of it can be read") ? collateral! : "refused";
  }

  #revocation(chain: readonly Certificate[], collateral: Collateral | undefined): boolean {
    if (collateral === undefined) {
      this.#steps.skip("root CRL", NO_COLLATERAL);
      this.#steps.skip("PCK CRL", NO_COLLATERAL);
      return true;
    }
    const [leaf, authority, root] = [chain[0]!, chain[1]!, chain[2]!];
    const { rootCrl, pckCrl, pckCrlIssuerChain, tcbInfo, qeIdentity } = collateral;
    const underRoot = [authority, ...tcbInfo.chain, ...qeIdentity.chain];
    return this.#list("root CRL", rootCrl, root, underRoot) &&
      this.#list(
        "PCK CRL",
        pckCrl,
        authority,
        [leaf],
        () => pckCrlIssuerChain === undefined ? undefined : this.#issuerChainRefusal(pckCrlIssuerChain, authority),
      );
  }

  /** `further`: what else must hold, asked last. */
  #list(
    step: "root CRL" | "PCK CRL",
    list: Collateral["rootCrl"],
    issuer: Certificate,
    certificates: readonly Certificate[],
    further: () => Refusal | undefined = () => undefined,
  ): boolean {
    if (list === undefined) {
      const isAllowed = this.#options.policy.allowMissingCrl === true;
      if (isAllowed) this.#steps.skip(step, "there is no list, and the policy does without");
      else this.#steps.cannot(step, "missing_collateral", "the collateral has no such list");
      return isAllowed;
    }
    const refusal = checkRevocationList(this.#primitives, list, issuer, this.#options.at, certificates) ?? further();
    const inputs = {
      from: toDate(list.thisUpdateMs),
      to: list.nextUpdateMs === undefined ? "" : toDate(list.nextUpdateMs),
      revoked: String(list.revoked.size),
    };
    return this.#steps.found(
      step,
      refusal,
      "the list is current and signed, and lists none of the certificates",
      inputs,
    );
  }

  /** The list was checked with the CA of the quote's own chain; what came with the list must be that CA too. */
  #issuerChainRefusal(chain: readonly Certificate[], authority: Certificate): Refusal | undefined {
    const refusal = this.#chainRefusal(chain, PCK_NAMES.slice(1), ["cRLSign", "keyCertSign"]);
    if (refusal !== undefined) return refusal;
    return equalBytes(chain[0]!.spki, authority.spki)
      ? undefined
      : { code: "crl_invalid", detail: "the list came with the chain of another CA than the quote's" };
  }

  #signatures(quote: Quote, leaf: Certificate): boolean {
    const { qeReport, qeReportSignature, qeAuthData, attestationKey, signature, signed } = quote;
    const isQeSigned = this.#isSignedBy(leaf, qeReport.bytes, qeReportSignature);
    const qeInputs = { mrenclave: toHex(qeReport.mrenclave), isvSvn: String(qeReport.isvSvn) };
    const qeDetail = `the report is${isQeSigned ? "" : " not"} signed by the PCK`;
    if (!this.#steps.check("QE report signature", isQeSigned, "qe_report_bad_signature", qeDetail, qeInputs)) {
      return false;
    }

    const vouched = concat(this.#primitives.sha256(concat(attestationKey, qeAuthData)), new Uint8Array(32));
    const isVouched = equalBytes(qeReport.reportData, vouched);
    const vouchedDetail = `the report is${isVouched ? "" : " not"} about this attestation key`;
    if (!this.#steps.check("QE report data", isVouched, "qe_report_data_mismatch", vouchedDetail)) return false;

    const isSigned = this.#isSigned(concat(Uint8Array.of(0x04), attestationKey), signed, signature);
    const detail = `header and body are${isSigned ? "" : " not"} signed by the attestation key`;
    return this.#steps.check("quote signature", isSigned, "bad_signature", detail);
  }

  #statements(quote: Quote, platform: PckPlatform, collateral: Collateral | undefined): boolean {
    if (collateral === undefined) {
      this.#steps.skip("TCB info", NO_COLLATERAL);
      this.#steps.skip("QE identity", NO_COLLATERAL);
      return true;
    }
    const { tcbInfo, qeIdentity } = collateral;
    const isSgx = quote.body.kind === "sgx";
    const info = tcbInfo.value;
    const infoRefusal = this.#statementRefusal(tcbInfo) ?? mismatch(
      info.id !== (isSgx ? "SGX" : "TDX")
        ? `the TCB info is for ${info.id}`
        : info.tcbType !== 0
        ? `the TCB info compares levels in an unknown way, ${info.tcbType}`
        : info.fmspc !== platform.fmspc
        ? `the TCB info is for FMSPC ${info.fmspc}, the platform has ${platform.fmspc}`
        : info.pceId !== platform.pceId
        ? `the TCB info is for PCE ID ${info.pceId}, the platform has ${platform.pceId}`
        : undefined,
    );
    const infoInputs = { ...datesOf(tcbInfo), fmspc: info.fmspc, generation: String(info.evaluationDataNumber) };
    if (!this.#steps.found("TCB info", infoRefusal, "signed, current, and for this platform", infoInputs)) return false;

    const { id, evaluationDataNumber } = qeIdentity.value;
    const identityRefusal = this.#statementRefusal(qeIdentity) ??
      mismatch(id === (isSgx ? "QE" : "TD_QE") ? undefined : `the identity is for an enclave ${quoted(id)}`);
    const identityInputs = { ...datesOf(qeIdentity), generation: String(evaluationDataNumber) };
    return this.#steps.found("QE identity", identityRefusal, "signed, current, and for this TEE", identityInputs);
  }

  #statementRefusal(statement: Statement<{ issueDateMs: number; nextUpdateMs: number }>): Refusal | undefined {
    const { chain, signed, signature, value: { issueDateMs, nextUpdateMs } } = statement;
    const refusal = this.#chainRefusal(chain, TCB_SIGNER_NAMES);
    if (refusal !== undefined) return refusal;
    if (!this.#isSignedBy(chain[0]!, signed, signature)) {
      return { code: "collateral_bad_signature", detail: "the text is not signed by its signer" };
    }
    const { at } = this.#options;
    const dates = `it counts from ${toDate(issueDateMs)} to ${toDate(nextUpdateMs)}, not at ${toDate(at)}`;
    if (at < issueDateMs) return { code: "collateral_not_yet_valid", detail: dates };
    if (at >= nextUpdateMs + 1000) return { code: "collateral_expired", detail: dates };
    return undefined;
  }

  #tcb(quote: Quote, collateral: Collateral | undefined): boolean {
    const found = collateral === undefined ? undefined : this.#reading.tcb();
    if (found === undefined) {
      for (const step of ["quoting enclave", "TCB level", "TDX module", "TCB status", "evaluation number"] as const) {
        this.#steps.skip(step, NO_COLLATERAL);
      }
      return true;
    }
    const { qe, levels, module, result } = found;
    const qeStatus = isRefusal(qe) ? "" : `SVN ${quote.qeReport.isvSvn} is ${qe.status}`;
    if (!this.#steps.found("quoting enclave", refusalIn(qe), qeStatus)) return false;
    const level = isRefusal(levels) ? "" : `the level of ${levels.level.date} is ${levels.level.status}`;
    if (!this.#steps.found("TCB level", refusalIn(levels), level)) return false;
    if (module === undefined) this.#steps.skip("TDX module", "an enclave of SGX runs under none");
    else {
      const status = isRefusal(module) ? "" : `the module is ${module.status}`;
      if (!this.#steps.found("TDX module", refusalIn(module), status)) return false;
    }
    return this.#status(result!) && this.#generation(result!, collateral!);
  }

  #status({ status, relaunchStatus, advisoryIds }: TcbResult): boolean {
    const accepted = this.#options.policy.acceptTcbStatus ?? DEFAULT_TCB_STATUSES;
    const isAccepted = accepted.includes(status) || (relaunchStatus !== undefined && accepted.includes(relaunchStatus));
    const isRevoked = status === "Revoked";
    const code = isRevoked ? "tcb_revoked" : "tcb_status_unacceptable";
    const relaunch = relaunchStatus === undefined ? "" : ` (${relaunchStatus})`;
    const detail = `the status is ${status}${relaunch}; the policy takes ${accepted.join(", ")}`;
    return this.#steps.check("TCB status", isAccepted && !isRevoked, code, detail, {
      advisories: advisoryIds.join(", "),
    });
  }

  #generation({ evaluationDataNumber }: TcbResult, { qeIdentity }: Collateral): boolean {
    const min = this.#options.policy.minTcbEvaluationDataNumber;
    const older = Math.min(evaluationDataNumber, qeIdentity.value.evaluationDataNumber);
    const detail = `the older of TCB info and identity is of generation ${older}`;
    if (min === undefined) {
      this.#steps.skip("evaluation number", detail);
      return true;
    }
    return this.#steps.check("evaluation number", older >= min, "collateral_expired", `${detail}; wanted is ${min}`);
  }

  #relyingParty({ body }: Quote): void {
    const { policy } = this.#options;
    const isDebug = isDebuggable(body);
    const debugDetail = `the host can${isDebug ? "" : "not"} look inside`;
    if (isDebug && policy.allowDebug === true) {
      this.#steps.skip("debugging", `${debugDetail}, and the policy takes that`);
    } else if (!this.#steps.check("debugging", !isDebug, "debug_enabled", debugDetail)) return;
    if (!this.#migration(body)) return;

    const { reportData, minIsvSvn } = policy;
    const data = { reportData: toHex(body.reportData) };
    const svn: StepInputs = body.kind === "sgx" ? { isvSvn: String(body.isvSvn) } : {};
    const attributes: StepInputs = body.kind === "sgx" ? {} : { tdAttributes: toHex(body.tdAttributes) };
    const goOn =
      this.#wanted("report data", reportData !== undefined, () => reportDataRefusal(body, reportData!), data) &&
      this.#wanted(
        "measurements",
        asksForMeasurement(policy),
        () => measurementRefusal(body, policy),
        digestsOf(body),
      ) &&
      this.#wanted("enclave SVN", minIsvSvn !== undefined, () => isvSvnRefusal(body, minIsvSvn!), svn);
    if (!goOn) return;
    this.#wanted("SEPT_VE_DISABLE", policy.requireSeptVeDisable === true, () => septVeRefusal(body), attributes);
  }

  #migration(body: QuoteBody): boolean {
    if (body.kind === "sgx") {
      this.#steps.skip("migration", "an enclave of SGX cannot be moved");
      return true;
    }
    const inputs = { tdAttributes: toHex(body.tdAttributes) };
    const mayMove = isMigratable(body);
    const detail = `the trust domain may${mayMove ? "" : " not"} be moved to another machine`;
    if (this.#options.policy.refuseMigratable === true) {
      return this.#steps.check("migration", !mayMove, "migration_agent", detail, inputs);
    }
    this.#steps.skip("migration", `${detail}, and the policy takes it either way`, inputs);
    return true;
  }

  #wanted(step: keyof typeof RULES, isAsked: boolean, refusal: () => Refusal | undefined, inputs: StepInputs): boolean {
    if (isAsked) return this.#steps.found(step, refusal(), "as the policy wants it", inputs);
    this.#steps.skip(step, "the policy does not ask for it", inputs);
    return true;
  }

  #chainRefusal(
    chain: readonly Certificate[],
    names: readonly (readonly string[])[],
    leafUsages: NonNullable<Parameters<typeof checkEvidenceChain>[3]["leafUsages"]> = ["digitalSignature"],
  ): Refusal | undefined {
    const { pins, at } = this.#options;
    return checkEvidenceChain(this.#primitives, chain, at, { pins, leafUsages }) ?? namesRefusal(chain, names);
  }

  /** False also where the certificate's key is of another kind. */
  #isSignedBy(certificate: Certificate, message: Uint8Array, signature: Uint8Array): boolean {
    const key = readable(() => publicKeyOf(certificate));
    return key?.kind === "EC" && key.curve === "P-256" && this.#isSigned(key.point, message, signature);
  }

  /** @param point uncompressed, on P-256; @param signature r ‖ s */
  #isSigned(point: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
    return this.#primitives.ecdsaVerifyHashed("P-256", point, this.#primitives.sha256(message), signature);
  }
}

/** What `Date` can say. */
const MAX_MOMENT_MS = 8.64e15;
const NO_COLLATERAL = "the policy looks at signatures and the chain alone";

function mismatch(detail: string | undefined): Refusal | undefined {
  return detail === undefined ? undefined : { code: "collateral_mismatch", detail };
}

function refusalIn(found: object): Refusal | undefined {
  return isRefusal(found) ? found : undefined;
}

function datesOf({ value: { issueDateMs, nextUpdateMs } }: Statement<{ issueDateMs: number; nextUpdateMs: number }>) {
  return { from: toDate(issueDateMs), to: toDate(nextUpdateMs) };
}

/** Names and pin of a chain, for people. */
function namesOf(chain: readonly Certificate[]): StepInputs {
  return { names: chain.map(commonName).join(" < "), root: pinOf(chain.at(-1)!) };
}

function platformInputs(platform: PckPlatform | undefined): StepInputs {
  if (platform === undefined) return {};
  return { fmspc: platform.fmspc, cpuSvn: platform.cpuSvn, pceSvn: String(platform.pceSvn) };
}

function digestsOf(body: QuoteBody): StepInputs {
  if (body.kind === "sgx") return { mrenclave: toHex(body.mrenclave), mrsigner: toHex(body.mrsigner) };
  const { mrtd, rtmr0, rtmr1, rtmr2, rtmr3 } = body;
  return Object.fromEntries(
    Object.entries({ mrtd, rtmr0, rtmr1, rtmr2, rtmr3 }).map(([name, digest]) => [name, toHex(digest)]),
  );
}

function toDate(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}
