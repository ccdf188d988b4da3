/**
 * Which bindings a script gets, by the kind of script. What is not here is simply absent from `ccf`.
 *
 * The order is that of the members of `ccf` in CCF (js-apps.md, "Checked against a running node").
 */

import type { Execution } from "../../app_engine.ts";
import type { Binding, HostFunction } from "../binding.ts";
import { consensus } from "./consensus.ts";
import { consoleBinding } from "./console.ts";
import { converters } from "./converters.ts";
import { crypto } from "./crypto.ts";
import { effects } from "./effects.ts";
import { gov } from "./gov.ts";
import { kv } from "./kv.ts";
import { math } from "./math.ts";
import { network } from "./network.ts";
import { node } from "./node.ts";
import { request } from "./request.ts";
import { rpc } from "./rpc.ts";

/** Scripts of one kind see the same names. A "bare" one sees none of ours: texts that are only looked at. */
export type ScriptKind = "application" | "governance" | "governance effects" | "bare";

export function kindOf(execution: Execution): Exclude<ScriptKind, "bare"> {
  switch (execution) {
    case "application":
    case "read-only application":
      return "application";
    case "read-only governance":
      return "governance";
    case "read-write governance":
      return "governance effects";
  }
}

export const BINDINGS: Readonly<Record<ScriptKind, readonly Binding[]>> = {
  "application": [consoleBinding, math, converters, crypto, gov, consensus, kv, rpc, request],
  "governance": [consoleBinding, math, converters, crypto, gov, kv],
  "governance effects": [consoleBinding, math, converters, crypto, gov, kv, node, network, effects],
  "bare": [],
};

const named = new Map<HostFunction, string>(
  Object.values(BINDINGS).flat().flatMap(({ functions = {}, hidden = {} }) =>
    [...Object.entries(functions), ...Object.entries(hidden)].map(([path, host]) =>
      [host, path.slice(path.lastIndexOf(".") + 1)] as const
    )
  ),
);

/** Every host function; its place here is the number by which QuickJS calls it. */
export const HOST_FUNCTIONS: readonly HostFunction[] = [...named.keys()];
/** Their names in stack traces. */
export const HOST_FUNCTION_NAMES: readonly string[] = [...named.values()];
