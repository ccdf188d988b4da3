/**
 * The end of a schedule: everything is healed, and what was promised must have come true.
 *
 * In: a world at peace, and what clients were told. Out: a `Violation` where nodes do not agree in time, or where a ledger,
 * a state, a receipt or an answer is not what all the others say.
 */

import { createHash } from "node:crypto";
import { toHex } from "../../../shared/bytes.ts";
import type { StoreSnapshot } from "../../../shared/kv/store.ts";
import { LedgerVerifier } from "../../../shared/ledger/replay.ts";
import { GovernanceAudit } from "../../../enclave/audit/governance_audit.ts";
import { formatTxId } from "../../../shared/tx_id.ts";
import { Violation } from "../world.ts";
import { type Client, requireReceipt } from "./clients.ts";
import type { History } from "./history.ts";
import type { Host } from "./host.ts";
import type { TreeEntry } from "./ledger_tree.ts";
import { ELECTION_TIMEOUT_MS } from "./service.ts";
import type { EnclaveWorld } from "./world.ts";

/** What is healed commits a write within so many election timeouts, and agrees; a few are the rule. */
const AGREEMENT_TIMEOUTS = 60;
/** By when no request is on its way any more that a client sent before. */
const REQUESTS_END_MS = 1500;

/** @returns how long it took until all agreed, in milliseconds */
export function checkEnding(world: EnclaveWorld, history: History, client: Client): number {
  const healedMs = world.nowMs();
  const most = AGREEMENT_TIMEOUTS * ELECTION_TIMEOUT_MS;
  let isCommitted = false;
  client.writeUntilCommitted("last", () => isCommitted = true);
  if (world.run(most, () => isCommitted)) {
    throw new Violation("Liveness", `no write is committed, long after all was healed`);
  }
  const agree = () => {
    if (disagreement(world) !== undefined && world.run(most, () => disagreement(world) === undefined)) {
      throw new Violation("Liveness", `${disagreement(world)}, long after all was healed`);
    }
  };
  agree();
  const agreedMs = world.nowMs() - healedMs;
  world.run(REQUESTS_END_MS);
  agree();
  for (let key = 0; key < world.plan.keys; key++) client.readLast(`k${key}`);
  world.run(5);
  const members = membersThatLive(world);
  const ledger = world.committed;
  history.compareWith(ledger);
  for (const { txId, json } of history.receipts) requireReceipt(world, txId, json, members[0]!.servicePem);
  for (const host of members) checkState(host);
  for (const host of members) checkDisk(host, ledger);
  checkLedger(world, members[0]!, ledger);
  return agreedMs;
}

function membersThatLive(world: EnclaveWorld): Host[] {
  const trusted = world.committed.at(-1)!.trusted;
  return world.alive.filter(({ name }) => trusted.includes(name));
}

/** Why the living members do not agree yet. */
function disagreement(world: EnclaveWorld): string | undefined {
  const { primary, pictures } = world;
  if (primary === undefined) return "nobody leads";
  const { id, view, log, committed } = pictures.get(primary.name)!;
  if (committed < log.length || log.at(-1)!.view !== view) return `${id} leads view ${view} and has not committed all`;
  for (const { name, isDead } of world.hosts) {
    if (isDead || !log.at(-1)!.trusted.includes(name)) continue;
    const other = pictures.get(name);
    if (other?.view !== view || other.committed !== committed || other.log.length !== log.length) {
      return `${name} is at ${other?.view}.${other?.log.length}, committed ${other?.committed}; ` +
        `${id}, which leads, at ${view}.${log.length}`;
    }
  }
  return undefined;
}

/** All tables are the same at the same transaction, whether they were replayed or came with a snapshot. */
export function checkState({ name, enclave, watch }: Host): void {
  const entry = watch!.log.at(-1)!;
  const digest = digestOf(enclave.node!.store.snapshot());
  entry.stateDigest ??= digest;
  if (entry.stateDigest !== digest) {
    throw new Violation("StateMachineEquality", `${name} has other tables after ${entry.view}.${entry.seqno}`);
  }
}

function digestOf({ version, tables }: StoreSnapshot): string {
  const hash = createHash("sha256").update(`${version}`);
  for (const table of tables.toSorted((a, b) => a.name < b.name ? -1 : 1)) {
    hash.update(`${table.name} ${table.version}`);
    for (const { key, value, version: written } of table.entries) {
      hash.update(`${key.length} ${key} ${written}`).update(value);
    }
  }
  return hash.digest("hex");
}

/** Byte by byte. */
function checkDisk({ name, disk }: Host, ledger: readonly TreeEntry[]): void {
  for (const { seqno, bytes } of ledger) {
    const written = disk.read(seqno, seqno);
    // What was before its snapshot an operator may not have copied.
    if (written === null) continue;
    if (toHex(written) !== toHex(bytes)) {
      throw new Violation("LedgersAreEqual", `${name} has other bytes of entry ${seqno} on its disk`);
    }
  }
}

/** As anybody would replay it, deciding again what members decided. */
function checkLedger({ machinery }: EnclaveWorld, { enclave, servicePem }: Host, ledger: readonly TreeEntry[]): void {
  const { primitives, scripts } = machinery;
  const { secrets } = enclave.node!.path;
  const verifier = new LedgerVerifier({ primitives, mode: "strict", secrets, serviceCertificatePem: servicePem });
  const audit = new GovernanceAudit(primitives, scripts);
  const require = (findings: readonly unknown[]) => {
    if (findings.length > 0) throw new Violation("LedgersVerify", JSON.stringify(findings[0]));
  };
  for (const { bytes } of ledger) {
    require(verifier.add(bytes));
    audit.add(bytes, verifier.tree);
  }
  require(verifier.finish());
  const doubt = audit.findings.find(({ verdict }) => verdict === "does not follow") ?? audit.firstDoubt;
  if (doubt !== undefined) throw new Violation("DecisionsFollow", `${formatTxId(doubt.txId)}: ${doubt.reason}`);
}
