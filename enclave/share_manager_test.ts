import { strict as assert } from "node:assert";
import { fromBase64, fromUtf8 } from "../shared/bytes.ts";
import { noblePrimitives } from "../shared/crypto/primitives.ts";
import { parseShare } from "../shared/crypto/shamir.ts";
import {
  ENCRYPTED_LEDGER_SECRETS,
  HISTORICAL_ENCRYPTED_LEDGER_SECRET,
  type MemberInfo,
  MEMBERS_ENCRYPTION_PUBLIC_KEYS,
  MEMBERS_INFO,
  RECOVERY_SHARES,
  SERVICE_CONFIG,
} from "../shared/governance/tables.ts";
import type { Transaction } from "../shared/kv/transaction.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import { onlyValueOf } from "../shared/ledger/single_value.ts";
import {
  govern,
  type Governed,
  governedTest,
  open,
  reader,
  record,
  refused,
  restoreSecretsOf,
  sharedSecret,
  sign,
  startGoverned,
  verifyLedger,
} from "../tests/governed_service.ts";
import { ask } from "../tests/members.ts";
import { ledgerDirectory, readEntries } from "../tests/services.ts";
import { teamTest } from "../tests/team_data.ts";

const primitives = noblePrimitives;

/** IDs of the members, by the number of their key. */
function memberIds({ sandbox }: Governed): string[] {
  return sandbox.opening.members.map(({ id }) => id);
}

function sharesOf(service: Governed): Readonly<Record<string, string>> {
  return reader(service).open(RECOVERY_SHARES).get()!.encrypted_shares;
}

/** Which share a member has: 0 is the full secret. */
function numberOf(service: Governed, member: number): number | undefined {
  const encrypted = sharesOf(service)[memberIds(service)[member]!];
  if (encrypted === undefined) return undefined;
  return parseShare(primitives.rsaOaepDecrypt(service.memberKeys[member]!, fromBase64(encrypted))!).x;
}

function inForce({ state }: Governed): Uint8Array {
  return state.path.secrets.latest()!.secret.key;
}

function setThreshold(tx: Transaction, recovery_threshold: number): void {
  tx.open(SERVICE_CONFIG).put({ ...tx.open(SERVICE_CONFIG).get()!, recovery_threshold });
}

governedTest("a rekey's own transaction is sealed with the secret that it replaces", (service) => {
  const { node, state } = service;
  open(service);
  const before = state.path.secrets.latest()!.secret;
  const seqno = govern(service, (effects, tx) => {
    tx.openRaw("records").put("a", new Uint8Array(3));
    effects.rekeyLedger();
  });
  const entry = LedgerEntry.parse(node.entries[seqno - 1]!);
  assert.equal(entry.privateTables(primitives, before.key)?.length, 1);
  const next = LedgerEntry.parse(node.entries[record(service, "b") - 1]!);
  assert.equal(next.seqno, seqno + 1);
  assert.equal(next.privateTables(primitives, before.key), undefined);
});

governedTest("a member who becomes active gets a share at once", (service) => {
  open(service);
  govern(service, (effects, tx) => {
    tx.open(MEMBERS_INFO).put(memberIds(service)[0]!, { status: "Accepted" });
    effects.refreshRecoveryShares();
  });
  assert.equal(numberOf(service, 0), undefined);
  const { stateDigest } = ask(service, 0, { kind: "state_digest" }).json;
  assert.equal(ask(service, 0, { kind: "ack", stateDigest }).status, 204);
  assert.deepEqual(sharedSecret(service, 0, 1), inForce(service));
  const shares = sharesOf(service);
  assert.equal(ask(service, 0, { kind: "ack", stateDigest }).status, 204);
  assert.deepEqual(sharesOf(service), shares, "acknowledging again issues nothing");
});

governedTest(
  "participants have numbers from 1 in the order of their IDs, and an owner has the full secret",
  (service) => {
    const ids = memberIds(service);
    open(service);
    govern(service, (effects, tx) => {
      tx.open(MEMBERS_INFO).put(ids[1]!, { status: "Active", recovery_role: "Owner" });
      effects.refreshRecoveryShares();
    });
    const others = [0, 2].sort((a, b) => ids[a]! < ids[b]! ? -1 : 1);
    assert.deepEqual([1, ...others].map((i) => numberOf(service, i)), [0, 1, 2]);
    for (const members of [[1], [0, 2], [0, 1]]) {
      assert.deepEqual(sharedSecret(service, ...members), inForce(service));
    }
    assert.equal(sharedSecret(service, 0), undefined);
  },
);

governedTest("with owners alone a share is made and given to nobody", (service) => {
  open(service);
  govern(service, (effects, tx) => {
    for (const id of memberIds(service)) tx.open(MEMBERS_INFO).put(id, { status: "Active", recovery_role: "Owner" });
    setThreshold(tx, 1);
    effects.refreshRecoveryShares();
  });
  assert.deepEqual([0, 1, 2].map((i) => numberOf(service, i)), [0, 0, 0]);
  for (const i of [0, 1, 2]) assert.deepEqual(sharedSecret(service, i), inForce(service));
});

