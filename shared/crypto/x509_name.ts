/**
 * Distinguished names: who a certificate is about, and who issued it.
 *
 * In: text such as `CN=CCF Service` or `C=CH,O=Gold,CN=x`. Out: DER, and back.
 * Attributes stand in the text in the order of the DER, not in reverse as RFC 4514 §2.1 has it: CCF's configuration and
 * OpenSSL's one-line form do so. Escapes are those of RFC 4514.
 * Knows nothing of certificates.
 * Format: RFC 5280 §4.1.2.4, X.520
 */

import { FormatError } from "../assert.ts";
import { compareBytes, fromUtf8, fromUtf8Lenient, toByteString, toHex, toUtf8 } from "../bytes.ts";
import { MAX_CERTIFICATE_BYTES } from "../limits.ts";
import { DerReader, isOid, readDer, TAG, writeDer, writeOid, writeSequence } from "./der.ts";

interface AttributeType {
  /** As text: the short name first, as it is printed; then the long one that OpenSSL knows too. */
  readonly names: readonly string[];
  readonly oid: string;
  readonly tag: number;
  /** Characters that a value may have (RFC 5280 appendix A.1), which OpenSSL checks when it writes. */
  readonly lengths: readonly [min: number, max: number];
}

const ATTRIBUTE_TYPES: readonly AttributeType[] = [
  { names: ["CN", "commonName"], oid: "2.5.4.3", tag: TAG.utf8String, lengths: [1, 64] },
  { names: ["SN", "surname"], oid: "2.5.4.4", tag: TAG.utf8String, lengths: [1, 32768] },
  { names: ["serialNumber"], oid: "2.5.4.5", tag: TAG.printableString, lengths: [1, 64] },
  { names: ["C", "countryName"], oid: "2.5.4.6", tag: TAG.printableString, lengths: [2, 2] },
  { names: ["L", "localityName"], oid: "2.5.4.7", tag: TAG.utf8String, lengths: [1, 128] },
  { names: ["ST", "stateOrProvinceName"], oid: "2.5.4.8", tag: TAG.utf8String, lengths: [1, 128] },
  { names: ["street", "streetAddress"], oid: "2.5.4.9", tag: TAG.utf8String, lengths: [1, 128] },
  { names: ["O", "organizationName"], oid: "2.5.4.10", tag: TAG.utf8String, lengths: [1, 64] },
  { names: ["OU", "organizationalUnitName"], oid: "2.5.4.11", tag: TAG.utf8String, lengths: [1, 64] },
  { names: ["title"], oid: "2.5.4.12", tag: TAG.utf8String, lengths: [1, 64] },
  { names: ["GN", "givenName"], oid: "2.5.4.42", tag: TAG.utf8String, lengths: [1, 32768] },
  { names: ["emailAddress"], oid: "1.2.840.113549.1.9.1", tag: TAG.ia5String, lengths: [1, 128] },
  { names: ["UID", "userId"], oid: "0.9.2342.19200300.100.1.1", tag: TAG.utf8String, lengths: [1, 256] },
  { names: ["DC", "domainComponent"], oid: "0.9.2342.19200300.100.1.25", tag: TAG.ia5String, lengths: [1, 32768] },
];

const BY_NAME = new Map(ATTRIBUTE_TYPES.flatMap((type) => type.names.map((name) => [name, type] as const)));
const BY_OID = new Map(ATTRIBUTE_TYPES.map((type) => [type.oid, type]));

/** One `type=value` of a text, the value without its escapes. */
interface TextAttribute {
  readonly type: string;
  readonly value: string;
  /** Whether a `+` stood before it, so that it belongs to the same set as the one before. */
  readonly joined: boolean;
}

/**
 * DER of a name, in the order of the text.
 *
 * @param text `type=value` separated by commas (by `+` within one set); a type is a name or a dotted OID; spaces around
 *   types and values do not count; escapes are `\,` and the like, or `\xx` for a byte of UTF-8
 * @throws FormatError
 */
