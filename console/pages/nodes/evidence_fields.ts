/**
 * A node's evidence for people: field by field, and as a file.
 *
 * In: evidence as a node answers it or the ledger keeps it. Out: rows with what each says; the bytes with a name. Nothing is
 * verified here.
 */

import { FormatError } from "../../../shared/assert.ts";
import { quoteFields, type ReportField, snpReportFields } from "../../../shared/attestation/report_fields.ts";
import { SNP_REPORT_BYTES } from "../../../shared/attestation/snp_report.ts";
import { parseVirtualEvidence } from "../../../shared/attestation/virtual_evidence.ts";
import { fromBase64, toHex } from "../../../shared/bytes.ts";

/** @throws FormatError */
export function fieldsOf(format: string, bytes: Uint8Array): readonly ReportField[] {
  if (format === "Insecure_Virtual") return virtualFields(bytes);
  return bytes.length === SNP_REPORT_BYTES ? snpReportFields(bytes) : quoteFields(bytes);
}

/** Virtual evidence is JSON: its fields stand nowhere in particular. */
function virtualFields(bytes: Uint8Array): readonly ReportField[] {
  const { measurement, hostData, reportData } = parseVirtualEvidence(bytes);
  const field = (name: string, hex: string, value: string | undefined, meaning: string): ReportField => ({
    name,
    offset: 0,
    length: bytes.length,
    hex,
    ...(value !== undefined && { value }),
    meaning,
  });
  return [
    field("measurement", "", measurement, "What the node says it runs; the same text for every virtual node"),
    field(
      "host_data",
      hostData ?? "",
      undefined,
      "SHA-256 that stands for the node's program, as the node says itself",
    ),
    field("report_data", toHex(reportData), undefined, "SHA-256 of the node's public key, which is also its ID"),
  ];
}

/** The evidence by itself, as `quote verify` takes it. @throws FormatError */
export function evidenceFile(
  nodeId: string,
  format: string,
  raw: string,
): { readonly name: string; readonly bytes: Uint8Array } {
  const bytes = fromBase64(raw);
  const ending = format === "Insecure_Virtual"
    ? "json"
    : bytes.length === SNP_REPORT_BYTES
    ? "snp_report.bin"
    : "quote.bin";
  return { name: `evidence_${nodeId.slice(0, 12)}.${ending}`, bytes };
}

/** Fields, or why there are none. */
export function readFields(format: string, raw: string): readonly ReportField[] | string {
  try {
    return fieldsOf(format, fromBase64(raw));
  } catch (error) {
    if (error instanceof FormatError) return error.message;
    throw error;
  }
}
