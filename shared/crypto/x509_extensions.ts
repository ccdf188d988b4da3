/**
 * Certificate extensions: those that CCF's certificates have, and the purposes of a key.
 *
 * In: extensions as they stand in a certificate or request. Out: what they say, and the other way round.
 * An extension is read when somebody asks for it, so a strange one hurts nobody who does not.
 * Format: RFC 5280 §4.2.1
 */

import { sha1 } from "@noble/hashes/legacy.js";
import { assert, FormatError } from "../assert.ts";
import { toByteString, toUtf8 } from "../bytes.ts";
import { MAX_EXTENSIONS } from "../limits.ts";
import {
  contextTag,
  DerReader,
  readDer,
  TAG,
  writeBitString,
  writeBoolean,
  writeDer,
  writeOctetString,
  writeOid,
  writeSequence,
  writeUnsigned,
} from "./der.ts";
import { ipAddressFromText, ipAddressToText } from "./ip_address.ts";
import { parsePublicKeyInfo } from "./key_info.ts";

export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  /** DER of what the extension says. */
  readonly value: Uint8Array;
}

export interface BasicConstraints {
  readonly ca: boolean;
  /** How many certificates that are not self-issued may stand between this one and the leaf; undefined is any number. */
  readonly pathLength: number | undefined;
}

export const EXTENSION_OID = {
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  crlDistributionPoints: "2.5.29.31",
  certificatePolicies: "2.5.29.32",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
} as const;

/** Uses of a key, in the order of their bits. */
export const KEY_USAGES = [
  "digitalSignature",
  "nonRepudiation",
  "keyEncipherment",
  "dataEncipherment",
  "keyAgreement",
  "keyCertSign",
  "cRLSign",
  "encipherOnly",
  "decipherOnly",
] as const;
export type KeyUsage = typeof KEY_USAGES[number];

/** Names as in CCF's configuration, which has the first two. Addresses are in their usual text form. */
export type SubjectAltName =
  | { readonly kind: "iPAddress" | "dNSName" | "rfc822Name" | "uniformResourceIdentifier"; readonly value: string }
  /** DER of a name of another kind. */
  | { readonly kind: "other"; readonly der: Uint8Array };

const TEXT_NAME_TAGS = { rfc822Name: 1, dNSName: 2, uniformResourceIdentifier: 6 } as const;
const IP_ADDRESS_TAG = contextTag(7, "primitive");

/**
 * Reads the SEQUENCE OF Extension. A default FALSE may be written out, here and in basic constraints: DER forbids it, but
 * some authorities do it.
 *
 * @throws FormatError also where one is there twice
 */
export function readExtensions(list: DerReader): Extension[] {
  const extensions: Extension[] = [];
  while (!list.done) {
    const reader = list.sequence("an extension");
    const oid = reader.oid("the name of an extension");
    const critical = reader.peek() === TAG.boolean && reader.boolean("whether an extension is critical");
    const value = reader.octetString("the value of an extension");
    reader.end();
    if (extensions.length === MAX_EXTENSIONS) throw list.error(`it has more than ${MAX_EXTENSIONS} extensions`);
    if (extensions.some((other) => other.oid === oid)) throw list.error(`its extension ${oid} is there twice`);
    extensions.push({ oid, critical, value });
  }
  return extensions;
}

export function writeExtensions(extensions: readonly Extension[]): Uint8Array {
  return writeSequence(
    ...extensions.map(({ oid, critical, value }) =>
      writeSequence(writeOid(oid), critical ? writeBoolean(true) : new Uint8Array(), writeOctetString(value))
    ),
  );
}

function valueOf(extensions: readonly Extension[], oid: string): Uint8Array | undefined {
  return extensions.find((extension) => extension.oid === oid)?.value;
}

