/**
 * `quote verify` as users start it, against running nodes: the rungs, a bundle without the node, exit codes.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { run, RunningSandbox } from "./sandbox.ts";

// deno-lint-ignore no-explicit-any
type Json = any;

function rungsOf(stdout: string): Record<string, string> {
  const { rungs } = JSON.parse(stdout);
  return Object.fromEntries(rungs.map(({ rung, verdict }: Json) => [rung, verdict]));
}

const VIRTUAL = { hardware: "virtual", key: "virtual", service: "virtual", code: "virtual", network: "virtual" };

Deno.test("one quote leads to trust in all of a network, and again from a bundle when the network is gone", async (t) => {
  await using sandbox = await RunningSandbox.start("--nodes", "2");
  const bundle = join(sandbox.workspace, "evidence.json");
  const service = ["--service-cert", sandbox.description.service_cert];

  await t.step("each node, on each of its interfaces; virtual is no success unless it is asked for", async () => {
    const { id, url, web_url } = sandbox.description.nodes[0]!;
    const strict = await run("quote", "verify", url, ...service);
    assert.deepEqual([strict.code, strict.stderr], [1, ""], strict.stdout);
    assert.match(strict.stdout, /^1 hardware: .* no: the platform is virtual$/m);
    assert.match(strict.stdout, /^ {2}ok {2}connection: the TLS handshake proved/m);
    assert.match(
      strict.stdout,
      /^ {2}ok {2}virtual host data: .* by genesis, by the members who started the service$/m,
    );
    assert.match(strict.stdout, /^ {2}ok {2}service: .* was opened by proposal .*transition_service_to_open/m);
    assert.match(strict.stdout, /^ {2}ok {2}decisions: \d+ requests of members were decided again/m);
    assert.match(strict.stdout, new RegExp(`^Virtual: all else holds of node ${id}`, "m"));
    for (const other of [web_url, sandbox.description.nodes[1]!.url]) {
      const { code, stdout, stderr } = await run("quote", "verify", other, ...service, "--allow-virtual", "--json");
      assert.equal(code, 0, stdout + stderr);
      assert.deepEqual(rungsOf(stdout), VIRTUAL);
    }
  });

  await t.step("without the service's certificate it is told whose word is taken", async () => {
    const { code, stdout } = await run("quote", "verify", sandbox.url, "--allow-virtual", "--save", bundle);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^ {3}- {2}service certificate: none was given/m);
    assert.match(stdout, /^ {2}Which service this is: /m);
  });

  await t.step("another certificate than the service's breaks the rung of the service", async () => {
    const { code, stdout } = await run(
      "quote",
      "verify",
      sandbox.url,
      "--service-cert",
      sandbox.credential("user0_cert.pem"),
    );
    assert.equal(code, 1);
    assert.match(stdout, /^Refused: service: endorsement: /m);
  });

  await sandbox.stop();

  await t.step("the bundle says the same without the network, and nothing else than was saved", async () => {
    const { code, stdout, stderr } = await run("quote", "verify", bundle, ...service, "--allow-virtual", "--json");
    assert.equal(code, 0, stdout + stderr);
    assert.deepEqual(rungsOf(stdout), VIRTUAL);
    // The ledger may as well be the one in the files of the other node, which goes on a little.
    const ledger1 = sandbox.ledgerFolderOf(1);
    const files = await run("quote", "verify", bundle, ...service, "--allow-virtual", "--json", "--ledger", ledger1);
    assert.equal(files.code, 0, files.stdout + files.stderr);
    assert.deepEqual(rungsOf(files.stdout), VIRTUAL);
    const json = JSON.parse(Deno.readTextFileSync(bundle));
    const ledger = Uint8Array.from(atob(json.ledger), (character) => character.charCodeAt(0));
    ledger[200]! ^= 1;
    json.ledger = Array.from(ledger, (byte) => String.fromCharCode(byte)).join("");
    Deno.writeTextFileSync(bundle, JSON.stringify({ ...json, ledger: btoa(json.ledger) }));
    const changed = await run("quote", "verify", bundle, ...service, "--allow-virtual");
    assert.equal(changed.code, 1);
    assert.match(changed.stdout, /^Refused: service: ledger: transaction \d+: /m);
  });

  await t.step("what cannot be reached, or is none, has codes of its own", async () => {
    const gone = await run("quote", "verify", sandbox.url, ...service);
    assert.deepEqual([gone.code, gone.stdout], [3, ""]);
    assert.match(gone.stderr, /nothing listens there; is the node running\?/);
    for (const args of [["/nowhere"], [], [bundle, "--up-to", "sky"], [bundle, "--at", "noon"]]) {
      const { code, stdout, stderr } = await run("quote", "verify", ...args);
      assert.deepEqual([code, stdout], [2, ""], stderr);
      assert.notEqual(stderr, "");
    }
    const help = await run("quote", "verify", "--help");
    assert.deepEqual([help.code, help.stderr], [0, ""]);
    for (const rung of Object.keys(VIRTUAL)) assert.ok(help.stdout.includes(`\n  ${rung} `), rung);
  });
});
