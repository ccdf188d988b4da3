/**
 * What real networks of several nodes left behind, explained by our tools: who led, who came and went, which tail counts.
 *
 * The ledgers: `recorded_nodes`, `recorded_join`, `recorded_orphans` of the team folder. That each verifies is tested with
 * `ledger verify` (node/commands/ledger_verify_test.ts), that the joiner's broadcast decrypts with its format
 * (shared/ledger/secret_broadcast_test.ts).
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { runCompare } from "../node/commands/ledger_compare.ts";
import { showNodes } from "../node/commands/ledger_nodes.ts";
import { listLedger } from "../node/ledger_listing.ts";
import { UsageError } from "../node/commands/exit.ts";
import { parseChunk } from "../shared/ledger/chunk.ts";
import { RecordedOutput } from "./recorded_output.ts";
import { ledgerDirectory } from "./services.ts";
import { teamData, teamTest } from "./team_data.ts";
import { change, verify, withCopy } from "./verify_ledger.ts";

const ledger = (name: string) => ledgerDirectory(name).ledger;

function compare(one: string, other: string) {
  const [json, text] = [new RecordedOutput(), new RecordedOutput()];
  const code = runCompare(one, other, true, json);
  assert.equal(runCompare(one, other, false, text), code);
  const lines = text.lines.map((line) => line.replaceAll(one, "ONE").replaceAll(other, "OTHER"));
  return { code, lines, ...JSON.parse(json.text) };
}

function nodes(name: string) {
  const [json, text] = [new RecordedOutput(), new RecordedOutput()];
  const listing = listLedger(ledger(name));
  assert.deepEqual([showNodes(listing, true, json), showNodes(listing, false, text)], [0, 0]);
  return { lines: text.lines, ...JSON.parse(json.text) };
}

teamTest(
  "the tail that a primary alone had verifies, and another node's ledger shows that it was never committed",
  () => {
    const [dead, winner] = [ledger("recorded_orphans/dead_primary"), ledger("recorded_orphans/new_primary")];
    assert.equal(verify([dead]).last_signed, "2.57");
    const found = compare(dead, winner);
    assert.deepEqual(found.lines, [
      "They part: the same from 1 up to transaction 2.44",
      "  ONE has 2.45 to 2.57, signed",
      "  OTHER has 3.45 to 3.69, signed",
      "  The tail of ONE was never committed: the primary of view 3 went on without what the primary of view 2 wrote from " +
      "2.45 on",
    ]);
    const tail = { marked_committed: false, never_committed: true };
    assert.deepEqual([found.code, found.verdict, found.first, found.last_shared], [1, "they part", 1, "2.44"]);
    assert.deepEqual(found.tails, [
      { ...tail, first: "2.45", last: "2.57", last_signed: "2.57" },
      { ...tail, first: "3.45", last: "3.69", last_signed: "3.69", marked_committed: true, never_committed: false },
    ]);
    const turned = compare(winner, dead);
    assert.deepEqual([turned.code, turned.tails.toReversed()], [1, found.tails]);

    const joiner = compare(ledger("recorded_orphans/joiner"), winner);
    assert.deepEqual(joiner.lines, ["The same: from 1 up to transaction 3.69"]);
    assert.deepEqual([joiner.code, joiner.verdict, joiner.tails], [0, "the same", [null, null]]);
  },
);

teamTest("an orphaned tail that is named as committed is a warning", async () => {
  await withCopy(ledgerDirectory("recorded_orphans/dead_primary"), (copy) => {
    Deno.renameSync(join(copy, "ledger_45"), join(copy, "ledger_45-47.committed"));
    const { lines } = compare(copy, ledger("recorded_orphans/new_primary"));
    assert.equal(lines.at(-1), "  Warning: ONE/ledger_45-47.committed is named as committed, and must not be");
  });
});

teamTest("the ledgers of all nodes of a network are the same as far as each goes, wherever they begin", () => {
  const all = [0, 1, 2, 3].map((i) => ledger(`recorded_nodes/node${i}`));
  const expected = [
    [0, 1, "1", "3.49", [null, "5.85"]],
    [0, 2, "12", "3.49", [null, "5.87"]],
    [1, 2, "12", "5.85", [null, "5.87"]],
    [1, 3, "65", "5.85", [null, "5.87"]],
    [2, 3, "65", "5.87", [null, null]],
  ] as const;
  for (const [one, other, first, last, ends] of expected) {
    const found = compare(all[one]!, all[other]!);
    assert.deepEqual([found.code, String(found.first), found.last_shared], [0, first, last], `${one} and ${other}`);
    assert.deepEqual(found.tails.map((tail: { last: string } | null) => tail?.last ?? null), ends);
  }
  assert.throws(() => compare(all[0]!, all[3]!), UsageError);
});

teamTest(
  "what a recovered service left out is not called uncommitted, and ledgers of two services are told apart",
  () => {
    const shares = compare(ledger("recorded_recovery_shares/before_recovery"), ledger("recorded_recovery_shares"));
    assert.deepEqual(shares.lines, [
      "They part: the same from 1 up to transaction 2.59",
      "  ONE has 2.60 to 2.60, nothing of it signed",
      "  OTHER has 4.60 to 4.94, signed",
      "  OTHER goes on as a service that was recovered without what ONE has there, committed or not",
    ]);
    assert.equal(compare(ledger("recorded_rekey/before_recovery"), ledger("recorded_rekey")).code, 0);
    const services = compare(ledger("recorded_join"), ledger("recorded_nodes/node1"));
    assert.equal(services.code, 1);
    assert.equal(services.lines.at(-1), "  They are ledgers of different services");
    const later = compare(ledger("recorded_join"), ledger("recorded_nodes/node2"));
    assert.deepEqual([later.code, later.tails[0].never_committed, later.tails[1].never_committed], [1, false, false]);
    assert.equal(
      later.lines.at(-1),
      "  Nothing in them says that they are of one service: compare ledgers that begin earlier",
    );
  },
);

teamTest("one changed byte is found, and where it makes the same transaction another one it is said", async () => {
  const whole = ledgerDirectory("recorded_nodes/node2");
  await withCopy(whole, (copy) => {
    const path = join(copy, "ledger_45-64.committed");
    const entry = parseChunk(Deno.readFileSync(path)).content[3]!;
    const putBack = change(path, (bytes) => {
      bytes[entry.offset + entry.bytes.length - 1]! ^= 1;
      return bytes;
    });
    const found = compare(copy, whole.ledger);
    assert.deepEqual([found.code, found.last_shared, found.tails[0].first], [1, "3.47", "3.48"]);
    assert.equal(found.lines.at(-1), "  Both call it 3.48, which no service does: one of them was changed");
    putBack();
    change(path, (bytes) => bytes.fill(0xff, entry.offset, entry.offset + 8));
    const damaged = compare(copy, whole.ledger);
    assert.deepEqual([damaged.code, damaged.last_shared, damaged.damages[1]], [2, "3.47", null]);
    assert.match(damaged.lines.at(-1), /^ {2}Warning: the rest of ONE cannot be read: /);
  });
});

teamTest("who led a real network in which view, and who came and went, stands in its ledger", () => {
  const [first, second, third, fourth] = [
    "238ed04bc9089c7b1bf58a5470f9b9a46c834a718016265bbee095ce37d8618d",
    "1c83bcc57c27b611bdefb430a3aacb92ecf89c56e339bc4f5c857e0046dbf111",
    "b6a2a472e674c6de48ee3c5bf44dd0fdc0d423737c3871e827dfb9bee139bed0",
    "b46027103ccd28aec8292f0fb00399cd50cdabfd3634c05938292a04f0576498",
  ] as const;
  const found = nodes("recorded_nodes/node1");
  assert.deepEqual(found.lines, [
    "Views",
    `  2.1 to 2.20  led by ${first}`,
    `  3.21 to 3.49  led by ${first}`,
    `  4.50 to 4.84  led by ${second}`,
    `  5.85 to 5.85  led by ${third}`,
    "Nodes",
    `  ${first}  Trusted 2.1, Retired 4.55, removed 4.59`,
    `  ${second}  Pending 2.15, Trusted 2.19, Retired 4.81`,
    `  ${third}  Pending 3.22, Trusted 3.25`,
    `  ${fourth}  Pending 4.70, Trusted 4.74`,
  ]);
  // What the network itself said at its end.
  const steps: [string, string][] = JSON.parse(
    Deno.readTextFileSync(teamData("ccf/testdata/recorded_nodes/steps.json")),
  );
  const { view_history } = JSON.parse(steps.at(-1)![1]);
  assert.deepEqual(view_history, ["1.1", "2.1", ...found.views.slice(1).map(({ first }: { first: string }) => first)]);
  const end = JSON.parse(Deno.readTextFileSync(teamData("ccf/testdata/recorded_nodes/nodes_at_end.json")));
  for (const { node_id, status, primary } of end.nodes) {
    const node = found.nodes.find((node: { node_id: string }) => node.node_id === node_id);
    assert.equal(node.changes.at(-1).status, status);
    assert.equal(found.views.at(-1).primary === node_id, primary);
  }
  assert.deepEqual(nodes("recorded_nodes/node3").views.map(({ view }: { view: number }) => view), [4, 5]);
  assert.deepEqual(
    nodes("recorded_join").nodes.find(({ node_id }: { node_id: string }) => node_id.startsWith("964fa067")).changes.map(
      ({ status }: { status: string }) => status,
    ),
    ["Pending", "Trusted"],
  );
});
