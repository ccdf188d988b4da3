/**
 * A file of test vectors of attestation evidence: what it says, before any evidence is looked at.
 *
 * In: parsed JSON, from anybody. Out: its entries one by one, typed. Entries are read one at a time, so that a bad one is
 * told and the others are still evaluated. What a file says and we do not know is refused, never passed over.
 * Knows nothing of evidence. Format: attestation/vectors/README.md, format 1
 */

import { FormatError } from "../assert.ts";
import { fromHex } from "../bytes.ts";
import {
  anything,
  boolean,
  either,
  listOf,
  object,
  type Of,
  oneOf,
  orNull,
  recordOf,
  type Shape,
  text,
  unsigned,
} from "../json_shape.ts";
import { MAX_VECTOR_FILE_BYTES, MAX_VECTOR_MUTATIONS, MAX_VECTOR_PATH_CHARACTERS, MAX_VECTORS } from "../limits.ts";

/** What a vector is about. "snp-parse" is a report that is only read. */
export const VECTOR_KINDS = ["snp", "snp-parse", "sgx", "tdx", "uvm"] as const;
export type VectorKind = typeof VECTOR_KINDS[number];

/** Members of an object in JSON, each still to be read. */
export type JsonMembers = Readonly<Record<string, unknown>>;

/** The lists, their entries unread. */
export interface VectorFile {
  readonly policyDefaults: JsonMembers;
  readonly vectors: readonly unknown[];
  readonly negatives: readonly unknown[];
}

/** An entry of `vectors`. Policy and expectations are read by those who know their kind. */
export interface Vector {
  readonly id: string;
  readonly kind: VectorKind;
  readonly files: VectorFiles;
  /** Milliseconds since 1970; undefined where nothing is verified. */
  readonly at: number | undefined;
  readonly policy: JsonMembers;
  readonly expect: JsonMembers;
}

/** Paths by role: one, or several such as those of a chain. */
export type VectorFiles = Readonly<Record<string, string | readonly string[]>>;

/** An entry of `negatives`: a vector with something changed. */
export interface Negative {
  readonly id: string;
  /** ID of the vector. */
  readonly base: string;
  readonly replace: VectorFiles;
  readonly mutations: readonly Mutation[];
  /** Members of the collateral that are replaced. */
  readonly collateralSet: Readonly<Record<string, string | null>>;
  /** In members of the collateral, what is replaced by what. */
  readonly collateralReplaceText: Readonly<Record<string, readonly string[]>>;
  readonly policy: JsonMembers;
  readonly at: number | undefined;
  readonly expect: JsonMembers;
}

/** A change of the file of a role. */
export type Mutation =
  /** Of the byte there. */
  | { readonly file: string; readonly op: "xor"; readonly offset: number; readonly mask: Uint8Array }
  | { readonly file: string; readonly op: "set"; readonly offset: number; readonly hex: Uint8Array }
  | { readonly file: string; readonly op: "truncate"; readonly length: number }
  | { readonly file: string; readonly op: "append"; readonly hex: Uint8Array };

type Members = Readonly<Record<string, Shape<unknown>>>;

/** As `object`, but without members that are not named. */
export function closed<R extends Members, O extends Members = Record<never, never>>(required: R, optional?: O) {
  const open = object<R, O>(required, optional);
  return ((value, at) => {
    const read = open(value, at);
    for (const name of Object.keys(value as object)) {
      if (!Object.hasOwn(required, name) && !Object.hasOwn(optional ?? {}, name)) {
        throw new FormatError(
          `Cannot read JSON at "${at}": no member ${JSON.stringify(name.slice(0, 60))} is known here`,
        );
      }
    }
    return read;
  }) satisfies Shape<Of<typeof open>>;
}

/** A list of no more than so many. */
export function shortListOf<T>(item: Shape<T>, max: number): Shape<readonly T[]> {
  const list = listOf(item);
  return (value, at) => {
    if (Array.isArray(value) && value.length > max) {
      throw new FormatError(`Cannot read JSON at "${at}": it has ${value.length} items, at most ${max}`);
    }
    return list(value, at);
  };
}

/** Bytes in hex, so many at least and at most. */
export function hexBytes(min: number, max = min): Shape<Uint8Array> {
  return (value, at) => {
    const bytes = fromHex(text(value, at));
    if (bytes.length < min || bytes.length > max) {
      const wanted = min === max ? String(min) : `${min} to ${max}`;
      throw new FormatError(`Cannot read JSON at "${at}": it has ${bytes.length} bytes and must have ${wanted}`);
    }
    return bytes;
  };
}

