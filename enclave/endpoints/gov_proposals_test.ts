import { strict as assert } from "node:assert";
import { toBase64, toUtf8 } from "../../shared/bytes.ts";
import { parseCoseSign1, serialiseCoseSign1 } from "../../shared/crypto/cose.ts";
import { COSE_HISTORY, MEMBERS_INFO, PROPOSALS_INFO, USERS_INFO } from "../../shared/governance/tables.ts";
import { serviceTest } from "../../tests/inline_app.ts";
import type { InlineService } from "../../tests/inline_service.ts";
import { ask, decide, propose, type Reply, reply, send, signed, vote } from "../../tests/members.ts";

const USER = "1".repeat(64);
const NOTE = { name: "set_user_data", args: { user_id: USER, user_data: { note: "x" } } };

function code({ status, json }: Reply): string {
  return `${status} ${json?.error?.code ?? json?.proposalState ?? ""}`.trim();
}

function detail({ status, json }: Reply): string {
  const [first] = json.error.details ?? [];
  return `${status} ${first?.auth_policy}: ${first?.message}`;
}

const memberOf = ({ sandbox }: InlineService, i: number) => sandbox.opening.members[i]!;
const tablesOf = ({ node }: InlineService) => node.enclave.node!.store.beginReadOnly();

serviceTest(
  "a proposal is made, voted on and done, and every request is in the history of its member",
  "native",
  (service) => {
    const created = propose(service, 0, NOTE);
    assert.equal(code(created), "200 Open");
    const { proposalId } = created.json;
    assert.deepEqual(created.json, {
      ballotCount: 0,
      proposalId,
      proposalState: "Open",
      proposerId: memberOf(service, 0).id,
    });
    assert.equal(code(vote(service, 1, proposalId)), "200 Open");
    const closing = signed(memberOf(service, 2), {
      kind: "ballot",
      proposalId,
      ballot: "export const vote = () => 1;",
    });
    const closed = send(service, closing);
    assert.equal(code(closed), "200 Accepted");
    assert.deepEqual(closed.json.finalVotes, { [memberOf(service, 1).id]: true, [memberOf(service, 2).id]: true });
    assert.deepEqual(closed.json.voteFailures, {});
    const tx = tablesOf(service);
    assert.deepEqual(tx.open(USERS_INFO).get(USER), { user_data: { note: "x" } });
    const last = tx.open(COSE_HISTORY).get(memberOf(service, 2).id)!;
    assert.deepEqual(last, closing.body);
    assert.equal(code(vote(service, 0, proposalId)), "400 ProposalNotOpen");
  },
);

serviceTest("the constitution decides at once where it can, and what fails leaves nothing", "native", (service) => {
  const unknown = { name: "set_member_data", args: { member_id: USER, member_data: {} } };
  const { proposalId } = propose(service, 0, unknown).json;
  assert.equal(code(vote(service, 0, proposalId)), "200 Open");
  const entries = service.node.entries.length;
  const failed = vote(service, 1, proposalId);
  assert.equal(code(failed), "500 InternalError");
  assert.match(failed.json.error.message, /^Failed to apply\(\): Error: Member 1{64} does not exist\nTrace: {5}at /);
  assert.equal(service.node.entries.length, entries, "the ballot that decided it is not kept either");
  assert.deepEqual(Object.keys(tablesOf(service).open(PROPOSALS_INFO).get(proposalId)!.ballots), [
    memberOf(service, 0).id,
  ]);
});

serviceTest("proposals that make no sense are refused with the constitution's words", "native", (service) => {
  assert.equal(code(propose(service, 0, { name: "nope" })), "400 ProposalFailedToValidate");
  const wrong = propose(service, 0, { name: "set_user_data", args: { user_id: 7 } });
  assert.match(
    wrong.json.error.message,
    /^Proposal failed to validate: set_user_data at position 0 failed validation: /,
  );
  const noJson = ask(service, 0, { kind: "proposal", proposal: toUtf8("{not json") });
  assert.equal(code(noJson), "500 InternalError");
  assert.match(noJson.json.error.message, /^Failed to execute validation: SyntaxError: /);
});

