/**
 * From what an endpoint's function returned to an HTTP response.
 *
 * In: a value in QuickJS. Out: status, headers and body, or the reason why it is none.
 * Rules and texts: js-apps.md §5
 */

import { fromUtf8Lenient } from "../../shared/bytes.ts";
import type { AppResponse } from "../app_engine.ts";
import { type Machine, PendingException } from "./machine.ts";
import type { Pointer } from "./wasm_instance.ts";

/** The value is no response. */
export class InvalidResponse extends Error {
  /** @param isThrown whether an exception is pending that says why */
  constructor(reason: string, readonly isThrown = false) {
    super(`Invalid endpoint function return value (${reason}).`);
  }
}

/** @throws InvalidResponse */
export function readResponse(machine: Machine, value: Pointer): AppResponse {
  if (!machine.isObject(value)) throw new InvalidResponse("not an object");
  const headers = new Headers();
  const body = readMember(machine, value, "body", (member) => readBody(machine, member, headers));
  readMember(machine, value, "headers", (member) => readHeaders(machine, member, headers));
  const status = readMember(machine, value, "statusCode", (member) => readStatus(machine, member));
  return { status, headers: headers.list(), body };
}

const WRONG = {
  body: "error during JSON conversion of body",
  headers: "header value type",
  statusCode: "status code type",
} as const;

function readMember<T>(machine: Machine, object: Pointer, name: keyof typeof WRONG, read: (member: Pointer) => T): T {
  try {
    const member = machine.getMember(object, name);
    const made = read(member);
    machine.free(member);
    return made;
  } catch (error) {
    if (!(error instanceof PendingException)) throw error;
    // CCF says more of a body only.
    if (name !== "body") machine.free(machine.takeException());
    throw new InvalidResponse(WRONG[name], name === "body");
  }
}

function readBody(machine: Machine, value: Pointer, headers: Headers): Uint8Array {
  if (machine.isUndefined(value)) return new Uint8Array();
  const bytes = machine.bytesOf(value);
  if (bytes !== undefined) {
    headers.set("content-type", "application/octet-stream");
    return bytes;
  }
  const isText = machine.isString(value);
  headers.set("content-type", isText ? "text/plain" : "application/json");
  return isText ? machine.utf8Of(value) : machine.jsonOf(value);
}

function readHeaders(machine: Machine, object: Pointer, headers: Headers): void {
  if (!machine.isObject(object)) return;
  const keys = machine.call("keys", object);
  const names = JSON.parse(fromUtf8Lenient(machine.jsonOf(keys))) as string[];
  machine.free(keys);
  for (const name of names) {
    const value = machine.getMember(object, name);
    headers.set(name, machine.textOf(value));
    machine.free(value);
  }
}

function readStatus(machine: Machine, value: Pointer): number {
  if (machine.isUndefined(value) || machine.isNull(value)) return 200;
  const status = machine.isNumber(value) ? machine.numberOf(value) : NaN;
  if ((status | 0) !== status) throw new InvalidResponse(WRONG.statusCode);
  return status;
}

/** Names are kept as given, but two that differ in case only are one header: the later wins, in the earlier's place. */
class Headers {
  readonly #entries = new Map<string, readonly [name: string, value: string]>();

  set(name: string, value: string): void {
    this.#entries.set(name.toLowerCase(), [name, value]);
  }

  list(): (readonly [name: string, value: string])[] {
    return [...this.#entries.values()];
  }
}