/** Letters, digits and signs: IDs are shown on terminals. */
const id: Shape<string> = (value, at) => {
  const read = text(value, at);
  if (!/^[\x21-\x7e]{1,200}$/.test(read)) {
    throw new FormatError(`Cannot read JSON at "${at}": it must be an ID of 1 to 200 characters`);
  }
  return read;
};

/** A path below the folder of the file of vectors, with "/" between its parts. */
const path: Shape<string> = (value, at) => {
  const read = text(value, at);
  const leadsAway = read.split("/").some((part) => part === "" || part === "." || part === "..");
  // deno-lint-ignore no-control-regex -- control characters are what is refused
  if (leadsAway || read.length > MAX_VECTOR_PATH_CHARACTERS || /[\\:\x00-\x1f\x7f]/.test(read)) {
    throw new FormatError(`Cannot read JSON at "${at}": it must be a path below the folder of the file of vectors`);
  }
  return read;
};

/** A moment, `2026-10-16T04:45:41Z`, as milliseconds. */
const moment: Shape<number> = (value, at) => {
  const read = text(value, at);
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(read) ? Date.parse(read) : NaN;
  // A date that does not exist is not read, or is taken for another one.
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== read.replace("Z", ".000Z")) {
    throw new FormatError(`Cannot read JSON at "${at}": it must be a time such as 2026-10-16T04:45:41Z`);
  }
  return ms;
};

const members: Shape<JsonMembers> = recordOf(anything);
const files: Shape<VectorFiles> = recordOf(either<string, readonly string[]>(path, shortListOf(path, 16)));
const fileBytes = hexBytes(0, MAX_VECTOR_FILE_BYTES);

const mutation: Shape<Mutation> = (value, at) => {
  const { op } = object({ op: oneOf("xor", "set", "truncate", "append") })(value, at);
  const common = { file: text, op: oneOf(op) };
  switch (op) {
    case "xor":
      return closed({ ...common, offset: unsigned, mask: hexBytes(1) })(value, at) as Mutation;
    case "set":
      return closed({ ...common, offset: unsigned, hex: fileBytes })(value, at) as Mutation;
    case "truncate":
      return closed({ ...common, length: unsigned })(value, at) as Mutation;
    case "append":
      return closed({ ...common, hex: fileBytes })(value, at) as Mutation;
  }
};

const fileShape = closed({
  format: unsigned,
  generated: text,
  policyDefaults: members,
  vectors: shortListOf(anything, MAX_VECTORS),
  negatives: shortListOf(anything, MAX_VECTORS),
});

const vectorShape = closed({
  id,
  kind: oneOf(...VECTOR_KINDS),
  files,
  expect: members,
}, {
  verifyAt: moment,
  policy: members,
  // Said for people: when all is valid, whether CCF would look, where it is from.
  window: shortListOf(moment, 2),
  timeIgnoredByCcf: boolean,
  source: anything,
  notes: text,
});

const negativeShape = closed({
  id,
  base: id,
  mutations: shortListOf(mutation, MAX_VECTOR_MUTATIONS),
  expect: members,
}, {
  replace: files,
  collateralSet: recordOf(orNull(text)),
  collateralReplaceText: recordOf(shortListOf(text, 2)),
  policy: members,
  verifyAt: moment,
  // Said for people.
  notes: text,
  refReason: text,
});

/** @throws FormatError where it is no file of vectors, or one of a format to come */
export function readVectorFile(json: unknown): VectorFile {
  const { format, policyDefaults, vectors, negatives } = fileShape(json, "");
  if (format !== 1) throw new FormatError(`Cannot read vectors of format ${format}: only 1 is known`);
  return { policyDefaults, vectors, negatives };
}

/** @throws FormatError */
export function readVector(json: unknown): Vector {
  const { id, kind, files, expect, verifyAt, policy = {} } = vectorShape(json, "");
  if (verifyAt === undefined && kind !== "snp-parse") {
    throw new FormatError('Cannot read a vector: it has no "verifyAt", and the clock must not be used');
  }
  return { id, kind, files, at: verifyAt, policy, expect };
}

/** @throws FormatError */
export function readNegative(json: unknown): Negative {
  const read = negativeShape(json, "");
  const { replace = {}, collateralSet = {}, collateralReplaceText = {}, policy = {}, verifyAt } = read;
  return {
    id: read.id,
    base: read.base,
    replace,
    mutations: read.mutations,
    collateralSet,
    collateralReplaceText,
    policy,
    at: verifyAt,
    expect: read.expect,
  };
}

/** What an entry calls itself, for messages about one that cannot be read. */
export function idOf(json: unknown): string | undefined {
  const name = (json as { id?: unknown } | null)?.id;
  return typeof name === "string" && /^[\x21-\x7e]{1,200}$/.test(name) ? name : undefined;
}