serviceTest("a signature for one proposal, one member or one purpose is none for another", "native", (service) => {
  const first = propose(service, 0, NOTE).json.proposalId;
  const second = propose(service, 0, NOTE).json.proposalId;
  const ballot = signed(memberOf(service, 1), {
    kind: "ballot",
    proposalId: first,
    ballot: "export const vote = () => true;",
  });
  const elsewhere = { ...ballot, target: ballot.target.replace(first, second) };
  assert.equal(send(service, elsewhere).json.error.message, "Authenticated proposal id does not match URL");
  const asOther = { ...ballot, target: ballot.target.replace(memberOf(service, 1).id, memberOf(service, 2).id) };
  assert.equal(send(service, asOther).json.error.message, "Authenticated member id does not match URL");
  const asWithdrawal = { ...ballot, target: `/gov/members/proposals/${first}:withdraw?api-version=2024-07-01` };
  assert.equal(
    detail(send(service, asWithdrawal)),
    "401 active_member_cose_sign1: Found ccf.gov.msg.type set to ballot, expected ccf.gov.msg.type to be withdrawal",
  );
  const message = parseCoseSign1(ballot.body);
  const spoilt = serialiseCoseSign1({ ...message, payload: toUtf8('{"ballot":"export const vote = () => false;"}') });
  assert.equal(
    detail(send(service, { ...ballot, body: spoilt })),
    "401 active_member_cose_sign1: Failed to validate COSE Sign1",
  );
  assert.equal(code(send(service, ballot)), "200 Open");
  assert.equal(code(send(service, ballot)), "200 Open", "the same again changes nothing");
  assert.equal(code(vote(service, 1, first, "export const vote = () => false;")), "400 VoteAlreadyExists");
});

serviceTest("a dry run is never a proposal", "native", (service) => {
  const request = signed(memberOf(service, 0), { kind: "proposal_dry_run", proposal: toUtf8('{"actions":[]}') });
  const asProposal = { ...request, target: "/gov/members/proposals:create?api-version=2024-07-01" };
  assert.equal(
    detail(send(service, asProposal)),
    "401 active_member_cose_sign1: Found ccf.gov.msg.type set to proposal_dry_run, expected ccf.gov.msg.type to be proposal",
  );
});

serviceTest(
  "only active members propose, and a new member becomes active by its acknowledgement",
  "native",
  (service) => {
    const { sandbox: { opening: { members } } } = service;
    const outcast = members[2]!;
    service.node.write((tx) => tx.open(MEMBERS_INFO).put(outcast.id, { status: "Accepted" }));
    assert.equal(detail(propose(service, 2, NOTE)), "401 active_member_cose_sign1: Signer is not an ACTIVE member");
    const { stateDigest } = ask(service, 2, { kind: "state_digest" }).json;
    const wrong = ask(service, 2, { kind: "ack", stateDigest: "0".repeat(64) });
    assert.equal(code(wrong), "400 StateDigestMismatch");
    assert.equal(ask(service, 2, { kind: "ack", stateDigest }).status, 204);
    assert.equal(code(propose(service, 2, NOTE)), "200 Open");
  },
);

