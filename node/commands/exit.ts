/**
 * How commands end: exit codes, and the error that means the fault is in what the user gave.
 */

import { dirname } from "node:path";

export const ExitCode = {
  done: 0,
  /** Checked, and refused. */
  refused: 1,
  /** Wrong usage, or input that cannot be read. */
  usage: 2,
  unreachable: 3,
  interrupted: 130,
} as const;

/** Wrong usage or unreadable input, as a sentence that says what to do. */
export class UsageError extends Error {
  override name = "UsageError";
}

/**
 * Gives up every permission but those named, for the rest of the process.
 *
 * @param keep names such as "read", "write", "net"
 */
export function keepPermissions(keep: readonly Deno.PermissionName[]): void {
  const all: readonly Deno.PermissionName[] = ["read", "write", "net", "env", "run", "sys", "ffi"];
  for (const name of all) {
    if (!keep.includes(name)) Deno.permissions.revokeSync({ name });
  }
}

/** The text of a file that the user named. @throws UsageError */
export function readTextFile(path: string, what: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    throw new UsageError(`Cannot read ${what} ${path}: ${reasonOf(error)}`);
  }
}

/** The bytes of a file that the user named. @throws UsageError */
export function readFile(path: string, what: string): Uint8Array {
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    throw new UsageError(`Cannot read ${what} ${path}: ${reasonOf(error)}`);
  }
}

/**
 * Before long work: that there is a directory for a file to write.
 *
 * @param doing what the file is for, e.g. "write the pin"
 * @throws UsageError
 */
export function requireDirectoryOf(path: string, doing: string): void {
  const refuse = (why: string): never => {
    throw new UsageError(`Cannot ${doing} ${path}: ${why}`);
  };
  if (path === "") throw new UsageError(`Cannot ${doing} a file without a name`);
  const folder = dirname(path);
  try {
    if (!Deno.statSync(folder).isDirectory) refuse(`${folder} is a file, and no directory`);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    refuse(
      error instanceof Deno.errors.NotFound
        ? `there is no directory ${folder}; make it, or name another file`
        : reasonOf(error),
    );
  }
}

/** The same, and that what is there already can be overwritten. Changes nothing. @throws UsageError */
export function requireWritable(path: string, doing: string): void {
  requireDirectoryOf(path, doing);
  const refuse = (why: string): never => {
    throw new UsageError(`Cannot ${doing} ${path}: ${why}`);
  };
  try {
    const there = Deno.statSync(path);
    if (there.isDirectory) refuse("it is a directory");
    if (there.isFile) Deno.openSync(path, { write: true }).close();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if (!(error instanceof Deno.errors.NotFound)) refuse(reasonOf(error));
  }
}

/** Why the runtime refused, without its own preamble; where it names a cause, that. */
export function reasonOf(error: unknown): string {
  if (error instanceof Error && error.cause instanceof Error) return reasonOf(error.cause);
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.PermissionDenied) return "access is denied";
  if (error instanceof Deno.errors.NotCapable) return "the command was not given the Deno permission for it";
  if (error instanceof Deno.errors.IsADirectory) return "it is a directory";
  if (error instanceof Deno.errors.NotADirectory) return "its path leads through a file";
  return error instanceof Error ? error.message : String(error);
}
