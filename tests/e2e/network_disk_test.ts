import { strict as assert } from "node:assert";
import { join } from "node:path";
import { runCompare } from "../../node/commands/ledger_compare.ts";
import { listLedger } from "../../node/ledger_listing.ts";
import { RecordedOutput } from "../recorded_output.ts";
import { walkLedger } from "../../node/ledger_scan.ts";
import { stopAndVerify } from "./network_ledgers.ts";
import { Load } from "./network_load.ts";
import { parseTx, RunningNetwork, type RunningNode, sleep } from "./network_nodes.ts";

function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

/** Of the last whole entry in its files. */
function lastSeqno(folder: string): number {
  const { files } = listLedger(folder);
  let seqno = files[0]!.name.first - 1;
  for (const { kind } of walkLedger(files, seqno + 1)) if (kind === "entry") seqno++;
  return seqno;
}

/**
 * Cuts the primary off and lets it write. What it has not signed it gives up when it steps down, which may be at once on a
 * machine that is busy.
 *
 * @returns undefined where it signed nothing
 */
async function signedTail(network: RunningNetwork) {
  const old = await network.primary();
  const others = network.nodes.filter((node) => node !== old);
  for (const { proxy, id } of others) {
    old.proxy!.cutNode(id);
    proxy!.cutNode(old.id);
  }
  const tail: string[] = [];
  const write = async (i: number) => {
    const body = JSON.stringify({ id: `tail.${i}`, msg: "x".repeat(2000) });
    const { status, headers } = await network.request(old, "POST", "/app/log/private", { as: "user0", body });
    if (status === 200) tail.push(headers.get("x-ms-ccf-transaction-id")!);
  };
  for (let i = 0; i < 30; i++) await write(i).catch(() => {});
  for (let isLeader = true; tail.length > 0 && isLeader; await sleep(20)) {
    isLeader = (await network.json(old, "/node/consensus")).details.leadership_state === "Leader";
    const { last_signed_seqno } = await network.json(old, "/node/state");
    if (last_signed_seqno > parseTx(tail[0]!).seqno) return { old, others, tail };
  }
  for (const { proxy } of network.nodes) proxy!.heal();
  return undefined;
}

Deno.test("who starts a node again where a primary died with a tail of its own gets a new node, without that tail", async () => {
  await using network = await RunningNetwork.start({ nodes: 3, proxied: true, chunkSize: "20KB" });
  const load = new Load(network, "stale");
  await load.more(40);
  const { old, others, tail } = await network.eventually("a primary that is cut off signs", () => signedTail(network));
  await network.eventually("that is on its disk", () => {
    return Promise.resolve(lastSeqno(old.ledger) > parseTx(tail[0]!).seqno ? true : undefined);
  });
  await old.kill();
  for (const { proxy } of others) proxy!.heal();
  await network.primary();
  await load.more(40);

  const before = namesIn(old.ledger);
  const left = join(network.folder, "left");
  await Deno.mkdir(left);
  for (const name of before) await Deno.copyFile(join(old.ledger, name), join(left, name));
  const successor = await network.join({ inPlaceOf: old, fetchSnapshot: false });
  assert.notEqual(successor.id, old.id);
  assert.match(successor.log(), /The ledger directory had entries up to \d+: .* put aside as \.ignored/);
  const aside = namesIn(old.ledger).filter((name) => name.endsWith(".ignored"));
  assert(aside.length > 0 && !before.some((name) => name.endsWith(".ignored")), `${before} became ${aside}`);
  for (const txId of tail) assert.equal(await network.statusOf(successor, txId), "Invalid");
  await network.retire(old);
  await load.more(20);
  await load.stop();
  console.log(`started again in the directories of a primary that died: ${tail.length} invalid; ${load.describe()}`);
  await stopAndVerify(network, load);

  const output = new RecordedOutput();
  assert.equal(runCompare(left, others[0]!.ledger, true, output), 1);
  const [its, theirs] = JSON.parse(output.text).tails;
  assert.deepEqual([its.never_committed, its.marked_committed, theirs.never_committed], [true, false, false]);
});

