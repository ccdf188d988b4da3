/**
 * A network of real processes that tests may kill, pause, cut off and change, as its members would.
 *
 * In: how many nodes, and what their configurations are to say besides a sandbox's. Out: nodes that run, each the process
 * whose ID is known, with requests over real TLS. Everything stops with the test.
 */

import { join } from "node:path";
import { ecdsaSign } from "../../shared/crypto/ecdsa.ts";
import { nodeIdOf } from "../../shared/crypto/identifiers.ts";
import { parseCertificatePem } from "../../shared/crypto/x509.ts";
import {
  finishMemberRequest,
  type MemberRequest,
  PLAIN_BALLOTS,
  prepareMemberRequest,
  requestToBeSigned,
} from "../../shared/governance/member_request.ts";
import { openingRequests } from "../../node/sandbox_opening.ts";
import { createJoiner, createSandbox, DEFAULT_APP_FOLDER, type Sandbox, type SandboxNode } from "../../node/sandbox.ts";
import { DEFAULT_CONSTITUTION_FOLDER } from "../../node/constitution_folder.ts";
import { statSyncOrUndefined } from "../paths.ts";
import { ROOT } from "../readme.ts";
import { FaultProxy } from "./fault_proxy.ts";

/** How long a node, or what members decide, may take on a machine that is busy with other tests. */
const PATIENCE_MS = 60_000;
/** What members have decided is proposed again after this share of it. */
const PATIENCE_FOR_A_PROPOSAL = 1 / 12;
const POLL_MS = 50;
/** A request to a node that is paused or cut off ends after this. */
const REQUEST_MS = 3000;

export interface NetworkOptions {
  readonly nodes: number;
  readonly electionTimeoutMs?: number;
  /** Puts a proxy before each node's published node-to-node address, so that it can be cut off. */
  readonly proxied?: boolean;
  /** Small, where files are to be committed one after the other while a test runs. */
  readonly chunkSize?: string;
  /** Of the node that starts the service. */
  readonly firstLedgerDirectory?: string;
  /** Where each node runs, in the order in which they start; on 127.0.0.1 without. */
  readonly machines?: readonly Machine[];
  /** The default is the one linked into the enclave. */
  readonly app?: "native" | "js";
  /** Changes the configuration of every node before it starts. */
  // deno-lint-ignore no-explicit-any -- JSON of CCF's form
  readonly configure?: (config: any) => void;
  /** How long a node, or what members decide, may take; the default is for tests. */
  readonly patienceMs?: number;
}

/** A host of its own, as a network namespace is. */
export interface Machine {
  readonly address: string;
  /** The command by which another one is run there. */
  readonly enter: readonly string[];
}

export interface JoinOptions {
  /** Default true. */
  readonly fetchSnapshot?: boolean;
  /** A node that has ended, whose directories the new one finds. */
  readonly inPlaceOf?: RunningNode;
  /** A directory that it finds in the place of its ledger; the default is one that does not exist. */
  readonly ledgerDirectory?: string;
  readonly readOnlyLedgerDirectory?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

export interface RequestOptions {
  /** Whose certificate is shown. */
  readonly as?: string;
  readonly body?: string | Uint8Array;
  readonly contentType?: string;
  readonly timeoutMs?: number;
}

/** One process. */
export class RunningNode {
  /** Hex. */
  id = "";
  url = "";
  webUrl = "";
  /** Whether it takes part in the service. */
  isMember = false;
  /** Whether its directory is also another node's: between that one's files and the later snapshot there may be a gap. */
  foundFiles = false;
  hasEnded = false;
  readonly #process: Deno.ChildProcess;
  readonly #status: Promise<Deno.CommandStatus>;

