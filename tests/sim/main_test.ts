import { strict as assert } from "node:assert";
import { fromFileUrl, join } from "../paths.ts";

const repository = fromFileUrl(new URL("../../", import.meta.url));

async function sim(...args: string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: ["task", "--quiet", "sim", ...args],
    cwd: repository,
  }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

Deno.test("deno task sim --scenario prints a transcript, and exits with 0 or 1", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "quorate-sim-" });
  try {
    const path = join(folder, "scenario");
    Deno.writeTextFileSync(path, "start_node,0\nemit_signature,2\n");
    const passed = await sim("--scenario", path);
    assert.equal(passed.code, 0, passed.err);
    assert.match(passed.out, /\nemit_signature,2\n.*appends 2, a signature.*\n.*COMMITS 2[^]*\nPassed with seed 1\n$/);
    Deno.writeTextFileSync(path, "start_node,0\nassert_commit_idx,0,2\n");
    const failed = await sim("--scenario", path, "--seed=5");
    assert.equal(failed.code, 1, failed.err);
    assert.match(failed.out, /\nFAILED with seed 5\. Line 2, assert_commit_idx,0,2: 0 committed 0, not 2\n$/);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("deno task sim --bare is the same for the same seed", async () => {
  const [one, other] = [
    await sim("--bare", "--seed=3", "--schedules=2", "--score"),
    await sim("--bare", "--seed=3", "--schedules=2", "--score"),
  ];
  assert.equal(one.code, 0, one.err);
  assert.match(one.out, /\n2 schedules from seed 3: .* All properties held\n$/);
  assert.equal(one.out, other.out);
});

Deno.test("deno task sim exits with 2 where it is not told what to do", async () => {
  const table: readonly [args: string[], message: RegExp][] = [
    [["--scenario", "/nowhere/at-all"], /^Cannot read the scenario \/nowhere\/at-all: /],
    [["--bare", "--seed=x"], /It must be a whole number/],
    [["--bare", "--minutes=0"], /It must be a number above 0/],
    [["--bare", "--properties=LogInv,Nothing"], /There is no Nothing; there are LogInv, /],
    [["--plan={"], /It must be a JSON object/],
    [['--plan={"flip":1}'], /There is no flip; there are firstMembers, /],
    [['--plan={"delayMs":1}'], /delayMs must be like \[\d+,\d+\]/],
    [["--scenarios", "x"], /unknown option '--scenarios'/],
  ];
  for (const [args, message] of table) {
    const { code, err } = await sim(...args);
    assert.equal(code, 2, `${args.join(" ")}: ${err}`);
    assert.match(err, message);
  }
});
