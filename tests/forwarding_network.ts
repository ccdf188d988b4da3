/**
 * Two nodes, and the messages that one forwards to the other, without consensus: a test says who leads, and in which view.
 * Each has a ledger of its own, so that it shows where a request ran.
 *
 * In: rules of interfaces. Out: answers of the backup and of the primary, once messages are delivered, lost or late.
 */

import { strict as assert } from "node:assert";
import { answerForwarded, answerRequest } from "../enclave/forwarding/answer.ts";
import { Forwarder } from "../enclave/forwarding/forwarder.ts";
import { Session } from "../enclave/frontend/session.ts";
import type { AppBundle, HeaderList, HttpResponse, RpcInterface } from "../enclave/messages.ts";
import { loadNativePowers } from "../enclave/native_powers.ts";
import type { Node } from "../enclave/node.ts";
import type { EnclavePowers } from "../enclave/powers.ts";
import { toUtf8 } from "../shared/bytes.ts";
import { NODES_INFO } from "../shared/governance/tables.ts";
import { bodyText, odataError } from "./inline_app.ts";
import { InlineNode } from "./inline_node.ts";
import { type InlineService, startInlineService } from "./inline_service.ts";

const WRITE = "ccf.kv.t.set(ccf.strToBuf('k'), ccf.strToBuf(request.query)); return { statusCode: 201 }";
const READ =
  "return { body: ccf.kv.t.has(ccf.strToBuf('k')) ? ccf.bufToStr(ccf.kv.t.get(ccf.strToBuf('k'))) : 'none' }";

/** Verb and path, what it does, and how it is declared. */
const ROUTES: readonly (readonly [string, string, string, string?])[] = [
  ["POST /w", WRITE, "always"],
  ["GET /r", READ, "sometimes"],
  ["GET /here", READ, "never", "none"],
  ["POST /sometimes", WRITE, "sometimes"],
  ["GET /backup", READ, "sometimes", "to_backup"],
  ["GET /anywhere", READ, "always", "none"],
  [
    "POST /echo",
    "return { body: { body: request.body.text(), headers: request.headers, url: request.url } }",
    "always",
  ],
  ["POST /bad", "return { headers: { 'x-evil': 'a\\r\\nb: c' } }", "always"],
  ["HEAD /head", "return { headers: { 'content-length': '77' } }", "always"],
  ["GET /me", "return { body: request.caller.policy + request.caller.id }", "always"],
];

function app(): AppBundle {
  const endpoints: Record<string, Record<string, unknown>> = {};
  const functions = ROUTES.map(([route, js, forwarding, redirection], i) => {
    const [verb, path] = route.split(" ") as [string, string];
    (endpoints[path] ??= {})[verb] = {
      js_module: "app.js",
      js_function: `f${i}`,
      forwarding_required: forwarding,
      ...(redirection !== undefined && { redirection_strategy: redirection }),
      mode: "readwrite",
      authn_policies: path === "/me" ? ["user_cert"] : [],
    };
    return `export function f${i}(request) { ${js} }`;
  });
  return { metadata: { endpoints }, modules: [{ name: "app.js", module: functions.join("\n") }] };
}

let common: Promise<{ readonly service: InlineService; readonly powers: EnclavePowers }> | undefined;

async function makeCommon(): Promise<{ readonly service: InlineService; readonly powers: EnclavePowers }> {
  const workspace = await Deno.makeTempDir();
  try {
    const native = await loadNativePowers();
    const keyPair = native.rsaKeyPair();
    const powers = { ...native, rsaKeyPair: () => keyPair };
    return { service: await startInlineService(workspace, "js", { powers, closed: true }), powers };
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
}

interface Role {
  canReplicate: boolean;
  primaryId: string | undefined;
  view: number;
}

/** One node with its forwarder, whose messages wait until they are delivered. */
export class ForwardingNode {
  readonly node: Node;
  readonly forwarder: Forwarder;
  readonly role: Role;
  readonly answers = new Map<number, HttpResponse>();
  #nextId = 1;

  constructor(
    inline: InlineNode,
    send: (to: string, header: Uint8Array, content: Uint8Array) => boolean,
  ) {
    this.node = inline.enclave.node!;
    const role = this.role = { canReplicate: true, primaryId: this.node.id, view: this.node.view };
    Object.defineProperties(this.node, {
      canReplicate: { get: () => role.canReplicate },
      isPrimary: { get: () => role.canReplicate },
      primaryId: { get: () => role.primaryId },
      view: { get: () => role.view },
    });
    this.forwarder = new Forwarder({
      send,
      respond: (_session, id, response) => void this.answers.set(id, response),
      run: (session, request) => answerForwarded(this.node, session, request),
      log: () => {},
    });
  }

  /** The answer, or undefined where another node is asked. */
  ask(session: Session, line: string, body?: unknown, headers?: HeaderList): HttpResponse | undefined {
    return this.send(session, line, body, headers).response;
  }

  /** @param headers beside `content-length` */
  send(
    session: Session,
    line: string,
    body?: unknown,
    headers: HeaderList = [],
  ): { readonly id: number; readonly response?: HttpResponse } {
    const [method, target] = line.split(" ") as [string, string];
    const id = this.#nextId++;
    const bytes = body instanceof Uint8Array
      ? body
      : toUtf8(body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body));
    const request = {
      method,
      target,
      headers: [...headers, ["content-length", String(bytes.length)]] as const,
      body: bytes,
    };
    const exchange = { session: 1, id, request };
    const response = answerRequest(this.node, this.forwarder, session, exchange);
    return { id, ...(response !== undefined && { response }) };
  }
}

