import { strict as assert } from "node:assert";
import { CHANNEL_LOG_WINDOW_MS, MAX_CHANNEL_LOG_LINES } from "../../shared/limits.ts";
import { BoundedLog } from "./bounded_log.ts";

function recorded() {
  const lines: string[] = [];
  return { lines, log: new BoundedLog((level, message) => lines.push(`${level} ${message}`)) };
}

Deno.test("BoundedLog writes so many lines in a window, then tells how many it left out", () => {
  const { lines, log } = recorded();
  for (let i = 0; i < MAX_CHANNEL_LOG_LINES + 5; i++) log.add("fail", `line ${i}`, 1000 + i);
  assert.equal(lines.length, MAX_CHANNEL_LOG_LINES);
  log.tick(1000 + CHANNEL_LOG_WINDOW_MS - 1);
  assert.equal(lines.length, MAX_CHANNEL_LOG_LINES);
  log.add("fail", "next", 1000 + CHANNEL_LOG_WINDOW_MS);
  assert.deepEqual(lines.slice(-2), ["fail 5 more lines on messages between nodes were left out", "fail next"]);
});

Deno.test("BoundedLog counts each level apart, so that many lines of one hide none of another", () => {
  const { lines, log } = recorded();
  for (let i = 0; i < 1000; i++) log.add("debug", "late", 0);
  log.add("fail", "forged", 0);
  assert.equal(lines.at(-1), "fail forged");
});

Deno.test("BoundedLog begins a new window where the clock goes back", () => {
  const { lines, log } = recorded();
  for (let i = 0; i < 1000; i++) log.add("fail", "then", 1e12);
  log.add("fail", "now", 5);
  assert.equal(lines.at(-1), "fail now");
});
