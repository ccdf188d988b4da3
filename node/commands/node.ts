/**
 * `node`: a sandbox from nothing, or a real node from a configuration.
 *
 * In: options. Out: a node that runs until SIGINT or SIGTERM; exit code 0, 1, 2 or 130.
 */

import { Command, Option } from "commander";
import pc from "picocolors";
import { join, resolve } from "node:path";
import type { LogLevel } from "../../enclave/messages.ts";
import type { Random } from "../../shared/crypto/primitives.ts";
import { MAX_SANDBOX_MEMBERS, MAX_SANDBOX_USERS } from "../../shared/limits.ts";
import { parseConfig } from "../config.ts";
import { readConfigFiles } from "../config_files.ts";
import { requireFreePorts } from "../free_ports.ts";
import { Host } from "../host.ts";
import { createLog } from "../log.ts";
import {
  createSandbox,
  DEFAULT_APP_FOLDER,
  DEFAULT_CONSTITUTION_FOLDER,
  type Sandbox,
  type SandboxOptions,
  sandboxPorts,
} from "../sandbox.ts";
import { ExitCode, keepPermissions, readTextFile, UsageError } from "./exit.ts";

interface Options {
  readonly config?: string;
  readonly check?: boolean;
  readonly workspace: string;
  readonly host: string;
  readonly port: string;
  readonly nodes: string;
  readonly members: string;
  readonly users: string;
  readonly app: string;
  readonly constitution: string;
  readonly nativeApp?: string;
  readonly fresh?: boolean;
  readonly logLevel: LogLevel;
}

export function nodeCommand(): Command {
  return new Command("node")
    .description("Run a sandbox (one node, members, a user, an app, service open), or a node from a configuration")
    .option("--config <FILE>", "run a real node from a CCF-format JSON configuration instead of a sandbox")
    .option("--check", "with --config: only validate it")
    .option("--workspace <DIR>", "where the sandbox keeps everything", "./workspace")
    .option("--host <HOST>", "address to listen on", "127.0.0.1")
    .option("--port <PORT>", "first port; 0: the operating system chooses all", "8000")
    .option("--nodes <N>", "number of nodes", "1")
    .option("--members <N>", "number of members", "3")
    .option("--users <N>", "number of users", "1")
    .option("--app <DIR>", "app bundle: app.json and src/", DEFAULT_APP_FOLDER)
    .option(
      "--constitution <DIR>",
      "constitution: actions.js, validate.js, resolve.js, apply.js",
      DEFAULT_CONSTITUTION_FOLDER,
    )
    .addOption(new Option("--native-app <NAME>", "an app built into the node instead of a bundle").choices(["logging"]))
    .option("--fresh", "wipe the workspace first")
    .addOption(
      new Option("--log-level <LEVEL>", "least level that is logged").choices([
        "trace",
        "debug",
        "info",
        "fail",
        "fatal",
      ])
        .default("info"),
    )
    .action(async (options: Options) => {
      keepPermissions(["read", "write", "net", "env"]);
      Deno.exitCode = options.config === undefined
        ? await runSandbox(options)
        : await runConfigured(options.config, options);
    });
}

async function runConfigured(file: string, { check, logLevel }: Options): Promise<number> {
  const config = parseConfig(readTextFile(file, "the configuration"), file);
  const files = await readConfigFiles(config, (path) => Deno.readTextFile(path));
  if (check === true) {
    console.log(`${file} is a valid configuration`);
    return ExitCode.done;
  }
  const log = createLog({ format: config.logFormat, level: logLevel });
  for (const warning of config.warnings) log.write("info", "host", warning);
  try {
    const host = await Host.start({ config, files, log, logLevel, allowOpenService: false });
    return await untilStopped(host, config.ignoreFirstSigterm);
  } finally {
    await log.close();
  }
}

async function runSandbox(options: Options): Promise<number> {
  const sandboxOptions = readSandboxOptions(options);
  const { workspace, host, port } = sandboxOptions;
  // Everything that can be refused is refused before anything is written.
  const { rpc, web, nodeToNode } = sandboxPorts(port);
  requireFreePorts(host, [rpc, web, nodeToNode]);
  prepareWorkspace(workspace, options.fresh === true);
  const random: Random = (length) => crypto.getRandomValues(new Uint8Array(length));
  const sandbox = createSandbox(sandboxOptions, random, Date.now());

  const config = parseConfig(Deno.readTextFileSync(sandbox.configFile), sandbox.configFile);
  const files = await readConfigFiles(config, (path) => Deno.readTextFile(path));
  const log = createLog({
    format: config.logFormat,
    level: options.logLevel,
    file: join(sandbox.nodeFolder, "node.log"),
    console: "none",
  });
  try {
    const running = await Host.start({ config, files, log, logLevel: options.logLevel, allowOpenService: true });
    await running.openService(sandbox.opening);
    announce(running, sandbox, workspace);
    return await untilStopped(running, false);
  } finally {
    await log.close();
  }
}

