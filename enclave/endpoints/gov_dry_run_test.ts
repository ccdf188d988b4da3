import { strict as assert } from "node:assert";
import { toUtf8 } from "../../shared/bytes.ts";
import { parsePemBlock } from "../../shared/crypto/pem.ts";
import { MEMBERS_INFO } from "../../shared/governance/tables.ts";
import { isSignedBy, parseCertificatePem, publicKeyOf } from "../../shared/crypto/x509.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { MAX_DRY_RUNS_PER_WINDOW } from "../../shared/limits.ts";
import { serviceTest } from "../../tests/inline_app.ts";
import type { InlineService } from "../../tests/inline_service.ts";
import { ask, propose, type Reply, reply, send, signed, vote } from "../../tests/members.ts";

const TARGET = "/gov/service/proposals:dry-run?api-version=2024-07-01";
const USER = "1".repeat(64);
const NOTE = { name: "set_user_data", args: { user_id: USER, user_data: { note: "x" } } };

function tryOut(service: InlineService, actions: readonly unknown[], member = 0): Reply {
  const entries = service.node.entries.length;
  const answer = ask(service, member, { kind: "proposal_dry_run", proposal: toUtf8(JSON.stringify({ actions })) });
  service.node.enclave.node!.signWhatIsLeft();
  service.node.send();
  assert.equal(service.node.entries.length, entries, "nothing of it reaches the ledger");
  return answer;
}

const ids = ({ sandbox }: InlineService) => sandbox.opening.members.map(({ id }) => id);

serviceTest("a dry run says what votes it takes and what the proposal would change", "native", (service) => {
  const { status, json } = tryOut(service, [NOTE]);
  assert.equal(status, 200, JSON.stringify(json));
  assert.deepEqual(json.validation, { valid: true });
  assert.deepEqual(json.outcome, { state: "Open" });
  assert.deepEqual([...json.missing].sort(), [...ids(service)].sort());
  assert.equal(json.combinations.length, 8);
  assert.equal(json.combinationsLeftOut, 0);
  assert.equal(json.passesIf.length, 3, "any two of three");
  assert(json.passesIf.every((set: string[]) => set.length === 2));
  assert.deepEqual(json.apply, { state: "Applied" });
  assert.deepEqual(json.changes, [
    { table: "public:ccf.gov.users.info", key: USER, after: { user_data: { note: "x" } } },
  ]);
  assert.deepEqual(json.warnings, []);
  assert.match(json.inWords[0], /^With the votes so far it is Open$/);
  assert.match(json.asOf, /^2\.\d+$/);
  assert(json.elapsedMs >= 0 && json.elapsedMs < 5000);
});

serviceTest("an open proposal is tried with the ballots that it has", "native", (service) => {
  const { proposalId } = propose(service, 0, NOTE).json;
  vote(service, 1, proposalId);
  service.node.advance(1000);
  service.node.advance(1000);
  const target = `${TARGET}&proposalId=${proposalId}`;
  const request = signed(service.sandbox.opening.members[2]!, { kind: "proposal_dry_run", proposal: new Uint8Array() });
  const { json } = send(service, { ...request, target });
  assert.equal(json.proposalId, proposalId, JSON.stringify(json));
  assert.deepEqual(json.votes, [{ member_id: ids(service)[1], vote: true }]);
  assert.deepEqual(new Set(json.passesIf.flat()), new Set([ids(service)[0], ids(service)[2]]));
  const unknown = send(service, { ...request, target: `${TARGET}&proposalId=${"0".repeat(64)}` });
  assert.equal(unknown.status, 404);
  const withText = (text: Uint8Array) => {
    const question = signed(service.sandbox.opening.members[2]!, { kind: "proposal_dry_run", proposal: text });
    return send(service, { ...question, target });
  };
  const { body } = reply(service.node.request({
    method: "GET",
    target: `/gov/members/proposals/${proposalId}/actions?api-version=2024-07-01`,
  })).response;
  assert.deepEqual(withText(body).json.votes, json.votes);
  const other = withText(toUtf8('{"actions":[]}'));
  assert.match(`${other.status} ${other.json.error.message}`, /^400 The body is another proposal than /);
});

serviceTest("what is wrong with a proposal, its ballots or its actions is part of the answer", "native", (service) => {
  const nope = tryOut(service, [{ name: "nope" }]).json;
  assert.deepEqual(nope.validation, { valid: false, description: "Proposal failed to validate: nope: no such action" });
  assert.equal(nope.outcome, undefined);
  const notJson = ask(service, 0, { kind: "proposal_dry_run", proposal: toUtf8("{x") });
  assert.match(notJson.json.validation.description, /^Failed to execute validation: SyntaxError/);
  const fails = tryOut(service, [{ name: "set_member_data", args: { member_id: USER, member_data: {} } }]).json;
  assert.equal(fails.apply.state, "Failed");
  assert.match(fails.apply.failure.reason, /^Failed to apply\(\): Error: Member 1{64} does not exist/);
  assert.deepEqual(fails.changes, []);
});

