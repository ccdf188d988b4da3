/**
 * A node that joins from a configuration of its own, as `operations.md` §5 has it: what it says, and how it ends.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { statSyncOrUndefined } from "../paths.ts";
import { type CommandOutput, outputOf, RunningSandbox, startTask } from "./sandbox.ts";

/** How long a node may take to say something, on a machine that is busy with other tests. */
const PATIENCE_MS = 60_000;

/** A node with a configuration, in a folder that goes with the sandbox. */
class Joiner implements AsyncDisposable {
  readonly folder: string;
  readonly #process: Deno.ChildProcess;
  readonly #output: Promise<CommandOutput>;

  /** @param change what is different from an ordinary configuration */
  constructor(sandbox: RunningSandbox, name: string, change: (config: Configuration) => void = () => {}) {
    this.folder = join(sandbox.workspace, name);
    Deno.mkdirSync(this.folder);
    const config: Configuration = {
      network: {
        node_to_node_interface: { bind_address: "127.0.0.1:0" },
        rpc_interfaces: { primary_rpc_interface: { bind_address: "127.0.0.1:0" } },
      },
      command: {
        type: "Join",
        service_certificate_file: sandbox.credential("service_cert.pem"),
        join: { target_rpc_address: new URL(sandbox.url).host, retry_timeout: "100ms" },
      },
      ledger: { directory: join(this.folder, "ledger") },
      snapshots: { directory: join(this.folder, "snapshots") },
      output_files: {
        node_certificate_file: join(this.folder, "nodecert.pem"),
        pid_file: join(this.folder, "node.pid"),
        node_to_node_address_file: join(this.folder, "address.json"),
      },
    };
    change(config);
    const file = join(this.folder, "config.json");
    Deno.writeTextFileSync(file, JSON.stringify(config));
    this.#process = startTask("node", "--config", file, "--log-file", join(this.folder, "node.log"));
    this.#output = outputOf(this.#process);
  }

  /** Waits until the log has these words. */
  async says(words: RegExp): Promise<void> {
    for (const until = performance.now() + PATIENCE_MS; performance.now() < until;) {
      if (statSyncOrUndefined(join(this.folder, "node.log")) !== undefined && words.test(this.log)) return;
      await new Promise((done) => setTimeout(done, 50));
    }
    throw new Error(`It does not say ${words}:\n${this.log.slice(-2000)}`);
  }

  get log(): string {
    return Deno.readTextFileSync(join(this.folder, "node.log"));
  }

  ended(): Promise<CommandOutput> {
    return this.#output;
  }

  stop(): Promise<CommandOutput> {
    this.#process.kill("SIGTERM");
    return this.#output;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGTERM");
    } catch {
      // It has ended, as it should.
    }
    await this.#output;
  }
}

interface Configuration {
  network: { node_to_node_interface: Record<string, string>; rpc_interfaces: object };
  command: { type: string; service_certificate_file: string; join: Record<string, unknown> };
  attestation?: object;
  [section: string]: unknown;
}

Deno.test("a node that joins says what keeps it out, and ends where the service refuses it for good", async (t) => {
  await using sandbox = await RunningSandbox.start("--native-app", "logging");

  await t.step("it is Pending until members have decided, serves nobody meanwhile, and stops when told", async () => {
    await using node = new Joiner(sandbox, "pending");
    await node.says(/This node is Pending/);
    const id = /This is node ([0-9a-f]{64})$/m.exec(node.log)![1]!;
    const { text } = await sandbox.request("GET", "/node/network/nodes?status=Pending");
    const [row] = JSON.parse(text).nodes;
    assert.equal(row.node_id, id);
    assert.match(
      node.log,
      /\[fail \]\[host\] .*Virtual platform \(whether there is hardware was not looked for: /,
    );
    assert.match(node.log, /Starting from the snapshot snapshot_\d+_\d+\.committed of \d+ bytes/);
    const { port } = new URL(`https://${row.rpc_interfaces.primary_rpc_interface.published_address}`);
    await assert.rejects(sandbox.request("GET", "/node/state", { base: `https://127.0.0.1:${port}` }));

    // Two nodes with one address would take each other's messages.
    const { node_to_node_interface: address } = JSON.parse(Deno.readTextFileSync(join(node.folder, "address.json")));
    await using second = new Joiner(sandbox, "second", ({ network }) => {
      network.node_to_node_interface.published_address = address;
    });
    const { code, stderr } = await second.ended();
    assert.match(
      stderr,
      /^Join request to 127\.0\.0\.1:\d+ returned 400 Bad Request: .*NodeAlreadyExists.*\. Shutting down node gracefully\.$/m,
    );
    assert.equal(code, 1);

    assert.equal((await node.stop()).code, 0);
    assert.equal(statSyncOrUndefined(join(node.folder, "node.pid")), undefined);
  });

  await t.step("with other code it is refused, and says why", async () => {
    await using node = new Joiner(sandbox, "other_code", (config) => {
      config.attestation = { test_only_host_data: "0".repeat(64) };
    });
    await node.says(/An error occurred while joining the network: [^\n]*401[^\n]*InvalidQuote/);
    assert.match(node.log, /\[fail \]\[host\] .*The host data of this node is \/attestation\/test_only_host_data/);
    assert.equal((await node.stop()).code, 0);
  });

  await t.step("without the hardware that its configuration demands it does not start", async () => {
    await using node = new Joiner(sandbox, "hardware", (config) => {
      config.attestation = { platform: "sgx" };
    });
    const { code, stderr } = await node.ended();
    assert.match(stderr, /^Cannot use the platform "sgx": Deno lets nobody touch devices without --allow-all: start/m);
    assert.equal(code, 2);
    assert.equal(statSyncOrUndefined(join(node.folder, "node.pid")), undefined);
  });

  await t.step("it trusts no service but that whose certificate it was given", async () => {
    await using node = new Joiner(sandbox, "other_service", ({ command }) => {
      command.service_certificate_file = sandbox.credential("user0_cert.pem");
      command.join.fetch_recent_snapshot = false;
    });
    await node.says(/An error occurred while joining the network: [^\n]*its certificate is not one of the service/);
    assert.equal((await node.stop()).code, 0);
  });

  await t.step("a signal while it fetches a snapshot ends it cleanly", async () => {
    await using node = new Joiner(sandbox, "nobody", ({ command }) => {
      command.join = { target_rpc_address: "127.0.0.1:1", fetch_snapshot_max_attempts: 1000 };
    });
    await node.says(/No snapshot was fetched/);
    const { code, stderr } = await node.stop();
    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal(statSyncOrUndefined(join(node.folder, "node.pid")), undefined);
  });
});
