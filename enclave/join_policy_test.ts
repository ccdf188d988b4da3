import { strict as assert } from "node:assert";
import fc from "fast-check";
import { fromBase64, fromHex, toBase64, toHex, toUtf8 } from "../shared/bytes.ts";
import { noblePrimitives as primitives } from "../shared/crypto/primitives.ts";
import { NODES_INFO, type QuoteInfo, VIRTUAL_HOST_DATA, VIRTUAL_MEASUREMENTS } from "../shared/governance/tables.ts";
import { Store } from "../shared/kv/store.ts";
import type { Transaction } from "../shared/kv/transaction.ts";
import { mutatedText } from "../tests/mutations.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import { parsePemBlock } from "../shared/crypto/pem.ts";
import { ledgerDirectories, readEntries } from "../tests/services.ts";
import { teamTest } from "../tests/team_data.ts";
import type { Judgement } from "../shared/attestation/join_policy.ts";
import { judgeEvidence } from "./join_policy.ts";
import { VIRTUAL_CODE_DIGEST, VIRTUAL_MEASUREMENT, virtualQuote } from "./platform/virtual.ts";

const SPKI = toUtf8("some key");
const HOST_DATA = "ab".repeat(32);
const REPORT_DATA = primitives.sha256(SPKI);
const CLAIMS = { measurement: VIRTUAL_MEASUREMENT, host_data: HOST_DATA, report_data: toBase64(REPORT_DATA) };
const QUOTE: QuoteInfo = { format: "Insecure_Virtual", quote: virtualQuote(HOST_DATA, REPORT_DATA), endorsements: "" };

/** The tables of a service that lets in what the sandbox runs, unless they are changed. */
function policy(change: (tx: Transaction) => void = () => {}): Transaction {
  const store = new Store();
  const tx = store.begin();
  tx.open(VIRTUAL_MEASUREMENTS).put(VIRTUAL_MEASUREMENT, "AllowedToJoin");
  tx.open(VIRTUAL_HOST_DATA).put(HOST_DATA, undefined);
  change(tx);
  store.apply(1, tx.writeSet());
  return store.beginReadOnly();
}

function claiming(claims: unknown): QuoteInfo {
  return { ...QUOTE, quote: toBase64(toUtf8(typeof claims === "string" ? claims : JSON.stringify(claims))) };
}

function judge(quote: QuoteInfo, tx = policy(), spki = SPKI): Judgement {
  return judgeEvidence(tx, quote, spki, { primitives, atMs: 0 });
}

/** The step at which it is refused. */
function stepOf(quote: QuoteInfo, tx?: Transaction, spki?: Uint8Array): string {
  const judgement = judge(quote, tx, spki);
  return judgement.verdict === "rejected" ? judgement.step : judgement.verdict;
}

Deno.test("evidence for the key, of code and program that members allow, is accepted", () => {
  const judgement = judge(QUOTE);
  assert(judgement.verdict === "accepted");
  assert.equal(toHex(judgement.measurement), VIRTUAL_CODE_DIGEST);
  assert.equal(stepOf(claiming({ ...CLAIMS, host_data: HOST_DATA.toUpperCase(), more: 1 })), "accepted");
});

Deno.test("each step refuses what is its own", () => {
  const table: readonly [string, QuoteInfo, Transaction?, Uint8Array?][] = [
    ["evidence", { ...QUOTE, format: "AMD_SEV_SNP_v1" }],
    ["evidence", { ...QUOTE, format: "OE_SGX_v1" }],
    ["evidence", { ...QUOTE, quote: "*" }],
    ["evidence", { ...QUOTE, quote: "" }],
    ["evidence", claiming("[]")],
    ["evidence", claiming({ ...CLAIMS, measurement: 7 })],
    ["evidence", claiming({ ...CLAIMS, measurement: "x".repeat(1025) })],
    [
      "evidence",
      claiming(`{"measurement":"\\ud800","host_data":"${HOST_DATA}","report_data":"${CLAIMS.report_data}"}`),
    ],
    ["evidence", claiming({ ...CLAIMS, report_data: toBase64(REPORT_DATA.subarray(1)) })],
    ["evidence", claiming({ ...CLAIMS, report_data: toBase64(new Uint8Array(64)) })],
    ["evidence", claiming({ ...CLAIMS, padding: "x".repeat(70_000) })],
    ["evidence", { ...QUOTE, endorsements: "A".repeat(400_000) }],
    ["evidence", { ...QUOTE, uvm_endorsements: "A".repeat(400_000) }],
    ["no host data", claiming({ ...CLAIMS, host_data: undefined })],
    ["no host data", claiming({ ...CLAIMS, host_data: "x" })],
    ["no host data", claiming({ ...CLAIMS, host_data: `${HOST_DATA}00` })],
    ["host data", QUOTE, policy((tx) => tx.open(VIRTUAL_HOST_DATA).remove(HOST_DATA))],
    ["measurement", QUOTE, policy((tx) => tx.open(VIRTUAL_MEASUREMENTS).remove(VIRTUAL_MEASUREMENT))],
    ["measurement", claiming({ ...CLAIMS, measurement: "" })],
    ["public key", QUOTE, policy(), toUtf8("another key")],
  ];
  for (const [step, quote, tx, spki] of table) assert.equal(stepOf(quote, tx, spki), step, quote.quote.slice(0, 200));
});

