/**
 * What the commands do, against an enclave that is called directly: its service is not open yet, and its members govern.
 */

import { strict as assert } from "node:assert";
import { createPrivateKey, sign } from "node:crypto";
import { join } from "node:path";
import { loadNativePrimitives } from "../../../enclave/native_primitives.ts";
import { toHex, toUtf8 } from "../../../shared/bytes.ts";
import { PLAIN_BALLOTS } from "../../../shared/governance/member_request.ts";
import type { InlineNode } from "../../../tests/inline_node.ts";
import { startInlineService } from "../../../tests/inline_service.ts";
import { UsageError } from "../exit.ts";
import { endsWell } from "../member.ts";
import { Unreachable } from "../node_client.ts";
import { GovernanceClient, type NodeAnswer, type NodeConnection } from "./connection.ts";
import { type MemberOutput, type MemberSession, signAndSend } from "./context.ts";
import { type MemberIdentity, readIdentity, readSigningKey } from "./credentials.ts";
import { listProposals, resolveProposalId, showProposal, UnknownProposal } from "./proposals.ts";
import { acknowledge, propose, type Signatory, vote, withdraw } from "./requests.ts";
import { reportResult } from "./results.ts";
import { assemble, finish, keep, prepare } from "./two_step.ts";

/** A service whose members act, and what they were told. */
class House {
  readonly said: string[] = [];
  readonly documents: unknown[] = [];
  readonly sent: string[] = [];
  agrees = true;
  /** What the node answers to the next POST, instead of its own answer. */
  instead: NodeAnswer | undefined;

  private constructor(readonly folder: string, readonly node: InlineNode, readonly credentials: string) {}

  static async open(): Promise<House> {
    const folder = Deno.makeTempDirSync({ prefix: "quorate_member_" });
    const { node, sandbox } = await startInlineService(join(folder, "workspace"), "native", { closed: true });
    const house = new House(folder, node, sandbox.commonFolder);
    for (const name of ["member0", "member1", "member2"]) {
      assert.equal(await house.run(async (session) => acknowledge(session, await house.member(name))), 0);
    }
    house.forget();
    return house;
  }

  forget(): void {
    this.agrees = true;
    this.said.length = this.documents.length = this.sent.length = 0;
  }

