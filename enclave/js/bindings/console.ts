/**
 * `console`: lines for the node's log. There is no `debug`, as in CCF.
 *
 * Rules: js-apps.md §8.8
 */

import { fromUtf8Lenient } from "../../../shared/bytes.ts";
import type { Arguments, Binding, Call, HostFunction } from "../binding.ts";

export const consoleBinding: Binding = {
  functions: {
    "console.log": line("info"),
    "console.info": line("info"),
    "console.warn": line("fail"),
    "console.error": line("fatal"),
  },
};

function line(level: "info" | "fail" | "fatal"): HostFunction {
  return {
    length: 1,
    anytime: true, // an image keeps its lines, and each call repeats them
    run(call, given) {
      call.log(level, joined(call, given));
      return 0;
    },
  };
}

/** Arguments in one line: objects other than errors as JSON, all else as text. */
function joined({ machine }: Call, given: Arguments): string {
  const words: string[] = [];
  for (let i = 0; i < given.count; i++) {
    const value = given.at(i);
    const asJson = machine.isObject(value) && !machine.isError(value);
    words.push(asJson ? fromUtf8Lenient(machine.jsonOf(value)) : machine.textOf(value));
  }
  return words.join(" ");
}
