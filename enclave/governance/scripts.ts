/**
 * The four questions that governance puts to scripts: is a proposal valid, what does a ballot say, what do the votes
 * decide, and, once accepted, do it.
 *
 * In: the transaction that scripts look at, the constitution in it, ballots. Out: answers, or how a script failed.
 * Knows nothing of requests, of signatures, or of what becomes of a proposal (`proposals.ts`).
 * Rules: governance.md §3.3, §3.4, §4
 */

import { FormatError } from "../../shared/assert.ts";
import type { Primitives, Random } from "../../shared/crypto/primitives.ts";
import { CONSTITUTION } from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import type {
  AppContext,
  AppEngine,
  Execution,
  GovernanceEffects,
  Program,
  ScriptLimits,
  ScriptOutcome,
  ScriptResults,
  Wanted,
} from "../app_engine.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { ballotModule, ballotProgram, CONSTITUTION_MODULE, constitutionProgram } from "../js/governance_modules.ts";
import { DEFAULT_JS_OPTIONS, jsRuntimeOptions } from "../js_app.ts";

/** What scripts reach besides tables. */
export interface ScriptHost extends Pick<AppContext, "nowMs" | "log" | "lastCommittedTxId" | "statusOf" | "viewOf"> {
  readonly engine: AppEngine;
  readonly primitives: Pick<Primitives, "sha256">;
  readonly random: Random;
}

/** As the ledger has it (`vote_failures`), and as requests are answered. */
export interface ScriptFailure {
  readonly reason: string;
  readonly trace?: string;
}

export interface Vote {
  readonly member_id: string;
  readonly vote: boolean;
}

export type Answer<T> =
  | { readonly kind: "answer"; readonly value: T }
  | { readonly kind: "failure"; readonly failure: ScriptFailure };

/** The scripts of one transaction. */
export class GovernanceScripts {
  readonly #host: ScriptHost;
  readonly #tx: Transaction;

  readonly #remainingMs: () => number;

  /** @param remainingMs how long a script may run at most, where less than its own limit is left for it */
  constructor(host: ScriptHost, tx: Transaction, remainingMs: () => number = () => Infinity) {
    this.#host = host;
    this.#tx = tx;
    this.#remainingMs = remainingMs;
  }

  /** @throws OdataError 500 where the constitution has no such function */
  validate(proposal: string): Answer<ScriptResults["validation"]> {
    return this.#ask(this.#constitution(), "validate", [proposal], "validation");
  }

  /**
   * Evaluates a ballot, as it is at every resolution: it may look at tables and change its mind with them.
   *
   * @throws OdataError 500 where the ballot is no module that exports `vote`
   */
  ballot(source: string, proposalId: string, voterId: string, proposal: string, proposerId: string): Answer<boolean> {
    const program = ballotProgram(proposalId, voterId, source);
    const named = { program, module: ballotModule(proposalId, voterId) };
    return this.#ask(named, "vote", [proposal, proposerId], "truth");
  }

  /** Answers what `resolve` returned, as text. @throws OdataError 500 */
  resolve(
    proposal: string,
    proposerId: string,
    votes: readonly Vote[],
    proposalId: string,
  ): Answer<ScriptResults["status"]> {
    return this.#ask(this.#constitution(), "resolve", [proposal, proposerId, votes, proposalId], "status");
  }

  /** @throws OdataError 500 */
  apply(proposal: string, proposalId: string, effects: GovernanceEffects): Answer<undefined> {
    return this.#ask(this.#constitution(), "apply", [proposal, proposalId], "nothing", effects);
  }

  #constitution(): NamedProgram {
    const text = this.#tx.open(CONSTITUTION).get();
    if (text === undefined) {
      throw new OdataError(500, "InternalError", "No constitution is set: nothing can be decided");
    }
    return { program: constitutionProgram(text, this.#host.primitives), module: CONSTITUTION_MODULE };
  }

  #ask<W extends Wanted>(
    { program, module }: NamedProgram,
    functionName: string,
    given: readonly unknown[],
    wanted: W,
    effects?: GovernanceEffects,
  ): Answer<ScriptResults[W]> {
    const context = this.#context(effects);
    const invocation = { program, module, functionName, arguments: given, context, limits: this.#limits() };
    const outcome: ScriptOutcome<ScriptResults[W]> = this.#host.engine.run(invocation, wanted);
    switch (outcome.kind) {
      case "returned":
        return { kind: "answer", value: outcome.value };
      case "unusable":
        throw new OdataError(500, "InternalError", outcome.message);
      case "threw": {
        const { exception: { message, trace }, timedOut } = outcome;
        const reason = timedOut ? "Operation took too long to complete." : message;
        return { kind: "failure", failure: trace === undefined ? { reason } : { reason, trace } };
      }
    }
  }

  #context(effects: GovernanceEffects | undefined): AppContext {
    const { nowMs, random, log, lastCommittedTxId, statusOf, viewOf } = this.#host;
    const execution: Execution = effects === undefined ? "read-only governance" : "read-write governance";
    return {
      execution,
      table: (name) => this.#tx.openRaw(name),
      nowMs,
      random,
      log,
      setApplyWrites: () => {},
      setClaimsDigest: () => {},
      lastCommittedTxId,
      statusOf,
      viewOf,
      ...(effects !== undefined && { effects }),
    };
  }

  /** The app's limits, and never less than the defaults: who governs must be able to raise them again. */
  #limits(): ScriptLimits {
    const options = readableOptions(this.#tx);
    return {
      maxHeapBytes: Math.max(options.max_heap_bytes, DEFAULT_JS_OPTIONS.max_heap_bytes),
      maxStackBytes: Math.max(options.max_stack_bytes, DEFAULT_JS_OPTIONS.max_stack_bytes),
      maxExecutionTimeMs: Math.min(
        Math.max(options.max_execution_time_ms, DEFAULT_JS_OPTIONS.max_execution_time_ms),
        Math.max(0, this.#remainingMs()),
      ),
    };
  }
}

/** What a row says that cannot be read must not keep members from writing a better one. */
function readableOptions(tx: Transaction): typeof DEFAULT_JS_OPTIONS {
  try {
    return jsRuntimeOptions(tx);
  } catch (error) {
    if (error instanceof FormatError) return DEFAULT_JS_OPTIONS;
    throw error;
  }
}

interface NamedProgram {
  readonly program: Program;
  readonly module: string;
}
