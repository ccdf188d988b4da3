/**
 * `node`: a sandbox from nothing, or a real node from a configuration.
 *
 * In: options. Out: a node that runs until SIGINT or SIGTERM; exit code 0, 1, 2 or 130.
 */

import { Command, Option } from "commander";
import { join, resolve } from "node:path";
import type { LogLevel } from "../../enclave/messages.ts";
import type { Random } from "../../shared/crypto/primitives.ts";
import { MAX_SANDBOX_MEMBERS, MAX_SANDBOX_USERS } from "../../shared/limits.ts";
import { parseConfig } from "../config.ts";
import { readConfigFiles } from "../config_files.ts";
import { DEFAULT_CONSTITUTION_FOLDER } from "../constitution_folder.ts";
import { requireFreePorts } from "../free_ports.ts";
import { Host } from "../host.ts";
import { createLog, type NodeLog } from "../log.ts";
import {
  createSandbox,
  DEFAULT_APP_FOLDER,
  readSandboxInputs,
  type Sandbox,
  type SandboxOptions,
  sandboxPorts,
} from "../sandbox.ts";
import { requireConstitution } from "../constitution_check.ts";
import { openingRequests, type SandboxOpening } from "../sandbox_opening.ts";
import { storageError } from "../storage_error.ts";
import { Workspace } from "../workspace.ts";
import { stdoutColours } from "./colours.ts";
import { ExitCode, keepPermissions, readTextFile, UsageError } from "./exit.ts";

/** Options that a real node takes from its configuration. */
const SANDBOX_OPTIONS = [
  "workspace",
  "host",
  "port",
  "nodes",
  "members",
  "users",
  "app",
  "constitution",
  "nativeApp",
  "fresh",
];

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
      "constitution: actions.js, validate.js, resolve.js, apply.js, or a part of them that replaces ours",
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
    .action(async (options: Options, command: Command) => {
      keepPermissions(["read", "write", "net", "env"]);
      requireFittingOptions(options, command);
      Deno.exitCode = options.config === undefined
        ? await runSandbox(options)
        : await runConfigured(options.config, options);
    });
}

/** @throws UsageError where an option would silently do nothing */
function requireFittingOptions({ config, check }: Options, command: Command): void {
  if (config === undefined) {
    if (check === true) throw new UsageError("Cannot use --check alone: name a configuration with --config FILE");
    return;
  }
  const given = command.options.filter((option) =>
    SANDBOX_OPTIONS.includes(option.attributeName()) && command.getOptionValueSource(option.attributeName()) === "cli"
  );
  if (given.length === 0) return;
  const names = given.map(({ long }) => long).join(", ");
  throw new UsageError(
    `Cannot use ${names} with --config: a real node takes everything from its configuration ${config}`,
  );
}

async function runConfigured(file: string, { check, logLevel }: Options): Promise<number> {
  const config = parseConfig(readTextFile(file, "the configuration"), file);
  const files = await readConfigFiles(config, (path) => Deno.readTextFile(path));
  if (check === true) {
    if (files.command.type === "Start") {
      await requireConstitution(files.command.constitution, `constitution_files of ${file}`);
    }
    console.log(`${file} is a valid configuration`);
    return ExitCode.done;
  }
  using signals = new StopSignals(config.ignoreFirstSigterm);
  const log = createLog({ format: config.logFormat, level: logLevel });
  for (const warning of config.warnings) log.write("info", "host", warning);
  try {
    const host = await Host.start({ config, files, log, logLevel });
    signals.stopFromNowOn(host);
    return await untilStopped(host, signals);
  } finally {
    await log.close();
  }
}

