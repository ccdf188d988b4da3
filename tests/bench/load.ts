/**
 * Load on one RPC interface: prepared requests over TLS connections that stay open, and what came back.
 *
 * In: a URL or several, a request, how many connections, how many requests outstanding on each, how long. Out: requests
 * per second, latencies, statuses, and how busy this process was itself: near 100 %, it measured itself and not the node.
 * Only meant for nodes on the same machine.
 *
 *     deno run --allow-net --allow-read tests/bench/load.ts --url https://127.0.0.1:8000/app/log/private \
 *       --service-cert service_cert.pem --cert user0_cert.pem --key user0_privk.pem \
 *       --method POST --body '{"id":{i},"msg":"hello"}' --connections 64 --pipeline 1 --seconds 5
 */

import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import * as process from "node:process";
import * as tls from "node:tls";
import { parseArgs } from "node:util";

export interface Load {
  /** Connections are spread over them in turn. */
  readonly urls: readonly URL[];
  readonly method: string;
  readonly headers: readonly string[];
  /** `{i}` here or in the URL becomes a number that counts up through `variants`. */
  readonly body: string;
  readonly variants: number;
  readonly connections: number;
  /** Requests outstanding on each connection. */
  readonly pipeline: number;
  /** Ignored with `once`. */
  readonly seconds: number;
  /** Every variant is sent once, and then it is over, however long it takes. */
  readonly once?: boolean;
  /** Not counted, before the rest. Ignored with `once`. */
  readonly warmUpSeconds: number;
  /** PEM. Without it the server's certificate is not checked. */
  readonly serviceCertificate?: string;
  readonly certificate?: string;
  readonly key?: string;
}

export interface LoadResult {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Status to number of answers. */
  readonly statuses: Record<string, number>;
  /** Processor time of this process over the time measured: 1 is one core. */
  readonly clientCpu: number;
}

/** Latencies in classes one twentieth apart, so that a long run needs no more memory than a short one. */
class Latencies {
  readonly #counts = new Float64Array(600);
  #total = 0;
  maxMs = 0;