serviceTest("members are warned of what they might overlook", "native", (service) => {
  const [first] = ids(service);
  const warnings = (...actions: unknown[]) => tryOut(service, actions).json.warnings.join("\n");
  assert.match(
    warnings({ name: "set_recovery_threshold", args: { recovery_threshold: 1 } }),
    /lowers the recovery thres/,
  );
  assert.match(warnings({ name: "remove_member", args: { member_id: first } }), /2 active members could take part/);
  assert.match(warnings({ name: "remove_member", args: { member_id: first } }), /gives the ledger a new key/);
  const constitution = service.config.service.constitution.join("\n");
  const open = propose(service, 0, NOTE).json.proposalId;
  service.node.advance(1000);
  service.node.advance(1000);
  const changed = warnings({ name: "set_constitution", args: { constitution: constitution + "\n" } });
  assert.match(changed, /changes the constitution/);
  assert.match(changed, new RegExp(`drops other open proposals: ${open}`));
  assert.match(warnings({ name: "add_snp_measurement", args: { measurement: "aa" } }), /code take part.*: aa/);
});

serviceTest("what nodes make anew is not shown, and no secret comes into force", "native", (service) => {
  const secrets = () => [...service.node.enclave.node!.path.secrets].length;
  const before = secrets();
  const { json } = tryOut(service, [{ name: "trigger_ledger_rekey" }]);
  assert.equal(json.apply.state, "Applied", JSON.stringify(json));
  assert(json.changes.length > 0);
  for (const { after } of json.changes) assert.equal(after, "made anew by the node");
  assert.equal(secrets(), before);
});

serviceTest(
  "a member's certificate will do, a proposal's signature and other people's will not",
  "native",
  (service) => {
    const certificate = parsePemBlock(service.config.service.members[0]!.certificatePem, "CERTIFICATE");
    const body = { actions: [NOTE] };
    const post = (more: object) => reply(service.node.request({ method: "POST", target: TARGET, body, ...more }));
    assert.deepEqual(post({ certificate }).json.outcome, { state: "Open" });
    assert.equal(post({ certificate: service.userCertificate }).status, 401);
    assert.equal(post({}).status, 401);
    const call = { jsonrpc: "2.0", id: 1, method: "gov/postServiceProposalsDryRun" };
    const params = { query: { "api-version": "2024-07-01" }, body };
    const rpc = reply(service.node.request({ method: "POST", target: "/rpc", body: { ...call, params }, certificate }));
    assert.deepEqual(rpc.json.result?.validation, { valid: true }, JSON.stringify(rpc.json));
    const proposal = signed(service.sandbox.opening.members[0]!, {
      kind: "proposal",
      proposal: toUtf8('{"actions":[]}'),
    });
    const refused = send(service, { ...proposal, target: TARGET });
    assert.equal(refused.status, 401);
    assert.match(refused.json.error.details[0].message, /^Found ccf\.gov\.msg\.type set to proposal, expected /);
  },
);

serviceTest(
  "of many missing votes some are tried, and the others are counted",
  "native",
  (service) => {
    service.node.write((tx) => {
      for (let i = 0; i < 20; i++) tx.open(MEMBERS_INFO).put(`${i}`.padStart(64, "0"), { status: "Active" });
    });
    service.node.advance(1000);
    service.node.advance(1000);
    const { json } = tryOut(service, [NOTE]);
    assert.equal(json.combinations.length, 64);
    assert.equal(json.missing.length, 23);
    assert.equal(json.combinationsLeftOut, 2 ** 23 - 64);
  },
);

serviceTest("each member may try so often in a minute, and another member is not held up", "native", (service) => {
  for (let i = 0; i < MAX_DRY_RUNS_PER_WINDOW; i++) assert.equal(tryOut(service, []).status, 200);
  const refused = tryOut(service, []);
  assert.equal(`${refused.status} ${refused.json.error.code}`, "429 TooManyRequests");
  assert(refused.response.headers.some(([name]) => name === "retry-after"));
  assert.equal(tryOut(service, [], 1).status, 200);
  service.node.advance(60_000);
  assert.equal(tryOut(service, []).status, 200);
});

serviceTest("a dry run gives nobody a certificate that the service has signed", "native", (service) => {
  const valid_from = "20900101000000Z";
  const { json } = tryOut(service, [
    { name: "set_all_nodes_certificate_validity", args: { valid_from, validity_period_days: 1 } },
    { name: "set_service_certificate_validity", args: { valid_from, validity_period_days: 1 } },
  ]);
  assert.equal(json.apply.state, "Applied", JSON.stringify(json));
  const found = JSON.stringify(json).match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----(\\n)?/g) ?? [];
  const key = publicKeyOf(service.node.enclave.node!.service.certificate);
  const real = new Set([service.node.servicePem, service.node.enclave.node!.endorsedPem]);
  let others = 0;
  for (const text of found) {
    const pem: string = JSON.parse(`"${text}"`);
    if ([...real].some((known) => known.trim() === pem.trim())) continue;
    others++;
    assert.equal(isSignedBy(noblePrimitives, parseCertificatePem(pem), key), false, "the service has not signed it");
  }
  assert(others >= 2, "both would change");
});

serviceTest("the time that dry runs take is counted, for each member and for all", "native", (service) => {
  const { dryRuns } = service.node.enclave.node!;
  dryRuns.spend(ids(service)[0]!, 4_999);
  assert.equal(tryOut(service, []).status, 200);
  dryRuns.spend(ids(service)[0]!, 5_000);
  assert.match(tryOut(service, []).json.error.message, /has taken \d+ ms in the last minute/);
  assert.equal(tryOut(service, [], 1).status, 200);
  dryRuns.spend(ids(service)[1]!, 10_000);
  assert.match(tryOut(service, [], 2).json.error.message, /^What members tried has taken/);
});
