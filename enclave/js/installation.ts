/**
 * Puts bindings into a machine that no script has seen yet.
 *
 * In: what the files of `bindings/` say. Out: functions under their global names, and whatever the setups make.
 */

import type { Binding, HostFunction } from "./binding.ts";
import { HOST_FUNCTIONS } from "./bindings/registry.ts";
import type { Machine } from "./machine.ts";
import { HOST_FILE } from "./primordials.ts";
import type { Pointer } from "./wasm_instance.ts";

/** Answers what the setup of each binding that has one has made. */
export function install(machine: Machine, bindings: readonly Binding[]): Map<Binding, Pointer> {
  const made = new Map<Binding, Pointer>();
  const global = machine.globalObject();
  const add = (object: Pointer, name: string, host: HostFunction) => {
    const value = machine.newFunction(name, HOST_FUNCTIONS.indexOf(host));
    const length = machine.newNumber(host.length);
    machine.free(machine.call(defineLength, value, length));
    machine.setMember(object, name, value);
    for (const temporary of [value, length]) machine.free(temporary);
  };
  const defineLength = machine.evaluate(
    `(value, length) => { Object.defineProperty(value, "length", { value: length, configurable: true }); }`,
    HOST_FILE,
  );
  for (const binding of bindings) {
    for (const [path, host] of Object.entries(binding.functions ?? {})) {
      const names = path.split(".");
      const owner = names.slice(0, -1).reduce((object, name) => memberOrNew(machine, object, name), global);
      add(owner, names.at(-1)!, host);
    }
    if (binding.setup === undefined) continue;
    const hidden = machine.newValue({});
    for (const [name, host] of Object.entries(binding.hidden ?? {})) add(hidden, name, host);
    made.set(binding, machine.call(machine.evaluate(binding.setup, HOST_FILE), hidden, global));
  }
  return made;
}

function memberOrNew(machine: Machine, object: Pointer, name: string): Pointer {
  const member = machine.getMember(object, name);
  if (!machine.isUndefined(member)) return member;
  const made = machine.newValue({});
  machine.setMember(object, name, made);
  return made;
}
