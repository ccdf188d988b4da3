import { strict as assert } from "node:assert";
import { fromFileUrl, statSyncOrUndefined } from "../paths.ts";
import { LONG_TESTS, outcomeOf, summaryOf, testsIn, UNIT_FILES, UNIT_FOLDERS } from "./run_tests.ts";

const none = new Map<string, number>();

Deno.test("outcomeOf() reads the last summary, coloured or not, with or without steps", () => {
  const plain =
    "ok | 1 passed | 0 failed (3ms)\nFAILED | 12 passed (30 steps) | 2 failed (1 step) | 4 ignored (2s)\n\nerror: Test failed\n";
  assert.deepEqual(outcomeOf(plain, false), { passed: 12, failed: 2, skipped: none });
  const coloured = "\n\x1b[0m\x1b[32mok\x1b[0m | 20 passed | 0 failed \x1b[0m\x1b[38;5;245m(41ms)\x1b[0m\n";
  assert.deepEqual(outcomeOf(coloured, true), { passed: 20, failed: 0, skipped: none });
});

Deno.test("outcomeOf() counts a run that broke off as a failure", () => {
  assert.deepEqual(outcomeOf("error: Type checking failed.\n", false), { passed: 0, failed: 1, skipped: none });
  assert.deepEqual(outcomeOf("ok | 3 passed | 0 failed (1s)\n", false), { passed: 3, failed: 1, skipped: none });
  assert.deepEqual(outcomeOf("", true), { passed: 0, failed: 0, skipped: none });
});

Deno.test("outcomeOf() counts skipped tests apart, by reason", () => {
  const output =
    "a ... ok\n1 skipped: no folder\nb ... ok\n1 skipped: no python\n1 skipped: no folder\nok | 7 passed | 0 failed (1s)\n";
  const skipped = new Map([["no folder", 2], ["no python", 1]]);
  assert.deepEqual(outcomeOf(output, true), { passed: 4, failed: 0, skipped });
});

Deno.test("summaryOf() adds runs up and ends with what passed and failed", () => {
  const skipped = new Map([["no folder", 2]]);
  assert.deepEqual(summaryOf([{ passed: 4, failed: 0, skipped }, { passed: 1, failed: 0, skipped }]), {
    lines: ["4 skipped: no folder", "5 passed, 0 failed"],
    succeeded: true,
  });
  assert.deepEqual(summaryOf([{ passed: 4, failed: 0, skipped: none }, { passed: 0, failed: 1, skipped: none }]), {
    lines: ["4 passed, 1 failed"],
    succeeded: false,
  });
});

Deno.test("every file and folder of tests that is named is there", () => {
  const root = new URL("../../", import.meta.url);
  const missing = [...UNIT_FOLDERS, ...UNIT_FILES, ...LONG_TESTS].filter((path) => {
    return statSyncOrUndefined(fromFileUrl(new URL(path, root))) === undefined;
  });
  assert.deepEqual(missing, []);
});

Deno.test("testsIn() finds the tests of a folder and of those in it", () => {
  const found = testsIn("tests/tools");
  assert.ok(found.includes("tests/tools/run_tests_test.ts") && !found.includes("tests/tools/run_tests.ts"));
  assert.ok(testsIn("shared").includes("shared/ledger/replay_test.ts"));
});
