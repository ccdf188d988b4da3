import { strict as assert } from "node:assert";
import { join } from "node:path";
import { FormatError } from "../../shared/assert.ts";
import { fromBase64, fromUtf8Lenient, toBase64 } from "../../shared/bytes.ts";
import { parsePemBlock, serialisePem } from "../../shared/crypto/pem.ts";
import { isSignedBy, parseCertificateBundle, parseCertificatePem } from "../../shared/crypto/x509.ts";
import {
  ENCRYPTED_LEDGER_SECRETS,
  HISTORICAL_ENCRYPTED_LEDGER_SECRET,
  LAST_RECOVERY_TYPE,
  type MemberInfo,
  MEMBERS_INFO,
  MODULES,
  MODULES_QUICKJS_BYTECODE,
  MODULES_QUICKJS_VERSION,
  NODES_ENDORSED_CERTIFICATES,
  NODES_INFO,
  PREVIOUS_SERVICE_IDENTITY_ENDORSEMENT,
  RECOVERY_SHARES,
  SERVICE_CONFIG,
  SERVICE_INFO,
  SERVICE_PREVIOUS_IDENTITY,
  type ServiceInfo,
  SIGNATURES,
} from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { FORCE_CHUNK_AFTER, LedgerEntry } from "../../shared/ledger/entry.ts";
import { openRecoveryShares, parseRecoveryShares } from "../../shared/ledger/recovery_shares.ts";
import { LedgerVerifier } from "../../shared/ledger/replay.ts";
import { Snapshot, splitSnapshotFile } from "../../shared/ledger/snapshot.ts";
import { parseReceipt } from "../../shared/receipt/receipt.ts";
import { verifyReceipt } from "../../shared/receipt/verify_receipt.ts";
import type { Seqno } from "../../shared/tx_id.ts";
import { bodyText } from "../../tests/inline_app.ts";
import { type InlineService, restoreSecrets, startInlineService } from "../../tests/inline_service.ts";
import type { EnclaveOutput, StartConfig } from "../messages.ts";
import { loadNativePowers } from "../native_powers.ts";
import type { Node } from "../node.ts";
import { Effects } from "./effects.ts";

/** A service with what its host was asked to do, and its members' encryption keys. */
interface Governed extends InlineService {
  readonly state: Node;
  readonly outputs: EnclaveOutput[];
  /** PKCS#8 DER, of members 0, 1 and 2. */
  readonly memberKeys: readonly Uint8Array[];
}

