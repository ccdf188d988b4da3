/**
 * Writes THIRD_PARTY_NOTICES: the licence of every npm package that deno.lock names.
 *
 * In: deno.lock, and each package as Deno has it in its cache, else its tarball from the registry (checked against the
 * hash in the lock file). Out: the file, or a list of packages whose licence we cannot accept, and exit code 1.
 */

import { createHash } from "node:crypto";
import { join } from "node:path";

/** A package that the lock file names. `integrity` is "sha512-" and base64. */
export interface LockedPackage {
  readonly name: string;
  readonly version: string;
  readonly integrity: string;
}

/** What a package says about its licence: an SPDX expression, and the text that its authors ship. */
interface Licence {
  readonly expression: string;
  readonly text: string;
  readonly homepage: string;
}

const RULE = "=".repeat(80);
const REGISTRY = "https://registry.npmjs.org";
/** The longest tarball that is read: far above any package here. */
const MAX_TARBALL_BYTES = 256 * 1024 * 1024;

/**
 * The packages of a lock file (version 5), each once, in order of name and version.
 *
 * @throws Error where a key is not `name@version`, with or without the peers behind an underscore
 */
export function lockedPackages(lock: string): LockedPackage[] {
  const npm = (JSON.parse(lock) as { npm?: Record<string, { integrity: string }> }).npm ?? {};
  const packages = new Map<string, LockedPackage>();
  for (const [key, { integrity }] of Object.entries(npm)) {
    const match = /^(@?[^@]+)@([^_]+)/.exec(key);
    if (match === null) throw new Error(`Cannot read ${JSON.stringify(key)} of deno.lock as a package and version`);
    const [, name, version] = match as unknown as [string, string, string];
    packages.set(`${name} ${version}`, { name, version, integrity });
  }
  return [...packages.keys()].sort().map((key) => packages.get(key)!);
}

/** Why a licence cannot be accepted, or undefined if it can. `OR` leaves the choice to us. */
export function refusalOf(expression: string): string | undefined {
  if (expression === "") return "names no licence";
  const choices = expression.replace(/^\((.*)\)$/, "$1").split(/\s+OR\s+/i);
  return choices.every((choice) => /\bA?GPL\b/i.test(choice)) ? `is under ${expression}` : undefined;
}

/** The names and versions that a notices file has headings for, as "name version", in its order. */
export function noticedPackages(notices: string): string[] {
  return [...notices.matchAll(/^={80}\n(\S+ \S+) \(.*\)$/gm)].map((match) => match[1]!);
}

if (import.meta.main) {
  const root = new URL("../../", import.meta.url);
  const packages = lockedPackages(await Deno.readTextFile(new URL("deno.lock", root)));
  const cache = await npmCacheFolder();
  const sections: string[] = [];
  const refusals: string[] = [];
  for (const each of packages) {
    const licence = licenceOf(await filesFromCache(cache, each) ?? await filesFromRegistry(each));
    const refusal = refusalOf(licence.expression);
    if (refusal !== undefined) refusals.push(`${each.name} ${each.version} ${refusal}`);
    const heading = `${RULE}\n${each.name} ${each.version} (${licence.expression})\n${licence.homepage}`.trimEnd();
    sections.push(`${heading}\n\n${licence.text}\n`);
  }
  if (refusals.length > 0) {
    console.error(`Cannot accept these packages; remove them from deno.json:\n${refusals.join("\n")}`);
    Deno.exit(1);
  }
  const opening = "Quorate uses these npm packages. Each is under its own licence, which follows its name.\n" +
    "Written by `deno task notices`.\n";
  await Deno.writeTextFile(new URL("THIRD_PARTY_NOTICES", root), [opening, ...sections].join("\n"));
  console.log(`THIRD_PARTY_NOTICES names ${packages.length} packages`);
}

/** The small files at the top of a package: its package.json and what may be a licence. */
type PackageFiles = ReadonlyMap<string, string>;

function isWanted(name: string): boolean {
  return name === "package.json" || /^(licen[cs]e|copying|notice|copyright)/i.test(name);
}

function licenceOf(files: PackageFiles): Licence {
  const about = JSON.parse(files.get("package.json")!) as {
    license?: string | { type?: string };
    author?: string | { name?: string };
    homepage?: string;
    repository?: string | { url?: string };
  };
  const expression = typeof about.license === "string" ? about.license : about.license?.type ?? "";
  const author = typeof about.author === "string" ? about.author : about.author?.name;
  const repository = typeof about.repository === "string" ? about.repository : about.repository?.url;
  const texts = [...files].filter(([name]) => name !== "package.json").sort()
    .map(([, text]) => text.replace(/\r/g, "").replace(/[ \t]+$/gm, "").trim());
  const text = texts.length > 0
    ? texts.join("\n\n")
    : `The package ships no licence text. Author: ${author ?? "not named"}`;
  return { expression, text, homepage: about.homepage ?? repository ?? "" };
}

async function npmCacheFolder(): Promise<string> {
  const { stdout } = await new Deno.Command("deno", { args: ["info", "--json"] }).output();
  return (JSON.parse(new TextDecoder().decode(stdout)) as { npmCache: string }).npmCache;
}

/** Undefined where Deno has not cached the package, e.g. since it is for another platform. */
async function filesFromCache(cache: string, { name, version }: LockedPackage): Promise<PackageFiles | undefined> {
  const folder = join(cache, new URL(REGISTRY).host, name, version);
  const files = new Map<string, string>();
  try {
    for await (const entry of Deno.readDir(folder)) {
      if (entry.isFile && isWanted(entry.name)) {
        files.set(entry.name, await Deno.readTextFile(join(folder, entry.name)));
      }
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return files.has("package.json") ? files : undefined;
}

async function filesFromRegistry({ name, version, integrity }: LockedPackage): Promise<PackageFiles> {
  const url = `${REGISTRY}/${name}/-/${name.split("/").at(-1)}-${version}.tgz`;
  const response = await fetch(url);
  if (!response.ok) throw new Error(`Cannot fetch ${url}: ${response.status} ${response.statusText}`);
  const tarball = await response.bytes();
  if (tarball.length > MAX_TARBALL_BYTES) throw new Error(`Cannot use ${url}: it has ${tarball.length} bytes`);
  const hash = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
  if (hash !== integrity) throw new Error(`Cannot use ${url}: its hash is ${hash} and deno.lock has ${integrity}`);
  const stream = new Blob([tarball]).stream().pipeThrough(new DecompressionStream("gzip"));
  return filesOfTar(await new Response(stream).bytes());
}

/** The wanted files of a tar archive whose files lie in one folder, as npm packs them (POSIX.1-1988 ustar). */
export function filesOfTar(tar: Uint8Array): PackageFiles {
  const decoder = new TextDecoder();
  const text = (from: number, length: number) =>
    decoder.decode(tar.subarray(from, from + length)).replace(/\0.*$/s, "");
  const files = new Map<string, string>();
  let at = 0;
  while (at + 512 <= tar.length && tar[at] !== 0) {
    const size = parseInt(text(at + 124, 12), 8);
    if (!Number.isSafeInteger(size)) throw new Error(`Cannot read the archive: no file size at byte ${at + 124}`);
    const [, name, ...deeper] = text(at, 100).split("/");
    if (name !== undefined && deeper.length === 0 && isWanted(name)) files.set(name, text(at + 512, size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
