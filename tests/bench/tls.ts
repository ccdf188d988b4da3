/**
 * A whole node over TLS, loaded by a process of its own (`load.ts`) on the same machine.
 */

import { RunningSandbox } from "../e2e/sandbox.ts";
import { MESSAGE } from "./enclave.ts";
import type { Figure } from "./figure.ts";
import { runLoadProcess } from "./load_process.ts";

interface Case {
  readonly what: string;
  readonly method: string;
  readonly path: string;
  readonly body?: string;
  readonly web?: boolean;
  readonly connections: number;
  readonly pipeline?: number;
  readonly target?: number;
  readonly p50TargetMs?: number;
  /** Transactions in one request. */
  readonly batch?: number;
}

const WRITE = `{"id":{i},"msg":"${MESSAGE}"}`;
/** Different IDs. */
const VARIANTS = 100;
const RPC_BATCH = 100;
const rpcCall = (i: number) =>
  `{"jsonrpc":"2.0","id":${i},"method":"app/postLogPrivate","params":{"id":${i},"msg":"${MESSAGE}"}}`;
const RPC = `[${Array.from({ length: RPC_BATCH }, (_, i) => rpcCall(i)).join(",")}]`;

const NATIVE: readonly Case[] = [
  { what: "write", method: "POST", path: "/app/log/private", body: WRITE, connections: 64, target: 18_000 },
  { what: "read", method: "GET", path: "/app/log/private?id={i}", connections: 64 },
  {
    what: "write, one at a time",
    method: "POST",
    path: "/app/log/private",
    body: WRITE,
    connections: 1,
    p50TargetMs: 0.5,
  },
  {
    what: "write, 100 pipelined",
    method: "POST",
    path: "/app/log/private",
    body: WRITE,
    connections: 1,
    pipeline: 100,
  },
  {
    what: `JSON-RPC write, batches of ${RPC_BATCH}`,
    method: "POST",
    path: "/rpc",
    body: RPC,
    connections: 4,
    batch: RPC_BATCH,
    target: 20_000,
  },
  {
    what: "write",
    method: "POST",
    path: "/app/log/private/anonymous",
    body: WRITE,
    web: true,
    connections: 64,
    target: 20_000,
  },
  { what: "read of a public record", method: "GET", path: "/app/log/public?id={i}", web: true, connections: 64 },
];
const JS: readonly Case[] = [
  { what: "write", method: "POST", path: "/app/log/private", body: WRITE, connections: 64, target: 6_000 },
  { what: "read", method: "GET", path: "/app/log/private?id={i}", connections: 64 },
  {
    what: "write, one at a time",
    method: "POST",
    path: "/app/log/private",
    body: WRITE,
    connections: 1,
    p50TargetMs: 0.5,
  },
];

export async function benchTls(seconds: number): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [app, cases] of [["native", NATIVE], ["js", JS]] as const) {
    const options = ["--log-level", "fail", ...(app === "native" ? ["--native-app", "logging"] : [])];
    await using sandbox = await RunningSandbox.start(...options);
    for (let id = 0; id < VARIANTS; id++) {
      await sandbox.request("POST", "/app/log/public", { as: "user0", body: WRITE.replace("{i}", String(id)) });
    }
    for (const each of cases) figures.push(...await measure(sandbox, app, each, seconds));
  }
  return figures;
}

async function measure(sandbox: RunningSandbox, app: string, each: Case, seconds: number): Promise<Figure[]> {
  const { method, path, body, web = false, connections, pipeline = 1, batch = 1 } = each;
  const result = await runLoadProcess({
    urls: [`${web ? sandbox.webUrl : sandbox.url}${path}`],
    method,
    body,
    variants: VARIANTS,
    connections,
    pipeline,
    seconds,
    serviceCertificate: sandbox.credential("service_cert.pem"),
    ...(!web && {
      credentials: {
        certificate: sandbox.credential("user0_cert.pem"),
        key: sandbox.credential("user0_privk.pem"),
      },
    }),
  });
  const what = `${web ? "web, " : "mTLS, "}${app} app, ${each.what}, ${connections} connection${
    connections === 1 ? "" : "s"
  }`;
  const note = `client CPU ${Math.round(result.clientCpu * 100)} %`;
  const unit = batch > 1 || method === "POST" ? "tx/s" : "requests/s";
  const rate = { group: "tls", what, value: result.requestsPerSecond * batch, unit, note };
  return [
    each.target === undefined ? rate : { ...rate, target: each.target },
    {
      group: "tls",
      what: `${what}: p50`,
      value: result.p50Ms,
      unit: "ms",
      ...(each.p50TargetMs !== undefined && { target: each.p50TargetMs }),
      note: `p99 ${result.p99Ms.toFixed(2)} ms`,
    },
  ];
}
