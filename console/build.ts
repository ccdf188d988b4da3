/**
 * Builds the console: `deno task console`.
 *
 * In: the sources here. Out, in `console/dist/`:
 *   console.html, console.html.sha256   the whole page as one file, which opens from disk
 *   app/index.html, app/assets/…        the same page in pieces, as a node and the relay serve it
 *   app/policy.json                     the Content-Security-Policy to serve it with
 * Two builds of one commit are equal byte for byte: nothing of the machine, the time or the folder goes in.
 *
 * What the build knows stands as JSON in the page (`build_facts.ts` reads it). Workers are built first: a served page names
 * their files, of which the script engine's is only fetched for an audit; the single file carries each as one script, and
 * starts it from a blob.
 */

import { createHash } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Rollup } from "vite";
import type { BuildFacts } from "./build_facts.ts";
import { noticesOf, packagesOf } from "./build_notices.ts";

type Output = Rollup.OutputAsset | Rollup.OutputChunk;

const CONSOLE = fileURLToPath(new URL("./", import.meta.url));
const WORKERS = { ledger: "ledger/worker.ts" } as const;

const COMMON = {
  root: CONSOLE,
  configFile: false,
  logLevel: "warn",
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
} as const;

/** Directives that hold however the page comes. Wasm is for the script engine, which decides requests again. */
const POLICY = [
  "default-src 'none'",
  "img-src 'self' data: blob:",
  "base-uri 'none'",
  "form-action 'none'",
];

function sha256(text: string, encoding: "hex" | "base64"): string {
  return createHash("sha256").update(text).digest(encoding);
}

/** Text in an element whose content is raw: nothing in it may end the element, or begin a comment. */
function raw(script: string): string {
  return script.replaceAll(/<(?=\/script|!--|script)/gi, "\\x3C");
}

/** JSON in a data block: `<` only stands in strings there. */
function dataBlock(id: string, json: unknown): string {
  return `<script type="application/json" id="${id}">${JSON.stringify(json).replaceAll("<", "\\u003c")}</script>`;
}

/** @param form split: in pieces. one: one module. classic: one script, since pages from disk may start no other worker */
async function outputsOf(entry: string, form: "split" | "one" | "classic"): Promise<Output[]> {
  const result = await build({
    ...COMMON,
    // A classic script has no `import.meta`; the script engine asks it where it came from, and carries all it needs.
    ...(form === "classic" && { define: { "import.meta.url": "self.location.href" } }),
    build: {
      write: false,
      target: "es2024",
      modulePreload: false,
      assetsInlineLimit: 0,
      cssCodeSplit: false,
      reportCompressedSize: false,
      chunkSizeWarningLimit: 4096,
      rolldownOptions: {
        input: join(CONSOLE, entry),
        output: {
          entryFileNames: "assets/[name]-[hash].js",
          chunkFileNames: "assets/[name]-[hash].js",
          assetFileNames: "assets/[name]-[hash][extname]",
          ...(form !== "split" && { codeSplitting: false }),
          ...(form === "classic" && { format: "iife" }),
        },
      },
    },
  });
  return (result as unknown as { output: Output[] }).output;
}

const textOf = (output: Output) => output.type === "chunk" ? output.code : String(output.source);

function only(outputs: readonly Output[], ending: string): Output {
  const found = outputs.filter(({ fileName }) => fileName.endsWith(ending));
  if (found.length !== 1) throw new Error(`Cannot build: ${found.length} outputs end in ${ending}, and one should`);
  return found[0]!;
}

