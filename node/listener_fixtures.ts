/**
 * For tests of the listeners: identities, a sink that remembers, a client that speaks bytes.
 */

import { Buffer } from "node:buffer";
import * as net from "node:net";
import * as tls from "node:tls";
import { toUtf8 } from "../shared/bytes.ts";
import { generateEcPrivateKey } from "../shared/crypto/ecdsa.ts";
import { serialisePrivateKeyFile } from "../shared/crypto/key_file.ts";
import { parsePemBlock, serialisePem } from "../shared/crypto/pem.ts";
import type { CurveName } from "../shared/crypto/primitives.ts";
import {
  memberCertificate,
  randomSerial,
  selfSignedNodeCertificate,
  signCertificate,
  validityOfDays,
} from "../shared/crypto/x509_build.ts";
import { parseSubjectAltName } from "../shared/crypto/x509_extensions.ts";
import { nameFromText } from "../shared/crypto/x509_name.ts";
import type { HttpResponse } from "../enclave/messages.ts";
import { type Exchange, type HttpLimits, RequestBatcher, type RequestSink, type Session } from "./listener.ts";
import { type TlsIdentity, TlsListener, type TlsListenerOptions } from "./tls_server.ts";

/** Those of the interface in the recorded answers. */
export const SMALL_LIMITS: HttpLimits = { maxBodyBytes: 200 * 1024, maxHeaderBytes: 8 * 1024, maxHeadersCount: 40 };

/** What is waited for is there in a moment; but the machine may be busy with other tests. */
const PATIENCE_MS = 60_000;

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));

/** A self-signed certificate and its key: a node's, or a client's without extensions, as CCF's key generator makes it. */
export function selfSigned(
  kind: "node" | "client",
  { curve = "P-384" as CurveName, startMs = Date.now() - 60_000, days = 1 } = {},
): TlsIdentity {
  const key = generateEcPrivateKey(curve, random);
  const fields = {
    key: key.publicKey,
    subject: nameFromText(`CN=${kind}`),
    validity: validityOfDays(startMs, days),
    serial: randomSerial(random),
  };
  const subjectAltNames = [parseSubjectAltName("iPAddress:127.0.0.1")];
  const certificate = kind === "client"
    ? memberCertificate(fields)
    : selfSignedNodeCertificate({ ...fields, subjectAltNames });
  return {
    certificateChainPem: serialisePem("CERTIFICATE", signCertificate(certificate, key)),
    privateKeyPem: serialisePrivateKeyFile(key),
  };
}

export function derOf(identity: TlsIdentity): Uint8Array {
  return parsePemBlock(identity.certificateChainPem, "CERTIFICATE");
}

/** A listener with client certificates on a free port, which asks this sink. */
export function listenTls(sink: RequestSink, options: Partial<TlsListenerOptions> = {}): Promise<TlsListener> {
  return TlsListener.listen({
    interfaceName: "primary_rpc_interface",
    hostname: "127.0.0.1",
    port: 0,
    identity: selfSigned("node"),
    limits: SMALL_LIMITS,
    maxOpenSessionsSoft: 1000,
    maxOpenSessionsHard: 1010,
    idleTimeoutMs: 60_000,
    batcher: new RequestBatcher(sink),
    ...options,
  });
}

export function textResponse(text: string, more: Partial<HttpResponse> = {}): HttpResponse {
  return { status: 200, headers: [["content-type", "text/plain"]], body: toUtf8(text), ...more };
}

/** Remembers what it is told. Answers with `answer`, or leaves that to the test where there is none. */
export class RecordingSink implements RequestSink {
  readonly opened: Session[] = [];
  readonly closed: Session[] = [];
  readonly batches: (readonly Exchange[])[] = [];
  readonly #answer: ((exchange: Exchange) => HttpResponse) | undefined;

  constructor(answer?: (exchange: Exchange) => HttpResponse) {
    this.#answer = answer;
  }

  get exchanges(): Exchange[] {
    return this.batches.flat();
  }

  sessionOpened(session: Session): void {
    this.opened.push(session);
  }

  requests(batch: readonly Exchange[]): void {
    this.batches.push(batch);
    if (this.#answer !== undefined) { for (const exchange of batch) exchange.respond(this.#answer(exchange)); }
  }

  sessionClosed(session: Session): void {
    this.closed.push(session);
  }
}

/** Answers `METHOD target: body`. */
export function echoing(): RecordingSink {
  return new RecordingSink(({ request }) =>
    textResponse(`${request.method} ${request.target}: ${Buffer.from(request.body).toString("latin1")}`)
  );
}

/** A connection that sends bytes and keeps what comes back, as byte strings. */
export class RawClient {
  received = "";
  /** The other side has ended or reset the connection. */
  isClosed = false;
  readonly socket: net.Socket;
  readonly #waiting = new Set<() => void>();

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (bytes) => this.#changed(() => this.received += Buffer.from(bytes).toString("latin1")));
    for (const event of ["end", "close", "error"]) socket.on(event, () => this.#changed(() => this.isClosed = true));
  }

  /** Rejects where the connection or the handshake fails. */
  static connect(
    port: number,
    identity?: TlsIdentity | "unsecured",
    options: tls.ConnectionOptions = {},
  ): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const connected = () => {
        socket.removeListener("error", reject);
        resolve(new RawClient(socket));
      };
      const client = identity === undefined || identity === "unsecured"
        ? {}
        : { cert: identity.certificateChainPem, key: identity.privateKeyPem };
      const socket = identity === "unsecured"
        ? net.connect(port, "127.0.0.1", connected)
        : tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...client, ...options }, connected);
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("Closed before the handshake")));
    });
  }

  send(text: string): void {
    this.socket.write(Buffer.from(text, "latin1"));
  }

  /** Resolves once the condition holds; rejects where it takes too long. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(check);
        reject(new Error(`Waited in vain for ${condition}; received ${JSON.stringify(this.received.slice(-500))}`));
      }, PATIENCE_MS);
      const check = (): void => {
        if (!condition()) return;
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }

  close(): void {
    this.socket.destroy();
  }

  #changed(change: () => void): void {
    change();
    for (const check of this.#waiting) check();
  }
}

/** Waits for what no event tells. Rejects where it takes too long. */
export async function eventually(condition: () => boolean): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`Waited in vain for ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
