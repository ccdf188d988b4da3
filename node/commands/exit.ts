/**
 * How commands end: exit codes, and the error that means the fault is in what the user gave.
 */

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

/** Why the runtime refused, without its own preamble. */
export function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.PermissionDenied) return "access is denied";
  if (error instanceof Deno.errors.NotCapable) return "the command was not given the Deno permission for it";
  if (error instanceof Deno.errors.IsADirectory) return "it is a directory";
  return error instanceof Error ? error.message : String(error);
}
