import { strict as assert } from "node:assert";
import { toHex } from "../../bytes.ts";
import { noblePrimitives as primitives } from "../../crypto/primitives.ts";
import { stableJsonBytes } from "../../json.ts";
import { Store, type StoreSnapshot } from "../../kv/store.ts";
import { findingsIn } from "../../../tests/ledger_failures.ts";
import { LedgerForge, one } from "../../../tests/ledger_forge.ts";
import { sealSnapshot } from "../../../tests/whole_snapshot.ts";
import { LedgerEntry } from "../entry.ts";
import { LedgerVerifier } from "../replay.ts";
import { Snapshot, type SnapshotName } from "../snapshot.ts";
import type { SnapshotContent } from "../snapshot_writer.ts";
import { SNAPSHOT_EVIDENCE } from "../table_names.ts";
import type { Finding } from "./findings.ts";

const NAME: SnapshotName = { seqno: 5, evidenceSeqno: 6, committed: true };

/** A ledger up to its signature at 5, what a snapshot there holds, and the state that it is made of. */
function ledgerToFive(): { forge: LedgerForge; content: SnapshotContent } {
  const forge = new LedgerForge(primitives).genesis().open();
  forge.write({ records: { a: "1", b: "2" }, "public:records": { c: "3" } });
  forge.sign();
  const verifier = new LedgerVerifier({ primitives, mode: "strict", secrets: forge.secrets });
  for (const bytes of forge.entries) assert.deepEqual(verifier.add(bytes), []);
  const leaf = LedgerEntry.parse(forge.entries[4]!).leaf(primitives);
  return { forge, content: { store: verifier.store.snapshot(), leaf, viewStarts: [1, 1] } };
}

function snapshotOf(forge: LedgerForge, content: SnapshotContent): Snapshot {
  return Snapshot.parse(sealSnapshot(primitives, forge.secrets.at(5)!.key, content));
}

function evidence(forge: LedgerForge, digest: Uint8Array, seqno: number, claimsDigest = digest): void {
  const value = stableJsonBytes({ hash: toHex(digest), version: seqno });
  forge.write({ [SNAPSHOT_EVIDENCE]: one(value) }, { claimsDigest });
}

function shown(findings: readonly Finding[]): string[] {
  return findings.map(({ kind, seqno, reason }) => `${kind} ${seqno}: ${reason}`);
}

/** What a replay says of a snapshot at 5, and of the evidence that follows. */
function compared(forge: LedgerForge, snapshot: Snapshot, withSecrets = true): string[] {
  const options = { primitives, mode: "strict", ...(withSecrets && { secrets: forge.secrets }) } as const;
  const verifier = new LedgerVerifier(options);
  const findings: Finding[] = [];
  for (const bytes of forge.entries) {
    findings.push(...verifier.add(bytes));
    if (!verifier.failed && verifier.last.seqno === NAME.seqno) {
      findings.push(...verifier.checkSnapshot(NAME, snapshot));
    }
    if (verifier.failed) return shown(findings);
  }
  return shown([...findings, ...verifier.finish()]);
}

Deno.test("a replay accepts a snapshot of its own state, and the evidence for it", () => {
  const { forge, content } = ledgerToFive();
  const snapshot = snapshotOf(forge, content);
  evidence(forge, snapshot.digest(primitives), 5);
  forge.sign();
  assert.deepEqual(compared(forge, snapshot), []);
  assert.deepEqual(compared(forge, snapshot, false), []);
});

Deno.test("a replay goes on behind a snapshot as it does from the start", () => {
  const { forge, content } = ledgerToFive();
  const snapshot = snapshotOf(forge, content);
  evidence(forge, snapshot.digest(primitives), 5);
  forge.sign().rekey().sign().recover();
  const whole = new LedgerVerifier({ primitives, mode: "strict", secrets: forge.secrets });
  for (const bytes of forge.entries) assert.deepEqual(whole.add(bytes), []);
  const later = new LedgerVerifier({ primitives, mode: "strict", secrets: forge.secrets });
  assert.deepEqual(later.startFrom(NAME, snapshot), []);
  for (const bytes of forge.entries.slice(5)) assert.deepEqual(later.add(bytes), []);
  assert.deepEqual(later.finish(), []);
  assert.equal(toHex(later.tree.root()), toHex(whole.tree.root()));
  assert.deepEqual(later.viewHistory.starts, whole.viewHistory.starts);
  const resealed = (store: Store) =>
    toHex(primitives.sha256(sealSnapshot(primitives, new Uint8Array(32), {
      ...content,
      store: store.snapshot(),
    })));
  assert.equal(resealed(later.store), resealed(whole.store));
});

/** A content whose table is another. */
function withTable(content: SnapshotContent, name: string, edit: (entries: StoreSnapshot["tables"][0]) => unknown) {
  const tables = content.store.tables.map((table) =>
    table.name === name ? edit({ ...table, entries: [...table.entries] }) as typeof table : table
  );
  return { ...content, store: { ...content.store, tables: tables.filter((table) => table !== undefined) } };
}