/** Undefined where there is none. @throws FormatError */
export function basicConstraints(extensions: readonly Extension[]): BasicConstraints | undefined {
  const value = valueOf(extensions, EXTENSION_OID.basicConstraints);
  if (value === undefined) return undefined;
  const reader = readDer(value, "basic constraints");
  const ca = reader.peek() === TAG.boolean && reader.boolean("whether it is a CA");
  const pathLength = reader.peek() === TAG.integer ? reader.smallInteger("the path length") : undefined;
  reader.end();
  return { ca, pathLength };
}

export function basicConstraintsExtension({ ca, pathLength }: BasicConstraints): Extension {
  const value = writeSequence(
    ca ? writeBoolean(true) : new Uint8Array(),
    pathLength === undefined ? new Uint8Array() : writeUnsigned(pathLength),
  );
  return { oid: EXTENSION_OID.basicConstraints, critical: true, value };
}

/** Undefined where there is none. @throws FormatError */
export function keyUsage(extensions: readonly Extension[]): ReadonlySet<KeyUsage> | undefined {
  const value = valueOf(extensions, EXTENSION_OID.keyUsage);
  if (value === undefined) return undefined;
  const reader = new DerReader(value, "a key usage");
  const { bytes } = reader.bitString("the set of bits");
  reader.end();
  return new Set(KEY_USAGES.filter((_, bit) => ((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0));
}

/** @param usages of the first eight, and at least one */
export function keyUsageExtension(...usages: readonly KeyUsage[]): Extension {
  let bits = 0;
  for (const usage of usages) bits |= 0x80 >> KEY_USAGES.indexOf(usage);
  assert(bits > 0 && bits < 0x100, "A key usage written has a bit in its first byte");
  // A BIT STRING of named bits ends at its last one (X.690 §11.2.2).
  const unusedBits = 31 - Math.clz32(bits & -bits);
  return {
    oid: EXTENSION_OID.keyUsage,
    critical: true,
    value: writeBitString(Uint8Array.of(bits), unusedBits),
  };
}

/** The purposes of a key as OBJECT IDENTIFIERs; undefined where there is no such extension. @throws FormatError */
export function extendedKeyUsages(extensions: readonly Extension[]): string[] | undefined {
  const value = valueOf(extensions, EXTENSION_OID.extendedKeyUsage);
  if (value === undefined) return undefined;
  const reader = readDer(value, "an extended key usage");
  const purposes: string[] = [];
  do purposes.push(reader.oid("a purpose")); while (!reader.done);
  return purposes;
}

/** @param purposes OBJECT IDENTIFIERs, at least one */
export function extendedKeyUsageExtension(...purposes: readonly string[]): Extension {
  assert(purposes.length > 0, "An extended key usage written has a purpose");
  return {
    oid: EXTENSION_OID.extendedKeyUsage,
    critical: false,
    value: writeSequence(...purposes.map(writeOid)),
  };
}

/** Undefined where there is none. @throws FormatError */
export function subjectKeyIdentifier(extensions: readonly Extension[]): Uint8Array | undefined {
  const value = valueOf(extensions, EXTENSION_OID.subjectKeyIdentifier);
  if (value === undefined) return undefined;
  const reader = new DerReader(value, "a subject key identifier");
  const identifier = reader.octetString("the identifier");
  reader.end();
  return identifier;
}

/** The usual identifier of a key: SHA-1 of its bits (RFC 5280 §4.2.1.2, method 1). @throws FormatError */
export function keyIdentifierOf(spki: Uint8Array): Uint8Array {
  return sha1(parsePublicKeyInfo(spki).key);
}

export function subjectKeyIdentifierExtension(identifier: Uint8Array): Extension {
  return { oid: EXTENSION_OID.subjectKeyIdentifier, critical: false, value: writeOctetString(identifier) };
}

/** Undefined where there is none, or none that names a key. @throws FormatError */
export function authorityKeyIdentifier(extensions: readonly Extension[]): Uint8Array | undefined {
  const value = valueOf(extensions, EXTENSION_OID.authorityKeyIdentifier);
  if (value === undefined) return undefined;
  const reader = readDer(value, "an authority key identifier");
  const tag = contextTag(0, "primitive");
  const identifier = reader.peek() === tag ? reader.contents(tag, "the identifier") : undefined;
  while (!reader.done) reader.any("the issuer's name and serial number");
  return identifier;
}

export function authorityKeyIdentifierExtension(identifier: Uint8Array): Extension {
  const value = writeSequence(writeDer(contextTag(0, "primitive"), identifier));
  return { oid: EXTENSION_OID.authorityKeyIdentifier, critical: false, value };
}

/** Empty where there is no such extension. @throws FormatError */
export function subjectAltNames(extensions: readonly Extension[]): SubjectAltName[] {
  const value = valueOf(extensions, EXTENSION_OID.subjectAltName);
  if (value === undefined) return [];
  const names: SubjectAltName[] = [];
  const reader = readDer(value, "subject alternative names");
  while (!reader.done) names.push(readAltName(reader));
  return names;
}

export function subjectAltNameExtension(names: readonly SubjectAltName[]): Extension {
  return { oid: EXTENSION_OID.subjectAltName, critical: false, value: writeSequence(...names.map(writeAltName)) };
}

function readAltName(reader: DerReader): SubjectAltName {
  const der = reader.any("a name");
  const name = new DerReader(der, "subject alternative names");
  if (der[0] === IP_ADDRESS_TAG) {
    return { kind: "iPAddress", value: ipAddressToText(name.contents(IP_ADDRESS_TAG, "an address")) };
  }
  for (const [kind, number] of Object.entries(TEXT_NAME_TAGS)) {
    const tag = contextTag(number, "primitive");
    if (der[0] !== tag) continue;
    const bytes = name.contents(tag, "a name");
    if (bytes.some((byte) => byte < 0x20 || byte > 0x7e)) throw reader.error(`a ${kind} has characters outside ASCII`);
    return { kind: kind as keyof typeof TEXT_NAME_TAGS, value: toByteString(bytes) };
  }
  return { kind: "other", der };
}

function writeAltName(name: SubjectAltName): Uint8Array {
  switch (name.kind) {
    case "other":
      return name.der;
    case "iPAddress":
      return writeDer(IP_ADDRESS_TAG, ipAddressFromText(name.value));
    default: {
      if (!/^[\x20-\x7e]+$/.test(name.value)) {
        throw new FormatError(`Cannot write ${JSON.stringify(name.value)} as a ${name.kind}: only ASCII is allowed`);
      }
      return writeDer(contextTag(TEXT_NAME_TAGS[name.kind], "primitive"), toUtf8(name.value));
    }
  }
}

/**
 * Reads a subject alternative name of CCF's configuration: `iPAddress:127.0.0.1` or `dNSName:localhost`
 * (operations.md §2, `node_certificate.subject_alt_names`).
 *
 * @throws FormatError
 */
export function parseSubjectAltName(text: string): SubjectAltName {
  const [kind = "", ...rest] = text.split(":");
  const value = rest.join(":");
  if (kind === "iPAddress") return { kind, value: ipAddressToText(ipAddressFromText(value)) };
  if (kind === "dNSName" && /^[\x21-\x7e]+$/.test(value)) return { kind, value };
  throw new FormatError(
    `Cannot read ${JSON.stringify(text.slice(0, 60))} as a subject alternative name: ` +
      `it must look like "iPAddress:127.0.0.1" or "dNSName:localhost"`,
  );
}

/** The name under which a host is reached: an address if the text is one, else a DNS name. */
export function subjectAltNameOfHost(host: string): SubjectAltName {
  try {
    return parseSubjectAltName(`iPAddress:${host}`);
  } catch {
    return parseSubjectAltName(`dNSName:${host}`);
  }
}
