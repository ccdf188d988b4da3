import { strict as assert } from "node:assert";
import { toUtf8 } from "../../shared/bytes.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { PLAIN_BALLOTS } from "../../shared/governance/member_request.ts";
import { PROPOSALS_INFO } from "../../shared/governance/tables.ts";
import { filesOf, readLedger } from "../../tests/console_ledger.ts";
import { ledgerDirectory } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import type { LedgerReading } from "../ledger/reading.ts";
import type { TransactionDetail } from "../ledger/protocol.ts";
import { parseDryRun, simulationRows, staleBecause } from "./dry_run.ts";
import { type GovernanceEntry, governanceEntryOf } from "./entries.ts";
import { ballotWord, laneOf, matches, mayVote, voteCount } from "./lanes.ts";
import { comparableAt, compareTold, parseTold } from "./node_word.ts";
import { type ProposalRecord, proposalRecords, recordCheck } from "./proposals.ts";
import { liveProposals, readProposal, readProposals } from "./read_proposals.ts";
import { constitutionLines } from "./stack_lines.ts";

const openRecorded = () => readLedger({ kind: "files", files: filesOf(ledgerDirectory("recorded_governance")) });

async function entriesOf(reading: LedgerReading): Promise<{ entry: GovernanceEntry; detail: TransactionDetail }[]> {
  const { rows } = await reading.entries({ table: PROPOSALS_INFO.name }, 0, 1000);
  return await Promise.all(rows.map(async ({ seqno }) => {
    const answer = await reading.transaction(seqno);
    assert.ok(answer.found);
    const entry = await governanceEntryOf(reading, noblePrimitives, answer.transaction);
    return { entry, detail: answer.transaction };
  }));
}

teamTest("every proposal and ballot of a real ledger is proved by what its author signed", async () => {
  const reading = await openRecorded();
  const { proposals, odd, olderEntries } = await readProposals(reading, new Map());
  assert.deepEqual([odd, olderEntries], [[], 0]);
  assert.ok(proposals.length > 10, String(proposals.length));
  for (const record of proposals) {
    assert.deepEqual(recordCheck(record), { kind: "verified" }, JSON.stringify(record.events));
    assert.ok(record.text !== undefined && record.submittedAt !== undefined);
    assert.equal(record.events[0]!.kind, "submitted");
    assert.ok(record.events[0]!.signedAtMs! > 1_500_000_000_000);
    const single = await readProposal(reading, record.id, new Map());
    assert.deepEqual(single, record, "one alone is told as in the list");
  }
  const states = new Set(proposals.map(({ state }) => state));
  assert.ok(states.has("Accepted"), [...states].join());
  for (const { id, info } of await liveProposals(reading)) {
    const record = proposals.find((other) => other.id === id)!;
    assert.deepEqual([record.state, record.isRemoved], [info.state, false]);
  }
  await reading.close();
});

teamTest("a row that says something else than its author signed is found", async () => {
  const reading = await openRecorded();
  const entries = await entriesOf(reading);
  const changed = async (lie: (detail: TransactionDetail) => TransactionDetail) => {
    const told = await Promise.all(
      entries.map(({ detail }) => governanceEntryOf(reading, noblePrimitives, lie(detail))),
    );
    return proposalRecords(told, []);
  };
  const why = (records: readonly ProposalRecord[]) =>
    new Set(records.map(recordCheck).flatMap((check) => check.kind === "failed" ? [check.why] : []));
  const rewrite = (table: string, edit: (value: Uint8Array) => Uint8Array) => (detail: TransactionDetail) => ({
    ...detail,
    writes: detail.writes.map((write) =>
      write.table === table && write.after !== undefined ? { ...write, after: edit(write.after) } : write
    ),
  });
  assert.deepEqual(why(await changed((detail) => detail)), new Set());
  const otherText = await changed(rewrite("public:ccf.gov.proposals", () => toUtf8('{"actions":[]}')));
  assert.ok(why(otherText).has("its text is not the one that its proposer signed"));
  const otherBallots = await changed(rewrite(PROPOSALS_INFO.name, (value) => {
    const info = PROPOSALS_INFO.value.decode(value);
    const ballots = Object.fromEntries(Object.keys(info.ballots).map((id) => [id, PLAIN_BALLOTS.no]));
    return PROPOSALS_INFO.value.encode({ ...info, ballots });
  }));
  assert.ok(why(otherBallots).has("its text is not the one that its voter signed"), [...why(otherBallots)].join());
  const otherProposer = await changed(rewrite(
    PROPOSALS_INFO.name,
    (value) => PROPOSALS_INFO.value.encode({ ...PROPOSALS_INFO.value.decode(value), proposer_id: "ab".repeat(32) }),
  ));
  assert.ok([...why(otherProposer)].some((sentence) => sentence.startsWith("it is filed under member abab")));
  const unsigned = await changed((detail) => ({
    ...detail,
    writes: detail.writes.filter(({ table }) => table !== "public:ccf.gov.cose_history"),
  }));
  assert.ok(why(unsigned).has("the entry has no member's request"));
  await reading.close();
});

