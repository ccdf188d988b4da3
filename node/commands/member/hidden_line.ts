/**
 * One line from the terminal, not shown while it is typed.
 *
 * In: a question. Out: the line, or nothing where nobody sits at a terminal.
 */

import { fromUtf8Lenient } from "../../../shared/bytes.ts";
import { MAX_PASSPHRASE_BYTES } from "../../../shared/limits.ts";
import { UsageError } from "../exit.ts";

/** The user pressed Ctrl-C. */
export class Interrupted extends Error {
  override name = "Interrupted";
}

/** A terminal as far as it is needed here. */
export interface RawTerminal {
  isTerminal(): boolean;
  setRaw(raw: boolean): void;
  /** Some bytes that were typed, or null at the end of input. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes to the person, and not into the command's output. */
  write(text: string): void;
}

const TERMINAL: RawTerminal = {
  isTerminal: () => Deno.stdin.isTerminal() && Deno.stderr.isTerminal(),
  setRaw: (raw) => Deno.stdin.setRaw(raw),
  read: (buffer) => Deno.stdin.read(buffer),
  write: (text) => void Deno.stderr.writeSync(new TextEncoder().encode(text)),
};

const KEY = {
  ctrlC: 0x03,
  ctrlD: 0x04,
  backspace: 0x08,
  lineFeed: 0x0a,
  return: 0x0d,
  ctrlU: 0x15,
  delete: 0x7f,
} as const;

/**
 * @returns undefined where there is no terminal
 * @throws Interrupted on Ctrl-C, or at the end of input
 */
export async function readHiddenLine(question: string, terminal: RawTerminal = TERMINAL): Promise<string | undefined> {
  if (!terminal.isTerminal()) return undefined;
  terminal.write(question);
  terminal.setRaw(true);
  try {
    return await readLine(terminal);
  } finally {
    terminal.setRaw(false);
    terminal.write("\n");
  }
}

async function readLine(terminal: RawTerminal): Promise<string> {
  const typed: number[] = [];
  const buffer = new Uint8Array(256);
  while (true) {
    const count = await terminal.read(buffer);
    if (count === null) throw new Interrupted();
    for (const byte of buffer.subarray(0, count)) {
      if (byte === KEY.return || byte === KEY.lineFeed) return fromUtf8Lenient(Uint8Array.from(typed));
      if (byte === KEY.ctrlC || byte === KEY.ctrlD) throw new Interrupted();
      if (byte === KEY.ctrlU) typed.length = 0;
      else if (byte === KEY.backspace || byte === KEY.delete) removeCharacter(typed);
      else typed.push(byte);
      if (typed.length > MAX_PASSPHRASE_BYTES) {
        throw new UsageError(`Cannot read a passphrase of more than ${MAX_PASSPHRASE_BYTES} bytes`);
      }
    }
  }
}

/** A character of UTF-8 is one byte and its continuations. */
function removeCharacter(typed: number[]): void {
  while ((typed.at(-1)! & 0xc0) === 0x80) typed.pop();
  typed.pop();
}
