/**
 * Test vectors of attestation evidence, evaluated: whether our verifiers say what somebody else says that they should.
 *
 * In: the parsed JSON of a file of vectors, which anybody may have written, and somebody who answers its files. Out: how
 * many entries hold, and a sentence for everything that does not.
 * Format: attestation/vectors/README.md. Vectors are compared by verdict, reason and every expected value; negatives,
 * vectors with something changed, by verdict and reason.
 */

import { FormatError } from "../assert.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { oneOf, text } from "../json_shape.ts";
import { MAX_LISTED_FINDINGS } from "../limits.ts";
import { caseOfNegative, caseOfVector, type FileReader, type VectorCase } from "./vector_case.ts";
import {
  idOf,
  type JsonMembers,
  readNegative,
  readVector,
  readVectorFile,
  shortListOf,
  type Vector,
} from "./vector_file.ts";
import { type VectorFindings, verifyVector } from "./vector_verify.ts";

export interface Deviation {
  /** Of the entry; its place in the file where it has none. */
  readonly id: string;
  /** What was expected and what was found, as a sentence. */
  readonly problem: string;
}

export interface VectorResults {
  /** Entries, vectors and negatives, without a deviation. */
  readonly passed: number;
  readonly failed: number;
  /** In the order of the file, perhaps several of one entry; no more than so many are listed. */
  readonly deviations: readonly Deviation[];
}

/** Reasons in one list. */
const MAX_REASONS = 100;

/**
 * Evaluates every entry.
 *
 * @param json is changed where it is read
 * @param onProgress after each entry: how many of how many are done
 * @throws FormatError where it is no file of vectors at all; whatever is wrong with one entry is a deviation of it
 */
export function evaluateVectors(
  json: unknown,
  readFile: FileReader,
  primitives: Primitives,
  onProgress: (done: number, of: number) => void = () => {},
): VectorResults {
  const file = readVectorFile(json);
  const evaluation = new Evaluation(primitives, file.vectors.length + file.negatives.length, onProgress);
  const vectors = new Map<string, Vector>();
  const ids = new Set<string>();
  const once = (id: string) => {
    if (ids.has(id)) throw new FormatError(`the ID ${JSON.stringify(id)} is there twice`);
    ids.add(id);
  };
  for (const [i, entry] of file.vectors.entries()) {
    evaluation.entry(idOf(entry) ?? `vectors/${i}`, () => {
      const vector = readVector(entry);
      once(vector.id);
      vectors.set(vector.id, vector);
      return caseOfVector(vector, file.policyDefaults, readFile);
    });
  }
  for (const [i, entry] of file.negatives.entries()) {
    evaluation.entry(idOf(entry) ?? `negatives/${i}`, () => {
      const negative = readNegative(entry);
      once(negative.id);
      const base = vectors.get(negative.base);
      if (base === undefined) {
        throw new FormatError(`it has the base ${JSON.stringify(negative.base)}, which is no vector`);
      }
      return caseOfNegative(negative, base, file.policyDefaults, readFile);
    });
  }
  return evaluation.results();
}

class Evaluation {
  readonly #primitives: Primitives;
  readonly #entries: number;
  readonly #onProgress: (done: number, of: number) => void;
  readonly #deviations: Deviation[] = [];
  #passed = 0;
  #failed = 0;

  constructor(primitives: Primitives, entries: number, onProgress: (done: number, of: number) => void) {
    this.#primitives = primitives;
    this.#entries = entries;
    this.#onProgress = onProgress;
  }

