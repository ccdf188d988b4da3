/**
 * Effects of proposals without proposals, for tests: a service of three active members that is not open yet.
 *
 * In: what is to be brought about. Out: the transaction, what the host was asked to do, secrets that members restore.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { FormatError } from "../shared/assert.ts";
import { toUtf8 } from "../shared/bytes.ts";
import { parsePemBlock } from "../shared/crypto/pem.ts";
import { noblePrimitives } from "../shared/crypto/primitives.ts";
import {
  HISTORICAL_ENCRYPTED_LEDGER_SECRET,
  type MemberInfo,
  MEMBERS_INFO,
  RECOVERY_SHARES,
  SERVICE_INFO,
  type ServiceInfo,
} from "../shared/governance/tables.ts";
import type { Transaction } from "../shared/kv/transaction.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import {
  openRecoveryShares,
  parseRecoveryShares,
  restoreLedgerSecrets,
  type SharesWrite,
} from "../shared/ledger/recovery_shares.ts";
import { LedgerVerifier } from "../shared/ledger/replay.ts";
import { type ChainLink, parseHistoricalSecret } from "../shared/ledger/secret_chain.ts";
import type { LedgerSecrets } from "../shared/ledger/secrets.ts";
import { onlyValueOf } from "../shared/ledger/single_value.ts";
import type { Seqno } from "../shared/tx_id.ts";
import { Effects } from "../enclave/governance/effects.ts";
import type { EnclaveOutput } from "../enclave/messages.ts";
import { loadNativePowers } from "../enclave/native_powers.ts";
import type { Node } from "../enclave/node.ts";
import type { EnclavePowers } from "../enclave/powers.ts";
import { InlineNode } from "./inline_node.ts";
import { type InlineService, startInlineService } from "./inline_service.ts";

/** A service with what its host was asked to do, and its members' encryption keys. */
export interface Governed extends InlineService {
  readonly state: Node;
  readonly outputs: EnclaveOutput[];
  /** PKCS#8 DER, of members 0, 1 and 2. */
  readonly memberKeys: readonly Uint8Array[];
}

/** What the services of one test file have in common: keys take longer to make than all the rest. */
interface Common {
  readonly powers: EnclavePowers;
  readonly service: InlineService;
  readonly memberKeys: readonly Uint8Array[];
}

let common: Promise<Common> | undefined;

async function makeCommon(): Promise<Common> {
  const workspace = await Deno.makeTempDir({ prefix: "quorate_governed_" });
  try {
    const native = await loadNativePowers();
    const keyPair = native.rsaKeyPair();
    const powers = { ...native, rsaKeyPair: () => keyPair };
    const service = await startInlineService(workspace, "native", { powers, closed: true });
    const memberKeys = [0, 1, 2].map((i) => {
      const pem = Deno.readTextFileSync(join(service.sandbox.commonFolder, `member${i}_enc_privk.pem`));
      return parsePemBlock(pem, "PRIVATE KEY");
    });
    return { powers, service, memberKeys };
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
}

/** Registers a test over a service of its own, which is Opening, its members active; two of the three can recover it. */
export function governedTest(name: string, test: (service: Governed) => void): void {
  Deno.test(name, async () => test(await startGoverned()));
}

/** The service of such a test. */
export async function startGoverned(): Promise<Governed> {
  const { powers, service, memberKeys } = await (common ??= makeCommon());
  const node = InlineNode.start(powers, service.config, service.node.nowMs);
  const own = { ...service, node, state: node.enclave.node!, memberKeys };
  const governed = { ...own, outputs: recordOutputs(own) };
  govern(governed, (_, tx) => eachMember(tx, (info) => ({ ...info, status: "Active" })));
  return governed;
}

function recordOutputs({ node: { enclave } }: InlineService): EnclaveOutput[] {
  const seen: EnclaveOutput[] = [];
  const handle = enclave.handle.bind(enclave);
  enclave.handle = (inputs, nowMs) => {
    const outputs = handle(inputs, nowMs);
    seen.push(...outputs);
    return outputs;
  };
  return seen;
}

/** What an accepted proposal does, without proposal: one transaction with its effects. */
export function govern({ node, state }: Governed, act: (effects: Effects, tx: Transaction) => void): Seqno {
  const tx = state.store.begin();
  const effects = new Effects(state, tx);
  act(effects, tx);
  const id = state.commitTransaction(tx);
  effects.onCommitted(state, id);
  node.send();
  return id.seqno;
}

export function open(service: Governed): Seqno {
  return govern(service, (effects) => effects.openService(undefined, service.node.servicePem));
}

export function sign({ node, state }: Governed): Seqno {
  state.sign();
  node.send();
  return state.lastSignedSeqno;
}

/** A record in a private table. */
export function record(service: Governed, key: string): Seqno {
  return govern(service, (_, tx) => tx.openRaw("records").put(key, Uint8Array.of(1)));
}

export function eachMember(tx: Transaction, change: (info: MemberInfo, at: number) => MemberInfo): void {
  [...tx.open(MEMBERS_INFO).entries()].forEach(([id, info], i) => tx.open(MEMBERS_INFO).put(id, change(info, i)));
}

export function changeService(tx: Transaction, change: Partial<ServiceInfo>): void {
  tx.open(SERVICE_INFO).put({ ...tx.open(SERVICE_INFO).get()!, ...change });
}

export function reader({ state }: Governed): Transaction {
  return state.store.beginReadOnly();
}

/** The ledger secret that the shares in force give to these members. */
export function sharedSecret({ state, memberKeys }: Governed, ...members: number[]): Uint8Array | undefined {
  const value = state.store.beginReadOnly().open(RECOVERY_SHARES).get()!;
  const shares = parseRecoveryShares(toUtf8(JSON.stringify(value)));
  return openRecoveryShares(state.primitives, shares, members.map((i) => memberKeys[i]!));
}

/** Tries effects in a transaction that is thrown away. */
export function refused(
  service: Governed,
  message: string | RegExp,
  act: (effects: Effects, tx: Transaction) => void,
): void {
  const tx = service.state.store.begin();
  assert.throws(() => act(new Effects(service.state, tx), tx), (error: Error) => {
    assert(error instanceof FormatError, `${error.name}: ${error.message}`);
    if (typeof message === "string") assert.equal(error.message, message);
    else assert.match(error.message, message);
    return true;
  });
}

/** All of the ledger, by rules and secrets that members restore from it. */
export function verifyLedger({ node, state }: Governed, secrets = state.path.secrets): void {
  const { primitives } = state;
  const verifier = new LedgerVerifier({
    primitives,
    mode: "strict",
    secrets,
    serviceCertificatePem: node.servicePem,
  });
  const findings = node.entries.flatMap((entry) => [...verifier.add(entry)]);
  assert.deepEqual([...findings, ...verifier.finish()], []);
}

/** What a recovery would find with the keys of these members. */
export function restoreSecretsOf({ node, memberKeys }: Governed, members: readonly number[]): LedgerSecrets {
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
  return restoreLedgerSecrets(noblePrimitives, shares, links, members.map((i) => memberKeys[i]!));
}
