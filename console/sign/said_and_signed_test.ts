import { strict as assert } from "node:assert";
import fc from "fast-check";
import { concat, equalBytes, toHex, toUtf8 } from "../../shared/bytes.ts";
import { type CborValue, encodeCbor } from "../../shared/crypto/cbor.ts";
import {
  type MemberRequest,
  PLAIN_BALLOTS,
  prepareMemberRequest,
  requestToBeSigned,
} from "../../shared/governance/member_request.ts";
import { mutated } from "../../tests/mutations.ts";
import { type Review, reviewBytes, type Said, type Signed } from "./said_and_signed.ts";
import { MEMBER_REQUESTS, PROPOSAL } from "../../tests/member_requests.ts";

const MEMBER = "ab".repeat(32);
const TIME = 1_800_000_000;
const signer = { memberId: MEMBER, curve: "P-384" } as const;

const bytesOf = (request: MemberRequest, at = TIME) => requestToBeSigned(prepareMemberRequest(request, signer, at));
const saidOf = (request: MemberRequest): Said => ({ request, ...signer, createdAtSeconds: TIME });

/** All that a person reads, without the digests: those change with every byte anyway. */
const words = ({ title, fields, actions, text }: Signed) => JSON.stringify([title, fields, actions, text]);

const fieldsOf = ({ mismatches }: Review) => mismatches.map(({ field }) => field);

Deno.test("reviewBytes() says of each kind of request what its bytes say, and finds no difference", () => {
  for (const request of MEMBER_REQUESTS) {
    const { signed, mismatches } = reviewBytes(bytesOf(request), saidOf(request));
    assert.deepEqual(mismatches, []);
    assert(signed!.fields.some(({ label, value }) => label === "Member" && value === MEMBER));
    assert(signed!.fields.some(({ header, value }) => header?.endsWith("created_at") && value.includes("2027-01-15")));
    for (const { hex, groups } of signed!.digests) assert.equal(groups.replaceAll(" ", ""), hex);
  }
  const ballot = reviewBytes(bytesOf(MEMBER_REQUESTS[2]!), saidOf(MEMBER_REQUESTS[2]!)).signed!;
  assert.deepEqual(ballot.fields.find(({ label }) => label === "Vote")!.value, "yes");
  const proposal = reviewBytes(bytesOf(MEMBER_REQUESTS[0]!), saidOf(MEMBER_REQUESTS[0]!)).signed!;
  assert.deepEqual(proposal.actions, [{
    name: "set_user",
    args: [["cert", '"x"'], ["user_data", '{"group":"bank"}']],
  }]);
  const share = reviewBytes(bytesOf(MEMBER_REQUESTS[7]!), saidOf(MEMBER_REQUESTS[7]!)).signed!;
  assert(!words(share).includes("BwcH"), "a share is a secret, also here");
});

Deno.test("reviewBytes() names each difference between form and bytes", () => {
  const ballot = MEMBER_REQUESTS[2] as MemberRequest & { kind: "ballot" };
  const review = (change: Partial<Said>, of: MemberRequest = ballot) =>
    reviewBytes(bytesOf(of), { ...saidOf(of), ...change });
  assert.deepEqual(fieldsOf(review({ memberId: "00".repeat(32) })), ["member"]);
  assert.deepEqual(fieldsOf(review({ curve: "P-256" })), ["algorithm"]);
  assert.deepEqual(fieldsOf(review({ createdAtSeconds: TIME + 1 })), ["created_at"]);
  assert.deepEqual(fieldsOf(review({ request: { ...ballot, proposalId: "00".repeat(32) } })), ["proposal_id"]);
  assert.deepEqual(fieldsOf(review({ request: { ...ballot, ballot: PLAIN_BALLOTS.no } })), ["payload"]);
  assert.deepEqual(fieldsOf(review({ request: MEMBER_REQUESTS[4]! })), ["kind"]);
  assert.deepEqual(fieldsOf(review({ request: MEMBER_REQUESTS[0]! }, MEMBER_REQUESTS[1])), ["kind"]);
  const share = { kind: "recovery_share", share: new Uint8Array(44).fill(8) } as const;
  const other = review({ request: share }, MEMBER_REQUESTS[7]);
  assert.deepEqual(fieldsOf(other), ["payload"]);
  assert(!JSON.stringify(other.mismatches).includes("CAgI"));
  const [payload] = review({ request: { ...ballot, ballot: PLAIN_BALLOTS.no } }).mismatches;
  assert.match(
    payload!.sentence,
    /form says that the ballot is ".*return false.*and what would be signed says ".*true/,
  );
});

Deno.test("reviewBytes() compares the actions of a form with those of the text, one by one", () => {
  const [request] = MEMBER_REQUESTS;
  const review = (actions: Said["actions"]) =>
    reviewBytes(bytesOf(request!), { ...saidOf(request!), actions: actions! });
  const action = { name: "set_user", args: { user_data: { group: "bank" }, cert: "x" } };
  assert.deepEqual(fieldsOf(review([action])), [], "the order of members means nothing");
  assert.deepEqual(fieldsOf(review([])), ["actions"]);
  assert.deepEqual(fieldsOf(review([action, action])), ["actions"]);
  assert.deepEqual(fieldsOf(review([{ ...action, args: { ...action.args, cert: "y" } }])), ["actions"]);
});

