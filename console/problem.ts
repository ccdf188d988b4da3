/**
 * What went wrong, told so that a person can go on: the one shape of every error in the page.
 *
 * Each has what happened, why, what to do, and a code to search for. Never a secret in any of them.
 */

export interface Problem {
  /** Stable, in capitals of words: `NodeUnreachable`, `SignatureInvalid`; a node's own code where it gave one. */
  readonly code: string;
  /** What happened, as a sentence without a full stop. */
  readonly what: string;
  /** Why, as far as the page knows. */
  readonly why: string;
  /** What to do next. */
  readonly todo: string;
  /** More for whoever is asked for help: a status, a body, a stack. */
  readonly details?: string;
}

/** Thrown where a problem ends what was being done. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";

  constructor(readonly problem: Problem) {
    super(`${problem.what}: ${problem.why}`);
  }
}

/** What has been thrown, as a problem. An error of our own making is a bug, and says so. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  const message = error instanceof Error ? error.message : String(error);
  return {
    code: "ConsoleFault",
    what: "The console failed",
    why: message,
    todo: "Reload the page; drafts are kept. If it happens again, report it with the details",
    ...(error instanceof Error && error.stack !== undefined && { details: error.stack }),
  };
}

/** What a screen has of something: four different things, never one in place of another. */
export type Loaded<T> =
  | { readonly kind: "loading"; readonly of?: string }
  | { readonly kind: "ready"; readonly value: T }
  /** Nobody can tell from what is at hand: not the same as nothing being there. */
  | { readonly kind: "unknown"; readonly why: string }
  | { readonly kind: "error"; readonly problem: Problem };
