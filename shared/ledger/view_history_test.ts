import { strict as assert } from "node:assert";
import { fromHex, toHex } from "../bytes.ts";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { ledgerDirectories, readExpectedSummary } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import { parseViewStarts, serialiseViewStarts, ViewHistory } from "./view_history.ts";

Deno.test("a ViewHistory starts each view after the last signature before it", () => {
  const history = new ViewHistory();
  assert.equal(history.view, 0);
  assert.equal(history.viewOf(1), undefined);
  for (const [view, seqno] of [[2, 2], [2, 35], [4, 40], [4, 65], [6, 70], [7, 71]] as const) {
    history.addSignature({ view, seqno });
  }
  assert.deepEqual(history.starts, [1, 1, 36, 36, 66, 66, 71]);
  assert.equal(history.view, 7);
  assert.deepEqual([1, 35, 36, 65, 66, 70, 71, 1000].map((seqno) => history.viewOf(seqno)), [2, 2, 4, 4, 6, 6, 7, 7]);
});

Deno.test("a ViewHistory goes on from the one of a snapshot", () => {
  const history = new ViewHistory([1, 1], 44);
  history.addSignature({ view: 3, seqno: 45 });
  assert.deepEqual(history.starts, [1, 1, 45]);
});

Deno.test("a ViewHistory refuses a view that no elections reach", () => {
  assert.throws(() => new ViewHistory().addSignature({ view: 0x7fffffff, seqno: 2 }), {
    name: "FormatError",
    message: "Cannot follow the ledger into view 2147483647: at most 16777216",
  });
});

Deno.test("parseViewStarts() and serialiseViewStarts() agree, and refuse what goes backwards", () => {
  const hex = "010000000000000001000000000000002400000000000000";
  assert.deepEqual(parseViewStarts(fromHex(hex)), [1, 1, 36]);
  assert.equal(toHex(serialiseViewStarts([1, 1, 36])), hex);
  const bad: [string, string][] = [
    ["0200000000000000" + "0100000000000000", "Cannot read a view history: view 2 starts at 1, before 2"],
    ["0000000000000000", "Cannot read a view history: view 1 starts at 0, before 1"],
    ["01000000", "Cannot read 8 bytes at byte 0: only 4 are left"],
  ];
  for (const [bytes, message] of bad) {
    assert.throws(() => parseViewStarts(fromHex(bytes)), { name: "FormatError", message });
  }
});

teamTest("a ViewHistory made of a real ledger's signatures is the service's own", () => {
  for (const directory of ledgerDirectories()) {
    if (directory.expected === undefined) continue;
    const summary = readExpectedSummary(directory);
    if (summary.firstSeqno !== undefined) continue; // began at a snapshot, whose history comes first
    const history = new ViewHistory();
    for (const signature of summary.signatures) history.addSignature(signature);
    assert.deepEqual(history.starts, summary.viewHistory, directory.name);
  }
});

Deno.test("parseViewStarts() answers what serialises to the same bytes, or throws FormatError", () => {
  fuzzDecoder(mutated(serialiseViewStarts([1, 1, 36, 36, 66, 66]), serialiseViewStarts([1, 2])), parseViewStarts, (
    starts,
    bytes,
  ) => assert.deepEqual(serialiseViewStarts(starts), bytes));
});
