/**
 * The verdict of our verifiers on the evidence of a test vector, in the words of the vectors.
 *
 * In: a case. Out: accepted or rejected, with the reason, and every value that was read or computed, by the names and in
 * the forms of attestation/vectors/README.md: bytes in hex, in the order of memory; integers as numbers.
 */

import { assert, FormatError } from "../assert.ts";
import { fromUtf8, toHex } from "../bytes.ts";
import { parsePemBlock } from "../crypto/pem.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { parseCertificate } from "../crypto/x509.ts";
import { parseJsonBytes } from "../json.ts";
import { orNull, recordOf, text } from "../json_shape.ts";
import { isDebuggable, type QuoteBody } from "./dcap/bodies.ts";
import { collateralTexts } from "./dcap/collateral.ts";
import { commonName } from "./dcap/pck_certificate.ts";
import { type DcapVerdict, verifyDcap } from "./dcap/verify.ts";
import { pinOf } from "./evidence_chain.ts";
import type { EvidenceVerdict, ReasonCode } from "./evidence_steps.ts";
import { verifySnp } from "./snp.ts";
import { parseSnpCertificate, type SnpCertificate } from "./snp_certificate.ts";
import { snpPinsOf } from "./snp_chain.ts";
import { parseSnpReport, readTcb, type SnpFirmware, type SnpReport } from "./snp_report.ts";
import { type UvmVerdict, verifyUvm } from "./uvm.ts";
import { changeCollateral, type VectorCase } from "./vector_case.ts";

export interface VectorFindings {
  readonly verdict: "accept" | "reject" | "parse-only";
  /** Of a rejection. */
  readonly code?: ReasonCode;
  /** Of a rejection, as a sentence. */
  readonly reason?: string;
  /** What the evidence says, true or not. What could not be read is undefined. */
  readonly values: Readonly<Record<string, unknown>>;
}

/** @throws FormatError where the case is none: a file is missing, or what is to be trusted cannot be read */
export function verifyVector(vector: VectorCase, primitives: Primitives): VectorFindings {
  switch (vector.kind) {
    case "snp-parse":
      return parseOnly(vector, primitives);
    case "snp":
      return checkSnp(vector, primitives);
    case "sgx":
    case "tdx":
      return checkDcap(vector, primitives);
    case "uvm": {
      const verdict = verifyUvm(fileOf(vector, "uvm"), { ...vector.policy.uvm, at: momentOf(vector) }, primitives);
      return { ...judged(verdict), values: uvmValues(verdict) };
    }
  }
}

/** The endorsement is verified all the same: without that, what it says is not to be had. */
function parseOnly(vector: VectorCase, primitives: Primitives): VectorFindings {
  const report = parseSnpReport(fileOf(vector, "report"));
  const document = vector.files.get("uvm");
  const uvm = document && verifyUvm(document, { at: "ignore dates", measurement: report.measurement }, primitives);
  return { verdict: "parse-only", values: { report: reportValues(report), uvm: uvm && uvmValues(uvm) } };
}

function checkSnp(vector: VectorCase, primitives: Primitives): VectorFindings {
  const [reportBytes, vek, crl] = [fileOf(vector, "report"), fileOf(vector, "vek"), vector.files.get("crl")];
  const authorities = vector.lists.get("chain");
  if (authorities === undefined) throw new FormatError('Cannot verify the vector: it has no "chain"');
  const roots = vector.lists.get("trustedRoots");
  const pins = roots && snpPinsOf(roots.map((pem) => parseCertificate(derOf(pem))));

  const report = readable(() => parseSnpReport(reportBytes));
  const signer = readable(() => parseSnpCertificate(parseCertificate(vek)));
  const document = vector.files.get("uvm");
  // As in CCF, which does not look at the dates of what endorses a utility VM.
  const uvm = document && verifyUvm(document, {
    ...vector.policy.uvm,
    at: "ignore dates",
    ...(report && { measurement: report.measurement }),
  }, primitives);
  const values = {
    ...snpValues(report, signer),
    uvm: uvm && uvmValues(uvm),
  };
  const chain = readable(() => authorities.map(derOf));
  if (chain === undefined) return { ...MALFORMED, reason: "a certificate of the chain is not in PEM", values };
  const verdict = verifySnp(
    { report: reportBytes, chain: [vek, ...chain], ...(crl && { crl }) },
    { at: momentOf(vector), rules: "general", policy: vector.policy.snp, ...(pins && { pins }) },
    primitives,
  );
  return { ...judged(verdict.verdict === "verified" && uvm !== undefined ? uvm : verdict), values };
}