/** Runs a test over a service of its own, which is Opening, its members active. */
function governedTest(
  name: string,
  test: (service: Governed) => void | Promise<void>,
  change: Partial<StartConfig> = {},
): void {
  Deno.test(name, async () => {
    const workspace = await Deno.makeTempDir();
    try {
      const powers = await loadNativePowers();
      const service = await startInlineService(workspace, "native", { powers, closed: true, change });
      const state = service.node.enclave.node!;
      const memberKeys = [0, 1, 2].map((i) => {
        const pem = Deno.readTextFileSync(join(service.sandbox.commonFolder, `member${i}_enc_privk.pem`));
        return parsePemBlock(pem, "PRIVATE KEY");
      });
      const governed = { ...service, state, memberKeys, outputs: recordOutputs(service) };
      govern(governed, (_, tx) => eachMember(tx, (info) => ({ ...info, status: "Active" })));
      await test(governed);
    } finally {
      await Deno.remove(workspace, { recursive: true });
    }
  });
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
function govern({ node, state }: Governed, act: (effects: Effects, tx: Transaction) => void): Seqno {
  const tx = state.store.begin();
  const effects = new Effects(state, tx);
  act(effects, tx);
  const id = state.commitTransaction(tx);
  effects.onCommitted(id);
  node.send();
  return id.seqno;
}

function open(service: Governed): Seqno {
  return govern(service, (effects) => effects.openService(undefined, service.node.servicePem));
}

function sign({ node, state }: Governed): Seqno {
  state.sign();
  node.send();
  return state.lastSignedSeqno;
}

/** A record in a private table. */
function record(service: Governed, key: string): Seqno {
  return govern(service, (_, tx) => tx.openRaw("records").put(key, Uint8Array.of(1)));
}

function eachMember(tx: Transaction, change: (info: MemberInfo, at: number) => MemberInfo): void {
  [...tx.open(MEMBERS_INFO).entries()].forEach(([id, info], i) => tx.open(MEMBERS_INFO).put(id, change(info, i)));
}

function changeService(tx: Transaction, change: Partial<ServiceInfo>): void {
  tx.open(SERVICE_INFO).put({ ...tx.open(SERVICE_INFO).get()!, ...change });
}

function reader({ state }: Governed): Transaction {
  return state.store.beginReadOnly();
}

/** The ledger secret that the shares in force give to these members. */
function sharedSecret({ state, memberKeys }: Governed, ...members: number[]): Uint8Array | undefined {
  const value = state.store.beginReadOnly().open(RECOVERY_SHARES).get()!;
  const shares = parseRecoveryShares(new TextEncoder().encode(JSON.stringify(value)));
  return openRecoveryShares(state.primitives, shares, members.map((i) => memberKeys[i]!));
}

/** Tries effects in a transaction that is thrown away. */
function refused(service: Governed, message: string | RegExp, act: (effects: Effects, tx: Transaction) => void): void {
  const tx = service.state.store.begin();
  assert.throws(() => act(new Effects(service.state, tx), tx), (error: Error) => {
    assert(error instanceof FormatError, `${error.name}: ${error.message}`);
    if (typeof message === "string") assert.equal(error.message, message);
    else assert.match(error.message, message);
    return true;
  });
}

/** All of the ledger, by rules and secrets that members restore from it. */
function verifyLedger({ node, state }: Governed, secrets = state.path.secrets): void {
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
  const signed = sign(service);
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
  const mixed = parseRecoveryShares(new TextEncoder().encode(JSON.stringify(old)));
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

governedTest("a node's renewed certificate is in the next signature, and then shown by its listeners", (service) => {
  const { node, state, outputs, config } = service;
  open(service);
  sign(service);
  const [before, selfSigned] = [state.endorsedPem, state.identity.selfSignedPem];
  govern(service, (effects, tx) => {
    const request = tx.open(NODES_INFO).get(state.id)!.certificate_signing_request!;
    const pem = effects.endorsedCertificate(request, "2026-11-24 10:00:00+00:00", 90);
    tx.open(NODES_ENDORSED_CERTIFICATES).put(state.id, pem);
  });
  assert.equal(state.endorsedPem, before, "nothing is shown that no signature covers");
  outputs.length = 0;
  sign(service);
  const renewed = reader(service).open(NODES_ENDORSED_CERTIFICATES).get(state.id)!;
  assert.notEqual(renewed, before);
  assert.equal(state.endorsedPem, renewed);
  assert.equal(reader(service).open(SIGNATURES).get()!.cert, renewed);
  const [certificate, old, service_] = [renewed, before, node.servicePem].map(parseCertificatePem);
  assert.equal(certificate!.notBeforeMs, Date.UTC(2026, 10, 24, 10));
  assert.equal(certificate!.notAfterMs, Date.UTC(2027, 1, 22, 9, 59, 59));
  assert(isSignedBy(state.primitives, certificate!, state.service.key.publicKey));
  assert.deepEqual(certificate!.spki, old!.spki);
  assert.deepEqual(certificate!.subject, old!.subject);
  assert.deepEqual(certificate!.issuer, service_!.subject);

  const shown = outputs.filter((output) => output.kind === "tlsIdentity");
  assert.deepEqual(shown.map(({ authority }) => authority), ["Service", "Node"]);
  assert.equal(shown[0]!.certificateChainPem, renewed + node.servicePem);
  const own = parseCertificateBundle(shown[1]!.certificateChainPem)[0]!;
  assert.notEqual(shown[1]!.certificateChainPem, selfSigned);
  assert.deepEqual([own.notBeforeMs, own.notAfterMs], [certificate!.notBeforeMs, certificate!.notAfterMs]);
  assert.deepEqual(own.spki, old!.spki);
  assert.deepEqual(own.subject, parseCertificatePem(selfSigned).subject);
  assert.deepEqual(own.issuer, own.subject);
  assert.deepEqual(own.extensions, parseCertificatePem(selfSigned).extensions);
  assert.notDeepEqual(own.serial, certificate!.serial);
  assert(isSignedBy(state.primitives, own, state.identity.key.publicKey));
  assert.equal(config.node.subjectName, "CN=CCF Node");
  outputs.length = 0;
  sign(service);
  assert(outputs.every(({ kind }) => kind !== "tlsIdentity"), "once is enough");
  verifyLedger(service);
});

governedTest("the service's renewed certificate has the same key and name, and is shown from then on", (service) => {
  const { node, state, outputs } = service;
  open(service);
  sign(service);
  const before = node.servicePem;
  govern(service, (effects, tx) => {
    changeService(tx, { cert: effects.serviceCertificate("20261124100000Z", 30) });
  });
  outputs.length = 0;
  sign(service);
  assert.notEqual(node.servicePem, before, "the host has the new one");
  const [renewed, old] = [node.servicePem, before].map(parseCertificatePem);
  assert.deepEqual([renewed!.spki, renewed!.subject, renewed!.issuer], [old!.spki, old!.subject, old!.issuer]);
  assert.equal(renewed!.notAfterMs, Date.UTC(2026, 11, 24, 9, 59, 59));
  assert(isSignedBy(state.primitives, renewed!, state.service.key.publicKey));
  const shown = outputs.filter((output) => output.kind === "tlsIdentity");
  assert.equal(shown[0]!.certificateChainPem, state.endorsedPem + node.servicePem);
  assert.equal(state.service.certificatePem, node.servicePem);
  verifyLedger(service);
});

governedTest("certificates that nobody can use are logged, and those in use stay", (service) => {
  const { node, state, outputs } = service;
  open(service);
  sign(service);
  const [endorsed, certificate] = [state.endorsedPem, node.servicePem];
  govern(service, (_, tx) => changeService(tx, { cert: "no certificate" }));
  govern(service, (_, tx) => changeService(tx, { cert: endorsed }));
  outputs.length = 0;
  sign(service);
  assert.equal(node.logs.at(-1), "fail node Cannot use the service's certificate: it is for another key");
  govern(service, (_, tx) => {
    changeService(tx, { cert: certificate });
    tx.open(NODES_ENDORSED_CERTIFICATES).put(state.id, certificate);
  });
  sign(service);
  assert.equal(node.logs.at(-1), "fail node Cannot use this node's certificate: it is for another key");
  assert.equal(state.endorsedPem, endorsed);
  assert.equal(node.fatal, undefined);
  assert(outputs.every(({ kind }) => kind !== "tlsIdentity"));
  govern(service, (_, tx) => tx.openRaw(SERVICE_INFO.name).put("\0".repeat(8), new Uint8Array(1)));
  sign(service);
  assert.match(node.logs.at(-1)!, /^fail node Cannot use table public:ccf.gov.service.info: /);
  assert.equal(node.fatal, undefined);
});

governedTest("no certificate is made for a request that is not signed, or for a time that is none", (service) => {
  const { state } = service;
  const { requestPem, request } = state.identity;
  refused(service, "Failed to create endorsed cert: 'soon' does not match any accepted time format", (effects) => {
    effects.endorsedCertificate(requestPem, "soon", 1);
  });
  refused(
    service,
    "Failed to create endorsed cert: a certificate cannot be valid for 0 days: at least 1",
    (effects) => {
      effects.endorsedCertificate(requestPem, "2026-11-24 10:00:00", 0);
    },
  );
  refused(service, "Error: 'soon' does not match any accepted time format", (effects) => {
    effects.serviceCertificate("soon", 1);
  });
  refused(service, /^Failed to create endorsed cert: Cannot read /, (effects) => {
    effects.endorsedCertificate("request", "2026-11-24 10:00:00", 1);
  });
  const forged = request.der.slice();
  forged[forged.length - 1]! ^= 1;
  const forgedPem = serialisePem("CERTIFICATE REQUEST", forged);
  refused(
    service,
    "Failed to create endorsed cert: the request is not signed with the key that it is for",
    (effects) => {
      effects.endorsedCertificate(forgedPem, "2026-11-24 10:00:00", 1);
    },
  );
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

function restoreSecretsOf(service: Governed, members: readonly number[]) {
  return restoreSecrets(service.state.primitives, service, members);
}
