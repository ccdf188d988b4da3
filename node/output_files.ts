/**
 * The small files by which a node tells others about itself: process ID, addresses, certificates.
 *
 * Each appears complete or not at all, so that whoever waits for one can read it as soon as it is there.
 * Facts: operations.md §3, src/host/run.cpp of CCF
 */

import { dirname, join } from "node:path";
import type { NodeConfig } from "./node_config.ts";
import { StorageError, storageError } from "./storage_error.ts";
import { formatAddress } from "./units.ts";

/**
 * Marks a node as running. The file stays behind when the process is killed, and has to be removed by hand then.
 *
 * @throws StorageError where there is one: another node runs, or was killed. The sentence is CCF's, which its tests wait for.
 */
export function writePidFile(path: string, pid: number = Deno.pid): void {
  makeParent(path);
  try {
    Deno.writeTextFileSync(path, String(pid), { createNew: true });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) throw new StorageError(`PID file ${path} already exists. Exiting.`);
    throw storageError(`write the PID file ${JSON.stringify(path)}`, error, "choose another output_files.pid_file");
  }
}

/** Removes the mark on an orderly stop. Fine if it is gone. */
export function removePidFile(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      throw storageError(`remove the PID file ${JSON.stringify(path)}`, error);
    }
  }
}

/**
 * Writes the addresses really bound, where the configuration names files for them: JSON, interface → "host:port".
 *
 * @param rpcPorts port of each RPC interface by name
 * @param nodeToNodePort where it differs from the configured one, which may be 0
 * @throws StorageError
 */
export function writeAddresses(
  outputFiles: NodeConfig["outputFiles"],
  rpcPorts: ReadonlyMap<string, number>,
  config: NodeConfig,
  nodeToNodePort: number = config.network.nodeToNode.bindAddress.port,
): void {
  const { nodeToNode, rpcInterfaces } = config.network;
  if (outputFiles.nodeToNodeAddressFile !== undefined) {
    const address = formatAddress({ host: nodeToNode.bindAddress.host, port: nodeToNodePort });
    writeFile(outputFiles.nodeToNodeAddressFile, JSON.stringify({ node_to_node_interface: address }));
  }
  if (outputFiles.rpcAddressesFile !== undefined) {
    const addresses = [...rpcInterfaces.values()].map(({ name, bindAddress }): [string, string] => {
      return [name, formatAddress({ host: bindAddress.host, port: rpcPorts.get(name) ?? bindAddress.port })];
    });
    addresses.sort(([a], [b]) => a < b ? -1 : 1);
    writeFile(outputFiles.rpcAddressesFile, JSON.stringify(Object.fromEntries(addresses)));
  }
}

/**
 * Writes the node's self-signed certificate, and on Start and Recover that of the service, which a joiner already has.
 *
 * @throws StorageError
 */
export function writeCertificates(
  config: NodeConfig,
  certificates: { readonly nodePem: string; readonly servicePem: string },
): void {
  writeFile(config.outputFiles.nodeCertificateFile, certificates.nodePem);
  if (config.command.type !== "Join") writeFile(config.serviceCertificateFile, certificates.servicePem);
}

/** Writes beside the place, then renames. */
function writeFile(path: string, text: string): void {
  makeParent(path);
  const draft = join(dirname(path), `.${crypto.randomUUID()}.new`);
  try {
    Deno.writeTextFileSync(draft, text, { createNew: true });
    Deno.renameSync(draft, path);
  } catch (error) {
    try {
      Deno.removeSync(draft);
    } catch {
      // It was never made, or the disk that refused the rename refuses this too.
    }
    throw storageError(`write ${JSON.stringify(path)}`, error, "choose another path in the configuration");
  }
}

function makeParent(path: string): void {
  try {
    Deno.mkdirSync(dirname(path), { recursive: true });
  } catch (error) {
    throw storageError(
      `make the directory of ${JSON.stringify(path)}`,
      error,
      "choose another path in the configuration",
    );
  }
}
