/**
 * The nodes of a sandbox with several, each a process of its own: the first starts the service, the others join it while
 * it is opening, then its members open it.
 *
 * In: a sandbox as `createSandbox` has left it. Out: nodes that are part of the network, and a service that is open.
 * Asks the nodes as any client does, over TLS with the service's certificate.
 */

import { join } from "node:path";
import { parseJsonBytes } from "../shared/json.ts";
import { object, text } from "../shared/json_shape.ts";
import { MAX_SANDBOX_START_MS, SANDBOX_END_MS, SANDBOX_POLL_MS } from "../shared/limits.ts";
import type { LogLevel } from "../enclave/messages.ts";
import { UsageError } from "./commands/exit.ts";
import { exchangeOnce, makeClient, Unreachable } from "./commands/node_client.ts";
import { NodeProcess } from "./node_process.ts";
import { createJoiner, type Sandbox, type SandboxNode, type SandboxOptions } from "./sandbox.ts";
import { type Answer, openingRequests } from "./sandbox_opening.ts";
import { StartFailure } from "./start_failure.ts";
import type { Stoppable } from "./stop_signals.ts";

/** A node that runs, as clients reach it. */
export interface RunningSandboxNode {
  /** Hex. */
  readonly id: string;
  readonly url: string;
  readonly webUrl: string;
}

/** A node has ended, or says nothing, before the service was open: why is in its log, which is kept. */
export class NodeLost extends Unreachable {
  override name = "NodeLost";
}

const STOPPED = "The sandbox was stopped";
const NODE_STATE = object({ node_id: text, state: text });
const ADDRESSES = object({ primary_rpc_interface: text, web_rpc_interface: text });

export class SandboxNetwork implements Stoppable {
  readonly #options: SandboxOptions;
  readonly #nodeCount: number;
  readonly #sandbox: Sandbox;
  readonly #logLevel: LogLevel;
  readonly #show: (line: string) => void;
  readonly #processes: NodeProcess[] = [];
  /** ID → name of the nodes that have said who they are. */
  readonly #names = new Map<string, string>();
  /** Which node has ended first, as a sentence. */
  #firstEnd: string | undefined;
  readonly #stopped = Promise.withResolvers<string | undefined>();
  #stopping = false;
  #client: Deno.HttpClient | undefined;

  /** @param show told of what happens to nodes, one line each */
  constructor(
    options: SandboxOptions,
    nodeCount: number,
    sandbox: Sandbox,
    logLevel: LogLevel,
    show: (line: string) => void,
  ) {
    this.#options = options;
    this.#nodeCount = nodeCount;
    this.#sandbox = sandbox;
    this.#logLevel = logLevel;
    this.#show = show;
  }