  constructor(
    readonly files: SandboxNode,
    readonly ledger: string,
    readonly proxy: FaultProxy | undefined,
    enter: readonly string[] = [],
  ) {
    const [program, ...before] = [...enter, "deno"];
    this.#process = new Deno.Command(program!, {
      args: [
        ...before,
        "run",
        "--quiet",
        "--no-prompt",
        "--allow-read",
        "--allow-write",
        "--allow-net",
        "--allow-env=NO_COLOR,FORCE_COLOR,CI,TERM",
        "--ignore-env",
        "node/main.ts",
        "node",
        "--config",
        files.configFile,
        "--log-file",
        files.logFile,
        "--stop-with-stdin",
      ],
      cwd: ROOT,
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#status = this.#process.status.then((status) => {
      this.hasEnded = true;
      return status;
    });
  }

  get name(): string {
    return this.files.name;
  }

  /** Of its process. */
  get pid(): number {
    return this.#process.pid;
  }

  get snapshots(): string {
    return join(this.files.folder, "snapshots");
  }

  /** Seqno of its newest committed snapshot; 0 without one. */
  newestSnapshot(): number {
    if (statSyncOrUndefined(this.snapshots) === undefined) return 0;
    const names = [...Deno.readDirSync(this.snapshots)].map(({ name }) => /^snapshot_(\d+)_\d+\.committed$/.exec(name));
    return Math.max(0, ...names.map((match) => Number(match?.[1] ?? 0)));
  }

  get ended(): Promise<Deno.CommandStatus> {
    return this.#status;
  }

  /** Everything it has logged so far. */
  log(): string {
    return statSyncOrUndefined(this.files.logFile) === undefined ? "" : Deno.readTextFileSync(this.files.logFile);
  }

  /** SIGSTOP: it is as if it took very long about everything. */
  pause(): void {
    this.#process.kill("SIGSTOP");
  }

  resume(): void {
    this.#process.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    if (!this.hasEnded) this.#process.kill("SIGKILL");
    await this.#ended();
  }

  /** Lets it finish what it has begun. */
  async stop(): Promise<Deno.CommandStatus> {
    await this.#process.stdin.close().catch(() => undefined);
    return await this.#ended();
  }

  async #ended(): Promise<Deno.CommandStatus> {
    const status = await this.#status;
    await this.#process.stdin.close().catch(() => undefined);
    await this.proxy?.stop();
    return status;
  }
}

export class RunningNetwork implements AsyncDisposable {
  /** Every node that ever was, those that have ended too. */
  readonly nodes: RunningNode[] = [];
  readonly electionTimeoutMs: number;
  readonly #options: NetworkOptions;
  readonly #folder: string;
  readonly #sandbox: Sandbox;
  readonly #clients = new Map<string, Deno.HttpClient>();
  #lastCreatedAt = 0;
  #joiners = 0;

