/**
 * `call`: one request to a node, for machines without curl.
 *
 * In: a URL, or a path of the sandbox's node. Out: the body on standard output, status and transaction on standard error;
 * exit code 0 for a 2xx, 1 for another status, 2 for a request that cannot be sent, 3 where the node cannot be reached.
 */

import { Command, Option } from "commander";
import { concat, toUtf8 } from "../../shared/bytes.ts";
import { MAX_CALL_ATTEMPTS } from "../../shared/limits.ts";
import { ExitCode, keepPermissions, readFile, reasonOf, requireWritable, UsageError } from "./exit.ts";
import { exchangeOnce, makeClient, type TlsFiles, Unreachable } from "./node_client.ts";
import { adviceToAsk, credentialsOf, readSandbox } from "./sandbox_description.ts";

export interface CallOptions {
  readonly request?: string;
  readonly data?: string;
  readonly dataFile?: string;
  readonly header: string[];
  readonly as?: string;
  readonly workspace: string;
  readonly node?: string;
  readonly serviceCert?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly output?: string;
  readonly wait?: boolean;
}

/** Where to, and the files of the credentials to use. */
interface Target extends TlsFiles {
  readonly url: string;
  /** Where the node was not chosen: the numbers of the others. */
  readonly others: readonly number[];
}

/** The characters of a method (RFC 9110 §9.1). */
const METHOD = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Methods that the runtime does not send. */
const UNSENT_METHODS = ["CONNECT", "TRACE", "TRACK"];
const METHODS_WITHOUT_BODY = ["GET", "HEAD"];

const DEFAULT_RETRY_SECONDS = 1;

export function callCommand(): Command {
  return new Command("call")
    .description("Send one request to a node, e.g. `call /app/log/private?id=42 --as user0`")
    .argument("<URL>", "https URL, or a path: then the node of the sandbox in --workspace")
    .option("-X, --request <METHOD>", "HTTP method (default: GET, or POST with data)")
    .addOption(new Option("-d, --data <TEXT>", "request body").conflicts("dataFile"))
    .option("--data-file <FILE>", "request body from a file")
    .option("-H, --header <NAME: VALUE>", "a request header; may be repeated", collect, [])
    .addOption(new Option("--as <NAME>", "who calls, of the sandbox: user0, member1, …").conflicts(["cert", "key"]))
    .option("--workspace <DIR>", "the sandbox", "./workspace")
    .option("--node <N>", "which of its nodes, by number (default: 0)")
    .option("--service-cert <FILE>", "certificate of the service to trust (PEM)")
    .option("--cert <FILE>", "client certificate (PEM)")
    .option("--key <FILE>", "its private key (PEM)")
    .option("-o, --output <FILE>", "write the body to a file")
    .option("--wait", "ask again while the answer is 202, or the transaction is not committed yet")
    .action(async (url: string, options: CallOptions) => {
      keepPermissions(options.output === undefined ? ["read", "net", "env"] : ["read", "write", "net", "env"]);
      Deno.exitCode = await runCall(url, options);
    });
}

function collect(value: string, all: readonly string[]): string[] {
  return [...all, value];
}

/**
 * `call`, all but its permissions.
 *
 * @param note for what a person reads beside the answer
 * @throws UsageError where the request cannot be sent as it is given, or the answer cannot be kept
 */
export async function runCall(
  url: string,
  options: CallOptions,
  note: (text: string) => void = console.error,
): Promise<number> {
  const target = readTarget(url, options);
  const init = readRequest(options);
  if (options.output !== undefined) requireWritable(options.output, "write the answer to");
  const client = makeClient(target);
  try {
    const { response, body } = await exchange(target.url, { ...init, client }, options.wait === true);
    report(response, body, options.output, note);
    return response.ok ? ExitCode.done : ExitCode.refused;
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    note(error.message + adviceToAsk(target.others));
    return ExitCode.unreachable;
  } finally {
    client.close();
  }
}

/** Completes what the user gave from the sandbox's own description. */
function readTarget(url: string, options: CallOptions): Target {
  const { as: name, cert, key, node: number } = options;
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError("Cannot show a certificate: give both --cert and --key");
  }
  const given = cert === undefined || key === undefined ? undefined : { cert, key };
  if (!url.startsWith("/")) {
    const address = readUrl(url);
    if (name !== undefined) {
      throw new UsageError(`Cannot call ${url} as ${name}: --as is for paths of the sandbox; give --cert and --key`);
    }
    if (number !== undefined) throw new UsageError(`Cannot call ${url} on node ${number}: --node is for paths`);
    if (options.serviceCert === undefined) throw new UsageError("Cannot trust the node: give --service-cert FILE");
    return { url: address, serviceCert: options.serviceCert, own: given, others: [] };
  }
  const { nodes: [node], urls, service_cert, common_dir } = readSandbox(options.workspace, readNodeNumber(number));
  const own = name === undefined ? given : credentialsOf(name, common_dir);
  // Callers without a certificate use the interface that does not ask for one.
  const base = own === undefined ? node.web_url : node.url;
  const others = number === undefined ? [...urls.keys()].slice(1) : [];
  return { url: readUrl(`${base}${url}`), serviceCert: options.serviceCert ?? service_cert, own, others };
}

