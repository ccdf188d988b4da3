/**
 * Evidence and ledger of a running node, over a connection whose key is known.
 *
 * In: a URL, the service's certificate or none. Out: the node's evidence, the certificate whose key ended the connection,
 * ledger entries; or why there is no answer, as a sentence. Judges nothing.
 *
 * Evidence and ledger are asked for only where the runtime verifies the server's certificate, and with it that the server
 * has its key. So where the caller gives no certificate to verify it by, the node is asked for its service's first, on a
 * connection of which nothing is believed.
 */

import * as https from "node:https";
import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import { FormatError } from "../shared/assert.ts";
import { concat, equalBytes, fromUtf8 } from "../shared/bytes.ts";
import { parseCertificateBundle } from "../shared/crypto/x509.ts";
import { parseJsonText } from "../shared/json.ts";
import { listOf, object, recordOf, text } from "../shared/json_shape.ts";
import {
  MAX_ENTRY_BYTES,
  MAX_LEDGER_ANSWER_BYTES,
  MAX_MEMBER_ANSWER_MS,
  MAX_OUTBOUND_ANSWER_BYTES,
  MAX_TRUST_LEDGER_SOURCES,
} from "../shared/limits.ts";
import { type EvidenceBundle, parseAnswer, splitLedger } from "../shared/trust/bundle.ts";
import { parseTxId, type Seqno } from "../shared/tx_id.ts";
import { reasonOf, UsageError } from "./commands/exit.ts";
import { safeText } from "./commands/ledger_values.ts";
import { Unreachable } from "./commands/node_client.ts";
import { LEDGER_NEXT_HEADER } from "./host_bodies.ts";

export function isNodeUrl(target: string): boolean {
  return /^https?:\/\//i.test(target);
}

/** @throws UsageError */
export function parseNodeUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null) throw new UsageError(`Cannot use ${text} as the URL of a node, as in https://127.0.0.1:8000`);
  // Without TLS no key would end the connection.
  if (url.protocol !== "https:") throw new UsageError(`Cannot use ${text}: nodes are asked over https`);
  return url;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Uint8Array;
}

/** There is a server, and its certificate is not from the service that was named. */
class ForeignCertificate extends Unreachable {}

/** One node, asked on connections that all end with the same key. */
export class NodeSource implements Disposable {
  readonly url: URL;
  /** What the node is held to: the caller's, or its own word. */
  readonly servicePem: string;
  readonly #agent: https.Agent;
  #certificate: Uint8Array | undefined;

  private constructor(url: URL, servicePem: string) {
    this.url = url;
    this.servicePem = servicePem;
    this.#agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  }

  /**
   * @param servicePem what the node's certificate should be issued by. Where it is not, or is not given, the node is held
   *   to the service that it names itself: whoever judges sees then which one that is
   * @throws Unreachable
   */
  static async open(url: URL, servicePem: string | undefined): Promise<NodeSource> {
    if (servicePem !== undefined) {
      const source = new NodeSource(url, servicePem);
      try {
        await source.committed();
        return source;
      } catch (error) {
        if (!(error instanceof ForeignCertificate)) throw error;
        source.#agent.destroy();
      }
    }
    return new NodeSource(url, await askForService(url));
  }

  /** DER, once there was an answer: its key ended the connection. */
  get certificate(): Uint8Array | undefined {
    return this.#certificate;
  }

  /** The node's evidence, from either of the two paths that say it. @throws Unreachable */
  async evidence(): Promise<EvidenceBundle> {
    let answer = await this.#get("/node/attestations/self");
    // Nodes before 7.0 know the older name alone.
    if (answer.status === 404) answer = await this.#get("/node/quotes/self");
    if (answer.status !== 200) throw this.#unexpected("its evidence", answer);
    return this.#reading("its evidence", () => parseAnswer(parseJsonText(fromUtf8(answer.body))));
  }

  /** Seqno up to which its ledger is committed. @throws Unreachable */
  async committed(): Promise<Seqno> {
    const answer = await this.#get("/node/commit");
    if (answer.status !== 200) throw this.#unexpected("how far its ledger is committed", answer);
    return this.#reading("how far its ledger is committed", () => {
      const { transaction_id } = COMMIT(parseJsonText(fromUtf8(answer.body)), "");
      return parseTxId(transaction_id).seqno;
    });
  }

  /**
   * Entries from `from` on, up to `to` at most: as many as one answer has.
   *
   * @returns a sentence where the node does not hand them out
   * @throws Unreachable
   */
  async entries(from: Seqno, to: Seqno): Promise<readonly Uint8Array[] | string> {
    const answer = await this.#get(
      `/node/ledger/entries?from=${from}&to=${to}`,
      Math.max(MAX_LEDGER_ANSWER_BYTES, MAX_ENTRY_BYTES),
    );
    if (answer.status !== 200) return `${this.url.origin} does not hand out ledger entry ${from}: ${described(answer)}`;
    const entries = this.#reading("ledger entries", () => splitLedger(answer.body));
    const next = answer.headers[LEDGER_NEXT_HEADER];
    const reached = from + entries.length - 1;
    if (entries.length === 0 || reached > to || (next === undefined ? reached < to : Number(next) !== reached + 1)) {
      throw new Unreachable(
        `Cannot read the ledger of ${this.url.origin}: asked for entries from ${from} it gives others`,
      );
    }
    return entries;
  }

  /** Where the other trusted nodes of its service are, as this one says. @throws Unreachable */
  async others(): Promise<URL[]> {
    const answer = await this.#get("/node/network/nodes?status=Trusted");
    if (answer.status !== 200) throw this.#unexpected("the nodes of its service", answer);
    return this.#reading("the nodes of its service", () => {
      const { nodes } = NODES(parseJsonText(fromUtf8(answer.body)), "");
      const addresses = nodes.flatMap(({ rpc_interfaces }) =>
        Object.values(rpc_interfaces).map(({ published_address }) => published_address)
      );
      return addresses.map((address) => URL.parse(`https://${address}`))
        .filter((url) => url !== null && url.origin !== this.url.origin).slice(0, MAX_TRUST_LEDGER_SOURCES) as URL[];
    });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  async #get(path: string, maxBytes = MAX_OUTBOUND_ANSWER_BYTES): Promise<Answer> {
    const { answer, certificate } = await ask(this.url, path, maxBytes, {
      agent: this.#agent,
      ca: this.servicePem,
      rejectUnauthorized: true,
      // A node is reached under addresses that its certificate does not know; what counts is its key.
      checkServerIdentity: () => undefined,
    });
    this.#certificate ??= certificate;
    if (!equalBytes(this.#certificate, certificate)) {
      throw new Unreachable(`Cannot ask ${this.url.origin} on: another node answers there now than at first`);
    }
    return answer;
  }

  #unexpected(what: string, answer: Answer): Unreachable {
    return new Unreachable(`Cannot ask ${this.url.origin} for ${what}: ${described(answer)}`);
  }

  #reading<T>(what: string, read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      throw new Unreachable(`Cannot use what ${this.url.origin} answers about ${what}: ${error.message}`);
    }
  }
}

