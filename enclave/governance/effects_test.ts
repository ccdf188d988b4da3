import { strict as assert } from "node:assert";
import { fromBase64, fromUtf8Lenient, toBase64, toUtf8 } from "../../shared/bytes.ts";
import {
  ENCRYPTED_LEDGER_SECRETS,
  HISTORICAL_ENCRYPTED_LEDGER_SECRET,
  LAST_RECOVERY_TYPE,
  MEMBERS_INFO,
  MODULES,
  MODULES_QUICKJS_BYTECODE,
  MODULES_QUICKJS_VERSION,
  NODES_INFO,
  PREVIOUS_SERVICE_IDENTITY_ENDORSEMENT,
  RECOVERY_SHARES,
  SERVICE_CONFIG,
  SERVICE_INFO,
  SERVICE_PREVIOUS_IDENTITY,
} from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { FORCE_CHUNK_AFTER, LedgerEntry } from "../../shared/ledger/entry.ts";
import { openRecoveryShares, parseRecoveryShares } from "../../shared/ledger/recovery_shares.ts";
import { Snapshot, splitSnapshotFile } from "../../shared/ledger/snapshot.ts";
import { parseReceipt } from "../../shared/receipt/receipt.ts";
import { verifyReceipt } from "../../shared/receipt/verify_receipt.ts";
import type { Seqno } from "../../shared/tx_id.ts";
import { bodyText } from "../../tests/inline_app.ts";
import { Effects } from "./effects.ts";
import {
  changeService,
  eachMember,
  govern,
  governedTest,
  open,
  reader,
  record,
  refused,
  restoreSecretsOf,
  sharedSecret,
  sign,
  verifyLedger,
} from "../../tests/governed_service.ts";

governedTest("opening issues shares, endorses the service's key, ends the file and takes a snapshot", (service) => {
  const { node, state, outputs } = service;
  assert.equal(state.appIsOpen, false);
  const opened = open(service);
  assert.equal(state.appIsOpen, true);
  const tx = reader(service);
  assert.equal(tx.open(SERVICE_INFO).get()?.status, "Open");
  assert.deepEqual(tx.open(HISTORICAL_ENCRYPTED_LEDGER_SECRET).get(), { next_version: 1 });
  assert.equal(tx.open(RECOVERY_SHARES).get()?.previous_secret_stored_version, undefined);
  assert.equal(Object.keys(tx.open(RECOVERY_SHARES).get()!.encrypted_shares).length, 3);
  assert(tx.open(PREVIOUS_SERVICE_IDENTITY_ENDORSEMENT).has());
  assert.deepEqual(sharedSecret(service, 0, 2), state.path.secrets.at(1)!.key);
  const signed = opened + 1; // at once: whoever opened it waits for it
  sign(service);
  assert(LedgerEntry.parse(node.entries[signed - 1]!).flags & FORCE_CHUNK_AFTER);
  assert.deepEqual([...node.snapshots.keys()], [`snapshot_${signed}_${signed + 1}.committed`]);
  assert(outputs.some((output) => output.kind === "serviceOpened" && output.txId.seqno === opened));
  verifyLedger(service);
});

governedTest("opening what is open, or waits for shares, changes nothing and succeeds", (service) => {
  open(service);
  const again = service.state.store.begin();
  new Effects(service.state, again).openService(undefined, "whatever");
  assert.equal(again.hasWrites, false);
  const waiting = service.state.store.begin();
  changeService(waiting, { status: "WaitingForRecoveryShares" });
  new Effects(service.state, waiting).openService(undefined, "whatever");
  assert.deepEqual(waiting.writeSet().publicTables.map(({ name }) => name), [SERVICE_INFO.name]);
});

governedTest("opening is refused for another service, and where no shares can be issued", (service) => {
  const { node, state } = service;
  const next = node.servicePem;
  refused(service, /^Unable to open service: Service identity mismatch: /, (effects) => {
    effects.openService(undefined, state.endorsedPem);
  });
  refused(
    service,
    "Unable to open service: Failed to issue recovery shares: no active member has an encryption key to receive a recovery share",
    (effects, tx) => {
      eachMember(tx, (info) => ({ ...info, status: "Accepted" }));
      effects.openService(undefined, next);
    },
  );
  refused(
    service,
    /^Unable to open service: Failed to issue recovery shares: the recovery threshold is 2, and only 1 active/,
    (effects, tx) => {
      tx.open(SERVICE_CONFIG).put({ ...tx.open(SERVICE_CONFIG).get()!, recovery_threshold: 2 });
      eachMember(tx, (info, i) => ({ ...info, status: i === 0 ? "Active" : "Accepted" }));
      effects.openService(undefined, next);
    },
  );
  refused(service, /the recovery threshold is 0, and must be set before shares are issued$/, (effects, tx) => {
    tx.open(SERVICE_CONFIG).put({ ...tx.open(SERVICE_CONFIG).get()!, recovery_threshold: 0 });
    effects.openService(undefined, next);
  });
  refused(service, /the recovery threshold is 2, and must be 1 where only owners hold shares$/, (effects, tx) => {
    tx.open(SERVICE_CONFIG).put({ ...tx.open(SERVICE_CONFIG).get()!, recovery_threshold: 2 });
    eachMember(tx, (info) => ({ ...info, recovery_role: "Owner" }));
    effects.openService(undefined, next);
  });
  assert.equal(reader(service).open(SERVICE_INFO).get()?.status, "Opening");
});