function checkDcap(vector: VectorCase, primitives: Primitives): VectorFindings {
  const quote = fileOf(vector, "quote");
  const root = parseCertificate(derOf(fileOf(vector, "root")));
  const file = vector.files.get("collateral");
  const members = file && readable(() => recordOf(orNull(text))(parseJsonBytes(file), ""));
  const changed = members && changeCollateral(members, vector.collateralChanges);
  const collateral = changed && readable(() => collateralTexts(changed));
  if (file !== undefined && collateral === undefined) {
    return { ...MALFORMED, reason: "the collateral is no file of collateral", values: {} };
  }
  const options = { at: momentOf(vector), policy: vector.policy.dcap, pins: [pinOf(root)] };
  const verdict = verifyDcap({ quote, ...(collateral && { collateral }) }, options, primitives);
  return { ...judged(verdict, vector.kind, verdict.quote?.body), values: dcapValues(verdict) };
}

const MALFORMED = { verdict: "reject", code: "malformed" } as const;

/** @param body of a quote, which must be about what the vector says that it is about */
function judged(
  { verdict, code, reason }: EvidenceVerdict,
  kind?: string,
  body?: QuoteBody,
): Omit<VectorFindings, "values"> {
  if (verdict === "refused") return { verdict: "reject", code: code!, reason: reason! };
  if (body !== undefined && (body.kind === "sgx") !== (kind === "sgx")) {
    return { verdict: "reject", code: "unsupported_tee_type", reason: `the quote is about ${body.kind}` };
  }
  return { verdict: "accept" };
}

function snpValues(report: SnpReport | undefined, signer: SnpCertificate | undefined) {
  return {
    product: signer?.product,
    certProduct: signer?.productName,
    keyKind: signer?.kind,
    hwid: signer?.hardwareId && toHex(signer.hardwareId),
    cspId: signer?.providerId,
    tcb: signer && report && readTcb(signer.product, report.reportedTcb),
    report: report && reportValues(report),
  };
}

/** A report by the names and forms of the vectors. */
export function reportValues(report: SnpReport) {
  const { policy, cpu, keyInfo } = report;
  return {
    version: report.version,
    guest_svn: report.guestSvn,
    policy: bigEndianHex(policy.bits, 8),
    abi: [policy.abiMajor, policy.abiMinor],
    smt: policy.smtAllowed,
    migrate_ma: policy.migrateMa,
    debug: policy.debug,
    single_socket: policy.singleSocket,
    family_id: toHex(report.familyId),
    image_id: toHex(report.imageId),
    vmpl: report.vmpl,
    signature_algo: report.signatureAlgorithm,
    current_tcb: toHex(report.currentTcb),
    platform_info: bigEndianHex(report.platformInfo.bits, 8),
    key_info: bigEndianHex(BigInt(keyInfo.bits), 4),
    author_key_en: Number(keyInfo.authorKeyEnabled),
    mask_chip_key: Number(keyInfo.maskChipKey),
    signing_key: keyInfo.signingKey,
    report_data: toHex(report.reportData),
    measurement: toHex(report.measurement),
    host_data: toHex(report.hostData),
    id_key_digest: toHex(report.idKeyDigest),
    author_key_digest: toHex(report.authorKeyDigest),
    report_id: toHex(report.reportId),
    report_id_ma: toHex(report.reportIdMa),
    reported_tcb: toHex(report.reportedTcb),
    cpuid: [cpu.family, cpu.model, cpu.stepping],
    chip_id: toHex(report.chipId),
    committed_tcb: toHex(report.committedTcb),
    current_ver: firmwareValues(report.currentFirmware),
    committed_ver: firmwareValues(report.committedFirmware),
    launch_tcb: toHex(report.launchTcb),
    launch_mit: bigEndianHex(report.launchMitigations, 8),
    current_mit: bigEndianHex(report.currentMitigations, 8),
  };
}

