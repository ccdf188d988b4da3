/**
 * A relay in a process of its own, as its user starts it.
 *
 * In: options of `deno task run console`. Out: the URL that it printed. It stops by itself with the test.
 */

import { startTask } from "./sandbox.ts";

/** It builds the page where it is not built. */
export class RunningRelay implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;

  private constructor(process: Deno.ChildProcess, readonly url: string) {
    this.#process = process;
  }

  static async start(...options: string[]): Promise<RunningRelay> {
    const process = startTask("console", "--port", "0", "--json", ...options);
    const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) {
        await process.status;
        throw new Error(`The relay did not start: ${await new Response(process.stderr).text()}`);
      }
      text += value;
    }
    await reader.cancel();
    return new RunningRelay(process, (JSON.parse(text.split("\n")[0]!) as { url: string }).url);
  }

  /** Without the token. */
  get origin(): string {
    return new URL(this.url).origin;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGTERM");
    } catch {
      // It has ended by itself.
    }
    await this.#process.stderr.cancel();
    await this.#process.status;
  }
}
