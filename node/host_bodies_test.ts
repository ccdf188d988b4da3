import { strict as assert } from "node:assert";
import { fromUtf8, toUtf8 } from "../shared/bytes.ts";
import { MAX_LEDGER_ANSWER_BYTES, MAX_LEDGER_WRITES } from "../shared/limits.ts";
import type { HostBody, HttpResponse } from "../enclave/messages.ts";
import { HostBodies } from "./host_bodies.ts";
import { LedgerFiles } from "./ledger_files.ts";
import { SnapshotFiles } from "./snapshot_files.ts";
import { testEntry, withTempDirectory } from "./test_file_system.ts";

const NAME = "snapshot_12_14.committed";
const snapshot = toUtf8("a snapshot");

interface Setting {
  readonly directory: string;
  readonly ledger: LedgerFiles;
  readonly failures: string[];
  /** What a client gets. */
  ask(fromHost: HostBody): Promise<{ status: number; headers: Record<string, string>; body: Uint8Array }>;
}

/** The ledger begins behind a snapshot. */
async function withBodies(run: (setting: Setting) => Promise<void>, seqnos: readonly number[] = []): Promise<void> {
  await withTempDirectory(async (directory) => {
    const ledger = await LedgerFiles.open({ directory: `${directory}/ledger` });
    await ledger.startAfterSnapshot(100);
    const snapshots = new SnapshotFiles(`${directory}/snapshots`);
    await snapshots.write(NAME, snapshot);
    const index = {
      indexedSeqno: 2000,
      newestWrites: (_table: string, key: string | null, range: { before?: number | null; limit?: number } = {}) => {
        const found = key === "k" ? [] : seqnos.filter((seqno) => seqno < (range.before ?? Infinity));
        return Promise.resolve(found.slice(0, range.limit));
      },
    };
    const failures: string[] = [];
    const bodies = new HostBodies(ledger, snapshots, index, (message) => failures.push(message));
    const ask = async (fromHost: HostBody) => {
      const unfinished: HttpResponse = {
        status: 200,
        headers: [["content-type", "a"]],
        body: new Uint8Array(),
        fromHost,
      };
      const response = await bodies.complete(unfinished);
      assert.equal("fromHost" in response, false);
      return { ...response, headers: Object.fromEntries(response.headers) };
    };
    await run({ directory, ledger, failures, ask });
    await ledger.close();
  });
}

Deno.test("HostBodies gives whole entries, says which, and where to go on", async () => {
  await withBodies(async ({ ledger, ask, failures }) => {
    const big = MAX_LEDGER_ANSWER_BYTES / 4;
    const entries = Array.from({ length: 8 }, (_, i) => testEntry(101 + i, { publicBytes: i < 6 ? big : 5 * big }));
    entries.forEach((entry, i) => ledger.append(101 + i, entry, true));
    const three = await ask({ kind: "entries", from: 101, to: 108 });
    assert.equal(three.status, 200);
    assert.deepEqual(three.headers, {
      "content-type": "a",
      "x-quorate-ledger-next": "104",
      "x-quorate-ledger-range": "101-103",
    });
    assert.deepEqual(Uint8Array.from(three.body), Uint8Array.from(entries.slice(0, 3).flatMap((entry) => [...entry])));
    const two = await ask({ kind: "entries", from: 105, to: 106 });
    assert.deepEqual(two.headers, { "content-type": "a", "x-quorate-ledger-range": "105-106" });
    const large = await ask({ kind: "entries", from: 107, to: 108 });
    assert.equal(large.body.length, entries[6]!.length, "one entry is given, however large");
    assert.equal(large.headers["x-quorate-ledger-next"], "108");
    assert.deepEqual(failures, []);
  });
});

Deno.test("HostBodies says which entries it lacks, and that files which it cannot read are no answer", async () => {
  await withBodies(async ({ directory, ledger, ask, failures }) => {
    ledger.append(101, testEntry(101), true);
    const missing = await ask({ kind: "entries", from: 7, to: 101 });
    assert.equal(missing.status, 404);
    assert.deepEqual(JSON.parse(fromUtf8(missing.body)).error, {
      code: "ResourceNotFound",
      message: "This node does not have ledger entry 7, as one that began with a snapshot lacks what was before it; " +
        "the next one that it has is 101. Ask another node of the service",
    });
    await ledger.flush();
    await Deno.truncate(`${directory}/ledger/ledger_101`, 20);
    const failed = await ask({ kind: "entries", from: 101, to: 101 });
    assert.equal(failed.status, 500);
    assert.equal(failures.length, 1);
    assert.match(failures[0]!, /ledger_101/);
    assert.ok(!fromUtf8(failed.body).includes("ledger_101"), "where files lie is nobody's business");
  });
});

Deno.test("HostBodies gives parts of snapshots", async () => {
  await withBodies(async ({ ask }) => {
    assert.deepEqual((await ask({ kind: "snapshot", name: NAME, from: 2, to: 10 })).body, snapshot.subarray(2));
    for (const wrong of [{ name: NAME, to: 11 }, { name: "snapshot_1_2.committed", to: 10 }, { name: "../x", to: 1 }]) {
      const { status } = await ask({ kind: "snapshot", from: 2, ...wrong });
      assert.equal(status, 404);
    }
  });
});

Deno.test("HostBodies lists writes newest first, and says where to go on", async () => {
  const seqnos = Array.from({ length: MAX_LEDGER_WRITES + 5 }, (_, i) => 1500 - i);
  await withBodies(async ({ ledger, ask }) => {
    const list = async (key: string | null, before: number | null) => {
      const { body } = await ask({ kind: "writes", table: "public:t", key, before });
      return JSON.parse(fromUtf8(body));
    };
    assert.deepEqual(await list("k", null), { first_seqno: 0, indexed_seqno: 2000, seqnos: [] });
    ledger.append(101, testEntry(101), true);
    const first = await list(null, null);
    assert.deepEqual(first.seqnos, seqnos.slice(0, MAX_LEDGER_WRITES));
    assert.equal(first.next_before, seqnos[MAX_LEDGER_WRITES - 1]);
    assert.deepEqual(await list(null, first.next_before), {
      first_seqno: 101,
      indexed_seqno: 2000,
      seqnos: seqnos.slice(MAX_LEDGER_WRITES),
    });
  }, seqnos);
});