governedTest("a recovered service opens only where the proposal names the service before it", (service) => {
  const { node, state } = service;
  const attempt =
    (previous: string | undefined, recorded: string | undefined) => (effects: Effects, tx: Transaction) => {
      changeService(tx, { status: "Recovering" });
      if (recorded !== undefined) tx.open(SERVICE_PREVIOUS_IDENTITY).put(recorded);
      effects.openService(previous, node.servicePem);
    };
  refused(service, /only where the proposal and the ledger name the service before it$/, attempt(undefined, "a"));
  refused(service, /only where the proposal and the ledger name the service before it$/, attempt("a", undefined));
  refused(service, /Previous service identity does not match\.\nActual:\na\nIn proposal:\nb$/, attempt("b", "a"));
  // Before the private ledger is read, opening means to wait for shares.
  Object.defineProperty(state, "state", { value: "PartOfPublicNetwork" });
  govern(service, attempt("a", "a"));
  assert.equal(reader(service).open(SERVICE_INFO).get()?.status, "WaitingForRecoveryShares");
  assert.equal(reader(service).open(LAST_RECOVERY_TYPE).get(), "RECOVERY_SHARES");
  assert.equal(reader(service).open(RECOVERY_SHARES).has(), false);
  assert.equal(state.appIsOpen, false);
});

governedTest("a transaction that is thrown away leaves no trace", (service) => {
  const { node, state, outputs } = service;
  open(service);
  sign(service);
  sign(service);
  const [entries, secret] = [node.entries.length, state.path.secrets.latest()];
  const effects = new Effects(state, state.store.begin());
  effects.rekeyLedger();
  effects.refreshRecoveryShares();
  effects.endLedgerChunk();
  effects.takeSnapshot();
  effects.serviceCertificate("2026-11-24 10:00:00", 30);
  outputs.length = 0;
  sign(service);
  assert.equal(node.entries.length, entries + 1);
  assert.equal(LedgerEntry.parse(node.entries.at(-1)!).flags, 0);
  assert.deepEqual(state.path.secrets.latest(), secret);
  assert.deepEqual(outputs.map(({ kind }) => kind), ["ledgerAppend", "ledgerCommit"]);
});

