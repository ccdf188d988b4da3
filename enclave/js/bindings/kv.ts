/**
 * `ccf.kv`: tables of the call's transaction, by name.
 *
 * A handle is a host object with the number of its table in it: it can be kept between calls, and means the table of
 * that name in whatever transaction runs. Rights are looked up when a method is called, never when a handle is made.
 * Rules and texts: js-apps.md §8.2, CCF src/js/extensions/ccf/kv_helpers.h, src/js/permissions_checks.h
 */

import { fromByteString, toByteString } from "../../../shared/bytes.ts";
import type { RawTable } from "../../../shared/kv/table.ts";
import { categoryOf, domainOf } from "../../../shared/kv/table_name.ts";
import type { Execution } from "../../app_engine.ts";
import type { Arguments, Binding, Call, HostFunction } from "../binding.ts";
import { ScriptError } from "../machine.ts";
import type { Pointer } from "../wasm_instance.ts";

export const kv: Binding = {
  hidden: {
    handle: {
      length: 1,
      anytime: true,
      run: (call, given) => call.machine.newHostObject(call.tableId(call.machine.textOf(given.at(0)))),
    },
    has: method("has", "read", 1, ({ machine }, table, given) => machine.newBoolean(table.has(keyOf(given)))),
    get: method("get", "read", 1, ({ machine }, table, given) => {
      const value = table.get(keyOf(given));
      return value === undefined ? 0 : machine.newBuffer(value);
    }),
    set: method("set", "write", 2, ({ machine }, table, given) => {
      const text = "Arguments must be ArrayBuffers";
      table.put(toByteString(given.buffer(0, text)), given.buffer(1, text).slice());
      return machine.duplicate(given.self);
    }),
    delete: method("delete", "write", 1, (_call, table, given) => {
      table.remove(keyOf(given));
      return 0;
    }),
    clear: method("clear", "write", 0, (_call, table) => {
      table.clear();
      return 0;
    }),
    // In the order of keys. CCF's is that of its hash tries, then of the transaction's own writes: js-apps.md §8.2 calls
    // it unspecified, and no ledger shows it, since write sets are in the order of keys there too.
    forEach: method("forEach", "read", 1, ({ machine }, table, given) => {
      if (!machine.isFunction(given.at(0))) throw new ScriptError("TypeError", "Argument must be a function");
      for (const [key, value] of table.entries()) {
        const parts = [machine.newBuffer(value), machine.newBuffer(fromByteString(key))] as const;
        machine.free(machine.call(given.at(0), ...parts, given.self));
        for (const part of parts) machine.free(part);
      }
      return 0;
    }),
    getVersionOfPreviousWrite: method("getVersionOfPreviousWrite", "read", 1, ({ machine }, table, given) => {
      const seqno = table.versionOfPreviousWrite(keyOf(given));
      return seqno === undefined ? 0 : machine.newNumber(seqno);
    }),
    size: method("size", "read", 0, ({ machine }, table) => machine.newNumber(table.size)),
  },

  setup: `({ handle, size, ...methods }, { ccf }) => {
    const handles = { __proto__: null };
    const { setPrototypeOf } = Object;
    Object.defineProperty(methods, "size", { get: size, enumerable: true });
    ccf.kv = new Proxy({}, {
      get: (target, name) =>
        typeof name === "string" ? (handles[name] ??= setPrototypeOf(handle(name), methods)) : target[name],
    });
  }`,
};

/** One method of a handle: arguments are counted first, then rights are looked up. */
function method(
  name: string,
  need: "read" | "write",
  count: number,
  run: (call: Call, table: RawTable, given: Arguments) => Pointer,
): HostFunction {
  return {
    length: count,
    run(call, given) {
      const id = call.machine.hostObjectId(given.self);
      if (id === 0) throw new ScriptError("TypeError", "Internal: No map name stored on handle");
      const tableName = call.tableName(id);
      const { execution } = call.context;
      const rights = rightsOn(tableName, execution);
      if (!rights[need]) throw new ScriptError("TypeError", refusal(name, tableName, rights, execution));
      given.expect(count);
      return run(call, call.table(id), given);
    },
  };
}

function keyOf(given: Arguments): string {
  return toByteString(given.buffer(0));
}

export interface Rights {
  readonly read: boolean;
  readonly write: boolean;
}

const NONE: Rights = { read: false, write: false };
const READ: Rights = { read: true, write: false };
const WRITE: Rights = { read: false, write: true };
const BOTH: Rights = { read: true, write: true };

/** The table of js-apps.md §8.2. */
export function rightsOn(tableName: string, execution: Execution): Rights {
  const isPublic = domainOf(tableName) === "public";
  const category = categoryOf(tableName);
  if (category === undefined) return NONE; // a reserved name is nobody's
  switch (execution) {
    case "application":
      return category === "application" ? BOTH : isPublic ? READ : NONE;
    case "read-only application":
      return category === "application" || isPublic ? READ : NONE;
    case "read-only governance":
      return category !== "application" && isPublic ? READ : NONE;
    case "read-write governance":
      if (!isPublic) return NONE;
      return category === "application" ? WRITE : category === "governance" ? BOTH : READ;
  }
}

function refusal(method: string, tableName: string, rights: Rights, execution: Execution): string {
  const kind = rights.read ? "read-only" : rights.write ? "write-only" : "inaccessible";
  return `Cannot call "${method}" on table named ${tableName}. This table is ${kind} in current (${execution}) ` +
    "execution context. See https://microsoft.github.io/CCF/main/audit/read_write_restrictions.html for more detail.";
}
