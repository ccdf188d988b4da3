/**
 * Somebody between the nodes changes the flags of entries, which no seal covers: the message is refused, and the backup
 * gets them again as they are. Which flags an entry has, a leader knows of all entries that it has written or taken.
 */

import { strict as assert } from "node:assert";
import { entryBytes, FORCE_CHUNK_AFTER, LedgerEntry } from "../shared/ledger/entry.ts";
import { isSignature } from "../shared/ledger/signature.ts";
import { type StartedNetwork, startNetwork } from "../tests/inline_network.ts";
import type { InlineNode, InlineSnapshot } from "../tests/inline_node.ts";
import { decide } from "../tests/members.ts";

/** Where the header of an append entries ends, with its last byte; and where what protects it does. */
const FLAGS_UNKNOWN_AT = 56;
const ENTRIES_AT = 57 + 24;

/** Looks at every message with entries that comes to a node, and may change it. */
function watchAppends(node: InlineNode, look: (payload: Uint8Array) => void): void {
  const send = node.send.bind(node);
  node.send = (...inputs) => {
    for (const input of inputs) {
      if (input.kind !== "nodeInbound" || input.messageType !== 1) continue;
      if (input.payload[0] === 0 && input.payload.length > ENTRIES_AT) look(input.payload);
    }
    return send(...inputs);
  };
}

/** Where each entry of a message begins. */
function entriesOf(payload: Uint8Array): number[] {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const starts: number[] = [];
  for (let at = ENTRIES_AT; at < payload.length; at += 8 + view.getUint32(at + 2, true)) starts.push(at);
  return starts;
}

function writeSome({ primary }: StartedNetwork["network"], value: number): number {
  return primary.write((tx) => void tx.openRaw("public:t").put("k", Uint8Array.of(value)));
}

/** A file ends at the next signature. @returns its seqno */
function endFile({ network }: StartedNetwork): number {
  const { signer, path } = network.primary.enclave.node!;
  signer.forceChunk(1);
  writeSome(network, 0);
  network.advance(1100);
  return path.lastSigned;
}

function requireAgreement({ network }: StartedNetwork): void {
  const { store, committedTxId } = network.primary.enclave.node!;
  assert.equal(committedTxId.seqno, store.version);
  for (const node of network.alive) {
    assert.deepEqual(node.enclave.node!.committedTxId, committedTxId, node.logs.slice(-5).join("\n"));
    for (const [i, entry] of network.primary.entries.entries()) {
      // What was before their snapshots is missing.
      if (entry === undefined || node.entries[i] === undefined) continue;
      assert.deepEqual(node.entries[i], entry, `entry ${i + 1}`);
    }
  }
}

/** Asks to join and is trusted by vote; given time, it catches up. */
function addNode({ network, service }: StartedNetwork, snapshot?: InlineSnapshot): InlineNode {
  const node = network.join(network.primary, {}, snapshot);
  network.advance(100);
  const args = { node_id: node.nodeId, valid_from: "2026-01-01T00:00:00Z" };
  const { status, json } = decide({ ...service, node: network.primary }, { name: "transition_node_to_trusted", args });
  assert.equal(status, 200, JSON.stringify(json));
  return node;
}

/** Has a node lead, which has all of the log. */
function elect({ network }: StartedNetwork, node: InlineNode): void {
  if (network.primary === node) return;
  const { raft } = node.enclave.node!.path;
  raft.receive(network.primary.nodeId, { kind: "propose request vote", view: raft.view }, undefined);
  node.send();
  network.advance(1100);
  assert.equal(network.primary, node);
}

