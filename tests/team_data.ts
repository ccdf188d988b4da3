/**
 * Real data of the team folder, for tests: where it is, and what happens where it is not.
 *
 * The folder is `$QUORATE_TEAM_FOLDER`, else `../shared` beside the checkout (decisions of the team: it is read in place,
 * never committed). Without it a test is skipped and says so in one line; with `CI` or `QUORATE_TEAM_FOLDER` set the
 * skip is a failure, so that a green run there has seen the data.
 */

import { fromFileUrl, join, statSyncOrUndefined } from "./paths.ts";

const folder = Deno.env.get("QUORATE_TEAM_FOLDER") ??
  join(fromFileUrl(new URL("../", import.meta.url)), "..", "shared");

/** Whether the team folder is there. */
export const haveTeamData = statSyncOrUndefined(join(folder, "ccf"))?.isDirectory === true;

const mustHaveTeamData = Deno.env.has("CI") || Deno.env.has("QUORATE_TEAM_FOLDER");

/** Absolute path of a file or folder of the team folder, e.g. `ccf/testdata/recorded_rekey`. */
export function teamData(path: string): string {
  return join(folder, path);
}

/** Registers a test that needs the team folder. */
export function teamTest(name: string, test: (t: Deno.TestContext) => void | Promise<void>): void {
  if (haveTeamData) {
    Deno.test(name, test);
    return;
  }
  Deno.test(name, () => {
    const why = `the team folder is not at ${folder}; set QUORATE_TEAM_FOLDER`;
    if (mustHaveTeamData) throw new Error(`Cannot test ${JSON.stringify(name)}: ${why}`);
    console.log(`1 skipped: ${why}`);
  });
}