governedTest("a rekey covers what follows; receipts, snapshots and shares work across it", (service) => {
  const { node, state } = service;
  refused(service, "Could not rekey ledger", (effects) => effects.rekeyLedger());
  const opened = open(service);
  const before = record(service, "before");
  const first = govern(service, (effects, tx) => {
    effects.rekeyLedger();
    tx.openRaw("records").put("in the rekey", Uint8Array.of(1));
  });
  const between = record(service, "between");
  const second = govern(service, (effects) => effects.rekeyLedger());
  const third = govern(service, (effects) => effects.rekeyLedger());
  const after = record(service, "after");
  sign(service);
  sign(service);

  const starts = [1, first + 1, second + 1, third + 1];
  assert.deepEqual([...state.path.secrets].map(({ first }) => first), starts);
  for (const members of [[0, 1], [2, 1]]) {
    const restored = restoreSecretsOf(service, members);
    assert.deepEqual(
      [...restored].map(({ first, secret }) => [first, toBase64(secret.key)]),
      [
        ...state.path.secrets,
      ].map(({ first, secret }) => [first, toBase64(secret.key)]),
    );
    verifyLedger(service, restored);
  }
  const link = reader(service).open(HISTORICAL_ENCRYPTED_LEDGER_SECRET).get();
  assert.equal(link?.next_version, undefined);
  assert.equal(link?.previous_ledger_secret?.version, second + 1);
  assert.equal(link?.previous_ledger_secret?.previous_secret_stored_version, second);
  const stored = [...state.path.secrets].map(({ secret }) => secret.previousSecretStoredVersion);
  assert.deepEqual(stored, [undefined, first, second, third]);
  assert(opened < first);

  const broadcast = reader(service).open(ENCRYPTED_LEDGER_SECRETS).get()!;
  assert.deepEqual(Object.keys(broadcast), [state.id]);
  const [sent] = broadcast[state.id]!;
  assert.equal(sent!.version, null);
  assert.deepEqual(
    state.primitives.rsaOaepDecrypt(state.identity.encryption.privateKeyPkcs8, fromBase64(sent!.encrypted_secret)),
    state.path.secrets.latest()!.secret.key,
  );

  for (const seqno of [before, first, between, second, third, after]) {
    const target = `/node/receipt?transaction_id=2.${seqno}`;
    node.request({ method: "GET", target });
    node.deliverReads();
    const response = node.request({ method: "GET", target });
    assert.equal(response.status, 200, `${seqno}: ${bodyText(response)}`);
    const proof = parseReceipt(fromUtf8Lenient(response.body));
    assert.equal(verifyReceipt(state.primitives, proof, node.servicePem, {}).verdict, "verified");
  }
  assert(node.snapshots.size > 0);
  govern(service, (effects, tx) => {
    effects.takeSnapshot();
    tx.openRaw("records").put("last", Uint8Array.of(1));
  });
  sign(service);
  sign(service);
  const newest = Snapshot.parse(splitSnapshotFile([...node.snapshots.values()].at(-1)!).snapshot);
  assert(newest.seqno > third);
  const tables = newest.privateTables(state.primitives, state.path.secrets.at(newest.seqno)!.key);
  assert.equal(tables?.length, 1);
});

governedTest("a rekey reaches nodes that still take part, and only those", (service) => {
  const { state } = service;
  open(service);
  const [id, info] = [...reader(service).open(NODES_INFO).entries()][0]!;
  const other = (letter: string) => letter.repeat(64);
  govern(service, (_, tx) => {
    tx.open(NODES_INFO).put(other("a"), { ...info, status: "Retired" });
    tx.open(NODES_INFO).put(other("b"), { ...info, status: "Retired", retired_committed: true });
    tx.open(NODES_INFO).put(other("c"), { ...info, status: "Pending" });
  });
  sign(service);
  govern(service, (effects, tx) => {
    // Not committed yet, so this one is still counted.
    tx.open(NODES_INFO).put(other("a"), { ...info, status: "Retired", retired_committed: true });
    effects.rekeyLedger();
  });
  assert.deepEqual(
    Object.keys(state.store.beginReadOnly().open(ENCRYPTED_LEDGER_SECRETS).get()!).sort(),
    [id, other("a")].sort(),
  );
});

governedTest("reissued shares open the same secret under another wrapping key", (service) => {
  const { state } = service;
  open(service);
  const shares = () => reader(service).open(RECOVERY_SHARES).get()!;
  const first = shares();
  const link = reader(service).open(HISTORICAL_ENCRYPTED_LEDGER_SECRET).get();
  govern(service, (effects) => effects.refreshRecoveryShares());
  assert.notEqual(shares().wrapped_latest_ledger_secret, first.wrapped_latest_ledger_secret);
  // recorded_governance 2.128, 2.132: the first secret has no predecessor.
  assert.equal(shares().previous_secret_stored_version, undefined);
  assert.deepEqual(reader(service).open(HISTORICAL_ENCRYPTED_LEDGER_SECRET).get(), link, "the chain is not touched");
  for (const members of [[0, 1], [0, 2], [1, 2], [0, 1, 2]]) {
    assert.deepEqual(sharedSecret(service, ...members), state.path.secrets.at(1)!.key);
  }
  const old = { ...shares(), encrypted_shares: first.encrypted_shares };
  const mixed = parseRecoveryShares(toUtf8(JSON.stringify(old)));
  assert.equal(openRecoveryShares(state.primitives, mixed, service.memberKeys), undefined);
  const rekeyed = govern(service, (effects) => effects.rekeyLedger());
  assert.equal(shares().previous_secret_stored_version, undefined);
  govern(service, (effects) => effects.refreshRecoveryShares());
  assert.equal(shares().previous_secret_stored_version, rekeyed);
  assert.deepEqual(sharedSecret(service, 0, 1), state.path.secrets.latest()!.secret.key);
  sign(service);
  sign(service);
  verifyLedger(service, restoreSecretsOf(service, [1, 2]));
});

