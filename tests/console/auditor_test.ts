/**
 * An auditor's story, by keyboard alone, with the single file from disk and a ledger in files: everything verified and
 * decided again; a ledger that somebody changed found, and where.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { Keyboard } from "./keyboard.ts";
import { goTo, look, type Stage, stageTest } from "./stage.ts";

/** The ledger's files as they are now, in a folder of their own. */
function copyOfLedger({ sandbox }: Stage, name: string): string[] {
  const folder = join(sandbox.workspace, name);
  Deno.mkdirSync(folder);
  return [...Deno.readDirSync(sandbox.ledgerFolder)].filter(({ isFile }) => isFile).map((file) => {
    Deno.copyFileSync(join(sandbox.ledgerFolder, file.name), join(folder, file.name));
    return join(folder, file.name);
  });
}

/** Puts text of the same length in the place of the first that is found in one of the files. */
function replaceIn(paths: readonly string[], find: string, put: string): void {
  assert.equal(find.length, put.length);
  for (const path of paths) {
    const text = new TextDecoder("latin1").decode(Deno.readFileSync(path));
    const start = text.indexOf(find);
    if (start < 0) continue;
    const bytes = Deno.readFileSync(path);
    bytes.set(new TextEncoder().encode(put), start);
    return Deno.writeFileSync(path, bytes);
  }
  throw new Error(`There is no ${find} to replace`);
}

stageTest("an auditor proves a ledger from its files, and finds one that was changed", [], async (stage, step) => {
  const decided = await stage.propose("member0", {
    name: "set_recovery_threshold",
    args: { recovery_threshold: 2 },
  });
  await stage.member("member0", "vote", decided, "--yes");
  await stage.member("member1", "vote", decided, "--yes");
  // Voted for and covered by a signature, so that the files have it.
  await stage.sandbox.eventually("GET", "/node/commit");
  const whole = copyOfLedger(stage, "ledger_whole");
  const page = await stage.pageFromDisk();
  const keys = new Keyboard(page);
  const banner = page.getByRole("banner");

  await step("opens the files, and everything is proved", async () => {
    await keys.chooseFiles("Choose ledger files", ...whole);
    await banner.getByText(/^Ledger complete up to the signature at seqno \d+$/).waitFor();
    await page.getByText(/^Every entry up to .* hangs together/).waitFor();
    await look(page, "auditor_1_opened");
  });

  await step("decides again what members asked for", async () => {
    await keys.press("g", "d");
    await page.getByRole("heading", { level: 1, name: "Audit" }).waitFor();
    await keys.activate(/^(Run|Start)/);
    await page.getByText("Everything that was looked at holds").waitFor();
    await look(page, "auditor_2_audited");
    const saved = page.waitForEvent("download");
    await keys.activate("Save as JSON");
    const report = JSON.parse(await Deno.readTextFile(await (await saved).path()));
    assert.equal(report.verdict, "verified");
    assert(report.decisions >= 2, "the opening of the service, and the threshold");
  });

  await step("looks at the proposal and at its ballots in the ledger", async () => {
    await goTo(page, `#/proposal/${decided}`);
    await page.getByText("Accepted: it was carried out").waitFor();
    await page.getByRole("tab", { name: "Votes (2)" }).waitFor();
  });

  await step("a changed proposal is found", async () => {
    const changed = copyOfLedger(stage, "ledger_changed");
    replaceIn(changed, '"recovery_threshold":2', '"recovery_threshold":3');
    await goTo(page, "#/connect");
    await keys.activate("Disconnect");
    await keys.chooseFiles("Choose ledger files", ...changed);
    await banner.getByText("Stopped: LedgerRefused").waitFor();
    await page.getByText(/^The ledger does not hold from entry \d+ on$/).first().waitFor();
    await look(page, "auditor_3_changed");
  });

  await step("a file that was cut off, and one that is no ledger, are told apart from that", async () => {
    const cut = copyOfLedger(stage, "ledger_cut");
    const [last] = cut.toSorted().slice(-1);
    Deno.truncateSync(last!, Deno.statSync(last!).size - 7);
    await keys.activate("Disconnect");
    await keys.chooseFiles("Choose ledger files", ...cut);
    await page.waitForFunction(() =>
      /Stopped|complete up to/.test(document.querySelector("header")!.textContent ?? "")
    );
    const nonsense = join(stage.sandbox.workspace, "ledger_1-20.committed");
    Deno.writeTextFileSync(nonsense, "This is no ledger. ".repeat(1000));
    await keys.activate("Disconnect");
    await keys.chooseFiles("Choose ledger files", nonsense);
    await banner.getByText(/^Stopped: (FileDamaged|LedgerRefused)$/).waitFor();
    await look(page, "auditor_4_nonsense");
  });
});