  /** Starts every node and opens the service. @throws StartFailure, NodeLost; what was started goes on until `stop` */
  async open(): Promise<RunningSandboxNode[]> {
    const { firstNode, opening } = this.#sandbox;
    const first = await this.#startNode(firstNode);
    const target = new URL(first.url).host;
    const others = Array.from({ length: this.#nodeCount - 1 }, (_, i) => createJoiner(this.#options, i + 1, target));
    const nodes = [first, ...await Promise.all(others.map((node) => this.#startNode(node)))];
    const servicePem = Deno.readTextFileSync(this.#serviceCertFile);
    const requests = openingRequests(opening, servicePem, Math.floor(Date.now() / 1000));
    let step = requests.next();
    while (!step.done) {
      const { method, target, contentType, body } = step.value;
      step = requests.next(await this.#askFirst(`${first.webUrl}${target}`, { method, contentType, body }));
    }
    for (const [i, { webUrl }] of nodes.entries()) {
      await this.#eventually(this.#processes[i]!, "that it serves the app", async () => {
        const { status } = await this.#ask(`${webUrl}/node/ready/app`);
        return status === 204 ? true : undefined;
      });
    }
    return nodes;
  }

  get #serviceCertFile(): string {
    return join(this.#sandbox.commonFolder, "service_cert.pem");
  }

  get stopped(): Promise<string | undefined> {
    return this.#stopped.promise;
  }

  giveStopNotice(): void {
    // Only nodes with a configuration of their own are asked to ignore a first SIGTERM.
  }

  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    await Promise.all(this.#processes.map((process) => process.stop()));
    this.#client?.close();
    this.#stopped.resolve(undefined);
  }

  /** Starts a node, and waits until it is part of the network. */
  async #startNode(node: SandboxNode): Promise<RunningSandboxNode> {
    if (this.#stopping) throw new StartFailure(STOPPED);
    const process = new NodeProcess(node, this.#logLevel, (line) => this.#tell(node, line));
    this.#processes.push(process);
    void process.ended.then((how) => this.#onEnd(process, how));
    const addresses = await this.#eventually(process, "its addresses", () => readAddresses(node.rpcAddressesFile));
    const urls = {
      url: `https://${addresses.primary_rpc_interface}`,
      webUrl: `https://${addresses.web_rpc_interface}`,
    };
    const id = await this.#eventually(process, "that it is part of the network", async () => {
      const { status, body } = await this.#ask(`${urls.webUrl}/node/state`);
      if (status !== 200) return undefined;
      const { node_id, state } = NODE_STATE(parseJsonBytes(body), "");
      return state === "PartOfNetwork" ? node_id : undefined;
    });
    return { id, ...urls };
  }

  /** Shows a line of a node's log, with names in the place of IDs. */
  #tell({ name }: SandboxNode, line: string): void {
    const own = /^This is node ([0-9a-f]{64})$/.exec(line)?.[1];
    if (own !== undefined) this.#names.set(own, name);
    const named = own !== undefined ? line : line.replace(/(?:node )?\b([0-9a-f]{64})\b/gi, (words, id: string) => {
      return this.#names.get(id) ?? words;
    });
    this.#show(`${name}  ${named}`);
  }

  #onEnd({ node }: NodeProcess, how: string): void {
    if (this.#stopping) return;
    const end = `has ended ${how}; its log is ${node.logFile}`;
    this.#show(`${node.name}  ${end}`);
    this.#firstEnd ??= `Cannot open the service: ${node.name} ${end}`;
    if (this.#processes.every(({ hasEnded }) => hasEnded)) this.#stopped.resolve("Every node has ended");
  }

  /** Asks until there is something. @param what is waited for, of a node, for the message where it does not come */
  async #eventually<Found>(process: NodeProcess, what: string, look: () => Promise<Found | undefined>): Promise<Found> {
    const { name, logFile } = process.node;
    for (const untilMs = performance.now() + MAX_SANDBOX_START_MS; performance.now() < untilMs;) {
      if (this.#stopping) throw new StartFailure(STOPPED);
      // Another one may be the one that it waits for.
      if (this.#firstEnd !== undefined) throw new NodeLost(this.#firstEnd);
      try {
        const found = await look();
        if (found !== undefined) return found;
      } catch (error) {
        // Nobody listens yet, or shows the service's certificate; or a file is not there yet.
        if (!(error instanceof Unreachable || error instanceof UsageError)) throw error;
      }
      await new Promise((done) => setTimeout(done, SANDBOX_POLL_MS));
    }
    const seconds = MAX_SANDBOX_START_MS / 1000;
    throw new NodeLost(`Cannot start ${name}: it does not say ${what} within ${seconds} s; its log is ${logFile}`);
  }

  /** A request of a member to the first node, which has to be there. @throws NodeLost */
  async #askFirst(url: string, request: { method: string; contentType: string; body: Uint8Array }): Promise<Answer> {
    try {
      return await this.#ask(url, request);
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      // Its connections end a moment before it is known that it has.
      const untilMs = performance.now() + SANDBOX_END_MS;
      while (this.#firstEnd === undefined && performance.now() < untilMs) {
        await new Promise((done) => setTimeout(done, SANDBOX_POLL_MS));
      }
      const { name, logFile } = this.#sandbox.firstNode;
      throw new NodeLost(
        this.#firstEnd ?? `Cannot open the service: ${error.message}; the log of ${name} is ${logFile}`,
      );
    }
  }

  /** One request, without a client certificate. @throws Unreachable; UsageError before there is a service certificate */
  async #ask(url: string, request?: { method: string; contentType: string; body: Uint8Array }): Promise<Answer> {
    const client = this.#client ??= makeClient({ serviceCert: this.#serviceCertFile });
    const { response, body } = await exchangeOnce(url, {
      client,
      redirect: "manual",
      signal: AbortSignal.timeout(MAX_SANDBOX_START_MS),
      ...(request !== undefined && {
        method: request.method,
        headers: { "content-type": request.contentType },
        body: new Uint8Array(request.body),
      }),
    });
    return { status: response.status, body };
  }
}

function readAddresses(file: string) {
  try {
    return Promise.resolve(ADDRESSES(parseJsonBytes(Deno.readFileSync(file)), ""));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return Promise.resolve(undefined);
    throw error;
  }
}