Deno.test("a joiner with a damaged file of old transactions says so of these, and serves all others", async () => {
  await using network = await RunningNetwork.start({ nodes: 1, chunkSize: "5KB" });
  const load = new Load(network, "damage");
  await load.more(60);
  await load.stop();
  const [first] = network.nodes as [RunningNode];
  const snapshot = await network.takeSnapshot();
  const committed = listLedger(first.ledger).files.filter(({ name }) => name.committed && name.last! < snapshot);
  const [good, bad] = [60, 30].map((back) => load.committed.at(-back)!.txId) as [string, string];
  const { seqno } = parseTx(bad);
  const damaged = committed.find(({ name }) => name.first <= seqno && seqno <= name.last!);
  assert(damaged !== undefined && parseTx(good).seqno < damaged.name.first, "they are in different files");

  const copyWith = async (name: string, damage: (bytes: Uint8Array) => Uint8Array): Promise<string> => {
    const copy = join(network.folder, name);
    await Deno.mkdir(copy);
    for (const { path, fileName } of committed) await Deno.copyFile(path, join(copy, fileName));
    const path = join(copy, damaged.fileName);
    await Deno.writeFile(path, damage(await Deno.readFile(path)));
    return copy;
  };
  const changed = await copyWith("changed", (bytes) => {
    for (let at = 200; at < bytes.length - 200; at += 100) bytes[at]! ^= 0xff;
    return bytes;
  });
  const shortened = await copyWith("shortened", (bytes) => bytes.subarray(0, 300));
  for (const options of [{ readOnlyLedgerDirectory: changed }, { ledgerDirectory: shortened }]) {
    const joiner = await network.join(options);
    assert.match(joiner.log(), /Starting from the snapshot/);
    const receiptOf = async (txId: string) => {
      const path = `/app/receipt?transaction_id=${txId}`;
      return await network.eventually(`an answer to ${path}`, async () => {
        const answer = await network.request(joiner, "GET", path, { as: "user0" });
        return answer.status === 202 ? undefined : answer;
      });
    };
    const given = await receiptOf(good);
    assert.equal(given.status, 200, given.text);
    const refused = await receiptOf(bad);
    assert.deepEqual([refused.status, JSON.parse(refused.text).error.code], [500, "TransactionPendingOrUnknown"]);
    assert.match(joiner.log(), new RegExp(`\\[fail \\].*entry ${seqno}`));

    const after = new Load(network, `after.${joiner.name}`);
    await after.more(20);
    await after.stop();
    assert.equal((await receiptOf(after.committed.at(-1)!.txId)).status, 200);
  }
  // What verifies is what a node wrote itself: the copy that was shortened has to go.
  const own = network.live.at(-1)!;
  await network.agreed();
  for (const { fileName } of committed) await Deno.remove(join(own.ledger, fileName));
  await stopAndVerify(network, load);
});

Deno.test("a primary whose disk is full stops, and the others go on", async () => {
  const folder = await Deno.makeTempDir({ prefix: "quorate_disk_" });
  const disk = join(folder, "disk");
  await Deno.mkdir(disk);
  const mounted = await mountDisk(disk);
  try {
    if (!mounted) {
      console.log("1 skipped: a file system of a fixed size cannot be mounted here; it takes root");
      return;
    }
    await using network = await RunningNetwork.start({ nodes: 3, firstLedgerDirectory: disk, chunkSize: "50KB" });
    const load = new Load(network, "full");
    await load.more(40);
    const [victim] = network.nodes as [RunningNode];
    fill(join(disk, "filler"));
    const filledMs = performance.now();
    const { code } = await victim.ended;
    console.log(`full disk: the node stopped after ${Math.round(performance.now() - filledMs)} ms`);
    assert.equal(code, 1);
    assert.match(victim.log(), /\[fatal\].*the disk is full/);
    await network.primary();
    await load.more(40);
    await load.stop();
    console.log(`full disk: ${load.describe()}`);
    await stopAndVerify(network, load);
  } finally {
    if (mounted) await command("umount", disk);
    await Deno.remove(folder, { recursive: true });
  }
});

/** @returns whether it could */
function mountDisk(path: string): Promise<boolean> {
  return command("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", path);
}

async function command(name: string, ...args: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(name, { args, stdout: "null", stderr: "null" }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Writes until there is no room. */
function fill(path: string): void {
  using file = Deno.openSync(path, { write: true, create: true });
  try {
    for (const block = new Uint8Array(1024);;) file.writeSync(block);
  } catch {
    // This is what it is for.
  }
}
