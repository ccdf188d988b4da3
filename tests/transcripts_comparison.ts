/**
 * What makes an answer of ours agree with a recorded one.
 *
 * In: a recorded exchange, our response, what is called otherwise here. Out: nothing, or how they differ.
 * Status, header names, their order and values, error codes, texts, names of JSON members, their order, types and values
 * must be equal. Keys, hashes and signatures differ from service to service: they must be of the same kind. Sentences of
 * OpenAPI documents are each author's own.
 */

import { strict as assert } from "node:assert";
import { fromUtf8Lenient, toHex } from "../shared/bytes.ts";
import { noblePrimitives } from "../shared/crypto/primitives.ts";
import type { HttpResponse } from "../enclave/messages.ts";
import { type Exchange, methodAndTarget, translated, type Translation } from "./transcripts.ts";

/** Members whose values belong to one service or moment. */
const OF_ONE_SERVICE = new Set([
  "bytecode_size",
  "ccf_version",
  "commit_evidence",
  "current_allocated_heap_size",
  "encryptedShare",
  "leaf",
  "left",
  "max_total_heap_size",
  "peak_allocated_heap_size",
  "raw",
  "rawQuote",
  "reportData",
  "right",
  "self_signed_certificate",
  "signature",
  "write_set_digest",
]);
const SENTENCES = new Set(["description", "summary"]);

/** @throws AssertionError where they differ */
export function assertAgrees(exchange: Exchange, ours: HttpResponse, translation: Translation): void {
  const [method, target] = methodAndTarget(exchange);
  const { response: recorded } = exchange;
  assert.equal(ours.status, recorded.status, `status; our body: ${fromUtf8Lenient(ours.body).slice(0, 300)}`);
  assert.deepEqual(
    ours.headers.filter(([name]) => name !== "content-length"),
    recorded.headers.filter(([name]) => name !== "content-length").map((
      [n, value],
    ) => [n, translated(value, translation)]),
    "headers",
  );
  // The listener drops the body of an answer to HEAD; ranges of snapshots hold what is different anyway.
  if (method === "HEAD") return;
  if (target.startsWith("/node/snapshot/") && ours.status === 206) return;
  assertSameBody(recorded, ours, target, translation);
}

/** Evidence of platforms that CCF does not know, in the OpenAPI document of `/node`. */
const OUR_FORMATS = `,"Intel_TDX_v1","Intel_SGX_DCAP_v1"`;

function assertSameBody(
  recorded: Exchange["response"],
  ours: HttpResponse,
  target: string,
  translation: Translation,
): void {
  if (recorded.bodySha256 !== undefined) {
    return assert.equal(toHex(noblePrimitives.sha256(ours.body)), recorded.bodySha256, "digest of the body");
  }
  if (recorded.bodyHex !== undefined) return assert.equal(toHex(ours.body), recorded.bodyHex, "body");
  const isDocument = target.split("?")[0]!.endsWith("/api");
  const text = isDocument ? fromUtf8Lenient(ours.body).replace(OUR_FORMATS, "") : fromUtf8Lenient(ours.body);
  const recordedText = recorded.body!;
  if (!ours.headers.some(([name, value]) => name === "content-type" && value === "application/json")) {
    return assert.equal(text, translated(recordedText, translation), "body");
  }
  const normalise = (json: string) => JSON.stringify(normalised(JSON.parse(json), isDocument, ""), null, 1);
  assert.equal(
    normalise(text),
    normalise(JSON.stringify(translatedJson(JSON.parse(recordedText), translation))),
    "body",
  );
  // Compact, and escaped alike.
  const differsAnyway = normalise(text) !== JSON.stringify(JSON.parse(recordedText), null, 1);
  if (!differsAnyway) assert.equal(text, recordedText, "text of the body");
  else assert.equal(text, text.trim(), "compact JSON");
}

function translatedJson(value: unknown, translation: Translation): unknown {
  return mapJson(
    value,
    "",
    (leaf) => typeof leaf === "string" ? translated(leaf, translation) : leaf,
    (name) => translated(name, translation),
  );
}

function normalised(value: unknown, isDocument: boolean, name: string): unknown {
  return mapJson(value, name, (leaf, member) => {
    if (OF_ONE_SERVICE.has(member)) return kindOf(leaf);
    if (member === "message" && typeof leaf === "string" && NOT_JSON.test(leaf)) return "<not JSON>";
    return isDocument && SENTENCES.has(member) && typeof leaf === "string" ? kindOfSentence(leaf) : leaf;
  });
}

function mapJson(
  value: unknown,
  member: string,
  leaf: (leaf: unknown, member: string) => unknown,
  key: (name: string) => string = (name) => name,
): unknown {
  if (Array.isArray(value)) return inOrder(value.map((item) => mapJson(item, member, leaf, key)));
  if (typeof value !== "object" || value === null) return leaf(value, member);
  return Object.fromEntries(Object.entries(value).map(([n, v]) => [key(n), mapJson(v, n, leaf, key)]));
}

/** Proposals are listed by the hashes of their IDs, which are others here. */
function inOrder(values: readonly unknown[]): unknown {
  const id = (value: unknown) => (value as { readonly proposalId?: string } | null)?.proposalId;
  if (!values.every((value) => typeof value === "object" && id(value) !== undefined)) return values;
  return values.toSorted((a, b) => id(a)! < id(b)! ? -1 : 1);
}

/** What is wrong with a text that is not JSON, in the words of CCF's parser or in ours. */
const NOT_JSON = /^\[json\.exception\.parse_error\.101\]|^The (signed payload|body) is not JSON: /;

function kindOfSentence(text: string): string {
  return text.trim() === "" ? "<nothing>" : "<a sentence>";
}

/** What is left of a value that is different in every service. */
function kindOf(value: unknown): string {
  if (typeof value !== "string") return `<${typeof value}>`;
  const pem = /^-----BEGIN ([A-Z ]+)-----\n[A-Za-z0-9+/=\n]+-----END \1-----\n$/.exec(value);
  if (pem !== null) return `<PEM ${pem[1]}>`;
  if (/^ce:\d+\.\d+:[0-9a-f]{64}$/.test(value)) return value.replace(/[0-9a-f]{64}$/, "<hex>");
  if (/^[0-9a-f]{64}$/.test(value)) return "<hex>";
  if (value.length > 16 && value.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(value)) return "<base64>";
  return "<text>";
}