/** In the order of the report. */
function firmwareValues({ build, minor, major }: SnpFirmware) {
  return [build, minor, major];
}

function uvmValues({ endorsement }: UvmVerdict) {
  const { algorithm, did, feed, svn, contentType, measurement, layout } = endorsement;
  return {
    alg: algorithm,
    did,
    feed,
    svn,
    contentType,
    measurement: measurement && toHex(measurement),
    format: layout,
  };
}

function dcapValues({ quote, pckChain, platform, tcb }: DcapVerdict) {
  const authority = pckChain?.[1];
  return {
    quoteVersion: quote?.header.version,
    bodyKind: quote?.body.kind,
    body: quote && bodyValues(quote.body),
    debug: quote && isDebuggable(quote.body),
    trailing: quote?.trailing.length,
    certDataType: quote?.certification.type,
    qeIsvSvn: quote?.qeReport.isvSvn,
    pckIssuer: authority && readable(() => commonName(authority)),
    fmspc: platform?.fmspc,
    pceid: platform?.pceId,
    pcesvn: platform?.pceSvn,
    cpusvn: platform?.cpuSvn,
    tcbStatus: tcb?.status,
    relaunchStatus: tcb?.relaunchStatus,
    platformTcbStatus: tcb?.platform.status,
    qeTcbStatus: tcb?.qe.status,
    moduleTcbStatus: tcb?.module?.status,
    tcbDate: tcb?.platform.date,
    advisoryIds: tcb?.advisoryIds,
    tcbEvaluationDataNumber: tcb?.evaluationDataNumber,
  };
}

/** The names of the vectors are Intel's, in small letters. */
function bodyValues(body: QuoteBody) {
  if (body.kind === "sgx") {
    return {
      cpusvn: toHex(body.cpuSvn),
      miscselect: toHex(body.miscSelect),
      attributes: toHex(body.attributes),
      mrenclave: toHex(body.mrenclave),
      mrsigner: toHex(body.mrsigner),
      isvprodid: body.isvProdId,
      isvsvn: body.isvSvn,
      reportdata: toHex(body.reportData),
      configid: toHex(body.configId),
      configsvn: body.configSvn,
      isvfamilyid: toHex(body.isvFamilyId),
      isvextprodid: toHex(body.isvExtProdId),
    };
  }
  return {
    tee_tcb_svn: toHex(body.teeTcbSvn),
    mrseam: toHex(body.mrseam),
    mrsignerseam: toHex(body.mrsignerseam),
    seamattributes: toHex(body.seamAttributes),
    tdattributes: toHex(body.tdAttributes),
    xfam: toHex(body.xfam),
    mrtd: toHex(body.mrtd),
    mrconfigid: toHex(body.mrconfigid),
    mrowner: toHex(body.mrowner),
    mrownerconfig: toHex(body.mrownerconfig),
    rtmr0: toHex(body.rtmr0),
    rtmr1: toHex(body.rtmr1),
    rtmr2: toHex(body.rtmr2),
    rtmr3: toHex(body.rtmr3),
    reportdata: toHex(body.reportData),
    tee_tcb_svn2: body.teeTcbSvn2 && toHex(body.teeTcbSvn2),
    mrservicetd: body.mrservicetd && toHex(body.mrservicetd),
  };
}

function bigEndianHex(value: bigint, bytes: number): string {
  return value.toString(16).padStart(2 * bytes, "0");
}

function fileOf({ files }: VectorCase, role: string): Uint8Array {
  const bytes = files.get(role);
  if (bytes === undefined) throw new FormatError(`Cannot verify the vector: it has no file ${JSON.stringify(role)}`);
  return bytes;
}

function momentOf({ at }: VectorCase): number {
  assert(at !== undefined, "What is verified has a moment");
  return at;
}

function derOf(pem: Uint8Array): Uint8Array {
  return parsePemBlock(fromUtf8(pem), "CERTIFICATE");
}

/** What can be read, else undefined. */
function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
