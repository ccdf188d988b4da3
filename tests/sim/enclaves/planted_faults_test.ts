/**
 * Every planted fault is caught: in a copy of the sources in a temporary folder, run as `deno task sim` runs them. That
 * nothing is caught without one is what schedule_test.ts tests.
 */

import { forEachFault, requireCaught } from "../planted_copies.ts";
import { PLANTED_FAULTS } from "./planted_faults.ts";

/** What nodes and their simulation are made of. */
const SOURCES = ["shared", "enclave", "node", "tests/sim", "getting_started/constitution"];
/** Within so many each fault must be caught. Where its plan fits, a few suffice. */
const SCHEDULES = 100;

Deno.test("every planted fault of whole nodes is caught by the property that it breaks", async (t) => {
  await forEachFault(t, SOURCES, PLANTED_FAULTS, (target, fault) => {
    return requireCaught(target, fault, SCHEDULES, `--plan=${JSON.stringify(fault.plan)}`);
  });
});
