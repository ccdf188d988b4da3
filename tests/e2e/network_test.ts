/**
 * Three nodes as the user of a sandbox has them, each a process of its own: one ledger, whoever dies.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { LedgerFiles } from "../../node/ledger_files.ts";
import { parseTxId } from "../../shared/tx_id.ts";
import { statSyncOrUndefined } from "../paths.ts";
import { type CommandOutput, outputOf, run, RunningSandbox, startTask } from "./sandbox.ts";

/** How long a network may take for anything, on a machine that is busy with other tests. */
const PATIENCE_MS = 60_000;

/** Asks until there is an answer; a node that has gone, or does not know yet, is none. */
async function eventually<Found>(what: string, look: () => Promise<Found | undefined>): Promise<Found> {
  for (const until = performance.now() + PATIENCE_MS; performance.now() < until;) {
    const found = await look().catch(() => undefined);
    if (found !== undefined) return found;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`Waited in vain: ${what}`);
}

class Network {
  constructor(readonly sandbox: RunningSandbox) {}

  get nodes() {
    return this.sandbox.description.nodes;
  }

  /** The number of the node that leads, as one of them has it. */
  primary(asked: number, previous?: number): Promise<number> {
    return eventually("a primary", async () => {
      const { text } = await this.sandbox.request("GET", "/node/network", { base: this.nodes[asked]!.web_url });
      const index = this.nodes.findIndex(({ id }) => id === JSON.parse(text).primary_id);
      return index < 0 || index === previous ? undefined : index;
    });
  }

  /** Writes a record through a node. @returns its transaction ID; undefined where it was not written */
  async write(node: number, id: number): Promise<string | undefined> {
    const body = JSON.stringify({ id, msg: `record ${id}` });
    const base = this.nodes[node]!.url;
    const { status, headers } = await this.sandbox.request("POST", "/app/log/private", { as: "user0", base, body });
    return status === 200 ? headers.get("x-ms-ccf-transaction-id")! : undefined;
  }

  /** Waits until a transaction is final, as a node sees it. */
  committed(node: number, txId: string): Promise<true> {
    return eventually(`${txId} to be committed on node ${node}`, async () => {
      const path = `/node/tx?transaction_id=${txId}`;
      const { text } = await this.sandbox.request("GET", path, { base: this.nodes[node]!.web_url });
      return JSON.parse(text).status === "Committed" ? true : undefined;
    });
  }

  /** Reads a record through a node: on a new connection where an old one is of a view that is over. */
  read(node: number, id: number): Promise<string> {
    return eventually(`record ${id} of node ${node}`, async () => {
      const base = this.nodes[node]!.url;
      const { text } = await this.sandbox.request("GET", `/app/log/private?id=${id}`, { as: "user0", base });
      return text.includes("SessionConsistencyLost") ? undefined : text;
    });
  }

  verify(node: number): Promise<CommandOutput> {
    const keys = [0, 1, 2].flatMap((i) => ["--member-key", this.sandbox.credential(`member${i}_enc_privk.pem`)]);
    const service = ["--service-cert", this.sandbox.credential("service_cert.pem")];
    return run("ledger", "verify", this.sandbox.ledgerFolderOf(node), ...service, ...keys, "--json");
  }

  /** Entries of a node that has stopped. */
  async entries(node: number, to: number): Promise<Uint8Array | undefined> {
    const ledger = await LedgerFiles.open({ directory: this.sandbox.ledgerFolderOf(node) });
    try {
      return (await ledger.read(1, to))?.bytes;
    } finally {
      await ledger.close();
    }
  }
}

