/**
 * From when to when what vouches for evidence holds: certificates of AMD, statements and certificates of Intel.
 *
 * In: the endorsements of a node's evidence. Out: rows with dates. Whether they are genuine is for the ladder.
 * Formats: nodes-and-attestation.md §8 (endorsements of SEV-SNP are a PEM chain), shared/attestation/dcap/collateral.ts
 */

import { FormatError } from "../../../shared/assert.ts";
import { collateralTexts } from "../../../shared/attestation/dcap/collateral.ts";
import { fromBase64, fromUtf8 } from "../../../shared/bytes.ts";
import { parsePem } from "../../../shared/crypto/pem.ts";
import { parseCertificate } from "../../../shared/crypto/x509.ts";
import { parseJsonBytes, parseJsonText } from "../../../shared/json.ts";
import { object, text } from "../../../shared/json_shape.ts";

export interface CollateralRow {
  readonly what: string;
  /** A sentence where they cannot be read. */
  readonly dates: { readonly notBeforeMs: number; readonly notAfterMs: number } | string;
}

const statement = object({ issueDate: text, nextUpdate: text });

/** @param endorsements base64 */
export function collateralDates(format: string, endorsements: string): readonly CollateralRow[] {
  if (endorsements === "") return [];
  try {
    const bytes = fromBase64(endorsements);
    if (format === "AMD_SEV_SNP_v1") {
      return chainDates(
        ["Certificate of the chip or its provider", "AMD's signing key", "AMD's root"],
        fromUtf8(bytes),
      );
    }
    if (format !== "Intel_TDX_v1" && format !== "Intel_SGX_DCAP_v1") return [];
    const collateral = collateralTexts(parseJsonBytes(bytes));
    return [
      statementDates("Intel's statement about versions (TCB info)", collateral.tcb_info),
      statementDates("Intel's statement about the quoting enclave", collateral.qe_identity),
      ...chainDates(["Intel's signer of the statements", "Intel's root"], collateral.tcb_info_issuer_chain),
    ];
  } catch (error) {
    if (error instanceof FormatError) return [{ what: "Endorsements", dates: error.message }];
    throw error;
  }
}

function chainDates(names: readonly string[], pem: string): readonly CollateralRow[] {
  return parsePem(pem).filter(({ label }) => label === "CERTIFICATE").map(({ der }, i) => {
    const { notBeforeMs, notAfterMs } = parseCertificate(der);
    return { what: names[i] ?? `Certificate ${i + 1}`, dates: { notBeforeMs, notAfterMs } };
  });
}

function statementDates(what: string, json: string): CollateralRow {
  const { issueDate, nextUpdate } = statement(parseJsonText(json), "");
  const [notBeforeMs, notAfterMs] = [Date.parse(issueDate), Date.parse(nextUpdate)];
  return Number.isNaN(notBeforeMs) || Number.isNaN(notAfterMs)
    ? { what, dates: "its dates are none" }
    : { what, dates: { notBeforeMs, notAfterMs } };
}
