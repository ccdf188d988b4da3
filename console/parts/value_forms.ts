/**
 * What the bytes of a key or value are: by the table that they stand in, and by looking at them.
 *
 * In: bytes that anybody may have written, the table's name. Out: the form that says most, with everything found inside it.
 * Never throws: what is of no known form is bytes.
 * Formats: ledger-and-receipts.md §10, shared/governance/tables.ts; COSE, CBOR, PEM, X.509 by `shared/crypto/`
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { FormatError } from "../../shared/assert.ts";
import { equalBytes, fromBase64, fromUtf8, fromUtf8Lenient, toHex } from "../../shared/bytes.ts";
import { decodeCbor } from "../../shared/crypto/cbor.ts";
import { type CoseSign1, parseCoseSign1 } from "../../shared/crypto/cose.ts";
import { parsePem } from "../../shared/crypto/pem.ts";
import { parsePublicKey, type PublicKey } from "../../shared/crypto/public_key.ts";
import { type Certificate, parseCertificate } from "../../shared/crypto/x509.ts";
import { basicConstraints, subjectAltNames } from "../../shared/crypto/x509_extensions.ts";
import { nameToText } from "../../shared/crypto/x509_name.ts";
import { cborText, coseHeaderFacts } from "./cbor_text.ts";
import { sizeText } from "./invisible.ts";
import { prettyJson } from "./pretty_json.ts";

/** A line about something: text, a moment in milliseconds since 1970, or a hash with what it is of. */
export type FormFact = readonly [name: string, value: string | { readonly ms: number } | { readonly hash: string }];

export type ValueForm =
  /** `why` it says nothing more: "empty", "the key alone counts". */
  | { readonly kind: "nothing"; readonly why: string }
  | { readonly kind: "json"; readonly text: string; readonly inside: readonly FormInside[] }
  | { readonly kind: "text"; readonly text: string; readonly language: "javascript" | "plain" }
  | { readonly kind: "pem"; readonly text: string; readonly blocks: readonly FormInside[] }
  | { readonly kind: "certificate"; readonly facts: readonly FormFact[] }
  | { readonly kind: "public key"; readonly facts: readonly FormFact[] }
  | { readonly kind: "cose"; readonly facts: readonly FormFact[]; readonly payload: ValueForm | undefined }
  | { readonly kind: "cbor"; readonly text: string }
  | { readonly kind: "number"; readonly text: string }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array };

/** Something that stands inside something else, and where: `cert`, `quote_info.quote`, `CERTIFICATE 1`. */
export interface FormInside {
  readonly where: string;
  readonly form: ValueForm;
}

const GOV = "public:ccf.gov.";
/** Their values are JSON strings of JavaScript, or JavaScript itself. */
const SOURCES = new Set([`${GOV}constitution`, `${GOV}modules`]);
/** Their values say nothing: that there is a key is all. */
const SETS = new Set([`${GOV}nodes.virtual.host_data`, `${GOV}self_healing_open.votes`]);

const MAX_DEPTH = 4;
const MAX_INSIDE = 40;
const MAX_JSON_BYTES = 4_000_000;
// deno-lint-ignore no-control-regex -- control characters are what is looked for
const CONTROL = /[\u0000-\u0008\u000e-\u001f\u007f]/;
const ZERO8 = new Uint8Array(8);

/** @param table whose value it is; left out: only by looking */
export function valueForm(bytes: Uint8Array, table?: string): ValueForm {
  if (bytes.length === 0) return { kind: "nothing", why: "Empty" };
  if (table !== undefined && SETS.has(table) && equalBytes(bytes, ZERO8)) {
    return { kind: "nothing", why: "A set: that the key is there is all it says" };
  }
  return formOf(bytes, SOURCES.has(table ?? "") ? "javascript" : "plain", 0);
}

/** Of a key. Tables of one value have eight zero bytes for a key. */
export function keyForm(key: Uint8Array): ValueForm {
  if (equalBytes(key, ZERO8)) return { kind: "nothing", why: "the only one" };
  const text = textOf(key);
  if (text !== undefined && text !== "" && !CONTROL.test(text)) return { kind: "text", text, language: "plain" };
  if (key.length === 8) return { kind: "number", text: u64Text(key) };
  return key.length === 0 ? { kind: "nothing", why: "Empty" } : { kind: "bytes", bytes: key };
}

/** A key in one line. */
export function keyText(key: Uint8Array): string {
  const form = keyForm(key);
  switch (form.kind) {
    case "nothing":
      return `(${form.why})`;
    case "text":
      return form.text;
    case "number":
      return form.text;
    default:
      return `0x${toHex(key)}`;
  }
}

