/**
 * How the checking of evidence went: its steps in order, each with rule, inputs, result and a code for its failure.
 *
 * In: a verifier's steps, declared before the first is taken, and what came of each. Out: all of them, also those that
 * were not reached. Knows nothing of reports, quotes and certificates.
 * The codes are those of the vectors of attestation evidence that our tests read, and ours for what those do not name.
 */

import { assert, FormatError } from "../assert.ts";
import type { Step, StepResult, Verdict } from "../verdict.ts";

/** Why evidence is refused, for machines. */
export type ReasonCode =
  // Structure
  | "malformed"
  | "trailing_bytes"
  | "unsupported_version"
  | "unsupported_tee_type"
  | "unsupported_key_type"
  | "unsupported_cert_type"
  // Signatures, certificates, revocation
  | "bad_signature"
  | "chain_invalid"
  | "untrusted_root"
  | "cert_not_valid_at_time"
  | "cert_revoked"
  | "crl_invalid"
  | "crl_expired"
  // AMD SEV-SNP
  | "cert_kind_mismatch"
  | "product_mismatch"
  | "cert_tcb_mismatch"
  | "chip_id_mismatch"
  | "vmpl_out_of_range"
  | "vmpl_mismatch"
  | "tcb_too_low"
  // Intel DCAP
  | "qe_report_bad_signature"
  | "qe_report_data_mismatch"
  | "collateral_bad_signature"
  | "collateral_mismatch"
  | "collateral_expired"
  | "collateral_not_yet_valid"
  | "qe_identity_mismatch"
  | "tdx_module_mismatch"
  | "tcb_not_supported"
  | "tcb_revoked"
  | "tcb_status_unacceptable"
  // Azure's endorsements of utility VMs
  | "did_mismatch"
  | "eku_mismatch"
  | "content_type_unexpected"
  | "uvm_measurement_mismatch"
  | "did_not_trusted"
  | "feed_not_trusted"
  | "svn_too_low"
  // What the relying party wants
  | "debug_enabled"
  | "report_data_mismatch"
  | "measurement_mismatch"
  | "host_data_mismatch"
  // Ours
  | "key_masked"
  | "migration_agent"
  | "guest_svn_too_low"
  | "id_key_mismatch"
  | "author_key_mismatch"
  | "wrong_platform"
  | "missing_collateral";

/** What a step looked at, by name, for people: hex, dates, names. */
export type StepInputs = Readonly<Record<string, string>>;

export interface EvidenceStep extends Step {
  /** What must hold, and where that is written. */
  readonly rule: string;
  readonly inputs: StepInputs;
  /** Of a step that failed. */
  readonly code?: ReasonCode;
}

export interface EvidenceVerdict extends Verdict {
  readonly steps: readonly EvidenceStep[];
  /** Of the first step that failed, or that had to be checked and could not be. */
  readonly code?: ReasonCode;
}

/** A failure that some deeper check found. */
export interface Refusal {
  readonly code: ReasonCode;
  /** A sentence. */
  readonly detail: string;
}

/** The steps of one verifier, in the order in which they are taken, each with its rule. */
export type StepRules = Readonly<Record<string, string>>;

/**
 * Collects the steps of one verification. A verifier takes its steps in the declared order and ends at the first that
 * fails, so that nothing is computed over what was already refused:
 *
 *     if (!steps.check("size", report.length === 1184, "malformed", "…")) return steps.end();
 */
export class EvidenceSteps<Rules extends StepRules> {
  readonly #rules: Rules;
  readonly #taken = new Map<string, EvidenceStep>();

  constructor(rules: Rules) {
    this.#rules = rules;
  }

  /** Records a check, and says whether it held. `detail`: what was compared with what, as a sentence. */
  check(
    name: keyof Rules & string,
    holds: boolean,
    code: ReasonCode,
    detail: string,
    inputs: StepInputs = {},
  ): boolean {
    this.#take(name, holds ? "verified" : "failed", detail, inputs, holds ? undefined : code);
    return holds;
  }

  /** Records what a deeper check found: `undefined` is success. */
  found(name: keyof Rules & string, refusal: Refusal | undefined, detail: string, inputs: StepInputs = {}): boolean {
    return refusal === undefined
      ? this.check(name, true, "malformed", detail, inputs)
      : this.check(name, false, refusal.code, refusal.detail, inputs);
  }

  /** Records that something was read, or why it cannot be: then the answer is undefined. */
  read<T>(
    name: keyof Rules & string,
    code: ReasonCode,
    read: () => T,
    detail: string,
    inputs: StepInputs = {},
  ): T | undefined {
    try {
      const value = read();
      this.check(name, true, code, detail, inputs);
      return value;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.check(name, false, code, error.message, inputs);
      return undefined;
    }
  }

  /** Records a step that nobody asked for: it does not refuse. */
  skip(name: keyof Rules & string, detail: string, inputs: StepInputs = {}): void {
    this.#take(name, "not checked", detail, inputs);
  }

  /** Records a step that what is at hand cannot decide: it refuses. */
  cannot(name: keyof Rules & string, code: ReasonCode, detail: string, inputs: StepInputs = {}): void {
    this.#take(name, "cannot be checked", detail, inputs, code);
  }

  /** All declared steps, and the verdict. What was not reached was not checked. */
  end(): EvidenceVerdict {
    const steps = Object.entries(this.#rules).map(([name, rule]): EvidenceStep =>
      this.#taken.get(name) ??
        { name, rule, result: "not checked", detail: "an earlier step failed", inputs: {} }
    );
    const bad = steps.find(({ code }) => code !== undefined);
    if (bad === undefined) {
      assert(this.#taken.size === steps.length, "a verifier that refuses nothing has taken all its steps");
      return { verdict: "verified", steps };
    }
    return { verdict: "refused", steps, reason: `${bad.name}: ${bad.detail}`, code: bad.code! };
  }

  #take(name: keyof Rules & string, result: StepResult, detail: string, inputs: StepInputs, code?: ReasonCode): void {
    assert(!this.#taken.has(name), `the step "${name}" is taken once`);
    const step: EvidenceStep = { name, rule: this.#rules[name]!, result, detail, inputs };
    this.#taken.set(name, code === undefined ? step : { ...step, code });
  }
}