const COMMIT = object({ transaction_id: text });
const NODES = object({
  nodes: listOf(object({ rpc_interfaces: recordOf(object({ published_address: text })) })),
});
const NETWORK = object({ service_certificate: text });

/** Which service the node says it is of; anybody could have answered. @throws Unreachable */
async function askForService(url: URL): Promise<string> {
  const { answer } = await ask(url, "/node/network", MAX_OUTBOUND_ANSWER_BYTES, {
    agent: false,
    // None; where it is left out the runtime reads the system's, for which it needs a permission.
    ca: [],
    rejectUnauthorized: false,
  });
  try {
    if (answer.status !== 200) throw new FormatError(described(answer));
    const pem = NETWORK(parseJsonText(fromUtf8(answer.body)), "").service_certificate;
    if (parseCertificateBundle(pem).length === 0) throw new FormatError("its service certificate is none");
    return pem;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new Unreachable(`Cannot ask ${url.origin} for its service: ${error.message}; is a node of a service there?`);
  }
}

function ask(url: URL, path: string, maxBytes: number, tls: https.RequestOptions) {
  return new Promise<{ answer: Answer; certificate: Uint8Array }>((resolve, reject) => {
    const request = https.get(new URL(path, url), tls);
    const fail = (reason: string, Failure: typeof Unreachable = Unreachable) => {
      clearTimeout(timer);
      request.destroy();
      reject(new Failure(`Cannot ask ${url.origin}: ${reason}`));
    };
    const timer = setTimeout(
      () => fail(`it does not answer within ${MAX_MEMBER_ANSWER_MS / 1000} s`),
      MAX_MEMBER_ANSWER_MS,
    );
    request.on("error", (error: Error & { code?: string }) => {
      const isForeign = /CERT|VERIFY|ISSUER|SIGNATURE/.test(error.code ?? "");
      fail(explain(error), isForeign ? ForeignCertificate : Unreachable);
    });
    request.on("response", (incoming) => {
      const { raw } = (incoming.socket as TLSSocket).getPeerCertificate();
      readBody(incoming, maxBytes).then((body) => {
        clearTimeout(timer);
        const answer = { status: incoming.statusCode!, headers: incoming.headers, body };
        resolve({ answer, certificate: Uint8Array.from(raw) });
      }, (error) => fail(error instanceof FormatError ? error.message : "the connection is lost within the answer"));
    });
  });
}

async function readBody(incoming: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of incoming as AsyncIterable<Uint8Array>) {
    bytes += piece.length;
    if (bytes > maxBytes) throw new FormatError(`its answer has more than ${maxBytes} bytes`);
    pieces.push(piece);
  }
  return concat(...pieces);
}

const ERROR = object({ error: object({ message: text }) });

/** Status, and the node's own words. */
function described({ status, body }: Answer): string {
  try {
    return `${safeText(ERROR(parseJsonText(fromUtf8(body)), "").error.message)} (HTTP ${status})`;
  } catch (error) {
    if (error instanceof FormatError) return `HTTP ${status}`;
    throw error;
  }
}

function explain(error: Error & { code?: string }): string {
  const code = error.code ?? "";
  if (code === "ENOTFOUND" || code.startsWith("EAI_")) return "no host has that name; is it written right?";
  if (code === "ECONNREFUSED") return "nothing listens there; is the node running?";
  return reasonOf(error);
}
