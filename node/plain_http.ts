/**
 * Asking a server whose answer needs no trust: over TLS without looking at the certificate, or without TLS.
 *
 * In: an address and a target. Out: status, headers and body; or why there is none, as a sentence. Once, or as often as it
 * takes and is allowed. CCF does not look at
 * these certificates either (src/node/quote_endorsements_client.h). Never for anything secret, and never for anything that
 * does not prove itself.
 */

import * as http from "node:http";
import * as https from "node:https";
import { concat } from "../shared/bytes.ts";
import { ENDORSEMENTS_RETRY_MS, MAX_ENDORSEMENTS_RETRY_MS } from "../shared/limits.ts";
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
  /** "" where there is none. @param name in lower case */
  header(name: string): string;
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
    // Without a list of its own the runtime reads the system's certificates, for which it wants a permission.
    const options = { host, port, path: target, headers, agent: false, rejectUnauthorized: false, ca: [] };
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
        const { headers } = response;
        resolve({
          status: response.statusCode!,
          header: (name) => [headers[name] ?? ""].flat()[0] ?? "",
          body: concat(...pieces),
        });
      });
    });
  });
}

export interface Patience {
  /** How often any request may be repeated yet; what is used up is taken off. */
  readonly budget: { retries: number };
  /** Told before each wait. */
  readonly onWait: (message: string) => void;
  readonly wait: (ms: number) => Promise<void>;
}

/** Asks until there is an answer with status 200, or why there is none: a sentence. */
export async function getPatiently(request: PlainRequest, patience: Patience): Promise<PlainResponse | string> {
  for (;;) {
    const answer = await attempt(request);
    if (!("why" in answer)) return answer;
    const { why, mayPass, waitMs } = answer;
    if (!mayPass || patience.budget.retries === 0 || request.signal?.aborted === true) return why;
    patience.budget.retries -= 1;
    patience.onWait(`${why}; asking again in ${waitMs} ms`);
    await patience.wait(waitMs);
  }
}

/** Why there is no answer, and whether there may be one later. */
interface NoAnswer {
  readonly why: string;
  readonly mayPass: boolean;
  readonly waitMs: number;
}

async function attempt(request: PlainRequest): Promise<PlainResponse | NoAnswer> {
  try {
    const response = await getPlain(request);
    const { status } = response;
    if (status === 200) return response;
    const retryAfter = response.header("retry-after");
    return {
      why: `${formatAddress(request.address)}${request.target.split("?")[0]} answers ${status}`,
      mayPass: status === 429 || status === 408 || status >= 500,
      waitMs: /^\d{1,9}$/.test(retryAfter)
        ? Math.min(Number(retryAfter) * 1000, MAX_ENDORSEMENTS_RETRY_MS)
        : ENDORSEMENTS_RETRY_MS,
    };
  } catch (error) {
    if (!(error instanceof PlainFailure)) throw error;
    return { why: error.message, mayPass: true, waitMs: ENDORSEMENTS_RETRY_MS };
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
