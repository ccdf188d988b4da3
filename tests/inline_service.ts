/**
 * A sandbox's service without host and sockets, for tests and benchmarks: the enclave called directly.
 *
 * In: a workspace for its credentials. Out: a node that is open, and what its members and users have.
 */

import { join } from "node:path";
import { parsePemBlock } from "../shared/crypto/pem.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { HISTORICAL_ENCRYPTED_LEDGER_SECRET, RECOVERY_SHARES } from "../shared/governance/tables.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import { parseRecoveryShares, restoreLedgerSecrets, type SharesWrite } from "../shared/ledger/recovery_shares.ts";
import { type ChainLink, parseHistoricalSecret } from "../shared/ledger/secret_chain.ts";
import type { LedgerSecrets } from "../shared/ledger/secrets.ts";
import type { StartConfig, VirtualPlatform } from "../enclave/messages.ts";
import { loadNativePowers } from "../enclave/native_powers.ts";
import type { EnclavePowers } from "../enclave/powers.ts";
import { parseConfig } from "../node/config.ts";
import { readConfigFiles } from "../node/config_files.ts";
import { DEFAULT_CONSTITUTION_FOLDER } from "../node/constitution_folder.ts";
import { virtualPlatform } from "../node/node_platform.ts";
import { createSandbox, DEFAULT_APP_FOLDER, type Sandbox } from "../node/sandbox.ts";
import { startConfig } from "../node/start_config.ts";
import { InlineNode } from "./inline_node.ts";

/** What is not there cannot vouch for anything. */
type VirtualConfig = StartConfig & { readonly platform: VirtualPlatform };

export interface InlineService {
  readonly node: InlineNode;
  readonly sandbox: Sandbox;
  readonly config: VirtualConfig;
  /** DER of the only user's certificate. */
  readonly userCertificate: Uint8Array;
}

export interface InlineServiceOptions {
  readonly powers?: EnclavePowers;
  readonly nowMs?: number;
  /** Changes what the sandbox would start. */
  readonly change?: Partial<Omit<StartConfig, "platform">>;
  readonly platform?: VirtualPlatform;
  /** Leaves the service Opening. */
  readonly closed?: boolean;
}

/** @param app "native": the logging app built into the enclave; "js": the bundle of `getting_started/app` */
export async function startInlineService(
  workspace: string,
  app: "native" | "js",
  { powers, nowMs = Date.now(), change = {}, platform: wanted, closed = false }: InlineServiceOptions = {},
): Promise<InlineService> {
  const usedPowers = powers ?? await loadNativePowers();
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
  const sandbox = createSandbox(options, usedPowers.random, nowMs);
  const parsed = parseConfig(Deno.readTextFileSync(sandbox.firstNode.configFile), sandbox.firstNode.configFile);
  const files = await readConfigFiles(parsed, (path) => Deno.readTextFile(path));
  const interfaces = { primary_rpc_interface: { bind_address: "127.0.0.1:8000", published_address: "127.0.0.1:8000" } };
  const platform = wanted ?? virtualPlatform(parsed, "for tests").told;
  const config = {
    ...startConfig(parsed, files, interfaces, platform, "fail"),
    platform,
    signatures: { txCount: 5000, delayMs: 1000 }, // tests say when time passes
    ...change,
  };
  const node = InlineNode.start(usedPowers, config, nowMs, closed ? undefined : sandbox.opening);
  const userPem = Deno.readTextFileSync(join(sandbox.commonFolder, "user0_cert.pem"));
  return { node, sandbox, config, userCertificate: parsePemBlock(userPem, "CERTIFICATE") };
}

/** As a recovery would: from the shares in the ledger and the keys of some members. */
export function restoreSecrets(
  primitives: Primitives,
  { node, sandbox }: InlineService,
  members: readonly number[] = [0, 1, 2],
): LedgerSecrets {
  const shares: SharesWrite[] = [];
  const links: ChainLink[] = [];
  for (const entry of node.entries.map((bytes) => LedgerEntry.parse(bytes))) {
    for (const { name, writes } of entry.publicTables()) {
      const value = writes[0]?.[1];
      if (value === undefined) continue;
      if (name === RECOVERY_SHARES.name) shares.push({ seqno: entry.seqno, value: parseRecoveryShares(value) });
      if (name === HISTORICAL_ENCRYPTED_LEDGER_SECRET.name) {
        links.push({ seqno: entry.seqno, value: parseHistoricalSecret(value) });
      }
    }
  }
  const keys = members.map((i) => {
    return parsePemBlock(Deno.readTextFileSync(join(sandbox.commonFolder, `member${i}_enc_privk.pem`)), "PRIVATE KEY");
  });
  return restoreLedgerSecrets(primitives, shares, links, keys);
}
