/**
 * The ledger commands as users start them: exit codes, what goes where, and the permissions they keep.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { PINNING_PERMISSIONS, READING_PERMISSIONS } from "../../node/commands/ledger.ts";
import { ROOT } from "../readme.ts";
import { ledgerDirectory } from "../services.ts";
import { teamTest } from "../team_data.ts";
import { type CommandOutput, run } from "./sandbox.ts";

async function start(program: string, ...args: readonly string[]): Promise<CommandOutput> {
  const { code, stdout, stderr } = await new Deno.Command(program, { args: [...args], cwd: ROOT }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

teamTest("ledger commands end with the exit codes they promise, and without stack traces", async () => {
  const { ledger, common } = ledgerDirectory("recorded_join");
  const certificate = (service: string) => join(ledgerDirectory(service).common, "service_cert.pem");
  const enc = (name: string) => join(common, `${name}_enc_privk.pem`);
  const cases: [number, RegExp, RegExp, ...string[]][] = [
    [
      0,
      /^Verified: 47 transactions, signed up to 2\.47\n {2}service [0-9a-f]{64}\n$/,
      /^$/,
      "verify",
      ledger,
      "--member-key",
      enc("member0"),
      enc("member1"),
    ],
    [
      1,
      /^Refused: transaction 1: The service has key/,
      /^$/,
      "verify",
      ledger,
      "--service-cert",
      certificate("recorded_rekey"),
    ],
    [
      1,
      /^\{\n {2}"verdict": "refused",\n {2}"first_failing_seqno": 2,/,
      /^$/,
      "verify",
      ledgerDirectory("cose_flipflop_service").ledger,
      "--json",
    ],
    [2, /^$/, /^error: missing required argument 'DIR'\n/, "verify"],
    [2, /^$/, /^error: unknown option '--nothing'\n/, "verify", ledger, "--nothing"],
    [2, /^$/, /^Cannot read the ledger directory \/nowhere: there is no such directory\n$/, "verify", "/nowhere"],
    [2, /^$/, /^error: unknown command 'nothing'/, "nothing"],
    [0, /^Usage: quorate ledger decrypt [^]*Examples:/, /^$/, "decrypt", "--help"],
    [
      0,
      /^2\.30 {2}205 bytes, ledger_12-31\.committed\n {2}encrypted, 80 bytes\n$/,
      /^Nothing is verified here: .*\n$/,
      "show",
      ledger,
      "--from",
      "30",
      "--to",
      "30",
    ],
  ];
  const ended = await Promise.all(cases.map(([, , , ...args]) => run("ledger", ...args)));
  for (const [i, [code, stdout, stderr, ...args]] of cases.entries()) {
    assert.equal(ended[i]!.code, code, `${args.join(" ")}\n${ended[i]!.stderr}`);
    assert.match(ended[i]!.stdout, stdout);
    assert.match(ended[i]!.stderr, stderr);
  }
});

teamTest("ledger show ends quietly when its reader goes away", async () => {
  const { ledger } = ledgerDirectory("recorded_rekey");
  const script = `deno task --quiet run ledger show ${ledger} --json | head -c 100; echo " \${PIPESTATUS[0]}"`;
  const { stdout, stderr } = await start("bash", "-c", script);
  assert.match(stdout, /^\{"tx_id":"2\.1".{86} 0\n$/);
  assert.equal(stderr, "Nothing is verified here: ledger verify does that\n");
});

teamTest("ledger commands give up every permission but those they name", async () => {
  const { ledger, common } = ledgerDirectory("recorded_join");
  const folder = await Deno.makeTempDir();
  try {
    const script = join(folder, "probe.ts");
    const command = new URL("../../node/commands/ledger.ts", import.meta.url);
    Deno.writeTextFileSync(
      script,
      `import { ledgerCommand } from ${JSON.stringify(command.href)};
      await ledgerCommand().parseAsync(Deno.args, { from: "user" });
      const names = ["read", "write", "net", "env", "run", "sys", "ffi"] as const;
      console.log("\\n" + names.filter((name) => Deno.permissions.querySync({ name }).state === "granted").join());`,
    );
    const keptBy = async (...args: readonly string[]) => {
      const { code, stdout, stderr } = await start(
        "deno",
        "run",
        "--config",
        join(ROOT, "deno.json"),
        "-A",
        script,
        ...args,
      );
      assert.equal(code, 0, stderr);
      return stdout.trimEnd().split("\n").at(-1)!.split(",");
    };
    const keys = ["member0", "member1"].map((name) => join(common, `${name}_enc_privk.pem`));
    const kept = await Promise.all([
      keptBy("verify", ledger),
      keptBy("show", ledger, "--to", "1"),
      keptBy("decrypt", ledger, "--to", "1", "--member-key", ...keys),
      keptBy("verify", ledger, "--pin", join(folder, "ledger.pin")),
    ]);
    const expected = [READING_PERMISSIONS, READING_PERMISSIONS, READING_PERMISSIONS, PINNING_PERMISSIONS];
    assert.deepEqual(kept.map((names) => names.sort()), expected.map((names) => [...names].sort()));
    assert.deepEqual([...READING_PERMISSIONS, ...PINNING_PERMISSIONS], ["read", "env", "read", "env", "write"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
