/**
 * How our constitutions decide. In a tally, v is a vote for and x a vote against.
 */

import { strict as assert } from "node:assert";
import { ALICE, BOB, CAROL, CERT, members, OTHER_CERT, PROPOSAL_ID } from "./cases.ts";
import { ourText } from "./constitutions.ts";
import { type Action, ConstitutionWorld, engine, type Rows, tableWritesOf } from "./world.ts";

const DAVE = "dd".repeat(32);
const SNAPSHOT: Action = { name: "trigger_snapshot" };

/** Asks for a decision. In: rows of members, who proposes what, and votes as `{[ALICE]: "v"}`. */
function decide(
  constitution: string,
  rows: Rows,
  votes: Readonly<Record<string, "v" | "x">>,
  proposer = ALICE,
  actions: readonly Action[] = [SNAPSHOT],
): string | null {
  const world = new ConstitutionWorld(ourText(constitution));
  world.write(tableWritesOf(rows));
  const cast = Object.entries(votes).map(([member_id, vote]) => ({ member_id, vote: vote === "v" }));
  return world.resolve(JSON.stringify({ actions }), proposer, cast, PROPOSAL_ID);
}

const THREE = members({ [ALICE]: "Active", [BOB]: "Active", [CAROL]: "Active", [DAVE]: "Accepted" });
const TWO = members({ [ALICE]: "Active", [BOB]: "Active", [CAROL]: "Accepted" });

for (const name of ["", "_virtual", "_veto", "_operator", "_operator_provisioner", "_roles"]) {
  Deno.test(`constitution${name} is one that set_constitution accepts`, () => {
    assert.equal(engine.constitutionProblem(ourText(`constitution${name}`)), undefined);
  });
}

// All count alike where nobody votes against and nobody is an operator.
for (
  const name of ["constitution", "constitution_veto", "constitution_operator", "constitution_operator_provisioner"]
) {
  Deno.test(`${name} accepts when more than half of the active members have voted for`, () => {
    assert.equal(decide(name, THREE, {}), "Open");
    assert.equal(decide(name, THREE, { [ALICE]: "v" }), "Open");
    assert.equal(decide(name, THREE, { [ALICE]: "v", [BOB]: "v" }), "Accepted");
    assert.equal(decide(name, TWO, { [ALICE]: "v" }), "Open");
    assert.equal(decide(name, TWO, { [ALICE]: "v", [BOB]: "v" }), "Accepted");
    assert.equal(decide(name, members({ [ALICE]: "Active" }), { [ALICE]: "v" }), "Accepted");
    assert.equal(decide(name, members({ [ALICE]: "Active" }), {}), "Open");
    assert.equal(decide(name, {}, {}), "Open");
  });

  Deno.test(`${name} counts no vote of somebody who is not an active member`, () => {
    assert.equal(decide(name, THREE, { [ALICE]: "v", [DAVE]: "v", ["00".repeat(32)]: "v" }), "Open");
    assert.equal(decide(name, TWO, { [ALICE]: "v", [CAROL]: "v" }), "Open");
  });
}

Deno.test("our constitution never rejects: a ballot may change its mind", () => {
  assert.equal(decide("constitution", THREE, { [ALICE]: "x", [BOB]: "x", [CAROL]: "x" }), "Open");
  assert.equal(decide("constitution", THREE, { [ALICE]: "v", [BOB]: "x", [CAROL]: "v" }), "Accepted");
});

Deno.test("constitution_veto rejects when one active member votes against, whatever the others say", () => {
  assert.equal(decide("constitution_veto", THREE, { [ALICE]: "x" }), "Rejected");
  assert.equal(decide("constitution_veto", THREE, { [ALICE]: "v", [BOB]: "v", [CAROL]: "x" }), "Rejected");
  assert.equal(decide("constitution_veto", THREE, { [ALICE]: "v", [BOB]: "v", [DAVE]: "x" }), "Accepted");
});

/** ALICE is an operator and BOB a provisioner, CAROL and DAVE are members as others. */
const OPERATED: Rows = {
  ...THREE,
  "members.info": {
    [ALICE]: { status: "Active", member_data: { is_operator: true } },
    [BOB]: { status: "Active", member_data: { is_operator_provisioner: true } },
    [CAROL]: { status: "Active", member_data: { is_operator: false } },
    [DAVE]: { status: "Active" },
  },
};
/** Whoever can help to recover the service cannot be an operator too. */
const WITH_KEYS: Rows = { ...OPERATED, "members.encryption_public_keys": { [ALICE]: "key", [BOB]: "key" } };

