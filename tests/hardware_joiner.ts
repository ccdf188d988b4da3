/**
 * A node that asks a service to join with evidence of made-up hardware, for tests: the enclave believes its roots in the
 * place of the makers'.
 *
 * In: what is to be wrong with the evidence. Out: the evidence, and what the service says to it, to the client and in its log.
 */

import { strict as assert } from "node:assert";
import type { EvidenceAnchors } from "../shared/attestation/evidence.ts";
import type { QuoteFormat } from "../shared/attestation/quote_formats.ts";
import { concat, toBase64, toUtf8 } from "../shared/bytes.ts";
import { parsePemBlock } from "../shared/crypto/pem.ts";
import { serialiseCertificatePem } from "../shared/crypto/x509.ts";
import { validityOfDays } from "../shared/crypto/x509_build.ts";
import * as tables from "../shared/governance/tables.ts";
import type { NodeInfo, QuoteInfo } from "../shared/governance/tables.ts";
import { MAX_EVIDENCE_CHECKS_PER_SECOND } from "../shared/limits.ts";
import { createNodeIdentity } from "../enclave/identity.ts";
import { parseJoinResponse, serialiseJoinRequest } from "../enclave/join_request.ts";
import { loadNativePowers } from "../enclave/native_powers.ts";
import type { EnclavePowers } from "../enclave/powers.ts";
import { DCAP_AT, type DcapDifferences, type DcapMade, makeDcap } from "./dcap_machine.ts";
import { bodyText, odataError } from "./inline_app.ts";
import type { InlineNode } from "./inline_node.ts";
import { type InlineService, startInlineService } from "./inline_service.ts";
import { SNP_PINS, SNP_TCB, snpChain, type SnpLeafFields, snpReport, type SnpReportFields } from "./snp_pki.ts";
import { UVM_FEED, UVM_MEASUREMENT, uvmSigner } from "./uvm_documents.ts";

/** At which certificates and collateral of the made-up hardware are valid. */
export const HARDWARE_NOW_MS = DCAP_AT;
const ANCHORS: EvidenceAnchors = { amd: SNP_PINS, intel: makeDcap({ unsigned: true }).pins };
export const hardwarePowers: EnclavePowers = { ...await loadNativePowers(), evidenceAnchors: ANCHORS };
const { sha256 } = hardwarePowers.primitives;

export const joiner = createNodeIdentity(
  {
    subjectName: "CN=Joiner",
    subjectAltNames: ["dNSName:joiner"],
    curve: "P-384",
    initialValidityDays: 3,
    data: null,
  },
  validityOfDays(HARDWARE_NOW_MS, 3),
  hardwarePowers,
);
const certificate = parsePemBlock(joiner.selfSignedPem, "CERTIFICATE");
export const KEY_HASH = sha256(joiner.key.publicKey.spki);
export const OTHER_KEY_HASH = sha256(toUtf8("another key"));

/** As every node has it: the hash of its key, then zeros. */
export function reportDataOf(hash: Uint8Array): Uint8Array {
  return concat(hash, new Uint8Array(64 - hash.length));
}

// ---- Evidence ----

/** What the made-up hardware runs, in hex. */
export const SNP_MEASUREMENT = "ea".repeat(48);
const SNP_HOST_DATA = "fa".repeat(32);
export const TDX_MEASUREMENT = [0x7d, 0xf0, 0xf1, 0xf2, 0xf3].map((byte) => byte.toString(16).repeat(48)).join("");
export const MRENCLAVE = "ec".repeat(32);
export const UVM_SIGNER = uvmSigner();

export interface SnpParts {
  readonly report?: SnpReportFields;
  readonly leaf?: SnpLeafFields;
  readonly chain?: (chain: Uint8Array[]) => Uint8Array[];
  readonly bytes?: (report: Uint8Array) => Uint8Array;
  readonly more?: Partial<QuoteInfo>;
}

/** Evidence of SEV-SNP for the joiner's key. */
export function snpEvidence({ report = {}, leaf = {}, chain = same, bytes = same, more }: SnpParts = {}): QuoteInfo {
  const made = snpReport({ reportData: reportDataOf(KEY_HASH), ...report });
  return {
    format: "AMD_SEV_SNP_v1",
    quote: toBase64(bytes(made)),
    endorsements: toBase64(toUtf8(chain(snpChain(leaf)).map(serialiseCertificatePem).join(""))),
    ...more,
  };
}

function same<T>(value: T): T {
  return value;
}

/** The same, of a utility VM that somebody endorses. */
export function endorsedEvidence(document: Uint8Array, report: SnpReportFields = {}): QuoteInfo {
  return snpEvidence({
    report: { measurement: UVM_MEASUREMENT, ...report },
    more: { uvm_endorsements: toBase64(document) },
  });
}

/** Where the body of a quote has what tests set. */
export const QUOTE_BODY = {
  sgx: { reportData: 320, attributes: 48, mrenclave: 64 },
  tdx: { reportData: 520, tdAttributes: 120, mrtd: 136, mrconfigid: 184, rtmr2: 424 },
} as const;

export interface DcapParts extends DcapDifferences {
  readonly format?: QuoteFormat;
  /** Changes what was made. */
  readonly change?: (made: DcapMade) => { readonly quote?: Uint8Array; readonly collateral?: unknown };
}