Deno.test("three nodes keep one ledger, and two go on when the primary is killed", async (t) => {
  await using sandbox = await RunningSandbox.start("--nodes", "3", "--native-app", "logging");
  const network = new Network(sandbox);
  const dead = await network.primary(0);
  const [first, second] = [0, 1, 2].filter((node) => node !== dead) as [number, number];
  let last = "";

  await t.step("what is written through a backup is forwarded, and found on every node", async () => {
    assert.equal(network.nodes.length, 3);
    for (const [id, node] of [first, second, dead].entries()) last = (await network.write(node, id))!;
    for (const node of [0, 1, 2]) {
      await network.committed(node, last);
      for (const id of [0, 1, 2]) assert.equal(await network.read(node, id), `{"msg":"record ${id}"}`);
    }
  });

  await t.step("kill -9 of the primary stops no other node, and loses nothing that was committed", async () => {
    sandbox.signal(dead, "SIGKILL");
    const leader = await network.primary(first, dead);
    last = await eventually("a write to succeed", () => network.write(first, 3));
    assert(parseTxId(last)!.view > 2, "the next primary writes in a view of its own");
    for (const node of [first, second]) {
      await network.committed(node, last);
      for (const id of [0, 1, 2, 3]) assert.equal(await network.read(node, id), `{"msg":"record ${id}"}`);
    }
    const follower = leader === first ? second : first;
    last = await eventually("a write through the backup to succeed", () => network.write(follower, 4));
    for (const node of [first, second]) await network.committed(node, last);
  });

  await t.step("SIGTERM stops the nodes that are left, and their ledgers verify and are the same", async () => {
    const { code } = await sandbox.stop();
    assert.equal(code, 0);
    for (const node of [0, 1, 2]) {
      const { stdout, stderr } = await network.verify(node);
      assert.equal(JSON.parse(stdout).verdict, "verified", `node ${node}: ${stdout}${stderr}`);
    }
    const { seqno } = parseTxId(last)!;
    assert.deepEqual(await network.entries(first, seqno), await network.entries(second, seqno));
    // The one that was killed has a part of it.
    const { last_signed } = JSON.parse((await network.verify(dead)).stdout);
    const { seqno: signed } = parseTxId(last_signed)!;
    assert.deepEqual(await network.entries(dead, signed), await network.entries(first, signed));
  });
});

Deno.test("nodes of a sandbox stop cleanly when whoever started them is killed", async () => {
  await using sandbox = await RunningSandbox.start("--nodes", "2", "--native-app", "logging");
  const network = new Network(sandbox);
  await network.write(1, 7);
  const pidFiles = [0, 1].map((node) => join(sandbox.workspace, `node${node}`, "node.pid"));
  await sandbox.stop("SIGKILL");
  // A node takes the file away when it stops, and only then.
  await eventually("every node to stop", async () => {
    return pidFiles.every((file) => statSyncOrUndefined(file) === undefined) ? true : await undefined;
  });
  for (const node of [0, 1]) assert.equal(JSON.parse((await network.verify(node)).stdout).verdict, "verified");
});

Deno.test("a signal while several nodes start leaves nothing of them", async () => {
  const folder = await Deno.makeTempDir({ prefix: "quorate_e2e_" });
  const workspace = join(folder, "workspace");
  try {
    const process = startTask("node", "--workspace", workspace, "--port", "0", "--nodes", "2");
    const output = outputOf(process);
    await eventually("the second node to be configured", async () => {
      return statSyncOrUndefined(join(workspace, "node1", "config.json")) === undefined ? await undefined : true;
    });
    process.kill("SIGTERM");
    const { code, stderr } = await output;
    assert.equal(stderr, "Stopped before the service was open; nothing is left of it\n");
    assert.equal(code, 0);
    assert.equal(statSyncOrUndefined(workspace), undefined);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** What a sandbox of two nodes ends with, one of which is killed as soon as there is a file of the second. */
async function killedWhileOpening(
  node: number,
  awaited: string,
): Promise<CommandOutput & { readonly logFile: string }> {
  const folder = await Deno.makeTempDir({ prefix: "quorate_e2e_" });
  try {
    const workspace = join(folder, "workspace");
    const output = outputOf(startTask("node", "--workspace", workspace, "--port", "0", "--nodes", "2"));
    const pid = await eventually(`${awaited} of the second node`, () => {
      if (statSyncOrUndefined(join(workspace, "node1", awaited)) === undefined) return Promise.resolve(undefined);
      const text = Deno.readTextFileSync(join(workspace, `node${node}`, "node.pid"));
      return Promise.resolve(/^[0-9]+/.test(text) ? Number.parseInt(text) : undefined);
    });
    Deno.kill(pid, "SIGKILL");
    const ended = await output;
    const logFile = join(workspace, `node${node}`, "node.log");
    assert(statSyncOrUndefined(logFile)?.isFile, "the log is still there");
    return { ...ended, logFile };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

for (const [node, awaited] of [[0, "config.json"], [1, "node.pid"]] as const) {
  Deno.test(`a sandbox whose node ${node} dies while it opens exits with 3, and names the node and its log`, async () => {
    const { code, stderr, logFile } = await killedWhileOpening(node, awaited);
    assert.equal(stderr, `Cannot open the service: node${node} has ended by SIGKILL; its log is ${logFile}\n`);
    assert.equal(code, 3);
  });
}
