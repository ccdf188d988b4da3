/**
 * Requests to a node over TLS that trusts one service's certificate and nothing else.
 *
 * In: files of certificates, requests. Out: answers, or why there was none.
 */

import { FormatError } from "../../shared/assert.ts";
import { concat } from "../../shared/bytes.ts";
import { parseCertificateBundle } from "../../shared/crypto/x509.ts";
import { readTextFile, reasonOf, UsageError } from "./exit.ts";

/** Whom to trust, and the files of the client certificate to show. */
export interface TlsFiles {
  readonly serviceCert: string;
  readonly own?: { readonly cert: string; readonly key: string } | undefined;
}

/** No answer, and why, as a sentence. */
export class Unreachable extends Error {
  override name = "Unreachable";
}

/** @throws UsageError where a file cannot be read or used */
export function makeClient({ serviceCert, own }: TlsFiles): Deno.HttpClient {
  const caCerts = [readServiceCertificate(serviceCert)];
  if (own === undefined) return Deno.createHttpClient({ caCerts });
  const cert = readTextFile(own.cert, "the client certificate");
  const key = readTextFile(own.key, "the private key");
  try {
    return Deno.createHttpClient({ caCerts, cert, key });
  } catch (error) {
    const reason = reasonOf(error);
    const why = reason.includes("KeyMismatch") ? "the key is not that of the certificate" : reason;
    throw new UsageError(`Cannot use the client certificate ${own.cert} with the private key ${own.key}: ${why}`);
  }
}

/** PEM. Checked, since the runtime takes a text without any certificate, and trusts nobody then. @throws UsageError */
export function readServiceCertificate(path: string): string {
  const pem = readTextFile(path, "the service certificate");
  try {
    if (parseCertificateBundle(pem).length === 0) throw new FormatError("there is no certificate (PEM) in it");
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UsageError(`Cannot use the service certificate ${path}: ${error.message}`);
  }
  return pem;
}

/** One request, and how to send it. */
export type NodeRequest = RequestInit & { readonly client: Deno.HttpClient };

/**
 * Sends one request. Redirects are answers like others.
 *
 * @param maxBytes of the answer's body
 * @throws Unreachable, also where the answer does not come before the request's signal; FormatError where it is too long
 */
export async function exchangeOnce(url: string, init: NodeRequest, maxBytes = Infinity) {
  try {
    const response = await fetch(url, init);
    return { response, body: await readBody(response, maxBytes) };
  } catch (error) {
    if (error instanceof FormatError) throw error;
    if (error instanceof Error && error.name === "TimeoutError") {
      throw new Unreachable(`Cannot reach ${url}: it does not answer in time; is the node overloaded, or stopped?`);
    }
    const reason = reasonOf(error).replace(/^error sending request for url \(\S*\): /, "");
    const remedy = reason.includes("invalid peer certificate")
      ? "is the service certificate that of its service?"
      : "is the node running?";
    throw new Unreachable(`Cannot reach ${url}: ${reason}; ${remedy}`);
  }
}

async function readBody(response: Response, maxBytes: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of response.body ?? []) {
    length += piece.length;
    if (length > maxBytes) throw new FormatError(`Cannot read an answer of more than ${maxBytes} bytes`);
    pieces.push(piece);
  }
  return concat(...pieces);
}
