import { strict as assert } from "node:assert";
import fc from "fast-check";
import { PROPOSALS, PROPOSALS_INFO } from "../../shared/governance/tables.ts";
import { TestChamber } from "../../tests/chamber.ts";
import { loadScriptEngine } from "../js/runtime.ts";

const MEMBERS = ["a", "b", "c", "d", "e"];

/** More than half yes accepts, half no rejects. What a proposal is for stands in its text. */
const CONSTITUTION = `
export function validate(text) {
  if (text === "validate throws") throw new Error("not today");
  return { valid: text !== "invalid", description: "it says so itself" };
}
export function resolve(text, proposerId, votes, id) {
  if (text === "resolve throws") throw new Error("undecided");
  if (text === "resolve babbles") return "Perhaps";
  const yes = votes.filter(({ vote }) => vote).length;
  if (yes > ${MEMBERS.length} / 2) return "Accepted";
  return votes.length - yes >= ${MEMBERS.length} / 2 ? "Rejected" : "Open";
}
export function apply(text, id) {
  const infos = ccf.kv["public:ccf.gov.proposals_info"];
  ccf.kv["public:ccf.gov.applied"].set(ccf.strToBuf(id), ccf.strToBuf(text));
  if (text === "apply throws") throw new Error("too late");
  if (text !== "drops others") return;
  infos.forEach((value, key) => {
    const info = ccf.bufToJsonCompatible(value);
    if (ccf.bufToStr(key) !== id && info.state === "Open") {
      infos.set(key, ccf.jsonCompatibleToBuf({ ...info, state: "Dropped" }));
    }
  });
}`;

const BALLOTS = {
  yes: "export function vote() { return 1; }",
  no: 'export function vote() { return ""; }',
  throws: 'export function vote() { throw new Error("no"); }',
} as const;
type Ballot = keyof typeof BALLOTS;

interface ModelProposal {
  readonly text: string;
  readonly proposer: string;
  state: string;
  readonly ballots: Map<string, Ballot>;
}

/** The rules in a few lines of another kind: what governance.md §3 says, without tables or scripts. */
class Model {
  readonly proposals = new Map<string, ModelProposal>();
  readonly applied: string[] = [];

  create(text: string): string {
    if (text === "validate throws") return "500 InternalError";
    if (text === "invalid") return "400 ProposalFailedToValidate";
    if (text === "resolve throws" || text === "resolve babbles") return "500 InternalError";
    return "Open";
  }

  vote(id: string, member: string, ballot: Ballot): string {
    const proposal = this.proposals.get(id);
    if (proposal === undefined) return "404 ProposalNotFound";
    if (proposal.state !== "Open") return "400 ProposalNotOpen";
    const earlier = proposal.ballots.get(member);
    if (earlier !== undefined) return earlier === ballot ? "Open" : "400 VoteAlreadyExists";
    const after = new Map(proposal.ballots).set(member, ballot);
    const count = (wanted: Ballot) => [...after.values()].filter((each) => each === wanted).length;
    const half = MEMBERS.length / 2;
    const state = count("yes") > half ? "Accepted" : count("no") >= half ? "Rejected" : "Open";
    if (state === "Accepted" && proposal.text === "apply throws") return "500 InternalError";
    proposal.ballots.set(member, ballot);
    proposal.state = state;
    if (state !== "Open") this.#close(id);
    if (state === "Accepted") this.#apply(id, proposal.text);
    return state;
  }

  withdraw(id: string, member: string): string {
    const proposal = this.proposals.get(id);
    if (proposal === undefined) return "nothing";
    if (proposal.proposer !== member) return "403 AuthorizationFailed";
    if (proposal.state === "Withdrawn") return "Withdrawn";
    if (proposal.state !== "Open") return "400 ProposalNotOpen";
    proposal.state = "Withdrawn";
    this.#close(id);
    return "Withdrawn";
  }