serviceTest(
  "a ballot that loops, allocates, writes or imports is no vote, and the node goes on",
  "native",
  (service) => {
    const { proposalId } = propose(service, 0, NOTE).json;
    const imports = vote(service, 0, proposalId, 'import "x"; export const vote = () => true;');
    assert.match(imports.json.error.message, /^Failed to compile public:ccf\.gov\.proposals_info\[/);
    const none = vote(service, 0, proposalId, "export const other = 1;");
    assert.match(none.json.error.message, /^Failed to find export 'vote' in module /);
    assert.equal(
      code(vote(service, 0, proposalId, "export function vote() { const a = []; for (;;) a.push('x'.repeat(1e6)); }")),
      "200 Open",
    );
    const writes = `export function vote() { ccf.kv["public:ccf.gov.users.info"].clear(); return true; }`;
    assert.equal(code(vote(service, 1, proposalId, writes)), "200 Open");
    assert.equal(code(vote(service, 2, proposalId)), "200 Open", "one vote of three is no majority");
    const info = tablesOf(service).open(PROPOSALS_INFO).get(proposalId)!;
    assert.equal(Object.keys(info.ballots).length, 3);
  },
);

serviceTest("withdrawing is for the proposer alone", "native", (service) => {
  const { proposalId } = propose(service, 0, NOTE).json;
  assert.equal(code(ask(service, 1, { kind: "withdrawal", proposalId })), "403 AuthorizationFailed");
  assert.equal(code(ask(service, 0, { kind: "withdrawal", proposalId })), "200 Withdrawn");
  assert.equal(code(ask(service, 0, { kind: "withdrawal", proposalId })), "200 Withdrawn");
  assert.equal(ask(service, 0, { kind: "withdrawal", proposalId: "0".repeat(64) }).status, 204);
});

serviceTest("open proposals are dropped when the constitution changes", "native", (service) => {
  const { proposalId } = propose(service, 2, NOTE).json;
  const constitution = service.config.service.constitution.join("\n") + "\n// new\n";
  assert.equal(code(decide(service, { name: "set_constitution", args: { constitution } })), "200 Accepted");
  assert.equal(tablesOf(service).open(PROPOSALS_INFO).get(proposalId)?.state, "Dropped");
  assert.equal(code(vote(service, 0, proposalId)), "400 ProposalNotOpen");
});

serviceTest("members' requests go through JSON-RPC as they go through REST", "native", (service) => {
  const { body } = signed(memberOf(service, 0), {
    kind: "proposal",
    proposal: toUtf8(JSON.stringify({ actions: [NOTE] })),
  });
  const call = {
    jsonrpc: "2.0",
    id: 1,
    method: "gov/POST /members/proposals:create",
    params: {
      query: { "api-version": "2024-07-01" },
      body: { $base64: toBase64(body), content_type: "application/cose" },
    },
  };
  const { json } = reply(service.node.request({ method: "POST", target: "/rpc", body: call }));
  assert.equal(json.result.proposalState, "Open", JSON.stringify(json));
  assert.match(json.tx_id ?? "", /^2\.\d+$/);
});

serviceTest("a proposal of a megabyte is taken", "native", (service) => {
  const args = { user_id: USER, user_data: { text: "x".repeat(1024 * 1024 - 1000) } };
  assert.equal(code(decide(service, { name: "set_user_data", args })), "200 Accepted");
});

/** The constitution of the service, with another `apply` that does what a test says. */
function withApply(service: InlineService, apply: string): void {
  const constitution = service.config.service.constitution.join("\n")
    .replace("export function apply(", "function ordinaryApply(") +
    `\nexport function apply(proposal, proposalId) { ${apply} }`;
  assert.equal(code(decide(service, { name: "set_constitution", args: { constitution } })), "200 Accepted");
}

const KEY = "new ArrayBuffer(8)";
const SERVICE = 'ccf.kv["public:ccf.gov.service.info"]';

for (
  const [what, apply] of [
    [
      "no configuration",
      `ccf.kv["public:ccf.gov.service.config"].delete(${KEY}); ccf.node.triggerRecoverySharesRefresh();`,
    ],
    [
      "no record of its start",
      `const info = ccf.bufToJsonCompatible(${SERVICE}.get(${KEY})); delete info.current_service_create_txid;
       info.status = "Opening"; ${SERVICE}.set(${KEY}, ccf.jsonCompatibleToBuf(info));
       ccf.node.transitionServiceToOpen(undefined, ccf.strToBuf(info.cert));`,
    ],
    [
      "a second opening",
      `const info = ccf.bufToJsonCompatible(${SERVICE}.get(${KEY})); info.status = "Opening";
       ${SERVICE}.set(${KEY}, ccf.jsonCompatibleToBuf(info));
       ccf.node.transitionServiceToOpen(undefined, ccf.strToBuf(info.cert));`,
    ],
    [
      "more than an entry holds",
      `
       const value = new ArrayBuffer(20e6);
       for (let i = 0; i < 20; i++) ccf.kv["public:big"].set(ccf.strToBuf("" + i), value);`,
    ],
    [
      "a failure that is swallowed",
      `
       try { ccf.node.transitionServiceToOpen(undefined, ccf.strToBuf("nobody")); } catch { /* goes on */ }
       ccf.kv["public:ccf.gov.service.info"].get(${KEY});
       try { ccf.setJwtPublicSigningKeys("nobody", {}, {}); } catch { /* goes on */ }`,
    ],
  ] as const
) {
  serviceTest(
    `what a constitution may do to the node's own tables ends as a failed proposal: ${what}`,
    "native",
    (service) => {
      withApply(service, apply);
      const entries = service.node.entries.length;
      const { proposalId } = propose(service, 0, NOTE).json;
      vote(service, 0, proposalId);
      const failed = vote(service, 1, proposalId);
      assert.equal(code(failed), "500 InternalError");
      assert.match(failed.json.error.message, /^Failed to apply\(\): /);
      assert.equal(service.node.entries.length, entries + 2, "the proposal and one ballot");
      assert.equal(service.node.fatal, undefined);
    },
  );
}
