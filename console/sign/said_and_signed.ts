/**
 * What a form says, beside what the bytes say that are about to be signed: whoever signs believes the bytes.
 *
 * In: the very bytes that a key will sign (COSE's Sig_structure), and what the form showed. Out: what the bytes say, in
 * words; digests that another machine recomputes, and with which command; every difference from what the form said, by
 * name. **One difference, or bytes that cannot be read whole, and nothing is signed.**
 * Knows nothing of how the bytes were made, of forms, keys and nodes: on purpose it shares no line with what writes them.
 * Format: RFC 9052 §4.4, http-api.md §8.2 (header parameters), governance.md §2, §3 and §5 (payloads)
 *
 *     84                          Sig_structure
 *        6a "Signature1"
 *        58 … a4 01 38 22 …       protected header: algorithm, member, kind, time, proposal
 *        40                       nothing from outside
 *        58 … 7b 22 …             payload
 */

import { FormatError } from "../../shared/assert.ts";
import { equalBytes, fromBase64, fromUtf8, toBase64, toHex, toUtf8 } from "../../shared/bytes.ts";
import { type CborMap, type CborValue, decodeCbor, encodeCbor } from "../../shared/crypto/cbor.ts";
import { hash, type HashName } from "../../shared/crypto/hashes.ts";
import type { CurveName } from "../../shared/crypto/primitives.ts";
import type { MemberRequest } from "../../shared/governance/member_request.ts";
import { type ActionWords, proposalWords, safeLines, safeText } from "../../shared/governance/proposal_words.ts";
import { plainVote, shareWords, utcTime } from "../../shared/governance/request_words.ts";
import { parseJsonText, stableJson } from "../../shared/json.ts";

/** What the form showed to whoever is about to sign. */
export interface Said {
  readonly request: MemberRequest;
  readonly memberId: string;
  readonly curve: CurveName;
  readonly createdAtSeconds: number;
  /** Of a proposal that was put together in a form: its actions as the form shows them. */
  readonly actions?: readonly { readonly name: string; readonly args?: unknown }[];
}

export interface SignedField {
  readonly label: string;
  readonly value: string;
  /** The header parameter that says so, and what it is for. */
  readonly header?: string;
  readonly explained?: string;
}

export interface Digest {
  /** Of what it is the digest. */
  readonly of: string;
  readonly algorithm: HashName;
  readonly hex: string;
  /** The same digits in groups of four, to be compared by eye. */
  readonly groups: string;
  /** How another machine makes it, of a file that `again` writes or that holds the proposal; absent where none is. */
  readonly command?: string;
}

/** What the bytes say. Every text is safe to show. */
export interface Signed {
  readonly title: string;
  readonly fields: readonly SignedField[];
  /** Of a proposal that is a list of actions. */
  readonly actions?: readonly ActionWords[];
  /** The whole text of a proposal or ballot, line by line. */
  readonly text?: readonly string[];
  /** First what a device signs; then the same bytes by SHA-256; then the payload. */
  readonly digests: readonly Digest[];
  /** Makes the same bytes from these words on another machine; absent for what the command line does not prepare. */
  readonly again?: string;
}

export type MismatchField =
  | "bytes"
  | "kind"
  | "member"
  | "algorithm"
  | "created_at"
  | "proposal_id"
  | "header"
  | "payload"
  | "actions";

/** One difference: what the form said, and what would be signed. */
export interface Mismatch {
  readonly field: MismatchField;
  readonly said: string;
  readonly signed: string;
  readonly sentence: string;
}

export interface Review {
  /** undefined: the bytes cannot be read, which is a mismatch too. */
  readonly signed: Signed | undefined;
  /** Empty: they agree. */
  readonly mismatches: readonly Mismatch[];
}

/** The parameters of a member's header, in the order in which members write them. */
const LABELS = [1, 4, "ccf.gov.msg.type", "ccf.gov.msg.created_at", "ccf.gov.msg.proposal_id"] as const;

const ALGORITHMS: Readonly<Record<number, { name: string; curve: CurveName; hash: HashName }>> = {
  [-7]: { name: "ES256", curve: "P-256", hash: "SHA-256" },
  [-35]: { name: "ES384", curve: "P-384", hash: "SHA-384" },
  [-36]: { name: "ES512", curve: "P-521", hash: "SHA-512" },
};

const OPENSSL: Readonly<Record<HashName, string>> = { "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512" };

