/**
 * `node`: a sandbox from nothing, or a real node from a configuration.
 *
 * In: options. Out: a node that runs until SIGINT or SIGTERM; exit code 0, 1, 2 or 130, and 3
 * where a node of a sandbox ends before its service is open.
 */

import { Command, Option } from "commander";
import { join, resolve } from "node:path";
import type { LogLevel } from "../../enclave/messages.ts";
import type { Random } from "../../shared/crypto/primitives.ts";
import { MAX_SANDBOX_MEMBERS, MAX_SANDBOX_NODES, MAX_SANDBOX_USERS } from "../../shared/limits.ts";
import { kernelDevices } from "../attestation_devices.ts";
import { parseConfig } from "../config.ts";
import { readConfigFiles } from "../config_files.ts";
import { buildConsole } from "../console_build.ts";
import { DEFAULT_CONSTITUTION_FOLDER } from "../constitution_folder.ts";
import { requireFreePorts } from "../free_ports.ts";
import { Host } from "../host.ts";
import type { NodeConfig } from "../node_config.ts";
import { type NodePlatform, openPlatform, virtualPlatform } from "../node_platform.ts";
import { createLog } from "../log.ts";
import {
  createSandbox,
  DEFAULT_APP_FOLDER,
  readSandboxInputs,
  type Sandbox,
  type SandboxInputs,
  type SandboxOptions,
  sandboxPorts,
} from "../sandbox.ts";
import { requireConstitution } from "../constitution_check.ts";
import { NodeLost, type RunningSandboxNode, SandboxNetwork } from "../sandbox_network.ts";
import { openingRequests, type SandboxOpening } from "../sandbox_opening.ts";
import { StartFailure } from "../start_failure.ts";
import { type Stoppable, StopSignals } from "../stop_signals.ts";
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
  readonly logFile?: string;
  readonly stopWithStdin?: boolean;
  readonly logLevel: LogLevel;
}

export function nodeCommand(): Command {
  return new Command("node")
    .description("Run a sandbox (nodes, members, a user, an app, service open), or a node from a configuration")
    .option("--config <FILE>", "run a real node from a CCF-format JSON configuration instead of a sandbox")
    .option("--check", "with --config: only validate it")
    .option("--workspace <DIR>", "where the sandbox keeps everything", "./workspace")
    .option("--host <HOST>", "address to listen on", "127.0.0.1")
    .option("--port <PORT>", "first port; 0: the operating system chooses all", "8000")
    .option("--nodes <N>", "number of nodes; several are a process each", "1")
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
    .option("--log-file <FILE>", "with --config: also log to the end of this file")
    .option(
      "--stop-with-stdin",
      "with --config: stop when standard input ends, as with the process that started this one",
    )
    .action(async (options: Options, command: Command) => {
      if (options.config === undefined) {
        const checked = await checkSandbox(options, command);
        Deno.exitCode = await runSandbox(options, checked);
        return;
      }
      // A node that may have hardware to ask does so first: for that it needs everything.
      if (options.check === true) keepPermissions(NODE_PERMISSIONS);
      requireFittingOptions(options, command);
      Deno.exitCode = await runConfigured(options.config, options);
    });
}

