/**
 * What makes a node stop from outside: SIGINT, SIGTERM, and for a node that another process has started the end of its
 * standard input.
 *
 * In: signals, from before anything is written until the end. Out: stops, as soon as there is something to stop.
 */

import { ExitCode } from "./commands/exit.ts";

/** A node, or all nodes of a sandbox. */
export interface Stoppable {
  /** Resolves with undefined where it was asked for, or with the reason why it could not go on. */
  readonly stopped: Promise<string | undefined>;
  stop(): Promise<void>;
  /** The first SIGTERM under `ignore_first_sigterm`. */
  giveStopNotice(): void;
}

export class StopSignals implements Disposable {
  #received: "SIGINT" | "SIGTERM" | undefined;
  #ignoreTerminate: boolean;
  #noticeDue = false;
  #target: Stoppable | undefined;

  constructor(ignoreFirstSigterm: boolean) {
    this.#ignoreTerminate = ignoreFirstSigterm;
    Deno.addSignalListener("SIGINT", this.#onInterrupt);
    Deno.addSignalListener("SIGTERM", this.#onTerminate);
  }

  /** Whether one came that is not ignored. */
  get requireStop(): boolean {
    return this.#received !== undefined;
  }

  get exitCode(): number {
    return this.#received === "SIGINT" ? ExitCode.interrupted : ExitCode.done;
  }

  /** Resolves when those have been delivered that came while the process was busy. */
  arrived(): Promise<void> {
    return new Promise((done) => setTimeout(done, 0));
  }

  stopFromNowOn(target: Stoppable): void {
    this.#target = target;
    if (this.#noticeDue) target.giveStopNotice();
    if (this.requireStop) void target.stop();
  }

  /** Takes the end of standard input for a SIGTERM that nobody ignores: whoever started this process has gone, or says so. */
  async watchStandardInput(): Promise<void> {
    const buffer = new Uint8Array(1024);
    try {
      while (await Deno.stdin.read(buffer) !== null);
    } catch {
      // It cannot be read any more, which is as good as its end.
    }
    this.#stop("SIGTERM");
  }

  /** Waits for a signal or a failure. @returns the exit code */
  async untilStopped({ stopped }: Stoppable): Promise<number> {
    const reason = await stopped;
    if (reason === undefined) return this.exitCode;
    console.error(reason);
    return ExitCode.refused;
  }

  [Symbol.dispose](): void {
    Deno.removeSignalListener("SIGINT", this.#onInterrupt);
    Deno.removeSignalListener("SIGTERM", this.#onTerminate);
  }

  readonly #onInterrupt = () => this.#stop("SIGINT");

  readonly #onTerminate = () => {
    if (!this.#ignoreTerminate) return this.#stop("SIGTERM");
    this.#ignoreTerminate = false;
    if (this.#target === undefined) this.#noticeDue = true;
    else this.#target.giveStopNotice();
  };

  #stop(signal: "SIGINT" | "SIGTERM"): void {
    if (this.#received !== "SIGINT") this.#received = signal;
    void this.#target?.stop();
  }
}
