/**
 * A relay and nodes of every kind, for tests: both on free ports of 127.0.0.1, both stop with the test.
 */

import { strict as assert } from "node:assert";
import * as net from "node:net";
import { join } from "node:path";
import * as tls from "node:tls";
import { toUtf8 } from "../shared/bytes.ts";
import { makeTlsService } from "./tls_service.ts";
import { ConsoleFiles } from "../node/console_files.ts";
import { ConsoleRelay, type RelayOptions } from "../node/console_relay.ts";
import { RELAY_TOKEN_HEADER } from "../node/console_relay_guard.ts";

export const TOKEN = "0123456789abcdef";
const PATIENCE = { connectMs: 300, answerMs: 300 };

export const service = makeTlsService("Service");

const files = await (async () => {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(join(folder, "index.html"), "<!doctype html>");
  await Deno.writeTextFile(join(folder, "policy.json"), `{"content_security_policy": "default-src 'none'"}`);
  const read = ConsoleFiles.open(folder)!;
  await Deno.remove(folder, { recursive: true });
  return read;
})();

/** A relay on a free port, and raw requests to it. */
export class TestRelay implements AsyncDisposable {
  readonly #relay: ConsoleRelay;

  constructor(port: number, options: Partial<RelayOptions> = {}) {
    const nodeUrl = new URL(`https://127.0.0.1:${port}`);
    const more = { servicePem: service.service, files, port: 0, token: TOKEN, patience: PATIENCE };
    this.#relay = new ConsoleRelay({ nodeUrl, ...more, ...options });
    this.#relay.start();
  }

  get url(): string {
    return this.#relay.url;
  }

  get port(): number {
    return this.#relay.port;
  }

  /** As the page asks: with the token. */
  ask(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}${path}`, {
      redirect: "manual",
      ...init,
      headers: { [RELAY_TOKEN_HEADER]: TOKEN, ...init.headers as Record<string, string> },
    });
  }

  /** Why there is no answer: stage and code, once all else that a person needs is there. */
  async problem(path: string, init: RequestInit = {}): Promise<string> {
    return problemOf(await this.ask(path, init));
  }

  /** The status and body of a request written byte for byte: clients set these headers themselves. */
  async raw(head: string): Promise<string> {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: this.port });
    await connection.write(toUtf8(`${head}\r\nconnection: close\r\n\r\n`));
    return await new Response(connection.readable).text();
  }

  async [Symbol.asyncDispose]() {
    await this.#relay.stop();
  }
}

export async function problemOf(response: Response): Promise<string> {
  const { error, stage, what, why, todo } = await response.json();
  assert.equal(error.message, `${what}: ${why}`);
  assert.ok(
    [what, why, todo].every((text) => typeof text === "string" && text.length > 10),
    JSON.stringify({ what, why, todo }),
  );
  assert.match(response.headers.get("content-security-policy")!, /sandbox/);
  return `${response.status} ${stage} ${error.code}`;
}

export interface TestNode extends AsyncDisposable {
  readonly port: number;
  /** The heads of requests, with the body where it came along. */
  readonly received: string[];
  readonly connections: () => number;
}

export type Answer = string | null | ((request: string, socket: net.Socket) => string | null);

/** Answers whatever comes on a connection with this text; null: with nothing, ever. */
export async function serve(answer: Answer, identity: Partial<typeof service> | "plain" = {}): Promise<TestNode> {
  const received: string[] = [];
  const sockets = new Set<net.Socket>();
  let connections = 0;
  const onSocket = (socket: net.Socket) => {
    connections++;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", (bytes) => {
      const request = bytes.toString("latin1");
      received.push(request);
      const text = typeof answer === "function" ? answer(request, socket) : answer;
      if (text !== null) socket.write(text, "latin1");
    });
  };
  const { certificate: cert, key } = { ...service, ...identity as Partial<typeof service> };
  const server = identity === "plain" ? net.createServer(onSocket) : tls.createServer({ cert, key }, onSocket);
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    received,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function answered(body: string, ...headers: string[]): string {
  return ["HTTP/1.1 200 OK", `content-length: ${body.length}`, ...headers, "", body].join("\r\n");
}

export const COMMIT = answered(`{"transaction_id":"2.1"}`, "content-type: application/json");
