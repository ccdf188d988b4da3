/**
 * What the constitutions beside the default one decide, and the action that one of them adds.
 *
 * Rules: governance.md §4.2, and the first lines of each file. All run as a node runs them.
 */

import { strict as assert } from "node:assert";
import { ALICE, BOB, CAROL, CERT, NODE, OTHER_CERT, PROPOSAL_ID } from "./cases.ts";
import { ourText } from "./constitutions.ts";
import { type Action, ConstitutionWorld, NotedEffects, readable, tableWritesOf } from "./world.ts";

const DAVE = "da".repeat(32);
const OPERATOR = "0e".repeat(32);
const PROVISIONER = "0f".repeat(32);
const STRANGER = "00".repeat(32);

/** A member with a key is one who helps to recover. */
interface Member {
  readonly status?: string;
  readonly hasKey?: true;
  readonly data?: unknown;
}

/** A service under the constitution in the folder `constitution_…`, with these members. */
function service(variant: string, members: Readonly<Record<string, Member>>): ConstitutionWorld {
  const world = new ConstitutionWorld(ourText(`constitution_${variant}`));
  const rows = (value: (member: Member) => unknown, has = (_: Member) => true) =>
    Object.fromEntries(Object.entries(members).filter(([, member]) => has(member)).map(([id, m]) => [id, value(m)]));
  world.write(tableWritesOf({
    "members.info": rows(({ status = "Active", data }) => ({ status, member_data: data })),
    "members.encryption_public_keys": rows(() => "key", ({ hasKey }) => hasKey === true),
  }));
  return world;
}

/** What becomes of a proposal that may be made. Alice's certificate is `CERT`; nobody's is `OTHER_CERT`. */
function resolve(
  world: ConstitutionWorld,
  votes: Readonly<Record<string, boolean>>,
  proposerId = ALICE,
  ...actions: readonly Action[]
): string | null {
  const proposal = JSON.stringify({ actions });
  assert.equal(world.validate(proposal).description, "");
  const list = Object.entries(votes).map(([member_id, vote]) => ({ member_id, vote }));
  return world.resolve(proposal, proposerId, list, PROPOSAL_ID);
}

const add = (cert: string, others: Readonly<Record<string, unknown>> = {}) => ({
  name: "set_member",
  args: { cert, ...others },
});
const operatorData = { member_data: { is_operator: true } };
const remove = (member_id: string) => ({ name: "remove_member", args: { member_id } });
const trust = { name: "transition_node_to_trusted", args: { node_id: NODE, valid_from: "20261124070411Z" } };
const retire = { name: "remove_node", args: { node_id: NODE } };
const snapshot = { name: "trigger_snapshot" };

const three = { [ALICE]: {}, [BOB]: {}, [CAROL]: {} };

Deno.test("constitution_veto accepts what more than half voted for, if nobody voted against", () => {
  const world = service("veto", three);
  assert.equal(resolve(world, {}), "Open");
  assert.equal(resolve(world, { [ALICE]: true }), "Open");
  assert.equal(resolve(world, { [ALICE]: true, [BOB]: true }), "Accepted");
  assert.equal(resolve(world, { [ALICE]: false }), "Rejected");
  assert.equal(resolve(world, { [ALICE]: true, [BOB]: true, [CAROL]: false }), "Rejected");
});

Deno.test("constitution_veto hears active members only, for and against", () => {
  const world = service("veto", { ...three, [DAVE]: { status: "Accepted" } });
  assert.equal(resolve(world, { [ALICE]: true, [DAVE]: true, [STRANGER]: true }), "Open");
  assert.equal(resolve(world, { [DAVE]: false, [STRANGER]: false }), "Open");
  assert.equal(resolve(world, { [ALICE]: true, [BOB]: true, [DAVE]: false }), "Accepted");
});

const operator: Member = { data: { is_operator: true } };
const withOperator = { ...three, [OPERATOR]: operator };

Deno.test("constitution_operator accepts an operator's daily work at once", () => {
  const world = service("operator", withOperator);
  for (const action of [trust, retire, add(OTHER_CERT, operatorData), remove(OPERATOR)]) {
    assert.equal(resolve(world, {}, OPERATOR, action), "Accepted", action.name);
    assert.equal(resolve(world, {}, BOB, action), "Open", `${action.name} by somebody else`);
  }
  assert.equal(resolve(world, {}, OPERATOR, trust, retire, add(OTHER_CERT, operatorData)), "Accepted");
});

Deno.test("constitution_operator asks the others about all else that an operator proposes", () => {
  const keyed = { [DAVE]: { hasKey: true, data: { is_operator: true } } } as const;
  const world = service("operator", { ...withOperator, ...keyed });
  const more: Action[] = [
    snapshot,
    { name: "add_node_code", args: { code_id: "ab" } },
    add(OTHER_CERT),
    add(OTHER_CERT, { member_data: { is_operator: false } }),
    add(OTHER_CERT, { ...operatorData, encryption_pub_key: "key" }),
    add("", operatorData),
    remove(ALICE),
    remove(DAVE),
    remove(STRANGER),
  ];
  for (const action of more) {
    assert.equal(resolve(world, {}, OPERATOR, action), "Open", JSON.stringify(action));
    assert.equal(resolve(world, {}, OPERATOR, trust, action), "Open", JSON.stringify(action));
    assert.equal(resolve(world, { [ALICE]: true, [BOB]: true, [CAROL]: true }, OPERATOR, action), "Accepted");
  }
  // Who holds a key and calls itself an operator is none.
  assert.equal(resolve(world, {}, DAVE, trust), "Open");
});

