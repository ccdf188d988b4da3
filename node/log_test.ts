import { strict as assert } from "node:assert";
import { join } from "node:path";
import fc from "fast-check";
import { createLog, formatJsonLine, formatTextLine, type LogLine } from "./log.ts";
import { withTempDirectory } from "./test_file_system.ts";

const line: LogLine = {
  timeMs: Date.UTC(2025, 11, 30, 10, 11, 12, 345),
  threadId: 100,
  level: "info",
  tag: "gov",
  file: "node/host.ts",
  line: 42,
  message: "Opened",
};

Deno.test("formatTextLine() lays a line out as CCF does", () => {
  const time = "2025-12-30T10:11:12.345000Z";
  const good: readonly (readonly [Partial<LogLine>, string])[] = [
    [{}, `${time} 100 [info ][gov] node/host.ts:42                 | Opened\n`],
    [{ level: "fail", tag: "", threadId: 0 }, `${time} 0   [fail ] node/host.ts:42                      | Opened\n`],
    // Of a long path the end stays, and the bar stays in its column.
    [
      { file: "a/very/long/path/to/some/file/of/the/node/host.ts" },
      `${time} 100 [info ][gov] e/file/of/the/node/host.ts:42     | Opened\n`.replace(
        / e\/file.*\|/,
        " me/file/of/the/node/host.ts:42  |",
      ),
    ],
    [{ tag: "t".repeat(60) }, `${time} 100 [info ][${"t".repeat(36)} | Opened\n`],
    // Nothing in a message looks like another line, or moves a cursor.
    [
      { message: "one\r\n2025-12-30 [fatal] two\u001b[2J\t." },
      `${time} 100 [info ][gov] node/host.ts:42                 | one\\x0d\n    2025-12-30 [fatal] two\\x1b[2J\t.\n`,
    ],
  ];
  for (const [change, expected] of good) assert.equal(formatTextLine({ ...line, ...change }), expected);
});

Deno.test("formatJsonLine() has the members of CCF, all of them strings", () => {
  assert.equal(
    formatJsonLine({ ...line, message: 'a "b"\nc' }),
    '{"h_ts":"2025-12-30T10:11:12.345000Z","thread_id":"100","level":"info","tag":"gov","file":"node/host.ts",' +
      '"number":"42","msg":"a \\"b\\"\\nc"}\n',
  );
});

Deno.test("formatTextLine() and formatJsonLine() write one line of any message, without private keys", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string(), (message, tag) => {
      const text = formatTextLine({ ...line, message, tag });
      assert.ok(text.endsWith("\n"));
      for (const continuation of text.slice(0, -1).split("\n").slice(1)) assert.ok(continuation.startsWith("    "));
      const json = formatJsonLine({ ...line, message, tag });
      assert.equal(json.indexOf("\n"), json.length - 1);
      assert.equal((JSON.parse(json) as { msg: string }).msg, message);
    }),
    { numRuns: 40 },
  );
  for (const kind of ["", "EC ", "ENCRYPTED "]) {
    const pem = `-----BEGIN ${kind}PRIVATE KEY-----\nMIG2AgEAMBAG\n-----END ${kind}PRIVATE KEY-----\n`;
    assert.match(formatJsonLine({ ...line, message: `before ${pem}after` }), /"before \[private key\]\\nafter"/);
    assert.match(formatTextLine({ ...line, message: pem.slice(0, 50) }), /\| \[private key\]\n$/);
  }
});

Deno.test("formatTextLine() shortens what is endless", () => {
  const text = formatTextLine({ ...line, message: "x".repeat(100_000) });
  assert.ok(text.endsWith("x… and 34464 more characters\n"));
});

Deno.test("createLog() writes lines from its level on, each with the place that wrote it", async () => {
  await withTempDirectory(async (directory) => {
    const file = `${directory}/node.log`;
    const log = createLog({ format: "Json", level: "INFO", file, console: "none" });
    log.write("debug", "app", "not written");
    log.write("info", "gov", "{not} {a} {template}");
    log.write("fail", "", "second", { threadId: 0, file: "enclave/enclave.ts", line: 7 });
    assert.deepEqual([log.isEnabled("debug"), log.isEnabled("info"), log.isEnabled("fatal")], [false, true, true]);
    // Another log of the process is another file.
    const other = createLog({ format: "Text", level: "trace", file: `${directory}/other.log`, console: "none" });
    other.write("trace", "js", "third");
    await log.close();
    log.write("fatal", "", "too late");
    await other.close();

    const lines = Deno.readTextFileSync(file).trim().split("\n").map((text) =>
      JSON.parse(text) as Record<string, string>
    );
    assert.deepEqual(lines.map(({ h_ts: _, number, ...rest }) => ({ ...rest, number: Number(number) > 0 })), [
      {
        thread_id: "100",
        level: "info",
        tag: "gov",
        file: "node/log_test.ts",
        number: true,
        msg: "{not} {a} {template}",
      },
      { thread_id: "0", level: "fail", tag: "", file: "enclave/enclave.ts", number: true, msg: "second" },
    ]);
    assert.match(lines[0]!["h_ts"]!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}000Z$/);
    assert.match(
      Deno.readTextFileSync(`${directory}/other.log`),
      /^\S+Z 100 \[trace\]\[js\] node\/log_test\.ts:\d+ +\| third\n$/,
    );
  });
});

Deno.test("createLog() adds to a file, and refuses unknown levels and files that cannot be written", async () => {
  await withTempDirectory(async (directory) => {
    const file = `${directory}/node.log`;
    Deno.writeTextFileSync(file, "before\n");
    const log = createLog({ format: "Text", level: "fail", file, console: "none" });
    log.write("fatal", "host", "after");
    await log.close();
    assert.match(Deno.readTextFileSync(file), /^before\n.*\[fatal\]\[host\] .*\| after\n$/);
    assert.throws(() => createLog({ format: "Text", level: "warning" }), {
      name: "FormatError",
      message: 'Cannot log from level "warning" on: it must be one of trace, debug, info, fail, fatal',
    });
    assert.throws(() => createLog({ format: "Text", level: "info", file: directory }), {
      name: "StorageError",
      message: `Cannot write the log ${JSON.stringify(directory)}: it is a directory; choose another path`,
    });
  });
});

Deno.test("createLog() goes on when its file can no longer be written", async () => {
  await withTempDirectory(async (directory) => {
    const log = createLog({ format: "Text", level: "info", file: join(directory, "node.log"), console: "none" });
    const { writeSync } = Deno.FsFile.prototype;
    let failed = 0;
    Deno.FsFile.prototype.writeSync = () => {
      failed++;
      throw new Error("No space left on device (os error 28)");
    };
    try {
      log.write("info", "host", "lost");
    } finally {
      Deno.FsFile.prototype.writeSync = writeSync;
    }
    await log.close();
    assert.equal(failed, 1);
  });
});
