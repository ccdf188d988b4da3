import { strict as assert } from "node:assert";
import { join } from "node:path";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { MAX_VECTOR_FILE_BYTES } from "../../shared/limits.ts";
import { RecordedOutput } from "../../tests/recorded_output.ts";
import { withVectors } from "../../tests/vector_folder.ts";
import { runVectors } from "./quote_vectors.ts";

function run(path: string, json = false) {
  const output = new RecordedOutput();
  return { code: runVectors(path, json, noblePrimitives, output), output };
}

Deno.test("quote vectors prints what is not as the file says, and the numbers last", async () => {
  await withVectors(({ path, write }) => {
    write({});
    const good = run(path);
    assert.deepEqual([good.code, good.output.lines], [0, ["2 passed, 0 failed"]]);
    assert.deepEqual(good.output.progressed, [[1, 2], [2, 2]]);

    write({ expect: { verdict: "accept", svn: 1, feed: "\u202e" } });
    const bad = run(path);
    assert.deepEqual([bad.code, bad.output.lines], [1, [
      "BAD vector: expected is svn 1; found is 105",
      'BAD vector: expected is feed "\\u202e"; found is "ContainerPlat-AMD-UVM"',
      "1 passed, 1 failed",
    ]]);
  });
});

Deno.test("quote vectors --json prints one document", async () => {
  await withVectors(({ path, write }) => {
    write({ expect: { verdict: "accept", svn: 1 } });
    const { code, output } = run(path, true);
    assert.equal(code, 1);
    assert.deepEqual(JSON.parse(output.text), {
      passed: 1,
      failed: 1,
      deviations: [{ id: "vector", problem: "expected is svn 1; found is 105" }],
    });
  });
});

Deno.test("quote vectors tells of files that are missing, no files, too large, or elsewhere", async () => {
  await withVectors(({ path, folder, write }) => {
    Deno.mkdirSync(join(folder, "inner"));
    const problemOf = (uvm: string) => {
      write({ files: { uvm } });
      return run(path).output.lines[0];
    };
    assert.equal(problemOf("nothing.cose"), "BAD vector: Cannot read nothing.cose: there is no such file");
    assert.equal(problemOf("inner"), "BAD vector: Cannot read inner: it is no file");
    Deno.writeFileSync(join(folder, "inner/large"), new Uint8Array());
    Deno.truncateSync(join(folder, "inner/large"), MAX_VECTOR_FILE_BYTES + 1);
    const size = `it has ${MAX_VECTOR_FILE_BYTES + 1} bytes, at most ${MAX_VECTOR_FILE_BYTES}`;
    assert.equal(problemOf("inner/large"), `BAD vector: Cannot read inner/large: ${size}`);
    for (const elsewhere of ["../document.cose", join(folder, "document.cose"), "inner/../../x"]) {
      assert.match(
        problemOf(elsewhere)!,
        /it must be a path below the folder of the file of vectors$|must be an array$/,
      );
    }
  });
});

Deno.test("quote vectors refuses what is no file of vectors, and one without any", async () => {
  await withVectors(({ path }) => {
    const table: readonly [text: string, problem: RegExp][] = [
      ["", /^Cannot evaluate .*: Cannot read 0 characters as JSON$/],
      ["[]", /^Cannot evaluate .*: Cannot read JSON at "": it must be an object$/],
      ['{"format":1,"\\u001b[31m":1}', /^Cannot evaluate /],
      [
        '{"format":1,"generated":"","policyDefaults":{},"vectors":[],"negatives":[]}',
        /^Cannot evaluate .*: there is no vector in it$/,
      ],
    ];
    for (const [text, message] of table) {
      Deno.writeTextFileSync(path, text);
      assert.throws(() => run(path), { name: "UsageError", message });
    }
    assert.throws(() => run("/nowhere/vectors.json"), {
      name: "UsageError",
      message: "Cannot read the vectors /nowhere/vectors.json: there is no such file",
    });
  });
});
