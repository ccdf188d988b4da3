/**
 * The result of a verification: named steps, never one boolean.
 *
 * Whoever reads a verdict, a person or a page, sees which step failed on which input, and what was not looked at.
 */

/**
 * `not checked`: nobody asked, or an earlier step failed. `cannot be checked`: what is at hand cannot decide it.
 */
export type StepResult = "verified" | "failed" | "not checked" | "cannot be checked";

export interface Step {
  readonly name: string;
  readonly result: StepResult;
  /** What was compared with what, as a sentence. */
  readonly detail: string;
}

export interface Verdict {
  readonly verdict: "verified" | "refused";
  readonly steps: readonly Step[];
  /** Of the first step that failed. */
  readonly reason?: string;
}

/** Collects steps; the verdict is "refused" from the first that failed, or that had to be checked and could not be. */
export class Steps {
  readonly #steps: Step[] = [];

  /** Records a check, and says whether it held. */
  check(name: string, holds: boolean, detail: string): boolean {
    this.#steps.push({ name, result: holds ? "verified" : "failed", detail });
    return holds;
  }

  /** Records a step that was not taken. */
  skip(name: string, result: "not checked" | "cannot be checked", detail: string): void {
    this.#steps.push({ name, result, detail });
  }

  verdict(): Verdict {
    const bad = this.#steps.find(({ result }) => result === "failed" || result === "cannot be checked");
    return bad === undefined
      ? { verdict: "verified", steps: this.#steps }
      : { verdict: "refused", steps: this.#steps, reason: `${bad.name}: ${bad.detail}` };
  }
}