  entry(id: string, read: () => VectorCase): void {
    const problems = this.#problemsOf(read);
    if (problems.length === 0) this.#passed++;
    else this.#failed++;
    for (const problem of problems) {
      if (this.#deviations.length < MAX_LISTED_FINDINGS) this.#deviations.push({ id, problem });
    }
    this.#onProgress(this.#passed + this.#failed, this.#entries);
  }

  results(): VectorResults {
    return { passed: this.#passed, failed: this.#failed, deviations: this.#deviations };
  }

  #problemsOf(read: () => VectorCase): readonly string[] {
    try {
      const vector = read();
      return compare(vector.expect, verifyVector(vector, this.#primitives));
    } catch (error) {
      // What verifiers are given they judge; this is about the entry itself.
      if (error instanceof FormatError) return [error.message];
      throw error;
    }
  }
}

/** What was expected and is not so. @throws FormatError where the expectations are none */
function compare(expect: JsonMembers, found: VectorFindings): string[] {
  const { verdict, reasons, alsoAllowed, ...values } = expect;
  const expected = expectedVerdict(verdict, reasons, alsoAllowed);
  const problem = verdictProblem(expected, found);
  const isStricter = expected.verdict === "accept" && found.verdict === "reject";
  // Whoever refuses earlier than expected has read less; what it has read must be right all the same.
  const differences = differencesOf(values, found.values, "", problem !== undefined || isStricter);
  return problem === undefined ? differences : [problem, ...differences];
}

interface ExpectedVerdict {
  readonly verdict: VectorFindings["verdict"];
  readonly reasons: readonly string[];
  /** Reasons that a stricter verifier may give. */
  readonly alsoAllowed: readonly string[];
}

function expectedVerdict(verdict: unknown, reasons: unknown, alsoAllowed: unknown): ExpectedVerdict {
  const list = shortListOf(text, MAX_REASONS);
  const read = {
    verdict: oneOf("accept", "reject", "parse-only")(verdict, "/expect/verdict"),
    reasons: reasons === undefined ? [] : list(reasons, "/expect/reasons"),
    alsoAllowed: alsoAllowed === undefined ? [] : list(alsoAllowed, "/expect/alsoAllowed"),
  };
  if ((read.verdict === "reject") !== (read.reasons.length > 0)) {
    throw new FormatError("Cannot compare: a rejection must name its reasons, and nothing else may");
  }
  return read;
}

function verdictProblem({ verdict, reasons, alsoAllowed }: ExpectedVerdict, found: VectorFindings): string | undefined {
  const allowed = [...reasons, ...alsoAllowed];
  if (found.verdict === "reject") {
    if (allowed.includes(found.code!)) return undefined;
    const wanted = verdict === "reject" ? `rejection for ${reasons.join(" or ")}` : verdict;
    return `expected is ${wanted}; found is rejection for ${found.code}: ${found.reason}`;
  }
  if (found.verdict === verdict) return undefined;
  const wanted = verdict === "reject" ? `rejection for ${reasons.join(" or ")}` : verdict;
  return `expected is ${wanted}; found is ${found.verdict}`;
}

/** @param mayLack whether what was not found does not count */
function differencesOf(
  expected: JsonMembers,
  found: Readonly<Record<string, unknown>>,
  path: string,
  mayLack: boolean,
): string[] {
  return Object.entries(expected).flatMap(([name, value]) => {
    const at = `${path}${name}`;
    if (!Object.hasOwn(found, name)) return [`expected is a value ${at}, which no verifier of this evidence gives`];
    const there = found[name];
    if (there === undefined) return mayLack ? [] : [`expected is ${at} ${shown(value)}; none was found`];
    if (isMembers(there)) {
      return isMembers(value)
        ? differencesOf(value, there, `${at}.`, mayLack)
        : [`expected is ${at} ${shown(value)}; found are several values`];
    }
    // Intel lists advisories in no order that means anything.
    const [a, b] = name === "advisoryIds" ? [sorted(value), sorted(there)] : [value, there];
    return JSON.stringify(a) === JSON.stringify(b)
      ? []
      : [`expected is ${at} ${shown(value)}; found is ${shown(there)}`];
  });
}

function isMembers(value: unknown): value is JsonMembers {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function sorted(value: unknown): unknown {
  return Array.isArray(value) ? value.map(String).sort() : value;
}

function shown(value: unknown): string {
  const json = JSON.stringify(value);
  return json.length > 200 ? `${json.slice(0, 200)}…` : json;
}