const TITLES: Readonly<Record<string, string>> = {
  proposal: "A proposal",
  proposal_dry_run: "A question what would become of a proposal",
  ballot: "A ballot on a proposal",
  withdrawal: "The withdrawal of a proposal",
  state_digest: "A question for the newest state digest, to acknowledge it",
  ack: "An acknowledgement of the service's state",
  recovery_share: "A recovery share, handed in",
};

/** Decodes the bytes and compares them with what the form said. Never throws. */
export function reviewBytes(toBeSigned: Uint8Array, said: Said): Review {
  try {
    const read = readBytes(toBeSigned);
    return { signed: wordsOf(read, toBeSigned), mismatches: compare(read, said) };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const why = safeText(error.message);
    const sentence = `What would be signed cannot be read: ${why}`;
    return {
      signed: undefined,
      mismatches: [{ field: "bytes", said: "a request that can be read", signed: why, sentence }],
    };
  }
}

/** What bytes say that were signed before, such as those of a kept envelope. @throws FormatError */
export function wordsOfBytes(toBeSigned: Uint8Array): Signed {
  return wordsOf(readBytes(toBeSigned), toBeSigned);
}

// ---- Reading ----

interface Read {
  readonly algorithm: number;
  readonly memberId: string;
  readonly kind: string;
  readonly createdAtSeconds: number;
  readonly proposalId: string | undefined;
  readonly payload: Uint8Array;
  /** What the payload says; undefined where the kind has none. */
  readonly content: string | undefined;
}

function readBytes(bytes: Uint8Array): Read {
  const parts = decodeCbor(bytes);
  if (!Array.isArray(parts) || parts.length !== 4) throw new FormatError("it is no list of four parts");
  const [context, header, outside, payload] = parts as CborValue[];
  if (context !== "Signature1") throw new FormatError("it is no signature of one signer");
  if (!(outside instanceof Uint8Array) || outside.length > 0) throw new FormatError("it covers data from outside");
  if (!(header instanceof Uint8Array)) throw new FormatError("its header is no byte string");
  if (!(payload instanceof Uint8Array)) throw new FormatError("its payload is no byte string");
  const read = readHeader(header);
  return { ...read, payload, content: contentOf(read.kind, payload) };
}

function readHeader(bytes: Uint8Array): Omit<Read, "payload" | "content"> {
  const header = decodeCbor(bytes);
  if (!(header instanceof Map)) throw new FormatError("its header is no map");
  const labels = [...(header as CborMap).keys()];
  const expected = LABELS.filter((label) => header.has(label));
  if (labels.length !== expected.length || labels.some((label, i) => label !== expected[i])) {
    const strange = labels.find((label) => !LABELS.includes(label as typeof LABELS[number]));
    throw new FormatError(
      strange === undefined
        ? "the parameters of its header stand in another order than members write them"
        : `its header has the parameter ${JSON.stringify(strange)}, which nothing here shows`,
    );
  }
  if (!equalBytes(encodeCbor(header), bytes)) throw new FormatError("its header is written in an unusual way");
  const [algorithm, member, kind, createdAt, proposalId] = LABELS.map((label) => header.get(label));
  if (typeof algorithm !== "number" || ALGORITHMS[algorithm] === undefined) {
    throw new FormatError(`its algorithm ${JSON.stringify(algorithm)} is none that members sign with`);
  }
  if (!(member instanceof Uint8Array)) throw new FormatError("its header does not say who signs");
  if (typeof kind !== "string" || !Object.hasOwn(TITLES, kind)) {
    throw new FormatError(`its kind ${JSON.stringify(kind)} is not known`);
  }
  if (typeof createdAt !== "number" || createdAt < 0 || createdAt > 9_999_999_999) {
    throw new FormatError("its time is none");
  }
  if (proposalId !== undefined && typeof proposalId !== "string") throw new FormatError("its proposal ID is no text");
  if ((proposalId !== undefined) !== (kind === "ballot" || kind === "withdrawal")) {
    throw new FormatError(
      `a request of kind ${kind} ${proposalId === undefined ? "must" : "must not"} name a proposal`,
    );
  }
  return { algorithm, memberId: fromUtf8(member), kind, createdAtSeconds: createdAt, proposalId };
}

/** The one member that the payloads of these kinds have. */
const MEMBERS: Readonly<Record<string, string>> = { ballot: "ballot", ack: "stateDigest", recovery_share: "share" };

