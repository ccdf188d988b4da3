import { strict as assert } from "node:assert";
import { toHex, toUtf8 } from "../../shared/bytes.ts";
import { ecdsaSign, generateEcPrivateKey } from "../../shared/crypto/ecdsa.ts";
import { hash } from "../../shared/crypto/hashes.ts";
import {
  finishMemberRequest,
  type MemberRequest,
  PLAIN_BALLOTS,
  prepareMemberRequest,
  requestToBeSigned,
} from "../../shared/governance/member_request.ts";
import { MAX_DRAFT_CHARACTERS, MAX_DRAFTS, MAX_KEPT_ENVELOPES } from "../../shared/limits.ts";
import { EC_PRIVATE_KEYS } from "../../tests/openssl_fixtures.ts";
import { memoryRecords } from "../keys/memory_records.ts";
import { ProblemError } from "../problem.ts";
import type { SignedEnvelope } from "./envelope.ts";
import { type Draft, Drafts, type KeptEnvelope, Outbox, wordsOfEnvelope } from "./outbox.ts";

const key = generateEcPrivateKey("P-384", (length) => crypto.getRandomValues(new Uint8Array(length)));
const PROPOSAL = "cd".repeat(32);
const refuses = (code: string) => (error: unknown) => error instanceof ProblemError && error.problem.code === code;

function signed(request: MemberRequest, second = 1): SignedEnvelope {
  const memberId = "ab".repeat(32);
  const prepared = prepareMemberRequest(request, { memberId, curve: "P-384" }, second);
  const { target, body } = finishMemberRequest(prepared, ecdsaSign(key, requestToBeSigned(prepared)));
  const id = toHex(hash("SHA-256", body));
  return { id, kind: request.kind, memberId, createdAtSeconds: second, signedAtMs: second * 1000, target, body };
}

const ballot = (second = 1) => signed({ kind: "ballot", proposalId: PROPOSAL, ballot: PLAIN_BALLOTS.yes }, second);

Deno.test("an envelope is kept as it is, and survives the page", async () => {
  const records = memoryRecords<KeptEnvelope>();
  const envelope = ballot();
  assert.equal(await new Outbox(records).keep(envelope, "service"), true);
  await new Outbox(records).keep({ ...envelope, body: toUtf8("other") }, "another");
  const [kept, ...others] = await new Outbox(records).list();
  assert.deepEqual(others, []);
  assert.deepEqual(kept, { ...envelope, service: "service", state: "waiting", attempts: 0 });
  assert.equal(wordsOfEnvelope(kept!).title, "A ballot on a proposal");
});

Deno.test("nothing secret is kept, and no question that is better asked anew", async () => {
  const records = memoryRecords<KeptEnvelope>();
  const outbox = new Outbox(records);
  for (
    const request of [
      { kind: "recovery_share", share: new Uint8Array(44) },
      { kind: "proposal_dry_run", proposal: toUtf8("{}") },
      { kind: "state_digest" },
    ] as const
  ) assert.equal(await outbox.keep(signed(request)), false);
  // What somebody hangs on to an envelope is left out.
  await outbox.keep({ ...ballot(), scalar: key.scalar } as SignedEnvelope);
  assert(!JSON.stringify(await records.all()).includes("scalar"));
});

Deno.test("attempts are counted, and the last one's end is known", async () => {
  const outbox = new Outbox(memoryRecords());
  const { id } = ballot();
  const problem = { code: "NodeSilent", what: "w", why: "w", todo: "t" };
  await outbox.keep(ballot());
  await outbox.note(id, { state: "waiting", problem });
  await outbox.note(id, { state: "accepted", txId: "2.7" });
  const kept = (await outbox.get(id))!;
  assert.deepEqual([kept.attempts, kept.state, kept.txId, kept.problem], [2, "accepted", "2.7", undefined]);
  await outbox.remove(id);
  await outbox.note(id, { state: "waiting", problem });
  assert.deepEqual(await outbox.list(), [], "what is gone does not come back");
});

Deno.test("a full outbox takes nothing more, and drops nothing", async () => {
  const outbox = new Outbox(memoryRecords());
  for (let i = 1; i <= MAX_KEPT_ENVELOPES; i++) await outbox.keep({ ...ballot(), id: String(i), signedAtMs: i });
  await assert.rejects(outbox.keep(ballot()), refuses("KeptTooMuch"));
  const list = await outbox.list();
  assert.deepEqual([list.length, list[0]!.id, list.at(-1)!.id], [MAX_KEPT_ENVELOPES, "1", String(MAX_KEPT_ENVELOPES)]);
  await outbox.keep({ ...ballot(), id: "7" }); // it is there already
});

Deno.test("wordsOfEnvelope() believes no record whose bytes are others, or none", () => {
  const envelope = ballot();
  const other = ballot(2).body;
  assert.throws(() => wordsOfEnvelope({ ...envelope, body: other }), refuses("EnvelopeDamaged"));
  for (const target of [ballot(2).target.replace("cd", "ab"), "@example.com/", `${envelope.target}&x=1`, ""]) {
    assert.throws(() => wordsOfEnvelope({ ...envelope, target }), refuses("EnvelopeDamaged"));
  }
  const none = toUtf8("none");
  const id = toHex(hash("SHA-256", none));
  assert.throws(() => wordsOfEnvelope({ ...envelope, id, body: none }), refuses("EnvelopeDamaged"));
});

const draft = (id: string, text: string, changedAtMs = 1): Draft => ({
  id,
  kind: "proposal",
  title: "t",
  text,
  changedAtMs,
});

Deno.test("drafts survive the page, newest first, and hold no private key", async () => {
  const records = memoryRecords<Draft>();
  const drafts = new Drafts(records);
  await drafts.save(draft("a", "{", 1));
  await drafts.save(draft("b", "[", 2));
  await drafts.save(draft("a", '{"', 3));
  assert.deepEqual((await new Drafts(records).list()).map(({ text }) => text), ['{"', "["]);
  await assert.rejects(drafts.save(draft("c", JSON.stringify(EC_PRIVATE_KEYS["P-384"]))), refuses("DraftHoldsKey"));
  assert.equal(await drafts.get("c"), undefined);
  await drafts.remove("a");
  assert.deepEqual((await drafts.list()).map(({ id }) => id), ["b"]);
});

Deno.test("drafts are bounded in length and number; those that are there can still be changed", async () => {
  const drafts = new Drafts(memoryRecords());
  await assert.rejects(drafts.save(draft("a", "x".repeat(MAX_DRAFT_CHARACTERS + 1))), refuses("KeptTooMuch"));
  for (let i = 0; i < MAX_DRAFTS; i++) await drafts.save(draft(String(i), "x"));
  await assert.rejects(drafts.save(draft("more", "x")), refuses("KeptTooMuch"));
  await drafts.save(draft("0", "y"));
  assert.equal((await drafts.get("0"))!.text, "y");
});