interface Options {
  readonly interfaces?: Readonly<Record<string, Partial<RpcInterface>>>;
}

export class ForwardingNetwork {
  readonly primary: ForwardingNode;
  readonly backup: ForwardingNode;
  readonly userCertificate: Uint8Array;
  channelIsOpen = true;
  commands = 0;
  readonly #messages: (() => void)[] = [];

  constructor(primary: InlineNode, backup: InlineNode, userCertificate: Uint8Array) {
    this.userCertificate = userCertificate;
    const primaryInfo = primary.enclave.node!.store.beginReadOnly().open(NODES_INFO).get(primary.nodeId)!;
    backup.write((tx) => tx.open(NODES_INFO).put(primary.nodeId, primaryInfo));
    const nodes: ForwardingNode[] = [];
    const sender = (from: number) => (to: string, header: Uint8Array, content: Uint8Array) => {
      if (!this.channelIsOpen) return false;
      const target = nodes.find(({ node }) => node.id === to)!;
      this.#messages.push(() => target.forwarder.receive(nodes[from]!.node.id, header, content, target.node.steadyMs));
      return true;
    };
    nodes.push(new ForwardingNode(primary, sender(0)), new ForwardingNode(backup, sender(1)));
    [this.primary, this.backup] = nodes as [ForwardingNode, ForwardingNode];
    Object.assign(this.backup.role, { canReplicate: false, primaryId: this.primary.node.id });
  }

  deliver(): void {
    for (let message = this.#messages.shift(); message !== undefined; message = this.#messages.shift()) {
      this.commands++;
      message();
    }
  }

  lose(): void {
    this.#messages.length = 0;
  }

  /** A client of the backup asks, and waits. */
  ask(session: Session, line: string, body?: unknown, headers?: HeaderList): HttpResponse {
    const { id, response } = this.backup.send(session, line, body, headers);
    if (response !== undefined) return response;
    this.deliver();
    const answer = this.backup.answers.get(id);
    assert.ok(answer !== undefined, `${line} is answered`);
    return answer;
  }

  /** "200 value" or "503 Code message" */
  result(session: Session, line: string, body?: unknown): string {
    const response = this.ask(session, line, body);
    if (response.status < 400) return `${response.status} ${bodyText(response)}`;
    const { code, message } = odataError(response);
    return `${response.status} ${code} ${message}`;
  }
}

/** Registers a test over two nodes of a service that is open. */
export function networkTest(
  name: string,
  test: (network: ForwardingNetwork) => void,
  { interfaces = {} }: Options = {},
): void {
  Deno.test(name, async () => {
    const { service, powers } = await (common ??= makeCommon());
    const address = { bind_address: "127.0.0.1:1", published_address: "n.example:443" };
    const rpcInterfaces = Object.fromEntries(
      Object.entries({ primary_rpc_interface: {}, ...interfaces }).map((
        [name, rules],
      ) => [name, { ...address, ...rules }]),
    );
    const { members, users } = service.sandbox.opening;
    const opening = { members, users, app: app() };
    const start = () => InlineNode.start(powers, { ...service.config, rpcInterfaces }, service.node.nowMs, opening);
    test(new ForwardingNetwork(start(), start(), service.userCertificate));
  });
}

/** A connection to one of their interfaces. */
export const client = (interfaceName = "primary_rpc_interface", certificate: Uint8Array | null = null) =>
  new Session(interfaceName, certificate);
