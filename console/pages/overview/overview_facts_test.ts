import { strict as assert } from "node:assert";
import { filesOf, readLedger } from "../../../tests/console_ledger.ts";
import { ledgerDirectory } from "../../../tests/services.ts";
import { teamTest } from "../../../tests/team_data.ts";
import { overviewFacts, STATUS_WORDS, toleranceText } from "./overview_facts.ts";

/** Of different versions; with recoveries, changes of members and of the constitution. */
const SERVICES = ["eol_service", "recorded_governance", "recorded_recovery"];

const LENIENT = { lenient: true };

teamTest("every real service is told in a few facts", async () => {
  let seen = 0;
  for (const directory of SERVICES.map(ledgerDirectory)) {
    const reading = await readLedger({ kind: "files", files: filesOf(directory) }, LENIENT);
    if (reading.state.status === "complete") {
      const facts = await overviewFacts(reading);
      seen++;
      assert.equal(facts.status, reading.state.service!.status, directory.name);
      assert.ok(facts.status in STATUS_WORDS, facts.status);
      assert.ok(facts.statusSince !== undefined && facts.statusSince.seqno <= reading.state.readSeqno);
      assert.ok(facts.activeMembers + facts.acceptedMembers > 0, directory.name);
      const ends = facts.certificates.map(({ notAfterMs }) => notAfterMs);
      assert.deepEqual(ends, ends.toSorted((a, b) => a - b));
      assert.ok(facts.certificates.some(({ kind }) => kind === "service"));
      assert.ok(facts.mayFail < Math.max(1, facts.trustedNodes));
    }
    await reading.close();
  }
  assert.equal(seen, SERVICES.length);
});

teamTest("a recovered service is told to be one", async () => {
  const reading = await readLedger({ kind: "files", files: filesOf(ledgerDirectory("recorded_recovery")) }, LENIENT);
  const facts = await overviewFacts(reading);
  const { identities } = reading.state.service!;
  await reading.close();
  assert.equal(facts.recoveries, identities.length - 1);
  assert.ok(facts.recoveries > 0);
  assert.ok(facts.recoveredAt! >= identities.at(-1)!.fromSeqno);
});

Deno.test("a majority must be left: so many nodes may fail", () => {
  assert.match(toleranceText(0, 0), /no node/);
  assert.match(toleranceText(1, 0), /one node/);
  assert.match(toleranceText(2, 0), /none may fail/);
  assert.match(toleranceText(3, 1), /one more node may fail/);
  assert.match(toleranceText(5, 2), /2 more nodes/);
});
