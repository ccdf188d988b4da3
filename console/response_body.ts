/**
 * The body of an answer, read up to a maximum.
 *
 * In: an answer, how many bytes it may have, what to say where it has more. Out: all of it.
 */

import { concat } from "../shared/bytes.ts";
import { type Problem, ProblemError } from "./problem.ts";

/** @throws ProblemError with the code `AnswerTooLarge` */
export async function responseBody(
  response: Response,
  maxBytes: number,
  { what, todo }: Pick<Problem, "what" | "todo">,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.length;
    if (size > maxBytes) {
      throw new ProblemError({ code: "AnswerTooLarge", what, why: `It is above ${maxBytes} bytes`, todo });
    }
    parts.push(part);
  }
  return concat(...parts);
}
