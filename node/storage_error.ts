/**
 * What went wrong with a file, as a sentence with cause and remedy.
 */

/** A file or directory that cannot be used. Its message says what was being done, why it failed, and what to do next. */
export class StorageError extends Error {
  override name = "StorageError";
}

/**
 * @param doing what failed, e.g. `write the ledger file "/data/ledger_12"`
 * @param remedy what to do next where the cause does not say it
 */
export function storageError(doing: string, error: unknown, remedy = "see to the disk, then try again"): StorageError {
  if (error instanceof StorageError) return error;
  const { cause, next } = diagnose(error, remedy);
  return new StorageError(`Cannot ${doing}: ${cause}; ${next}`, { cause: error });
}

/** The cause alone, for a sentence with a remedy of its own. */
export function storageCause(error: unknown): string {
  return diagnose(error, "").cause;
}

/** Whether a call failed because there is no such file. */
export function isNotFound(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound;
}

function diagnose(error: unknown, remedy: string): { cause: string; next: string } {
  switch (codeOf(error)) {
    case "ENOSPC":
    case "EDQUOT":
      return { cause: "the disk is full", next: "free some space; what is written already is not lost" };
    case "EACCES":
    case "EPERM":
      return { cause: "it is not permitted", next: "give this user the right to read and write there" };
    case "EROFS":
      return { cause: "the file system is read-only", next: "choose a directory that can be written" };
    case "EMFILE":
    case "ENFILE":
      return { cause: "too many files are open", next: "raise the limit on open files (ulimit -n)" };
    case "ENOENT":
      return { cause: "there is no such file", next: remedy };
    case "EEXIST":
      return { cause: "it exists already", next: "move it away" };
    case "ENOTDIR":
      return { cause: "a part of the path is not a directory", next: "choose another path" };
    case "EISDIR":
      return { cause: "it is a directory", next: "choose another path" };
    case "EIO":
      return { cause: "the disk reports an error", next: "replace the disk" };
  }
  if (error instanceof Deno.errors.NotCapable) {
    return { cause: "the process may not touch that path", next: "allow it with --allow-read and --allow-write" };
  }
  return { cause: error instanceof Error ? error.message : String(error), next: remedy };
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
