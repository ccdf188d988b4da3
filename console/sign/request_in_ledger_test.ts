import { strict as assert } from "node:assert";
import { COSE_HISTORY } from "../../shared/governance/tables.ts";
import { MAX_COMMIT_QUESTIONS } from "../../shared/limits.ts";
import { filesOf, readLedger } from "../../tests/console_ledger.ts";
import { ledgerDirectory } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import type { EntryAnswer } from "../ledger/protocol.ts";
import type { SignedEnvelope } from "./envelope.ts";
import { findRequest } from "./request_in_ledger.ts";

const nowait = () => Promise.resolve();

teamTest(
  "a request is held where the ledger has its very bytes, and nowhere else, whatever the node named",
  async () => {
    const reading = await readLedger({ kind: "files", files: filesOf(ledgerDirectory("recorded_governance")) });
    const { rows } = await reading.entries({ table: COSE_HISTORY.name }, 0, 20);
    const made = await Promise.all(rows.map(async ({ seqno, txId }) => {
      const answer = await reading.transaction(seqno);
      assert.ok(answer.found);
      const { memberId, request } = answer.transaction.requestedBy!;
      return { txId, envelope: { kind: "ballot", memberId, body: request } as unknown as SignedEnvelope };
    }));
    assert.ok(made.length > 2);
    for (const { txId, envelope } of made) {
      assert.deepEqual(await findRequest(reading, envelope, txId, nowait), { kind: "held" });
      const whyNot = async (other: SignedEnvelope, at: string) => {
        const found = await findRequest(reading, other, at, nowait);
        assert(found.kind === "contradicted");
        return found.problem.why;
      };
      for (const other of made) {
        if (other.txId === txId) continue;
        assert.equal(await whyNot(envelope, other.txId), "The request in it is another one");
      }
      assert.equal(await whyNot({ ...envelope, memberId: "ab".repeat(32) }, txId), "The request in it is another one");
      assert.equal(await whyNot(envelope, "2.1"), "No member's request stands in it");
      assert.match(await whyNot(envelope, `9.${txId.split(".")[1]}`), /was never committed/);
    }
    await reading.close();
  },
);

Deno.test("a transaction that is not read, or not signed, is looked for again, and then not known", async () => {
  const envelope = { kind: "ballot", memberId: "ab", body: new Uint8Array([1]) } as unknown as SignedEnvelope;
  const after = (answers: readonly EntryAnswer[]) => {
    let asked = 0;
    const transaction = () => Promise.resolve(answers[Math.min(asked++, answers.length - 1)]!);
    return { ledger: { transaction, refresh: nowait }, asked: () => asked };
  };
  const pending: EntryAnswer = { found: false, why: "pending", detail: "" };
  const entry = (proof: string) =>
    ({
      found: true,
      transaction: { proof, requestedBy: { memberId: "ab", request: new Uint8Array([1]) } },
    }) as unknown as EntryAnswer;
  const late = after([pending, entry("unsigned"), entry("verified")]);
  assert.deepEqual(await findRequest(late.ledger, envelope, "2.7", nowait), { kind: "held" });
  assert.equal(late.asked(), 3);
  for (const answer of [pending, entry("unsigned")]) {
    const never = after([answer]);
    assert.equal((await findRequest(never.ledger, envelope, "2.7", nowait)).kind, "unknown");
    assert.equal(never.asked(), MAX_COMMIT_QUESTIONS);
  }
  assert.equal((await findRequest(late.ledger, { ...envelope, kind: "ack" }, "2.7", nowait)).kind, "unknown");
});
