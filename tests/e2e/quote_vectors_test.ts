/**
 * `quote vectors` as users start it: exit codes, and what goes where.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { teamData, teamTest } from "../team_data.ts";
import { withVectors } from "../vector_folder.ts";
import { run } from "./sandbox.ts";

teamTest("quote vectors evaluates every vector of the team from the command line", async () => {
  const { code, stdout, stderr } = await run("quote", "vectors", teamData("attestation/vectors/vectors.json"));
  assert.deepEqual([code, stdout, stderr], [0, "478 passed, 0 failed\n", ""]);
});

Deno.test("quote vectors ends with the exit codes it promises, and without stack traces", async () => {
  await withVectors(async ({ folder, path, write }) => {
    write({ verifyAt: "2049-01-01T00:00:00Z" });
    const refused = await run("quote", "vectors", path);
    assert.deepEqual([refused.code, refused.stderr], [1, ""]);
    assert.match(refused.stdout, /^BAD vector: expected is accept; found is rejection for cert_not_valid_at_time: /);
    assert.match(refused.stdout, /\n1 passed, 1 failed\n$/);

    const json = await run("quote", "vectors", path, "--json");
    const { passed, failed, deviations } = JSON.parse(json.stdout);
    assert.deepEqual([json.code, passed, failed, deviations.length], [1, 1, 1, 1]);

    for (const args of [[join(folder, "nothing.json")], [folder], [join(folder, "document.cose")], [], ["a", "b"]]) {
      const { code, stdout, stderr } = await run("quote", "vectors", ...args);
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, /^(Cannot|error: )/);
    }
    const help = await run("quote", "vectors", "--help");
    assert.deepEqual([help.code, help.stderr], [0, ""]);
    assert.match(help.stdout, /The last line is "N passed, N failed"/);
  });
});