governedTest("shares go to active members with an encryption key alone", (service) => {
  const [waiting, keyless, ...rest] = memberIds(service);
  open(service);
  govern(service, (effects, tx) => {
    tx.open(MEMBERS_INFO).put(waiting!, { status: "Accepted" });
    tx.open(MEMBERS_ENCRYPTION_PUBLIC_KEYS).remove(keyless!);
    setThreshold(tx, 1);
    effects.refreshRecoveryShares();
  });
  assert.deepEqual(Object.keys(sharesOf(service)), rest);
  govern(service, (effects, tx) => {
    tx.open(MEMBERS_INFO).put(waiting!, { status: "Active", recovery_role: "NonParticipant" });
    effects.refreshRecoveryShares();
  });
  assert.deepEqual(Object.keys(sharesOf(service)), rest);
});

governedTest("shares that could never be combined are not issued", (service) => {
  open(service);
  const everybody = (info: MemberInfo) => (tx: Transaction) => {
    for (const id of memberIds(service)) tx.open(MEMBERS_INFO).put(id, info);
  };
  const cases: [(tx: Transaction) => void, string][] = [
    [(tx) => setThreshold(tx, 0), "the recovery threshold is 0, and must be set before shares are issued"],
    [
      (tx) => setThreshold(tx, 4),
      "the recovery threshold is 4, and only 3 active members would receive recovery shares",
    ],
    [everybody({ status: "Accepted" }), "no active member has an encryption key to receive a recovery share"],
    [
      everybody({ status: "Active", recovery_role: "Owner" }),
      "the recovery threshold is 2, and must be 1 where only owners hold shares",
    ],
    [
      (tx) => tx.open(MEMBERS_ENCRYPTION_PUBLIC_KEYS).put(memberIds(service)[0]!, "no key"),
      "Cannot read PEM: there is no block, expected PUBLIC KEY",
    ],
  ];
  for (const [prepare, reason] of cases) {
    refused(service, `Unable to trigger recovery shares refresh: ${reason}`, (effects, tx) => {
      prepare(tx);
      effects.refreshRecoveryShares();
    });
    refused(service, `Failed to rekey ledger: ${reason}`, (effects, tx) => {
      prepare(tx);
      effects.rekeyLedger();
    });
  }
});

governedTest("a service may open and rekey in one transaction", (service) => {
  const seqno = govern(service, (effects) => {
    effects.openService(undefined, service.node.servicePem);
    effects.rekeyLedger();
  });
  record(service, "a");
  sign(service);
  sign(service); // covers the evidence of the snapshot that opening took
  const secrets = restoreSecretsOf(service, [0, 1]);
  assert.deepEqual([...secrets].map(({ first }) => first), [1, seqno + 1]);
  verifyLedger(service, secrets);
});

/** The values that shares and rekeys write, with all that is random replaced by its length. */
function shapes(entries: readonly Uint8Array[], events: readonly number[]): unknown[] {
  const tables = [RECOVERY_SHARES, HISTORICAL_ENCRYPTED_LEDGER_SECRET, ENCRYPTED_LEDGER_SECRETS].map(({ name }) =>
    name
  );
  const shape = (value: unknown): unknown => {
    if (typeof value === "string") return `${fromBase64(value).length} bytes`;
    if (typeof value === "number") return moment(value);
    if (Array.isArray(value)) return value.map((item) => shape(item));
    if (typeof value !== "object" || value === null) return value;
    return Object.entries(value).map(([key, item]) => [/^[0-9a-f]{64}$/.test(key) ? "id" : key, shape(item)]);
  };
  const moment = (seqno: number): string => {
    const event = events.indexOf(seqno);
    if (event >= 0) return `event ${event}`;
    const after = events.indexOf(seqno - 1);
    return after >= 0 ? `after event ${after}` : `${seqno}`;
  };
  return events.map((seqno) =>
    LedgerEntry.parse(entries[seqno - 1]!).publicTables()
      .filter(({ name }) => tables.includes(name))
      .map((table) => [table.name, shape(JSON.parse(fromUtf8(onlyValueOf(table))))])
  );
}

/** What a service writes where it opens, then rekeys a number of times, then issues new shares. */
function written(service: Governed, rekeys: number): unknown[] {
  const events = [open(service)];
  for (let i = 0; i < rekeys; i++) {
    events.push(govern(service, (effects) => effects.rekeyLedger()));
    record(service, `${i}`);
  }
  events.push(govern(service, (effects) => effects.refreshRecoveryShares()));
  return shapes(service.node.entries, events);
}

teamTest("opening, rekeys and reissues write what real services wrote, but for what is random", async () => {
  const rekeyed = readEntries(ledgerDirectory("recorded_rekey"));
  assert.deepEqual(written(await startGoverned(), 3), shapes(rekeyed, [15, 34, 41, 46, 52]));
  // Where the secret is the service's first. It opened with a member less, so only the reissue is compared.
  const governed = readEntries(ledgerDirectory("recorded_governance"));
  assert.deepEqual(written(await startGoverned(), 0)[1], shapes(governed, [12, 132])[1]);
});
