/**
 * `console`: the members' page on this machine, relayed to a node.
 *
 * In: a node's URL and the certificate of its service, or a sandbox. Out: a web server on 127.0.0.1 that runs until Ctrl-C;
 * exit code 0 or 130, 2 for what cannot be used, 3 where the port cannot be had.
 */

import { Command } from "commander";
import { FormatError } from "../../shared/assert.ts";
import { toHex } from "../../shared/bytes.ts";
import { parseCertificateBundle } from "../../shared/crypto/x509.ts";
import { buildConsole } from "../console_build.ts";
import { CONSOLE_FOLDER, ConsoleFiles } from "../console_files.ts";
import { ConsoleRelay } from "../console_relay.ts";
import { isNodeUrl, parseNodeUrl } from "../quote_source.ts";
import { stdoutColours } from "./colours.ts";
import { ExitCode, keepPermissions, readTextFile, reasonOf, UsageError } from "./exit.ts";
import { Unreachable } from "./node_client.ts";
import { readSandbox } from "./sandbox_description.ts";

interface Options {
  readonly node?: string;
  readonly serviceCert?: string;
  readonly workspace: string;
  readonly port: string;
  readonly json?: boolean;
}

const TOKEN_BYTES = 24;

export function consoleCommand(): Command {
  return new Command("console")
    .description("Open the members' console on this machine, relayed to a node over TLS pinned to its service")
    .option("--node <URL>", "the node, at an interface without client certificates (default: of the sandbox)")
    .option(
      "--service-cert <FILE>",
      "certificate of its service (PEM); without it whoever answers is judged by the page",
    )
    .option("--workspace <DIR>", "the sandbox, where no node is named", "./workspace")
    .option("--port <PORT>", "where the page is, on 127.0.0.1; 0: the operating system chooses", "8080")
    .option("--json", "print one line of JSON once it listens")
    .action(async (options: Options) => {
      // Only for building the page is a process started, and only where it is not there as its sources are.
      const notBuilt = await buildConsole((text) => console.error(text));
      keepPermissions(["read", "net", "env"]);
      if (notBuilt !== undefined) throw new UsageError(`Cannot show the console: ${notBuilt}`);
      Deno.exitCode = await runConsole(options);
    });
}

async function runConsole(options: Options): Promise<number> {
  const { nodeUrl, servicePem } = readTarget(options);
  const files = ConsoleFiles.read(CONSOLE_FOLDER);
  if (files === undefined) throw new UsageError("Cannot show the console: it is not built; run `deno task console`");
  const token = toHex(crypto.getRandomValues(new Uint8Array(TOKEN_BYTES)));
  const relay = new ConsoleRelay({ nodeUrl, servicePem, files, port: readPort(options.port), token });
  try {
    relay.start();
  } catch (error) {
    throw new Unreachable(`Cannot listen on port ${options.port}: ${reasonOf(error)}; choose another with --port`);
  }
  announce(relay, nodeUrl, servicePem, options.json === true);
  const code = await untilSignal();
  await relay.stop();
  return code;
}

function readTarget({ node, serviceCert, workspace }: Options): { nodeUrl: URL; servicePem: string | undefined } {
  if (node !== undefined) {
    if (!isNodeUrl(node)) throw new UsageError(`Cannot use ${JSON.stringify(node)} as a node: give an https URL`);
    return { nodeUrl: parseNodeUrl(node), servicePem: readServiceCertificate(serviceCert) };
  }
  const { nodes: [first], service_cert } = readSandbox(workspace);
  return { nodeUrl: parseNodeUrl(first.web_url), servicePem: readServiceCertificate(serviceCert ?? service_cert) };
}

function readServiceCertificate(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const pem = readTextFile(path, "the service certificate");
  try {
    if (parseCertificateBundle(pem).length === 0) throw new FormatError("there is no certificate (PEM) in it");
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UsageError(`Cannot use the service certificate ${path}: ${error.message}`);
  }
  return pem;
}

function readPort(text: string): number {
  if (/^[0-9]{1,5}$/.test(text) && Number(text) <= 65535) return Number(text);
  throw new UsageError(`Cannot use --port ${text}: it must be a whole number from 0 to 65535`);
}

function announce(relay: ConsoleRelay, nodeUrl: URL, servicePem: string | undefined, json: boolean): void {
  if (json) {
    console.log(JSON.stringify({ url: relay.url, node_url: nodeUrl.origin, pinned: servicePem !== undefined }));
    return;
  }
  const colours = stdoutColours();
  const pinned = servicePem === undefined
    ? colours.yellow("No service certificate was given: whoever answers there is judged by the page alone.")
    : "Only a node of the service whose certificate was given is spoken to.";
  console.log(`${colours.bold("The console is open at")}
  ${relay.url}
for ${nodeUrl.origin}. ${pinned}
The URL has a token in it: whoever knows it can use this relay from this machine.

Ctrl-C stops it.`);
}

/** Until somebody stops it. */
function untilSignal(): Promise<number> {
  return new Promise((resolve) => {
    Deno.addSignalListener("SIGINT", () => resolve(ExitCode.interrupted));
    Deno.addSignalListener("SIGTERM", () => resolve(ExitCode.done));
  });
}