const addOperator = (args: Readonly<Record<string, unknown>> = {}): Action => ({
  name: "set_member",
  args: { cert: OTHER_CERT, member_data: { is_operator: true }, ...args },
});
const removeMember = (member_id: string): Action => ({ name: "remove_member", args: { member_id } });
const trustNode: Action = { name: "transition_node_to_trusted", args: { node_id: DAVE, valid_from: "now" } };

Deno.test("constitution_operator lets an operator alone do an operator's work, and nothing else", () => {
  const alone = (...actions: Action[]) => decide("constitution_operator", OPERATED, {}, ALICE, actions);
  assert.equal(alone(trustNode, { name: "remove_node", args: { node_id: DAVE } }), "Accepted");
  assert.equal(alone(addOperator(), removeMember(ALICE)), "Accepted");
  assert.equal(alone(addOperator({ cert: CERT })), "Accepted"); // its own certificate, ALICE's
  assert.equal(alone(SNAPSHOT), "Open");
  assert.equal(alone(trustNode, SNAPSHOT), "Open");
  assert.equal(alone(removeMember(CAROL)), "Open");
  assert.equal(alone(addOperator({ encryption_pub_key: "key" })), "Open");
  assert.equal(alone(addOperator({ member_data: { is_operator: false } })), "Open");
  assert.equal(alone(addOperator({ member_data: null })), "Open");
  assert.equal(alone(addOperator({ cert: "" })), "Open");
  for (const name of ["add_node_code", "add_snp_host_data", "add_virtual_host_data", "set_constitution"]) {
    assert.equal(alone({ name, args: {} }), "Open", name);
  }
  assert.equal(decide("constitution_operator", OPERATED, {}, CAROL, [trustNode]), "Open");
  assert.equal(decide("constitution_operator", WITH_KEYS, {}, ALICE, [trustNode]), "Open");
});

Deno.test("constitution_operator does not let an operator turn another member into an operator", () => {
  const member = { ...OPERATED, "members.info": { ...OPERATED["members.info"], [ALICE]: { status: "Active" } } };
  const operator = {
    ...member,
    "members.info": { ...member["members.info"], [DAVE]: { member_data: { is_operator: 1 } } },
  };
  assert.equal(decide("constitution_operator", operator, {}, DAVE, [addOperator({ cert: CERT })]), "Open");
  assert.equal(decide("constitution_operator", operator, {}, DAVE, [addOperator()]), "Accepted");
});

Deno.test("constitution_operator counts the votes of members who are no operators", () => {
  const votes = (votes: Record<string, "v" | "x">) => decide("constitution_operator", OPERATED, votes, ALICE);
  assert.equal(votes({ [ALICE]: "v", [CAROL]: "v" }), "Open");
  assert.equal(votes({ [BOB]: "v", [CAROL]: "v" }), "Accepted");
});

Deno.test("constitution_operator_provisioner lets a provisioner add and remove operators, and rejects all else", () => {
  const alone = (...actions: Action[]) => decide("constitution_operator_provisioner", OPERATED, {}, BOB, actions);
  assert.equal(alone(addOperator(), removeMember(ALICE)), "Accepted");
  assert.equal(alone(addOperator(), SNAPSHOT), "Rejected");
  assert.equal(alone(removeMember(CAROL)), "Rejected");
  assert.equal(alone(removeMember(BOB)), "Rejected");
  assert.equal(alone(addOperator({ encryption_pub_key: "key" })), "Rejected");
  assert.equal(alone(addOperator({ cert: "" })), "Rejected");
  assert.equal(alone(trustNode), "Rejected");
  const votes = { [ALICE]: "v", [CAROL]: "v", [DAVE]: "v" } as const;
  assert.equal(decide("constitution_operator_provisioner", OPERATED, votes, BOB, [SNAPSHOT]), "Rejected");
});

Deno.test("constitution_operator_provisioner leaves the rest to members who are neither", () => {
  const decided = (votes: Record<string, "v" | "x">, rows = OPERATED) =>
    decide("constitution_operator_provisioner", rows, votes, ALICE);
  assert.equal(decided({ [ALICE]: "v", [BOB]: "v", [CAROL]: "v" }), "Open");
  assert.equal(decided({ [CAROL]: "v", [DAVE]: "v" }), "Accepted");
  assert.equal(decided({ [CAROL]: "v", [DAVE]: "v" }, WITH_KEYS), "Open");
  assert.equal(decided({ [ALICE]: "v", [BOB]: "v", [CAROL]: "v" }, WITH_KEYS), "Accepted");
});
