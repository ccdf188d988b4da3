import { strict as assert } from "node:assert";
import { toHex } from "../../shared/bytes.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import {
  ENCRYPTED_SUBMITTED_SHARES,
  LAST_RECOVERY_TYPE,
  PREVIOUS_SERVICE_IDENTITY_ENDORSEMENT,
  PREVIOUS_SERVICE_LAST_SIGNED_ROOT,
  SERVICE_INFO,
  SERVICE_PREVIOUS_IDENTITY,
} from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { LedgerEntry } from "../../shared/ledger/entry.ts";
import { endorsementChain } from "../../shared/ledger/endorsement.ts";
import { eachMember } from "../../tests/governed_service.ts";
import { serviceTest } from "../../tests/inline_app.ts";
import type { InlineService } from "../../tests/inline_service.ts";
import { ledgerDirectory, readEntries } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import { type Opening, openService } from "./service_opening.ts";

const OPENING_TABLES = [
  "public:ccf.gov.service.info",
  "public:ccf.internal.historical_encrypted_ledger_secret",
  "public:ccf.internal.previous_service_identity_endorsement",
  "public:ccf.internal.recovery_shares",
];

interface Opened {
  readonly opening: Opening;
  readonly seqno: number;
  readonly tables: readonly string[];
}

function activate(tx: Transaction): void {
  eachMember(tx, (info) => ({ ...info, status: "Active" }));
}

/** Opens a service whose tables have been changed before. */
function open({ node }: InlineService, previousPem: string | undefined, prepare: (tx: Transaction) => void): Opened {
  node.write(prepare);
  let opening: Opening | undefined;
  const seqno = node.write((tx) => {
    opening = openService(tx, node.enclave.node!, previousPem, node.servicePem);
  });
  const tables = LedgerEntry.parse(node.entries[seqno - 1]!).publicTables().map(({ name }) => name);
  return { opening: opening!, seqno, tables };
}

teamTest("real services opened with these tables, and with a snapshot after the next signature", () => {
  for (const [name, seqno] of [["recorded_rekey", 15], ["recorded_governance", 12]] as const) {
    const entries = readEntries(ledgerDirectory(name)).map((bytes) => LedgerEntry.parse(bytes));
    const tables = (seqno: number) => entries[seqno - 1]!.publicTables().map(({ name }) => name);
    assert.deepEqual(tables(seqno).filter((table) => OPENING_TABLES.includes(table)), OPENING_TABLES, name);
    assert.deepEqual(tables(seqno + 2), ["public:ccf.internal.snapshot_evidence"], name);
  }
});

serviceTest("a service opens with the tables of real ones", "native", (service) => {
  const { opening, tables } = open(service, undefined, activate);
  assert.deepEqual([opening, tables], ["opened", OPENING_TABLES]);
}, { closed: true });

serviceTest(
  "a node without the private ledger opens by waiting for shares, and forgets old ones",
  "native",
  (service) => {
    Object.defineProperty(service.node.enclave.node!, "state", { value: "PartOfPublicNetwork" });
    const { opening, tables } = open(service, "previous", (tx) => {
      tx.open(SERVICE_INFO).put({ ...tx.open(SERVICE_INFO).get()!, status: "Recovering" });
      tx.open(SERVICE_PREVIOUS_IDENTITY).put("previous");
      tx.open(ENCRYPTED_SUBMITTED_SHARES).put("a member", new Uint8Array(72));
    });
    assert.equal(opening, "waiting");
    assert.deepEqual(tables, [SERVICE_INFO, ENCRYPTED_SUBMITTED_SHARES, LAST_RECOVERY_TYPE].map(({ name }) => name));
    const tx = service.node.enclave.node!.store.beginReadOnly();
    assert.equal(tx.open(ENCRYPTED_SUBMITTED_SHARES).size, 0);
  },
  { closed: true },
);

serviceTest("a recovered service endorses the key before it, so that old transactions verify", "native", (service) => {
  const first = open(service, undefined, activate);
  const endorsement = () => {
    return service.node.enclave.node!.store.beginReadOnly().open(PREVIOUS_SERVICE_IDENTITY_ENDORSEMENT).get()!;
  };
  const own = endorsement();
  assert.deepEqual([own.begin, own.end, own.previousVersion], [{ view: 2, seqno: 1 }, undefined, undefined]);
  const created = { view: 4, seqno: first.seqno + 1 };
  const root = noblePrimitives.sha256(new Uint8Array());
  const second = open(service, "previous", (tx) => {
    const info = tx.open(SERVICE_INFO).get()!;
    tx.open(SERVICE_INFO).put({ ...info, status: "Recovering", current_service_create_txid: `4.${created.seqno}` });
    tx.open(SERVICE_PREVIOUS_IDENTITY).put("previous");
    tx.open(PREVIOUS_SERVICE_LAST_SIGNED_ROOT).put(root);
  });
  const older = endorsement();
  assert.deepEqual([older.begin, older.end], [own.begin, { view: 2, seqno: first.seqno }]);
  assert.equal(older.previousVersion, first.seqno);
  assert.equal(toHex(older.message.payload!), toHex(own.endorsingKey));
  const writes = [{ seqno: first.seqno, value: own }, { seqno: second.seqno, value: older }];
  assert.deepEqual(endorsementChain(writes, created, 1), [older]);
  assert.deepEqual(endorsementChain(writes, created, created.seqno), []);
}, { closed: true });