teamTest(
  "a text that is changed behind its submission is found, in the entry that does it and in the table",
  async () => {
    const reading = await openRecorded();
    const { proposals } = await readProposals(reading, new Map());
    const { id } = proposals.find(({ ballots, events }) => ballots.length > 0 && events.length > 1)!;
    const entries = (await entriesOf(reading)).map(({ entry }) => entry);
    const text = toUtf8('{"actions":[]}');
    const later = entries.map((entry) => ({
      ...entry,
      changes: entry.changes.map((change) =>
        change.id === id && change.before !== undefined && change.after !== undefined ? { ...change, text } : change
      ),
    }));
    const checkOf = (records: readonly ProposalRecord[]) => records.find((other) => other.id === id)!.check;
    assert.deepEqual(checkOf(proposalRecords(entries, [])), { kind: "verified" });
    assert.deepEqual(checkOf(proposalRecords(later, [])), {
      kind: "failed",
      why: "its text was changed after it was submitted",
    });
    const { after: info } = entries.flatMap(({ changes }) => changes).findLast((change) =>
      change.id === id && change.after !== undefined
    )!;
    const inTable = proposalRecords(entries, [{ id, info: info!, text, writtenAt: 1 }]);
    assert.deepEqual(checkOf(inTable), {
      kind: "failed",
      why: "the text that would be carried out is not the one that was submitted",
    });
    await reading.close();
  },
);

const ID = "ab".repeat(32);
const ALICE = "a1".repeat(32);
const BOB = "b0".repeat(32);
const record = (change: Partial<ProposalRecord> = {}): ProposalRecord => ({
  id: ID,
  proposerId: ALICE,
  state: "Open",
  text: toUtf8('{"actions":[{"name":"set_user_data","args":{"user_id":"x"}}]}'),
  check: { kind: "verified" },
  submittedAt: 7,
  ballots: [{ memberId: ALICE, text: PLAIN_BALLOTS.yes, check: { kind: "verified" } }],
  events: [],
  changedAt: 9,
  isRemoved: false,
  ...change,
});

Deno.test("laneOf() asks me for what only I can move, and nobody for what is over", () => {
  const members = [ALICE, BOB];
  assert.equal(laneOf(record(), BOB, members), "needs me");
  assert.equal(laneOf(record(), ALICE, members), "open", "a ballot cannot be changed");
  assert.equal(laneOf(record(), undefined, members), "open");
  assert.equal(laneOf(record(), BOB, [ALICE]), "open", "who is not active has no vote");
  assert.deepEqual(mayVote(record(), members), [BOB]);
  assert.deepEqual(mayVote(record({ state: "Accepted" }), members), []);
  assert.equal(laneOf(record({ state: "Rejected" }), BOB, members), "decided");
  assert.equal(laneOf(record({ state: "Dropped" }), BOB, members), "ended");
});

Deno.test("matches() looks into names, actions and arguments", () => {
  const nameOf = (id: string) => id === ALICE ? "Alice of Contoso" : undefined;
  for (const text of ["contoso", "USER_data", ID.slice(0, 9), "open"]) {
    assert.ok(matches(record(), { text }, nameOf), text);
  }
  assert.ok(!matches(record(), { text: "nothing of it" }, nameOf));
  assert.ok(!matches(record(), { action: "set_user" }, nameOf));
  assert.ok(!matches(record(), { proposerId: BOB }, nameOf));
});

