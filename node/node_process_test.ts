import { strict as assert } from "node:assert";
import { MAX_SHOWN_LOG_CHARACTERS } from "../shared/limits.ts";
import { formatTextLine } from "./log.ts";
import { condensed } from "./node_process.ts";

const line = { timeMs: 0, threadId: 0, level: "info", tag: "join", file: "enclave/enclave.ts", line: 0 } as const;

Deno.test("condensed() keeps what is worth showing of a line, and of every day's lines nothing", () => {
  for (
    const [change, shown] of [
      [{ message: "This node is Pending" }, "This node is Pending"],
      [{ message: "a | b", tag: "" }, "a | b"],
      [{ message: "Wrote [x]", file: "a/very/long/path/to/a/file.ts", threadId: 100 }, "Wrote [x]"],
      [{ message: "Cannot", level: "fail", tag: "gov" }, "fail: Cannot"],
      [{ message: "Cannot", level: "fatal", tag: "host" }, "fatal: Cannot"],
      [{ message: "a call", tag: "app" }, undefined],
      [{ message: "a vote", tag: "gov" }, undefined],
      [{ message: "a script", tag: "js" }, undefined],
      [{ message: "detail", level: "debug" }, undefined],
      [{ message: "x".repeat(1000) }, "x".repeat(MAX_SHOWN_LOG_CHARACTERS) + "…"],
    ] as const
  ) {
    assert.equal(condensed(formatTextLine({ ...line, ...change }).trimEnd()), shown);
  }
  assert.equal(condensed("    the second line of a message"), undefined);
  assert.equal(condensed(""), undefined);
});
