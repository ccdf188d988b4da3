/**
 * How up to date a platform is: its SVNs against Intel's levels, joined with the TDX module and the quoting enclave.
 *
 * In: a platform as its PCK certificate describes it, a quote's body and quoting enclave, TCB info, identity. Out: status,
 * advisories and the parts they come from, or why there is none.
 * Knows nothing of signatures, dates and of what anybody accepts.
 * Rules: attestation/formats.md §3.6.7 to §3.6.10, those of Intel's quote verification library (Verifiers/Checks)
 */

import { assert } from "../../assert.ts";
import { equalBytes, toHex } from "../../bytes.ts";
import type { Refusal } from "../evidence_steps.ts";
import type { SgxReport, TdReport } from "./bodies.ts";
import type { PckPlatform } from "./pck_certificate.ts";
import { isvLevelOf, masked, type QeIdentity, qeRefusal, type QeStatus } from "./qe_identity.ts";
import type { IsvLevel, ModuleStatus, TcbInfo, TcbLevel, TcbStatus, TdxModule } from "./tcb_info.ts";

/** Intel's two further results, of a domain that began under an old module on a platform that has a new one by now. */
export const RELAUNCH_STATUSES = ["TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded"] as const;
export type RelaunchStatus = typeof RELAUNCH_STATUSES[number];

/** The level that a platform reaches; of TDX also the one that it would reach as a platform of SGX. */
export interface PlatformLevels {
  readonly level: TcbLevel;
  readonly sgxLevel: TcbLevel;
}

export interface TcbResult {
  readonly status: TcbStatus;
  /** What Intel's library says instead of an `OutOfDate` that a relaunch would mend. */
  readonly relaunchStatus?: RelaunchStatus;
  /** Of platform, module and quoting enclave, each once, in alphabetical order. */
  readonly advisoryIds: readonly string[];
  readonly platform: TcbLevel;
  /** Of TDX alone. */
  readonly module?: ModuleState;
  readonly qe: IsvLevel<QeStatus>;
  /** Generation of the TCB info. */
  readonly evaluationDataNumber: number;
}

/** A TDX module that fits. Of major version 0 there are no levels: it counts as up to date. */
export interface ModuleState {
  readonly status: ModuleStatus;
  readonly level?: IsvLevel<ModuleStatus>;
}

export function isRefusal(found: object): found is Refusal {
  return "code" in found;
}

/** Compares the quoting enclave with its identity, and finds its level. */
export function findQeLevel(identity: QeIdentity, report: SgxReport): IsvLevel<QeStatus> | Refusal {
  const refusal = qeRefusal(identity, report);
  if (refusal !== undefined) return refusal;
  return isvLevelOf(identity.levels, report.isvSvn) ??
    { code: "tcb_not_supported", detail: `the quoting enclave's SVN, ${report.isvSvn}, is below every level` };
}

/**
 * The first level of which the platform has no SVN that is lower. Those of the processor are the ones in its certificate;
 * a quote's own CPUSVN may be older.
 *
 * @param body of TDX: its TEE_TCB_SVN counts too, without the module's two SVNs where those are compared apart
 */
export function findPlatformLevels(
  info: TcbInfo,
  platform: PckPlatform,
  body: SgxReport | TdReport,
): PlatformLevels | Refusal {
  const reached = info.levels.filter(({ sgxComponents, pceSvn }) =>
    sgxComponents.every((svn, i) => platform.components[i]! >= svn) && platform.pceSvn >= pceSvn
  );
  const level = body.kind === "sgx" ? reached[0] : reached.find((one) => reachesTdx(one, body.teeTcbSvn));
  if (level === undefined) {
    const tdx = body.kind === "sgx" ? "" : `, of TDX ${toHex(body.teeTcbSvn)}`;
    const svns = `CPUSVN ${platform.cpuSvn}, PCESVN ${platform.pceSvn}${tdx}`;
    return { code: "tcb_not_supported", detail: `the platform's SVNs (${svns}) are below every level` };
  }
  return { level, sgxLevel: reached[0]! };
}

function reachesTdx({ tdxComponents }: TcbLevel, teeTcbSvn: Uint8Array): boolean {
  const first = teeTcbSvn[1]! > 0 ? 2 : 0;
  return tdxComponents !== undefined && tdxComponents.every((svn, i) => i < first || teeTcbSvn[i]! >= svn);
}

/**
 * Compares the TDX module with what Intel says of its major version, and finds its level.
 *
 * As in Intel's library, SEAMATTRIBUTES must be zero besides being those of the identity.
 */