Deno.test("A ballot is told by what it counted as, else by what it always says", () => {
  const ballot = record().ballots[0]!;
  assert.equal(ballotWord(ballot), "for");
  assert.equal(ballotWord({ ...ballot, counted: false }), "against");
  assert.match(ballotWord({ ...ballot, text: "export function vote() { return 1 }" }), /^a program/);
  assert.match(ballotWord({ ...ballot, failure: "x" }), /^counted as nothing/);
  assert.deepEqual(voteCount(record()), { yes: 1, no: 0, other: 0 });
});

Deno.test("A node that withholds a proposal, makes one up or tells another state contradicts the ledger", () => {
  const info = { proposer_id: ALICE, state: "Open", ballots: { [ALICE]: "x" } } as const;
  const rows = [{ id: ID, info, text: undefined, writtenAt: 9 }];
  const told = (...value: object[]) => parseTold({ value }, "2.12", 7);
  const honest = { proposalId: ID, proposalState: "Open", proposerId: ALICE, ballotCount: 1 };
  assert.deepEqual(compareTold(told(honest), rows), []);
  const kinds = (...value: object[]) => compareTold(told(...value), rows).map(({ kind }) => kind);
  assert.deepEqual(kinds(), ["withheld"]);
  assert.deepEqual(kinds({ ...honest, proposalState: "Accepted" }), ["state"]);
  assert.deepEqual(kinds({ ...honest, proposerId: BOB, ballotCount: 0 }), ["proposer", "ballots"]);
  assert.deepEqual(kinds(honest, { ...honest, proposalId: "cd".repeat(32) }), ["unknown"]);
  assert.deepEqual(comparableAt(told(), 12), { at: 12 });
  assert.ok("why" in comparableAt(told(), 11));
  assert.deepEqual(comparableAt(parseTold({ value: [] }, "nonsense", 10), 11), { at: 10 });
  assert.deepEqual(comparableAt(parseTold({ value: [] }, "2.5", 10), 11), { at: 10 }, "an old answer is no excuse");
});

Deno.test("A dry run is told as rows, fewest votes first, and is stale once something changed", () => {
  const answer = parseDryRun({
    asOf: "2.30",
    validation: { valid: true },
    outcome: { state: "Open" },
    votes: [],
    voteFailures: {},
    missing: [ALICE, BOB, "c0".repeat(32)],
    combinations: [
      { yes: [ALICE, BOB], outcome: { state: "Accepted" } },
      { yes: [], outcome: { state: "Open" } },
      { yes: [BOB], outcome: { state: "Failed", failure: { reason: "no" } } },
    ],
    combinationsLeftOut: 5,
    passesIf: [[ALICE, BOB]],
    changes: [],
    changesLeftOut: 0,
    warnings: [],
    elapsedMs: 1.5,
    inWords: [],
  });
  assert.deepEqual(simulationRows(answer), [
    { yes: [], no: [ALICE, BOB], state: "Open" },
    { yes: [BOB], no: [ALICE], state: "Failed", why: "no" },
    { yes: [ALICE, BOB], no: [], state: "Accepted" },
  ]);
  assert.equal(staleBecause("2.30", 30, 12), undefined);
  assert.match(staleBecause("2.30", 31, 12)!, /^The constitution changed at seqno 31/);
  assert.match(staleBecause("2.30", 1, 40)!, /^The proposal changed at seqno 40/);
});

Deno.test("constitutionLines() finds the lines of an error, and none where it names none", () => {
  const error =
    "Error: cert must be an X.509 certificate in PEM format\n    at must (public:ccf.gov.constitution[0]:27)\n" +
    "    at checkCertificate (public:ccf.gov.constitution[0]:68:9)\n    at <anonymous> (native)\n";
  assert.deepEqual(constitutionLines(error), [
    { functionName: "must", line: 27 },
    { functionName: "checkCertificate", line: 68 },
  ]);
  assert.deepEqual(constitutionLines("no such action"), []);
});