function readNodeNumber(text = "0"): number {
  if (/^[0-9]{1,4}$/.test(text)) return Number(text);
  throw new UsageError(`Cannot use node ${JSON.stringify(text)}: give its number in the sandbox, such as 1`);
}

function readUrl(url: string): string {
  const parsed = URL.parse(url);
  if (parsed === null) {
    throw new UsageError(`Cannot call ${JSON.stringify(url)}: give an https URL, or a path that begins with /`);
  }
  if (parsed.protocol !== "https:") {
    const scheme = parsed.protocol.slice(0, -1);
    throw new UsageError(`Cannot call ${JSON.stringify(url)}: its scheme is ${scheme}, and nodes speak https`);
  }
  return url;
}

/** Method, headers and body. */
function readRequest(options: CallOptions): RequestInit {
  const body = options.dataFile === undefined ? options.data : readFile(options.dataFile, "the request body");
  const method = options.request ?? (body === undefined ? "GET" : "POST");
  if (!METHOD.test(method)) {
    throw new UsageError(`Cannot send the method ${JSON.stringify(method)}: it must be one word, such as PUT`);
  }
  if (UNSENT_METHODS.includes(method.toUpperCase())) {
    throw new UsageError(`Cannot send the method ${method}: the runtime does not send it`);
  }
  if (body !== undefined && METHODS_WITHOUT_BODY.includes(method.toUpperCase())) {
    throw new UsageError(`Cannot send a request body with ${method}: leave out the data, or the method`);
  }
  return {
    method,
    headers: readHeaders(options.header, body !== undefined),
    redirect: "manual",
    ...(body !== undefined && { body: body as string | Uint8Array<ArrayBuffer> }),
  };
}

function readHeaders(lines: readonly string[], hasBody: boolean): Headers {
  const headers = new Headers();
  for (const line of lines) {
    const refuse = (why: string): never => {
      throw new UsageError(`Cannot send the header ${JSON.stringify(line)}: ${why}`);
    };
    const colon = line.indexOf(":");
    if (colon <= 0) refuse('it must look like "name: value"');
    const [name, value] = [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
    if (!isHeader(name, "")) refuse(`${JSON.stringify(name)} cannot be the name of a header`);
    if (!isHeader(name, value)) refuse("its value has characters that a header cannot have");
    headers.append(name, value);
  }
  if (hasBody && !headers.has("content-type")) headers.set("content-type", "application/json");
  return headers;
}

function isHeader(name: string, value: string): boolean {
  try {
    new Headers([[name, value]]);
    return true;
  } catch {
    return false;
  }
}

/** Sends the request, again where the answer may change and the user waits for that. @throws Unreachable */
async function exchange(url: string, init: RequestInit & { readonly client: Deno.HttpClient }, waits: boolean) {
  for (let attempt = 1;; attempt++) {
    const answer = await exchangeOnce(url, init);
    if (!waits || attempt >= MAX_CALL_ATTEMPTS || !isNotThereYet(answer.response.status, answer.body)) return answer;
    await new Promise((done) => setTimeout(done, DEFAULT_RETRY_SECONDS * 1000));
  }
}

/** 202, or the 404 of a transaction that no signature covers yet. */
function isNotThereYet(status: number, body: Uint8Array): boolean {
  return status === 202 || (status === 404 && new TextDecoder().decode(body).includes("TransactionPendingOrUnknown"));
}

function report(response: Response, body: Uint8Array, output: string | undefined, note: (text: string) => void): void {
  const txId = response.headers.get("x-ms-ccf-transaction-id");
  note(`${response.status} ${response.statusText}${txId === null ? "" : `, transaction ${txId}`}`);
  if (output === undefined) {
    if (body.length > 0) print(body);
    return;
  }
  try {
    Deno.writeFileSync(output, body);
  } catch (error) {
    throw new UsageError(`Cannot write the answer to ${output}: ${reasonOf(error)}`);
  }
}

/** Body and line end, whole; a reader that goes away early is no fault. */
function print(body: Uint8Array): void {
  let rest = concat(body, toUtf8("\n"));
  try {
    while (rest.length > 0) rest = rest.subarray(Deno.stdout.writeSync(rest));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