/** What a form is called: on tabs, in lists. */
export const FORM_WORDS: Readonly<Record<ValueForm["kind"], string>> = {
  nothing: "nothing",
  json: "JSON",
  text: "text",
  pem: "PEM",
  certificate: "certificate",
  "public key": "public key",
  cose: "COSE_Sign1",
  cbor: "CBOR",
  number: "number",
  bytes: "bytes",
};

/** Lines that two values can be compared by. */
export function comparableText(bytes: Uint8Array, table?: string): string {
  const form = valueForm(bytes, table);
  switch (form.kind) {
    case "json":
    case "text":
    case "pem":
    case "cbor":
    case "number":
      return form.text;
    case "nothing":
      return form.why;
    case "cose":
      return `${form.facts.map(factLine).join("\n")}\n${
        form.payload !== undefined && "text" in form.payload ? form.payload.text : ""
      }`;
    case "certificate":
    case "public key":
      return form.facts.map(factLine).join("\n");
    case "bytes":
      return (toHex(bytes).match(/.{1,64}/g) ?? []).join("\n");
  }
}

/** The beginning of a value in one line, for lists. */
export function valueLine(bytes: Uint8Array, table?: string): string {
  if (bytes.length > 20_000) return `${sizeText(bytes.length)}: ${fromUtf8Lenient(bytes.subarray(0, 80))}…`;
  const form = valueForm(bytes, table);
  switch (form.kind) {
    case "nothing":
      return `(${form.why})`;
    case "json":
      return form.text.replaceAll(/\s*\n\s*/g, " ").slice(0, 200);
    case "text":
    case "cbor":
    case "number":
      return form.text.slice(0, 200);
    case "pem":
      return form.blocks.map((block) => insideLine(block)).join(", ");
    case "cose":
      return `signed message, ${sizeText(bytes.length)}`;
    case "certificate":
    case "public key":
      return insideLine({ where: FORM_WORDS[form.kind], form });
    case "bytes":
      return `0x${toHex(bytes.subarray(0, 40))}${bytes.length > 40 ? "…" : ""}`;
  }
}

function insideLine({ where, form }: FormInside): string {
  const subject = form.kind === "certificate" ? form.facts.find(([name]) => name === "Subject")?.[1] : undefined;
  return typeof subject === "string" ? `certificate of ${subject}` : where.toLowerCase();
}

function factLine([name, value]: FormFact): string {
  return `${name}: ${
    typeof value === "string" ? value : "ms" in value ? new Date(value.ms).toISOString() : value.hash
  }`;
}

function formOf(bytes: Uint8Array, language: "javascript" | "plain", depth: number): ValueForm {
  const text = textOf(bytes);
  if (text !== undefined && !CONTROL.test(text)) return textForm(text, bytes, language, depth);
  return binaryForm(bytes, depth) ??
    (bytes.length === 8 ? { kind: "number", text: u64Text(bytes) } : { kind: "bytes", bytes });
}

function textForm(text: string, bytes: Uint8Array, language: "javascript" | "plain", depth: number): ValueForm {
  const pem = pemForm(text);
  if (pem !== undefined) return pem;
  if (bytes.length <= MAX_JSON_BYTES && /^\s*["{[\d\-tfn]/.test(text)) {
    const json = jsonForm(text, language, depth);
    if (json !== undefined) return json;
  }
  return { kind: "text", text, language };
}

function jsonForm(text: string, language: "javascript" | "plain", depth: number): ValueForm | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value === "string") {
    // Sources, PEM and bytes stand in JSON strings: what is inside is what one wants to see.
    const inner = depth < MAX_DEPTH ? stringForm(value, language, depth + 1) : undefined;
    return inner ?? { kind: "json", text: prettyJson(text), inside: [] };
  }
  const inside: FormInside[] = [];
  if (depth < MAX_DEPTH) collectInside(value, "", inside, depth + 1);
  return { kind: "json", text: prettyJson(text), inside };
}

function stringForm(text: string, language: "javascript" | "plain", depth: number): ValueForm | undefined {
  const pem = pemForm(text);
  if (pem !== undefined) return pem;
  if (text.length >= 16 && /^[A-Za-z0-9+/\r\n]+={0,2}$/.test(text) && !/^[0-9a-f]+$/i.test(text)) {
    const bytes = base64Of(text);
    const form = bytes === undefined ? undefined : binaryForm(bytes, depth);
    if (form !== undefined) return form;
  }
  if (language === "javascript" || text.includes("\n")) return { kind: "text", text, language };
  return undefined;
}