  #close(id: string): void {
    for (const [each, { state }] of this.proposals) if (each !== id && state !== "Open") this.proposals.delete(each);
  }

  #apply(id: string, text: string): void {
    this.applied.push(id);
    if (text !== "drops others") return;
    for (const [each, proposal] of this.proposals) {
      if (each !== id && proposal.state === "Open") proposal.state = "Dropped";
    }
  }
}

const member = fc.constantFrom(...MEMBERS);
const text = fc.constantFrom(
  "plain",
  "plain",
  "drops others",
  "apply throws",
  "resolve throws",
  "resolve babbles",
  "invalid",
  "validate throws",
);
const command = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("create" as const), member, text }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("vote" as const),
      member,
      at: fc.nat(2),
      ballot: fc.constantFrom<Ballot>("yes", "yes", "no", "throws"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("withdraw" as const), member, at: fc.nat(2) }) },
);

const engine = await loadScriptEngine(() => performance.now());

Deno.test("any sequence of proposals, ballots and withdrawals ends as a model of a few lines says", () => {
  fc.assert(
    fc.property(fc.array(command, { minLength: 10, maxLength: 60, size: "max" }), (commands) => {
      const chamber = new TestChamber(engine, CONSTITUTION, MEMBERS);
      const model = new Model();
      const ids: string[] = [];
      for (const [i, each] of commands.entries()) {
        const id = each.kind === "create" ? "" : ids.at(-1 - each.at) ?? "0".repeat(64);
        const outcome = each.kind === "create"
          ? chamber.create(chamber.request(each.member, each.text, 1_700_000_000 + i))
          : each.kind === "vote"
          ? chamber.vote(each.member, id, BALLOTS[each.ballot])
          : chamber.withdraw(each.member, id);
        const said = outcome === undefined ? "nothing" : "refused" in outcome ? outcome.refused : outcome.info.state;
        if (each.kind === "create") {
          assert.equal(said, model.create(each.text));
          if (outcome !== undefined && "id" in outcome) {
            ids.push(outcome.id);
            model.proposals.set(outcome.id, {
              text: each.text,
              proposer: each.member,
              state: "Open",
              ballots: new Map(),
            });
          }
        } else if (each.kind === "vote") assert.equal(said, model.vote(id, each.member, each.ballot));
        else assert.equal(said, model.withdraw(id, each.member));
        assertSame(chamber, model);
      }
    }),
    { numRuns: 100 },
  );
});

function assertSame(chamber: TestChamber, model: Model): void {
  chamber.read((tx) => {
    const infos = [...tx.open(PROPOSALS_INFO).entries()];
    const rows = infos.map(([id, { state, proposer_id, ballots }]) => [id, state, proposer_id, Object.keys(ballots)]);
    const expected = [...model.proposals].map(([id, { state, proposer, ballots }]) =>
      [id, state, proposer, [...ballots.keys()].sort()] as const
    ).sort(([a], [b]) => a < b ? -1 : 1);
    assert.deepEqual(rows, expected);
    assert.deepEqual([...tx.open(PROPOSALS).entries()].map(([id]) => id), expected.map(([id]) => id));
    const applied = [...tx.openRaw("public:ccf.gov.applied").entries()].map(([id]) => id);
    assert.deepEqual(applied, [...model.applied].sort(), "what failed has left nothing");
    for (const [, { state, final_votes, vote_failures }] of infos) {
      const isResolved = state === "Accepted" || state === "Rejected";
      assert.equal(final_votes !== undefined && vote_failures !== undefined, isResolved);
    }
  });
}

