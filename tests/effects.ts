/**
 * Effects of proposals without proposals, and the ledger secrets that come back from what they leave.
 *
 * In: a service whose members' encryption keys are at hand; what is to be brought about. Out: its transaction; the
 * secrets that a recovery would find. For tests.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { toUtf8 } from "../shared/bytes.ts";
import { parsePemBlock } from "../shared/crypto/pem.ts";
import { noblePrimitives } from "../shared/crypto/primitives.ts";
import { HISTORICAL_ENCRYPTED_LEDGER_SECRET, MEMBERS_INFO, RECOVERY_SHARES } from "../shared/governance/tables.ts";
import type { Transaction } from "../shared/kv/transaction.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import { parseRecoveryShares, restoreLedgerSecrets, type SharesWrite } from "../shared/ledger/recovery_shares.ts";
import { type ChainLink, parseHistoricalSecret } from "../shared/ledger/secret_chain.ts";
import type { LedgerSecrets } from "../shared/ledger/secrets.ts";
import { onlyValueOf } from "../shared/ledger/single_value.ts";
import type { TxId } from "../shared/tx_id.ts";
import { Effects } from "../enclave/governance/effects.ts";
import { loadNativePowers } from "../enclave/native_powers.ts";
import type { Node } from "../enclave/node.ts";
import { InlineNode } from "./inline_node.ts";
import { type InlineService, startInlineService } from "./inline_service.ts";

export interface ServiceWithKeys extends InlineService {
  /** Private encryption keys of the members, PKCS#8. */
  readonly encryptionKeys: readonly Uint8Array[];
}

let common: Promise<{ start(closed: boolean): ServiceWithKeys }> | undefined;

/** Keys take longer to make than all the rest, so every service of a test file has the same. */
async function makeCommon(): Promise<{ start(closed: boolean): ServiceWithKeys }> {
  const workspace = await Deno.makeTempDir({ prefix: "quorate_effects_" });
  try {
    const native = await loadNativePowers();
    const keyPair = native.rsaKeyPair();
    const powers = { ...native, rsaKeyPair: () => keyPair };
    const service = await startInlineService(workspace, "native", { powers, closed: true });
    const encryptionKeys = [0, 1, 2].map((i) => {
      const pem = Deno.readTextFileSync(join(service.sandbox.commonFolder, `member${i}_enc_privk.pem`));
      return parsePemBlock(pem, "PRIVATE KEY");
    });
    const start = (closed: boolean): ServiceWithKeys => {
      const opening = closed ? undefined : service.sandbox.opening;
      const node = InlineNode.start(powers, service.config, service.node.nowMs, opening);
      return { ...service, node, encryptionKeys };
    };
    return { start };
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
}

/** Registers a test over a service of three members, two of whom can recover it, open unless it is to be closed. */
export function effectsTest(
  name: string,
  test: (service: ServiceWithKeys) => void | Promise<void>,
  { closed = false }: { readonly closed?: boolean } = {},
): void {
  Deno.test(name, async () => test(await startServiceWithKeys(closed)));
}

export async function startServiceWithKeys(closed = false): Promise<ServiceWithKeys> {
  const { start } = await (common ??= makeCommon());
  return start(closed);
}

export function nodeOf({ node }: InlineService): Node {
  assert(node.enclave.node !== undefined, "the service has started");
  return node.enclave.node;
}

/** What an accepted proposal does once its ballots are counted. */
export function bringAbout(service: InlineService, change: (effects: Effects, tx: Transaction) => void): TxId {
  const node = nodeOf(service);
  const tx = node.store.begin();
  const effects = new Effects(node, tx);
  change(effects, tx);
  const id = node.commitTransaction(tx);
  effects.onCommitted(id);
  service.node.send();
  return id;
}

/** Why something is refused; nothing of it may remain. */
export function refusal(service: InlineService, change: (effects: Effects, tx: Transaction) => void): string {
  const node = nodeOf(service);
  const tx = node.store.begin();
  let message: string | undefined;
  assert.throws(() => change(new Effects(node, tx), tx), (error: Error) => {
    assert.equal(error.name, "FormatError");
    message = error.message;
    return true;
  });
  return message!;
}

export function read<T>(service: InlineService, look: (tx: Transaction) => T): T {
  return look(nodeOf(service).store.beginReadOnly());
}

/** A private record, which only a ledger secret opens. @returns its seqno */
export function writeRecord({ node }: InlineService, id: number): number {
  node.write((tx) => tx.openRaw("records").put(`record ${id}`, toUtf8(`message ${id}`)));
  return node.entries.length;
}

export function activate(tx: Transaction): void {
  for (const [id, info] of [...tx.open(MEMBERS_INFO).entries()]) {
    tx.open(MEMBERS_INFO).put(id, { ...info, status: "Active" });
  }
}

/** What a recovery would find with the keys of these members. */
export function restored(
  { node, encryptionKeys }: ServiceWithKeys,
  members: readonly number[] = [0, 1],
): LedgerSecrets {
  const shares: SharesWrite[] = [];
  const links: ChainLink[] = [];
  for (const entry of node.entries.map((bytes) => LedgerEntry.parse(bytes))) {
    const { seqno } = entry;
    for (const table of entry.publicTables()) {
      if (table.name === RECOVERY_SHARES.name) shares.push({ seqno, value: parseRecoveryShares(onlyValueOf(table)) });
      if (table.name === HISTORICAL_ENCRYPTED_LEDGER_SECRET.name) {
        links.push({ seqno, value: parseHistoricalSecret(onlyValueOf(table)) });
      }
    }
  }
  return restoreLedgerSecrets(noblePrimitives, shares, links, members.map((i) => encryptionKeys[i]!));
}

/** Opens every entry with these secrets. @throws AssertionError at the first that does not open */
export function openEveryEntry({ node }: InlineService, secrets: LedgerSecrets): void {
  for (const bytes of node.entries) {
    const entry = LedgerEntry.parse(bytes);
    const secret = secrets.at(entry.seqno);
    assert(secret !== undefined, `there is a secret for entry ${entry.seqno}`);
    assert(
      entry.privateTables(noblePrimitives, secret.key) !== undefined,
      `entry ${entry.seqno} opens with the secret of its seqno`,
    );
    assert.deepEqual(entry.commitEvidenceDigest, secret.commitEvidenceDigest(entry.txId));
  }
}
