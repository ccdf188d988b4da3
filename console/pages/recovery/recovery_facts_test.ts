import { strict as assert } from "node:assert";
import { join } from "node:path";
import { SHARE_BYTES } from "../../../shared/crypto/shamir.ts";
import { filesOf, readLedger } from "../../../tests/console_ledger.ts";
import { ledgerDirectory } from "../../../tests/services.ts";
import { teamTest } from "../../../tests/team_data.ts";
import { ProblemError } from "../../problem.ts";
import { healthText, openOwnShare, type RecoveryFacts, recoveryFacts } from "./recovery_facts.ts";

/** The facts of a real service, and its members' key files. */
async function realService(name: string) {
  const directory = ledgerDirectory(name);
  const reading = await readLedger({ kind: "files", files: filesOf(directory) }, { lenient: true });
  const facts = await recoveryFacts(reading);
  await reading.close();
  const keyFile = (end: string) =>
    [...Deno.readDirSync(directory.common)].filter(({ name }) => name.endsWith(end))
      .map(({ name }) => Deno.readTextFileSync(join(directory.common, name)));
  return { facts, encryptionKeys: keyFile("_enc_privk.pem"), signingKeys: keyFile("_privk.pem") };
}

const codeOf = (error: unknown) => (error as ProblemError).problem.code;

teamTest("a member's own share opens with its key, and says which one it is", async () => {
  const { facts, encryptionKeys } = await realService("recorded_recovery_shares");
  assert.ok(facts.threshold! > 0 && facts.holders.length > 0);
  let opened = 0;
  for (const key of encryptionKeys) {
    try {
      const { share, index, holder } = await openOwnShare(facts, key, undefined);
      assert.equal(share.length, SHARE_BYTES);
      assert.ok(holder.role === "Owner" ? index === 0 : index > 0);
      opened++;
    } catch (error) {
      // A member that was removed, or never had a share.
      assert.ok(["NotAShareHoldersKey", "NoShareYet"].includes(codeOf(error)), codeOf(error));
    }
  }
  assert.ok(opened >= facts.threshold!, `${opened} shares open`);
});

teamTest("what cannot open a share says what would", async () => {
  const { facts, encryptionKeys, signingKeys } = await realService("recorded_recovery_shares");
  const signing = signingKeys.find((pem) => !encryptionKeys.includes(pem) && pem.includes("PRIVATE KEY"))!;
  await assert.rejects(openOwnShare(facts, signing, undefined), (error) => codeOf(error) === "NotAnEncryptionKey");
  await assert.rejects(openOwnShare(facts, "no key", undefined), (error) => codeOf(error) === "KeyFileUnreadable");
  const nobodys = { ...facts, holders: facts.holders.map((holder) => ({ ...holder, encryptionKey: undefined })) };
  await assert.rejects(
    openOwnShare(nobodys, encryptionKeys[0]!, undefined),
    (error) => codeOf(error) === "NotAShareHoldersKey",
  );
  const without = { ...facts, holders: facts.holders.map((holder) => ({ ...holder, encryptedShare: undefined })) };
  const codes = await Promise.all(
    encryptionKeys.map((key) => openOwnShare(without, key, undefined).then(() => "opened", codeOf)),
  );
  assert.ok(codes.includes("NoShareYet") && !codes.includes("opened"), codes.join(" "));
  const damaged = {
    ...facts,
    holders: facts.holders.map((holder) => ({
      ...holder,
      encryptedShare: holder.encryptedShare?.map((byte) => byte ^ 1),
    })),
  };
  const damagedCodes = await Promise.all(
    encryptionKeys.map((key) => openOwnShare(damaged, key, undefined).then(() => "opened", codeOf)),
  );
  assert.ok(damagedCodes.includes("ShareDoesNotOpen") && !damagedCodes.includes("opened"), damagedCodes.join(" "));
});

Deno.test("the health of shares is what losing one would mean", () => {
  const holder = {
    memberId: "a",
    name: undefined,
    role: "Participant" as const,
    encryptionKey: "",
    encryptedShare: new Uint8Array(1),
  };
  const facts = (threshold: number, holders: RecoveryFacts["holders"]): RecoveryFacts => ({
    status: "Open",
    recoveries: 0,
    threshold,
    sharesWrittenAt: 1,
    holders,
    submitted: 0,
  });
  assert.deepEqual(healthText(facts(2, [holder, holder, holder])).isGood, true);
  assert.match(healthText(facts(2, [holder, holder])).text, /none may be lost/);
  assert.match(healthText(facts(2, [holder])).text, /there are 1/);
  assert.match(healthText(facts(1, [])).text, /Nobody/);
  assert.equal(healthText(facts(2, [{ ...holder, role: "Owner" }])).isGood, true);
});
