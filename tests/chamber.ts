/**
 * Governance without a node: tables, a constitution, and members whose requests are taken as signed.
 *
 * In: the text of a constitution, names of members. Out: what each request brings, and the tables after it. For tests of
 * the rules alone: signatures, routes and effects have tests of their own.
 */

import { toUtf8 } from "../shared/bytes.ts";
import { noblePrimitives } from "../shared/crypto/primitives.ts";
import { CONSTITUTION, MEMBERS_INFO, SERVICE_CONFIG } from "../shared/governance/tables.ts";
import { Store } from "../shared/kv/store.ts";
import type { Transaction } from "../shared/kv/transaction.ts";
import type { GovernanceEffects } from "../enclave/app_engine.ts";
import { type Chamber, createProposal, type Proposal, type SignedRequest } from "../enclave/governance/proposals.ts";
import { submitBallot, withdrawProposal } from "../enclave/governance/proposals.ts";
import { GovernanceScripts } from "../enclave/governance/scripts.ts";
import { OdataError } from "../enclave/frontend/odata_error.ts";
import type { ScriptEngine } from "../enclave/js/runtime.ts";

/** What became of a request: the proposal, nothing, or a refusal by status and code. */
export type Outcome = Proposal | undefined | { readonly refused: string; readonly message: string };

export class TestChamber {
  readonly store = new Store();
  readonly #engine: ScriptEngine;
  #lastRequest = 0;

  constructor(engine: ScriptEngine, constitution: string, members: readonly string[], window = 100) {
    this.#engine = engine;
    this.write((tx) => {
      tx.open(CONSTITUTION).put(constitution);
      tx.open(SERVICE_CONFIG).put({ recovery_threshold: 1, recent_cose_proposals_window_size: window });
      for (const id of members) tx.open(MEMBERS_INFO).put(id, { status: "Active" });
    });
  }

  write(change: (tx: Transaction) => void): void {
    const tx = this.store.begin();
    change(tx);
    if (tx.hasWrites) this.store.apply(this.store.version + 1, tx.writeSet());
  }

  read<T>(look: (tx: Transaction) => T): T {
    return look(this.store.beginReadOnly());
  }

  /** A request that nobody has made before. Sending the same object again is a replay. */
  request(member: string, payload: unknown, createdAtSeconds = 1_700_000_000, proposalId?: string): SignedRequest {
    const bytes = toUtf8(typeof payload === "string" ? payload : JSON.stringify(payload));
    const signature = noblePrimitives.sha256(toUtf8(`${++this.#lastRequest}`));
    return { id: member, header: { createdAtSeconds, proposalId }, payload: bytes, signature, envelope: signature };
  }

  create(request: SignedRequest): Outcome {
    const root = noblePrimitives.sha256(toUtf8(`root ${this.store.version}`));
    return this.#decide((chamber) => createProposal(chamber, request, root));
  }

  vote(member: string, proposalId: string, ballot: string): Outcome {
    const request = this.request(member, { ballot }, 0, proposalId);
    return this.#decide((chamber) => submitBallot(chamber, request, proposalId));
  }

  withdraw(member: string, proposalId: string): Outcome {
    const request = this.request(member, "", 0, proposalId);
    return this.#decide((chamber) => withdrawProposal(chamber, request, proposalId));
  }

  #decide(run: (chamber: Chamber) => Proposal | undefined): Outcome {
    const tx = this.store.begin();
    try {
      const outcome = run({
        tx,
        scripts: new GovernanceScripts(this.#host(), tx),
        primitives: noblePrimitives,
        effects: () => NO_EFFECTS,
      });
      if (tx.hasWrites) this.store.apply(this.store.version + 1, tx.writeSet());
      return outcome;
    } catch (error) {
      if (!(error instanceof OdataError)) throw error;
      return { refused: `${error.status} ${error.code}`, message: error.message };
    }
  }

  #host() {
    return {
      engine: this.#engine,
      primitives: noblePrimitives,
      random: (length: number) => new Uint8Array(length),
      nowMs: 1_700_000_000_000,
      log: () => {},
      lastCommittedTxId: () => ({ view: 2, seqno: this.store.version }),
      statusOf: () => "Unknown" as const,
      viewOf: () => 2,
    };
  }
}

/** For constitutions that only write tables. */
const NO_EFFECTS = new Proxy({}, {
  get: (_, name) =>
    name === "failure" ? undefined : () => {
      throw new Error(`This constitution does not ask for ${String(name)}`);
    },
}) as GovernanceEffects;
