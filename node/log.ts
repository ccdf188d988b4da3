/**
 * The node's log, in CCF's two formats.
 *
 * In: level, tag, message. Out: one line each on standard output, and in a file if one is named. Lines go through LogTape,
 * so that a library's log can be routed with them. Never a request's body and never a secret: a private key in PEM is
 * taken out whoever logs it.
 * Format: operations.md §4
 */

import { configureSync, getConfig, getLogger, type LogRecord } from "@logtape/logtape";
import { assert, FormatError } from "../shared/assert.ts";
import { toUtf8 } from "../shared/bytes.ts";
import { MAX_LOG_MESSAGE_CHARACTERS } from "../shared/limits.ts";
import { storageError } from "./storage_error.ts";

export type LogLevel = "trace" | "debug" | "info" | "fail" | "fatal";

const LEVELS: readonly LogLevel[] = ["trace", "debug", "info", "fail", "fatal"];

/** CCF's "fail" is a failure that the node survives, which LogTape calls an error. */
const LOGTAPE_LEVELS = { trace: "trace", debug: "debug", info: "info", fail: "error", fatal: "fatal" } as const;

/** One line, before it is laid out. */
export interface LogLine {
  readonly timeMs: number;
  readonly threadId: number;
  readonly level: LogLevel;
  /** "app", "gov", "js", …; may be empty. */
  readonly tag: string;
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

export interface LogOptions {
  readonly format: "Text" | "Json";
  /** Least level that is written, in either case. */
  readonly level: string;
  /** Also written to this file, at its end. */
  readonly file?: string;
  /** Where lines go besides; standard output as in CCF, whose tests want standard error empty. */
  readonly console?: "stdout" | "stderr" | "none";
}

/** Where a line comes from, if not from the caller of `write`. */
export interface LogOrigin {
  readonly threadId?: number;
  readonly file?: string;
  readonly line?: number;
}

export interface NodeLog {
  write(level: LogLevel, tag: string, message: string, origin?: LogOrigin): void;
  /** Whether a level is written: to be asked where a message is dear to make. */
  isEnabled(level: LogLevel): boolean;
  /** Nothing is written afterwards. */
  close(): Promise<void>;
}

/** Quirk of CCF: the host says it is thread 100, to be told from the enclave's threads. */
const HOST_THREAD = 100;
const CATEGORY = "quorate";
const ROOT = new URL("../", import.meta.url).href;

/** LogTape is set up once for the process; each log has its number as the second part of its category. */
const outputs = new Map<string, (line: LogLine) => void>();
let logCount = 0;

/**
 * Opens a log.
 *
 * @throws FormatError where the level is unknown, StorageError where the file cannot be written
 */
export function createLog(options: LogOptions): NodeLog {
  const least = LEVELS.indexOf(options.level.toLowerCase() as LogLevel);
  if (least < 0) {
    throw new FormatError(
      `Cannot log from level ${JSON.stringify(options.level)} on: it must be one of ${LEVELS.join(", ")}`,
    );
  }
  const sinks = openSinks(options);
  const format = options.format === "Json" ? formatJsonLine : formatTextLine;
  const id = String(++logCount);
  outputs.set(id, (line) => {
    const bytes = toUtf8(format(line));
    for (const sink of sinks) sink.write(bytes);
  });
  configureOnce();

  const isEnabled = (level: LogLevel) => LEVELS.indexOf(level) >= least && outputs.has(id);
  return {
    isEnabled,
    write(level, tag, message, origin = {}) {
      if (!isEnabled(level)) return;
      const caller = origin.file === undefined ? callerOf(2) : { file: origin.file, line: origin.line ?? 0 };
      getLogger([CATEGORY, id, tag]).emit({
        timestamp: Date.now(),
        level: LOGTAPE_LEVELS[level],
        message: [message],
        rawMessage: message,
        properties: { level, threadId: origin.threadId ?? HOST_THREAD, ...caller },
      });
    },
    close() {
      outputs.delete(id);
      for (const sink of sinks) sink.close();
      return Promise.resolve();
    },
  };
}

/**
 * CCF's text, e.g.
 *
 *     2025-12-30T10:11:12.345000Z 100 [info ][gov] node/host.ts:42               | Opened
 *
 * The part between thread and bar has 45 columns; of a long path the end stays.
 */
export function formatTextLine(line: LogLine): string {
  const tag = line.tag === "" ? "" : `[${line.tag}]`;
  const start = `[${line.level.padEnd(5)}]${tag} `.slice(0, PREAMBLE_COLUMNS - 1);
  const place = `${line.file}:${line.line} `;
  const room = PREAMBLE_COLUMNS - 1 - start.length;
  const preamble = (start + (room > 0 ? place.slice(-room) : "")).padEnd(PREAMBLE_COLUMNS);
  return `${timestamp(line.timeMs)} ${String(line.threadId).padEnd(3)} ${preamble}| ${
    printable(clean(line.message))
  }\n`;
}

/** CCF's JSON: every value is a string. */
export function formatJsonLine(line: LogLine): string {
  return JSON.stringify({
    h_ts: timestamp(line.timeMs),
    thread_id: String(line.threadId),
    level: line.level,
    tag: line.tag,
    file: line.file,
    number: String(line.line),
    msg: clean(line.message),
  }) + "\n";
}

const PREAMBLE_COLUMNS = 45;

/** With microseconds, which the clock does not have. */
function timestamp(timeMs: number): string {
  return new Date(timeMs).toISOString().replace("Z", "000Z");
}

function clean(message: string): string {
  const whole = message.includes("PRIVATE KEY-----")
    ? message.replace(/-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, "[private key]")
    : message;
  const more = whole.length - MAX_LOG_MESSAGE_CHARACTERS;
  return more <= 0 ? whole : `${whole.slice(0, MAX_LOG_MESSAGE_CHARACTERS)}… and ${more} more characters`;
}

/** Whatever a message has in it, it does not look like another line, nor move the cursor of a terminal. */
function printable(message: string): string {
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  return message.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  }).replaceAll("\n", "\n    ");
}