/** Evidence of TDX, or of SGX, for the joiner's key. */
export function dcapEvidence({ format, change = () => ({}), ...differences }: DcapParts = {}): QuoteInfo {
  const isSgx = differences.kind === "sgx";
  const made = makeDcap({
    ...differences,
    body: (body) => {
      body.set(reportDataOf(KEY_HASH), (isSgx ? QUOTE_BODY.sgx : QUOTE_BODY.tdx).reportData);
      differences.body?.(body);
    },
  });
  const { quote = made.quote, collateral = made.collateral } = change(made);
  return {
    format: format ?? (isSgx ? "Intel_SGX_DCAP_v1" : "Intel_TDX_v1"),
    quote: toBase64(quote),
    endorsements: toBase64(toUtf8(JSON.stringify(collateral))),
  };
}

export function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice();
  copy[at]! ^= 1;
  return copy;
}

// ---- The service ----

let common: Promise<InlineService> | undefined;

/** An open service, one for all tests of a process, whose members allow what the made-up hardware runs. */
export function hardwareService(): Promise<InlineService> {
  return common ??= makeService();
}

async function makeService(): Promise<InlineService> {
  const workspace = await Deno.makeTempDir({ prefix: "quorate_hardware_joiner_" });
  try {
    const service = await startInlineService(workspace, "native", { powers: hardwarePowers, nowMs: HARDWARE_NOW_MS });
    service.node.write((tx) => {
      tx.open(tables.SNP_MEASUREMENTS).put(SNP_MEASUREMENT, "AllowedToJoin");
      tx.open(tables.SNP_HOST_DATA).put(SNP_HOST_DATA, "");
      tx.open(tables.SNP_TCB_VERSIONS).put("00a00f11", SNP_TCB);
      tx.open(tables.SNP_UVM_ENDORSEMENTS).put(UVM_SIGNER.did, { [UVM_FEED]: { svn: "105" } });
      tx.open(tables.TDX_MEASUREMENTS).put(TDX_MEASUREMENT, "AllowedToJoin");
      tx.open(tables.TDX_HOST_DATA).put("00".repeat(48), "");
      tx.open(tables.SGX_MEASUREMENTS).put(MRENCLAVE, "AllowedToJoin");
      tx.open(tables.DCAP_TCB_STATUSES).put("UpToDate", "AllowedToJoin");
    });
    return service;
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
}

const ADDRESS = { bind_address: "0.0.0.0:1", published_address: "joiner:9" };

export function askToJoin(node: InlineNode, quoteInfo: QuoteInfo) {
  const body = serialiseJoinRequest({
    nodeToNodeInterface: ADDRESS,
    rpcInterfaces: { primary_rpc_interface: ADDRESS },
    quoteInfo,
    encryptionPublicKeyPem: joiner.encryption.publicKeyPem,
    certificateSigningRequestPem: joiner.requestPem,
    startupSeqno: 0,
  });
  return node.request({ method: "POST", target: "/node/join", body, certificate });
}

/** A node takes its time for evidence. */
export const BETWEEN_CHECKS_MS = 1000 / MAX_EVIDENCE_CHECKS_PER_SECOND;

/** The joiner is let in, and taken out again. Answers its row. */
export function letIn(node: InlineNode, quoteInfo: QuoteInfo): NodeInfo {
  node.advance(BETWEEN_CHECKS_MS);
  const response = askToJoin(node, quoteInfo);
  assert.equal(response.status, 200, `${bodyText(response)} ${node.logs.at(-1)}`);
  assert.equal(parseJoinResponse(response.body).nodeStatus, "Pending");
  const row = node.enclave.node!.store.beginReadOnly().open(tables.NODES_INFO).get(joiner.id)!;
  node.write((tx) => tx.open(tables.NODES_INFO).remove(joiner.id));
  return row;
}

/**
 * The joiner is refused, and nothing is written. What the client is told, and what the log says: the same twice in a row is
 * logged once.
 */
export function refusedBy(node: InlineNode, quoteInfo: QuoteInfo): { readonly told: string; readonly logged: string } {
  node.advance(BETWEEN_CHECKS_MS);
  const [entries, lines] = [node.entries.length, node.logs.length];
  const response = askToJoin(node, quoteInfo);
  assert.notEqual(response.status, 200, bodyText(response));
  const { code, message } = odataError(response);
  assert.equal(node.entries.length, entries, "nothing is written");
  const prefix = `fail join Node ${joiner.id} is not let in: `;
  const [line = "", ...more] = node.logs.slice(lines);
  assert(line.startsWith(prefix) && more.length === 0, line);
  return { told: `${response.status} ${code} ${message}`, logged: line.slice(prefix.length) };
}

export const UNVERIFIED = "401 InvalidQuote Quote could not be verified";
export const UNLISTED_HOST_DATA = "401 InvalidQuote Quote host data is not authorised";
export const UNLISTED_MEASUREMENT = "401 InvalidQuote Quote does not contain known enclave measurement";
export const OTHER_KEY = "401 InvalidQuote Quote report data does not match the hash of the public key for this node";

/** Something that is wrong: what the client is told, and how the line in the log ends. */
export type BadEvidence = readonly [name: string, quoteInfo: QuoteInfo, told: string, logged: RegExp];

/** Each is refused as it says, and for a reason of its own. */
export function refuseAll(node: InlineNode, rows: readonly BadEvidence[]): void {
  const seen = new Map<string, string>();
  for (const [name, quoteInfo, told, reason] of rows) {
    const refusal = refusedBy(node, quoteInfo);
    assert.equal(refusal.told, told, `${name}: ${refusal.logged}`);
    assert.match(refusal.logged, reason, name);
    assert(refusal.logged.length < 2000, `${name}: ${refusal.logged.length} characters`);
    assert(!/[\n\r]/.test(refusal.logged), name);
    const line = `${quoteInfo.format}: ${refusal.logged}`;
    assert.equal(seen.get(line), undefined, `${name} is told from what comes before`);
    seen.set(line, name);
  }
}
