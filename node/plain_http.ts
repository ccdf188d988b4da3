/**
 * Asking a server whose answer needs no trust: over TLS without looking at the certificate, or without TLS.
 *
 * In: an address and a target. Out: status, headers and body; or why there is none, as a sentence. CCF does not look at
 * these certificates either (src/node/quote_endorsements_client.h). Never for anything secret, and never for anything that
 * does not prove itself.
 */

import * as http from "node:http";
import * as https from "node:https";
import { concat } from "../shared/bytes.ts";
import { type Address, formatAddress } from "./units.ts";

export interface PlainRequest {
  readonly isTls: boolean;
  readonly address: Address;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  /** For all of it, from the look-up of the name to the last byte. */
  readonly timeoutMs: number;
  readonly maxBodyBytes: number;
  readonly signal?: AbortSignal | undefined;
}

export interface PlainResponse {
  readonly status: number;
  /** Seconds, where the server says when to ask again. */
  readonly retryAfterS: number | undefined;
  readonly body: Uint8Array;
}

/** There is no answer. The message is a sentence with the address and the reason. */
export class PlainFailure extends Error {
  override name = "PlainFailure";
}

/** Asks once, on a connection of its own. Redirections are not followed. @throws PlainFailure */
export function getPlain(request: PlainRequest): Promise<PlainResponse> {
  const { isTls, address, target, headers, timeoutMs, maxBodyBytes, signal } = request;
  return new Promise((resolve, reject) => {
    const { host, port } = address;
    const options = { host, port, path: target, headers, agent: false, rejectUnauthorized: false };
    const asked = isTls ? https.get(options) : http.get(options);
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
      asked.destroy();
    };
    const fail = (why: string) => {
      end();
      reject(new PlainFailure(`Cannot ask ${formatAddress(address)}: ${why}`));
    };
    const aborted = () => fail("the node was stopped");
    const timer = setTimeout(() => fail(`it takes more than ${timeoutMs} ms`), timeoutMs);
    if (signal?.aborted === true) return aborted();
    signal?.addEventListener("abort", aborted, { once: true });
    asked.on("error", (error) => fail(error.message));
    asked.on("response", (response) => {
      const pieces: Uint8Array[] = [];
      let length = 0;
      response.on("data", (piece: Uint8Array) => {
        length += piece.length;
        if (length > maxBodyBytes) fail(`the answer has more than ${maxBodyBytes} bytes`);
        else pieces.push(new Uint8Array(piece));
      });
      response.on("error", (error) => fail(error.message));
      response.on("aborted", () => fail("the connection is lost before the end of the answer"));
      response.on("end", () => {
        end();
        const retryAfter = response.headers["retry-after"] ?? "";
        resolve({
          status: response.statusCode!,
          retryAfterS: /^\d{1,9}$/.test(retryAfter) ? Number(retryAfter) : undefined,
          body: concat(...pieces),
        });
      });
    });
  });
}
