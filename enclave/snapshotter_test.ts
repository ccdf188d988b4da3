import { strict as assert } from "node:assert";
import { fromUtf8 } from "../shared/bytes.ts";
import { noblePrimitives } from "../shared/crypto/primitives.ts";
import { SNAPSHOT_EVIDENCE } from "../shared/governance/tables.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import { parseSnapshotName, Snapshot, splitSnapshotFile } from "../shared/ledger/snapshot.ts";
import {
  MAX_SNAPSHOT_BYTES,
  MAX_UNWRITTEN_SNAPSHOT_BYTES,
  SNAPSHOT_IDLE_WORK,
  SNAPSHOT_PART_BYTES,
  SNAPSHOT_PAUSE_MS,
} from "../shared/limits.ts";
import { parseReceipt } from "../shared/receipt/receipt.ts";
import { verifyReceipt } from "../shared/receipt/verify_receipt.ts";
import { serviceTest } from "../tests/inline_app.ts";
import { startNetwork } from "../tests/inline_network.ts";
import type { InlineNode } from "../tests/inline_node.ts";
import { sealSnapshot } from "../tests/whole_snapshot.ts";
import type { EnclaveOutput } from "./messages.ts";
import { Snapshotter } from "./snapshotter.ts";

const MIB = 1024 * 1024;

/** Puts so many MiB into private tables, and wants a snapshot of it. @returns the last seqno */
function fill(node: InlineNode, mebibytes: number): number {
  let last = 0;
  for (let i = 0; i < mebibytes; i++) {
    last = node.write((tx) => {
      const table = tx.openRaw("records");
      for (let j = 0; j < 16; j++) table.put(`${i}-${j}`, new Uint8Array(MIB / 16).fill(i + j));
    });
  }
  node.enclave.node!.signer.forceSnapshot();
  return last;
}

/** What an enclave says from here on. */
function spy(node: InlineNode): EnclaveOutput[] {
  const outputs: EnclaveOutput[] = [];
  const handle = node.enclave.handle.bind(node.enclave);
  node.enclave.handle = (inputs, nowMs) => {
    const said = handle(inputs, nowMs);
    outputs.push(...said);
    return said;
  };
  return outputs;
}

/** The host does not come to write snapshots. */
function hangDisk(node: InlineNode): void {
  const handle = node.enclave.handle.bind(node.enclave);
  node.enclave.handle = (inputs, nowMs) => handle(inputs.filter(({ kind }) => kind !== "snapshotWritten"), nowMs);
}

function assertProved(node: InlineNode, name: string): void {
  const { snapshot, receipt } = splitSnapshotFile(node.snapshots.get(name)!);
  const parsed = Snapshot.parse(snapshot);
  assert.equal(parsed.seqno, parseSnapshotName(name)!.seqno);
  const expected = { claimsDigest: parsed.digest(noblePrimitives) };
  const verdict = verifyReceipt(noblePrimitives, parseReceipt(fromUtf8(receipt)), node.servicePem, expected);
  assert.equal(verdict.verdict, "verified");
}

const slowly = { change: { signatures: { txCount: 5000, delayMs: 1000 } } };

serviceTest(
  "a large state is sealed between requests, and comes to what sealing it at once gives",
  "native",
  (service) => {
    const { node, userCertificate: certificate } = service;
    const outputs = spy(node);
    const before = [...node.snapshots.keys()];
    fill(node, 3);
    node.advance(0);
    node.advance(1000);
    const { path, snapshotter } = node.enclave.node!;
    const seqno = path.lastSigned;
    const picture = {
      store: path.store.snapshot(seqno),
      leaf: path.tree.leaf(seqno),
      viewStarts: [...path.viewHistory],
    };
    let batches = 0;
    for (let id = 0; snapshotter.isBusy; id++) {
      outputs.length = 0;
      const body = { id, msg: `meanwhile ${id}` };
      assert.equal(node.request({ method: "POST", target: "/log/private", body, certificate }).status, 200);
      node.advance(SNAPSHOT_PAUSE_MS);
      const parts = outputs.filter((output) => output.kind === "snapshotPart");
      assert.ok(
        parts.length <= 2 * SNAPSHOT_IDLE_WORK && parts.every(({ bytes }) => bytes.length <= SNAPSHOT_PART_BYTES),
      );
      assert.ok(++batches < 1000);
    }
    assert.ok(batches > 20, `${batches}`);
    const [name] = [...node.snapshots.keys()].filter((each) => !before.includes(each));
    assert.equal(parseSnapshotName(name!)!.seqno, seqno);
    assertProved(node, name!);
    const { snapshot } = splitSnapshotFile(node.snapshots.get(name!)!);
    const whole = sealSnapshot(noblePrimitives, path.secrets.at(seqno)!.key, picture);
    assert.deepEqual(noblePrimitives.sha256(snapshot), noblePrimitives.sha256(whole));
    assert.equal(snapshotter.known.at(-1)!.sizeBytes, node.snapshots.get(name!)!.length);
  },
  slowly,
);