Deno.test("host data is looked at before the measurement, and the key last", () => {
  const nothing = policy((tx) => {
    tx.open(VIRTUAL_HOST_DATA).clear();
    tx.open(VIRTUAL_MEASUREMENTS).clear();
  });
  assert.equal(stepOf(QUOTE, nothing, toUtf8("another key")), "host data");
  const noCode = policy((tx) => tx.open(VIRTUAL_MEASUREMENTS).clear());
  assert.equal(stepOf(QUOTE, noCode, toUtf8("another key")), "measurement");
});

Deno.test("a copy of another node's evidence is told from evidence for a key that nobody knows", () => {
  const reason = (tx: Transaction) => {
    const judgement = judge(QUOTE, tx, toUtf8("the copier's key"));
    assert(judgement.verdict === "rejected");
    return judgement.reason;
  };
  const id = toHex(REPORT_DATA);
  assert.equal(reason(policy()), `the evidence is for another key, that of a node ${id}`);
  const known = policy((tx) => {
    tx.open(NODES_INFO).put(id, { status: "Trusted", encryption_pub_key: "", quote_info: QUOTE });
  });
  assert.equal(reason(known), `the evidence is a copy of that of node ${id}`);
});

Deno.test("changed evidence is accepted where it claims the same, and refused otherwise", () => {
  const [tx, text] = [policy(), JSON.stringify(CLAIMS)];
  let refused = 0;
  fc.assert(
    fc.property(mutatedText(text), (changed) => {
      const judgement = judge(claiming(changed), tx);
      if (judgement.verdict === "rejected") {
        refused++;
        return;
      }
      const { measurement, host_data, report_data } = JSON.parse(changed);
      assert.deepEqual({ measurement, host_data: host_data.toLowerCase(), report_data }, CLAIMS);
    }),
    { numRuns: 500 },
  );
  assert(refused > 0);
});

teamTest("evidence of all real virtual nodes is accepted under the policy of their own service", () => {
  let judged = 0;
  for (const directory of ledgerDirectories().filter(({ name }) => name.startsWith("recorded_"))) {
    const store = new Store();
    const tx = store.begin();
    for (const bytes of readEntries(directory)) {
      for (const table of LedgerEntry.parse(bytes).publicTables()) {
        if (table.name !== VIRTUAL_MEASUREMENTS.name && table.name !== VIRTUAL_HOST_DATA.name) continue;
        for (const [key, value] of table.writes) tx.openRaw(table.name).put(key, value);
      }
    }
    if (!tx.hasWrites) continue; // a ledger that begins behind a snapshot
    for (const bytes of readEntries(directory)) {
      const table = LedgerEntry.parse(bytes).publicTables().find(({ name }) => name === NODES_INFO.name);
      for (const [id, value] of table?.writes ?? []) {
        const { quote_info, public_key, code_digest } = NODES_INFO.value.decode(value);
        const spki = parsePemBlock(public_key!, "PUBLIC KEY");
        const judgement = judgeEvidence(tx, quote_info, spki, { primitives, atMs: 0 });
        assert(judgement.verdict === "accepted", `${directory.name} ${id}`);
        assert.deepEqual(judgement.measurement, fromHex(code_digest!));
        const { report_data } = JSON.parse(new TextDecoder().decode(fromBase64(quote_info.quote)));
        assert.equal(toHex(fromBase64(report_data)), id);
        judged++;
      }
    }
  }
  assert(judged > 20, `${judged} rows`);
});
