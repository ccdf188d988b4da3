/**
 * Looks for what endorses this node's evidence, source by source, until something fits.
 *
 * In: sources, a check, a file in which what was found is kept for the next start. Out: the first that fits; or the reasons
 * of all. Knows nothing of what is looked for.
 */

import { FormatError } from "../shared/assert.ts";
import type { LogLevel } from "../enclave/messages.ts";
import { PlatformFailure } from "../enclave/platform/devices.ts";

/** A name for people, and what the source gives; or why it has nothing to give. */
export type Source<Found> = readonly [name: string, look: () => Found | string | Promise<Found | string>];

export interface Search<Found extends object> {
  /** In the plural, e.g. "certificates for this node's report". */
  readonly what: string;
  /** In order; at "kept" the file is looked at. */
  readonly sources: readonly (Source<Found> | "kept")[];
  /** Undefined where it fits. */
  readonly whyUnfit: (found: Found) => string | undefined;
  readonly kept: {
    readonly path: string;
    readonly serialise: (found: Found) => string;
    /** @throws FormatError */
    readonly parse: (text: string) => Found;
  };
  /** What an operator can do where there is nothing: a sentence without a full stop. */
  readonly advice: string;
  readonly log: (level: LogLevel, message: string) => void;
}

/** @throws PlatformFailure where nothing fits */
export async function findEndorsement<Found extends object>(search: Search<Found>): Promise<Found> {
  const { what, sources, whyUnfit, kept, advice, log } = search;
  const reasons: string[] = [];
  for (const source of sources) {
    const [name, look]: Source<Found> = source === "kept"
      ? ["what an earlier start has kept", () => readKept(kept)]
      : source;
    const found = await look();
    const reason = typeof found === "string" ? found : whyUnfit(found);
    if (reason === undefined && typeof found !== "string") {
      log("info", `${what[0]!.toUpperCase()}${what.slice(1)} come from ${name}`);
      if (source !== "kept") await keep(found, search);
      return found;
    }
    log("debug", `Of ${what}, ${name} has none that fit: ${reason}`);
    reasons.push(`${name}: ${reason}`);
  }
  throw new PlatformFailure(`Cannot get ${what}. ${reasons.join(". ")}. ${advice}`);
}

async function readKept<Found extends object>({ path, parse }: Search<Found>["kept"]): Promise<Found | string> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? "nothing is there" : (error as Error).message;
  }
  return orReason(() => parse(text));
}

/** For the next start, which may be without a network. That it cannot be kept is no reason not to start. */
async function keep<Found extends object>(found: Found, { what, kept, log }: Search<Found>): Promise<void> {
  const { path, serialise } = kept;
  try {
    await Deno.writeTextFile(`${path}.new`, serialise(found));
    await Deno.rename(`${path}.new`, path);
  } catch (error) {
    log("fail", `Cannot keep ${what} in ${path}: ${(error as Error).message}`);
  }
}

/** What is wrong with a source's bytes is one reason more. */
export function orReason<Value>(read: () => Value): Value | string {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return error.message;
  }
}
