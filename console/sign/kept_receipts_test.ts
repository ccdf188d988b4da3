import { strict as assert } from "node:assert";
import { MAX_KEPT_RECEIPTS } from "../../shared/limits.ts";
import { memoryRecords } from "../keys/memory_records.ts";
import { KeptReceipts } from "./kept_receipts.ts";

const receipt = (txId: string, atMs: number) => ({
  txId,
  atMs,
  what: "A ballot",
  memberId: "m",
  service: "s",
  text: "{}",
});

Deno.test("receipts are kept once for each transaction, newest first, and the oldest make room", async () => {
  const kept = new KeptReceipts(memoryRecords());
  for (let i = 0; i <= MAX_KEPT_RECEIPTS; i++) await kept.keep(receipt(`2.${i}`, i));
  await kept.keep(receipt("2.7", 7));
  const list = await kept.list();
  assert.equal(list.length, MAX_KEPT_RECEIPTS);
  assert.deepEqual([list[0]!.txId, list.at(-1)!.txId], [`2.${MAX_KEPT_RECEIPTS}`, "2.1"]);
  await kept.remove(list[0]!.id);
  assert.equal((await kept.list()).length, MAX_KEPT_RECEIPTS - 1);
});
