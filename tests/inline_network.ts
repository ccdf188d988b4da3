/**
 * Several nodes of one service without hosts and sockets: enclaves called directly, messages carried by hand.
 *
 * In: a service, requests, time that the test lets pass. Out: responses; messages get through, in order, unless the test
 * has cut the way. Everything happens at once and in one order, so that a test is the same each time.
 */

import { strict as assert } from "node:assert";
import { parsePemBlock } from "../shared/crypto/pem.ts";
import type { CommonConfig, HttpResponse, JoinConfig } from "../enclave/messages.ts";
import { loadNativePowers } from "../enclave/native_powers.ts";
import type { EnclavePowers } from "../enclave/powers.ts";
import type { SandboxOpening } from "../node/sandbox_opening.ts";
import { InlineNode, type InlineRequest, type InlineSnapshot, type OutsideOutput } from "./inline_node.ts";
import { type InlineService, startInlineService } from "./inline_service.ts";
import { seededRandom } from "./ledger_forge.ts";

/** A network in which so many messages bring new ones does not come to rest. */
const MAX_MESSAGES = 100_000;

type Message = OutsideOutput & { readonly kind: "nodeOutbound" };

export class InlineNetwork {
  readonly nodes: InlineNode[] = [];
  /** Ordered pairs of node IDs between which nothing gets through. */
  readonly cut = new Set<string>();
  readonly #powers: EnclavePowers;
  readonly #config: InlineService["config"];
  readonly #addresses = new Map<string, InlineNode>();
  readonly #queue: (() => void)[] = [];

  /** @param service its node is the first, and has been started already */
  constructor(powers: EnclavePowers, { node, config }: InlineService) {
    this.#powers = powers;
    this.#config = config;
    this.#add(node, config);
  }

