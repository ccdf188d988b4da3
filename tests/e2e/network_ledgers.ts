/**
 * What must hold of the ledgers of a network whatever has happened to its nodes: each verifies, all agree, and every write
 * that a user was told is committed is in them.
 *
 * In: nodes that have stopped. Out: an assertion that fails, or nothing.
 */

import { strict as assert } from "node:assert";
import { runDecrypt } from "../../node/commands/ledger.ts";
import { listLedger } from "../../node/ledger_listing.ts";
import { walkLedger } from "../../node/ledger_scan.ts";
import { statSyncOrUndefined } from "../paths.ts";
import { RecordedOutput } from "../recorded_output.ts";
import { verify } from "../verify_ledger.ts";
import type { Load } from "./network_load.ts";
import { parseTx, type RunningNetwork, type RunningNode } from "./network_nodes.ts";

/**
 * Stops every node that lives, and looks at what they leave.
 *
 * @param loads whose committed writes must be there, with what was written
 */
export async function stopAndVerify(network: RunningNetwork, ...loads: readonly Load[]): Promise<void> {
  const survivors = network.live;
  const committed = parseTx(await network.agreed(survivors));
  const statuses = await Promise.all(survivors.map((node) => node.stop()));
  assert.deepEqual(statuses.map(({ code }) => code), survivors.map(() => 0), "they stop when they are told to");

  const left = survivors.map((node) => {
    verifyStrictly(network, node, survivors);
    const entries = entriesOf(node);
    assert(entries.last >= committed.seqno, `${node.name} has everything up to ${committed.seqno}`);
    return entries;
  });
  const reference = left.reduce((a, b) => a.bytes.size >= b.bytes.size ? a : b);
  for (const other of left) requireSame(reference, other, Infinity);
  for (const node of network.nodes.filter((node) => !survivors.includes(node))) {
    if (!hasLedger(node)) continue;
    // What it had not committed when it ended may be another history.
    const until = lastInCommittedFiles(node);
    if (until > 0) requireSame(reference, entriesOf(node), until);
  }
  if (loads.length > 0) requireWrites(network, reference, loads);
}

function verifyStrictly(network: RunningNetwork, node: RunningNode, survivors: readonly RunningNode[]): void {
  // A node that found old files lacks those between them and its snapshot: others have them.
  const others = node.foundFiles ? survivors.filter((other) => other !== node).map(({ ledger }) => ledger) : [];
  const report = verify([node.ledger, ...others], {
    ...snapshotsOf(node),
    serviceCert: network.credential("service_cert.pem"),
    memberKey: [network.credential("member0_enc_privk.pem")],
  });
  assert.equal(report.verdict, "verified", `${node.name}: ${JSON.stringify(report)}`);
}

interface Entries {
  readonly node: RunningNode;
  readonly first: number;
  readonly last: number;
  readonly bytes: ReadonlyMap<number, Uint8Array>;
}

function entriesOf(node: RunningNode): Entries {
  const { files } = listLedger(node.ledger);
  const bytes = new Map<number, Uint8Array>();
  const first = files[0]!.name.first;
  let next = first;
  for (const step of walkLedger(files, first)) {
    if (step.kind === "file") next = step.file.name.first;
    if (step.kind === "entry") bytes.set(next++, step.entry.bytes);
    assert(step.kind !== "damaged", `${node.name}: ${JSON.stringify(step)}`);
    assert(step.kind !== "misplaced" || node.foundFiles, `${node.name}: ${JSON.stringify(step)}`);
  }
  return { node, first, last: next - 1, bytes };
}

/** Byte for byte, wherever both have something. */
function requireSame(a: Entries, b: Entries, until: number): void {
  let compared = 0;
  for (let seqno = Math.max(a.first, b.first); seqno <= Math.min(a.last, b.last, until); seqno++) {
    const [ours, theirs] = [a.bytes.get(seqno), b.bytes.get(seqno)];
    if (ours === undefined || theirs === undefined) continue;
    compared++;
    assert.deepEqual(theirs, ours, `${a.node.name} and ${b.node.name} have the same entry ${seqno}`);
  }
  assert(
    compared > 0 || until < Math.max(a.first, b.first),
    `${a.node.name} and ${b.node.name} have something to compare`,
  );
}

function hasLedger(node: RunningNode): boolean {
  return statSyncOrUndefined(node.ledger)?.isDirectory === true &&
    [...Deno.readDirSync(node.ledger)].some(({ name }) => /^ledger_\d+(-\d+)?(\.committed)?$/.test(name));
}

function lastInCommittedFiles(node: RunningNode): number {
  const committed = listLedger(node.ledger).files.filter(({ name }) => name.committed);
  return committed.at(-1)?.name.last ?? 0;
}

/** What is committed is there as it was written, and what is invalid is not. */
function requireWrites(network: RunningNetwork, { node, bytes }: Entries, loads: readonly Load[]): void {
  const output = new RecordedOutput();
  const options = { memberKey: [network.credential("member0_enc_privk.pem")], table: "records", json: true };
  assert.equal(runDecrypt(node.ledger, [], { ...options, ...snapshotsOf(node) }, output), 0, output.notes.join("\n"));
  const written = new Map<string, string>();
  for (const line of output.lines) {
    const { tx_id, private: tables } = JSON.parse(line);
    for (const { writes } of tables) for (const { key, value } of writes) written.set(`${tx_id} ${key}`, value);
  }
  for (const { committed, invalid } of loads) {
    for (const { txId, key, message } of committed) {
      if (!bytes.has(parseTx(txId).seqno)) continue;
      assert.equal(
        written.get(`${txId} ${key}`),
        message,
        `${txId} was committed, and is in the ledger of ${node.name}`,
      );
    }
    for (const { txId, key } of invalid) {
      assert(!written.has(`${txId} ${key}`), `${txId} is invalid, and not in the ledger of ${node.name}`);
    }
  }
}

function snapshotsOf(node: RunningNode): { readonly snapshots?: string } {
  return statSyncOrUndefined(node.snapshots)?.isDirectory ? { snapshots: node.snapshots } : {};
}
