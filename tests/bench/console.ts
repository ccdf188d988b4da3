/**
 * How fast the console is in a browser: first paint, size, a long list, a long ledger from files, answers, receipts.
 *
 * It runs in a process of its own, for it drives a browser, which takes every permission. Out: figures.
 */

import { join } from "node:path";
import { ROOT } from "../readme.ts";
import type { Figure } from "./figure.ts";

export async function benchConsole(): Promise<Figure[]> {
  const { code, stdout } = await new Deno.Command("deno", {
    args: ["run", "--no-prompt", "--allow-all", join(ROOT, "tests/bench/console_browser.ts")],
    stderr: "inherit",
  }).output();
  if (code !== 0) throw new Error("The console could not be measured: see above");
  return JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1)!);
}
