import { strict as assert } from "node:assert";
import type { PolicyChange } from "../../../shared/trust/trust_fold.ts";
import { timelineOf } from "./code_changes.ts";

const change = (seqno: number, key: string, isRemoval = false): PolicyChange => ({
  txId: { view: 2, seqno },
  table: "public:ccf.gov.nodes.snp.host_data",
  key,
  isRemoval,
  cause: { kind: "genesis" },
});

Deno.test("timelineOf() says of each change until when it stood, newest first", () => {
  const rows = timelineOf([change(1, "a"), change(5, "b"), change(9, "a", true), change(12, "a")]);
  assert.deepEqual(rows.map(({ change, until }) => [change.txId.seqno, change.key, until?.seqno]), [
    [12, "a", undefined],
    [9, "a", 12],
    [5, "b", undefined],
    [1, "a", 9],
  ]);
  assert.deepEqual(timelineOf([]), []);
});
