/**
 * What a relying party wants of DCAP evidence, and whether a quote is that.
 *
 * In: a policy, a quote's body. Out: what differs, if anything does.
 * Knows nothing of signatures and levels.
 * Rules: attestation/formats.md §3.6.12
 */

import { assert } from "../../assert.ts";
import { equalBytes, toHex } from "../../bytes.ts";
import type { Refusal } from "../evidence_steps.ts";
import { hasSeptVeDisabled, type QuoteBody } from "./bodies.ts";

/** Every member may be left out; then nothing is asked, or what is said there. Digests are bytes. */
export interface DcapPolicy {
  /** Take what a host may look into; false where left out. */
  readonly allowDebug?: boolean;
  /** Take no trust domain that can be moved to another machine, and so be copied; false where left out. */
  readonly refuseMigratable?: boolean;
  /** Take a quote with other bytes than zeros behind it; false where left out. */
  readonly allowTrailing?: boolean;
  /** Statuses of the platform to take; where left out, `DEFAULT_TCB_STATUSES`. Revoked platforms are never taken. */
  readonly acceptTcbStatus?: readonly string[];
  /** Take collateral without revocation lists; false where left out. */
  readonly allowMissingCrl?: boolean;
  /** Look at signatures and the chain alone; false where left out. Then nobody says how old or broken a platform is. */
  readonly noCollateral?: boolean;
  /** Oldest generation of TCB info and identity to take. */
  readonly minTcbEvaluationDataNumber?: number;
  /** Up to 64 bytes; zeros follow. */
  readonly reportData?: Uint8Array;

  /** Of SGX. */
  readonly mrenclave?: Uint8Array;
  readonly mrsigner?: Uint8Array;
  readonly isvProdId?: number;
  readonly minIsvSvn?: number;

  /** Of TDX. */
  readonly mrtd?: Uint8Array;
  readonly rtmr0?: Uint8Array;
  readonly rtmr1?: Uint8Array;
  readonly rtmr2?: Uint8Array;
  readonly rtmr3?: Uint8Array;
  readonly mrseam?: Uint8Array;
  readonly mrconfigid?: Uint8Array;
  readonly mrowner?: Uint8Array;
  readonly mrownerconfig?: Uint8Array;
  /** A host may not take a page away and give it back unseen; many real domains do without. */
  readonly requireSeptVeDisable?: boolean;
}

export const DEFAULT_TCB_STATUSES: readonly string[] = ["UpToDate", "SWHardeningNeeded"];

const REPORT_DATA_BYTES = 64;
const SGX_DIGESTS = ["mrenclave", "mrsigner"] as const;
const TDX_DIGESTS = [
  "mrtd",
  "rtmr0",
  "rtmr1",
  "rtmr2",
  "rtmr3",
  "mrseam",
  "mrconfigid",
  "mrowner",
  "mrownerconfig",
] as const;

/** @param wanted up to 64 bytes; zeros follow */
export function reportDataRefusal(body: QuoteBody, wanted: Uint8Array): Refusal | undefined {
  assert(wanted.length <= REPORT_DATA_BYTES, "Report data that is wanted has at most 64 bytes");
  const padded = new Uint8Array(REPORT_DATA_BYTES);
  padded.set(wanted);
  return equalBytes(body.reportData, padded)
    ? undefined
    : { code: "report_data_mismatch", detail: `REPORTDATA is ${toHex(body.reportData)}, not ${toHex(padded)}` };
}

/** Whether the policy asks for any digest or ID. */
export function asksForMeasurement(policy: DcapPolicy): boolean {
  return [...SGX_DIGESTS, ...TDX_DIGESTS, "isvProdId" as const].some((name) => policy[name] !== undefined);
}

/** A digest of the other kind of TEE is missing, so that it is refused too. */
export function measurementRefusal(body: QuoteBody, policy: DcapPolicy): Refusal | undefined {
  const digests: Readonly<Record<string, Uint8Array>> = body.kind === "sgx"
    ? { mrenclave: body.mrenclave, mrsigner: body.mrsigner }
    : Object.fromEntries(TDX_DIGESTS.map((name) => [name, body[name]]));
  for (const name of [...SGX_DIGESTS, ...TDX_DIGESTS]) {
    const wanted = policy[name];
    if (wanted === undefined) continue;
    const found = digests[name];
    if (found === undefined) return mismatch(`the quote has no ${name.toUpperCase()}: it is about another kind of TEE`);
    if (!equalBytes(found, wanted)) {
      return mismatch(`${name.toUpperCase()} is ${toHex(found)}, not ${toHex(wanted)}`);
    }
  }
  if (policy.isvProdId === undefined) return undefined;
  if (body.kind !== "sgx") return mismatch("the quote has no ISVPRODID: it is about another kind of TEE");
  return body.isvProdId === policy.isvProdId
    ? undefined
    : mismatch(`ISVPRODID is ${body.isvProdId}, not ${policy.isvProdId}`);
}

export function isvSvnRefusal(body: QuoteBody, min: number): Refusal | undefined {
  if (body.kind !== "sgx") {
    return { code: "svn_too_low", detail: "the quote has no ISVSVN: it is about another kind of TEE" };
  }
  return body.isvSvn >= min ? undefined : { code: "svn_too_low", detail: `ISVSVN is ${body.isvSvn}, less than ${min}` };
}

export function septVeRefusal(body: QuoteBody): Refusal | undefined {
  if (body.kind !== "sgx" && hasSeptVeDisabled(body)) return undefined;
  return {
    code: "measurement_mismatch",
    detail: body.kind === "sgx" ? "an enclave has no SEPT_VE_DISABLE" : "SEPT_VE_DISABLE is not set in TDATTRIBUTES",
  };
}

function mismatch(detail: string): Refusal {
  return { code: "measurement_mismatch", detail };
}
