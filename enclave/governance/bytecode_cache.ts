/**
 * The compiled form of an app's modules, kept beside them in the tables.
 *
 * It is made when an app is installed, which proves that every module compiles and finds what it imports; a ledger's
 * reader sees by the version what made it. Rules: js-apps.md §1, §7
 */

import { MODULES, MODULES_QUICKJS_BYTECODE, MODULES_QUICKJS_VERSION } from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { installedProgram } from "../js_app.ts";
import type { EffectSource } from "./effect_source.ts";

/** Compiles every module that is installed, anew. @throws FormatError where one does not compile */
export function refreshBytecodeCache(tx: Transaction, { engine, primitives }: EffectSource): void {
  const names = [...tx.open(MODULES).entries()].map(([name]) => name);
  const compiled = engine.compileAhead(installedProgram(tx, primitives), names);
  tx.open(MODULES_QUICKJS_VERSION).put(engine.bytecodeVersion);
  const table = tx.open(MODULES_QUICKJS_BYTECODE);
  table.clear();
  for (const [name, bytecode] of compiled) table.put(name, bytecode);
}
