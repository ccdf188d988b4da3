import { strict as assert } from "node:assert";
import { toUtf8 } from "../bytes.ts";
import { serialiseShare, SHARE_BYTES, shareFreshSecret } from "../crypto/shamir.ts";
import { type MemberRequest, PLAIN_BALLOTS, prepareMemberRequest } from "./member_request.ts";
import { ballotLines, plainVote, proposalLines, requestLines, shareWords, shortId } from "./request_words.ts";

const MEMBER = "dad803e5268a30b5df4ed61241c854812d39f7cf90c13322fff12ee73f032b59";
const PROPOSAL = "ac60cf1a3678870eb30eee080238f0814f286908024c795ab59619ae165c8cf1";
/** By sha256sum of nothing. */
const EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const lines = (request: MemberRequest) =>
  requestLines(prepareMemberRequest(request, { memberId: MEMBER, curve: "P-384" }, 1795338400));

Deno.test("requestLines() says what a request asks for, who asks and when", () => {
  assert.deepEqual(lines({ kind: "withdrawal", proposalId: PROPOSAL }), [
    `The withdrawal of proposal ${PROPOSAL}`,
    `  signed by member ${MEMBER}, at 2026-11-22T09:06:40Z`,
    `  payload: 0 bytes, SHA-256 ${EMPTY}`,
    `  sent to /gov/members/proposals/${PROPOSAL}:withdraw?api-version=2024-07-01`,
  ]);
  const proposal = toUtf8('{"actions":[{"name":"set_x","args":{"a":1}},{"name":"y","args":[2]}]}');
  const actions = ["  1. set_x", "       a: 1", "  2. y", "       [2]"];
  assert.deepEqual(lines({ kind: "proposal", proposal }).slice(0, 5), ["A proposal", ...actions]);
  assert.deepEqual(lines({ kind: "proposal_dry_run", proposal }).slice(1, 5), actions);
  const ack = lines({ kind: "ack", stateDigest: "ab\u001b[2J" });
  assert.deepEqual(ack.slice(0, 2), ["An acknowledgement", "  state digest ab\\u{1b}[2J"]);
  const ballot = lines({ kind: "ballot", proposalId: PROPOSAL, ballot: PLAIN_BALLOTS.no });
  assert.deepEqual(ballot.slice(0, 2), [`A ballot on proposal ${PROPOSAL}`, "  votes no"]);
});

Deno.test("requestLines() says which share is handed in, and nothing of what is in it", () => {
  const share = serialiseShare(shareFreshSecret(2, 3, (n) => crypto.getRandomValues(new Uint8Array(n))).shares[1]!);
  const text = lines({ kind: "recovery_share", share }).join("\n");
  assert.match(text, /^A recovery share: number 2;/);
  for (let i = 4; i < SHARE_BYTES; i += 4) {
    const limb = share.subarray(i, i + 4);
    for (const secret of [limb.toHex(), limb.toBase64().slice(0, 5)]) assert(!text.includes(secret));
  }
  assert.equal(shareWords(new Uint8Array(SHARE_BYTES)), "the full recovery key, as owners hold it");
  assert.equal(shareWords(new Uint8Array(3)), "3 bytes of an unknown form");
});

Deno.test("proposalLines() shows what is no list of actions too", () => {
  assert.deepEqual(proposalLines(toUtf8('{"a":1}')), ['no list of actions: {"a":1}']);
  assert.deepEqual(proposalLines(toUtf8('{"actions":[]}')), ["no action at all"]);
  assert.deepEqual(proposalLines(toUtf8("{")), ["no JSON: 1 bytes"]);
  assert.deepEqual(proposalLines(Uint8Array.of(0xff)), ["no JSON: 1 bytes"]);
});

Deno.test("plainVote() knows ballots that look at nothing, and takes nothing else for one", () => {
  for (const [word, vote] of [["true", "yes"], ["false", "no"]] as const) {
    for (
      const ballot of [
        `export function vote(proposal, proposerId) { return ${word}; }`,
        `export function vote () {\n  return ${word}\n}\n`,
        `export function vote(p, id,) {return ${word}}`,
      ]
    ) {
      assert.equal(plainVote(ballot), vote, ballot);
    }
  }
  assert.deepEqual([plainVote(PLAIN_BALLOTS.yes), plainVote(PLAIN_BALLOTS.no)], ["yes", "no"]);
  for (
    const other of [
      "",
      "export function vote() { return true && false; }",
      "export function vote() { return\ntrue; }",
      "export function vote(p = x()) { return true; }",
      "export function vote() { return true; } export function votes() {}",
      "export async function vote() { return false; }",
      "/* export function vote() { return true; } */ export function vote() { return 1; }",
      `export function vote() {${" ".repeat(300)}return true; }`,
    ]
  ) {
    assert.equal(plainVote(other), undefined, other);
  }
});

Deno.test("ballotLines() shows every line of a program", () => {
  const title = "a program that decides anew at each count:";
  const program = "export function vote() {\n\treturn '\u202e';\n}";
  assert.deepEqual(ballotLines(program), [title, "  | export function vote() {", "  | \treturn '\\u{202e}';", "  | }"]);
  assert.equal(ballotLines("x\n".repeat(5000)).length, 1 + 5001, "none is left out");
});

Deno.test("shortId() is safe on a terminal, whatever a node calls an ID", () => {
  assert.equal(shortId(PROPOSAL), "ac60cf1a");
  assert.equal(shortId("a\u001b[2Jbcdefgh"), "a\\u{1b}[2Jbcd");
});
