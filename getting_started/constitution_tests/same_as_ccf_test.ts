/**
 * Our constitution and CCF's own, side by side: what one accepts the other does, and then both write the same bytes and
 * ask the same of the node, or both fail. The arguments are those of the cases with something in them replaced.
 *
 * CCF's text is the one with which a recorded service began.
 */

import { strict as assert } from "node:assert";
import fc from "fast-check";
import { ccfConstitution } from "../../tests/ccf_constitution.ts";
import { teamTest } from "../../tests/team_data.ts";
import { BOB, CERT, type Effect, json, members, NODE, PROPOSAL_ID, SERVICE } from "./cases.ts";
import { ourText } from "./constitutions.ts";
import { DEFAULT_CASES } from "./suite.ts";
import { ConstitutionWorld, NotedEffects, readable, type Rows, tableWritesOf } from "./world.ts";

/** What stands in for something else. `ABSENT` takes a member away. */
const ABSENT = Symbol("absent");
const REPLACEMENTS = [
  ABSENT,
  null,
  true,
  false,
  0,
  1,
  2,
  1.5,
  -1,
  255,
  10001,
  "",
  "0",
  "text",
  "00a00f11",
  "https://example.com/path",
  "Participant",
  "TwoTransaction",
  BOB,
  BOB.toUpperCase(),
  NODE,
  CERT,
  [],
  ["text"],
  [null],
  {},
  { keys: [] },
];

/** What actions know, and may be given where they do not expect it. */
const MORE_MEMBERS = [
  "validity_period_days",
  "recovery_threshold",
  "recent_cose_proposals_window_size",
  "reconfiguration_type",
  "recovery_role",
  "encryption_pub_key",
  "unknown",
];

/** Arguments of an action, and the tables that they are tried on. */
interface Start {
  readonly name: string;
  readonly args: unknown;
  readonly before: Rows;
}

const STARTS: readonly Start[] = Object.entries(DEFAULT_CASES).flatMap(([name, { accepts = [], refuses, effects }]) => [
  ...[...accepts, ...refuses].map((args) => ({ name, args, before: members({ [BOB]: "Active" }, [BOB]) })),
  ...effects.map(({ args, before = {} }: Effect) => ({ name, args, before })),
]);

/** Every place in a JSON value, as the names and numbers that lead there. */
function places(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== "object" || value === null) return [path];
  const more = Array.isArray(value) ? [] : MORE_MEMBERS.map((name) => [...path, name]);
  return [path, ...more, ...Object.entries(value).flatMap(([name, member]) => places(member, [...path, name]))];
}

function replaced(value: unknown, [name, ...rest]: readonly string[], by: unknown): unknown {
  if (name === undefined) return by === ABSENT ? undefined : by;
  const copy: Record<string, unknown> | unknown[] = Array.isArray(value) ? [...value] : { ...value as object };
  const members = copy as Record<string, unknown>;
  if (rest.length === 0 && by === ABSENT) delete members[name];
  else members[name] = replaced(members[name], rest, by);
  return copy;
}

/** Up to three replacements. */
const replacements = fc.array(fc.tuple(fc.nat(), fc.constantFrom(...REPLACEMENTS)), { maxLength: 3 });

const starts = fc.tuple(fc.constantFrom(...STARTS), replacements).map(([{ name, args, before }, changes]) => ({
  name,
  before,
  args: changes.reduce<unknown>((value, [place, by]) => {
    const all = places(value);
    return replaced(value, all[place % all.length]!, by);
  }, args),
}));

/** What became of a proposal, without the words in which it was refused. */
function outcomeOf(text: string, { name, args, before }: Start): unknown {
  const world = new ConstitutionWorld(text);
  const tables = new Set([...Object.keys(SERVICE), ...Object.keys(before)]);
  world.write(tableWritesOf(Object.fromEntries(
    [...tables].map((table) => [table, { ...SERVICE[table], ...before[table] }]),
  )));
  const proposal = json({ actions: [{ name, args }] });
  if (!world.validate(proposal).valid) return "refused";
  const noted = new NotedEffects();
  try {
    return { writes: readable(world.apply(proposal, PROPOSAL_ID, noted)), calls: noted.calls };
  } catch (error) {
    assert(error instanceof Error);
    return "failed";
  }
}

/**
 * Where ours is stricter on purpose. CCF takes a list of texts for a certificate if the texts with commas between are
 * one; and its `set_recovery_threshold` also sets, unchecked, what `set_service_configuration` sets.
 */
function isKnownDifference({ name, args }: Start): boolean {
  if (typeof args !== "object" || args === null) return false;
  const { cert, cert_bundle } = args as { cert?: unknown; cert_bundle?: unknown };
  if (Array.isArray(cert) || Array.isArray(cert_bundle)) return true;
  return name === "set_recovery_threshold" &&
    ("recent_cose_proposals_window_size" in args || "reconfiguration_type" in args);
}

teamTest("our actions accept, write and ask what CCF's do, whatever the arguments", () => {
  const ours = ourText("constitution");
  const theirs = ccfConstitution();
  fc.assert(
    fc.property(starts, (start) => {
      fc.pre(!isKnownDifference(start));
      assert.deepEqual(outcomeOf(ours, start), outcomeOf(theirs, start));
    }),
    { numRuns: 1000 },
  );
});

/** Which actions of a list are refused, as clients see it, without the reasons. */
function refusalsOf(text: string, actions: readonly unknown[]): string[] {
  const world = new ConstitutionWorld(text);
  world.write(tableWritesOf(SERVICE));
  const { valid, description = "" } = world.validate(json({ actions }));
  const refusals = [...description.matchAll(/\w+ at position \d+ failed validation: |\w*: no such action/g)];
  assert.equal(valid, refusals.length === 0, description);
  return refusals.map(([refusal]) => refusal);
}

teamTest("our constitution names the same actions of a list as CCF's, in the same order", () => {
  const ours = ourText("constitution");
  const theirs = ccfConstitution();
  const unknown = fc.constantFrom("no_such_action", "constructor", "").map((name) => ({ name }));
  const known = starts.filter((start) => !isKnownDifference(start)).map(({ name, args }) => ({ name, args }));
  fc.assert(
    fc.property(fc.array(fc.oneof({ weight: 4, arbitrary: known }, unknown), { maxLength: 5 }), (actions) => {
      assert.deepEqual(refusalsOf(ours, actions), refusalsOf(theirs, actions));
    }),
  );
});

teamTest("our constitution decides as CCF's where only active members have voted", () => {
  const ours = ourText("constitution");
  const theirs = ccfConstitution();
  const member = fc.record({ isActive: fc.boolean(), vote: fc.constantFrom(undefined, true, false) });
  fc.assert(fc.property(fc.array(member, { maxLength: 7 }), (consortium) => {
    const ids = consortium.map((_, index) => index.toString(16).padStart(64, "0"));
    const statuses = ids.map((id, index) => [id, consortium[index]!.isActive ? "Active" : "Accepted"] as const);
    const votes = ids.flatMap((member_id, index) => {
      const { isActive, vote } = consortium[index]!;
      return isActive && vote !== undefined ? [{ member_id, vote }] : [];
    });
    const [our, their] = [ours, theirs].map((text) => {
      const world = new ConstitutionWorld(text);
      world.write(tableWritesOf(members(Object.fromEntries(statuses))));
      return world.resolve(json({ actions: [] }), BOB, votes, PROPOSAL_ID);
    });
    assert.equal(our, their);
  }));
});
