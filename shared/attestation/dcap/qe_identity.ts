/**
 * Identity of the quoting enclave: who it must be, and how new.
 *
 * In: the JSON that Intel signed; the report of a quoting enclave. Out: whether the report fits, and what Intel thinks of
 * its version.
 * Knows nothing of signatures.
 * Format: attestation/formats.md §3.5, check §3.6.7; Intel's PCS API version 4, enclave identity version 2
 */

import { FormatError } from "../../assert.ts";
import { equalBytes, fromHex, toHex } from "../../bytes.ts";
import { object, text, unsigned } from "../../json_shape.ts";
import type { Refusal } from "../evidence_steps.ts";
import type { SgxReport } from "./bodies.ts";
import { parseStatementJson } from "./statement_json.ts";
import { hexOf, type IsvLevel, isvLevels, moment, upTo } from "./tcb_info.ts";

/** Of a quoting enclave; Intel has used the first, fifth and last. */
const QE_STATUSES = [
  "UpToDate",
  "ConfigurationNeeded",
  "OutOfDate",
  "OutOfDateConfigurationNeeded",
  "Revoked",
] as const;
export type QeStatus = typeof QE_STATUSES[number];

export interface QeIdentity {
  /** `QE` makes quotes of SGX, `TD_QE` those of TDX; others make none. */
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly issueDateMs: number;
  /** Milliseconds since 1970. */
  readonly nextUpdateMs: number;
  readonly evaluationDataNumber: number;
  /** 4 bytes, in the order of memory. */
  readonly miscSelect: Uint8Array;
  readonly miscSelectMask: Uint8Array;
  /** 16 bytes. */
  readonly attributes: Uint8Array;
  readonly attributesMask: Uint8Array;
  /** 32 bytes. */
  readonly mrsigner: Uint8Array;
  readonly isvProdId: number;
  /** Highest first. */
  readonly levels: readonly IsvLevel<QeStatus>[];
}

const shape = object({
  id: text,
  version: unsigned,
  issueDate: moment,
  nextUpdate: moment,
  tcbEvaluationDataNumber: unsigned,
  miscselect: hexOf(4),
  miscselectMask: hexOf(4),
  attributes: hexOf(16),
  attributesMask: hexOf(16),
  mrsigner: hexOf(32),
  isvprodid: upTo(0xffff),
  tcbLevels: isvLevels(...QE_STATUSES),
});

/** Reads the inner object of an answer. @throws FormatError also where its version is not known */
export function parseQeIdentity(json: string): QeIdentity {
  const identity = shape(parseStatementJson(json).value, "");
  if (identity.version !== 2) {
    throw new FormatError(`Cannot read an enclave's identity: version ${identity.version} is not known`);
  }
  return {
    id: identity.id,
    issueDateMs: Date.parse(identity.issueDate),
    nextUpdateMs: Date.parse(identity.nextUpdate),
    evaluationDataNumber: identity.tcbEvaluationDataNumber,
    miscSelect: fromHex(identity.miscselect),
    miscSelectMask: fromHex(identity.miscselectMask),
    attributes: fromHex(identity.attributes),
    attributesMask: fromHex(identity.attributesMask),
    mrsigner: fromHex(identity.mrsigner),
    isvProdId: identity.isvprodid,
    levels: identity.tcbLevels,
  };
}

/** Why a quoting enclave is not the one that the identity describes, if it is not. */
export function qeRefusal(identity: QeIdentity, report: SgxReport): Refusal | undefined {
  const { miscSelect, miscSelectMask, attributes, attributesMask } = identity;
  const problem = !equalBytes(report.mrsigner, identity.mrsigner)
    ? `has MRSIGNER ${toHex(report.mrsigner)}, not ${toHex(identity.mrsigner)}`
    : report.isvProdId !== identity.isvProdId
    ? `has ISVPRODID ${report.isvProdId}, not ${identity.isvProdId}`
    : !equalBytes(masked(report.miscSelect, miscSelectMask), miscSelect)
    ? `has MISCSELECT ${toHex(report.miscSelect)}, not ${toHex(miscSelect)} under ${toHex(miscSelectMask)}`
    : !equalBytes(masked(report.attributes, attributesMask), attributes)
    ? `has ATTRIBUTES ${toHex(report.attributes)}, not ${toHex(attributes)} under ${toHex(attributesMask)}`
    : undefined;
  return problem === undefined ? undefined : { code: "qe_identity_mismatch", detail: `the quoting enclave ${problem}` };
}

/** The first level that something of this SVN reaches. */
export function isvLevelOf<Status extends string>(
  levels: readonly IsvLevel<Status>[],
  isvSvn: number,
): IsvLevel<Status> | undefined {
  return levels.find((level) => isvSvn >= level.isvSvn);
}

/** Bit by bit what a mask leaves; both have one length. */
export function masked(bytes: Uint8Array, mask: Uint8Array): Uint8Array {
  return bytes.map((byte, i) => byte & mask[i]!);
}
