/**
 * One request to another node over TLS.
 *
 * In: its address, the certificate of its service, this node's own or none. Out: the answer, a redirection like any other; or why
 * there is none, as a sentence.
 *
 * The server's certificate must be issued by the service certificate, and nothing else is trusted. Names in it are not
 * compared with the address: a node is reached under addresses that its certificate does not know, and whoever has a
 * certificate of the service is a node that was admitted. CCF's joining node of 7.0.0-dev7 does not compare them either
 * (src/node/node_state.h, src/tls/cert.h); its fetching of snapshots does (src/snapshots/fetch.h, curl's default), which
 * proves nothing more, since a snapshot proves itself.
 */

import { Buffer } from "node:buffer";
import * as https from "node:https";
import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import { FormatError } from "../shared/assert.ts";
import { concat } from "../shared/bytes.ts";
import { parseCertificateBundle } from "../shared/crypto/x509.ts";
import type { HttpRequest, HttpResponse } from "../enclave/messages.ts";
import { type Address, formatAddress, parseAddress } from "./units.ts";

export interface OutboundRequest {
  /** "host:port" */
  readonly address: string;
  readonly servicePem: string;
  /** Shown to the server, which sees by it that this node has the key. They must belong together; none is shown without. */
  readonly clientCertificatePem?: string;
  readonly clientKeyPem?: string;
  readonly request: HttpRequest;
  /** For all of it, from the look-up of the name to the last byte. */
  readonly timeoutMs: number;
  readonly maxBodyBytes: number;
}

/** There is no answer. The message is a sentence with the address and the reason: name, connection, TLS, HTTP. */
export class OutboundFailure extends Error {
  override name = "OutboundFailure";
}

/**
 * Asks once, on a connection of its own. Redirections are not followed.
 *
 * @returns headers with lower-case names, sorted, one character a byte; whatever the status
 * @throws OutboundFailure
 */
export function request(options: OutboundRequest): Promise<HttpResponse> {
  const { address, timeoutMs } = options;
  const cannot = (reason: string): OutboundFailure => new OutboundFailure(`Cannot ask ${address}: ${reason}`);
  return new Promise((resolve, reject) => {
    let phase: Phase = "connecting";
    let asked: ReturnType<typeof begin>;
    try {
      asked = begin(options);
    } catch (error) {
      reject(cannot((error as Error).message));
      return;
    }
    const timer = setTimeout(() => fail(`${PHASES[phase]} takes more than ${timeoutMs} ms`), timeoutMs);
    const fail = (reason: string): void => {
      clearTimeout(timer);
      reject(cannot(reason));
      asked.destroy();
    };
    asked.on("socket", (socket) => {
      socket.once("connect", () => phase = "TLS");
      (socket as TLSSocket).once("secureConnect", () => phase = "asking");
    });
    asked.on("response", (incoming) => {
      phase = "answering";
      readResponse(incoming, options.maxBodyBytes).then((response) => {
        clearTimeout(timer);
        resolve(response);
        asked.destroy();
      }, (error) => fail(error.message));
    });
    asked.on("error", (error) => fail(reasonOf(error, phase)));
    asked.end(Buffer.from(options.request.body));
  });
}

type Phase = "connecting" | "TLS" | "asking" | "answering";

/** What takes too long, or fails. */
const PHASES: Readonly<Record<Phase, string>> = {
  connecting: "connecting",
  TLS: "the TLS handshake",
  asking: "the answer",
  answering: "the rest of the answer",
};

function begin({ address, servicePem, clientCertificatePem, clientKeyPem, request }: OutboundRequest) {
  const { host, port } = checkedAddress(address);
  // Here, since the runtime takes a text without any certificate.
  if (parseCertificateBundle(servicePem).length === 0) {
    throw new FormatError("the service certificate is no certificate in PEM");
  }
  return https.request({
    host,
    port,
    method: request.method,
    path: request.target,
    headers: { host: formatAddress({ host, port }), ...Object.fromEntries(request.headers) },
    agent: false,
    ca: servicePem,
    ...(clientCertificatePem === undefined ? {} : { cert: clientCertificatePem, key: clientKeyPem }),
    rejectUnauthorized: true,
    checkServerIdentity: () => undefined,
  });
}

function checkedAddress(address: string): Address {
  const parsed = parseAddress(address);
  if (parsed.port === 0) throw new FormatError("port 0 is none to connect to");
  return parsed;
}

/** @throws Error whose message is the reason */
async function readResponse(incoming: IncomingMessage, maxBodyBytes: number): Promise<HttpResponse> {
  const announced = Number(incoming.headers["content-length"] ?? 0);
  if (announced > maxBodyBytes) throw new FormatError(`the answer has ${announced} bytes, of ${maxBodyBytes} at most`);
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const piece of incoming as AsyncIterable<Uint8Array>) {
      bytes += piece.length;
      if (bytes > maxBodyBytes) break;
      pieces.push(piece);
    }
  } catch {
    throw new FormatError("the connection is lost before the end of the answer");
  }
  if (bytes > maxBodyBytes) throw new FormatError(`the answer has more than ${maxBodyBytes} bytes`);
  return { status: incoming.statusCode!, headers: headersOf(incoming.rawHeaders), body: concat(...pieces) };
}

function headersOf(raw: readonly string[]): [string, string][] {
  const headers: [string, string][] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    if (name !== "content-length" && name !== "transfer-encoding") headers.push([name, raw[i + 1]!]);
  }
  return headers.sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0);
}

function reasonOf(error: Error & { code?: string }, phase: Phase): string {
  const code = error.code ?? "";
  if (code === "ENOTFOUND" || code.startsWith("EAI_")) return "no host has that name; is it written right?";
  if (code === "ECONNREFUSED") return "nothing listens there; is the node running?";
  if (code === "EHOSTUNREACH" || code === "ENETUNREACH") return "there is no way to that host";
  if (code.includes("VERIFY") || code.includes("CERT")) {
    return `its certificate is not one of the service (${error.message}); is the service certificate that of its service?`;
  }
  if (phase === "connecting" || phase === "TLS") return `${PHASES[phase]} fails: ${error.message}`;
  if (code.startsWith("HPE_")) return `it does not answer in HTTP/1.1: ${error.message}`;
  return `the connection is lost before it answers: ${error.message}`;
}