  /** A node that begins to join through another, and takes part at once where the service is not open yet. */
  join(target: InlineNode = this.nodes[0]!, change: Partial<JoinConfig> = {}, snapshot?: InlineSnapshot): InlineNode {
    const { service: _, ...common } = this.#config;
    const port = 8000 + this.nodes.length;
    const config: JoinConfig = {
      ...common,
      nodeToNodeInterface: { bind_address: `127.0.0.1:${port + 2000}`, published_address: `127.0.0.1:${port + 2000}` },
      rpcInterfaces: {
        primary_rpc_interface: { bind_address: `127.0.0.1:${port}`, published_address: `127.0.0.1:${port}` },
      },
      servicePem: target.servicePem,
      targetAddress: [...this.#addresses].find(([, node]) => node === target)![0],
      retryTimeoutMs: 1000,
      followRedirect: true,
      ...change,
    };
    const node = InlineNode.join(this.#powers, config, target.nowMs, snapshot);
    this.#add(node, config);
    return node;
  }

  get primary(): InlineNode {
    const leaders = this.alive.filter(({ enclave }) => enclave.node!.isPrimary);
    const primary = leaders.toSorted((a, b) => b.enclave.node!.view - a.enclave.node!.view)[0];
    assert(primary !== undefined, "somebody leads");
    return primary;
  }

  get alive(): InlineNode[] {
    return this.nodes.filter((node) => !this.#dead.has(node));
  }

  /** The process ends; nothing comes from it any more. */
  kill(node: InlineNode): void {
    this.#dead.add(node);
  }
  readonly #dead = new Set<InlineNode>();

  /** Cuts a node off from all others, both ways. */
  isolate(node: InlineNode): void {
    for (const other of this.nodes) {
      if (other === node) continue;
      this.cut.add(`${node.nodeId} ${other.nodeId}`);
      this.cut.add(`${other.nodeId} ${node.nodeId}`);
    }
  }

  /** Carries messages until there are none. */
  deliver(): void {
    for (let count = 0; this.#queue.length > 0; count++) {
      assert(count < MAX_MESSAGES, "the network comes to rest");
      this.#queue.shift()!();
    }
  }

  /** Lets time pass at all nodes, tick by tick. */
  advance(ms: number, tickMs = 10): void {
    for (let passed = 0; passed < ms; passed += tickMs) {
      for (const node of this.alive) node.advance(tickMs);
      this.deliver();
    }
  }

  /** Asks a node, and carries messages until it has answered. */
  request(node: InlineNode, request: InlineRequest, interfaceName?: string): HttpResponse {
    const id = node.ask(request, interfaceName);
    this.deliver();
    const response = node.takeResponse(id);
    assert(response !== undefined, node.fatal ?? "every request is answered");
    return response;
  }

  /** Members open the service through its first node, while time passes so that signatures get committed. */
  open(opening: SandboxOpening): void {
    this.nodes[0]!.open(opening);
    this.advance(2200); // a signature commits the opening, another the evidence of its snapshot
  }

  #add(node: InlineNode, { rpcInterfaces }: CommonConfig): void {
    this.nodes.push(node);
    const { published_address, bind_address } = rpcInterfaces.primary_rpc_interface!;
    this.#addresses.set(published_address ?? bind_address, node);
    node.outside = (output) => this.#carry(node, output);
  }

  #carry(from: InlineNode, output: OutsideOutput): void {
    switch (output.kind) {
      case "nodeOutbound":
        this.#queue.push(() => this.#hand(from, output));
        return;
      case "peerAddress":
      case "peerConnection":
        return;
      case "httpRequest":
        this.#queue.push(() => this.#ask(from, output));
        return;
    }
  }

  #hand(from: InlineNode, { to, messageType, payload, entries }: Message): void {
    const receiver = this.alive.find(({ nodeId }) => nodeId === to);
    if (receiver === undefined || this.#dead.has(from) || this.cut.has(`${from.nodeId} ${to}`)) return;
    const attached = entries === undefined ? new Uint8Array() : from.readEntries(entries.from, entries.to);
    if (attached === null) return;
    const whole = new Uint8Array(payload.length + attached.length);
    whole.set(payload);
    whole.set(attached, payload.length);
    const connection = this.nodes.indexOf(from);
    receiver.send({ kind: "nodeInbound", connection, from: from.nodeId, messageType, payload: whole });
  }

  #ask(from: InlineNode, { id, address, request }: OutsideOutput & { readonly kind: "httpRequest" }): void {
    const target = this.#addresses.get(address);
    if (target === undefined || this.#dead.has(target)) {
      return from.send({ kind: "httpResult", id, response: null, reason: `${address} does not answer` });
    }
    const certificate = parsePemBlock(from.nodePem, "CERTIFICATE");
    from.send({ kind: "httpResult", id, response: this.request(target, { ...request, certificate }) });
  }
}

export interface StartedNetwork {
  readonly network: InlineNetwork;
  /** Its node is the first, and leads. */
  readonly service: InlineService;
}

/** What the networks of one test file have in common: keys take longer to make than all the rest. */
let common: Promise<{ readonly powers: EnclavePowers; readonly service: InlineService }> | undefined;

async function makeCommon(): NonNullable<typeof common> {
  const workspace = await Deno.makeTempDir({ prefix: "quorate_network_" });
  try {
    const native = await loadNativePowers();
    const keyPair = native.rsaKeyPair();
    const powers = { ...native, rsaKeyPair: () => keyPair };
    return { powers, service: await startInlineService(workspace, "native", { powers, closed: true }) };
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
}

/** Of networks that a test file has started. */
let networks = 0;

/** Three nodes of an open service of their own. What is drawn, election timers above all, is the same in each run. */
export async function startNetwork(): Promise<StartedNetwork> {
  const { powers: native, service: prepared } = await (common ??= makeCommon());
  const powers = { ...native, random: seededRandom(native.primitives, `network ${networks++}`) };
  const service = { ...prepared, node: InlineNode.start(powers, prepared.config, prepared.node.nowMs) };
  const network = new InlineNetwork(powers, service);
  for (let i = 0; i < 2; i++) {
    network.join();
    network.advance(1200);
  }
  network.open(service.sandbox.opening);
  return { network, service };
}