  get text(): string {
    return this.said.join("\n");
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  file(name: string, content: string): string {
    Deno.writeTextFileSync(this.path(name), content);
    return this.path(name);
  }

  identity(name: string): MemberIdentity {
    return readIdentity(join(this.credentials, `${name}_cert.pem`));
  }

  async member(name: string, createdAtSeconds?: number): Promise<Signatory> {
    const identity = this.identity(name);
    const path = join(this.credentials, `${name}_privk.pem`);
    return { identity, key: await readSigningKey(path, undefined, identity), createdAtSeconds };
  }

  get session(): MemberSession {
    const say = (text: string) => void this.said.push(text);
    const output: MemberOutput = {
      line: say,
      show: say,
      note: say,
      document: (value) => void this.documents.push(value),
    };
    const connection: NodeConnection = { exchange: (...request) => this.#exchange(...request), close: () => {} };
    return {
      primitives: loadNativePrimitives(),
      output,
      nowMs: () => this.node.nowMs,
      wait: () => {
        this.node.advance(1000);
        return Promise.resolve();
      },
      agree: () => this.agrees,
      node: new GovernanceClient(connection),
    };
  }

  /** As the command line runs it. @returns the exit code */
  run(act: (session: MemberSession) => Promise<number>): Promise<number> {
    return endsWell(this.session, () => act(this.session));
  }

  #exchange(method: "GET" | "POST", target: string, body?: Uint8Array): Promise<NodeAnswer> {
    if (method === "POST") this.sent.push(target);
    const { instead } = this;
    if (method === "POST" && instead !== undefined) {
      this.instead = undefined;
      return Promise.resolve(instead);
    }
    const headers: [string, string][] = body === undefined ? [] : [["content-type", "application/cose"]];
    const response = this.node.request({ method, target, headers, ...(body !== undefined && { body }) });
    const txId = response.headers.find(([name]) => name.toLowerCase() === "x-ms-ccf-transaction-id")?.[1];
    return Promise.resolve({ status: response.status, body: response.body, txId, dateMs: undefined });
  }

  /** A proposal that sets the user who is there already. @returns its ID */
  async proposed(note = "x", by = "member0"): Promise<string> {
    const cert = Deno.readTextFileSync(join(this.credentials, "user0_cert.pem"));
    const file = this.file(`${note}.json`, JSON.stringify({ actions: [{ name: "set_user", args: { cert } }], note }));
    assert.equal(await this.run(async (session) => propose(session, await this.member(by), file)), 0, this.text);
    const id = /^Proposal ([0-9a-f]{64}): Open/m.exec(this.text)![1]!;
    this.forget();
    return id;
  }

  close(): void {
    Deno.removeSync(this.folder, { recursive: true });
  }
}

// Opening it costs more than any of the tests; each makes proposals of its own.
let house: House;
Deno.test.beforeAll(async () => {
  house = await House.open();
});
Deno.test.beforeEach(() => house.forget());
Deno.test.afterAll(() => house.close());

Deno.test("propose, vote, show and list follow a proposal from its submission to its acceptance", async () => {
  const id = await house.proposed();
  assert.equal(await house.run(async (session) => vote(session, await house.member("member1"), id, { yes: true })), 0);
  assert.match(house.text, /1\. set_user/, "what is voted on is shown before");
  assert(house.text.indexOf("set_user") < house.text.indexOf("votes yes"), "and the ballot after");
  house.forget();

  await house.run(async (session) => (await listProposals(session, house.identity("member1").memberId), 0));
  assert.match(house.text, new RegExp(`${id.slice(0, 8)}  Open .* by member0 .*1 ballot, you have voted`));
  house.forget();
  await house.run(async (session) => (await showProposal(session, id), 0));
  const { still_to_vote, ballots, payload_sha256, as_of } = house.documents[0] as Record<string, unknown[]>;
  assert.equal(still_to_vote!.length, 2);
  assert.equal(ballots!.length, 1);
  assert.match(String(as_of), /^2\.\d+$/);
  const payload = Deno.readFileSync(house.path("x.json"));
  assert.equal(payload_sha256, toHex(loadNativePrimitives().sha256(payload)));
  assert.match(house.text, /still to vote: .*member0.*member2|still to vote: .*member2.*member0/);
  house.forget();

  const program = house.file("ballot.js", "export function vote() {\n  return 'aye';\n}\n");
  const act = async (session: MemberSession) => vote(session, await house.member("member2"), id, { ballot: program });
  assert.equal(await house.run(act), 0);
  assert.match(house.text, /return 'aye'/);
  assert.match(house.text, new RegExp(`^Voted on proposal ${id}: Accepted, committed as transaction`, "m"));
  house.forget();
  await house.run(async (session) => (await showProposal(session, id), 0));
  assert.match(house.text, /counted as yes/);
  assert(!house.text.includes("still to vote"));
  house.forget();
  assert.equal(await house.run(async (session) => vote(session, await house.member("member0"), id, { no: true })), 1);
  assert.match(house.text, /the proposal is closed/);
});

Deno.test("A proposal is found by the beginning of its ID, where that is enough", async () => {
  const ids = [];
  // Of seventeen, two begin with the same digit.
  for (let i = 0; i < 17; i++) ids.push(await house.proposed(`p${i}`));
  const { node } = house.session;
  assert.equal(await resolveProposalId(node, ids[3]!.slice(0, 40)), ids[3]);
  assert.equal(await resolveProposalId(node, ids[3]!.slice(0, 40).toUpperCase()), ids[3]);
  const digits = ids.map((id) => id[0]!);
  const twice = digits.find((digit, i) => digits.indexOf(digit) !== i)!;
  await assert.rejects(resolveProposalId(node, twice), {
    name: "UsageError",
    message: /begin so; give more of the ID/,
  });
  await assert.rejects(resolveProposalId(node, "0123456789abcdef"), UnknownProposal);
  for (const none of ["", "xyz", `${ids[0]}0`, "../members"]) {
    await assert.rejects(resolveProposalId(node, none), UsageError);
  }
});

Deno.test("Nothing is sent that the person did not agree to, or that was not shown", async () => {
  const id = await house.proposed();
  house.agrees = false;
  assert.equal(await house.run(async (session) => vote(session, await house.member("member1"), id, { yes: true })), 1);
  assert.deepEqual(house.sent, []);
  assert.match(house.text, /A ballot on proposal [\s\S]*Nothing was sent/);
  const broken = house.file("broken.json", "{");
  const signatory = await house.member("member0");
  await assert.rejects(propose(house.session, signatory, broken), UsageError);
  await assert.rejects(vote(house.session, signatory, id, {}), UsageError);
  await assert.rejects(vote(house.session, signatory, id, { yes: true, no: true }), UsageError);
  assert.deepEqual(house.sent, []);
});

Deno.test("withdraw takes back one's own proposal and no other", async () => {
  const id = await house.proposed();
  const by = (name: string) => house.run(async (session) => withdraw(session, await house.member(name), id));
  assert.equal(await by("member1"), 1);
  assert.match(house.text, /1\. set_user[\s\S]*The withdrawal of proposal/, "what is withdrawn is shown");
  assert.match(house.text, /only who made a proposal can withdraw it/);
  house.forget();
  assert.equal(await by("member0"), 0);
  assert.match(house.text, new RegExp(`^Proposal ${id}: Withdrawn`, "m"));
  house.forget();
  const none = "0".repeat(64);
  assert.equal(await house.run(async (session) => withdraw(session, await house.member("member0"), none)), 1);
  assert.match(house.text, /there is no such proposal/);
  // It may have gone after a look at it: then the service has nothing to withdraw, and that is no error to it.
  const signatory = await house.member("member0");
  const gone = { kind: "withdrawal", proposalId: none } as const;
  house.forget();
  assert.equal(
    await house.run(async (session) =>
      reportResult(session.output, await signAndSend(session, signatory.identity, signatory.key, gone, 1))
    ),
    1,
  );
  assert.match(house.text, /nothing was withdrawn/);
});

Deno.test("A proposal that is dated too early, or sent again, is refused in words", async () => {
  const first = Math.floor(house.node.nowMs / 1000);
  const file = house.file("p.json", '{"actions":[]}');
  const at = (seconds: number) =>
    house.run(async (session) => propose(session, await house.member("member0", seconds), file));
  assert.equal(await at(first + 10), 0);
  house.forget();
  assert.equal(await at(first - 100), 1);
  assert.match(house.text, /ProposalCreatedTooLongAgo[\s\S]*give a later --created-at/);
  house.forget();
  // The same bytes are signed alike.
  assert.equal(await at(first + 10), 1);
  assert.match(house.text, /ProposalReplay[\s\S]*sent before/);
});

Deno.test("What a service accepted and then lost in an election is told as lost", async () => {
  const id = await house.proposed();
  const answer = { proposalId: id, proposerId: "0".repeat(64), proposalState: "Open", ballotCount: 1 };
  // Of a view that never had so many transactions.
  house.instead = { status: 200, body: toUtf8(JSON.stringify(answer)), txId: "1.9", dateMs: undefined };
  assert.equal(await house.run(async (session) => vote(session, await house.member("member1"), id, { yes: true })), 1);
  assert.match(house.text, /lost transaction 1\.9/);
});

Deno.test("endsWell() tells apart what was refused and what was not reached", async () => {
  const unreachable = () => Promise.reject(new Unreachable("Cannot reach it"));
  assert.equal(await house.run(unreachable), 3);
  house.instead = { status: 502, body: toUtf8("bad\u001bgateway"), txId: undefined, dateMs: undefined };
  assert.equal(await house.run(async (session) => acknowledge(session, await house.member("member0"))), 1);
  assert.match(house.text, /status 502: bad\\u\{1b\}gateway/);
});

Deno.test("prepare and finish: a signature made by other hands is verified before anything is sent", async () => {
  const id = await house.proposed();
  const [file, tbs] = [house.path("ballot.json"), house.path("ballot.tbs")];
  const identity = house.identity("member1");
  const preparing = (out: string) =>
    house.run((session) => prepare(session, session.node, identity, "ballot", id, { out, toBeSigned: tbs, yes: true }));
  assert.equal(await preparing(file), 0);
  assert.deepEqual(house.sent, []);
  assert.match(house.text, /set_user[\s\S]*A ballot on proposal/);
  assert.equal(Deno.statSync(file).mode! & 0o777, 0o600);
  await assert.rejects(preparing(house.path("other.json")), { message: /there is a file already/ });

  const signed = (name: string, bytes: Uint8Array) => {
    const key = createPrivateKey(Deno.readTextFileSync(join(house.credentials, `${name}_privk.pem`)));
    Deno.writeFileSync(house.path("signature"), sign("sha384", bytes, key));
    return house.path("signature");
  };
  const bytes = Deno.readFileSync(tbs);
  const assembled = (signature: string, by = identity) => assemble(house.session, by, file, signature);
  assert.equal(assembled(signed("member1", toUtf8("other"))), undefined);
  assert.equal(assembled(signed("member0", bytes)), undefined);
  assert.match(house.text, /Nothing was sent: the signature .* is not one of/);
  assert.throws(() => assembled(signed("member0", bytes), house.identity("member0")), UsageError);
  assert.equal(assembled(house.file("none", "no signature")), undefined);
  assert.match(house.text, /holds no ES384 signature/);

  const finished = assembled(signed("member1", bytes))!;
  assert.equal(keep(house.session, finished, house.path("ballot.cose")), 0);
  assert.deepEqual(house.sent, []);
  house.forget();
  assert.equal(await house.run((session) => finish(session, identity, finished)), 0);
  assert.equal(house.sent.length, 1);
  assert.match(house.text, new RegExp(`A ballot on proposal ${id}[\\s\\S]*Voted on proposal ${id}: Open`));
  assert.equal(await house.session.node.ballot(id, identity.memberId), PLAIN_BALLOTS.yes);
  // The body that was kept is what was sent: the service takes it again, and changes nothing.
  const { status } = house.node.request({
    method: "POST",
    target: house.sent[0]!,
    headers: [["content-type", "application/cose"]],
    body: Deno.readFileSync(house.path("ballot.cose")),
  });
  assert.equal(status, 200);
});

Deno.test("prepare works without a node, but for what only a node knows", async () => {
  const identity = house.identity("member0");
  const offline = (kind: Parameters<typeof prepare>[3], about?: string, options = {}) =>
    prepare(house.session, undefined, identity, kind, about, { out: house.path(crypto.randomUUID()), ...options });
  assert.equal(await offline("withdrawal", "a".repeat(64)), 0);
  assert.equal(await offline("state-digest"), 0);
  assert.equal(await offline("ack", undefined, { stateDigest: "ab" }), 0);
  assert.equal(await offline("ballot", "b".repeat(64), { no: true }), 0);
  assert.match(house.text, /without --node nobody shows what this proposal is/);
  await assert.rejects(offline("withdrawal", "abc"), UsageError);
  await assert.rejects(offline("withdrawal"), UsageError);
  await assert.rejects(offline("ack"), UsageError);
  await assert.rejects(offline("ack", "about"), UsageError);
  const share = house.file("share", "not base64: my secret");
  await assert.rejects(offline("share", share), (error: Error) => {
    assert(error instanceof UsageError && !error.message.includes("my secret"), error.message);
    return true;
  });
  assert.deepEqual(house.sent, []);
});
