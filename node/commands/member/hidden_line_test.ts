import { strict as assert } from "node:assert";
import { MAX_PASSPHRASE_BYTES } from "../../../shared/limits.ts";
import { UsageError } from "../exit.ts";
import { Interrupted, type RawTerminal, readHiddenLine } from "./hidden_line.ts";

/** A terminal at which someone types this. */
function typing(...chunks: string[]) {
  const log: string[] = [];
  const terminal: RawTerminal = {
    isTerminal: () => true,
    setRaw: (raw) => void log.push(raw ? "raw" : "cooked"),
    read: (buffer) => {
      const chunk = chunks.shift();
      return Promise.resolve(chunk === undefined ? null : new TextEncoder().encodeInto(chunk, buffer).written);
    },
    write: (text) => void log.push(text),
  };
  return { terminal, log };
}

Deno.test("readHiddenLine() answers what was typed and shows none of it", async () => {
  const { terminal, log } = typing("cor", "rect\r", "more");
  assert.equal(await readHiddenLine("Passphrase: ", terminal), "correct");
  assert.deepEqual(log, ["Passphrase: ", "raw", "cooked", "\n"]);
});

Deno.test("readHiddenLine() takes back characters whole, and the line", async () => {
  assert.equal(await readHiddenLine("", typing("aé\x7fb\n").terminal), "ab");
  assert.equal(await readHiddenLine("", typing("\x7f\x08a日\x08\x08b\n").terminal), "b");
  assert.equal(await readHiddenLine("", typing("wrong\x15right\n").terminal), "right");
});

Deno.test("readHiddenLine() ends with Ctrl-C, Ctrl-D or the end of input, and leaves the terminal as it was", async () => {
  for (const keys of [["a\x03"], ["\x04"], ["a"]]) {
    const { terminal, log } = typing(...keys);
    await assert.rejects(readHiddenLine("", terminal), Interrupted);
    assert.deepEqual(log.slice(-2), ["cooked", "\n"]);
  }
});

Deno.test("readHiddenLine() asks nobody where there is no terminal, and reads no endless line", async () => {
  const { terminal, log } = typing("a\n");
  assert.equal(await readHiddenLine("?", { ...terminal, isTerminal: () => false }), undefined);
  assert.deepEqual(log, []);
  const chunks = Array.from({ length: MAX_PASSPHRASE_BYTES / 128 + 1 }, () => "x".repeat(128));
  await assert.rejects(readHiddenLine("", typing(...chunks).terminal), UsageError);
});
