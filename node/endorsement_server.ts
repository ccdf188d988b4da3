/**
 * A server on 127.0.0.1 in the place of AMD's, Azure's or Intel's, for tests of who asks them.
 */

import * as http from "node:http";
import * as https from "node:https";
import type { AddressInfo } from "node:net";
import { selfSigned } from "./listener_fixtures.ts";

export type Answer = { status?: number; headers?: Record<string, string>; body?: Uint8Array | string; hangs?: boolean };

/** A server on 127.0.0.1 that gives the next answer to each request. */
export async function withServer(
  isTls: boolean,
  answers: readonly Answer[],
  run: (url: string, asked: readonly string[]) => Promise<void>,
): Promise<void> {
  const asked: string[] = [];
  const left = [...answers];
  const answer = (request: http.IncomingMessage, response: http.ServerResponse) => {
    asked.push(`${request.method} ${request.url}${request.headers.metadata === undefined ? "" : " Metadata"}`);
    const { status = 200, headers = {}, body = "", hangs = false } = left.shift() ?? { status: 500 };
    response.writeHead(status, headers);
    if (hangs) response.write("x");
    else response.end(body);
  };
  const { certificateChainPem, privateKeyPem } = selfSigned("node");
  const server = isTls
    ? https.createServer({ cert: certificateChainPem, key: privateKeyPem }, answer)
    : http.createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await run(`127.0.0.1:${(server.address() as AddressInfo).port}`, asked);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}
