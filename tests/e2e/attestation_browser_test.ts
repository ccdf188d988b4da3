/**
 * Evidence verified in a web page: the same lines, the same verdicts as on the command line (quote_vectors_test.ts).
 */

import { strict as assert } from "node:assert";
import type { PageAnswer } from "../attestation_page.ts";
import { answerOfPage, bundled, withChromium } from "../chromium.ts";
import { teamData, teamTest } from "../team_data.ts";
import { withVectors } from "../vector_folder.ts";

const script = new URL("../attestation_page.ts", import.meta.url);

Deno.test("a script that verifies evidence needs nothing but a browser", async () => {
  assert.doesNotMatch(await bundled(script), /^\s*import\b|\brequire\(|["'`]node:|\bDeno\.|\bprocess\.|\bBuffer\./m);
});

Deno.test("a page says of a vector that does not hold what the command line says", async () => {
  await withChromium(() =>
    withVectors(async ({ folder, write }) => {
      write({ verifyAt: "2049-01-01T00:00:00Z" });
      const { results } = await answerOfPage(await bundled(script), folder, {}) as PageAnswer;
      assert.deepEqual([results.passed, results.failed], [1, 1]);
      assert.match(
        results.deviations[0]!.problem,
        /^expected is accept; found is rejection for cert_not_valid_at_time: /,
      );

      write({ files: { uvm: "nothing.cose" } });
      const page = answerOfPage(await bundled(script), folder, {});
      await assert.rejects(page, /Cannot do in a page what was asked: there is no file nothing\.cose/);
    })
  );
});

teamTest("every vector of the team verifies in Chromium", async () => {
  await withChromium(async () => {
    const answer = await answerOfPage(await bundled(script), teamData("attestation/vectors"), {}) as PageAnswer;
    assert.deepEqual(answer, {
      results: { passed: 478, failed: 0, deviations: [] },
      durationsMs: [],
      foreign: [],
    });
  });
});
