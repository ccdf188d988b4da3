/**
 * What the page signs, with keys of every kind, is taken by the enclave; what is refused, lost or kept is told apart.
 */

import { strict as assert } from "node:assert";
import { createPrivateKey, sign } from "node:crypto";
import { join } from "node:path";
import { toUtf8 } from "../../shared/bytes.ts";
import { type MemberRequest, PLAIN_BALLOTS } from "../../shared/governance/member_request.ts";
import { MAX_COMMIT_QUESTIONS } from "../../shared/limits.ts";
import { type InlineService, startInlineService } from "../../tests/inline_service.ts";
import { keyFileSigner, openKeyFile } from "../keys/key_file.ts";
import { browserSigner, offerKeys } from "../keys/key_store.ts";
import { memoryRecords } from "../keys/memory_records.ts";
import { ProblemError } from "../problem.ts";
import type { NodeAnswer } from "../service/node_api.ts";
import {
  dryRunOfOpen,
  prepareEnvelope,
  type SignedEnvelope,
  signEnvelope,
  type Signer,
  signingIdentity,
} from "./envelope.ts";
import { HandOverSigner } from "./hand_over.ts";
import { type KeptEnvelope, Outbox, wordsOfEnvelope } from "./outbox.ts";
import { type Delivery, fetchReceipt, followCommit, type Outcome, sendEnvelope } from "./submit.ts";

/** A service whose members have acknowledged, a page, and what stands between them. */
class Page {
  readonly outbox = new Outbox(memoryRecords<KeptEnvelope>());
  /** What the next request is answered with, instead of the node's answer; or an error of the way to it. */
  readonly instead: (NodeAnswer | Error)[] = [];
  /** The request reaches the node, and its answer is replaced by the above. */
  losesAnswers = false;
  #second = 0;

  private constructor(readonly service: InlineService, readonly folder: string) {}

  static async open(): Promise<Page> {
    const folder = await Deno.makeTempDir({ prefix: "quorate_page_" });
    const page = new Page(await startInlineService(join(folder, "workspace"), "native", { closed: true }), folder);
    for (const name of ["member0", "member1", "member2"]) await page.acknowledge(await page.member(name));
    return page;
  }

  text(name: string): string {
    return Deno.readTextFileSync(join(this.service.sandbox.commonFolder, name));
  }

  async member(name: string, once = false): Promise<Signer> {
    const opened = await openKeyFile(this.text(`${name}_privk.pem`));
    assert(opened.kind === "signing");
    return keyFileSigner(opened.file, this.text(`${name}_cert.pem`), { once });
  }

  get delivery(): Delivery {
    const { node } = this.service;
    return {
      outbox: this.outbox,
      nowMs: () => node.nowMs,
      wait: (ms) => {
        node.advance(ms);
        node.deliverReads(); // old entries, for receipts
        return Promise.resolve();
      },
      ask: (target, { method = "GET", headers = {}, body } = {}) => {
        const instead = this.instead.shift();
        if (instead === undefined || this.losesAnswers) {
          const { status, headers: answered, body: content } = node.request({
            method,
            target,
            headers: Object.entries(headers),
            ...(body !== undefined && { body }),
          });
          if (instead === undefined) {
            return Promise.resolve({ status, body: content, headers: new Headers(answered as [string, string][]) });
          }
        }
        return instead instanceof Error ? Promise.reject(instead) : Promise.resolve(instead!);
      },
    };
  }

  async signed(signer: Signer, request: MemberRequest, nowMs = this.later()): Promise<SignedEnvelope> {
    const prepared = prepareEnvelope(request, signer, nowMs);
    const { memberId, curve } = signingIdentity(signer.certificatePem);
    const said = { request, memberId, curve, createdAtSeconds: Math.floor(nowMs / 1000) };
    return await signEnvelope(prepared, said, signer, nowMs);
  }

  /** A second that no request had yet. */
  later(): number {
    return this.service.node.nowMs + ++this.#second * 1000;
  }

  async send(signer: Signer, request: MemberRequest): Promise<Outcome> {
    return await sendEnvelope(this.delivery, await this.signed(signer, request));
  }

  async accepted(signer: Signer, request: MemberRequest): Promise<Outcome & { kind: "accepted" }> {
    const outcome = await this.send(signer, request);
    assert(outcome.kind === "accepted", outcome.kind !== "accepted" ? JSON.stringify(outcome.problem) : "");
    return outcome;
  }

  async acknowledge(signer: Signer): Promise<void> {
    const { stateDigest } = await this.accepted(signer, { kind: "state_digest" });
    await this.accepted(signer, { kind: "ack", stateDigest: stateDigest! });
  }