function contentOf(kind: string, payload: Uint8Array): string | undefined {
  if (kind === "withdrawal" || kind === "state_digest") {
    if (payload.length > 0) throw new FormatError(`a request of kind ${kind} has a payload, and should have none`);
    return undefined;
  }
  const text = fromUtf8(payload);
  const member = MEMBERS[kind];
  if (member === undefined) return text;
  const json = parseJsonText(text);
  const value = typeof json === "object" && json !== null ? (json as Record<string, unknown>)[member] : undefined;
  // Spaces, further members or the same one twice would be signed and not be seen.
  if (typeof value !== "string" || text !== `{"${member}":${JSON.stringify(value)}}`) {
    throw new FormatError(`its payload is not exactly {${JSON.stringify(member)}: …}`);
  }
  return value;
}

// ---- Words ----

function wordsOf(read: Read, toBeSigned: Uint8Array): Signed {
  const { kind, content, payload } = read;
  const algorithm = ALGORITHMS[read.algorithm]!;
  const fields: SignedField[] = [
    {
      label: "What it is",
      value: TITLES[kind]!,
      header: "ccf.gov.msg.type",
      explained: `"${kind}": the service takes it as this and as nothing else`,
    },
  ];
  if (read.proposalId !== undefined) {
    fields.push({
      label: "Proposal",
      value: safeText(read.proposalId),
      header: "ccf.gov.msg.proposal_id",
      explained: "It counts for this proposal and for no other",
    });
  }
  fields.push(
    ...contentFields(kind, content),
    {
      label: "Member",
      value: safeText(read.memberId),
      header: "kid",
      explained: "Who signs: the SHA-256 of the certificate",
    },
    {
      label: "Made at",
      value: `${utcTime(read.createdAtSeconds * 1000)} (${read.createdAtSeconds})`,
      header: "ccf.gov.msg.created_at",
      explained: kind === "proposal" || kind === "proposal_dry_run"
        ? "Keeps an old proposal from being sent again: a service refuses those older than half of the recent ones"
        : "By the clock of whoever signs; a service holds proposals alone to it",
    },
    {
      label: "Algorithm",
      value: `${algorithm.name}, ${algorithm.curve} with ${algorithm.hash}`,
      header: "alg",
      explained: "How the signature is made",
    },
    { label: "Payload", value: `${payload.length} bytes` },
  );
  const again = commandAgain(read);
  return {
    title: TITLES[kind]!,
    fields,
    ...(isProposal(kind) && actionsOf(content!)),
    ...((isProposal(kind) || kind === "ballot") && { text: safeLines(content!) }),
    digests: digestsOf(toBeSigned, payload, algorithm, kind),
    ...(again !== undefined && { again }),
  };
}

const isProposal = (kind: string) => kind === "proposal" || kind === "proposal_dry_run";

function contentFields(kind: string, content: string | undefined): SignedField[] {
  switch (kind) {
    case "ballot": {
      const plain = plainVote(content!);
      return [{ label: "Vote", value: plain ?? "a program that decides anew at each count" }];
    }
    case "ack":
      return [{ label: "State digest", value: safeText(content!) }];
    case "recovery_share":
      return [{
        label: "Share",
        value: `${shareWords(fromBase64(content!))}; the share itself is a secret, and not shown`,
      }];
    default:
      return [];
  }
}

function actionsOf(text: string): { actions?: readonly ActionWords[] } {
  const { actions } = proposalWords(text);
  return actions === undefined ? {} : { actions };
}

function digestsOf(
  toBeSigned: Uint8Array,
  payload: Uint8Array,
  algorithm: typeof ALGORITHMS[number],
  kind: string,
): Digest[] {
  const digest = (of: string, name: HashName, bytes: Uint8Array, file: string | undefined): Digest => {
    const hex = toHex(hash(name, bytes));
    const command = file === undefined ? {} : { command: `openssl dgst -${OPENSSL[name]} ${file}` };
    return { of, algorithm: name, hex, groups: hex.match(/.{4}/g)!.join(" "), ...command };
  };
  const signed = "the bytes that are signed (Sig_structure)";
  return [
    digest(signed, algorithm.hash, toBeSigned, "again.tbs"),
    ...(algorithm.hash === "SHA-256" ? [] : [digest(signed, "SHA-256", toBeSigned, "again.tbs")]),
    digest("the payload", "SHA-256", payload, isProposal(kind) ? "payload.json" : undefined),
  ];
}

