/**
 * Whether a node may join: its evidence, judged by what the members allow.
 *
 * In: evidence as the node sent it, the key that it proved to have, the join policy's tables. Out: the measurement of its
 * code, or at which step it was refused and why. Knows nothing of requests and answers.
 * Evidence of real hardware is refused: judging it comes with the attestation of nodes. On the virtual platform it proves
 * nothing, but goes through the same steps.
 * Rules: nodes-and-attestation.md §8 (virtual), §9, in its order
 */

import { FormatError } from "../shared/assert.ts";
import { equalBytes, fromBase64, toHex, toUtf8 } from "../shared/bytes.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { NODES_INFO, type QuoteInfo, VIRTUAL_HOST_DATA, VIRTUAL_MEASUREMENTS } from "../shared/governance/tables.ts";
import { parseJsonBytes } from "../shared/json.ts";
import { object, text } from "../shared/json_shape.ts";
import type { Transaction } from "../shared/kv/transaction.ts";
import { MAX_ENDORSEMENTS_BYTES, MAX_EVIDENCE_BYTES } from "../shared/limits.ts";

/** The steps of judging, and what a client is told where one fails: CCF's words. */
export const REFUSALS = {
  evidence: "Quote could not be verified",
  "no host data": "Quote does not contain trusted host data",
  "host data": "Quote host data is not authorised",
  measurement: "Quote does not contain known enclave measurement",
  "public key": "Quote report data does not match the hash of the public key for this node",
} as const;

export type JudgementStep = keyof typeof REFUSALS;

export type Judgement =
  /** `measurement`: bytes; on the virtual platform those of a text. */
  | { readonly verdict: "accepted"; readonly measurement: Uint8Array }
  /** `reason`: a sentence for the operator. */
  | { readonly verdict: "rejected"; readonly step: JudgementStep; readonly reason: string };

/**
 * Judges a node's evidence.
 *
 * @param tx reads the join policy
 * @param spki SubjectPublicKeyInfo, DER, of the key that the node has proved to have
 */
export function judgeEvidence(
  tx: Transaction,
  quote: QuoteInfo,
  spki: Uint8Array,
  { sha256 }: Pick<Primitives, "sha256">,
): Judgement {
  if (quote.format !== "Insecure_Virtual") {
    return rejected("evidence", `evidence of the format ${quote.format} cannot be judged by this version`);
  }
  const claims = readVirtual(quote);
  if (typeof claims === "string") return rejected("evidence", claims);
  const { measurement, reportData } = claims;
  const hostData = claims.hostData?.toLowerCase();
  if (hostData === undefined || !HOST_DATA.test(hostData)) {
    return rejected("no host data", "the evidence does not say, as the hex of a SHA-256, which program runs");
  }
  if (!tx.open(VIRTUAL_HOST_DATA).has(hostData)) {
    return rejected("host data", `host data ${hostData} is not in the join policy`);
  }
  if (!tx.open(VIRTUAL_MEASUREMENTS).has(measurement)) {
    return rejected("measurement", `measurement ${JSON.stringify(measurement)} is not in the join policy`);
  }
  if (!equalBytes(reportData, sha256(spki))) return rejected("public key", whoseEvidence(tx, toHex(reportData)));
  return { verdict: "accepted", measurement: toUtf8(measurement) };
}

interface VirtualClaims {
  readonly measurement: string;
  readonly hostData: string | undefined;
  /** 32 bytes. */
  readonly reportData: Uint8Array;
}

const REPORT_DATA_BYTES = 32;
const HOST_DATA = /^[0-9a-f]{64}$/;
const MAX_MEASUREMENT_CHARACTERS = 1024;

const virtualEvidence = object({ measurement: text, report_data: text }, { host_data: text });

/** What virtual evidence claims, or what is wrong with it. */
function readVirtual({ quote, endorsements, uvm_endorsements = "" }: QuoteInfo): VirtualClaims | string {
  // Four characters of base64 are three bytes.
  if (quote.length > MAX_EVIDENCE_BYTES / 3 * 4) return `the evidence is longer than ${MAX_EVIDENCE_BYTES} bytes`;
  if (endorsements.length + uvm_endorsements.length > MAX_ENDORSEMENTS_BYTES / 3 * 4) {
    return `the endorsements are longer than ${MAX_ENDORSEMENTS_BYTES} bytes`;
  }
  try {
    const claims = virtualEvidence(parseJsonBytes(fromBase64(quote)), "");
    const reportData = fromBase64(claims.report_data);
    if (reportData.length !== REPORT_DATA_BYTES) return `the report data has not ${REPORT_DATA_BYTES} bytes`;
    if (claims.measurement.length > MAX_MEASUREMENT_CHARACTERS || !claims.measurement.isWellFormed()) {
      return `the measurement is no text of at most ${MAX_MEASUREMENT_CHARACTERS} characters`;
    }
    return { measurement: claims.measurement, hostData: claims.host_data, reportData };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return `the evidence is not that of the virtual platform: ${error.message}`;
  }
}

/** Report data is the hash of a node's key, and so is a node's ID. */
function whoseEvidence(tx: Transaction, id: string): string {
  return tx.open(NODES_INFO).has(id)
    ? `the evidence is a copy of that of node ${id}`
    : `the evidence is for another key, that of a node ${id}`;
}

function rejected(step: JudgementStep, reason: string): Judgement {
  return { verdict: "rejected", step, reason };
}