  async propose(...actions: readonly unknown[]): Promise<string> {
    const request = { kind: "proposal", proposal: toUtf8(JSON.stringify({ actions })) } as const;
    return (await this.accepted(await this.member("member0"), request)).proposalId!;
  }

  close(): Promise<void> {
    return Deno.remove(this.folder, { recursive: true });
  }
}

const answer = (status: number, body: unknown, headers: Record<string, string> = {}): NodeAnswer => ({
  status,
  body: toUtf8(typeof body === "string" ? body : JSON.stringify(body)),
  headers: new Headers(headers),
});

const unreachable = () =>
  new ProblemError({ code: "NodeUnreachable", what: "The node cannot be reached", why: "Refused", todo: "Try again" });

const NOTHING = { name: "set_user", args: {} };
const ballot = (proposalId: string, ballot: string = PLAIN_BALLOTS.yes) =>
  ({ kind: "ballot", proposalId, ballot }) as const;

// Opening it costs more than any of the tests; each makes proposals of its own.
let page: Page;
Deno.test.beforeAll(async () => {
  page = await Page.open();
});
Deno.test.beforeEach(async () => {
  page.instead.length = 0;
  page.losesAnswers = false;
  for (const { id } of await page.outbox.list()) await page.outbox.remove(id);
});
Deno.test.afterAll(() => page.close());

const user = () => ({ name: "set_user", args: { cert: page.text("user0_cert.pem") } });

function refused(outcome: Outcome): { code: string; todo: string; why: string; retry: boolean } {
  assert(outcome.kind === "refused", `it is ${outcome.kind}`);
  for (const part of ["code", "what", "why", "todo"] as const) assert(outcome.problem[part].length > 3, part);
  return { ...outcome.problem, retry: outcome.retry };
}

Deno.test("a key made in the browser becomes a member, acknowledges, votes; a device votes; the receipt verifies", async () => {
  const offer = offerKeys("relay", memoryRecords());
  assert(offer.offered);
  const key = await offer.keys.create({ name: "Alice", curve: "P-256", encryption: true }, page.service.node.nowMs);
  const alice = browserSigner(key);
  const early = refused(await page.send(alice, { kind: "state_digest" }));
  assert.match(early.why, new RegExp(`has no member ${key.memberId}`));

  const set = { name: "set_member", args: { cert: key.certificatePem, member_data: { name: "Alice" } } };
  const id = await page.propose(set);
  const [member0, member1] = [await page.member("member0", true), await page.member("member1")];
  assert.equal((await page.accepted(member0, ballot(id))).proposalState, "Open");
  assert.equal((await page.accepted(member1, ballot(id))).proposalState, "Accepted");

  const open = await page.propose(user());
  assert.match(refused(await page.send(alice, ballot(open))).todo, /Acknowledge it first/);
  await page.acknowledge(alice);
  assert.equal((await page.accepted(alice, ballot(open))).kind, "accepted");

  const request = ballot(open, "export function vote() {\n  return true;\n}\n");
  const nowMs = page.later();
  const certificatePem = page.text("member2_cert.pem");
  const prepared = prepareEnvelope(request, { certificatePem }, nowMs);
  const device = new HandOverSigner(prepared, certificatePem);
  const { memberId, curve } = signingIdentity(certificatePem);
  const said = { request, memberId, curve, createdAtSeconds: Math.floor(nowMs / 1000) };
  const signing = signEnvelope(prepared, said, device, nowMs);
  const made = sign("sha384", prepared.toBeSigned, createPrivateKey(page.text("member2_privk.pem")));
  assert.equal(device.offer(new Uint8Array(made)), undefined);
  const envelope = await signing;
  const outcome = await sendEnvelope(page.delivery, envelope);
  assert(outcome.kind === "accepted");
  const [kept] = (await page.outbox.list()).filter(({ id }) => id === envelope.id);
  assert.deepEqual([kept!.state, kept!.txId], ["accepted", outcome.txId]);

  assert.deepEqual(await followCommit(page.delivery, envelope.id, outcome.txId!), { kind: "committed" });
  assert.equal(await page.outbox.get(envelope.id), undefined, "what is final is not kept");
  const receipt = await fetchReceipt(page.delivery, outcome.txId!, page.service.node.servicePem);
  assert(receipt.kind === "verified", JSON.stringify(receipt));
  const other = await fetchReceipt(page.delivery, outcome.txId!, page.text("user0_cert.pem"));
  assert.equal(other.kind, "refused");
});

