/**
 * The text of a scenario: one command a line, fields between commas, comments after "#".
 *
 * In: the text. Out: its commands, each with its line number. Knows no command.
 * Format: raft-scenario-language.md §1, §3.
 */

export interface Command {
  /** From 1; empty lines and comments count. */
  readonly line: number;
  readonly name: string;
  readonly fields: readonly string[];
  /** As it stands in the file, without comment and trailing space. */
  readonly text: string;
}

/** Reads a scenario up to its end, or to a line that begins with "====". Nothing is trimmed but the end of a line. */
export function parseScenario(text: string): Command[] {
  const commands: Command[] = [];
  for (const [at, line] of text.split("\n").entries()) {
    const uncommented = line.replace(/#.*/s, "").replace(/[ \t\r\f\v]+$/, "");
    if (uncommented === "") continue;
    if (uncommented.startsWith("====")) break;
    const [name, ...fields] = uncommented.split(",");
    // A comma at the end begins no field.
    if (fields.at(-1) === "") fields.pop();
    commands.push({ line: at + 1, name: name!, fields, text: uncommented });
  }
  return commands;
}
