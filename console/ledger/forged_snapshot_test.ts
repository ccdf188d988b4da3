import { strict as assert } from "node:assert";
import { fromUtf8, toUtf8 } from "../../shared/bytes.ts";
import { MEMBERS_CERTS } from "../../shared/governance/tables.ts";
import { filesOf, readLedger } from "../../tests/console_ledger.ts";
import { ledgerDirectory, readSnapshotFiles } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";

/** The end of a real ledger behind a snapshot, under the name that is given to it, with its bytes changed. */
async function readBehind(name: string, change: (bytes: Uint8Array) => void) {
  const directory = ledgerDirectory("recorded_governance");
  const { bytes, name: { seqno } } = readSnapshotFiles(directory).at(-1)!;
  const changed = bytes.slice();
  change(changed);
  const files = filesOf(directory).filter((file) => file.name === `ledger_${seqno + 1}`);
  return await readLedger({ kind: "files", files: [...files, new File([changed], name)] }, { lenient: true });
}

/** Puts another first letter into the base64 of the first member's certificate, as whoever stores a snapshot could. */
function otherCertificate(bytes: Uint8Array): void {
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  const table = text.indexOf(MEMBERS_CERTS.name);
  bytes[text.indexOf("-----BEGIN CERTIFICATE-----\n", table) + 400] = toUtf8("A")[0]!;
}

teamTest("what a snapshot holds is verified by its evidence, and by no signature behind it alone", async () => {
  const proved = await readBehind("snapshot_145_146.committed", () => {});
  assert.equal(proved.state.status, "complete");
  assert.equal(proved.state.fromSnapshot?.evidenceVerified, true);
  const { rows, proof } = await proved.table(MEMBERS_CERTS.name);
  assert.equal(proof, "verified");
  await proved.close();

  // The evidence would be anywhere later, says the name: all signatures hold, and nobody has signed these tables.
  const forged = await readBehind("snapshot_145_99999.committed", otherCertificate);
  assert.equal(forged.state.status, "complete");
  assert.equal(forged.state.fromSnapshot?.evidenceVerified, false);
  const table = await forged.table(MEMBERS_CERTS.name);
  assert.notDeepEqual(table.rows.map(({ value }) => fromUtf8(value)), rows.map(({ value }) => fromUtf8(value)));
  assert.equal(table.proof, "unproved");
  await forged.close();

  const found = await readBehind("snapshot_145_146.committed", otherCertificate);
  assert.equal(found.state.status, "stopped");
  await found.close();
});
