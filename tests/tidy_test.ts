/**
 * Guards what a machine can guard: who imports whom, purity, dead files, length.
 *
 * Reads the sources as text. Strings and comments are taken out before code is searched for forbidden words, so that a
 * message may speak of a clock.
 */

import { strict as assert } from "node:assert";
import { dirname, join, relative } from "node:path";
import { fromFileUrl } from "./paths.ts";

const root = fromFileUrl(new URL("../", import.meta.url));
const MAX_LINES = 600;
/** What `deno task console` makes. */
const BUILT = "console/dist";

/** Rooms, and the rooms that each may look into besides itself. Tests may look anywhere. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  shared: [],
  enclave: ["shared"],
  node: ["enclave", "shared"],
  console: ["enclave", "shared"],
  getting_started: ["node", "enclave", "shared"],
  tests: ["shared", "enclave", "node", "console", "getting_started"],
};

/** The order inside `shared/`: a folder may import what stands lower; "" are the files at the top of the room. */
const SHARED_ORDER: Readonly<Record<string, number>> = {
  "": 0,
  crypto: 1,
  consensus: 1,
  merkle: 2,
  kv: 2,
  attestation: 2,
  ledger: 3,
  receipt: 4,
  governance: 4,
  trust: 5,
  api: 5,
};

const CORE_PACKAGES = /^(@noble\/(curves|hashes|ciphers)\/|@scure\/base$)/;
const ENCLAVE_PACKAGES = /^(node:crypto|@jitl\/quickjs-singlefile-mjs-release-sync)$/;

/** Words of clocks, entropy, the world and waiting. */
const IMPURE =
  /\bDeno\.|\bprocess\.|\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bcrypto\.(getRandomValues|randomUUID|subtle)\b|\bperformance\.|\bset(Timeout|Interval)\b|\bqueueMicrotask\b|\bfetch\(|\basync\b|\bawait\b/g;

/** Files of the enclave that need one such word, each with the reason. */
const EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  // The script engine's WebAssembly is compiled once, before the first input.
  "enclave/worker.ts": ["await"],
  "enclave/js/runtime.ts": ["async", "await"],
  "enclave/js/wasm_build.ts": ["async", "await"],
  // The same, and where the powers of a real node come from: entropy, and the clock that ends scripts.
  "enclave/native_powers.ts": ["async", "await", "crypto.getRandomValues", "performance."],
  // A worker that only a test starts.
  "enclave/js/permissionless_worker.ts": ["await", "performance."],
};

interface Source {
  readonly path: string;
  readonly lines: number;
  /** Without comments. */
  readonly text: string;
  /** Without comments and strings, but with what a template computes. */
  readonly code: string;
  readonly isTest: boolean;
  readonly imports: readonly string[];
}

const sources = Object.keys(ROOMS).flatMap((room) => [...walk(room)]).map(readSource);

function* walk(folder: string): Generator<string> {
  for (const entry of Deno.readDirSync(join(root, folder))) {
    const path = `${folder}/${entry.name}`;
    if (path === BUILT) continue;
    if (entry.isDirectory) yield* walk(path);
    else if (/\.(ts|tsx|js)$/.test(entry.name)) yield path;
  }
}

function readSource(path: string): Source {
  const whole = Deno.readTextFileSync(join(root, path));
  const tokens = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g;
  const text = whole.replace(tokens, (token) => token.startsWith("/") ? " " : token);
  return {
    path,
    lines: whole.split("\n").length - 1,
    text,
    code: text.replace(tokens, (token) => token.match(/\$\{[^}]*\}/g)?.join(" ") ?? '""'),
    isTest: /_(test|bench)\.tsx?$/.test(path),
    imports: importsOf(text),
  };
}

