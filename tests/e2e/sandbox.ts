/**
 * A sandbox in a process of its own, or in one for each of its nodes, as its user starts it, for end-to-end tests.
 *
 * In: options of `deno task run node`. Out: URLs, credentials, requests over real TLS. It stops by itself with the test.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { statSyncOrUndefined } from "../paths.ts";
import { ROOT } from "../readme.ts";

/** How long a sandbox may take for anything, on a machine that is busy with other tests. */
const PATIENCE_MS = 60_000;

interface Description {
  readonly nodes: readonly { readonly id: string; readonly url: string; readonly web_url: string }[];
  readonly service_cert: string;
  readonly common_dir: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

export class RunningSandbox implements AsyncDisposable {
  readonly description: Description;
  readonly #process: Deno.ChildProcess;
  readonly #clients = new Map<string, Deno.HttpClient>();
  #status: Deno.CommandStatus | undefined;

  private constructor(readonly workspace: string, process: Deno.ChildProcess, description: Description) {
    this.#process = process;
    this.description = description;
    void process.status.then((status) => this.#status = status);
  }

  /** Starts a sandbox on free ports in a folder of its own, and waits until its service is open. */
  static async start(...options: string[]): Promise<RunningSandbox> {
    const folder = await Deno.makeTempDir({ prefix: "quorate_e2e_" });
    const workspace = join(folder, "workspace");
    const process = startTask("node", "--workspace", workspace, "--port", "0", ...options);
    const status = process.status;
    let exited = false;
    void status.then(() => exited = true);
    const file = join(workspace, "sandbox.json");
    for (const until = performance.now() + PATIENCE_MS; statSyncOrUndefined(file) === undefined;) {
      if (exited || performance.now() > until) {
        if (!exited) process.kill("SIGKILL");
        const { stderr } = await outputOf(process);
        throw new Error(`The sandbox did not open: ${stderr}`);
      }
      await new Promise((done) => setTimeout(done, 50));
    }
    return new RunningSandbox(workspace, process, JSON.parse(await Deno.readTextFile(file)));
  }

  get url(): string {
    return this.description.nodes[0]!.url;
  }

  get webUrl(): string {
    return this.description.nodes[0]!.web_url;
  }

  get ledgerFolder(): string {
    return this.ledgerFolderOf(0);
  }

  ledgerFolderOf(node: number): string {
    return join(this.workspace, `node${node}`, "ledger");
  }

  get snapshotsFolder(): string {
    return join(this.workspace, "node0", "snapshots");
  }

  /** Path of a file of credentials, e.g. `user0_cert.pem`. */
  credential(name: string): string {
    return join(this.description.common_dir, name);
  }

  /** One request; with the certificate of `as`, on the interface that asks for one, else on the other. */
  async request(
    method: string,
    path: string,
    options: { as?: string; body?: string; base?: string } = {},
  ): Promise<Answer> {
    const { as, body, base = as === undefined ? this.webUrl : this.url } = options;
    const response = await fetch(`${base}${path}`, {
      method,
      client: this.#client(as),
      redirect: "manual",
      ...(body !== undefined && { body, headers: { "content-type": "application/json" } }),
    });
    return { status: response.status, headers: response.headers, text: await response.text() };
  }

  /** Asks again while the answer is 202, or the transaction is not committed yet. */
  async eventually(method: string, path: string, options: { as?: string } = {}): Promise<Answer> {
    for (const until = performance.now() + PATIENCE_MS; performance.now() < until;) {
      const answer = await this.request(method, path, options);
      if (answer.status !== 202 && !answer.text.includes("TransactionPendingOrUnknown")) return answer;
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error(`${method} ${path} is not there after ${PATIENCE_MS / 1000} s`);
  }

  /** Sends a signal and waits for the end. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<Deno.CommandStatus> {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
    if (this.#status === undefined) this.#kill(signal);
    const status = await this.#process.status;
    await Promise.allSettled(
      [this.#process.stdout, this.#process.stderr].map((stream) => stream.locked || stream.cancel()),
    );
    return status;
  }

  /** Sends a signal to one of several nodes. */
  signal(node: number, signal: Deno.Signal): void {
    Deno.kill(Number(Deno.readTextFileSync(join(this.workspace, `node${node}`, "node.pid"))), signal);
  }

  /** Waits for a node that ends by itself. */
  ended(): Promise<CommandOutput> {
    return outputOf(this.#process);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
    await Deno.remove(join(this.workspace, ".."), { recursive: true });
  }

  /** The sandbox itself, by the ID that it wrote, and not the task runner before it. */
  #kill(signal: Deno.Signal): void {
    try {
      Deno.kill(Number(Deno.readTextFileSync(join(this.workspace, "sandbox.lock"))), signal);
    } catch {
      // It has gone, or will not be told: then its parent is.
      try {
        this.#process.kill(signal);
      } catch {
        // Both have gone.
      }
    }
  }

  #client(as: string | undefined): Deno.HttpClient {
    const key = as ?? "";
    let client = this.#clients.get(key);
    if (client === undefined) {
      const read = (name: string) => Deno.readTextFileSync(this.credential(name));
      const own = as === undefined ? {} : { cert: read(`${as}_cert.pem`), key: read(`${as}_privk.pem`) };
      client = Deno.createHttpClient({ caCerts: [read("service_cert.pem")], ...own });
      this.#clients.set(key, client);
    }
    return client;
  }
}

export interface CommandOutput {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `deno task run ARGS` to its end. */
export async function run(...args: string[]): Promise<CommandOutput> {
  const output = await outputOf(startTask(...args));
  assert(!output.stderr.includes("at file://"), `no stack trace for people: ${output.stderr}`);
  return output;
}

/** Starts `deno task run ARGS`, which hands signals on. */
export function startTask(...args: string[]): Deno.ChildProcess {
  return new Deno.Command("deno", {
    args: ["task", "--quiet", "run", ...args],
    cwd: ROOT,
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
}

/** What a process prints until its end. */
export async function outputOf(process: Deno.ChildProcess): Promise<CommandOutput> {
  const [stdout, stderr, { code }] = await Promise.all([
    new Response(process.stdout).text(),
    new Response(process.stderr).text(),
    process.status,
  ]);
  return { code, stdout, stderr };
}
