import { strict as assert } from "node:assert";
import { FormatError } from "../assert.ts";
import { toUtf8 } from "../bytes.ts";
import { MAX_SHOWN_BALLOT_LINES } from "../limits.ts";
import { type MemberRequest, PLAIN_BALLOTS, prepareMemberRequest } from "./member_request.ts";
import { actionLines, ballotLines, ballotWords, requestWords } from "./request_words.ts";

const MEMBER = "dad803e5268a30b5df4ed61241c854812d39f7cf90c13322fff12ee73f032b59";
const PROPOSAL = "ac60cf1a3678870eb30eee080238f0814f286908024c795ab59619ae165c8cf1";
/** By sha256sum of nothing. */
const EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const words = (request: MemberRequest) =>
  requestWords(prepareMemberRequest(request, { memberId: MEMBER, curve: "P-384" }, 1795338400));

Deno.test("requestWords() says what a request asks for, who asks and when", () => {
  assert.deepEqual(words({ kind: "withdrawal", proposalId: PROPOSAL }), [
    `To withdraw proposal ${PROPOSAL}`,
    `  signed by member ${MEMBER}, with a key on P-384, dated 2026-11-22T09:06:40Z`,
    `  payload: 0 bytes, SHA-256 ${EMPTY}`,
    `  goes to: POST /gov/members/proposals/${PROPOSAL}:withdraw?api-version=2024-07-01`,
  ]);
  const proposal = toUtf8('{"actions":[{"name":"set_x","args":{"a":1}},{"name":"y","args":[2]}]}');
  const actions = ["  1. set_x", "       a: 1", "  2. y", "       [2]"];
  assert.deepEqual(words({ kind: "proposal", proposal }).slice(0, 5), ["To propose:", ...actions]);
  assert.deepEqual(words({ kind: "proposal_dry_run", proposal }).slice(0, 5), [
    "To try, without proposing it:",
    ...actions,
  ]);
  assert.equal(
    words({ kind: "ack", stateDigest: "ab\u001b[2J" })[0],
    "To acknowledge the state of the ledger with root ab\\u{1b}[2J",
  );
  assert.match(words({ kind: "state_digest" })[0]!, /^To be told the newest signed state/);
  assert.equal(
    words({ kind: "ballot", proposalId: PROPOSAL, ballot: PLAIN_BALLOTS.no })[0],
    `To vote on proposal ${PROPOSAL}: no`,
  );
});

Deno.test("requestWords() never shows a share", () => {
  const share = toUtf8("my secret share!!");
  const text = words({ kind: "recovery_share", share }).join("\n");
  assert.match(text, /^To hand in a recovery share of 17 bytes$/m);
  for (const secret of ["my secret", btoa("my secret share!!")]) assert(!text.includes(secret));
});

Deno.test("actionLines() shows an empty list, and what is no list, as they are; what is not JSON is refused", () => {
  assert.deepEqual(actionLines('{"actions":[]}'), ["  no action at all"]);
  assert.deepEqual(actionLines('{"a":1}'), ['  {"a":1}']);
  assert.throws(() => actionLines("{"), FormatError);
});

Deno.test("ballotLines() shows a program line by line, up to a limit that it tells", () => {
  assert.deepEqual([ballotWords(PLAIN_BALLOTS.yes), ballotLines(PLAIN_BALLOTS.yes)], ["yes", []]);
  const program = "export function vote() {\n\treturn 1;\n}\n";
  assert.deepEqual(ballotLines(program), ["    | export function vote() {", "    | \treturn 1;", "    | }"]);
  // By sha256sum.
  assert.equal(ballotWords(""), `by a program, SHA-256 ${EMPTY}`);
  const long = ballotLines("x\n".repeat(MAX_SHOWN_BALLOT_LINES + 5));
  assert.equal(long.length, MAX_SHOWN_BALLOT_LINES + 1);
  assert.equal(long.at(-1), "    … and 5 lines more, not shown");
});
