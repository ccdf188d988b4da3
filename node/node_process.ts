/**
 * One node of a sandbox in a process of its own.
 *
 * In: its configuration. Out: the lines of its log that are worth showing, and its end. It stops when its standard input
 * ends, so that it outlives neither a stop nor the death of whoever started it; and when it dies nobody else does.
 */

import { fileURLToPath } from "node:url";
import type { LogLevel } from "../enclave/messages.ts";
import { MAX_LOG_MESSAGE_CHARACTERS, MAX_SANDBOX_STOP_MS, MAX_SHOWN_LOG_CHARACTERS } from "../shared/limits.ts";
import type { SandboxNode } from "./sandbox.ts";
import { StartFailure } from "./start_failure.ts";

/** As the task `run` of deno.json, but without the right to start processes. */
const PERMISSIONS = [
  "--no-prompt",
  "--allow-read",
  "--allow-write",
  "--allow-net",
  "--allow-env=NO_COLOR,FORCE_COLOR,CI,TERM",
  "--ignore-env",
];
const CONFIG = fileURLToPath(new URL("../deno.json", import.meta.url));
const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));

export class NodeProcess {
  readonly node: SandboxNode;
  /** Resolves when the process has ended: how, for people. */
  readonly ended: Promise<string>;
  readonly #process: Deno.ChildProcess;
  #hasEnded = false;

  /**
   * @param show told each line of its log that is worth showing
   * @throws StartFailure where processes cannot be started
   */
  constructor(node: SandboxNode, logLevel: LogLevel, show: (line: string) => void) {
    this.node = node;
    const options = [
      "--config",
      node.configFile,
      "--log-file",
      node.logFile,
      "--log-level",
      logLevel,
      "--stop-with-stdin",
    ];
    try {
      this.#process = new Deno.Command("deno", {
        args: ["run", "--quiet", "--config", CONFIG, ...PERMISSIONS, MAIN, "node", ...options],
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
    } catch (error) {
      throw new StartFailure(`Cannot start several nodes: ${whyNoProcess(error)}, or use --nodes 1`);
    }
    const shown = [
      forEachLine(this.#process.stdout, (line) => {
        const short = condensed(line);
        if (short !== undefined) show(short);
      }),
      forEachLine(this.#process.stderr, (line) => show(cut(line))),
    ];
    this.ended = Promise.all([this.#process.status, ...shown]).then(([{ code, signal }]) => {
      this.#hasEnded = true;
      return signal === null ? `with exit code ${code}` : `by ${signal}`;
    });
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Lets it finish what it has begun. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), MAX_SANDBOX_STOP_MS);
    // It may have gone already, and its end of the pipe with it.
    await this.#process.stdin.close().catch(() => undefined);
    await this.ended;
    clearTimeout(timer);
  }
}

function whyNoProcess(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no deno on the PATH; put it there";
  const why = error instanceof Error ? error.message : String(error);
  if (why.includes("LD_") || why.includes("DYLD_")) {
    return "Deno starts none while variables such as LD_LIBRARY_PATH are set; unset them";
  }
  if (error instanceof Deno.errors.NotCapable) {
    return "the process may not start others; allow it with --allow-run=deno";
  }
  return why;
}

/** Tags of lines about clients: only the file has them. */
const QUIET_TAGS = ["app", "gov", "js"];

/**
 * A line of the log without time and place; undefined where it is of every day.
 *
 *     2025-12-30T10:11:12.345000Z 100 [info ][raft] node/host.ts:42              | Became primary in view 2
 */
export function condensed(line: string): string | undefined {
  const match = /^\S+ +\d+ +\[(\w+) *\](?:\[(\w*)\])?[^|]*\| (.*)$/.exec(line);
  if (match === null) return undefined;
  const [, level, tag = "", message] = match;
  if (level === "fail" || level === "fatal") return cut(`${level}: ${message}`);
  return level === "info" && !QUIET_TAGS.includes(tag) ? cut(message!) : undefined;
}

function cut(line: string): string {
  return line.length <= MAX_SHOWN_LOG_CHARACTERS ? line : `${line.slice(0, MAX_SHOWN_LOG_CHARACTERS)}…`;
}

/** Of a line that is too long the beginning. */
async function forEachLine(stream: ReadableStream<Uint8Array>, use: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop()!.slice(0, MAX_LOG_MESSAGE_CHARACTERS);
    for (const line of lines) use(line);
  }
  if (rest !== "") use(rest);
}
