/**
 * One member's request of a ledger, decided again: what its transaction would have written.
 *
 * In: the entry's public tables, tables before it, roots that the request may have found. Out: a write set, or why a
 * node would have refused the request. The lines that decide are those that a node runs.
 * Knows nothing of what the entry holds otherwise. Rules: governance.md §2, §3
 */

import { FormatError } from "../../shared/assert.ts";
import { toBase64 } from "../../shared/bytes.ts";
import { verifyCoseSign1 } from "../../shared/crypto/cose.ts";
import { type GovernanceRequestHeader, parseGovernanceRequest } from "../../shared/crypto/cose_headers.ts";
import type { Primitives } from "../../shared/crypto/primitives.ts";
import { parseCertificatePem, publicKeyOf } from "../../shared/crypto/x509.ts";
import { MEMBERS_ACKS, MEMBERS_CERTS, MEMBERS_INFO, SERVICE_INFO } from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import type { TableWrites } from "../../shared/kv/write_set.ts";
import { proposalIdOf, requestDigestOf } from "../../shared/ledger/proposal_id.ts";
import type { AppEngine } from "../app_engine.ts";
import {
  type Chamber,
  createProposal,
  requireJson,
  type SignedRequest,
  submitBallot,
  withdrawProposal,
} from "../governance/proposals.ts";
import { GovernanceScripts, type ScriptHost } from "../governance/scripts.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { holdsShares } from "../share_manager.ts";
import { AuditedEffects } from "./audited_effects.ts";

/** What a request is decided with. */
export interface Trial {
  readonly primitives: Primitives;
  readonly engine: AppEngine;
  /** Over the tables before the entry; it is written to, and thrown away. */
  readonly tx: Transaction;
  readonly entry: readonly TableWrites[];
  /** What scripts take for the present, in milliseconds since 1970. */
  readonly nowMs: number;
  /** Fills what scripts take for chance. */
  readonly chance: number;
}

export interface AuditedRequest extends SignedRequest {
  readonly header: GovernanceRequestHeader;
}

/** The request would have been refused, for this reason. */
export class Refusal extends Error {}

/**
 * Reads a request, and checks that this member signed it.
 *
 * @param member whom the ledger files it under
 * @throws Refusal
 */
export function authenticate(primitives: Primitives, tx: Transaction, member: string, envelope: Uint8Array) {
  return refusing(() => {
    const { message, header } = parseGovernanceRequest(envelope);
    if (header.keyId !== member) throw new Refusal(`it names the key of ${header.keyId}`);
    const certificate = tx.open(MEMBERS_CERTS).get(member);
    if (certificate === undefined) throw new Refusal("its signer is not a known member");
    const key = publicKeyOf(parseCertificatePem(certificate));
    if (message.payload === undefined || key.kind !== "EC" || !verifyCoseSign1(primitives, key, message)) {
      throw new Refusal("its signature is not the member's");
    }
    const { payload, signature } = message;
    return { id: member, header, payload, signature, envelope } satisfies AuditedRequest;
  });
}

/**
 * Decides a proposal, a ballot or a withdrawal. The transaction has what comes of it.
 *
 * @param roots that the request may have found, the latest first
 * @param written IDs of the proposals that the entry has actions of
 * @throws Refusal
 */
export function decideAgain(
  trial: Trial,
  request: AuditedRequest,
  roots: Iterable<Uint8Array>,
  written: ReadonlySet<string>,
): void {
  const { tx, entry, primitives } = trial;
  if (tx.open(MEMBERS_INFO).get(request.id)?.status !== "Active") {
    throw new Refusal("its signer is not an active member");
  }
  const chamber: Chamber = {
    tx,
    scripts: new GovernanceScripts(hostOf(trial), tx),
    primitives,
    effects: () => new AuditedEffects(tx, entry, primitives),
  };
  const { type } = request.header;
  refusing(() => {
    switch (type) {
      case "proposal":
        return createProposal(chamber, request, rootOf(primitives, request, roots, written));
      case "ballot":
        return submitBallot(chamber, request, subjectOf(request));
      case "withdrawal":
        if (withdrawProposal(chamber, request, subjectOf(request)) !== undefined) return;
        throw new Refusal("there is no such proposal");
      default:
        throw new Refusal(`a request of type ${type ?? "none"} decides nothing about proposals`);
    }
  });
}