export function nameFromText(text: string): Uint8Array {
  return serialiseName(parseAttributes(text));
}

/**
 * DER of a name as CCF makes it from `service_subject_name` and `subject_name` of its configuration.
 *
 * Three oddities show in the certificate's bytes and so are matched (src/crypto/openssl/ec_key_pair.cpp): attributes are
 * collected in an ordered map, so they come out sorted by type, and of a type given twice the first value stays; there
 * are no escapes; and each byte of UTF-8 is taken for a character of Latin-1.
 *
 * @throws FormatError
 */
export function nameFromConfiguration(text: string): Uint8Array {
  const byType = new Map<string, TextAttribute>();
  for (const piece of text.split(",")) {
    const [type = "", ...rest] = piece.split("=");
    const value = toByteString(toUtf8(rest.join("=")));
    if (!byType.has(type)) byType.set(type, { type, value, joined: false });
  }
  return serialiseName([...byType.values()].sort((a, b) => a.type < b.type ? -1 : 1));
}

/** One attribute of a name that was read. */
export interface NameAttribute {
  readonly oid: string;
  /** Undefined where the value is no text. */
  readonly value: string | undefined;
}

/**
 * The attributes of a name in the order of the DER, for whoever compares them.
 *
 * @throws FormatError where it is not a name, or holds text that is not UTF-8
 */
export function nameAttributes(name: Uint8Array): NameAttribute[] {
  return readName(name).flatMap((set) => set.map(({ oid, der }) => ({ oid, value: attributeText(der, fromUtf8) })));
}

/** What the short or long name of an attribute stands for, e.g. `ST`. */
export function attributeOid(name: string): string | undefined {
  return BY_NAME.get(name)?.oid;
}

/**
 * A name as text, for people and messages. `nameFromText` reads it back, each value in the string type we write.
 * A value that is no text shows as `#` and the hex of its DER.
 *
 * @throws FormatError where it is not a name
 */
export function nameToText(name: Uint8Array): string {
  return readName(name).map((set) =>
    set.map(({ oid, der }) => `${BY_OID.get(oid)?.names[0] ?? oid}=${valueToText(der)}`).join("+")
  ).join(",");
}

/** Sets of attributes, each with the DER of its value. */
function readName(name: Uint8Array): { oid: string; der: Uint8Array }[][] {
  const sets: { oid: string; der: Uint8Array }[][] = [];
  const reader = readDer(name, "a distinguished name");
  while (!reader.done) {
    const set = reader.inside(TAG.set, "a set of attributes");
    const attributes: { oid: string; der: Uint8Array }[] = [];
    do {
      const attribute = set.sequence("an attribute");
      const oid = attribute.oid("the type of an attribute");
      const der = attribute.any("the value of an attribute");
      attribute.end();
      attributes.push({ oid, der });
    } while (!set.done);
    sets.push(attributes);
  }
  return sets;
}

function serialiseName(attributes: readonly TextAttribute[]): Uint8Array {
  const sets: Uint8Array[][] = [];
  for (const attribute of attributes) {
    const encoded = serialiseAttribute(attribute);
    if (attribute.joined) sets.at(-1)!.push(encoded);
    else sets.push([encoded]);
  }
  // DER sorts the members of a SET OF by their bytes (X.690 §11.6).
  return writeSequence(...sets.map((members) => writeDer(TAG.set, ...members.sort(compareBytes))));
}