export function findModuleState(info: TcbInfo, body: TdReport): ModuleState | Refusal {
  const [minor, major] = [body.teeTcbSvn[0]!, body.teeTcbSvn[1]!];
  const id = moduleId(major);
  const identity = info.tdxModuleIdentities.get(id);
  const module: TdxModule | undefined = major === 0 ? info.tdxModule : identity;
  if (module === undefined) return mismatch(`modules of version ${major} (${id}) are not known to the TCB info`);
  if (!equalBytes(body.mrsignerseam, module.mrsigner)) {
    return mismatch(`MRSIGNERSEAM is ${toHex(body.mrsignerseam)}, not ${toHex(module.mrsigner)}`);
  }
  const { seamAttributes } = body;
  if (
    seamAttributes.some((byte) => byte !== 0) ||
    !equalBytes(masked(seamAttributes, module.attributesMask), module.attributes)
  ) {
    return mismatch(`SEAMATTRIBUTES are ${toHex(seamAttributes)}, not ${toHex(module.attributes)} or not zero`);
  }
  if (identity === undefined || major === 0) return { status: "UpToDate" };
  const level = isvLevelOf(identity.levels, minor);
  return level === undefined
    ? { code: "tcb_not_supported", detail: `the TDX module's SVN, ${minor}, is below every level of ${id}` }
    : { status: level.status, level };
}

function mismatch(detail: string): Refusal {
  return { code: "tdx_module_mismatch", detail };
}

function moduleId(major: number): string {
  return `TDX_${major.toString(16).padStart(2, "0").toUpperCase()}`;
}

/** Joins what was found into one status: an old module or quoting enclave makes the platform old. */
export function joinLevels(
  info: TcbInfo,
  body: SgxReport | TdReport,
  { level, sgxLevel }: PlatformLevels,
  module: ModuleState | undefined,
  qe: IsvLevel<QeStatus>,
): TcbResult {
  assert((body.kind === "sgx") === (module === undefined), "A trust domain has a TDX module, an enclave has none");
  const withModule = joinStatus(level.status, module?.status ?? "UpToDate");
  const relaunchStatus = body.kind === "td15" && module?.status === "OutOfDate" && qe.status === "UpToDate"
    ? findRelaunchStatus(info, body, sgxLevel.status, withModule)
    : undefined;
  const advisoryIds = new Set([level, module?.level, qe].flatMap((part) => part?.advisoryIds ?? []));
  return {
    status: joinStatus(withModule, qe.status),
    ...(relaunchStatus === undefined ? {} : { relaunchStatus }),
    advisoryIds: [...advisoryIds].sort(),
    platform: level,
    ...(module === undefined ? {} : { module }),
    qe,
    evaluationDataNumber: info.evaluationDataNumber,
  };
}

/** `part`: of a module or a quoting enclave; as in Intel's library, one that is neither current nor revoked is old. */
function joinStatus(status: TcbStatus, part: ModuleStatus | QeStatus): TcbStatus {
  if (status === "Revoked" || part === "Revoked") return "Revoked";
  if (part === "UpToDate") return status;
  switch (status) {
    case "UpToDate":
    case "SWHardeningNeeded":
      return "OutOfDate";
    case "ConfigurationNeeded":
    case "ConfigurationAndSWHardeningNeeded":
      return "OutOfDateConfigurationNeeded";
    default:
      return status;
  }
}

/**
 * Intel's rule for reports 1.5: the domain is old because its module was, but the platform has a module of the newest
 * level now, so that starting the domain again would mend it.
 *
 * @param sgx the platform's status as one of SGX
 * @param joined the platform's status with its module's
 */
function findRelaunchStatus(
  info: TcbInfo,
  { teeTcbSvn2 }: TdReport,
  sgx: TcbStatus,
  joined: TcbStatus,
): RelaunchStatus | undefined {
  assert(teeTcbSvn2 !== undefined, "A TD report 1.5 has a second TEE_TCB_SVN");
  const isSgxCurrent = sgx !== "OutOfDate" && sgx !== "OutOfDateConfigurationNeeded" && sgx !== "Revoked";
  if (!isSgxCurrent || (joined !== "OutOfDate" && joined !== "OutOfDateConfigurationNeeded")) return undefined;
  const newest = info.levels[0]!.tdxComponents;
  if (newest === undefined) return undefined;
  const [minor, major, loader] = [teeTcbSvn2[0]!, teeTcbSvn2[1]!, teeTcbSvn2[2]!];
  const newestMinor = major === 0 ? newest[0]! : info.tdxModuleIdentities.get(moduleId(major))?.levels[0]?.isvSvn;
  if (newestMinor === undefined || minor < newestMinor || loader < newest[2]!) return undefined;
  return needsConfiguration(sgx) || needsConfiguration(joined)
    ? "TDRelaunchAdvisedConfigurationNeeded"
    : "TDRelaunchAdvised";
}

function needsConfiguration(status: TcbStatus): boolean {
  return status === "ConfigurationNeeded" || status === "ConfigurationAndSWHardeningNeeded" ||
    status === "OutOfDateConfigurationNeeded";
}
