import { strict as assert } from "node:assert";
import { prepareMemberRequest, readMemberRequest } from "../../../shared/governance/member_request.ts";
import { Refusal } from "./connection.ts";
import { explainRefusal } from "./refusals.ts";

const MEMBER = "dad803e5268a30b5df4ed61241c854812d39f7cf90c13322fff12ee73f032b59";
const NOW_MS = Date.parse("2026-11-22T09:06:40.5Z");

function explained(
  { code, message = "", reasons = [], status = 400, dateMs }: {
    code: string;
    message?: string;
    reasons?: string[];
    status?: number;
    dateMs?: number;
  },
  createdAtSeconds?: number,
) {
  const refusal = new Refusal({ status, body: new Uint8Array(), txId: undefined, dateMs }, code, message, reasons);
  if (createdAtSeconds !== undefined) {
    const signer = { memberId: MEMBER, curve: "P-384" } as const;
    refusal.asked = readMemberRequest(prepareMemberRequest({ kind: "state_digest" }, signer, createdAtSeconds));
  }
  return explainRefusal(refusal, NOW_MS);
}

Deno.test("explainRefusal() says why a member was not heard, as the policies said", () => {
  const unheard = (reason: string) =>
    explained({
      code: "InvalidAuthenticationInfo",
      status: 401,
      message: "Invalid authentication credentials.",
      reasons: [reason],
    }, 1);
  const unknown = unheard("Signer is not a known member");
  assert.equal(unknown.message, "InvalidAuthenticationInfo: Signer is not a known member");
  assert.match(unknown.explanation!, new RegExp(`no member ${MEMBER}`));
  assert.match(unheard("Signer is not an ACTIVE member").explanation!, /run `member ack` first/);
  assert.match(unheard("Failed to validate COSE Sign1").explanation!, /does not verify/);
  assert.equal(unheard("Something new").explanation, undefined);
});

Deno.test("explainRefusal() compares the times that are known when a proposal is too old", () => {
  // As a node words it.
  const message = "Proposal created too long ago, created_at must be greater than 1795338999";
  const { explanation } = explained({
    code: "ProposalCreatedTooLongAgo",
    message,
    dateMs: Date.parse("2026-11-22T09:20:00Z"),
  }, 1795338400);
  assert.equal(
    explanation,
    "this one says 2026-11-22T09:06:40Z, half of the recent proposals are later than 2026-11-22T09:16:39Z, " +
      "this machine's clock shows 2026-11-22T09:06:40Z, the node's 2026-11-22T09:20:00Z; " +
      "set the clock right, or give a later --created-at",
  );
  const { explanation: short } = explained({ code: "ProposalCreatedTooLongAgo", message: "too old" });
  assert.equal(
    short,
    "this machine's clock shows 2026-11-22T09:06:40Z; set the clock right, or give a later --created-at",
  );
});

Deno.test("explainRefusal() passes on what it does not know, made safe for a terminal", () => {
  assert.deepEqual(explained({ code: "New\u001bThing", message: " x\u001b[2J\n" }).explanation, undefined);
  assert.equal(explained({ code: "Other", message: " x\u001b[2J\n" }).message, "Other: x\\u{1b}[2J");
  assert.equal(explained({ code: "", message: "gone", status: 502 }).message, "status 502: gone");
  for (const code of ["constructor", "toString", "__proto__"]) {
    assert.equal(explained({ code, message: "x" }).explanation, undefined);
  }
});

Deno.test("explainRefusal() says what became of a vote or a withdrawal that comes too late or from another", () => {
  assert.match(explained({ code: "ProposalNotOpen" }).explanation!, /closed/);
  assert.match(explained({ code: "VoteAlreadyExists" }).explanation!, /voted on it before/);
  assert.match(explained({ code: "ProposalReplay" }).explanation!, /sent before/);
  const withdrawal = { code: "AuthorizationFailed", status: 403 };
  assert.match(
    explained({ ...withdrawal, message: "Proposal x can only be withdrawn by proposer m[y], not caller m[z]." })
      .explanation!,
    /only who made a proposal can withdraw it/,
  );
  assert.equal(explained({ ...withdrawal, message: "No ACK record exists" }).explanation, undefined);
});