/** @throws UsageError where an option would silently do nothing */
function requireFittingOptions({ config, check, logFile, stopWithStdin }: Options, command: Command): void {
  if (config === undefined) {
    for (const [given, name] of [[check, "--check"], [logFile, "--log-file"], [stopWithStdin, "--stop-with-stdin"]]) {
      if (given === undefined) continue;
      throw new UsageError(`Cannot use ${name} alone: name a configuration with --config FILE`);
    }
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

async function runConfigured(file: string, { check, logFile, stopWithStdin, logLevel }: Options): Promise<number> {
  const config = parseConfig(readTextFile(file, "the configuration"), file);
  if (config.attestation.platform === "virtual") keepPermissions(NODE_PERMISSIONS);
  const files = await readConfigFiles(config, (path) => Deno.readTextFile(path));
  if (check === true) {
    if (files.command.type === "Start") {
      await requireConstitution(files.command.constitution, `constitution_files of ${file}`);
    }
    console.log(`${file} is a valid configuration`);
    return ExitCode.done;
  }
  const platform = await findPlatform(config);
  using signals = new StopSignals(config.ignoreFirstSigterm);
  if (stopWithStdin === true) void signals.watchStandardInput();
  const log = createLog({ format: config.logFormat, level: logLevel, ...(logFile !== undefined && { file: logFile }) });
  for (const warning of config.warnings) log.write("info", "host", warning);
  try {
    // To fetch a snapshot may take long.
    const onCreated = (host: Host) => signals.stopFromNowOn(host);
    const host = await Host.start({ config, files, log, logLevel, platform, onCreated });
    return await signals.untilStopped(host);
  } catch (error) {
    if (signals.requireStop && error instanceof StartFailure) return signals.exitCode;
    throw error;
  } finally {
    await log.close();
  }
}

/** What a node needs while it runs. */
const NODE_PERMISSIONS: readonly Deno.PermissionName[] = ["read", "write", "net", "env"];

/** Looks for hardware; what is needed for that alone is given up once there is evidence of it, or none to be had. */
async function findPlatform(config: NodeConfig): Promise<NodePlatform> {
  const platform = await openPlatform({
    config,
    perform: kernelDevices(),
    readTextFile: (path) => Deno.readTextFile(path),
    environment,
    name: `quorate-${Deno.pid}-${crypto.randomUUID()}`,
    now: Date.now,
  });
  if (platform.told.kind === "virtual") {
    keepPermissions(NODE_PERMISSIONS);
    return platform;
  }
  return {
    ...platform,
    quote: (reportData, log, signal) =>
      platform.quote(reportData, log, signal).finally(() => keepPermissions(NODE_PERMISSIONS)),
  };
}

/** Most variables are none of ours, and not shown to the process. */
function environment(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

/** What a sandbox is made from, once nothing of it is to be refused any more. */
interface CheckedSandbox {
  readonly sandboxOptions: SandboxOptions;
  readonly nodes: number;
  readonly inputs: SandboxInputs;
  /** Why there is no console. */
  readonly notBuilt: string | undefined;
}

/** Everything that can be refused is refused before anything is written or wiped. */
async function checkSandbox(options: Options, command: Command): Promise<CheckedSandbox> {
  keepPermissions([...NODE_PERMISSIONS, "run"]);
  try {
    requireFittingOptions(options, command);
    const sandboxOptions = readSandboxOptions(options);
    const { host, port, constitutionFolder } = sandboxOptions;
    const nodes = wholeNumber("--nodes", options.nodes, 1, MAX_SANDBOX_NODES);
    const inputs = readSandboxInputs(sandboxOptions);
    const constitution = inputs.constitution.map((path) => readTextFile(path, "the constitution's file"));
    await requireConstitution(constitution, constitutionFolder);
    const ports = Array.from({ length: nodes }, (_, i) => Object.values(sandboxPorts(port, i)));
    requireFreePorts(host, ports.flat());
    const notBuilt = await buildConsole((sentence) => console.log(sentence));
    return { sandboxOptions, nodes, inputs, notBuilt };
  } finally {
    // To build the page takes a process, and so do several nodes.
    if (options.nodes === "1") keepPermissions(NODE_PERMISSIONS);
  }
}

async function runSandbox(
  options: Options,
  { sandboxOptions, nodes, inputs, notBuilt }: CheckedSandbox,
): Promise<number> {
  const { workspace: path, appFolder, constitutionFolder } = sandboxOptions;
  using signals = new StopSignals(false);
  const workspace = Workspace.prepare({
    path,
    fresh: options.fresh === true,
    inputs: [appFolder, constitutionFolder],
  });
  let running: RunningSandbox | undefined;
  try {
    const random: Random = (length) => crypto.getRandomValues(new Uint8Array(length));
    const sandbox = createSandbox(sandboxOptions, random, Date.now(), inputs);
    running = nodes === 1
      ? await openSandbox(sandbox, options.logLevel, signals)
      : await openNetwork(sandboxOptions, nodes, sandbox, options.logLevel, signals);
    if (running !== undefined) announce(running.nodes, sandbox, path, notBuilt);
  } catch (error) {
    await running?.close();
    if (error instanceof NodeLost) workspace.release();
    else workspace.discard();
    throw error;
  }
  if (running === undefined) {
    workspace.discard();
    console.error("Stopped before the service was open; nothing is left of it");
    return signals.exitCode;
  }
  try {
    return await signals.untilStopped(running.target);
  } finally {
    await running.close();
    workspace.release();
  }
}

function readSandboxOptions(options: Options): SandboxOptions {
  return {
    workspace: resolve(options.workspace),
    host: options.host,
    port: wholeNumber(
      "--port",
      options.port,
      0,
      65535 - Math.max(...Object.values(sandboxPorts(1, MAX_SANDBOX_NODES))),
    ),
    members: wholeNumber("--members", options.members, 1, MAX_SANDBOX_MEMBERS),
    users: wholeNumber("--users", options.users, 0, MAX_SANDBOX_USERS),
    appFolder: resolve(options.app),
    constitutionFolder: resolve(options.constitution),
    nativeApp: options.nativeApp,
  };
}

/** A sandbox whose service is open. */
interface RunningSandbox {
  readonly nodes: readonly RunningSandboxNode[];
  readonly target: Stoppable;
  /** Stops it if it still runs, and waits until it has. */
  close(): Promise<void>;
}

/**
 * Runs the one node of a sandbox in this process and opens its service.
 *
 * Out: undefined if a signal came first, and then all is closed again.
 */
async function openSandbox(
  { firstNode, opening }: Sandbox,
  logLevel: LogLevel,
  signals: StopSignals,
): Promise<RunningSandbox | undefined> {
  const { configFile, logFile } = firstNode;
  const config = parseConfig(Deno.readTextFileSync(configFile), configFile);
  const files = await readConfigFiles(config, (path) => Deno.readTextFile(path));
  const log = createLog({ format: config.logFormat, level: logLevel, file: logFile, console: "none" });
  let host: Host | undefined;
  const close = async () => {
    // It may be stopping already: then the first line does not wait, and the second does.
    await host?.stop();
    await host?.stopped;
    await log.close();
  };
  try {
    await signals.arrived();
    if (!signals.requireStop) {
      const platform = virtualPlatform(config, "as sandboxes are");
      host = await Host.start({ config, files, log, logLevel, platform });
      signals.stopFromNowOn(host);
      await openService(host, opening);
      const url = host.urls.get("primary_rpc_interface")!;
      const node = { id: host.nodeId, url, webUrl: host.urls.get("web_rpc_interface")! };
      if (!signals.requireStop) return { nodes: [node], target: host, close };
    }
    await close();
    return undefined;
  } catch (error) {
    await close();
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

/** Runs every node of a sandbox in a process of its own. Out: as `openSandbox`. */
async function openNetwork(
  options: SandboxOptions,
  nodeCount: number,
  sandbox: Sandbox,
  logLevel: LogLevel,
  signals: StopSignals,
): Promise<RunningSandbox | undefined> {
  const network = new SandboxNetwork(options, nodeCount, sandbox, logLevel, (line) => console.log(line));
  const close = async () => {
    await network.stop();
    await network.stopped;
  };
  signals.stopFromNowOn(network);
  try {
    await signals.arrived();
    const nodes = await network.open();
    if (!signals.requireStop) return { nodes, target: network, close };
    await close();
    return undefined;
  } catch (error) {
    await close();
    if (signals.requireStop) return undefined;
    throw error;
  }
}

/** Tells scripts by `sandbox.json`, which appears complete, and people on the terminal. */
function announce(
  nodes: readonly RunningSandboxNode[],
  { commonFolder }: Sandbox,
  workspace: string,
  notBuilt: string | undefined,
): void {
  const serviceCert = join(commonFolder, "service_cert.pem");
  const description = {
    nodes: nodes.map(({ id, url, webUrl }) => ({
      id,
      url,
      web_url: webUrl,
      console_url: notBuilt === undefined ? `${webUrl}/console/` : null,
    })),
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
  const [first] = nodes;
  console.log(`
${colours.bold("The service is open.")} ${
    colours.yellow("Virtual platform: nothing is protected from whoever runs this machine.")
  }
  with client certificates  ${nodes.map(({ url }) => url).join("  ")}
  for browsers and scripts  ${nodes.map(({ webUrl }) => webUrl).join("  ")}
  console, served by them   ${notBuilt ?? nodes.map(({ webUrl }) => `${webUrl}/console/`).join("  ")}
  service certificate       ${serviceCert}
  credentials               ${commonFolder}

Try it:
  curl --config ${join(commonFolder, "user0.curl")} -H "content-type: application/json" \\
    -d '{"id": 42, "msg": "hello"}' ${first!.url}/app/log/private
or, without curl:
  deno task run call /app/log/private --as user0 --data '{"id": 42, "msg": "hello"}'

The console, on this machine, by its own way to the node:
  deno task run console${workspace === resolve("workspace") ? "" : ` --workspace ${workspace}`}

Ctrl-C stops ${nodes.length === 1 ? "it" : "all of them"}.`);
}

function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || value < least || value > most) {
    throw new UsageError(`Cannot use ${option} ${text}: it must be a whole number from ${least} to ${most}`);
  }
  return value;
}