async function gitLine(...args: string[]): Promise<string | undefined> {
  try {
    const { stdout, success } = await new Deno.Command("git", { args, cwd: CONSOLE, stderr: "null" }).output();
    return success ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The commit, and whether anything that goes into the page differs from it. */
async function sourceOf(): Promise<BuildFacts["source"]> {
  const commit = await gitLine("rev-parse", "HEAD");
  if (commit === undefined) return { commit: null, changed: null };
  const changes = await gitLine(
    "status",
    "--porcelain",
    "--",
    ".",
    "../shared",
    "../enclave",
    "../deno.json",
    "../deno.lock",
  );
  return { commit, changed: changes === undefined ? null : changes !== "" };
}

/** The page's HTML with what goes into head and body; the entry script of the sources is left out. */
function pageOf(html: string, head: string, body: string): string {
  const without = html.replace(/\s*<script type="module"[^>]*><\/script>/, "").replace(
    /\s*<link rel="stylesheet"[^>]*>/g,
    "",
  );
  return without.replace("</title>", () => `</title>\n${head}`).replace("</body>", () => `${body}\n</body>`);
}

/** Two builds at once leave one of the two, whole. */
async function main(target: string): Promise<void> {
  const out = join(dirname(target), `.dist-${crypto.randomUUID()}`);
  try {
    await writeAll(out);
    await removeIfThere(target);
    replace(out, target);
  } catch (error) {
    await removeIfThere(out);
    throw error;
  }
  const page = Deno.readTextFileSync(join(target, "console.html.sha256"));
  console.log(`Built ${target}: the single page has SHA-256 ${page.split(" ")[0]}`);
}

/** Where another build was faster, its page stays: it is of the same sources. */
function replace(out: string, target: string): void {
  try {
    Deno.renameSync(out, target);
  } catch (error) {
    if (modifiedOf(join(target, "app/policy.json")) === undefined) throw error;
    Deno.removeSync(out, { recursive: true });
  }
}

function modifiedOf(path: string): Date | null | undefined {
  try {
    return Deno.statSync(path).mtime;
  } catch {
    return undefined;
  }
}

async function removeIfThere(folder: string): Promise<void> {
  await Deno.remove(folder, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

async function writeAll(out: string): Promise<void> {
  const source = await sourceOf();
  const template = Deno.readTextFileSync(join(CONSOLE, "index.html"));
  const workers = new Map<string, Output>();
  const workerPieces: Output[] = [];
  const servedWorkers: Record<string, string> = {};
  for (const [name, entry] of Object.entries(WORKERS)) {
    workers.set(name, only(await outputsOf(entry, "classic"), ".js"));
    const pieces = await outputsOf(entry, "split");
    workerPieces.push(...pieces);
    servedWorkers[name] = `./${pieces.find((piece) => piece.type === "chunk" && piece.isEntry)!.fileName}`;
  }

  const app = await outputsOf("index.html", "split");
  const modules = [...app, ...workers.values()].flatMap((output) => output.type === "chunk" ? output.moduleIds : []);
  const notices = Deno.readTextFileSync(join(CONSOLE, "../THIRD_PARTY_NOTICES"));
  const licences = dataBlock("licences", noticesOf(packagesOf(modules), notices));
  const appFolder = join(out, "app");
  Deno.mkdirSync(join(appFolder, "assets"), { recursive: true });
  const served: BuildFacts = {
    kind: "app",
    source,
    workers: servedWorkers,
    policy: [
      ...POLICY,
      "script-src 'self' 'wasm-unsafe-eval'",
      "style-src 'self'",
      "worker-src 'self'",
      "connect-src 'self' https:",
      "frame-ancestors 'none'",
    ].join("; "),
  };
  for (const output of [...app, ...workerPieces]) {
    if (output.fileName.endsWith(".html")) continue;
    Deno.writeTextFileSync(join(appFolder, output.fileName), textOf(output));
  }
  const entry = app.find((output) => output.type === "chunk" && output.isEntry)!;
  const css = only(app, ".css");
  Deno.writeTextFileSync(
    join(appFolder, "index.html"),
    pageOf(
      template,
      `    <link rel="stylesheet" href="./${css.fileName}">`,
      `    ${
        dataBlock("build", served)
      }\n    ${licences}\n    <script type="module" src="./${entry.fileName}"></script>`,
    ),
  );
  Deno.writeTextFileSync(
    join(appFolder, "policy.json"),
    JSON.stringify({ content_security_policy: served.policy }) + "\n",
  );

  const single = await outputsOf("index.html", "one");
  const script = raw(textOf(only(single, ".js")));
  const style = textOf(only(single, ".css"));
  const scriptHash = `sha256-${sha256(script, "base64")}`;
  const styleHash = `sha256-${sha256(style, "base64")}`;
  const policy = [
    ...POLICY,
    `script-src '${scriptHash}' 'wasm-unsafe-eval'`,
    `style-src '${styleHash}'`,
    "worker-src blob:",
    "connect-src https: http://127.0.0.1:* http://localhost:*",
  ].join("; ");
  const facts: BuildFacts = { kind: "single", source, workers: {}, policy };
  const page = pageOf(
    template,
    `    <meta http-equiv="content-security-policy" content="${policy}">\n    <style>${style}</style>`,
    [
      `    ${dataBlock("build", facts)}`,
      `    ${licences}`,
      ...[...workers].map(([name, worker]) => `    ${dataBlock(`worker-${name}`, textOf(worker))}`),
      `    <script type="module">${script}</script>`,
    ].join("\n"),
  );
  const file = join(out, "console.html");
  Deno.writeTextFileSync(file, page);
  Deno.writeTextFileSync(`${file}.sha256`, `${sha256(page, "hex")}  ${basename(file)}\n`);
}

if (import.meta.main) await main(Deno.args[0] ?? join(CONSOLE, "dist"));
