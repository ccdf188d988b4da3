/**
 * Tests that a constitution with CCF's actions must pass, whoever wrote it: which arguments it accepts, and what an
 * accepted action leaves in the tables and asks of the node. Bytes are compared, error texts are not.
 *
 * In: a name, the text of the constitution, cases by action. Out: one registered test for each action. What a constitution makes of votes is its own business, and not tested here.
 */

import { strict as assert } from "node:assert";
import { APP_CASES } from "./app_cases.ts";
import { type ActionCases, PROPOSAL_ID, SERVICE } from "./cases.ts";
import { MEMBER_CASES } from "./member_cases.ts";
import { NODE_CASES } from "./node_cases.ts";
import { SERVICE_CASES } from "./service_cases.ts";
import { TOKEN_CASES } from "./token_cases.ts";
import { INTEL_CASES, TRUSTED_CODE_CASES, VIRTUAL_CASES } from "./trusted_code_cases.ts";
import { type Action, ConstitutionWorld, NotedEffects, readable, type Rows, tableWritesOf } from "./world.ts";

/** By action: all of CCF's default constitution; those that ours has besides; those that the virtual platform adds. */
export const DEFAULT_CASES: Readonly<Record<string, ActionCases>> = {
  ...APP_CASES,
  ...MEMBER_CASES,
  ...NODE_CASES,
  ...SERVICE_CASES,
  ...TOKEN_CASES,
  ...TRUSTED_CODE_CASES,
};
export const OUR_CASES: Readonly<Record<string, ActionCases>> = { ...DEFAULT_CASES, ...INTEL_CASES };
export const ALL_CASES: Readonly<Record<string, ActionCases>> = { ...OUR_CASES, ...VIRTUAL_CASES };

/**
 * Registers the tests.
 *
 * @param textOf is asked in the tests, so that a text that cannot be read fails them and nothing else
 * @param cases by action
 */
export function testActions(
  constitution: string,
  textOf: () => string,
  register: (name: string, test: () => void) => void,
  cases: Readonly<Record<string, ActionCases>>,
): void {
  register(`${constitution}: what nobody has heard of is no action`, () => {
    assert.equal(refusalOf(textOf(), { name: "no_such_action" }), "no_such_action: no such action");
  });
  for (const [name, ofAction] of Object.entries(cases)) {
    register(`${constitution}: ${name}`, () => testAction(textOf(), name, ofAction));
  }
}

function testAction(text: string, name: string, { accepts, refuses, effects }: ActionCases): void {
  for (const args of accepts ?? []) assert.equal(refusalOf(text, { name, args }), "", said("accepts", args));
  for (const args of refuses) {
    const refusal = refusalOf(text, { name, args });
    assert(refusal.startsWith(`${name} at position 0 failed validation: `), `${said("refuses", args)}: ${refusal}`);
  }
  for (const { title, args, before = {}, writes = {}, calls = [], fails = false } of effects) {
    const what = `${name} ${title}`;
    const proposal = proposalOf({ name, args });
    const world = worldOf(text, before);
    assert.equal(world.validate(proposal).description, "", what);
    const noted = new NotedEffects();
    if (fails) {
      assert.throws(() => world.apply(proposal, PROPOSAL_ID, noted), Error, what);
      continue;
    }
    assert.deepEqual(readable(world.apply(proposal, PROPOSAL_ID, noted)), readable(tableWritesOf(writes)), what);
    assert.deepEqual(noted.calls, calls, what);
  }
}

const said = (verb: string, args: unknown) => `${verb} ${JSON.stringify(args)?.slice(0, 300)}`;

/** `args` is absent where it is undefined: JSON knows nothing else. */
const proposalOf = (action: Action) => JSON.stringify({ actions: [action] });

function refusalOf(text: string, action: Action): string {
  const { valid, description } = worldOf(text, {}).validate(proposalOf(action));
  assert.equal(valid, description === "", description);
  return description ?? "";
}

function worldOf(text: string, before: Rows): ConstitutionWorld {
  const world = new ConstitutionWorld(text);
  const tables = new Set([...Object.keys(SERVICE), ...Object.keys(before)]);
  const rows = Object.fromEntries([...tables].map((table) => [table, { ...SERVICE[table], ...before[table] }]));
  world.write(tableWritesOf(rows));
  return world;
}
