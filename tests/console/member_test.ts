/**
 * A member's story, by keyboard alone, in a network of three nodes: connect, verify the quote, read a proposal, try it out,
 * vote with two members, see it accepted, and have the receipt of the vote verified. And what is not sent is not lost.
 */

import { strict as assert } from "node:assert";
import { Keyboard } from "./keyboard.ts";
import { at, hangUp, LyingNode } from "./lying_node.ts";
import { connectByRelay, goTo, isFollowing, look, type Stage, stageTest, violationsOf } from "./stage.ts";

const TITLE = "Add or replace a user";

/** Opens a key file in the dialog that is open, and sees that bytes and form agree. */
async function chooseKeyFile(keys: Keyboard, path: string, member: string): Promise<void> {
  const { page } = keys;
  await keys.chooseRadio(/^A key (file|of this browser)$/, "A key file");
  await keys.chooseFiles("Choose a key file", path);
  await page.getByText(`The key of ${member} is open`).waitFor();
  await page.getByText("The bytes say what the form says").waitFor();
}

async function proposeUser(stage: Stage): Promise<string> {
  const cert = await Deno.readTextFile(stage.credential("user0_cert.pem"));
  return await stage.propose("member0", { name: "set_user", args: { cert, user_data: { name: "Ursula" } } });
}

async function vote(keys: Keyboard, stage: Stage, member: string): Promise<void> {
  const { page } = keys;
  await keys.activate("Vote for");
  const dialog = page.getByRole("dialog", { name: "Vote for the proposal" });
  await dialog.waitFor();
  await chooseKeyFile(keys, stage.credential(`${member}_privk.pem`), member);
  // Each side by itself: what the form asks for, and what stands in the bytes.
  await dialog.getByRole("region", { name: "What the form says" }).getByText("for", { exact: true }).waitFor();
  await dialog.getByRole("region", { name: "What the bytes say" }).waitFor();
  await keys.activate("Sign and send");
  await dialog.getByText("Receipt verified here, and kept").waitFor();
}

stageTest("a member verifies, reads, tries out and votes, by keyboard alone", ["--nodes", "3"], async (stage, step) => {
  const proposal = await proposeUser(stage);
  const page = await stage.page();
  const keys = new Keyboard(page);

  await step("connects, and sees what the node's evidence proves", async () => {
    await keys.activate(/^Connect to https:/);
    await isFollowing(page);
    const ladder = page.getByRole("list", { name: "Ladder of checks" });
    for (const rung of ["Evidence valid", "Key bound", "Node of the service", "Code voted"]) {
      // A virtual node is never green.
      await ladder.locator(`[data-rung="${rung}"][data-state=virtual]`).waitFor();
    }
    await look(page, "member_1_connected");
  });

  await step("pins the service", async () => {
    await keys.fill("Name", "Our consortium");
    await keys.activate("Pin this service");
    await page.getByText("Pinned as “Our consortium”").waitFor();
  });

  await step("reads the proposal", async () => {
    await page.evaluate(() => (document.activeElement as HTMLElement).blur());
    await keys.press("g", "p");
    await page.getByRole("heading", { level: 1, name: "Proposals" }).waitFor();
    await page.getByText(/^The node's own list is the ledger's/).waitFor();
    await keys.activate(TITLE);
    await page.getByRole("heading", { level: 1, name: TITLE }).waitFor();
    await page.getByText("Signed by its proposer").waitFor();
    await page.getByText("Ursula").first().waitFor();
    await look(page, "member_2_proposal");
  });

  await step("tries it out", async () => {
    await keys.reach("Actions");
    await keys.press("ArrowRight", "ArrowRight");
    await keys.activate("Dry run…");
    await page.getByRole("dialog", { name: "Sign a dry run" }).waitFor();
    await chooseKeyFile(keys, stage.credential("member1_privk.pem"), "member1");
    await look(page, "member_3_sign_dry_run");
    assert.deepEqual(await violationsOf(page, "sign dialog"), []);
    await keys.activate("Sign and ask");
    const table = page.getByRole("region", { name: "Table of votes and what becomes of it" });
    await table.getByText("→ Accepted").first().waitFor();
    await page.getByRole("region", { name: "Table of changes" }).getByText("public:ccf.gov.users.info").first()
      .waitFor();
    await look(page, "member_4_dry_run");
  });

  await step("votes", async () => {
    await vote(keys, stage, "member1");
    await look(page, "member_5_voted");
    await keys.activate("Close");
    await page.getByRole("tab", { name: "Votes (1)" }).waitFor();
  });

  await step("another member votes too, and it is accepted", async () => {
    await keys.reach("I am");
    await keys.type("member2");
    await vote(keys, stage, "member2");
    await keys.activate("Close");
    await page.getByText("Accepted: it was carried out").waitFor();
    await page.getByRole("tab", { name: "Votes (2)" }).waitFor();
    await look(page, "member_6_accepted");
  });

  await step("finds the receipts of both votes, kept and verified", async () => {
    await goTo(page, "#/keys");
    const kept = page.getByRole("listitem").filter({ hasText: `A ballot on proposal ${proposal.slice(0, 12)}…` });
    await kept.nth(1).waitFor();
    const download = page.waitForEvent("download");
    await keys.activate(/^Save the receipt of /);
    const path = await (await download).path();
    await goTo(page, "#/receipts");
    await keys.chooseFiles("Choose receipts", path);
    await page.locator("[data-verdict=verified]").waitFor();
    await page.getByText("Which code that node runs, and who voted for it").waitFor();
    await look(page, "member_7_receipt");
  });
});

stageTest("what a member wrote or signed survives a reload, and a node that hangs up", [], async (stage, step) => {
  const proposal = await proposeUser(stage);
  let node: LyingNode | undefined;
  const page = await stage.page({ prepare: async (context) => node = await LyingNode.between(context) });
  const keys = new Keyboard(page);
  await connectByRelay(page);

  await step("a draft is there again after a reload", async () => {
    await goTo(page, "#/compose?action=set_recovery_threshold");
    await keys.fill("Recovery threshold", "2");
    await page.getByText('"recovery_threshold": 2').or(page.getByText('"recovery_threshold":2')).first().waitFor();
    await goTo(page, "#/keys");
    await page.reload();
    await goTo(page, "#/compose");
    await page.getByText("recovery_threshold").first().waitFor();
    assert.equal(
      await page.locator("main").getByLabel("Recovery threshold", { exact: true }).and(page.locator("input"))
        .inputValue(),
      "2",
    );
    await look(page, "member_8_draft");
  });

  await step("a ballot that was signed and not answered is kept, and sent as it is", async () => {
    // The page goes on where it was.
    await isFollowing(page);
    await goTo(page, `#/proposal/${proposal}`);
    await keys.activate("Vote against");
    await page.getByRole("dialog").waitFor();
    await chooseKeyFile(keys, stage.credential("member1_privk.pem"), "member1");
    node!.tell(at(/\/ballots\//, hangUp));
    await keys.activate("Sign and send");
    await page.locator("[data-outcome=lost]").waitFor();
    node!.assertTold();
    await look(page, "member_9_lost");
    node!.tell(undefined);
    await page.reload();
    // The page goes on where it was.
    await isFollowing(page);
    await goTo(page, "#/keys");
    await keys.activate("Retry: send the same bytes");
    // It leaves the outbox once it is final; before that it would be left in the middle of being sent.
    await page.getByText("Nothing waits.").waitFor();
    await goTo(page, `#/proposal/${proposal}`);
    await page.getByRole("tab", { name: "Votes (1)" }).waitFor();
  });
});