Deno.test("two long texts that differ at their end are told apart by their digests", () => {
  const [left, right] = ["a", "b"].map((end) =>
    ({ ...MEMBER_REQUESTS[2]!, ballot: "/".repeat(500) + end }) as MemberRequest
  );
  const [mismatch] = reviewBytes(bytesOf(left!), saidOf(right!)).mismatches;
  assert.notEqual(mismatch!.said, mismatch!.signed);
});

Deno.test("any change of any byte is a difference, or changes the words", () => {
  for (const request of MEMBER_REQUESTS) {
    const bytes = bytesOf(request);
    const original = reviewBytes(bytes, saidOf(request)).signed!;
    const check = (changed: Uint8Array) => {
      if (equalBytes(changed, bytes)) return;
      const { signed, mismatches } = reviewBytes(changed, saidOf(request));
      assert(mismatches.length > 0, `changed unseen: ${toHex(changed)}`);
      // The share is not shown, so only the comparison finds another one.
      if (signed !== undefined && request.kind !== "recovery_share") assert.notEqual(words(signed), words(original));
    };
    for (let at = 0; at < bytes.length; at++) {
      for (const bit of [1, 0x20, 0x80]) check(bytes.map((byte, i) => i === at ? byte ^ bit : byte));
    }
    fc.assert(fc.property(mutated(bytes), check), { numRuns: 300 });
  }
});

Deno.test("what is signed but would not be seen cannot be signed", () => {
  const [ballot] = [MEMBER_REQUESTS[2]!];
  const header = (entries: readonly (readonly [number | string, CborValue])[]) => encodeCbor(new Map(entries));
  const usual: [number | string, CborValue][] = [
    [1, -35],
    [4, toUtf8(MEMBER)],
    ["ccf.gov.msg.type", "ballot"],
    ["ccf.gov.msg.created_at", TIME],
    ["ccf.gov.msg.proposal_id", PROPOSAL],
  ];
  const payload = toUtf8(JSON.stringify({ ballot: PLAIN_BALLOTS.yes }));
  const structure = (...parts: CborValue[]) => encodeCbor(parts);
  const none = new Uint8Array();
  const usualBytes = structure("Signature1", header(usual), none, payload);
  assert(equalBytes(usualBytes, bytesOf(ballot)), "this test writes what members sign");
  const replaced = (label: number | string, value: CborValue) =>
    header(usual.map(([each, old]) => [each, each === label ? value : old]));
  const json = (text: string) => structure("Signature1", header(usual), none, toUtf8(text));
  const strange: Readonly<Record<string, Uint8Array>> = {
    "the parameter 99": structure("Signature1", header([...usual, [99, 1]]), none, payload),
    "another order": structure("Signature1", header([...usual].reverse()), none, payload),
    "data from outside": structure("Signature1", header(usual), Uint8Array.of(1), payload),
    "no signature of one signer": structure("Signature", header(usual), none, payload),
    'kind "constructor"': structure("Signature1", replaced("ccf.gov.msg.type", "constructor"), none, payload),
    "algorithm -7000": structure("Signature1", replaced(1, -7000), none, payload),
    "its time is none": structure("Signature1", replaced("ccf.gov.msg.created_at", 10 ** 12), none, payload),
    "must name a proposal": structure("Signature1", header(usual.slice(0, 4)), none, payload),
    'not exactly {"ballot"': json(`{"ballot":"x", "ballot":"x"}`),
    'exactly {"ballot"': json(`{"ballot":"x","more":1}`),
    "payload is not": json(`{"ballot": "x"}`),
    "its header is no map": structure("Signature1", encodeCbor([]), none, payload),
    "list of four parts": encodeCbor([1]),
    "Cannot read CBOR": concat(usualBytes, Uint8Array.of(0)),
  };
  for (const [why, bytes] of Object.entries(strange)) {
    const { signed, mismatches } = reviewBytes(bytes, saidOf(ballot));
    assert.equal(signed, undefined, why);
    assert.deepEqual(mismatches.map(({ field }) => field), ["bytes"]);
    assert(mismatches[0]!.sentence.includes(why), `${mismatches[0]!.sentence}: expected ${why}`);
  }
  const full = reviewBytes(structure("Signature1", header(usual), none, none), saidOf(ballot));
  assert.equal(full.signed, undefined);
});

Deno.test("text that steers a page, or hides, is shown as what it is", () => {
  const request: MemberRequest = { kind: "ballot", proposalId: PROPOSAL, ballot: "return \u202etrue\u200b;\u0007" };
  const { signed } = reviewBytes(bytesOf(request), saidOf(request));
  assert.deepEqual(signed!.text, ["return \\u{202e}true\\u{200b};\\u{7}"]);
});
