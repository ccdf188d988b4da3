import { strict as assert } from "node:assert";
import { lifeState } from "./certificate_life.ts";

const DAY_MS = 86_400_000;

Deno.test("lifeState() goes by the clock that is given", () => {
  const life = { notBeforeMs: 100 * DAY_MS, notAfterMs: 465 * DAY_MS };
  assert.equal(lifeState(life, life.notBeforeMs - 1), "not yet");
  assert.equal(lifeState(life, life.notBeforeMs), "valid");
  assert.equal(lifeState(life, life.notAfterMs - 30 * DAY_MS), "valid");
  assert.equal(lifeState(life, life.notAfterMs - 30 * DAY_MS + 1), "ends soon");
  assert.equal(lifeState(life, life.notAfterMs), "ends soon");
  assert.equal(lifeState(life, life.notAfterMs + 1), "ended");
});