/** Strings anywhere in a value that are more than strings. */
function collectInside(value: unknown, where: string, found: FormInside[], depth: number): void {
  if (found.length >= MAX_INSIDE || where.length > 200 || depth > MAX_DEPTH + 8) return;
  if (typeof value === "string") {
    const form = stringForm(value, "plain", depth);
    if (form !== undefined) found.push({ where: where || "the value", form });
  } else if (typeof value === "object" && value !== null) {
    for (const [name, member] of Object.entries(value)) {
      const path = Array.isArray(value) ? `${where}[${name}]` : where === "" ? name : `${where}.${name}`;
      collectInside(member, path, found, depth + 1);
    }
  }
}

/** Forms of bytes that are told by how they begin. */
function binaryForm(bytes: Uint8Array, depth: number): ValueForm | undefined {
  if (bytes[0] === 0xd2) {
    const message = attempt(() => parseCoseSign1(bytes));
    if (message !== undefined) return coseForm(message, depth);
  }
  if (bytes[0] === 0x30) {
    const form = attempt(() => certificateForm(parseCertificate(bytes))) ?? attempt(() => publicKeyForm(bytes));
    if (form !== undefined) return form;
  }
  // Maps, arrays and tags alone: nearly any few bytes are some CBOR.
  if (bytes.length > 1 && bytes[0]! >= 0x80 && bytes[0]! < 0xe0) {
    const value = attempt(() => decodeCbor(bytes));
    if (value !== undefined) return { kind: "cbor", text: cborText(value) };
  }
  return undefined;
}

function coseForm(message: CoseSign1, depth: number): ValueForm {
  const { payload } = message;
  return {
    kind: "cose",
    facts: coseHeaderFacts(message),
    payload: payload === undefined || depth >= MAX_DEPTH
      ? undefined
      : payload.length === 0
      ? { kind: "nothing", why: "Empty" }
      : formOf(payload, "plain", depth + 1),
  };
}

function pemForm(text: string): ValueForm | undefined {
  if (!text.trimStart().startsWith("-----BEGIN ")) return undefined;
  const blocks = attempt(() => parsePem(text));
  if (blocks === undefined || blocks.length === 0) return undefined;
  return {
    kind: "pem",
    text,
    blocks: blocks.slice(0, MAX_INSIDE).map(({ label, der }, i) => ({
      where: blocks.length === 1 ? label : `${label} ${i + 1}`,
      form:
        (label === "CERTIFICATE"
          ? attempt(() => certificateForm(parseCertificate(der)))
          : label === "PUBLIC KEY"
          ? attempt(() => publicKeyForm(der))
          : undefined) ?? { kind: "bytes", bytes: der },
    })),
  };
}

/** @throws FormatError */
function certificateForm(certificate: Certificate): ValueForm {
  const names = attempt(() => subjectAltNames(certificate.extensions)) ?? [];
  const isAuthority = attempt(() => basicConstraints(certificate.extensions)?.ca) ?? false;
  return {
    kind: "certificate",
    facts: [
      ["Subject", nameToText(certificate.subject)],
      ["Issuer", nameToText(certificate.issuer)],
      ["Valid from", { ms: certificate.notBeforeMs }],
      ["Valid until", { ms: certificate.notAfterMs }],
      ["Key", attempt(() => keyWords(parsePublicKey(certificate.spki))) ?? "of a kind that is not known here"],
      ["SHA-256 of the certificate", { hash: toHex(sha256(certificate.der)) }],
      ["SHA-256 of its public key", { hash: toHex(sha256(certificate.spki)) }],
      ["Serial number", toHex(certificate.serial)],
      ["May issue certificates", isAuthority ? "yes" : "no"],
      ...names.length === 0
        ? []
        : [["Names", names.map((name) => name.kind === "other" ? "another kind" : name.value).join(", ")] as const],
    ],
  };
}

/** @throws FormatError */
function publicKeyForm(spki: Uint8Array): ValueForm {
  return {
    kind: "public key",
    facts: [
      ["Key", keyWords(parsePublicKey(spki))],
      ["SHA-256 of the public key", { hash: toHex(sha256(spki)) }],
    ],
  };
}

function keyWords(key: PublicKey): string {
  return key.kind === "EC" ? `elliptic curve, ${key.curve}` : "RSA";
}

function u64Text(bytes: Uint8Array): string {
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true).toString();
}

function textOf(bytes: Uint8Array): string | undefined {
  return attempt(() => fromUtf8(bytes));
}

function base64Of(text: string): Uint8Array | undefined {
  return attempt(() => fromBase64(text.replace(/[\r\n]/g, "")));
}

/** undefined where the bytes have another form. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