serviceTest(
  "no more is sent than the host has written, and a host that cannot write is believed",
  "native",
  ({ node }) => {
    const handle = node.enclave.handle.bind(node.enclave);
    hangDisk(node);
    const outputs = spy(node);
    const { snapshotter, path } = node.enclave.node!;
    const known = [...snapshotter.known];
    fill(node, 2 * MAX_UNWRITTEN_SNAPSHOT_BYTES / MIB);
    node.advance(0);
    node.advance(1000);
    const seqno = path.lastSigned;
    for (let i = 0; i < 1000; i++) node.advance(SNAPSHOT_PAUSE_MS);
    const sent = outputs.reduce((sum, output) => sum + (output.kind === "snapshotPart" ? output.bytes.length : 0), 0);
    assert.ok(sent > MAX_UNWRITTEN_SNAPSHOT_BYTES && sent <= MAX_UNWRITTEN_SNAPSHOT_BYTES + SNAPSHOT_PART_BYTES);
    assert.deepEqual(node.drafts, [seqno]);
    assert.equal(snapshotter.isBusy, true);

    handle([{ kind: "snapshotWritten", seqno: seqno + 1, sizeBytes: null }], node.nowMs);
    assert.equal(snapshotter.isBusy, true, "of another draft");
    handle([{ kind: "snapshotWritten", seqno, sizeBytes: null }], node.nowMs);
    assert.equal(snapshotter.isBusy, false);
    const said = outputs.length;
    node.advance(2000);
    assert.ok(!outputs.slice(said).some(({ kind }) => kind.startsWith("snapshot")));
    assert.deepEqual(snapshotter.known, known);
  },
  slowly,
);

serviceTest("a snapshot that the host could not finish is not offered", "native", ({ node }) => {
  const { snapshotter } = node.enclave.node!;
  const { seqno } = snapshotter.known.at(-1)!;
  node.send({ kind: "snapshotWritten", seqno, sizeBytes: 12 });
  assert.equal(snapshotter.known.length, 1);
  node.send({ kind: "snapshotWritten", seqno, sizeBytes: null });
  assert.deepEqual(snapshotter.known, []);
});

serviceTest("a state that is larger than snapshots may be makes none, and the node goes on", "native", ({ node }) => {
  const { path, primitives } = node.enclave.node!;
  const said: EnclaveOutput[] = [];
  const value = new Uint8Array(64 * MIB);
  const entries = Array.from(
    { length: MAX_SNAPSHOT_BYTES / value.length },
    (_, i) => ({ key: `${i}`, value, version: 1 }),
  );
  const huge = Object.create(path, {
    store: { value: { snapshot: (version: number) => ({ version, tables: [{ name: "t", version: 1, entries }] }) } },
    tree: { value: path.tree },
    viewHistory: { value: path.viewHistory },
    committed: { value: path.committed },
    secrets: { value: path.secrets },
    lastEntry: { value: path.lastEntry },
  });
  const snapshotter = new Snapshotter(huge, primitives, (output) => said.push(output));
  snapshotter.onSignature(path.lastSigned, true);
  assert.equal(snapshotter.isBusy, false);
  assert.deepEqual(said, [{
    kind: "log",
    level: "fail",
    tag: "snapshot",
    message: `There is no snapshot at ${path.lastSigned}: it would have more than ${MAX_SNAPSHOT_BYTES} bytes`,
  }]);
});

