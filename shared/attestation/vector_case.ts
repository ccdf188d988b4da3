/**
 * The evidence of a test vector, or of a negative made of one: its files as they are verified.
 *
 * In: an entry, and somebody who answers files. Out: the bytes of each role, changed as the entry says, and what is wanted.
 * Knows nothing of what the bytes mean. Format: attestation/vectors/README.md
 */

import { FormatError } from "../assert.ts";
import { concat } from "../bytes.ts";
import { MAX_VECTOR_FILE_BYTES } from "../limits.ts";
import {
  type JsonMembers,
  type Mutation,
  type Negative,
  type Vector,
  type VectorFiles,
  type VectorKind,
} from "./vector_file.ts";
import { readVectorPolicy, type VectorPolicy } from "./vector_policy.ts";

/** Answers the bytes of a file below the folder of the vectors. @throws FormatError where there is none */
export type FileReader = (path: string) => Uint8Array;

export interface VectorCase {
  readonly kind: VectorKind;
  readonly at: number | undefined;
  readonly policy: VectorPolicy;
  readonly expect: JsonMembers;
  /** The only file of a role. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** The files of a role that has several. */
  readonly lists: ReadonlyMap<string, readonly Uint8Array[]>;
  /** Changes of the collateral, once it is read. */
  readonly collateralChanges: Pick<Negative, "collateralSet" | "collateralReplaceText">;
}

/** Roles by kind: "file" and "list" are evidence, "beside" is material that nobody verifies here. */
const ROLES: Readonly<Record<VectorKind, Readonly<Record<string, "file" | "list" | "beside">>>> = {
  "snp": {
    report: "file",
    vek: "file",
    crl: "file",
    uvm: "file",
    chain: "list",
    trustedRoots: "list",
    auxblob: "beside",
    hclBlob: "beside",
    runtimeData: "beside",
    coseKey: "beside",
    endorsements: "beside",
    statement: "beside",
  },
  "snp-parse": { report: "file", uvm: "file" },
  "sgx": { quote: "file", root: "file", collateral: "file" },
  "tdx": { quote: "file", root: "file", collateral: "file" },
  "uvm": { uvm: "file" },
};

/** @throws FormatError */
export function caseOfVector(vector: Vector, defaults: JsonMembers, readFile: FileReader): VectorCase {
  const { kind, at, expect } = vector;
  const policy = readVectorPolicy(kind, defaults, vector.policy);
  const collateralChanges = { collateralSet: {}, collateralReplaceText: {} };
  return { kind, at, policy, expect, ...readFiles(kind, vector.files, readFile), collateralChanges };
}

/** @throws FormatError */
export function caseOfNegative(
  negative: Negative,
  base: Vector,
  defaults: JsonMembers,
  readFile: FileReader,
): VectorCase {
  const { kind } = base;
  const policy = readVectorPolicy(kind, defaults, base.policy, negative.policy);
  const { files, lists } = readFiles(kind, { ...base.files, ...negative.replace }, readFile);
  const { collateralSet, collateralReplaceText, expect, at = base.at } = negative;
  if (Object.keys({ ...collateralSet, ...collateralReplaceText }).length > 0 && !files.has("collateral")) {
    throw new FormatError("Cannot change the collateral: there is none");
  }
  for (const mutation of negative.mutations) {
    const bytes = files.get(mutation.file);
    if (bytes === undefined) {
      throw new FormatError(`Cannot change ${JSON.stringify(mutation.file)}: there is no such file`);
    }
    files.set(mutation.file, mutate(bytes, mutation));
  }
  return { kind, at, policy, expect, files, lists, collateralChanges: { collateralSet, collateralReplaceText } };
}

/**
 * The members of a collateral file, changed as the entry says.
 *
 * @throws FormatError where there is nothing to change: then a negative would test nothing
 */
export function changeCollateral(
  collateral: Readonly<Record<string, string | null>>,
  { collateralSet, collateralReplaceText }: VectorCase["collateralChanges"],
): Readonly<Record<string, string | null>> {
  const changed = { ...collateral };
  for (const name of [...Object.keys(collateralSet), ...Object.keys(collateralReplaceText)]) {
    if (!Object.hasOwn(collateral, name)) {
      throw new FormatError(`Cannot change ${JSON.stringify(name)}: the collateral has no such member`);
    }
  }
  Object.assign(changed, collateralSet);
  for (const [name, [from, to]] of Object.entries(collateralReplaceText)) {
    const whole = changed[name] ?? "";
    if (from === undefined || to === undefined || !whole.includes(from)) {
      throw new FormatError(`Cannot change ${JSON.stringify(name)}: the text to be replaced is not in it`);
    }
    changed[name] = whole.replace(from, () => to);
  }
  return changed;
}

function readFiles(kind: VectorKind, paths: VectorFiles, readFile: FileReader) {
  const files = new Map<string, Uint8Array>();
  const lists = new Map<string, readonly Uint8Array[]>();
  for (const [role, path] of Object.entries(paths)) {
    const form = Object.hasOwn(ROLES[kind], role) ? ROLES[kind][role] : undefined;
    if (form === undefined) throw new FormatError(`Cannot use the file ${JSON.stringify(role)}: no such role is known`);
    if (form === "beside") continue;
    if ((form === "list") !== (typeof path !== "string")) {
      throw new FormatError(
        `Cannot use the file ${JSON.stringify(role)}: it must be ${form === "list" ? "several" : "one"}`,
      );
    }
    if (typeof path === "string") files.set(role, readBounded(path, readFile));
    else lists.set(role, path.map((one) => readBounded(one, readFile)));
  }
  return { files, lists };
}

function readBounded(path: string, readFile: FileReader): Uint8Array {
  const bytes = readFile(path);
  if (bytes.length > MAX_VECTOR_FILE_BYTES) {
    throw new FormatError(
      `Cannot use the file ${JSON.stringify(path)}: it is longer than ${MAX_VECTOR_FILE_BYTES} bytes`,
    );
  }
  return bytes;
}

/** A changed copy. @throws FormatError where the change lies outside the file, or the file would be too long */
function mutate(bytes: Uint8Array, mutation: Mutation): Uint8Array {
  const outside = (end: number) => {
    if (end > bytes.length) {
      throw new FormatError(`Cannot change ${JSON.stringify(mutation.file)}: it has ${bytes.length} bytes, not ${end}`);
    }
  };
  switch (mutation.op) {
    case "xor": {
      outside(mutation.offset + 1);
      const changed = bytes.slice();
      changed[mutation.offset]! ^= mutation.mask[0]!;
      return changed;
    }
    case "set": {
      outside(mutation.offset + mutation.hex.length);
      const changed = bytes.slice();
      changed.set(mutation.hex, mutation.offset);
      return changed;
    }
    case "truncate":
      outside(mutation.length);
      return bytes.slice(0, mutation.length);
    case "append":
      if (bytes.length + mutation.hex.length > MAX_VECTOR_FILE_BYTES) {
        throw new FormatError(`Cannot change ${JSON.stringify(mutation.file)}: it would be too long`);
      }
      return concat(bytes, mutation.hex);
  }
}
