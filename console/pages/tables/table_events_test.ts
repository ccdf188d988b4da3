import { strict as assert } from "node:assert";
import { toUtf8 } from "../../../shared/bytes.ts";
import type { KeyVersion, LedgerApi } from "../../ledger/protocol.ts";
import { ledgerEvents } from "./table_events.ts";

const at = (seqno: number, json?: string): KeyVersion => ({
  seqno,
  txId: `2.${seqno}`,
  ...(json !== undefined && { value: toUtf8(json) }),
});

Deno.test("openings, constitutions and joins are events, other writes of the same rows are none", async () => {
  const histories: Record<string, KeyVersion[]> = {
    "public:ccf.gov.service.info": [
      at(30, '{"status":"Open"}'),
      at(20, '{"status":"Open"}'),
      at(1, '{"status":"Opening"}'),
    ],
    "public:ccf.gov.constitution": [at(25, '"b"'), at(1, '"a"')],
    "public:ccf.gov.nodes.info": [at(12), at(9, '{"status":"Trusted"}'), at(7, '{"status":"Pending"}')],
  };
  const ledger = {
    history: (table: string) => Promise.resolve(histories[table]!),
    table: () =>
      Promise.resolve({
        total: 1,
        rows: [{ key: toUtf8("abcdef0123"), value: toUtf8("{}"), writtenAt: 9 }],
        proof: "verified",
      }),
  } as unknown as Pick<LedgerApi, "history" | "table">;
  assert.deepEqual(await ledgerEvents(ledger), [
    { seqno: 1, text: "The service became Opening" },
    { seqno: 1, text: "The first constitution" },
    { seqno: 7, text: "Node abcdef01… became Pending" },
    { seqno: 9, text: "Node abcdef01… became Trusted" },
    { seqno: 12, text: "Node abcdef01… became removed" },
    { seqno: 20, text: "The service became Open" },
    { seqno: 25, text: "The constitution changed: text number 2" },
  ]);
});
