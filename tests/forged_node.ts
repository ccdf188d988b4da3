/**
 * A node that is but a TLS server with prepared answers, for tests of whoever asks nodes for evidence and ledger.
 *
 * In: a forged ledger, what is to be answered otherwise. Out: a URL on 127.0.0.1. It stops with the test.
 */

import { Buffer } from "node:buffer";
import { createECDH, createPrivateKey, randomBytes, sign } from "node:crypto";
import * as https from "node:https";
import { concat } from "../shared/bytes.ts";
import { parseCertificatePem } from "../shared/crypto/x509.ts";
import { privateKeyPem } from "../enclave/identity.ts";
import type { ForgedIdentity } from "./ledger_forge.ts";
import { snpEvidenceFor, type TrustForge } from "./trust_forge.ts";

export interface FakeAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

/** Answers by path; undefined leaves the right one. */
export type Otherwise = (path: string, query: URLSearchParams) => FakeAnswer | undefined;

export class ForgedNode implements AsyncDisposable {
  readonly url: string;
  readonly asked: string[] = [];
  readonly #server: https.Server;

  private constructor(server: https.Server, port: number) {
    this.#server = server;
    this.url = `https://127.0.0.1:${port}`;
  }

  /** @param node whose certificate and key the server has; the one that leads the ledger unless said otherwise */
  static async start(
    forge: TrustForge,
    otherwise: Otherwise = () => undefined,
    node: ForgedIdentity = forge.node,
  ): Promise<ForgedNode> {
    const asked: string[] = [];
    const server = https.createServer(
      { cert: node.certificatePem, key: privateKeyPem(node.key) },
      (request, response) => {
        const { pathname, searchParams } = new URL(request.url!, "https://x");
        asked.push(pathname);
        const { status = 200, headers = {}, body } = otherwise(pathname, searchParams) ??
          answer(forge, node, pathname, searchParams);
        response.writeHead(status, { ...headers });
        response.end(typeof body === "string" ? body : Buffer.from(body));
      },
    );
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const running = new ForgedNode(server, (server.address() as { port: number }).port);
    Object.assign(running, { asked });
    return running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }
}

/** Few enough that a ledger takes several. */
const ENTRIES_IN_ANSWER = 4;

function answer(forge: TrustForge, node: ForgedIdentity, path: string, query: URLSearchParams): FakeAnswer {
  switch (path) {
    case "/node/attestations/self": {
      const { quote: raw, ...evidence } = snpEvidenceFor(node);
      return { body: JSON.stringify({ ...evidence, raw, node_id: node.id, measurement: "" }) };
    }
    case "/node/network":
      return { body: JSON.stringify({ service_certificate: forge.service.certificatePem, service_status: "Open" }) };
    case "/node/network/nodes":
      return { body: JSON.stringify({ nodes: [] }) };
    case "/node/commit":
      return { body: JSON.stringify({ transaction_id: `${forge.view}.${forge.entries.length}` }) };
    case "/node/ledger/entries": {
      const [from, to] = [Number(query.get("from")), Number(query.get("to"))];
      const end = Math.min(to, from + ENTRIES_IN_ANSWER - 1);
      const headers: Record<string, string> = { "x-quorate-ledger-range": `${from}-${end}` };
      if (end < to) headers["x-quorate-ledger-next"] = String(end + 1);
      return { headers, body: concat(...forge.entries.slice(from - 1, end)) };
    }
    default:
      return { status: 404, body: JSON.stringify({ error: { code: "ResourceNotFound", message: `No ${path}` } }) };
  }
}

/** What a client answers to a server that has come as far as its signature. */
export type Reaction = "goes on" | "breaks off";

/**
 * Begins a TLS 1.2 handshake with one client under this certificate, signs its share with `key`, and sees what the client
 * makes of it. Nothing else of TLS is there (RFC 5246 §7.4, RFC 8422 §5.4).
 *
 * @returns the port, and the reaction of the first client
 */
export function halfShake(certificatePem: string, key: ForgedIdentity["key"]): {
  readonly port: number;
  readonly reaction: Promise<Reaction>;
} {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const reaction = (async (): Promise<Reaction> => {
    using connection = await listener.accept();
    listener.close();
    const hello = await readRecord(connection);
    const clientRandom = hello.body.subarray(6, 38); // after type, length and version
    const serverRandom = randomBytes(32);
    const ephemeral = createECDH("prime256v1");
    const params = concat(Uint8Array.of(3, 0, 0x17, 65), ephemeral.generateKeys());
    const signed = concat(clientRandom, serverRandom, params);
    const signature = sign("sha256", signed, createPrivateKey(privateKeyPem(key)));
    const { der } = parseCertificatePem(certificatePem);
    const messages = [
      // ServerHello: TLS 1.2, no session, ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, no compression.
      message(2, concat(Uint8Array.of(3, 3), serverRandom, Uint8Array.of(0, 0xc0, 0x2b, 0))),
      message(11, vector(3, vector(3, der))),
      message(12, concat(params, Uint8Array.of(4, 3), vector(2, signature))),
      message(14, new Uint8Array()),
    ];
    for (const each of messages) await connection.write(concat(Uint8Array.of(22, 3, 3), vector(2, each)));
    const { type } = await readRecord(connection);
    return type === 22 ? "goes on" : "breaks off"; // handshake, or alert
  })();
  return { port: (listener.addr as Deno.NetAddr).port, reaction };
}

function message(type: number, body: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(type), vector(3, body));
}

/** Bytes behind their length in so many bytes. */
function vector(lengthBytes: number, body: Uint8Array): Uint8Array {
  const length = new Uint8Array(lengthBytes);
  for (let i = 0; i < lengthBytes; i++) length[lengthBytes - 1 - i] = body.length >>> (8 * i);
  return concat(length, body);
}

async function readRecord(connection: Deno.Conn): Promise<{ type: number; body: Uint8Array }> {
  const header = await readExactly(connection, 5);
  return { type: header[0]!, body: await readExactly(connection, header[3]! * 256 + header[4]!) };
}

async function readExactly(connection: Deno.Conn, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const count = await connection.read(bytes.subarray(at));
    if (count === null) throw new Error("The client has gone");
    at += count;
  }
  return bytes;
}
