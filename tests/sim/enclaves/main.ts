/**
 * The world of whole enclaves, as `deno task sim` runs it.
 *
 * In: a seed, for how long, and what of each plan is not drawn. Out: whether all held.
 */

import { runSeeds, type SeedOptions } from "../seeds.ts";
import type { Plan } from "./plan.ts";
import { Machinery } from "./powers.ts";
import { type EnclaveReport, runEnclaveSchedule } from "./schedule.ts";

export async function runEnclaveSeeds({ plan, ...options }: SeedOptions & { plan?: Partial<Plan> }): Promise<boolean> {
  const machinery = await Machinery.load();
  const sum = (reports: readonly EnclaveReport[], of: (report: EnclaveReport) => number) =>
    reports.reduce((total, report) => total + of(report), 0);
  return runSeeds({
    name: "Whole enclaves",
    command: `deno task sim${plan === undefined ? "" : ` --plan='${JSON.stringify(plan)}'`}`,
    run: (seed, print) => runEnclaveSchedule(seed, machinery, { print, plan }),
    summary: (reports) =>
      [
        `${sum(reports, ({ nodes }) => nodes)} nodes`,
        `${sum(reports, ({ steps }) => steps)} steps of consensus`,
        `${sum(reports, ({ elections }) => elections)} views after the first`,
        `${sum(reports, ({ committed }) => committed)} entries committed`,
        `${sum(reports, ({ operations }) => operations)} operations of clients`,
        `${sum(reports, ({ receipts }) => receipts)} receipts`,
        `${sum(reports, ({ retired }) => retired)} nodes retired`,
        `${sum(reports, ({ crashed }) => crashed)} crashed`,
        `healed within ${Math.max(0, ...reports.map(({ agreedMs }) => agreedMs))} ms`,
      ].join(", "),
  }, options);
}