Deno.test("a dry run is asked, and is nothing to keep", async () => {
  const proposal = toUtf8(JSON.stringify({ actions: [user()] }));
  const member = await page.member("member0");
  const outcome = await page.accepted(member, { kind: "proposal_dry_run", proposal });
  assert.equal((outcome.answer as { validation: { valid: boolean } }).validation.valid, true);
  assert.deepEqual(await page.outbox.list(), []);
  const id = await page.propose(user());
  const envelopeOf = async () => dryRunOfOpen(await page.signed(member, { kind: "proposal_dry_run", proposal }), id);
  const early = refused(await sendEnvelope(page.delivery, await envelopeOf()));
  assert.match(early.why, /try it once it is committed/);
  page.service.node.advance(2000);
  const asked = await sendEnvelope(page.delivery, await envelopeOf());
  assert(asked.kind === "accepted", JSON.stringify(asked));
  assert.equal((asked.answer as { proposalId: string }).proposalId, id);
});

Deno.test("what the service refuses is told with what to do, and is not kept", async () => {
  const [member0, member1] = [await page.member("member0"), await page.member("member1")];
  const id = await page.propose(user());
  const first = await page.signed(member0, {
    kind: "proposal",
    proposal: toUtf8(JSON.stringify({ actions: [user()] })),
  });
  assert.equal((await sendEnvelope(page.delivery, first)).kind, "accepted");
  const again = refused(await sendEnvelope(page.delivery, first));
  assert.deepEqual([again.code, again.retry], ["ProposalReplay", false]);
  assert.match(again.todo, /the first one got through/);

  const old = await page.signed(member0, { kind: "proposal", proposal: toUtf8('{"actions":[]}') }, 1_000_000_000_000);
  const late = refused(await sendEnvelope(page.delivery, old));
  assert.equal(late.code, "ProposalCreatedTooLongAgo");
  assert.match(
    late.why,
    /The request says 2001-09-09.*recent proposals are later than 20.*this computer's clock shows/,
  );

  const invalid = refused(
    await page.send(member0, { kind: "proposal", proposal: toUtf8(JSON.stringify({ actions: [NOTHING] })) }),
  );
  assert.equal(invalid.code, "ProposalFailedToValidate");
  assert.match(invalid.why, /cert/, "the constitution's own words");

  assert.match(refused(await page.send(member1, { kind: "withdrawal", proposalId: id })).todo, /Vote against/);
  const none = await page.send(member1, { kind: "withdrawal", proposalId: "0".repeat(64) });
  assert.equal(refused(none).code, "ProposalNotFound");
  assert.equal(refused(await page.send(member1, ballot("0".repeat(64)))).code, "ProposalNotFound");
  assert.equal(
    refused(await page.send(member1, { kind: "ack", stateDigest: "00".repeat(32) })).code,
    "StateDigestMismatch",
  );
  assert.equal((await page.accepted(member0, { kind: "withdrawal", proposalId: id })).proposalState, "Withdrawn");
  assert.equal(refused(await page.send(member1, ballot(id))).code, "ProposalNotOpen");
  const left = (await page.outbox.list()).filter(({ state }) => state === "waiting");
  assert.deepEqual(left, []);
});

Deno.test("what is lost on the way is kept, and sent again as the same bytes", async () => {
  const id = await page.propose(user());
  const member = await page.member("member1");
  const nonsense = answer(200, "hello");
  const otherProposal = answer(200, { proposalId: "0".repeat(64), proposalState: "Open" });
  const lost: (NodeAnswer | Error)[] = [
    unreachable(),
    new DOMException("The page was left", "AbortError"),
    answer(502, "<html>bad gateway</html>"),
    // The relay, which words its failures as nodes do: the request may have arrived.
    { ...answer(502, { error: { code: "ConnectionLost", message: "It broke off" }, what: "w" }), byRelay: true },
    nonsense,
    otherProposal,
    answer(200, { proposalId: id, proposalState: "Open" }, { "x-ms-ccf-transaction-id": "none" }),
  ];
  const envelope = await page.signed(member, ballot(id));
  for (const each of lost) {
    page.instead.push(each);
    const outcome = await sendEnvelope(page.delivery, envelope);
    assert.equal(outcome.kind, "lost");
    const [kept, ...others] = (await page.outbox.list()).filter(({ state }) => state === "waiting");
    assert.deepEqual(others, []);
    assert.deepEqual([kept!.id, kept!.body], [envelope.id, envelope.body]);
    assert(kept!.problem !== undefined);
  }
  page.instead.push(answer(503, { error: { code: "PrimaryNotFound", message: "Not now" } }));
  const later = refused(await sendEnvelope(page.delivery, envelope));
  assert.equal(later.retry, true);
  const kept = (await page.outbox.get(envelope.id))!;
  assert.equal(kept.attempts, lost.length + 1);
  assert.equal(wordsOfEnvelope(kept).fields.find(({ label }) => label === "Proposal")!.value, id);
  const outcome = await sendEnvelope(page.delivery, kept);
  assert(outcome.kind === "accepted");
  assert.deepEqual(await followCommit(page.delivery, kept.id, outcome.txId!), { kind: "committed" });
  assert.equal(await page.outbox.get(envelope.id), undefined);
});