function readSandboxOptions(options: Options): SandboxOptions {
  const members = wholeNumber("--members", options.members, 1, MAX_SANDBOX_MEMBERS);
  if (wholeNumber("--nodes", options.nodes, 1, 1000) !== 1) {
    throw new UsageError("Cannot start several nodes: --nodes must be 1 in this version");
  }
  return {
    workspace: resolve(options.workspace),
    host: options.host,
    port: wholeNumber("--port", options.port, 0, 65535 - 2000),
    members,
    users: wholeNumber("--users", options.users, 0, MAX_SANDBOX_USERS),
    appFolder: resolve(options.app),
    constitutionFolder: resolve(options.constitution),
    nativeApp: options.nativeApp,
  };
}

/** @throws UsageError where something is there already, or it cannot be written */
function prepareWorkspace(workspace: string, fresh: boolean): void {
  try {
    if (fresh) Deno.removeSync(workspace, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw unwritable(workspace, error);
  }
  try {
    Deno.mkdirSync(workspace, { recursive: true });
    if ([...Deno.readDirSync(workspace)].length > 0) {
      throw new UsageError(
        `Cannot start a sandbox: the workspace ${workspace} is not empty; ` +
          "give --fresh to wipe it, or another --workspace",
      );
    }
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw unwritable(workspace, error);
  }
}

function unwritable(workspace: string, error: unknown): UsageError {
  const why = error instanceof Error ? error.message : String(error);
  return new UsageError(`Cannot write to the workspace ${workspace}: ${why}; choose another --workspace`);
}

/** Tells scripts by `sandbox.json`, which appears complete, and people on the terminal. */
function announce(host: Host, { commonFolder }: Sandbox, workspace: string): void {
  const url = host.urls.get("primary_rpc_interface")!;
  const webUrl = host.urls.get("web_rpc_interface")!;
  const serviceCert = join(commonFolder, "service_cert.pem");
  const description = {
    nodes: [{ id: host.nodeId, url, web_url: webUrl, console_url: null }],
    service_cert: serviceCert,
    common_dir: commonFolder,
  };
  const path = join(workspace, "sandbox.json");
  Deno.writeTextFileSync(`${path}.new`, JSON.stringify(description, null, 2) + "\n");
  Deno.renameSync(`${path}.new`, path);
  console.log(`
${pc.bold("The service is open.")} ${
    pc.yellow("Virtual platform: nothing is protected from whoever runs this machine.")
  }
  with client certificates  ${url}
  for browsers and scripts  ${webUrl}
  service certificate       ${serviceCert}
  credentials               ${commonFolder}

Try it:
  curl --config ${join(commonFolder, "user0.curl")} -H "content-type: application/json" \\
    -d '{"id": 42, "msg": "hello"}' ${url}/app/log/private
or, without curl:
  deno task run call /app/log/private --as user0 --data '{"id": 42, "msg": "hello"}'

Ctrl-C stops it.`);
}

/** Waits for SIGINT, SIGTERM or a failure. */
async function untilStopped(host: Host, ignoreFirstSigterm: boolean): Promise<number> {
  let interrupted = false;
  let ignore = ignoreFirstSigterm;
  const onInterrupt = () => {
    interrupted = true;
    void host.stop();
  };
  const onTerminate = () => {
    if (!ignore) return void host.stop();
    ignore = false;
    host.giveStopNotice();
  };
  Deno.addSignalListener("SIGINT", onInterrupt);
  Deno.addSignalListener("SIGTERM", onTerminate);
  try {
    const reason = await host.stopped;
    if (reason === undefined) return interrupted ? ExitCode.interrupted : ExitCode.done;
    console.error(reason);
    return ExitCode.refused;
  } finally {
    Deno.removeSignalListener("SIGINT", onInterrupt);
    Deno.removeSignalListener("SIGTERM", onTerminate);
  }
}

function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || value < least || value > most) {
    throw new UsageError(`Cannot use ${option} ${text}: it must be a whole number from ${least} to ${most}`);
  }
  return value;
}
