/**
 * Colours, for people alone: neither into a pipe or a file nor where NO_COLOR is set, whatever CI says.
 */

import pc from "picocolors";

export type Colours = ReturnType<typeof pc.createColors>;

/** For what goes to standard output. */
export function stdoutColours(): Colours {
  return pc.createColors(Deno.stdout.isTerminal() && !Deno.noColor && Deno.env.get("TERM") !== "dumb");
}
