/**
 * The console's built page, as nodes and the relay serve it.
 *
 * In: the folder that `deno task console` writes, `console/dist/app`; a path and headers of a request. Out: an answer.
 * Knows nothing of services. All files are read once, into memory, and only names found then are served: no path of a
 * request ever reaches the file system.
 *
 * The host serves the page, not the enclave: whoever runs the machine could serve another one. The page says so itself
 * where it comes from the node that it verifies (decisions: what a page cannot see).
 */

import { createHash } from "node:crypto";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { FormatError } from "../shared/assert.ts";
import { fromUtf8 } from "../shared/bytes.ts";
import { parseJsonText } from "../shared/json.ts";
import { object, text } from "../shared/json_shape.ts";
import { MAX_CONSOLE_BYTES, MAX_CONSOLE_FILES } from "../shared/limits.ts";
import type { HeaderList, HttpResponse } from "../enclave/messages.ts";
import { reasonOf } from "./commands/exit.ts";
import { errorResponse } from "./listener.ts";
import { isNotFound } from "./storage_error.ts";

/** Where the build writes it. */
export const CONSOLE_FOLDER = fileURLToPath(new URL("../console/dist/app", import.meta.url));

const INDEX = "index.html";
const POLICY = "policy.json";
/** Everything in it has its content's hash in its name. */
const HASHED_FOLDER = "assets/";

const TYPES: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

const POLICY_SHAPE = object({ content_security_policy: text });

interface PageFile {
  readonly headers: HeaderList;
  readonly bytes: Uint8Array;
  /** Without quotes. */
  readonly tag: string;
  /** Made when it is first asked for. */
  compressed: Uint8Array | undefined;
}

export class ConsoleFiles {
  readonly #files: ReadonlyMap<string, PageFile>;

  private constructor(files: ReadonlyMap<string, PageFile>) {
    this.#files = files;
  }

  /**
   * @returns null where the folder does not exist
   * @throws FormatError where it holds no page as the build makes it
   */
  static open(folder: string): ConsoleFiles | null {
    for (let attemptsLeft = 3;; attemptsLeft--) {
      try {
        return ConsoleFiles.#read(folder);
      } catch (error) {
        // A build puts its page in the place of the one that is being read.
        if (!isNotFound(error) || attemptsLeft === 1) throw error;
      }
    }
  }

  static #read(folder: string): ConsoleFiles | null {
    const refuse = (why: string) => new FormatError(`Cannot serve the console in ${folder}: ${why}`);
    try {
      if (!Deno.statSync(folder).isDirectory) throw refuse("it is no directory");
    } catch (error) {
      if (isNotFound(error)) return null;
      if (error instanceof FormatError) throw error;
      throw refuse(reasonOf(error));
    }
    try {
      const contents = new Map<string, Uint8Array>();
      readFolder(folder, "", contents);
      const policy = contents.get(POLICY);
      if (policy === undefined || !contents.has(INDEX)) {
        throw new FormatError(`it has no ${INDEX} and ${POLICY}, as \`deno task console\` writes them`);
      }
      contents.delete(POLICY);
      const { content_security_policy } = POLICY_SHAPE(parseJsonText(fromUtf8(policy)), POLICY);
      return new ConsoleFiles(
        new Map([...contents].map(([name, bytes]) => [name, pageFile(name, bytes, content_security_policy)])),
      );
    } catch (error) {
      if (isNotFound(error)) throw error;
      throw refuse(reasonOf(error));
    }
  }

  /**
   * The answer to GET or HEAD, with a body for both; null where there is no such file.
   *
   * @param path below the page's own, undecoded, without a slash at its beginning; "" is the page
   */
  answer(path: string, request: Headers): HttpResponse | null {
    const file = this.#files.get(path === "" ? INDEX : path);
    if (file === undefined) return null;
    const isCompressed = takesGzip(request.get("accept-encoding")) && file.bytes.length >= LEAST_COMPRESSED_BYTES;
    // Other bytes have another tag (RFC 9110 §8.8.3.3).
    const etag = `"${file.tag}${isCompressed ? "-gzip" : ""}"`;
    const headers: HeaderList = [...file.headers, ["etag", etag]];
    if (matches(request.get("if-none-match"), etag)) return { status: 304, headers, body: new Uint8Array() };
    const body = isCompressed ? file.compressed ??= gzipSync(file.bytes, { level: 9 }) : file.bytes;
    return {
      status: 200,
      headers: [
        ...headers,
        ["content-length", `${body.length}`],
        ...(isCompressed ? [["content-encoding", "gzip"] as [string, string]] : []),
      ],
      body,
    };
  }
}