/**
 * What an acknowledgement writes. Where the member becomes active by it, new shares are those in the entry.
 *
 * @throws Refusal
 */
export function acknowledgeAgain({ tx, entry, primitives }: Trial, request: AuditedRequest): void {
  const { id, payload, envelope, header } = request;
  if (header.type !== "ack") throw new Refusal(`it is of type ${header.type ?? "none"}, not ack`);
  refusing(() => {
    const ack = tx.open(MEMBERS_ACKS).get(id);
    const info = tx.open(MEMBERS_INFO).get(id);
    if (ack === undefined || info === undefined) {
      throw new Refusal("there is nothing that the member could acknowledge");
    }
    const body = requireJson(payload);
    const digest = typeof body === "object" && body !== null && "stateDigest" in body ? body.stateDigest : undefined;
    if (digest !== ack.state_digest) {
      throw new Refusal("it acknowledges another state digest than the member was given");
    }
    tx.open(MEMBERS_ACKS).put(id, { ...ack, cose_sign1_req: toBase64(envelope) });
    tx.open(MEMBERS_INFO).put(id, { ...info, status: "Active" });
    const isOpen = tx.open(SERVICE_INFO).get()?.status === "Open";
    if (info.status !== "Active" && holdsShares(tx, id) && isOpen) {
      new AuditedEffects(tx, entry, primitives).refreshRecoveryShares();
    }
  });
}

/** An engine that tells when a script ran out of time: what comes of that depends on the machine. */
export function watched(engine: AppEngine, onTimeOut: () => void): AppEngine {
  return {
    run: (invocation, wanted) => {
      const outcome = engine.run(invocation, wanted);
      if (outcome.kind === "threw" && outcome.timedOut) onTimeOut();
      return outcome;
    },
    callEndpoint: (invocation) => engine.callEndpoint(invocation),
    constitutionProblem: (text) => engine.constitutionProblem(text),
    compileAhead: (program, names) => engine.compileAhead(program, names),
    nowMs: () => engine.nowMs(),
    bytecodeVersion: engine.bytecodeVersion,
  };
}

/** The proposal that a ballot or a withdrawal was signed for. @throws Refusal */
function subjectOf({ header }: AuditedRequest): string {
  if (header.proposalId !== undefined) return header.proposalId;
  throw new Refusal("it does not say for which proposal it is");
}

/** The root that gives the proposal the ID which the ledger has; else the latest, which gives another. */
function rootOf(
  primitives: Primitives,
  { signature }: SignedRequest,
  roots: Iterable<Uint8Array>,
  written: ReadonlySet<string>,
): Uint8Array {
  const digest = requestDigestOf(primitives, signature);
  let latest: Uint8Array | undefined;
  for (const root of roots) {
    latest ??= root;
    if (written.has(proposalIdOf(primitives, root, digest))) return root;
  }
  if (latest === undefined) throw new Refusal("there is no state of the ledger that it can have been made in");
  return latest;
}

function refusing<T>(step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (error instanceof OdataError || error instanceof FormatError) throw new Refusal(error.message);
    throw error;
  }
}

function hostOf({ engine, primitives, nowMs, chance, tx }: Trial): ScriptHost {
  const view = 0;
  return {
    engine,
    primitives,
    nowMs,
    random: (length) => new Uint8Array(length).fill(chance),
    log: () => {},
    lastCommittedTxId: () => ({ view, seqno: tx.readVersion }),
    statusOf: () => "Unknown",
    viewOf: () => undefined,
  };
}
