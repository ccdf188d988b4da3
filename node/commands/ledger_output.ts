/**
 * Where the ledger commands write: lines for people or machines, notes beside them, and progress on a terminal.
 *
 * A reader that goes away early, such as `head`, ends the output quietly.
 */

import cliProgress from "cli-progress";
import { concat, toUtf8 } from "../../shared/bytes.ts";
import { type Colours, stdoutColours } from "./colours.ts";

/** What the commands write to; tests give another one. */
export interface LedgerOutput {
  /** For whoever reads the result. Answers false once nobody does, so that there is no use in going on. */
  line(text: string): boolean;
  /** For a person, beside the result. */
  note(text: string): void;
  /** Moves the progress bar, if there is one; the next line or note ends it. */
  progress(bytes: number, of: number): void;
  /** Writes out what is still held. */
  finish(): void;
  readonly colors: Colours;
}

/** Output is collected up to here: a system call for each line would cost more than the line. */
const BUFFER_BYTES = 64 * 1024;
/** Redrawing is what a progress bar costs. */
const PROGRESS_STEP_MS = 100;

/** Standard output and error. */
export class TerminalOutput implements LedgerOutput {
  readonly colors: Colours;
  readonly #showsProgress: boolean;
  #bar: cliProgress.SingleBar | undefined;
  #drawnMs = 0;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #closed = false;

  /** @param plain for machines: no progress */
  constructor(plain: boolean) {
    this.colors = stdoutColours();
    this.#showsProgress = !plain && Deno.stdout.isTerminal() && Deno.stderr.isTerminal();
  }

  line(text: string): boolean {
    this.#endProgress();
    const bytes = toUtf8(`${text}\n`);
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    if (this.#pendingBytes >= BUFFER_BYTES) this.#flush();
    return !this.#closed;
  }

  note(text: string): void {
    this.finish();
    console.error(text);
  }

  progress(bytes: number, of: number): void {
    if (!this.#showsProgress) return;
    const nowMs = performance.now();
    if (nowMs - this.#drawnMs < PROGRESS_STEP_MS) return;
    this.#drawnMs = nowMs;
    if (this.#bar === undefined) {
      // It is not to catch SIGINT: nothing would listen to it while files are read.
      this.#bar = new cliProgress.SingleBar({
        format: "{bar} {percentage} %, {eta_formatted} left",
        clearOnComplete: true,
        gracefulExit: false,
      }, cliProgress.Presets.shades_classic);
      this.#bar.start(of, bytes);
    }
    this.#bar.update(bytes);
  }

  finish(): void {
    this.#endProgress();
    this.#flush();
  }

  #endProgress(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  #flush(): void {
    let rest = concat(...this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    try {
      while (rest.length > 0 && !this.#closed) rest = rest.subarray(Deno.stdout.writeSync(rest));
    } catch (error) {
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
      this.#closed = true;
    }
  }
}