  add(ms: number): void {
    const at = Math.max(0, Math.min(this.#counts.length - 1, Math.floor(Math.log(ms / 0.001) / Math.log(1.05))));
    this.#counts[at]!++;
    this.#total++;
    if (ms > this.maxMs) this.maxMs = ms;
  }

  /** The latency that `share` of the requests did not exceed, to 5 %. */
  quantile(share: number): number {
    let left = this.#total * share;
    for (let at = 0; at < this.#counts.length; at++) {
      left -= this.#counts[at]!;
      if (left <= 0) return 0.001 * 1.05 ** (at + 1);
    }
    return this.maxMs;
  }
}

/** Counts while `isOn`. */
class Tally {
  isOn = false;
  requests = 0;
  readonly latencies = new Latencies();
  readonly statuses = new Map<string, number>();

  add(status: string, ms: number): void {
    if (!this.isOn) return;
    this.requests++;
    this.latencies.add(ms);
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
  }
}

/** Runs a load to its end. Rejects where a connection fails or an answer cannot be read. */
export async function runLoad(load: Load): Promise<LoadResult> {
  const tally = new Tally();
  const prepared = load.urls.map((url) => prepare(load, url));
  const connections = await Promise.all(
    Array.from({ length: load.connections }, (_, i) => {
      // Each begins with another variant.
      const first = Math.floor((i * load.variants) / load.connections);
      const end = Math.floor(((i + 1) * load.variants) / load.connections);
      const count = load.once === true ? end - first : Infinity;
      const at = i % load.urls.length;
      return Connection.open(load, load.urls[at]!, prepared[at]!, { first, count }, tally);
    }),
  );
  const failed = Promise.race(connections.map((connection) => connection.failed));
  for (const connection of connections) connection.start();
  if (load.once !== true) await Promise.race([failed, sleep(load.warmUpSeconds * 1000)]);
  tally.isOn = true;
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  const done = load.once === true
    ? Promise.all(connections.map(({ finished }) => finished))
    : sleep(load.seconds * 1000);
  await Promise.race([failed, done]);
  tally.isOn = false;
  const seconds = (performance.now() - startMs) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  for (const connection of connections) connection.close();
  return {
    requests: tally.requests,
    requestsPerSecond: tally.requests / seconds,
    p50Ms: tally.latencies.quantile(0.5),
    p99Ms: tally.latencies.quantile(0.99),
    maxMs: tally.latencies.maxMs,
    statuses: Object.fromEntries(tally.statuses),
    clientCpu: (cpu.user + cpu.system) / 1e6 / seconds,
  };
}

/** Makes the request with a number. */
type Requests = (variant: number) => Buffer;

/** More variants than these are not kept ready, for the memory that they take. */
const MAX_PREPARED = 10_000;

function prepare(load: Load, url: URL): Requests {
  const { method, headers, body, variants } = load;
  const target = decodeURI(url.pathname) + url.search;
  const make = (i: number) => {
    const content = Buffer.from(body.replaceAll("{i}", String(i)));
    const lines = [
      `${method} ${target.replaceAll("{i}", String(i))} HTTP/1.1`,
      `host: ${url.host}`,
      ...headers,
      ...(content.length > 0 ? [`content-length: ${content.length}`] : []),
    ];
    return Buffer.concat([Buffer.from(lines.join("\r\n") + "\r\n\r\n", "latin1"), content]);
  };
  if (variants > MAX_PREPARED) return make;
  const prepared = Array.from({ length: variants }, (_, i) => make(i));
  return (i) => prepared[i]!;
}

class Connection {
  readonly failed: Promise<never>;
  /** Resolves when as many requests as were asked for are answered. */
  readonly finished: Promise<void>;
  readonly #socket: tls.TLSSocket;
  readonly #requests: Requests;
  readonly #variants: number;
  readonly #pipeline: number;
  readonly #tally: Tally;
  #next: number;
  #unsent: number;
  #unanswered: number;
  /** When each outstanding request was sent, oldest first, as a ring. */
  readonly #sentMs: Float64Array;
  #oldest = 0;
  #rest: Buffer = Buffer.alloc(0);
  #fail: (error: Error) => void = () => {};
  #finish: () => void = () => {};
  #isOver = false;

  static open(load: Load, url: URL, requests: Requests, share: Share, tally: Tally): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = tls.connect({
        host: url.hostname,
        port: Number(url.port || 443),
        rejectUnauthorized: load.serviceCertificate !== undefined,
        ...(load.serviceCertificate === undefined ? {} : { ca: load.serviceCertificate }),
        ...(load.certificate === undefined ? {} : { cert: load.certificate }),
        ...(load.key === undefined ? {} : { key: load.key }),
      }, () => {
        socket.setNoDelay(true);
        resolve(new Connection(socket, requests, load, share, tally));
      });
      socket.once("error", reject);
    });
  }

  private constructor(
    socket: tls.TLSSocket,
    requests: Requests,
    { pipeline, variants }: Load,
    { first, count }: Share,
    tally: Tally,
  ) {
    this.#socket = socket;
    this.#requests = requests;
    this.#variants = variants;
    this.#pipeline = pipeline;
    this.#tally = tally;
    this.#next = first % variants;
    this.#unsent = this.#unanswered = count;
    this.#sentMs = new Float64Array(pipeline);
    this.failed = new Promise((_, reject) => this.#fail = reject);
    this.finished = new Promise((resolve) => this.#finish = resolve);
    if (count === 0) this.#finish();
    socket.on("data", (bytes) => this.#receive(bytes));
    socket.on("error", (error) => this.#end(error));
    socket.on("close", () => this.#end(new Error("The node closed the connection")));
  }

  start(): void {
    this.#send(this.#pipeline);
  }

  close(): void {
    this.#isOver = true;
    this.#socket.destroy();
  }

  #end(error: Error): void {
    if (!this.#isOver) this.#fail(error);
  }

  #send(wanted: number): void {
    const count = Math.min(wanted, this.#unsent);
    if (this.#isOver || count === 0) return;
    this.#unsent -= count;
    const batch: Buffer[] = [];
    for (let i = 0; i < count; i++) {
      batch.push(this.#requests(this.#next));
      this.#next = (this.#next + 1) % this.#variants;
    }
    this.#socket.write(count === 1 ? batch[0]! : Buffer.concat(batch));
    const now = performance.now();
    for (let i = 0; i < count; i++) {
      this.#sentMs[this.#oldest] = now;
      this.#oldest = (this.#oldest + 1) % this.#pipeline;
    }
  }

  #receive(bytes: Buffer): void {
    const input = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const now = performance.now();
    let at = 0;
    let answered = 0;
    for (;;) {
      const headEnd = input.indexOf("\r\n\r\n", at);
      if (headEnd < 0) break;
      const head = input.toString("latin1", at, headEnd);
      const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
      if (length === undefined) return this.#end(new Error(`Cannot read an answer without content-length: ${head}`));
      const end = headEnd + 4 + Number(length);
      if (end > input.length) break;
      this.#tally.add(head.substring(9, 12), now - this.#sentMs[(this.#oldest + answered) % this.#pipeline]!);
      answered++;
      at = end;
    }
    this.#rest = at === input.length ? Buffer.alloc(0) : input.subarray(at);
    this.#unanswered -= answered;
    if (this.#unanswered === 0) this.#finish();
    this.#send(answered);
  }
}

/** Of the variants, those that one connection begins with, and how many it sends. */
interface Share {
  readonly first: number;
  readonly count: number;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function main(): Promise<LoadResult> {
  const { values } = parseArgs({
    options: {
      url: { type: "string", multiple: true, default: [] },
      method: { type: "string", default: "GET" },
      header: { type: "string", multiple: true, default: [] },
      body: { type: "string", default: "" },
      variants: { type: "string", default: "1000" },
      connections: { type: "string", default: "64" },
      pipeline: { type: "string", default: "1" },
      seconds: { type: "string", default: "5" },
      once: { type: "boolean", default: false },
      "warm-up-seconds": { type: "string", default: "1" },
      "service-cert": { type: "string" },
      cert: { type: "string" },
      key: { type: "string" },
    },
  });
  const read = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : readFileSync(path, "utf8");
  if (values.url.length === 0) throw new Error("Cannot start a load without --url");
  const serviceCertificate = read(values["service-cert"]);
  const certificate = read(values.cert);
  const key = read(values.key);
  const hasVariants = (values.url.join() + values.body).includes("{i}");
  return runLoad({
    urls: values.url.map((url) => new URL(url)),
    method: values.method,
    headers: values.header,
    body: values.body,
    variants: hasVariants ? Number(values.variants) : 1,
    connections: Number(values.connections),
    pipeline: Number(values.pipeline),
    seconds: Number(values.seconds),
    once: values.once,
    warmUpSeconds: Number(values["warm-up-seconds"]),
    ...(serviceCertificate === undefined ? {} : { serviceCertificate }),
    ...(certificate === undefined ? {} : { certificate }),
    ...(key === undefined ? {} : { key }),
  });
}

if (import.meta.main) {
  const result = await main();
  console.log(
    `${Math.round(result.requestsPerSecond)} requests/s, p50 ${result.p50Ms.toFixed(3)} ms, p99 ${
      result.p99Ms.toFixed(3)
    } ms, ` +
      `max ${result.maxMs.toFixed(1)} ms, ${JSON.stringify(result.statuses)}, client CPU ${
        Math.round(100 * result.clientCpu)
      } %`,
  );
  console.log(JSON.stringify(result));
}
