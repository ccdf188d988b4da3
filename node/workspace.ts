/**
 * The folder that a sandbox keeps everything in: whether it may be used or wiped, and what is left of a failed start.
 *
 * In: a path, and whether to wipe it. Out: an empty folder that no other sandbox has, or a sentence why not.
 * A sandbox holds a lock on `sandbox.lock` for as long as it runs. The operating system lets go of it with the process,
 * so that a killed one does not block the next; the process ID that stands in it only serves messages and scripts, since
 * looking for processes would need a permission that a sandbox does without.
 */

import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { reasonOf, UsageError } from "./commands/exit.ts";

const LOCK_FILE = "sandbox.lock";
/** By these a sandbox's workspace is known; it may be wiped. */
const MARKS = ["sandbox.json", "sandbox_common", LOCK_FILE];
const CHECKOUT = fileURLToPath(new URL("..", import.meta.url));

export interface WorkspaceOptions {
  readonly path: string;
  readonly fresh: boolean;
  /** Folders that the sandbox reads, which a wipe must not take away. */
  readonly inputs: readonly string[];
}

export class Workspace {
  readonly #path: string;
  readonly #created: boolean;
  readonly #lock: Deno.FsFile;

  private constructor(path: string, created: boolean, lock: Deno.FsFile) {
    this.#path = path;
    this.#created = created;
    this.#lock = lock;
  }

  /**
   * Makes or, with `fresh`, empties the folder, and takes it for this process.
   *
   * @throws UsageError where something is there that is not to be wiped, or the folder cannot be written
   */
  static prepare({ path, fresh, inputs }: WorkspaceOptions): Workspace {
    const found = namesIn(path);
    if (found !== undefined) requireUsable(path, found, fresh, inputs);
    try {
      Deno.mkdirSync(path, { recursive: true });
      const lock = takeLock(path);
      try {
        if (fresh) emptyFolder(path);
      } catch (error) {
        lock.close();
        throw error;
      }
      return new Workspace(path, found === undefined, lock);
    } catch (error) {
      if (error instanceof UsageError) throw error;
      throw unwritable(path, error);
    }
  }

  /** Lets others have the folder, with what is in it. */
  release(): void {
    this.#lock.close();
  }

  /** Leaves things as they were before a start that failed, so that the next one works. Nothing is thrown. */
  discard(): void {
    try {
      emptyFolder(this.#path);
      this.#lock.close();
      Deno.removeSync(join(this.#path, LOCK_FILE));
      if (this.#created) Deno.removeSync(this.#path);
    } catch (error) {
      console.error(`Cannot remove what is left in ${this.#path}: ${reasonOf(error)}; start again with --fresh`);
    }
  }
}

/** What is in a folder; undefined if there is none. @throws UsageError where it is no folder, or cannot be read */
function namesIn(path: string): string[] | undefined {
  try {
    return [...Deno.readDirSync(path)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof Deno.errors.NotADirectory && nearest(path) === path) {
      throw new UsageError(
        `Cannot start a sandbox: the workspace ${path} is not a directory, and is left alone; choose another --workspace`,
      );
    }
    throw unwritable(path, error);
  }
}

function requireUsable(path: string, names: readonly string[], fresh: boolean, inputs: readonly string[]): void {
  if (names.every((name) => name === LOCK_FILE)) return;
  const isSandbox = names.some((name) => MARKS.includes(name));
  if (!fresh) {
    throw new UsageError(
      `Cannot start a sandbox: the workspace ${path} is not empty; ` +
        (isSandbox ? "give --fresh to wipe it, or another --workspace" : "choose another --workspace"),
    );
  }
  const refuse = (why: string) => {
    throw new UsageError(`Cannot wipe ${path}: ${why}; choose another --workspace, or remove it yourself`);
  };
  if (!isSandbox) refuse("it is not the workspace of a sandbox, which has sandbox.json or sandbox_common");
  if (names.includes(".git")) refuse("it is a checkout");
  for (const folder of [Deno.cwd(), CHECKOUT, ...inputs]) {
    if (contains(path, folder)) refuse(`${resolve(folder)} is in it`);
  }
}

/** Whether `outer` is `inner` or a folder around it, wherever links lead. */
function contains(outer: string, inner: string): boolean {
  const way = relative(realPath(outer), realPath(inner));
  return way !== ".." && !way.startsWith(`..${sep}`) && resolve(way) !== way;
}

function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    return resolve(path);
  }
}

/** @throws UsageError where another sandbox has it */
function takeLock(path: string): Deno.FsFile {
  const lock = Deno.openSync(join(path, LOCK_FILE), { write: true, create: true });
  let taken: boolean;
  try {
    taken = lock.tryLockSync(true);
  } catch {
    taken = true; // A file system without locks; a sandbox works there too, but nobody looks after it.
  }
  if (taken) {
    lock.truncateSync();
    lock.writeSync(new TextEncoder().encode(`${Deno.pid}\n`));
    return lock;
  }
  lock.close();
  throw new UsageError(
    `Cannot use the workspace ${path}: a sandbox runs in it${processOf(path)}; stop it, or choose another --workspace`,
  );
}

function processOf(path: string): string {
  try {
    const pid = Deno.readTextFileSync(join(path, LOCK_FILE)).trim();
    return /^[0-9]{1,10}$/.test(pid) ? `, process ${pid}` : "";
  } catch {
    return "";
  }
}

/** Removes everything but the lock, which is held meanwhile. */
function emptyFolder(path: string): void {
  for (const { name } of Deno.readDirSync(path)) {
    if (name !== LOCK_FILE) Deno.removeSync(join(path, name), { recursive: true });
  }
}

function unwritable(path: string, error: unknown): UsageError {
  const why = isUnderFile(path) ? `${nearest(path)} is not a directory` : reasonOf(error);
  return new UsageError(`Cannot write to the workspace ${path}: ${why}; choose another --workspace`);
}

function isUnderFile(path: string): boolean {
  try {
    return !Deno.statSync(nearest(path)).isDirectory;
  } catch {
    return false;
  }
}

/** The path itself, or else the closest one above it that is there. */
function nearest(path: string): string {
  for (let at = path;; at = dirname(at)) {
    try {
      Deno.statSync(at);
      return at;
    } catch {
      if (dirname(at) === at) return at;
    }
  }
}
