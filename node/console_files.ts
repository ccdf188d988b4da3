/**
 * The built page, as a node and the relay serve it: the host's own files, of which the enclave knows nothing.
 *
 * In: the folder that `deno task console` wrote; requests. Out: answers. All of it is read once, and pressed once.
 * Only what was read is served, by name: there is no way from a request to another file.
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { MAX_CONSOLE_BYTES } from "../shared/limits.ts";

/** Where a checkout has it. */
export const CONSOLE_FOLDER = fileURLToPath(new URL("../console/dist/app", import.meta.url));

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
};

interface ConsoleFile {
  readonly type: string;
  readonly bytes: Uint8Array;
  readonly pressed: Uint8Array;
  readonly tag: string;
}

export class ConsoleFiles {
  readonly #files: ReadonlyMap<string, ConsoleFile>;
  readonly #policy: string;

  private constructor(files: ReadonlyMap<string, ConsoleFile>, policy: string) {
    this.#files = files;
    this.#policy = policy;
  }

  /** @returns undefined where the page has not been built there. @throws Error where what is there is not the page */
  static read(folder: string): ConsoleFiles | undefined {
    let policy: string;
    try {
      policy = (JSON.parse(Deno.readTextFileSync(join(folder, "policy.json"))) as { content_security_policy: string })
        .content_security_policy;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
    const files = new Map<string, ConsoleFile>();
    let size = 0;
    const add = (name: string) => {
      const type = TYPES[name.split(".").at(-1)!];
      if (type === undefined) return;
      const bytes = Deno.readFileSync(join(folder, name));
      size += bytes.length;
      if (size > MAX_CONSOLE_BYTES) {
        throw new Error(`Cannot serve the console in ${folder}: it is above ${MAX_CONSOLE_BYTES} bytes`);
      }
      const tag = `"${createHash("sha256").update(bytes).digest("hex").slice(0, 32)}"`;
      files.set(name, { type, bytes, pressed: gzipSync(bytes, { level: 9 }), tag });
    };
    add("index.html");
    for (const { name, isFile } of Deno.readDirSync(join(folder, "assets"))) if (isFile) add(`assets/${name}`);
    return new ConsoleFiles(files, policy);
  }

  /** @param name the path below the page's own, "" for the page. @returns undefined where there is no such file */
  answer(name: string, request: Request): Response | undefined {
    const file = this.#files.get(name === "" ? "index.html" : name);
    if (file === undefined) return undefined;
    const headers = new Headers({
      "content-type": file.type,
      "content-security-policy": this.#policy,
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
      "referrer-policy": "no-referrer",
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-resource-policy": "same-origin",
      // Names of the rest have the hash of what is in them.
      "cache-control": name === "" || name === "index.html" ? "no-cache" : "public, max-age=31536000, immutable",
      etag: file.tag,
      vary: "accept-encoding",
    });
    if (request.headers.get("if-none-match") === file.tag) return new Response(null, { status: 304, headers });
    const takesGzip = /\bgzip\b/.test(request.headers.get("accept-encoding") ?? "");
    const body = takesGzip ? file.pressed : file.bytes;
    if (takesGzip) headers.set("content-encoding", "gzip");
    headers.set("content-length", String(body.length));
    return new Response(request.method === "HEAD" ? null : body as BodyInit, { headers });
  }
}
