/**
 * AMD SEV-SNP: the security processor's report, and keys that it derives for the code it measured.
 *
 * In: report data. Out: a report of 1184 bytes. How it is asked for: attestation/formats.md §5.1, §5.2
 */

import { parseSnpReport, SNP_REPORT_BYTES } from "../../shared/attestation/snp_report.ts";
import { tsmReport } from "./configfs_tsm.ts";
import { PlatformFailure, type Protocol } from "./devices.ts";
import type { Platform, RawEvidence } from "./platform.ts";
import { sevDerivedKey, sevGuestReport } from "./sev_guest.ts";

/**
 * @param by configfs-tsm where there is one; the device needs a foreign function. Keys come from the device alone
 * @param name for directories of one's own, which nobody else uses
 */
export function snpPlatform(by: "configfs-tsm" | "sev-guest", name: string): Platform {
  return {
    kind: "snp",
    evidence: (reportData) => by === "configfs-tsm" ? fromConfigfs(name, reportData) : fromDevice(reportData),
    measure: (report) => parseSnpReport(report).measurement.slice(),
    sealingKey: sevDerivedKey,
  };
}

function* fromConfigfs(name: string, reportData: Uint8Array): Protocol<RawEvidence> {
  const { outblob, auxblob } = yield* tsmReport("sev_guest", name, reportData);
  return { quote: requireSize(outblob), certificates: auxblob };
}

function* fromDevice(reportData: Uint8Array): Protocol<RawEvidence> {
  const { report, certificates } = yield* sevGuestReport(reportData);
  return { quote: requireSize(report), certificates };
}

function requireSize(report: Uint8Array): Uint8Array {
  if (report.length === SNP_REPORT_BYTES) return report;
  throw new PlatformFailure(
    `Cannot use the report of SEV-SNP: it has ${report.length} bytes, not ${SNP_REPORT_BYTES}; is this kernel newer than ` +
      "this version of Quorate?",
  );
}