/**
 * The command with which another machine prepares the same request from what is shown, and so gets the same bytes and
 * digests. Files that it names hold the text as it is shown.
 */
function commandAgain({ kind, proposalId, createdAtSeconds, content }: Read): string | undefined {
  const about = {
    proposal: "proposal payload.json",
    ack: `ack --state-digest ${content}`,
    "state_digest": "state-digest",
  };
  const vote = content === YES ? "--yes" : content === NO ? "--no" : "--ballot ballot.js";
  const what = kind === "ballot"
    ? `ballot ${proposalId} ${vote}`
    : kind === "withdrawal"
    ? `withdrawal ${proposalId}`
    : about[kind as keyof typeof about];
  if (what === undefined || !/^[\w ./-]+$/.test(what)) return undefined;
  return `deno task run member prepare ${what} --created-at ${createdAtSeconds} --cert member_cert.pem --out again.json --to-be-signed again.tbs`;
}

/** The ballots that the command line writes for --yes and --no. */
const YES = "export function vote(proposal, proposerId) { return true; }";
const NO = "export function vote(proposal, proposerId) { return false; }";

// ---- Comparing ----

function compare(read: Read, { request, memberId, curve, createdAtSeconds, actions }: Said): Mismatch[] {
  const found: Mismatch[] = [];
  const same = (field: MismatchField, what: string, said: string | undefined, signed: string | undefined) => {
    if (said === signed) return;
    const [left, right] = [shown(said), shown(signed)];
    found.push({
      field,
      said: left,
      signed: right,
      sentence: `The form says that ${what} is ${left}, and what would be signed says ${right}`,
    });
  };
  same("kind", "the kind of request", request.kind, read.kind);
  same("member", "the member", memberId, read.memberId);
  same("algorithm", "the key's curve", curve, ALGORITHMS[read.algorithm]!.curve);
  same("created_at", "the time", String(createdAtSeconds), String(read.createdAtSeconds));
  same("proposal_id", "the proposal", "proposalId" in request ? request.proposalId : undefined, read.proposalId);
  if (request.kind === read.kind) {
    const content = contentSaid(request);
    if (content !== read.content) {
      // A share is a secret: it is not shown even where it differs.
      if (request.kind === "recovery_share") same("payload", "the share", "one", "another one");
      else same("payload", `the ${MEMBER_WORDS[request.kind] ?? "text"}`, content, read.content);
    }
  }
  if (actions !== undefined) found.push(...compareActions(actions, read));
  return found;
}

const MEMBER_WORDS: Readonly<Record<string, string>> = { ballot: "ballot", ack: "state digest", proposal: "proposal" };

function contentSaid(request: MemberRequest): string | undefined {
  switch (request.kind) {
    case "proposal":
    case "proposal_dry_run":
      return fromUtf8(request.proposal);
    case "ballot":
      return request.ballot;
    case "ack":
      return request.stateDigest;
    case "recovery_share":
      return toBase64(request.share);
    case "withdrawal":
    case "state_digest":
      return undefined;
  }
}

function compareActions(said: NonNullable<Said["actions"]>, read: Read): Mismatch[] {
  const json = isProposal(read.kind) ? parseJsonText(read.content!) as { actions?: unknown } | null : null;
  const signed = Array.isArray(json?.actions) ? json.actions as unknown[] : [];
  const found: Mismatch[] = [];
  for (let i = 0; i < Math.max(said.length, signed.length); i++) {
    const [left, right] = [said[i], signed[i]].map((each) => each === undefined ? undefined : stableJson(each));
    if (left === right) continue;
    const sentence = left === undefined
      ? `What would be signed has an action ${i + 1} that the form does not show`
      : right === undefined
      ? `The form shows an action ${i + 1} that would not be signed`
      : `Action ${i + 1} is another one in the form than in what would be signed`;
    found.push({ field: "actions", said: shown(left), signed: shown(right), sentence });
  }
  return found;
}

const MAX_SHOWN = 200;

/** Where two long texts differ late, their beginnings alone would look alike: the digest tells them apart. */
function shown(text: string | undefined): string {
  if (text === undefined) return "nothing";
  const bytes = toUtf8(text.toWellFormed());
  if (text.length <= MAX_SHOWN) return `"${safeText(text)}"`;
  return `"${safeText(text.slice(0, MAX_SHOWN))}…" (${bytes.length} bytes, SHA-256 ${toHex(hash("SHA-256", bytes))})`;
}