governedTest("shares reissued in the transaction that rekeys are of the new secret, in either order", (service) => {
  open(service);
  const orders: ((effects: Effects) => void)[] = [
    (effects) => (effects.rekeyLedger(), effects.refreshRecoveryShares()),
    (effects) => (effects.refreshRecoveryShares(), effects.rekeyLedger()),
    (effects) => (effects.rekeyLedger(), effects.rekeyLedger()),
  ];
  for (const act of orders) {
    const seqno = govern(service, act);
    record(service, "after");
    const { first, secret } = service.state.path.secrets.latest()!;
    assert.equal(first, seqno + 1);
    assert.deepEqual(sharedSecret(service, 0, 1), secret.key);
    sign(service);
    sign(service); // covers the evidence of the snapshot that opening took
    verifyLedger(service, restoreSecretsOf(service, [0, 1]));
  }
});

governedTest("an owner alone opens the shares; whoever takes no part gets none", (service) => {
  open(service);
  govern(service, (effects, tx) => {
    eachMember(
      tx,
      (info, i) => ({ ...info, recovery_role: i === 0 ? "Owner" : i === 1 ? "NonParticipant" : "Participant" }),
    );
    tx.open(SERVICE_CONFIG).put({ ...tx.open(SERVICE_CONFIG).get()!, recovery_threshold: 1 });
    effects.refreshRecoveryShares();
  });
  const { encrypted_shares } = reader(service).open(RECOVERY_SHARES).get()!;
  const ids = [...reader(service).open(MEMBERS_INFO).entries()].map(([id]) => id);
  assert.deepEqual(Object.keys(encrypted_shares).sort(), [ids[0], ids[2]].sort());
  const opening = [0, 1, 2].filter((i) => sharedSecret(service, i) !== undefined);
  assert.equal(opening.length, 2);
});

governedTest("a forced end of a file and a forced snapshot come with the next signature", (service) => {
  const { node } = service;
  const flags = (seqno: Seqno) => LedgerEntry.parse(node.entries[seqno - 1]!).flags;
  sign(service);
  govern(service, (effects, tx) => {
    effects.endLedgerChunk();
    tx.openRaw("records").put("a", Uint8Array.of(1));
  });
  assert.equal(flags(sign(service)), FORCE_CHUNK_AFTER);
  assert.equal(node.snapshots.size, 0);
  assert.equal(flags(sign(service)), 0);
  govern(service, (effects, tx) => {
    effects.takeSnapshot();
    tx.openRaw("records").put("a", Uint8Array.of(2));
  });
  assert.equal(flags(sign(service)), FORCE_CHUNK_AFTER);
  sign(service);
  assert.equal(node.snapshots.size, 1);
});

governedTest("the secret that a new node needs is the one in force", (service) => {
  open(service);
  const effects = () => new Effects(service.state, service.state.store.begin());
  assert.equal(effects().latestLedgerSecretSeqno(), 1);
  const rekeyed = govern(service, (effects) => {
    effects.rekeyLedger();
    assert.equal(effects.latestLedgerSecretSeqno(), 1);
  });
  assert.equal(effects().latestLedgerSecretSeqno(), rekeyed + 1);
});

governedTest(
  "every module has its compiled form, and one that does not compile keeps the app from being installed",
  (service) => {
    const compile = (modules: Record<string, string>) => (effects: Effects, tx: Transaction) => {
      tx.open(MODULES).clear();
      for (const [name, source] of Object.entries(modules)) tx.open(MODULES).put(name, source);
      effects.refreshBytecodeCache();
    };
    govern(
      service,
      compile({ "/a.js": "import { b } from './b.js'; export const a = b;", "/b.js": "export const b = 1;" }),
    );
    govern(service, compile({ "/a.js": "export const a = 1;" }));
    const tx = reader(service);
    assert.deepEqual([...tx.open(MODULES_QUICKJS_BYTECODE).entries()].map(([name]) => name), ["/a.js"]);
    assert(tx.open(MODULES_QUICKJS_BYTECODE).get("/a.js")!.length > 0);
    assert.equal(tx.open(MODULES_QUICKJS_VERSION).get(), service.state.engine.bytecodeVersion);
    refused(service, /^Failed to refresh bytecode: /, compile({ "/a.js": "export const a = ;" }));
  },
);

governedTest("keys of token issuers are set and removed through the proposal's transaction", (service) => {
  refused(service, "set_jwt_public_signing_keys() failed: JWKS has no keys", (effects) => {
    effects.setJwtPublicSigningKeys("https://issuer.example", {}, { keys: [] });
  });
  const tx = service.state.store.begin();
  new Effects(service.state, tx).removeJwtPublicSigningKeys("https://issuer.example");
  assert.equal(tx.hasWrites, false);
});
