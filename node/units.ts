/**
 * Times, sizes and addresses as configurations and command lines write them.
 *
 * In: text such as "100ms", "5MB", "127.0.0.1:8000". Out: milliseconds, bytes, host and port.
 * Knows nothing of files or of the configuration around them.
 * Format: operations.md §1, include/ccf/ds/unit_strings.h of CCF
 */

import { FormatError } from "../shared/assert.ts";
import { ADDRESS_PATTERN, SIZE_PATTERN, TIME_PATTERN } from "./config_schema.ts";

const MICROSECONDS = new Map([["us", 1], ["ms", 1e3], ["s", 1e6], ["min", 60e6], ["h", 3600e6]]);
const BYTES = new Map(["B", "KB", "MB", "GB", "TB", "PB"].map((unit, power) => [unit, 1024 ** power]));

const timeForm = new RegExp(TIME_PATTERN, "u");
const sizeForm = new RegExp(SIZE_PATTERN, "u");
const addressForm = new RegExp(ADDRESS_PATTERN, "u");

/**
 * A time in milliseconds, which may have a fraction. Quirk of CCF: a bare number counts microseconds.
 *
 * @throws FormatError
 */
export function parseTimeMs(text: string): number {
  if (!timeForm.test(text)) {
    throw new FormatError(`Cannot read ${shown(text)} as a time: it must be a whole number and us, ms, s, min or h`);
  }
  const { count, unit } = split(text);
  const microseconds = count * (MICROSECONDS.get(unit.toLowerCase()) ?? 1);
  if (microseconds > Number.MAX_SAFE_INTEGER) {
    throw new FormatError(`Cannot read ${shown(text)} as a time: it is longer than 285 years`);
  }
  return microseconds / 1000;
}

/**
 * A size in bytes; units are powers of 1024, a bare number counts bytes.
 *
 * @throws FormatError
 */
export function parseSizeBytes(text: string): number {
  if (!sizeForm.test(text)) {
    throw new FormatError(
      `Cannot read ${shown(text)} as a size: it must be a whole number and B, KB, MB, GB, TB or PB`,
    );
  }
  const { count, unit } = split(text);
  const bytes = count * (BYTES.get(unit.toUpperCase()) ?? 1);
  if (bytes > Number.MAX_SAFE_INTEGER) {
    throw new FormatError(`Cannot read ${shown(text)} as a size: it is more than 8 PB`);
  }
  return bytes;
}

/** Where to listen or connect. `host` has no brackets, also for IPv6; port 0 is one that the system chooses. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** @throws FormatError */
export function parseAddress(text: string): Address {
  const at = text.lastIndexOf(":");
  const port = Number(text.slice(at + 1));
  if (!addressForm.test(text) || port > 65535) {
    throw new FormatError(
      `Cannot read ${
        shown(text)
      } as an address: it must look like "127.0.0.1:8000" or "[::1]:8000", with a port up to 65535`,
    );
  }
  const host = text.slice(0, at);
  return { host: host.startsWith("[") ? host.slice(1, -1) : host, port };
}

export function formatAddress(address: Address): string {
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

function split(text: string): { count: number; unit: string } {
  const digits = /^[0-9]+/.exec(text)?.[0] ?? "";
  return { count: Number(digits), unit: text.slice(digits.length) };
}

function shown(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