Deno.test("a proposal counts once, and none that is older than the middle one of those that are remembered", () => {
  const chamber = new TestChamber(engine, CONSTITUTION, MEMBERS);
  const say = (request: ReturnType<TestChamber["request"]>) => {
    const outcome = chamber.create(request);
    return outcome !== undefined && "refused" in outcome ? outcome.refused : "taken";
  };
  const start = 1_700_000_000;
  const requests = Array.from({ length: 100 }, (_, i) => chamber.request("a", "plain", start + i));
  for (const request of requests) assert.equal(say(request), "taken");
  assert.equal(say(requests[99]!), "400 ProposalReplay");
  assert.equal(say(chamber.request("a", "plain", start - 1)), "400 ProposalCreatedTooLongAgo");
  assert.equal(say(chamber.request("a", "plain", start + 49)), "400 ProposalCreatedTooLongAgo");
  assert.equal(say(chamber.request("a", "plain", start + 50)), "taken");
  assert.equal(say(chamber.request("a", "plain", 10_000_000_000)), "400 InvalidCreatedAt");
  assert.equal(say(chamber.request("a", "invalid", start - 1)), "400 ProposalFailedToValidate", "validity comes first");

  const one = new TestChamber(engine, CONSTITUTION, MEMBERS, 1);
  const taken = (createdAt: number) => {
    const outcome = one.create(one.request("a", "plain", createdAt));
    return outcome !== undefined && "id" in outcome;
  };
  assert.deepEqual([taken(start), taken(start - 1), taken(start), taken(start + 5), taken(start + 4)], [
    true,
    false,
    true,
    true,
    false,
  ]);
});

Deno.test("five hundred proposals may be open, and closing one leaves the others", () => {
  const chamber = new TestChamber(engine, CONSTITUTION, MEMBERS);
  const ids: string[] = [];
  for (let i = 0; i < 500; i++) {
    const outcome = chamber.create(chamber.request("a", "plain", 1_700_000_000 + i));
    assert(outcome !== undefined && "id" in outcome);
    ids.push(outcome.id);
  }
  for (const voter of ["a", "b", "c"]) chamber.vote(voter, ids[250]!, BALLOTS.yes);
  chamber.read((tx) => {
    assert.equal(tx.open(PROPOSALS_INFO).size, 500);
    assert.equal(tx.open(PROPOSALS_INFO).get(ids[250]!)?.state, "Accepted");
  });
  assert.equal((chamber.withdraw("a", ids[0]!) as { info: { state: string } }).info.state, "Withdrawn");
  chamber.read((tx) => assert.equal(tx.open(PROPOSALS_INFO).size, 499, "the accepted one is tidied away"));
});

Deno.test("a ballot that never ends is a failure with CCF's reason, and the others count", async () => {
  let clockMs = 0;
  const hasty = await loadScriptEngine(() => clockMs += 500);
  const chamber = new TestChamber(hasty, CONSTITUTION, MEMBERS);
  const { id } = chamber.create(chamber.request("a", "plain")) as { id: string };
  chamber.vote("a", id, "export function vote() { for (;;); }");
  for (const voter of ["b", "c"]) chamber.vote(voter, id, BALLOTS.yes);
  const last = chamber.vote("d", id, BALLOTS.yes) as { info: { state: string; vote_failures: unknown } };
  assert.equal(last.info.state, "Accepted");
  const failures = last.info.vote_failures as Record<string, { reason: string }>;
  assert.deepEqual(Object.keys(failures), ["a"]);
  assert.equal(failures.a!.reason, "Operation took too long to complete.");
});

Deno.test("a constitution that never ends decides nothing, and leaves nothing", async () => {
  let clockMs = 0;
  const hasty = await loadScriptEngine(() => clockMs += 500);
  const endless = CONSTITUTION.replace(
    'if (text === "apply throws")',
    'for (; text === "apply throws";);\n  if (false)',
  );
  const chamber = new TestChamber(hasty, endless, MEMBERS);
  const { id } = chamber.create(chamber.request("a", "apply throws")) as { id: string };
  for (const voter of ["a", "b"]) chamber.vote(voter, id, BALLOTS.yes);
  const version = chamber.store.version;
  const last = chamber.vote("c", id, BALLOTS.yes) as { refused: string; message: string };
  assert.equal(last.refused, "500 InternalError");
  assert.match(last.message, /^Failed to apply\(\): Operation took too long to complete\.\nTrace: /);
  assert.equal(chamber.store.version, version);
});