Deno.test("constitution_operator lets no operator make another member one of its own", () => {
  const world = service("operator", { ...withOperator, [ALICE]: { hasKey: true } });
  assert.equal(resolve(world, {}, OPERATOR, add(CERT, operatorData)), "Open");
  const renewed = service("operator", { ...withOperator, [ALICE]: { data: { is_operator: true } } });
  assert.equal(resolve(renewed, {}, OPERATOR, add(CERT, operatorData)), "Accepted");
});

Deno.test("constitution_operator counts the votes of members who are no operators", () => {
  const world = service("operator", withOperator);
  assert.equal(resolve(world, { [ALICE]: true, [OPERATOR]: true }, ALICE, snapshot), "Open");
  assert.equal(resolve(world, { [ALICE]: true, [BOB]: true }, ALICE, snapshot), "Accepted");
  assert.equal(resolve(world, { [ALICE]: true, [BOB]: false, [CAROL]: true }, ALICE, snapshot), "Accepted");
  assert.equal(resolve(world, { [ALICE]: true, [BOB]: false, [CAROL]: false }, ALICE, snapshot), "Open");
  assert.equal(resolve(service("operator", { [OPERATOR]: operator }), {}, OPERATOR, snapshot), "Open");
});

const provisioner: Member = { data: { is_operator_provisioner: true } };
const withBoth = { ...withOperator, [PROVISIONER]: provisioner };

Deno.test("constitution_operator_provisioner lets a provisioner name and remove operators, and nothing else", () => {
  const world = service("operator_provisioner", withBoth);
  for (const action of [add(OTHER_CERT, operatorData), remove(OPERATOR)]) {
    assert.equal(resolve(world, {}, PROVISIONER, action), "Accepted", action.name);
    assert.equal(resolve(world, {}, OPERATOR, action), "Open", `${action.name} by an operator`);
    assert.equal(resolve(world, { [ALICE]: true, [BOB]: true }, ALICE, action), "Accepted");
  }
  const more: Action[] = [
    snapshot,
    trust,
    add(OTHER_CERT),
    add(OTHER_CERT, { member_data: { is_operator_provisioner: true } }),
    add(OTHER_CERT, { ...operatorData, encryption_pub_key: "key" }),
    add("", operatorData),
    remove(ALICE),
    remove(PROVISIONER),
  ];
  for (const action of more) {
    assert.equal(resolve(world, {}, PROVISIONER, action), "Rejected", JSON.stringify(action));
    assert.equal(resolve(world, {}, PROVISIONER, remove(OPERATOR), action), "Rejected", JSON.stringify(action));
  }
});

Deno.test("constitution_operator_provisioner counts the votes of members who are neither", () => {
  const world = service("operator_provisioner", withBoth);
  assert.equal(resolve(world, { [ALICE]: true, [OPERATOR]: true, [PROVISIONER]: true }, ALICE, snapshot), "Open");
  assert.equal(resolve(world, { [ALICE]: true, [CAROL]: true }, OPERATOR, snapshot), "Accepted");
  assert.equal(resolve(world, {}, PROVISIONER, add(CERT, operatorData)), "Rejected", "Alice is no operator");
  const keyed = service("operator_provisioner", {
    ...withBoth,
    [PROVISIONER]: { ...provisioner, hasKey: true },
  });
  assert.equal(resolve(keyed, {}, PROVISIONER, add(OTHER_CERT, operatorData)), "Open");
});

Deno.test("constitution_roles replaces the list of what a role may do", () => {
  const world = service("roles", three);
  const define = (actions: unknown) =>
    JSON.stringify({
      actions: [{ name: "set_role_definition", args: { role: "clerk", actions } }],
    });
  for (const actions of [undefined, null, "/read", [7], [null]]) {
    assert.equal(world.validate(define(actions)).valid, false, JSON.stringify(actions));
  }
  const table = "public:programmability.roles.clerk";
  const zeros = "\0".repeat(8);
  const proposal = define(["/read", '/wr"ite']);
  assert.equal(world.validate(proposal).description, "");
  const effects = new NotedEffects();
  assert.deepEqual(readable(world.apply(proposal, PROPOSAL_ID, effects, true)), {
    [table]: { '"/read"': zeros, '"/wr\\"ite"': zeros },
  });
  assert.deepEqual(readable(world.apply(define(["/read"]), PROPOSAL_ID, effects, true)), {
    [table]: { '"/read"': zeros, '"/wr\\"ite"': null },
  });
  assert.deepEqual(readable(world.apply(define([]), PROPOSAL_ID, effects)), { [table]: { '"/read"': null } });
  assert.deepEqual(effects.calls, []);
});