function serialiseAttribute({ type, value }: TextAttribute): Uint8Array {
  const known = BY_NAME.get(type) ?? BY_OID.get(type);
  const oid = known?.oid ?? type;
  if (!isOid(oid)) throw nameError(`the attribute ${JSON.stringify(type)} is not known`);
  const tag = known?.tag ?? TAG.utf8String;
  const [min, max] = known?.lengths ?? [1, 32768];
  const length = [...value].length;
  if (length < min || length > max) throw nameError(`${type} has ${length} characters and must have ${min} to ${max}`);
  if (tag === TAG.printableString && !/^[A-Za-z0-9 '()+,./:=?-]*$/.test(value)) {
    throw nameError(`${type} has characters that a PrintableString cannot hold`);
  }
  if (tag === TAG.ia5String && !isAscii(value)) throw nameError(`${type} has characters outside ASCII`);
  return writeSequence(writeOid(oid), writeDer(tag, toUtf8(value)));
}

function parseAttributes(text: string): TextAttribute[] {
  if (text.length > MAX_CERTIFICATE_BYTES) throw nameError(`it is longer than ${MAX_CERTIFICATE_BYTES} characters`);
  const attributes: TextAttribute[] = [];
  let at = 0;
  let joined = false;
  do {
    const equals = text.indexOf("=", at);
    if (equals < 0) throw nameError(`${JSON.stringify(text.slice(at, at + 60))} is not of the form CN=name`);
    const { value, end } = parseValue(text, equals + 1);
    attributes.push({ type: text.slice(at, equals).trim(), value, joined });
    joined = text[end] === "+";
    at = end + 1;
  } while (at <= text.length);
  return attributes;
}

/** The value that starts at `start`, and where its separator, or the end of the text, is. */
function parseValue(text: string, start: number): { value: string; end: number } {
  let end = start;
  while (text[end] === " ") end++;
  if (text[end] === "#") throw nameError('a value begins with "#"; write "\\#" if that is its first character');
  const bytes: number[] = [];
  let keep = 0; // length of the value up to its last character that is not a plain space
  while (end < text.length && text[end] !== "," && text[end] !== "+") {
    const hex = /^\\([0-9A-Fa-f]{2})/.exec(text.slice(end, end + 3))?.[1];
    const escaped = text[end] === "\\";
    if (hex !== undefined) {
      bytes.push(parseInt(hex, 16));
      end += 3;
    } else {
      const character = String.fromCodePoint(text.codePointAt(escaped ? end + 1 : end) ?? 0);
      if (escaped && end + 1 >= text.length) throw nameError("it ends in a backslash");
      bytes.push(...toUtf8(character));
      end += character.length + (escaped ? 1 : 0);
      if (!escaped && character === " ") continue;
    }
    keep = bytes.length;
  }
  return { value: fromUtf8(Uint8Array.from(bytes.slice(0, keep))), end };
}

function valueToText(der: Uint8Array): string {
  const text = attributeText(der, fromUtf8Lenient);
  return text === undefined ? `#${toHex(der)}` : escapeValue(text);
}

/** The text that a value is, or undefined where it is of a type that holds none. */
function attributeText(der: Uint8Array, decodeUtf8: (bytes: Uint8Array) => string): string | undefined {
  const value = der.subarray(der.length - new DerReader(der, "a distinguished name").contents(der[0]!, "it").length);
  switch (der[0]) {
    case TAG.utf8String:
    case TAG.printableString:
    case TAG.ia5String:
      return decodeUtf8(value);
    case TAG.teletexString:
      return toByteString(value); // taken for Latin-1, as everybody does
    case TAG.bmpString:
      return utf16BeToText(value);
    default:
      return undefined;
  }
}

function utf16BeToText(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at + 1 < bytes.length; at += 2) text += String.fromCharCode(bytes[at]! * 256 + bytes[at + 1]!);
  return text;
}

function escapeValue(text: string): string {
  return text
    .replace(/[\\",+<>;]/g, "\\$&")
    // deno-lint-ignore no-control-regex -- control characters are what is looked for
    .replace(/[\x00-\x1f\x7f]/g, (control) => `\\${toHex(toUtf8(control))}`)
    .replace(/^[ #]|(?<!^) $/g, "\\$&");
}

function isAscii(text: string): boolean {
  return toUtf8(text).every((byte) => byte < 0x80);
}

function nameError(problem: string): FormatError {
  return new FormatError(`Cannot read a distinguished name: ${problem}`);
}