function configureOnce(): void {
  if (getConfig() !== null) return;
  configureSync({
    sinks: { node: (record) => route(record) },
    loggers: [
      { category: CATEGORY, sinks: ["node"], lowestLevel: "trace" },
      { category: ["logtape", "meta"], sinks: [], lowestLevel: "warning" },
    ],
  });
}

function route(record: LogRecord): void {
  const [, id, tag] = record.category;
  const { level, threadId, file, line } = record.properties;
  assert(typeof threadId === "number" && typeof line === "number", "A record of ours says where it comes from");
  outputs.get(id ?? "")?.({
    timeMs: record.timestamp,
    threadId,
    level: level as LogLevel,
    tag: tag ?? "",
    file: String(file),
    line,
    message: record.message.join(""),
  });
}

/** File and line of the caller, `depth` calls up from here. */
function callerOf(depth: number): { file: string; line: number } {
  const frame = new Error().stack?.split("\n")[depth + 1] ?? "";
  const match = /\(?((?:file|https?):[^\s()]+):([0-9]+):[0-9]+\)?$/.exec(frame);
  if (match === null) return { file: "", line: 0 };
  return { file: match[1]!.replace(ROOT, ""), line: Number(match[2]) };
}

interface Sink {
  write(bytes: Uint8Array): void;
  close(): void;
}

function openSinks({ console: where = "stdout", file }: LogOptions): Sink[] {
  const sinks: Sink[] = [];
  if (where !== "none") sinks.push({ write: writer(where === "stdout" ? Deno.stdout : Deno.stderr), close: () => {} });
  if (file === undefined) return sinks;
  try {
    const opened = Deno.openSync(file, { append: true, create: true });
    sinks.push({ write: writer(opened), close: () => opened.close() });
  } catch (error) {
    throw storageError(`write the log ${JSON.stringify(file)}`, error, "choose another file");
  }
  return sinks;
}

/** A node goes on when its log cannot be written: the terminal is gone, the disk full. */
function writer(target: { writeSync(bytes: Uint8Array): number }): (bytes: Uint8Array) => void {
  return (bytes) => {
    try {
      for (let at = 0; at < bytes.length;) at += target.writeSync(bytes.subarray(at));
    } catch {
      // There is no place left to say so.
    }
  };
}