/** What a text imports, re-exports or names by URL (a Worker), as it is written. */
function importsOf(text: string): string[] {
  const forms = /(?<!")\b(?:from|import)\s*\(?\s*"([^"]+)"|\bnew URL\(\s*"(\.[^"]+\.tsx?)",\s*import\.meta\.url/g;
  return [...text.matchAll(forms)].map((match) => match[1] ?? match[2]!);
}

/** The file behind a relative import, as a path from the top. */
function target(source: Source, specifier: string): string | undefined {
  return specifier.startsWith(".") ? relative(root, join(root, dirname(source.path), specifier)) : undefined;
}

const roomOf = (path: string) => path.split("/")[0]!;
const sharedFolderOf = (path: string) => path.split("/").length === 2 ? "" : path.split("/")[1]!;

/** The screen whose folder a file of the console is in: what several screens show stands in none of them. */
const screenOf = (path: string) => path.match(/^console\/pages\/(\w+)\//)?.[1];
const isRoutes = (source: Source) => source.path === "console/routes.ts";

function mayImport(source: Source, path: string): boolean {
  const [from, to] = [roomOf(source.path), roomOf(path)];
  if (source.isTest) return true;
  if (from !== to) return ROOMS[from]!.includes(to);
  if (from === "console" && screenOf(path) !== undefined) {
    return screenOf(source.path) === screenOf(path) || isRoutes(source);
  }
  const [fromFolder, toFolder] = [sharedFolderOf(source.path), sharedFolderOf(path)];
  if (from !== "shared" || fromFolder === toFolder) return true;
  return (SHARED_ORDER[toFolder] ?? Infinity) < (SHARED_ORDER[fromFolder] ?? -1);
}

function mayUsePackage(source: Source, specifier: string): boolean {
  if (/^(npm|jsr|https?|data):/.test(specifier)) return false;
  const room = roomOf(source.path);
  if (source.isTest || (room !== "shared" && room !== "enclave")) return true;
  return CORE_PACKAGES.test(specifier) || (room === "enclave" && ENCLAVE_PACKAGES.test(specifier));
}

const impurities = (code: string) => [...code.matchAll(IMPURE)].map((match) => match[0]);

Deno.test("the arrows between rooms, and inside shared/, run one way", () => {
  const wrong = sources.flatMap((source) =>
    source.imports.flatMap((specifier) => {
      const path = target(source, specifier);
      return path === undefined || mayImport(source, path) ? [] : [`${source.path} → ${path}`];
    })
  );
  assert.deepEqual(wrong, []);
});

Deno.test("packages are named in deno.json, and the core and the enclave use few", () => {
  const wrong = sources.flatMap((source) =>
    source.imports.filter((specifier) => !specifier.startsWith(".") && !mayUsePackage(source, specifier))
      .map((specifier) => `${source.path} → ${specifier}`)
  );
  assert.deepEqual(wrong, []);
});

Deno.test("the core and the enclave know no clock, no entropy, no world and no waiting", () => {
  assert.deepEqual(impurities("await fetch(x); Date.now; new Date(); new Date(nowMs)"), [
    "await",
    "fetch(",
    "Date.now",
    "new Date()",
  ]);
  const wrong = sources.filter(({ path, isTest }) => !isTest && ["shared", "enclave"].includes(roomOf(path)))
    .flatMap(({ path, code }) =>
      impurities(code).filter((word) => !EXCEPTIONS[path]?.includes(word)).map((word) => `${path}: ${word}`)
    );
  assert.deepEqual(wrong, []);
});

Deno.test("no file is longer than a reader's patience", () => {
  assert.deepEqual(sources.filter(({ lines }) => lines > MAX_LINES).map(({ path, lines }) => `${path}: ${lines}`), []);
});

Deno.test("every file is a test, is imported, or can be started", () => {
  const started = ["deno.json", ".ci/run", "console/build.ts", "console/index.html", "tests/bench/console.ts"]
    .map((path) => Deno.readTextFileSync(join(root, path))).join("\n");
  const imported = new Set(sources.flatMap((source) => source.imports.map((specifier) => target(source, specifier))));
  // Scripts of the app and of the constitution are data to a node: nothing here imports them.
  const dead = sources.filter(({ path, code, isTest }) =>
    /(?<!\.d)\.tsx?$/.test(path) && !isTest && !imported.has(path) &&
    // The console's build and page name theirs from where they stand.
    !started.includes(path.replace(/^console\//, "")) &&
    !/\bimport\.meta\.main\b/.test(code)
  );
  assert.deepEqual(dead.map(({ path }) => path), []);
});

Deno.test("no file only hands on the exports of others", () => {
  const rest = (text: string) =>
    text.replace(/export\s+(type\s+)?(\*(\s+as\s+\w+)?|\{[^}]*\})\s+from\s+"[^"]+";?/g, "").trim();
  assert.deepEqual(sources.filter(({ text }) => rest(text) === "").map(({ path }) => path), []);
});

Deno.test("no test is switched off, and none switches off the others", () => {
  const switches = /\bDeno\.test\.(ignore|only)\b|\b(ignore|only): true\b/;
  assert.deepEqual(sources.filter(({ code }) => switches.test(code)).map(({ path }) => path), []);
});
