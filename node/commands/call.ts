/**
 * `call`: one request to a node, for machines without curl.
 *
 * In: a URL, or a path of the sandbox's node. Out: the body on standard output, status and transaction on standard error;
 * exit code 0 for a 2xx, 1 for another status, 3 where the node cannot be reached.
 */

import { Command, Option } from "commander";
import { join, resolve } from "node:path";
import { MAX_CALL_ATTEMPTS } from "../../shared/limits.ts";
import { ExitCode, keepPermissions, readFile, readTextFile, reasonOf, UsageError } from "./exit.ts";

interface Options {
  readonly request?: string;
  readonly data?: string;
  readonly dataFile?: string;
  readonly header: string[];
  readonly as?: string;
  readonly workspace: string;
  readonly serviceCert?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly output?: string;
  readonly wait?: boolean;
}

/** Where to, and with which credentials (PEM). */
interface Target {
  readonly url: string;
  readonly serviceCert: string;
  readonly cert?: string;
  readonly key?: string;
}

const DEFAULT_RETRY_SECONDS = 1;

export function callCommand(): Command {
  return new Command("call")
    .description("Send one request to a node, e.g. `call /app/log/private?id=42 --as user0`")
    .argument("<URL>", "https URL, or a path: then the node of the sandbox in --workspace")
    .option("-X, --request <METHOD>", "HTTP method (default: GET, or POST with data)")
    .addOption(new Option("-d, --data <TEXT>", "request body").conflicts("dataFile"))
    .option("--data-file <FILE>", "request body from a file")
    .option("-H, --header <NAME: VALUE>", "a request header; may be repeated", collect, [])
    .option("--as <NAME>", "who calls, of the sandbox: user0, member1, …")
    .option("--workspace <DIR>", "the sandbox", "./workspace")
    .option("--service-cert <FILE>", "certificate of the service to trust (PEM)")
    .option("--cert <FILE>", "client certificate (PEM)")
    .option("--key <FILE>", "its private key (PEM)")
    .option("-o, --output <FILE>", "write the body to a file")
    .option("--wait", "ask again while the answer is 202, or the transaction is not committed yet")
    .action(async (url: string, options: Options) => {
      keepPermissions(options.output === undefined ? ["read", "net", "env"] : ["read", "write", "net", "env"]);
      Deno.exitCode = await call(readTarget(url, options), options);
    });
}

function collect(value: string, all: readonly string[]): string[] {
  return [...all, value];
}

/** Completes what the user gave from the sandbox's own description. */
function readTarget(url: string, options: Options): Target {
  const own = {
    ...(options.cert !== undefined && { cert: readTextFile(options.cert, "the client certificate") }),
    ...(options.key !== undefined && { key: readTextFile(options.key, "the private key") }),
  };
  if (!url.startsWith("/")) {
    if (options.serviceCert === undefined) throw new UsageError("Cannot trust the node: give --service-cert FILE");
    return { url, serviceCert: readTextFile(options.serviceCert, "the service certificate"), ...own };
  }
  const file = join(resolve(options.workspace), "sandbox.json");
  const sandbox = JSON.parse(readTextFile(file, "the description of the sandbox"));
  const [node] = sandbox.nodes;
  const named = options.as === undefined ? {} : {
    cert: readTextFile(join(sandbox.common_dir, `${options.as}_cert.pem`), "the client certificate"),
    key: readTextFile(join(sandbox.common_dir, `${options.as}_privk.pem`), "the private key"),
  };
  // Callers without a certificate use the interface that does not ask for one.
  const base = named.cert === undefined && own.cert === undefined ? node.web_url : node.url;
  const serviceCert = readTextFile(options.serviceCert ?? sandbox.service_cert, "the service certificate");
  return { url: `${base}${url}`, serviceCert, ...named, ...own };
}

async function call({ url, serviceCert, cert, key }: Target, options: Options): Promise<number> {
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError("Cannot show a certificate: give --cert and --key");
  }
  const body = options.dataFile === undefined ? options.data : readFile(options.dataFile, "the request body");
  const method = options.request ?? (body === undefined ? "GET" : "POST");
  const client = Deno.createHttpClient({ caCerts: [serviceCert], ...(cert && key && { cert, key }) });
  try {
    for (let attempt = 1;; attempt++) {
      const response = await fetch(url, {
        client,
        method,
        headers: readHeaders(options.header, body !== undefined),
        redirect: "manual",
        ...(body !== undefined && { body: body as string | Uint8Array<ArrayBuffer> }),
      });
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (options.wait === true && attempt < MAX_CALL_ATTEMPTS && isNotThereYet(response.status, bytes)) {
        await new Promise((done) => setTimeout(done, DEFAULT_RETRY_SECONDS * 1000));
        continue;
      }
      return report(response, bytes, options);
    }
  } catch (error) {
    if (error instanceof UsageError) throw error;
    console.error(`Cannot reach ${url}: ${reasonOf(error)}; is the node running, and is this its service?`);
    return ExitCode.unreachable;
  } finally {
    client.close();
  }
}

/** 202, or the 404 of a transaction that no signature covers yet. */
function isNotThereYet(status: number, body: Uint8Array): boolean {
  return status === 202 || (status === 404 && new TextDecoder().decode(body).includes("TransactionPendingOrUnknown"));
}

function report(response: Response, bytes: Uint8Array, { output }: Options): number {
  const txId = response.headers.get("x-ms-ccf-transaction-id");
  console.error(`${response.status} ${response.statusText}${txId === null ? "" : `, transaction ${txId}`}`);
  if (output === undefined) {
    Deno.stdout.writeSync(bytes);
    if (bytes.length > 0) console.log();
  } else {
    Deno.writeFileSync(output, bytes);
  }
  return response.ok ? ExitCode.done : ExitCode.refused;
}

function readHeaders(lines: readonly string[], hasBody: boolean): [string, string][] {
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    if (colon <= 0) {
      throw new UsageError(`Cannot read the header ${JSON.stringify(line)}: it must look like "name: value"`);
    }
    return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
  });
  const isTyped = headers.some(([name]) => name.toLowerCase() === "content-type");
  return hasBody && !isTyped ? [...headers, ["content-type", "application/json"]] : headers;
}
