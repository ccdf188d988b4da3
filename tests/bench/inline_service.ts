/**
 * A sandbox's service without host and sockets, for benchmarks and long tests: the enclave called directly.
 */

import { join } from "node:path";
import { parsePemBlock } from "../../shared/crypto/pem.ts";
import { loadNativePowers } from "../../enclave/native_powers.ts";
import { parseConfig } from "../../node/config.ts";
import { readConfigFiles } from "../../node/config_files.ts";
import { createSandbox, DEFAULT_APP_FOLDER, DEFAULT_CONSTITUTION_FOLDER, type Sandbox } from "../../node/sandbox.ts";
import { startConfig } from "../../node/start_config.ts";
import { InlineNode } from "../inline_node.ts";

export interface InlineService {
  readonly node: InlineNode;
  readonly sandbox: Sandbox;
  /** DER of the only user's certificate. */
  readonly userCertificate: Uint8Array;
}

/** @param app "native": the logging app built into the enclave; "js": the bundle of `getting_started/app` */
export async function startInlineService(workspace: string, app: "native" | "js"): Promise<InlineService> {
  const powers = await loadNativePowers();
  const options = {
    workspace,
    host: "127.0.0.1",
    port: 8000,
    members: 3,
    users: 1,
    appFolder: DEFAULT_APP_FOLDER,
    constitutionFolder: DEFAULT_CONSTITUTION_FOLDER,
    nativeApp: app === "native" ? "logging" : undefined,
  };
  const sandbox = createSandbox(options, powers.random, Date.now());
  const config = parseConfig(Deno.readTextFileSync(sandbox.configFile), sandbox.configFile);
  const files = await readConfigFiles(config, (path) => Deno.readTextFile(path));
  const interfaces = { primary_rpc_interface: { bind_address: "127.0.0.1:8000", published_address: "127.0.0.1:8000" } };
  const node = InlineNode.start(
    powers,
    startConfig(config, files, interfaces, "fail", true),
    Date.now(),
    sandbox.opening,
  );
  const userPem = Deno.readTextFileSync(join(sandbox.commonFolder, "user0_cert.pem"));
  return { node, sandbox, userCertificate: parsePemBlock(userPem, "CERTIFICATE") };
}
