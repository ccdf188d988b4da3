/**
 * Anybody reads the ledger of a running sandbox, and finds what its files hold.
 */

import { strict as assert } from "node:assert";
import { toHex } from "../../shared/bytes.ts";
import { parseChunk } from "../../shared/ledger/chunk.ts";
import { LedgerEntry } from "../../shared/ledger/entry.ts";
import { MAX_LEDGER_ANSWER_BYTES } from "../../shared/limits.ts";
import { RunningSandbox } from "./sandbox.ts";

/** Bytes of an answer, which may be no text. */
async function bytesOf(sandbox: RunningSandbox, query: string): Promise<{ bytes: Uint8Array; headers: Headers }> {
  const client = Deno.createHttpClient({ caCerts: [Deno.readTextFileSync(sandbox.description.service_cert)] });
  try {
    const response = await fetch(`${sandbox.webUrl}/node/ledger/entries?${query}`, { client });
    assert.equal(response.status, 200);
    return { bytes: new Uint8Array(await response.arrayBuffer()), headers: response.headers };
  } finally {
    client.close();
  }
}

Deno.test("anybody reads a ledger to its committed end, byte for byte, and where its public tables were written", async (t) => {
  await using sandbox = await RunningSandbox.start("--native-app", "logging");
  const long = "x".repeat(MAX_LEDGER_ANSWER_BYTES / 3);
  for (let id = 0; id < 7; id++) {
    const body = JSON.stringify({ id, msg: id + long });
    const path = id % 2 === 0 ? "/app/log/private" : "/app/log/public";
    assert.equal((await sandbox.request("POST", path, { as: "user0", body })).status, 200);
  }
  const last = await sandbox.request("POST", "/app/log/public", { as: "user0", body: '{"id":42,"msg":"the last"}' });
  const txId = last.headers.get("x-ms-ccf-transaction-id")!;
  await sandbox.eventually("GET", `/app/receipt?transaction_id=${txId}`, { as: "user0" }); // it is committed
  const seqno = Number(txId.split(".")[1]);

  const entries: Uint8Array[] = [];
  await t.step("entries come a MiB at a time", async () => {
    let answers = 0;
    for (let from: number | undefined = 1; from !== undefined; answers++) {
      const { bytes, headers }: { bytes: Uint8Array; headers: Headers } = await bytesOf(
        sandbox,
        `from=${from}&to=${seqno}`,
      );
      assert.ok(bytes.length <= MAX_LEDGER_ANSWER_BYTES);
      const [first, to] = headers.get("x-quorate-ledger-range")!.split("-").map(Number) as [number, number];
      assert.equal(first, from);
      let at = 0;
      for (let each = first; each <= to; each++) {
        const size = 8 + new DataView(bytes.buffer, at).getUint32(2, true);
        entries.push(bytes.subarray(at, at + size));
        at += size;
      }
      assert.equal(at, bytes.length);
      const next = headers.get("x-quorate-ledger-next");
      assert.equal(next, to < seqno ? String(to + 1) : null);
      from = next === null ? undefined : Number(next);
      assert.match(headers.get("access-control-expose-headers")!, /x-quorate-ledger-next/);
    }
    assert.ok(answers >= 3, `${answers}`);
    assert.deepEqual(entries.map((bytes) => LedgerEntry.parse(bytes).seqno), entries.map((_, i) => i + 1));
  });

  await t.step("what was written is found through the index, as a hint", async () => {
    const ask = async (query: string) => {
      const { status, text } = await sandbox.request("GET", `/node/ledger/writes?${query}`);
      assert.equal(status, 200, text);
      return JSON.parse(text);
    };
    // The index follows in the background.
    let newest = await ask("table=public:records");
    for (let i = 0; newest.indexed_seqno < seqno && i < 1000; i++) {
      await new Promise((done) => setTimeout(done, 50));
      newest = await ask("table=public:records");
    }
    assert.equal(newest.seqnos[0], seqno);
    assert.equal(newest.seqnos.length, 4);
    const { name, writes } = LedgerEntry.parse(entries[seqno - 1]!).publicTables()
      .find((table) => table.name === "public:records")!;
    const key = toHex(Uint8Array.from(writes[0]![0], (character) => character.charCodeAt(0)));
    assert.deepEqual((await ask(`table=${name}&key=${key}`)).seqnos, [seqno]);
    assert.deepEqual((await ask(`table=${name}&before=${seqno}`)).seqnos, newest.seqnos.slice(1));
    assert.deepEqual((await ask("table=public:never")).seqnos, []);
    for (const each of newest.seqnos) {
      const tables = LedgerEntry.parse(entries[each - 1]!).publicTables().map((table) => table.name);
      assert.ok(tables.includes("public:records"));
    }
  });

  await t.step("what is not there is said so", async () => {
    const beyond = await sandbox.request("GET", "/node/ledger/entries?from=1000000");
    assert.equal(beyond.status, 404);
    assert.match(beyond.text, /is committed up to/);
    assert.equal((await sandbox.request("GET", "/node/ledger/entries")).status, 400);
  });

  await t.step("the files hold the same bytes", async () => {
    await sandbox.stop();
    const names = [...Deno.readDirSync(sandbox.ledgerFolder)].map(({ name }) => name)
      .sort((a, b) => Number(a.match(/\d+/)) - Number(b.match(/\d+/)));
    const inFiles = names.flatMap((name) => {
      const bytes = Deno.readFileSync(`${sandbox.ledgerFolder}/${name}`);
      return parseChunk(bytes).content.map((entry) => entry.bytes);
    });
    assert.deepEqual(entries.map(toHex), inFiles.slice(0, seqno).map(toHex));
  });
});
