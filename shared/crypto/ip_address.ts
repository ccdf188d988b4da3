/**
 * IP addresses as bytes and as text.
 *
 * In: 4 or 16 bytes, or text. Out: the other. IPv6 is printed as RFC 5952 §4 asks: lower case, the longest run of at
 * least two zero groups as `::`.
 */

import { FormatError } from "../assert.ts";

/** Eight groups, the last two in dotted decimal. */
const MAX_LENGTH = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".length;

/** @throws FormatError where there are neither 4 nor 16 bytes */
export function ipAddressToText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) {
    throw new FormatError(`Cannot read an IP address: it has ${bytes.length} bytes, not 4 or 16`);
  }
  const groups: number[] = [];
  for (let at = 0; at < 16; at += 2) groups.push(bytes[at]! * 256 + bytes[at + 1]!);

  const hex = (from: number, to: number) => groups.slice(from, to).map((group) => group.toString(16)).join(":");
  const run = longestZeroRun(groups);
  return run.length < 2 ? hex(0, 8) : `${hex(0, run.start)}::${hex(run.start + run.length, 8)}`;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (groups[end] === 0) end++;
    if (end - start > best.length) best = { start, length: end - start };
  }
  return best;
}

/**
 * Reads an IPv4 address in dotted decimal without leading zeros, or an IPv6 address with at most one `::` and maybe an
 * IPv4 tail; no zone, no brackets.
 *
 * @throws FormatError
 */
export function ipAddressFromText(text: string): Uint8Array {
  const bytes = text.length > MAX_LENGTH ? undefined : text.includes(":") ? parseV6(text) : parseV4(text);
  if (bytes === undefined) throw new FormatError(`Cannot read ${JSON.stringify(text.slice(0, 60))} as an IP address`);
  return Uint8Array.from(bytes);
}

function parseV4(text: string): number[] | undefined {
  if (!/^(?:(?:0|[1-9][0-9]{0,2})(?:\.(?!$)|$)){4}$/.test(text)) return undefined;
  const bytes = text.split(".").map(Number);
  return bytes.every((byte) => byte < 256) ? bytes : undefined;
}

function parseV6(text: string): number[] | undefined {
  const halves = text.split("::").map((half) => half === "" ? [] : half.split(":"));
  const [head, tail] = halves;
  if (head === undefined || halves.length > 2) return undefined;
  const front = groupsToBytes(head, tail === undefined);
  if (tail === undefined) return front?.length === 16 ? front : undefined;
  const back = groupsToBytes(tail, true);
  if (front === undefined || back === undefined) return undefined;
  const gap = 16 - front.length - back.length;
  return gap >= 2 ? [...front, ...new Array<number>(gap).fill(0), ...back] : undefined;
}

/** Bytes of groups; the last of an address may be in dotted decimal. */
function groupsToBytes(groups: readonly string[], last: boolean): number[] | undefined {
  const bytes: number[] = [];
  for (const [i, group] of groups.entries()) {
    const v4 = last && i === groups.length - 1 ? parseV4(group) : undefined;
    if (v4 !== undefined) {
      bytes.push(...v4);
    } else {
      if (!/^[0-9A-Fa-f]{1,4}$/.test(group)) return undefined;
      const value = parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    }
  }
  return bytes;
}