Deno.test("an answer that was lost, and not the request, does no harm: the same bytes count once", async () => {
  const id = await page.propose(user());
  const envelope = await page.signed(await page.member("member1"), ballot(id));
  page.losesAnswers = true;
  page.instead.push(unreachable());
  assert.equal((await sendEnvelope(page.delivery, envelope)).kind, "lost");
  const again = await sendEnvelope(page.delivery, (await page.outbox.get(envelope.id))!);
  assert.equal(again.kind, "accepted");
  const proposal = { kind: "proposal", proposal: toUtf8(JSON.stringify({ actions: [user()] })) } as const;
  const made = await page.signed(await page.member("member1"), proposal);
  page.instead.push(unreachable());
  assert.equal((await sendEnvelope(page.delivery, made)).kind, "lost");
  assert.equal(refused(await sendEnvelope(page.delivery, made)).code, "ProposalReplay");
});

Deno.test("a transaction that an election lost waits in the outbox again; one that stays open is told as that", async () => {
  const id = await page.propose(user());
  const envelope = await page.signed(await page.member("member1"), ballot(id));
  assert.equal((await sendEnvelope(page.delivery, envelope)).kind, "accepted");
  // Of a view that never had so many transactions.
  const gone = await followCommit(page.delivery, envelope.id, "1.9");
  assert.equal(gone.kind, "invalid");
  assert.equal((await page.outbox.get(envelope.id))!.state, "waiting");
  const answers = [answer(200, { status: "Pending" }), answer(500, ""), answer(200, "?"), unreachable()];
  for (let i = 0; i < MAX_COMMIT_QUESTIONS; i++) page.instead.push(answers[i % answers.length]!);
  const pending = await followCommit(page.delivery, envelope.id, "2.9");
  assert(pending.kind === "pending");
  assert.match(pending.problem.why, /cannot be reached/);
  assert.deepEqual(page.instead, [], "it asked so often and no more");
});

Deno.test("a receipt that is none, or of something else, is not verified", async () => {
  const { servicePem } = page.service.node;
  page.instead.push(answer(200, "no receipt"));
  assert.equal((await fetchReceipt(page.delivery, "2.9", servicePem)).kind, "unavailable");
  page.instead.push(answer(400, ""));
  assert.equal((await fetchReceipt(page.delivery, "2.9", servicePem)).kind, "unavailable");
  page.service.node.advance(2000);
  const first = await fetchReceipt(page.delivery, "2.5", servicePem);
  assert(first.kind === "verified", JSON.stringify(first));
  page.instead.push(answer(200, first.text));
  const wrong = await fetchReceipt(page.delivery, "2.6", servicePem);
  assert(wrong.kind === "refused");
  assert.match(wrong.verdict.reason!, /^transaction/);
});

Deno.test("an envelope goes nowhere but to where its own bytes belong", async () => {
  const id = await page.propose(user());
  const envelope = await page.signed(await page.member("member1"), ballot(id));
  for (const target of ["@example.com/", "/gov/members/proposals:create?api-version=2024-07-01"]) {
    page.instead.push(unreachable());
    assert.equal(refused(await sendEnvelope(page.delivery, { ...envelope, target })).code, "EnvelopeDamaged");
    assert.equal(page.instead.pop()?.constructor, ProblemError, "nothing was asked");
  }
});

Deno.test("an envelope that cannot be kept is sent all the same, and that is said", async () => {
  const id = await page.propose(user());
  const failing = memoryRecords<KeptEnvelope>();
  const outbox = new Outbox({ ...failing, update: () => Promise.reject(unreachable()) });
  const envelope = await page.signed(await page.member("member1"), ballot(id));
  const outcome = await sendEnvelope({ ...page.delivery, outbox }, envelope);
  assert.equal(outcome.kind, "accepted");
  assert.equal(outcome.notKept!.code, "NodeUnreachable");
});