  private constructor(options: NetworkOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
    this.electionTimeoutMs = options.electionTimeoutMs ?? 1000;
    this.#sandbox = createSandbox(
      this.#sandboxOptions(0),
      (count) => crypto.getRandomValues(new Uint8Array(count)),
      Date.now(),
    );
  }

  get #patienceMs(): number {
    return this.#options.patienceMs ?? PATIENCE_MS;
  }

  #sandboxOptions(number: number) {
    return {
      workspace: join(this.#folder, "workspace"),
      host: this.#options.machines?.[number]?.address ?? "127.0.0.1",
      port: 0,
      members: 1,
      users: 1,
      appFolder: DEFAULT_APP_FOLDER,
      constitutionFolder: DEFAULT_CONSTITUTION_FOLDER,
      nativeApp: this.#options.app === "js" ? undefined : "logging",
    };
  }

  /** Starts a service with so many nodes, and waits until it is open on all of them. */
  static async start(options: NetworkOptions): Promise<RunningNetwork> {
    const network = new RunningNetwork(options, await Deno.makeTempDir({ prefix: "quorate_network_" }));
    try {
      const first = await network.#startNode(network.#sandbox.firstNode, {
        ...(options.firstLedgerDirectory !== undefined && { ledgerDirectory: options.firstLedgerDirectory }),
      });
      await network.#untilMember(first);
      const others = Array.from({ length: options.nodes - 1 }, () => network.startJoiner({ fetchSnapshot: false }));
      for (const other of await Promise.all(others)) await network.#untilMember(other);
      await network.#open();
      return network;
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Those that take part, and whose processes have not ended. */
  get live(): RunningNode[] {
    return this.nodes.filter(({ isMember, hasEnded }) => isMember && !hasEnded);
  }

  get folder(): string {
    return this.#folder;
  }

  credential(name: string): string {
    return join(this.#sandbox.commonFolder, name);
  }

  /** One request, with a certificate on the interface that asks for one. Throws where there is no answer in time. */
  async request(node: RunningNode, method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const { as, body, contentType = "application/json", timeoutMs = REQUEST_MS } = options;
    const response = await fetch(`${as === undefined ? node.webUrl : node.url}${path}`, {
      method,
      client: this.#client(as),
      redirect: "manual",
      signal: AbortSignal.timeout(timeoutMs),
      ...(body !== undefined && {
        body: typeof body === "string" ? body : new Uint8Array(body),
        headers: { "content-type": contentType },
      }),
    });
    return { status: response.status, headers: response.headers, text: await response.text() };
  }

  // deno-lint-ignore no-explicit-any -- a test says what it looks for
  async json(node: RunningNode, path: string, options: RequestOptions = {}): Promise<any> {
    const { status, text } = await this.request(node, "GET", path, options);
    if (status !== 200) throw new Error(`${node.name} answers ${status} to ${path}: ${text}`);
    return JSON.parse(text);
  }

  /** Asks until there is something; what throws is asked again. */
  async eventually<Found>(what: string, look: () => Promise<Found | undefined>): Promise<Found> {
    let last: unknown = "nothing is there";
    for (const untilMs = performance.now() + this.#patienceMs; performance.now() < untilMs;) {
      try {
        const found = await look();
        if (found !== undefined) return found;
      } catch (error) {
        last = error;
      }
      await sleep(POLL_MS);
    }
    throw new Error(`Waiting until ${what} has taken ${this.#patienceMs / 1000} s: ${last}\n${this.#whatWasLogged()}`);
  }

  /** The node of which it and a majority of those that live say that it is the primary. */
  primary(among: readonly RunningNode[] = this.live): Promise<RunningNode> {
    return this.eventually("there is a primary", async () => {
      const named = new Map<string, number>();
      await Promise.all(among.map(async (node) => {
        const { primary_id } = await this.json(node, "/node/network", { timeoutMs: 500 }).catch(() => ({}));
        if (primary_id) named.set(primary_id, (named.get(primary_id) ?? 0) + 1);
      }));
      const found = among.find(({ id }) => (named.get(id) ?? 0) > among.length / 2);
      if (found === undefined) return undefined;
      const { status } = await this.request(found, "GET", "/node/primary", { timeoutMs: 500 });
      return status === 200 ? found : undefined;
    });
  }

  /** What the node says is committed, "view.seqno". */
  async commitOf(node: RunningNode): Promise<string> {
    return (await this.json(node, "/node/commit")).transaction_id;
  }

  /** "Unknown", "Pending", "Committed" or "Invalid". */
  async statusOf(node: RunningNode, txId: string, timeoutMs?: number): Promise<string> {
    const options = timeoutMs === undefined ? {} : { timeoutMs };
    return (await this.json(node, `/node/tx?transaction_id=${txId}`, options)).status;
  }

  /** Waits until these nodes have committed the same, and no primary has anything left to sign. */
  agreed(among: readonly RunningNode[] = this.live): Promise<string> {
    return this.eventually(`${among.map(({ name }) => name)} agree`, async () => {
      const commits = await Promise.all(among.map((node) => this.commitOf(node)));
      await sleep(500);
      const again = await Promise.all(among.map((node) => this.commitOf(node)));
      const [first] = commits;
      return [...commits, ...again].every((commit) => commit === first) ? first : undefined;
    });
  }

  /** Lets the member propose and accept something; again where a change of primary lost it. */
  async govern(actions: readonly unknown[], until: () => Promise<boolean>): Promise<void> {
    await this.eventually(`${JSON.stringify(actions).slice(0, 80)} is in force`, async () => {
      if (await until()) return true;
      await this.#propose({ actions });
      const proposalMs = this.#patienceMs * PATIENCE_FOR_A_PROPOSAL;
      for (const untilMs = performance.now() + proposalMs; performance.now() < untilMs;) {
        if (await until()) return true;
        await sleep(POLL_MS);
      }
      return undefined;
    });
  }

  /** Lets the member ask for a snapshot, and waits until whoever leads then has it with its receipt. @returns its seqno */
  async takeSnapshot(): Promise<number> {
    const newest = () => Math.max(...this.live.map((node) => node.newestSnapshot()));
    const before = newest();
    await this.govern([{ name: "trigger_snapshot", args: {} }], () => Promise.resolve(newest() > before));
    return newest();
  }

  /** Starts a node that asks to join; it waits for members if the service is open. */
  async startJoiner(options: JoinOptions = {}): Promise<RunningNode> {
    const target = await this.primary();
    const old = options.inPlaceOf;
    const number = old === undefined ? ++this.#joiners : Number(old.name.slice("node".length));
    const files = createJoiner(this.#sandboxOptions(number), number, new URL(target.url).host);
    if (old !== undefined) {
      old.foundFiles = true;
      // As its operator does: a node that was killed leaves its mark, and no other starts beside it.
      await Deno.remove(join(files.folder, "node.pid"));
      // These two are only waited for.
      await Deno.remove(files.rpcAddressesFile);
      await Deno.remove(join(files.folder, "nodecert.pem"));
    }
    return await this.#startNode(files, options);
  }

  /** Starts a node, lets the member trust it, and waits until it takes part and has caught up. */
  async join(options: JoinOptions = {}): Promise<RunningNode> {
    const joiner = await this.startJoiner(options);
    await this.trust(joiner);
    return joiner;
  }

  async trust(joiner: RunningNode): Promise<void> {
    await this.eventually(`${joiner.name} is known`, async () => joiner.hasEnded || await this.#rowOf(joiner));
    if (joiner.hasEnded) throw new Error(`${joiner.name} has ended: ${joiner.log().slice(-500)}`);
    const action = {
      name: "transition_node_to_trusted",
      args: { node_id: joiner.id, valid_from: new Date().toISOString().slice(0, 19) + "Z", validity_period_days: 30 },
    };
    await this.govern([action], async () => (await this.#rowOf(joiner))?.status === "Trusted");
    await this.#untilMember(joiner);
    const { seqno } = parseTx(await this.commitOf(await this.primary()));
    await this.eventually(`${joiner.name} has caught up`, async () => {
      return parseTx(await this.commitOf(joiner)).seqno >= seqno ? true : undefined;
    });
  }

  /** Takes a node out by vote, waits until it is not needed any more, stops it and deletes its row. */
  async retire(node: RunningNode): Promise<void> {
    const others = () => this.live.filter((other) => other !== node);
    const removable = (among: readonly RunningNode[]) =>
      this.eventually(`${node.name} can be switched off`, async () => {
        const { nodes } = await this.json(await this.primary(among), "/node/network/removable_nodes");
        return nodes.some(({ node_id }: { node_id: string }) => node_id === node.id) ? true : undefined;
      });
    const action = { name: "remove_node", args: { node_id: node.id } };
    await this.govern([action], async () => (await this.#rowOf(node))?.status === "Retired");
    await removable(others());
    if (!node.hasEnded) await node.stop();
    await this.eventually(`${node.name} is deleted`, async () => {
      const { status } = await this.request(await this.primary(), "DELETE", `/node/network/nodes/${node.id}`);
      return status === 200 || status === 404 ? true : undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    for (const client of this.#clients.values()) client.close();
    await Deno.remove(this.#folder, { recursive: true });
  }

  async #startNode(files: SandboxNode, options: JoinOptions): Promise<RunningNode> {
    const config = JSON.parse(Deno.readTextFileSync(files.configFile));
    config.consensus = { message_timeout: "100ms", election_timeout: `${this.electionTimeoutMs}ms` };
    if (this.#options.chunkSize !== undefined) config.ledger.chunk_size = this.#options.chunkSize;
    if (options.ledgerDirectory !== undefined) config.ledger.directory = options.ledgerDirectory;
    if (options.readOnlyLedgerDirectory !== undefined) {
      config.ledger.read_only_directories = [options.readOnlyLedgerDirectory];
    }
    if (options.fetchSnapshot === false) config.command.join.fetch_recent_snapshot = false;
    let proxy: FaultProxy | undefined;
    if (this.#options.proxied === true) {
      const address = `127.0.0.1:${freePort()}`;
      proxy = new FaultProxy(address);
      config.network.node_to_node_interface = { bind_address: address, published_address: proxy.address };
    }
    this.#options.configure?.(config);
    Deno.writeTextFileSync(files.configFile, JSON.stringify(config));
    const machine = this.#options.machines?.[Number(files.name.slice("node".length))];
    const node = new RunningNode(files, config.ledger.directory, proxy, machine?.enter);
    node.foundFiles = options.inPlaceOf !== undefined || options.ledgerDirectory !== undefined;
    this.nodes.push(node);
    await this.eventually(`${node.name} answers`, () => {
      if (node.hasEnded) return Promise.resolve(true);
      const addresses = JSON.parse(Deno.readTextFileSync(files.rpcAddressesFile));
      node.url = `https://${addresses.primary_rpc_interface}`;
      node.webUrl = `https://${addresses.web_rpc_interface}`;
      // It may not answer before it is trusted, but has written its certificate.
      node.id = nodeIdOf(parseCertificatePem(Deno.readTextFileSync(join(files.folder, "nodecert.pem"))).spki);
      return Promise.resolve(true);
    });
    if (node.hasEnded) throw new Error(`${node.name} has ended: ${node.log().slice(-2000)}`);
    return node;
  }

  async #untilMember(node: RunningNode): Promise<void> {
    await this.eventually(`${node.name} takes part`, async () => {
      if (node.hasEnded) throw new Error(`${node.name} has ended`);
      const { state } = await this.json(node, "/node/state");
      return state === "PartOfNetwork" ? true : undefined;
    });
    node.isMember = true;
  }

  async #rowOf(node: RunningNode): Promise<{ readonly status: string } | undefined> {
    const { nodes } = await this.json(await this.primary(), "/node/network/nodes");
    return nodes.find(({ node_id }: { node_id: string }) => node_id === node.id);
  }

  async #open(): Promise<void> {
    const servicePem = Deno.readTextFileSync(this.credential("service_cert.pem"));
    const requests = openingRequests(this.#sandbox.opening, servicePem, this.#createdAt());
    const primary = await this.primary();
    let step = requests.next();
    while (!step.done) {
      const { method, target, contentType, body } = step.value;
      const { status, text } = await this.request(primary, method, target, { body, contentType });
      step = requests.next({ status, body: new TextEncoder().encode(text) });
    }
    for (const node of this.nodes) {
      await this.eventually(`${node.name} serves the app`, async () => {
        return (await this.request(node, "GET", "/node/ready/app")).status === 204 ? true : undefined;
      });
    }
  }

  /** Proposes and votes, on any node: who is no primary forwards. */
  async #propose(proposal: unknown): Promise<void> {
    const node = await this.primary();
    const bytes = new TextEncoder().encode(JSON.stringify(proposal));
    const { proposalId, proposalState } = await this.#send(node, { kind: "proposal", proposal: bytes });
    if (proposalState !== "Open") return;
    const ballot = await this.#send(node, { kind: "ballot", proposalId, ballot: PLAIN_BALLOTS.yes });
    if (ballot.proposalState !== "Accepted") throw new Error(`The proposal is ${JSON.stringify(ballot)}`);
  }

  async #send(node: RunningNode, request: MemberRequest) {
    const [member] = this.#sandbox.opening.members;
    const { id: memberId, key } = member!;
    const prepared = prepareMemberRequest(request, { memberId, curve: key.curve }, this.#createdAt());
    const { method, target, contentType, body } = finishMemberRequest(
      prepared,
      ecdsaSign(key, requestToBeSigned(prepared)),
    );
    const { status, text } = await this.request(node, method, target, { body, contentType });
    if (status !== 200) throw new Error(`${node.name} answers ${status} to a ${request.kind}: ${text}`);
    return JSON.parse(text);
  }

  /** No two requests are of the same second, or the second would be taken for a replay of the first. */
  #createdAt(): number {
    return this.#lastCreatedAt = Math.max(Math.floor(Date.now() / 1000), this.#lastCreatedAt + 1);
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

  #whatWasLogged(): string {
    return this.nodes.map((node) => {
      const lines = node.log().split("\n").filter((line) => !line.includes("This node is Pending"));
      return `---- ${node.name}, ${node.id.slice(0, 8)}\n${lines.slice(-15).join("\n")}`;
    }).join("\n");
  }
}

export function parseTx(txId: string): { readonly view: number; readonly seqno: number } {
  const [view, seqno] = txId.split(".").map(Number);
  return { view: view!, seqno: seqno! };
}

export function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

/** One that nobody listens on now, and that Linux gives to nobody who does not ask for it until a node has it. */
function freePort(): number {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    try {
      using _listener = Deno.listen({ hostname: "127.0.0.1", port });
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}