/** Below that nothing is won. */
const LEAST_COMPRESSED_BYTES = 512;

/** Where nodes serve the page. */
export const CONSOLE_PATH = "/console/";

/**
 * What a node answers to GET or HEAD about the console.
 *
 * @param files null: this node has no page
 * @param path of the request, undecoded
 * @returns null where the path is not the console's
 */
export function consoleDocument(files: ConsoleFiles | null, path: string, request: Headers): HttpResponse | null {
  // Without the slash the page would look for its files in the wrong place.
  const isNameAlone = `${path}/` === CONSOLE_PATH;
  if (!isNameAlone && !path.startsWith(CONSOLE_PATH)) return null;
  if (files === null) return errorResponse(404, "ConsoleNotServed", NOT_SERVED);
  if (isNameAlone) return { status: 308, headers: [["location", CONSOLE_PATH]], body: new Uint8Array() };
  return files.answer(path.substring(CONSOLE_PATH.length), request) ??
    errorResponse(404, "ResourceNotFound", `The console has no file ${path}. It begins at ${CONSOLE_PATH}`);
}

const NOT_SERVED =
  "This node serves no console. Its operator can build one with `deno task console`, or name a built " +
  "one in the configuration as console_directory; `deno task run console` serves one on your own machine";

function readFolder(folder: string, prefix: string, contents: Map<string, Uint8Array>): void {
  for (const { name, isDirectory } of Deno.readDirSync(join(folder, prefix))) {
    if (isDirectory) {
      readFolder(folder, `${prefix}${name}/`, contents);
      continue;
    }
    if (contents.size === MAX_CONSOLE_FILES) throw new FormatError(`it has more than ${MAX_CONSOLE_FILES} files`);
    contents.set(`${prefix}${name}`, Deno.readFileSync(join(folder, prefix, name)));
    const bytes = contents.values().reduce((sum, { length }) => sum + length, 0);
    if (bytes > MAX_CONSOLE_BYTES) throw new FormatError(`it has more than ${MAX_CONSOLE_BYTES} bytes`);
  }
}

function pageFile(name: string, bytes: Uint8Array, policy: string): PageFile {
  const isHashed = name.startsWith(HASHED_FOLDER);
  return {
    bytes,
    tag: createHash("sha256").update(bytes).digest("base64url").substring(0, 22),
    compressed: undefined,
    headers: [
      ["content-type", TYPES[extname(name)] ?? "application/octet-stream"],
      // Scripts have it as well: a worker is held to the policy that its own script came with.
      ["content-security-policy", policy],
      ["x-content-type-options", "nosniff"],
      ["x-frame-options", "DENY"],
      ["referrer-policy", "no-referrer"],
      ["cross-origin-opener-policy", "same-origin"],
      ["cross-origin-resource-policy", "same-origin"],
      ["cache-control", isHashed ? "public, max-age=31536000, immutable" : "no-cache"],
      ["vary", "accept-encoding"],
    ],
  };
}

/** RFC 9110 §12.5.3, as far as it can say yes or no to gzip. */
function takesGzip(accepted: string | null): boolean {
  const codings = (accepted ?? "").split(",").map((item) => item.trim().toLowerCase().split(/\s*;\s*/));
  const found = codings.find(([name]) => name === "gzip") ?? codings.find(([name]) => name === "*");
  return found !== undefined && !found.some((parameter) => /^q=0(\.0{0,3})?$/.test(parameter));
}

/** Whether the client has what the tag names (RFC 9110 §13.1.2). */
function matches(ifNoneMatch: string | null, etag: string): boolean {
  const tags = (ifNoneMatch ?? "").split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags.includes("*") || tags.includes(etag);
}
