/** Pins over real recoveries: ledgers that CCF wrote before and after. */

import { strict as assert } from "node:assert";
import { filesOf, readLedger } from "../../tests/console_ledger.ts";
import { ledgerDirectory } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import type { LedgerState, Pin } from "../ledger/protocol.ts";
import type { PinnedService } from "./pin_store.ts";
import { judgePins } from "./pinning.ts";

async function stateOf(name: string, pin?: Pin): Promise<LedgerState> {
  const options = { lenient: true, ...(pin !== undefined && { pin }) };
  const reading = await readLedger({ kind: "files", files: filesOf(ledgerDirectory(name)) }, options);
  const { state } = reading;
  await reading.close();
  return state;
}

function pinnedFrom({ service, pin }: LedgerState): PinnedService {
  return {
    genesisIdentity: service!.identities[0]!.identity,
    name: "Recovered",
    pin: pin!,
    certificatePem: service!.certificatePem,
    url: "",
    verifiedAtMs: 0,
  };
}

teamTest("a service that was recovered continues its pin, under a key that a person has to accept", async () => {
  const before = await stateOf("recorded_recovery/before_recovery");
  const known = pinnedFrom(before);
  const found = judgePins(await stateOf("recorded_recovery"), [known], undefined, undefined, 1);
  assert.equal(found.kind, "compare", "it is found by its first key");
  const after = await stateOf("recorded_recovery", known.pin);
  assert.equal(after.status, "complete", JSON.stringify(after.problem));
  assert.ok(after.service!.identities.length > 1);
  const judged = judgePins(after, [known], undefined, known, 1);
  assert(judged.kind === "recovered");
  assert.notEqual(judged.next.pin.serviceIdentity, known.pin.serviceIdentity);
  assert.equal(judged.next.genesisIdentity, known.genesisIdentity);
});

teamTest("the state from before a recovery is refused once the recovered service is pinned", async () => {
  const known = pinnedFrom(await stateOf("recorded_recovery"));
  const old = await stateOf("recorded_recovery/before_recovery", known.pin);
  assert.equal(old.status, "stopped");
  assert.equal(old.problem?.code, "LedgerOlderThanPinned");
});

teamTest("another service is not taken for the one that is pinned", async () => {
  const known = pinnedFrom(await stateOf("recorded_recovery/before_recovery"));
  const other = await stateOf("recorded_governance");
  assert.equal(judgePins(other, [known], undefined, undefined, 1).kind, "unknown");
  assert.equal(judgePins(other, [{ ...known, url: "https://node" }], "https://node", undefined, 1).kind, "changed");
});