for (const what of ["taken from the end of a file", "added to a signature", "added to what is none"] as const) {
  Deno.test(`a flag ${what} on the way to a backup is noticed, and the backup catches up`, async () => {
    const started = await startNetwork();
    const { network } = started;
    const victim = network.nodes.find((node) => node !== network.primary)!;
    let changed = 0;
    watchAppends(victim, (payload) => {
      if (changed > 0) return;
      for (const start of entriesOf(payload)) {
        const has = (payload[start + 1]! & FORCE_CHUNK_AFTER) !== 0;
        const entry = payload.subarray(start);
        const isSigned = isSignature(LedgerEntry.parse(entry.subarray(0, entryBytes(entry))).publicTables());
        if (what === "taken from the end of a file" ? !has : has) continue;
        if (what !== "taken from the end of a file" && isSigned !== (what === "added to a signature")) continue;
        payload[start + 1]! ^= FORCE_CHUNK_AFTER;
        changed++;
        return;
      }
    });
    victim.logs.length = 0;
    endFile(started);
    for (let i = 0; i < 3; i++) {
      writeSome(network, i);
      network.advance(1000);
    }
    network.advance(1000);
    assert.equal(changed, 1);
    const refusals = victim.logs.filter((line) => line.includes("Refused a consensus message"));
    assert.equal(refusals.length, 1, victim.logs.join("\n"));
    requireAgreement(started);
    // And the ledger goes on behind the next signature, where a backup that had taken the flag would have stopped.
    writeSome(network, 9);
    network.advance(1100);
    requireAgreement(started);
  });
}

Deno.test("an entry with flags is the last of its message, also to a node that has everything yet to come", async () => {
  const started = await startNetwork();
  const { network } = started;
  const ends = [endFile(started), endFile(started)];
  const { path } = network.primary.enclave.node!;
  for (const end of ends) assert.deepEqual([path.flagsAt(end - 1), path.flagsAt(end)], [0, FORCE_CHUNK_AFTER]);
  const late = addNode(started);
  let flagged = 0;
  watchAppends(late, (payload) => {
    assert.equal(payload[FLAGS_UNKNOWN_AT], 0);
    for (const [i, start] of entriesOf(payload).entries()) {
      if (payload[start + 1] === 0) continue;
      assert.equal(i, entriesOf(payload).length - 1);
      flagged++;
    }
  });
  network.advance(2500);
  assert(flagged >= 2, `${flagged}`);
  requireAgreement(started);
});

Deno.test("a backup that comes to lead knows the flags of what it has taken, and forgets those of what it drops", async () => {
  const started = await startNetwork();
  const { network } = started;
  const [first, second] = network.nodes as [InlineNode, InlineNode];
  const kept = endFile(started);
  elect(started, second);
  assert.equal(second.enclave.node!.path.flagsAt(kept), FORCE_CHUNK_AFTER);

  network.isolate(second);
  const dropped = endFile(started);
  const { path } = second.enclave.node!;
  assert.equal(path.flagsAt(dropped), FORCE_CHUNK_AFTER);
  const droppedView = path.viewOf(dropped);
  network.advance(12_000);
  network.cut.clear();
  network.advance(12_000);
  writeSome(network, 1);
  network.advance(2200);
  assert.notEqual(path.viewOf(dropped), droppedView);
  requireAgreement(started);
  assert.equal(path.flagsAt(kept), FORCE_CHUNK_AFTER);
  assert.equal(path.flagsAt(dropped), network.primary.entries[dropped - 1]![1]);
  elect(started, first);
  addNode(started);
  network.advance(2500);
  requireAgreement(started);
});

Deno.test("a leader that began behind entries says that it does not know their flags, and of no others", async () => {
  const started = await startNetwork();
  const { network } = started;
  const [name, file] = [...network.primary.snapshots].at(-1)!;
  const behind = addNode(started, { name, file });
  // Its operator has copied the files too: its host has what its enclave has not.
  for (const [i, entry] of network.primary.entries.entries()) if (i < behind.entries.length) behind.entries[i] = entry;
  network.advance(2500);
  const { path } = behind.enclave.node!;
  assert(path.start > 0);
  assert.deepEqual([path.flagsAt(1), path.flagsAt(path.start)], [undefined, undefined]);

  // A primary lets nobody join who lacks more than it has itself, but may come to lead when somebody has joined.
  const late = addNode(started);
  network.isolate(late);
  network.advance(1100);
  elect(started, behind);
  endFile(started);
  let [unknown, known] = [0, 0];
  watchAppends(late, (payload) => {
    const view = new DataView(payload.buffer, payload.byteOffset);
    const [last, previous] = [view.getUint32(8, true), view.getUint32(16, true)];
    const isUnknown = payload[FLAGS_UNKNOWN_AT] === 1;
    assert(isUnknown ? last <= path.start : previous >= path.start, `${previous + 1} to ${last}`);
    if (isUnknown) unknown++;
    else known++;
  });
  network.cut.clear();
  network.advance(2500);
  assert(unknown > 0 && known > 0, `${unknown} ${known}`);
  requireAgreement(started);
});
