import { strict as assert } from "node:assert";
import { filesOf, readLedger } from "../../../tests/console_ledger.ts";
import { ledgerDirectory } from "../../../tests/services.ts";
import { teamTest } from "../../../tests/team_data.ts";
import { constitutionFacts } from "./constitution_facts.ts";

/** Of different versions; with recoveries, changes of members and of the constitution. */
const SERVICES = ["eol_service", "recorded_governance", "recorded_recovery"];

teamTest(
  "each constitution of a real ledger comes from the first transaction or from a proposal that was accepted",
  async () => {
    let decided = 0;
    for (const directory of SERVICES.map(ledgerDirectory)) {
      const reading = await readLedger({ kind: "files", files: filesOf(directory) }, { lenient: true });
      if (reading.state.status === "complete" && reading.state.fromSnapshot === undefined) {
        const { versions } = await constitutionFacts(reading);
        assert.ok(versions.length > 0, directory.name);
        for (const [i, { seqno, text, isReadable, decidedBy }] of versions.entries()) {
          assert.ok(isReadable && text.includes("function"), directory.name);
          if (i > 0) assert.ok(seqno < versions[i - 1]!.seqno);
          if (decidedBy !== undefined) decided++;
          else assert.ok(i === versions.length - 1, `${directory.name}: only the first comes without a decision`);
        }
      }
      await reading.close();
    }
    assert.ok(decided > 0);
  },
);
