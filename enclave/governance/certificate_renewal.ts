/**
 * Certificates that members renew: of nodes, from their requests, and of the service, with the same key.
 *
 * In: when a certificate begins, as text, and for how many days it is valid. Out: PEM. Which periods a service allows is
 * for its constitution; when a renewed certificate is used is for `node.ts`.
 * Rules: governance.md §4.1, ledger-and-receipts.md §11; CCF include/ccf/ds/x509_time_fmt.h
 */

import { FormatError } from "../../shared/assert.ts";
import { isRequestSigned, parseCertificateRequestPem } from "../../shared/crypto/csr.ts";
import { type Validity, validityOfDays } from "../../shared/crypto/x509_build.ts";
import { endorseNode, renewService } from "../identity.ts";
import type { EffectSource } from "./effect_source.ts";

/** The first and the last second that a certificate can name. */
const FIRST_TIME_MS = Date.parse("0000-01-01T00:00:00Z");
const LAST_TIME_MS = Date.UTC(9999, 11, 31, 23, 59, 59);

/**
 * The service's certificate for whoever signed a request.
 *
 * @throws FormatError where the request is none, or there is no such period
 */
export function endorsedCertificate(node: EffectSource, requestPem: string, validFrom: string, days: number): string {
  const request = parseCertificateRequestPem(requestPem);
  if (!isRequestSigned(node.primitives, request)) {
    throw new FormatError("the request is not signed with the key that it is for");
  }
  return endorseNode(request, node.service, validityFrom(validFrom, days), node.random);
}

/** A new certificate for the service's key. @throws FormatError where there is no such period */
export function serviceCertificate(node: EffectSource, validFrom: string, days: number): string {
  return renewService(node.service, validityFrom(validFrom, days), node.random).certificatePem;
}

/** @throws FormatError */
export function validityFrom(validFrom: string, days: number): Validity {
  if (!Number.isSafeInteger(days) || days < 1) {
    throw new FormatError(`a certificate cannot be valid for ${days} days: at least 1`);
  }
  const validity = validityOfDays(parseTime(validFrom), days);
  if (validity.notAfterMs > LAST_TIME_MS) {
    throw new FormatError(
      `a certificate cannot be valid for ${days} days from ${validFrom}: that is after the year 9999`,
    );
  }
  return validity;
}

/** Numbers by their place in a text. */
interface TimeForm {
  readonly pattern: RegExp;
  /** Of a year in two digits, the first that counts as 19xx. */
  readonly firstOf1900?: number;
}

const DATE = String.raw`(?<year>\d{4})-(?<month>\d\d)-(?<day>\d\d)`;
const TIME = String.raw`(?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d(?:\.\d*)?)`;
const COMPACT = String.raw`(?<month>\d\d)(?<day>\d\d)(?<hour>\d\d)(?<minute>\d\d)`;
const OFFSET = String.raw`\s*(?<offsetHour>[+-]\d\d)`;

/**
 * The forms that CCF accepts, in its order.
 *
 * Quirk: what follows one of the later forms is not looked at, be it `Z`, for lack of which it is UTC too, or an offset
 * of a day and more.
 */
const FORMS: readonly TimeForm[] = [
  // ASN.1: UTCTime, GeneralizedTime.
  { pattern: new RegExp(String.raw`^(?<year>\d\d)${COMPACT}(?<second>\d\d)Z$`), firstOf1900: 69 },
  { pattern: new RegExp(String.raw`^(?<year>\d{4})${COMPACT}(?<second>\d\d)Z$`) },
  // ISO 8601, as Python's str() and isoformat() write it.
  { pattern: new RegExp(`^${DATE}[ T]${TIME}${OFFSET}:?(?<offsetMinute>\\d\\d)`) },
  // ASN.1 with an offset.
  {
    pattern: new RegExp(`^(?<year>\\d\\d)${COMPACT}(?<second>\\d\\d)${OFFSET}(?<offsetMinute>\\d\\d)`),
    firstOf1900: 50,
  },
  { pattern: new RegExp(`^(?<year>\\d{4})${COMPACT}(?<second>\\d\\d)${OFFSET}(?<offsetMinute>\\d\\d)`) },
  { pattern: new RegExp(`^${DATE}[ T]${TIME}`) },
];

/** Milliseconds since 1970, whole seconds. @throws FormatError */
export function parseTime(text: string): number {
  for (const { pattern, firstOf1900 } of FORMS) {
    const groups = pattern.exec(text)?.groups;
    const ms = groups && timeOf(groups, firstOf1900);
    if (ms === undefined) continue;
    if (ms < FIRST_TIME_MS || ms > LAST_TIME_MS) break;
    return ms;
  }
  throw new FormatError(`'${text}' does not match any accepted time format`);
}

function timeOf(groups: Record<string, string>, firstOf1900: number | undefined): number | undefined {
  const number = (name: string) => Number(groups[name] ?? 0);
  const [month, day, hour, minute, second] = ["month", "day", "hour", "minute", "second"].map(number) as Five;
  const [offsetHour, offsetMinute] = [number("offsetHour"), number("offsetMinute")];
  if (hour > 24 || minute > 60 || second > 60 || Math.abs(offsetHour) > 23 || offsetMinute > 60) return undefined;
  let year = number("year");
  if (firstOf1900 !== undefined) year += year >= firstOf1900 ? 1900 : 2000;
  // Not by the constructor, which takes the first hundred years for those after 1900.
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  // Quirk: the minutes of an offset count ahead of UTC, also where its hours count behind.
  const seconds = (hour - offsetHour) * 3600 + (minute - offsetMinute) * 60 + Math.floor(second);
  return date.getTime() + seconds * 1000;
}

type Five = [number, number, number, number, number];
