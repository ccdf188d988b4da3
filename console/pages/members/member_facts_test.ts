import { strict as assert } from "node:assert";
import { MEMBERS_INFO } from "../../../shared/governance/tables.ts";
import { filesOf, readLedger } from "../../../tests/console_ledger.ts";
import { ledgerDirectory } from "../../../tests/services.ts";
import { teamTest } from "../../../tests/team_data.ts";
import { foldedTable, nameIn } from "../../folded.ts";
import { certificateFacts, type MemberFacts, peopleFacts, standingOf } from "./member_facts.ts";

/** Of different versions; with recoveries, changes of members and of the constitution. */
const SERVICES = ["eol_service", "recorded_governance", "recorded_recovery"];

const LENIENT = { lenient: true };

teamTest("the members of every real ledger are listed with what the ledger says of them", async () => {
  let seen = 0;
  for (const directory of SERVICES.map(ledgerDirectory)) {
    const reading = await readLedger({ kind: "files", files: filesOf(directory) }, LENIENT);
    if (reading.state.status === "complete") {
      const { members, odd } = await peopleFacts(reading);
      assert.deepEqual(odd, [], directory.name);
      const { rows } = await foldedTable(reading, MEMBERS_INFO);
      assert.deepEqual(
        members.map(({ id, status }) => [id, status]),
        rows.map(({ key, value }) => [key, value.status]),
      );
      for (const member of members) {
        seen++;
        assert.equal(typeof member.certificate, "object", directory.name);
        assert.equal(member.holdsShare && !member.hasEncryptionKey, false, "a share is encrypted to a key");
        if (member.status === "Active" && reading.state.fromSnapshot === undefined) {
          assert.ok(member.acknowledgedAt !== undefined || member.lastRequestAt !== undefined, directory.name);
        }
      }
    }
    await reading.close();
  }
  assert.ok(seen > 8);
});

teamTest("a certificate is told with its dates and its key", async () => {
  const reading = await readLedger({ kind: "files", files: filesOf(ledgerDirectory("recorded_governance")) }, LENIENT);
  const { members } = await peopleFacts(reading);
  await reading.close();
  const { certificate } = members[0]!;
  assert.ok(typeof certificate === "object");
  assert.match(certificate.key, /^P-(256|384|521)$/);
  assert.ok(certificate.notBeforeMs < certificate.notAfterMs);
});

Deno.test("what is no certificate is said to be none, and takes nobody along", () => {
  const facts = certificateFacts("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  assert.equal(typeof facts, "string");
});

Deno.test("standingOf() tells what becomes of a member next", () => {
  const member = { status: "Accepted", acknowledgedAt: undefined } as MemberFacts;
  assert.match(standingOf(member), /first acknowledgement/);
  assert.match(standingOf({ ...member, status: "Active" }), /may propose and vote/);
  assert.match(standingOf({ ...member, status: "unknown" }), /cannot act/);
});

Deno.test("nameIn() takes a name that is text, and nothing else", () => {
  assert.equal(nameIn({ name: "Ada" }), "Ada");
  assert.equal(nameIn({ label: "node 1" }), "node 1");
  for (const data of [undefined, null, "Ada", { name: 5 }, { name: "" }, [], { name: { toString: "x" } }]) {
    assert.equal(nameIn(data), undefined);
  }
  assert.equal(nameIn({ name: "x".repeat(1_000_000) })!.length, 200);
});