Deno.test("a replay refuses a snapshot of another state", () => {
  const { forge, content } = ledgerToFive();
  const value = new Uint8Array(1);
  const table: [expected: string, wrong: SnapshotContent, alsoWithoutSecrets?: false][] = [
    ["The snapshot at 5 names another leaf for its transaction", { ...content, leaf: new Uint8Array(32) }],
    ["The snapshot at 5 has view history 1, 2, not 1, 1", { ...content, viewStarts: [1, 2] }],
    [
      `The snapshot at 5 differs in table "public:records" under key "c"`,
      withTable(content, "public:records", (t) => ({ ...t, entries: [{ key: "c", value, version: 4 }] })),
    ],
    [
      `The snapshot at 5 has keys in table "public:records" that the ledger has not`,
      withTable(content, "public:records", (t) => ({ ...t, entries: [...t.entries, { key: "d", value, version: 4 }] })),
    ],
    [
      `The snapshot at 5 has table "public:records" at version 5, not 4`,
      withTable(content, "public:records", (t) => ({ ...t, version: 5 })),
    ],
    [
      `The snapshot at 5 lacks table "public:records"`,
      withTable(content, "public:records", () => undefined),
    ],
    [
      `The snapshot at 5 has table "public:zzz" that the ledger has not`,
      {
        ...content,
        store: { ...content.store, tables: [...content.store.tables, { name: "public:zzz", version: 0, entries: [] }] },
      },
    ],
    [
      `The snapshot at 5 differs in table "records" under key "b"`,
      withTable(content, "records", (t) => ({ ...t, entries: [...t.entries].slice(0, 1) })),
      false,
    ],
  ];
  for (const [expected, wrong, alsoWithoutSecrets] of table) {
    const snapshot = snapshotOf(forge, wrong);
    assert.deepEqual(compared(forge, snapshot), [`failure 5: ${expected}`]);
    if (alsoWithoutSecrets !== false) assert.deepEqual(compared(forge, snapshot, false), [`failure 5: ${expected}`]);
  }
  const sealedOtherwise = Snapshot.parse(sealSnapshot(primitives, new Uint8Array(32), content));
  assert.deepEqual(compared(forge, sealedOtherwise), [
    "failure 5: The snapshot at 5 is not sealed with the ledger secret",
  ]);
});

Deno.test("a replay refuses evidence that is not of the snapshot, and warns where none comes", () => {
  const cases: [expected: string, make: (forge: LedgerForge, digest: Uint8Array) => unknown][] = [
    [
      "failure 6: The evidence is of a snapshot at 6, which is not signed yet",
      (forge, digest) => evidence(forge, digest, 6),
    ],
    [
      "failure 6: The evidence of a snapshot does not claim its digest",
      (forge, digest) => evidence(forge, digest, 5, new Uint8Array(32)),
    ],
    [
      "failure 6: This transaction is no evidence of a snapshot, as a file name says",
      (forge) => forge.write({ records: { a: "2" } }),
    ],
    ["warning 5: The ledger does not go on to the evidence of snapshot_5_6.committed", () => {}],
  ];
  for (const [expected, make] of cases) {
    const { forge, content } = ledgerToFive();
    const snapshot = snapshotOf(forge, content);
    make(forge, snapshot.digest(primitives));
    assert.deepEqual(compared(forge, snapshot), [expected]);
  }
  const { forge, content } = ledgerToFive();
  evidence(forge, new Uint8Array(32).fill(1), 5);
  const snapshot = snapshotOf(forge, content);
  assert.deepEqual(compared(forge, snapshot), [
    `failure 6: The evidence is of digest ${"01".repeat(32)} at 5, and the snapshot at 5 has digest ${
      toHex(snapshot.digest(primitives))
    }`,
  ]);
});

Deno.test("a replay does not start from a snapshot whose signature does not hold", () => {
  const { forge, content } = ledgerToFive();
  const starts = (wrong: SnapshotContent, name = NAME, withSecrets = true) => {
    const options = { primitives, mode: "strict", ...(withSecrets && { secrets: forge.secrets }) } as const;
    return shown(new LedgerVerifier(options).startFrom(name, snapshotOf(forge, wrong)));
  };
  const without = (name: string) => withTable(content, name, () => undefined);
  assert.deepEqual(starts(without("public:ccf.internal.tree")), ["failure 5: The snapshot holds no tree"]);
  assert.deepEqual(starts(without("public:ccf.gov.service.info")), ["failure 5: The snapshot holds no service"]);
  assert.deepEqual(starts(without("public:ccf.internal.signatures")), [
    "failure 5: The snapshot was not taken at a signature",
  ]);
  assert.deepEqual(starts({ ...content, viewStarts: [1, 1, 1] }), [
    "failure 5: The signature says it is transaction 2.5",
  ]);
  assert.deepEqual(starts(content, { ...NAME, seqno: 4 }), [
    "failure 5: File snapshot_4_6.committed holds a snapshot at 5",
  ]);
  const otherTree = withTable(content, "public:ccf.internal.tree", (t) => {
    const [entry] = t.entries as unknown as [{ value: Uint8Array }];
    const value = entry.value.slice();
    value[20]! ^= 1;
    return { ...t, entries: [{ ...entry, value }] };
  });
  assert.match(
    starts(otherTree)[0]!,
    /^failure 5: The transactions before lead to root [0-9a-f]{64}, and the signature/,
  );
  // Private tables that were changed are noticed by who knows the secret.
  const sealed = Snapshot.parse(sealSnapshot(primitives, new Uint8Array(32), content));
  const verifier = new LedgerVerifier({ primitives, mode: "strict", secrets: forge.secrets });
  assert.deepEqual(shown(verifier.startFrom(NAME, sealed)), [
    "failure 5: The snapshot is not sealed with the ledger secret",
  ]);
});

Deno.test("evidence of a snapshot that is not at hand is accepted", () => {
  const forge = new LedgerForge(primitives).genesis();
  evidence(forge, new Uint8Array(32).fill(9), 2);
  forge.sign();
  assert.deepEqual(findingsIn(primitives, forge.entries), []);
});