async function runSandbox(options: Options): Promise<number> {
  const sandboxOptions = readSandboxOptions(options);
  const { workspace: path, host, port, appFolder, constitutionFolder } = sandboxOptions;
  // Everything that can be refused is refused before anything is written or wiped.
  const inputs = readSandboxInputs(sandboxOptions);
  const constitution = inputs.constitution.map((path) => readTextFile(path, "the constitution's file"));
  await requireConstitution(constitution, constitutionFolder);
  const { rpc, web, nodeToNode } = sandboxPorts(port);
  requireFreePorts(host, [rpc, web, nodeToNode]);
  using signals = new StopSignals(false);
  const workspace = Workspace.prepare({
    path,
    fresh: options.fresh === true,
    inputs: [appFolder, constitutionFolder],
  });
  let running: RunningNode | undefined;
  try {
    const random: Random = (length) => crypto.getRandomValues(new Uint8Array(length));
    const sandbox = createSandbox(sandboxOptions, random, Date.now(), inputs);
    running = await openSandbox(sandbox, path, options.logLevel, signals);
  } catch (error) {
    workspace.discard();
    throw error;
  }
  if (running === undefined) {
    workspace.discard();
    console.error("Stopped before the service was open; nothing is left of it");
    return signals.exitCode;
  }
  try {
    return await untilStopped(running.host, signals);
  } finally {
    await running.log.close();
    workspace.release();
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

/**
 * Runs the node of a sandbox and opens its service.
 *
 * Out: the node, told to everybody; or undefined if a signal came first, and then all is closed again.
 */
async function openSandbox(
  sandbox: Sandbox,
  workspace: string,
  logLevel: LogLevel,
  signals: StopSignals,
): Promise<RunningNode | undefined> {
  const config = parseConfig(Deno.readTextFileSync(sandbox.configFile), sandbox.configFile);
  const files = await readConfigFiles(config, (path) => Deno.readTextFile(path));
  const log = createLog({
    format: config.logFormat,
    level: logLevel,
    file: join(sandbox.nodeFolder, "node.log"),
    console: "none",
  });
  let host: Host | undefined;
  try {
    await signals.arrived();
    if (signals.requireStop) return await giveUp(host, log);
    host = await Host.start({ config, files, log, logLevel });
    signals.stopFromNowOn(host);
    await openService(host, sandbox.opening);
    if (signals.requireStop) return await giveUp(host, log);
    announce(host, sandbox, workspace);
    return { host, log };
  } catch (error) {
    await giveUp(host, log);
    if (signals.requireStop) return undefined;
    throw error;
  }
}

/** Lets the members decide it, one request after the other. */
async function openService(host: Host, opening: SandboxOpening): Promise<void> {
  const requests = openingRequests(opening, host.servicePem, Math.floor(Date.now() / 1000));
  let step = requests.next();
  while (!step.done) {
    const { method, target, contentType, body } = step.value;
    step = requests.next(await host.ask({ method, target, headers: [["content-type", contentType]], body }));
  }
  await host.serviceOpened;
}

/** A node with the log that is to be closed after it. */
interface RunningNode {
  readonly host: Host;
  readonly log: NodeLog;
}

async function giveUp(host: Host | undefined, log: NodeLog): Promise<undefined> {
  // It may be stopping already: then the first line does not wait, and the second does.
  await host?.stop();
  await host?.stopped;
  await log.close();
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
  try {
    Deno.writeTextFileSync(`${path}.new`, JSON.stringify(description, null, 2) + "\n");
    Deno.renameSync(`${path}.new`, path);
  } catch (error) {
    throw storageError(`write ${JSON.stringify(path)}`, error, "choose another --workspace");
  }
  const colours = stdoutColours();
  console.log(`
${colours.bold("The service is open.")} ${
    colours.yellow("Virtual platform: nothing is protected from whoever runs this machine.")
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

/**
 * SIGINT and SIGTERM, from before anything is written until the end.
 *
 * What comes before there is a node to stop is kept, and stops it as soon as it has started.
 */
class StopSignals implements Disposable {
  #received: "SIGINT" | "SIGTERM" | undefined;
  #ignoreTerminate: boolean;
  #noticeDue = false;
  #host: Host | undefined;

  constructor(ignoreFirstSigterm: boolean) {
    this.#ignoreTerminate = ignoreFirstSigterm;
    Deno.addSignalListener("SIGINT", this.#onInterrupt);
    Deno.addSignalListener("SIGTERM", this.#onTerminate);
  }

  /** Whether one came that is not ignored. */
  get requireStop(): boolean {
    return this.#received !== undefined;
  }

  get exitCode(): number {
    return this.#received === "SIGINT" ? ExitCode.interrupted : ExitCode.done;
  }

  /** Resolves when those have been delivered that came while the process was busy. */
  arrived(): Promise<void> {
    return new Promise((done) => setTimeout(done, 0));
  }

  stopFromNowOn(host: Host): void {
    this.#host = host;
    if (this.#noticeDue) host.giveStopNotice();
    if (this.requireStop) void host.stop();
  }

  [Symbol.dispose](): void {
    Deno.removeSignalListener("SIGINT", this.#onInterrupt);
    Deno.removeSignalListener("SIGTERM", this.#onTerminate);
  }

  readonly #onInterrupt = () => this.#stop("SIGINT");

  readonly #onTerminate = () => {
    if (!this.#ignoreTerminate) return this.#stop("SIGTERM");
    this.#ignoreTerminate = false;
    if (this.#host === undefined) this.#noticeDue = true;
    else this.#host.giveStopNotice();
  };

  #stop(signal: "SIGINT" | "SIGTERM"): void {
    if (this.#received !== "SIGINT") this.#received = signal;
    void this.#host?.stop();
  }
}

/** Waits for a signal or a failure. */
async function untilStopped(host: Host, signals: StopSignals): Promise<number> {
  const reason = await host.stopped;
  if (reason === undefined) return signals.exitCode;
  console.error(reason);
  return ExitCode.refused;
}

function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || value < least || value > most) {
    throw new UsageError(`Cannot use ${option} ${text}: it must be a whole number from ${least} to ${most}`);
  }
  return value;
}
