/**
 * `console`: the console on this machine, relayed to a node.
 *
 * In: a node's URL and the certificate of its service, or a sandbox. Out: a web server on 127.0.0.1 that runs until SIGINT or
 * SIGTERM; exit code 0 or 130, 2 for what cannot be used. A node that cannot be reached is no reason not to start: the page
 * says why, and asks again.
 */

import { Command } from "commander";
import { resolve } from "node:path";
import { toHex } from "../../shared/bytes.ts";
import { buildConsole } from "../console_build.ts";
import { CONSOLE_FOLDER, ConsoleFiles } from "../console_files.ts";
import { ConsoleRelay } from "../console_relay.ts";
import { parseNodeUrl } from "../quote_source.ts";
import { StopSignals } from "../stop_signals.ts";
import { stdoutColours } from "./colours.ts";
import { keepPermissions, UsageError } from "./exit.ts";
import { readServiceCertificate } from "./node_client.ts";
import { readSandbox } from "./sandbox_description.ts";

interface Options {
  readonly node?: string;
  readonly serviceCert?: string;
  readonly workspace: string;
  readonly port: string;
  readonly consoleDirectory?: string;
  readonly json?: boolean;
}

interface Inputs {
  readonly nodeUrl: URL;
  /** PEM. */
  readonly servicePem: string | undefined;
  readonly port: number;
}

/** What the relay needs while it runs. */
const PERMISSIONS: readonly Deno.PermissionName[] = ["read", "net", "env"];

const TOKEN_BYTES = 32;

export function consoleCommand(): Command {
  return new Command("console")
    .description("Open the members' console on this machine, relayed to a node over TLS pinned to its service")
    .option(
      "--node <URL>",
      "the node, at an interface without client certificates; or the number of one of the sandbox (default: 0)",
    )
    .option(
      "--service-cert <FILE>",
      "certificate of its service (PEM); without it, for a URL, the page is told that nothing is pinned",
    )
    .option("--workspace <DIR>", "the sandbox, where no URL is given", "./workspace")
    .option("--port <PORT>", "where the page is, on 127.0.0.1; 0: the operating system chooses", "8080")
    .option("--console-directory <DIR>", "a built page, such as console/dist/app, instead of this checkout's own")
    .option("--json", "print one line of JSON once it listens: url, node_url, pinned")
    .action(async (options: Options) => {
      const { inputs, files } = await prepare(options);
      Deno.exitCode = await runRelay(inputs, files, options.json === true);
    });
}

/** Only to build the page are files written and a process started: it may do so no longer than that. */
async function prepare(options: Options): Promise<{ readonly inputs: Inputs; readonly files: ConsoleFiles }> {
  const { consoleDirectory } = options;
  keepPermissions(consoleDirectory === undefined ? [...PERMISSIONS, "write", "run"] : PERMISSIONS);
  try {
    const inputs = readInputs(options);
    if (consoleDirectory !== undefined) return { inputs, files: openPage(resolve(consoleDirectory)) };
    const whyNot = await buildConsole((sentence) => console.error(sentence));
    if (whyNot !== undefined) throw new UsageError(`Cannot show the console: ${whyNot}`);
    return { inputs, files: openPage(CONSOLE_FOLDER) };
  } finally {
    keepPermissions(PERMISSIONS);
  }
}

/** @throws UsageError, or FormatError where it is no page */
function openPage(folder: string): ConsoleFiles {
  const files = ConsoleFiles.open(folder);
  if (files === null) {
    throw new UsageError(`Cannot show the console: there is no ${folder}; build it with \`deno task console\``);
  }
  return files;
}

/** @throws UsageError */
function readInputs({ node, serviceCert, workspace, port }: Options): Inputs {
  if (!/^[0-9]{1,5}$/.test(port) || Number(port) > 65535) {
    throw new UsageError(`Cannot use --port ${port}: it must be a whole number from 0 to 65535`);
  }
  const pem = serviceCert === undefined ? undefined : readServiceCertificate(serviceCert);
  if (node !== undefined && !/^[0-9]+$/.test(node)) {
    return { nodeUrl: parseNodeUrl(node), servicePem: pem, port: Number(port) };
  }
  const { nodes: [{ web_url }], service_cert } = readSandboxOr(workspace, Number(node ?? 0));
  return {
    nodeUrl: parseNodeUrl(web_url),
    servicePem: pem ?? readServiceCertificate(service_cert),
    port: Number(port),
  };
}

/** @throws UsageError that names the other way as well */
function readSandboxOr(workspace: string, index: number): ReturnType<typeof readSandbox> {
  try {
    return readSandbox(workspace, index);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(
      `${error.message}. Start a sandbox with \`deno task run node\`, or name a node with --node URL --service-cert FILE`,
    );
  }
}

async function runRelay({ nodeUrl, servicePem, port }: Inputs, files: ConsoleFiles, isJson: boolean): Promise<number> {
  const token = toHex(crypto.getRandomValues(new Uint8Array(TOKEN_BYTES)));
  using signals = new StopSignals(false);
  const relay = new ConsoleRelay({ nodeUrl, servicePem, files, port, token });
  relay.start();
  signals.stopFromNowOn(relay);
  const pinned = servicePem !== undefined;
  console.log(
    isJson
      ? JSON.stringify({ url: relay.url, node_url: nodeUrl.origin, pinned })
      : announcement(relay.url, nodeUrl.origin, pinned),
  );
  return await signals.untilStopped(relay);
}

function announcement(url: string, nodeUrl: string, pinned: boolean): string {
  const colours = stdoutColours();
  const held = pinned
    ? "Nodes of the service whose certificate was given are spoken to, and nobody else."
    : colours.yellow("No service certificate was given: who answers there is for the page to find out.");
  return `
${colours.bold("The console is open at")}
  ${url}
for ${nodeUrl}. ${held}
There is a token in the URL: whoever on this machine knows it can use the relay, until it stops.

Ctrl-C stops it.`;
}
