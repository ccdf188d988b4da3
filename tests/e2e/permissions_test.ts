import { strict as assert } from "node:assert";
import { join } from "node:path";
import { ROOT } from "../readme.ts";

/** Every permission that there is, so that a command has something to give up. */
const NAMES = ["read", "write", "net", "env", "run", "sys", "ffi"] as const;

/** For each command, arguments that it gets along with until it has given up what it does not need. */
const COMMANDS:
  readonly (readonly [file: string, factory: string, args: readonly string[], kept: readonly string[]])[] = [
    ["receipt", "receiptCommand", ["verify", "/nowhere", "--service-cert", "/nowhere"], ["read", "env"]],
    ["call", "callCommand", ["/app/commit", "--workspace", "/nowhere"], ["read", "net", "env"]],
    ["call", "callCommand", ["/app/commit", "--workspace", "/nowhere", "-o", "/nowhere/x"], [
      "read",
      "write",
      "net",
      "env",
    ]],
    // Only to build the page a process is started, and before anything else.
    ["console", "consoleCommand", ["--workspace", "/nowhere"], ["read", "net", "env"]],
    ["member", "memberCommand", ["list", "--workspace", "/nowhere"], ["read", "net", "env"]],
    ["member", "memberCommand", ["propose", "/nowhere", "--workspace", "/nowhere"], ["read", "net", "env"]],
    ["member", "memberCommand", ["vote", "ac60", "--yes", "--workspace", "/nowhere"], ["read", "net", "env"]],
    ["member", "memberCommand", ["share", "--workspace", "/nowhere", "--out", "/nowhere/x"], [
      "read",
      "write",
      "net",
      "env",
    ]],
    ["member", "memberCommand", ["finish", "/nowhere", "--signature", "/nowhere", "--cert", "/nowhere"], [
      "read",
      "net",
      "env",
    ]],
    ["node", "nodeCommand", ["--config", "/nowhere", "--check"], ["read", "write", "net", "env"]],
    // Only a sandbox of several nodes starts processes.
    ["node", "nodeCommand", ["--app", "/nowhere"], ["read", "write", "net", "env"]],
    ["node", "nodeCommand", ["--app", "/nowhere", "--nodes", "3"], ["read", "write", "net", "env", "run"]],
    ["console", "consoleCommand", ["--node", "https://127.0.0.1:1", "--service-cert", "/nowhere"], [
      "read",
      "net",
      "env",
    ]],
    ["console", "consoleCommand", ["--node", "https://127.0.0.1:1", "--console-directory", "/nowhere"], [
      "read",
      "net",
      "env",
    ]],
    ["ledger", "ledgerCommand", ["verify", "/nowhere"], ["read", "env"]],
    ["ledger", "ledgerCommand", ["verify", "/nowhere", "--pin", "/nowhere/pin"], ["read", "write", "env"]],
    ["ledger", "ledgerCommand", ["show", "/nowhere"], ["read", "env"]],
    ["ledger", "ledgerCommand", ["decrypt", "/nowhere", "--member-key", "/nowhere"], ["read", "env"]],
    ["quote_vectors", "quoteVectorsCommand", ["/nowhere"], ["read", "env"]],
    ["quote", "quoteCommand", ["verify", "/nowhere"], ["read", "env"]],
    ["quote", "quoteCommand", ["verify", "/nowhere", "--save", "/nowhere/x"], ["read", "write", "env"]],
    ["quote", "quoteCommand", ["verify", "/nowhere", "--pin", "/nowhere/pin"], ["read", "write", "env"]],
    ["quote", "quoteCommand", ["verify", "https://127.0.0.1:1"], ["read", "net", "env"]],
    ["quote", "quoteCommand", ["verify", "/nowhere", "--ledger", "https://127.0.0.1:1"], ["read", "net", "env"]],
  ];

Deno.test("a node that is to be virtual gives up what it does not need before it reads what its configuration names", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const config = join(directory, "config.json");
    const network = {
      node_to_node_interface: { bind_address: "127.0.0.1:0" },
      rpc_interfaces: { rpc: { bind_address: "127.0.0.1:0" } },
    };
    const command = { type: "Join", join: { target_rpc_address: "127.0.0.1:1" } };
    await Deno.writeTextFile(config, JSON.stringify({ network, command, attestation: { platform: "virtual" } }));
    const args = ["--config", config];
    assert.deepEqual(await keptBy("node", "nodeCommand", args), ["read", "write", "net", "env"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

for (const [file, factory, args, kept] of COMMANDS) {
  Deno.test(`${file} ${args.join(" ")} begins by giving up every permission but ${kept.join(", ")}`, async () => {
    assert.deepEqual(await keptBy(file, factory, args), NAMES.filter((name) => kept.includes(name)));
  });
}

/** The permissions that a command still has when it ends. */
async function keptBy(file: string, factory: string, args: readonly string[]): Promise<string[]> {
  const script = `
      import { ${factory} } from ${JSON.stringify(new URL(`../../node/commands/${file}.ts`, import.meta.url).href)};
      const quiet = (command) => { command.exitOverride(); command.commands.forEach(quiet); return command; };
      console.error = () => {};
      try { await quiet(${factory}()).parseAsync(${
    JSON.stringify(args)
  }, { from: "user" }); } catch { /* as expected */ }
      const names = ${JSON.stringify(NAMES)};
      console.log(JSON.stringify(names.filter((name) => Deno.permissions.querySync({ name }).state === "granted")));
      Deno.exit(0);
    `;
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(path, script);
  const { stdout, stderr } = await new Deno.Command("deno", {
    args: ["run", "--no-prompt", "--allow-all", "--no-check", "--config", join(ROOT, "deno.json"), path],
  }).output();
  await Deno.remove(path);
  const output = new TextDecoder().decode(stdout).trim();
  assert.notEqual(output, "", new TextDecoder().decode(stderr));
  return JSON.parse(output.split("\n").at(-1)!);
}