Deno.test("in a network only the primary makes snapshots, of what is committed, and proves them when their evidence is", async () => {
  const { network } = await startNetwork();
  const { primary } = network;
  const outputs = spy(primary);
  const others = network.nodes.filter((node) => node !== primary).map((node) => spy(node));
  fill(primary, 1);
  network.advance(1100);
  network.advance(1500);
  const kinds = outputs.map(({ kind }) => kind).filter((kind) =>
    kind.startsWith("snapshot") || kind === "ledgerCommit"
  );
  const [name] = [...primary.snapshots.keys()].slice(-1);
  const { seqno, evidenceSeqno } = parseSnapshotName(name!)!;
  assertProved(primary, name!);
  const commits = outputs.flatMap((output, at) => output.kind === "ledgerCommit" ? [{ at, seqno: output.seqno }] : []);
  const at = (kind: EnclaveOutput["kind"]) => outputs.findIndex((output) => output.kind === kind);
  assert.ok(at("snapshotBegin") > commits.find((commit) => commit.seqno >= seqno)!.at, kinds.join());
  assert.ok(at("snapshotCommit") > commits.find((commit) => commit.seqno > evidenceSeqno)!.at, kinds.join());
  for (const said of others) assert.ok(!said.some(({ kind }) => kind.startsWith("snapshot")));
  assert.equal(primary.enclave.node!.snapshotter.isBusy, false);
});

Deno.test("a primary that is deposed gives up the snapshot it seals", async () => {
  const { network } = await startNetwork();
  const old = network.primary;
  hangDisk(old);
  fill(old, 2 * MAX_UNWRITTEN_SNAPSHOT_BYTES / MIB);
  for (let i = 0; old.drafts.length === 0; i++) {
    network.advance(10);
    assert.ok(i < 1000);
  }
  network.isolate(old);
  network.advance(8000);
  assert.notEqual(network.primary, old);
  network.cut.clear();
  network.advance(2000);
  assert.equal(old.enclave.node!.isPrimary, false);
  assert.deepEqual(old.drafts, []);
  assert.equal(old.enclave.node!.snapshotter.isBusy, false);
  assert.equal(old.fatal, undefined);
});

/** Lets time pass until the evidence of a snapshot that was asked for is on the ledger, and not yet signed. */
function untilRecorded(network: Awaited<ReturnType<typeof startNetwork>>["network"]): number {
  const { primary } = network;
  const { path } = primary.enclave.node!;
  const evidence = () => path.store.beginReadOnly().open(SNAPSHOT_EVIDENCE).get()?.version;
  const before = evidence();
  for (let i = 0; evidence() === before; i++) {
    network.advance(10);
    assert.ok(i < 1000);
  }
  return path.store.version;
}

Deno.test("evidence that is rolled back takes its snapshot along", async () => {
  const { network } = await startNetwork();
  const old = network.primary;
  const before = old.snapshots.size;
  fill(old, 1);
  // From the moment the state is committed, the others hear nothing any more.
  const { snapshotter } = old.enclave.node!;
  for (let i = 0; old.drafts.length === 0; i++) {
    network.advance(10);
    assert.ok(i < 1000);
  }
  network.isolate(old);
  const evidenceSeqno = untilRecorded(network);
  assert.equal(snapshotter.isBusy, true);
  network.advance(8000);
  network.cut.clear();
  network.advance(3000);
  assert.notEqual(network.primary, old);
  assert.deepEqual(old.drafts, []);
  assert.equal(snapshotter.isBusy, false);
  assert.equal(old.snapshots.size, before);
  const entry = LedgerEntry.parse(old.entries[evidenceSeqno - 1]!);
  assert.ok(!entry.publicTables().some(({ name }) => name === SNAPSHOT_EVIDENCE.name), "another entry is there now");
  assert.ok(old.logs.some((line) => line.endsWith("is given up: the transaction with its digest was rolled back")));
});

Deno.test("evidence that the next primary commits makes the snapshot of the one before whole", async () => {
  const { network } = await startNetwork();
  const old = network.primary;
  const before = old.snapshots.size;
  fill(old, 1);
  const evidenceSeqno = untilRecorded(network);
  const { snapshotter } = old.enclave.node!;
  // It signs, and does not hear that the others have got it.
  for (const other of network.nodes) network.cut.add(`${other.nodeId} ${old.nodeId}`);
  network.advance(1500);
  assert.ok(old.committed < evidenceSeqno && snapshotter.isBusy);
  network.isolate(old);
  network.advance(8000);
  network.cut.clear();
  network.advance(3000);
  assert.notEqual(network.primary, old);
  assert.equal(snapshotter.isBusy, false);
  assert.equal(old.snapshots.size, before + 1);
  assertProved(old, [...old.snapshots.keys()].at(-1)!);
});
