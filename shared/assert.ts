/**
 * Two of the three kinds of wrong: our own bugs and other people's bytes.
 *
 * The third, normal life going badly, is a returned value and needs no help from here.
 */

/** A bug of ours: an assumption of the design does not hold. Nothing should catch it but the edge of the process. */
export class AssertionFailed extends Error {
  override name = "AssertionFailed";
}

/** Bytes, text or numbers from outside that do not have the form they must have. */
export class FormatError extends Error {
  override name = "FormatError";
}

/**
 * Stops when a condition of the design does not hold. The message is the condition, as a positive sentence.
 *
 * @throws AssertionFailed
 */
export function assert(condition: unknown, sentence: string): asserts condition {
  if (!condition) throw new AssertionFailed(`Assertion failed: ${sentence}`);
}

/** Marks a branch that the types rule out. */
export function unreachable(value: never): never {
  throw new AssertionFailed(`Assertion failed: no branch handles ${JSON.stringify(value)}`);
}
