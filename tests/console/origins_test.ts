/**
 * Where the page came from decides what it says of itself: from a node it warns as long as it is open; from disk it cannot
 * reach a node whose certificate no browser knows, and shows three ways out; from the relay it sees whom it speaks to.
 */

import { strict as assert } from "node:assert";
import { Keyboard } from "./keyboard.ts";
import { connectByRelay, goTo, isFollowing, look, stageTest, violationsOf } from "./stage.ts";

stageTest("the page says where it came from, and what follows from that", [], async (stage, step) => {
  await step("from the node that it judges, with a banner on every screen", async () => {
    const page = await stage.pageOfNode();
    await page.getByRole("note").getByText("The page was served by the node that it verifies").waitFor();
    await page.getByRole("button", { name: "Connect to this node" }).click();
    await isFollowing(page);
    // No relay has seen the connection's key.
    await page.locator('[data-rung="Key bound"]:not([data-state=verified])').waitFor();
    for (const fragment of ["#/overview", "#/proposals", "#/keys"]) {
      await goTo(page, fragment);
      await page.getByRole("note").getByText("The page was served by the node that it verifies").waitFor();
    }
    assert.deepEqual(await violationsOf(page, "served by a node"), []);
    await look(page, "origin_node");
  });

  await step(
    "from disk, a node with the service's own certificate cannot be reached, and there are three ways out",
    async () => {
      const page = await stage.pageFromDisk();
      const keys = new Keyboard(page);
      await keys.fill("URL of a node", stage.sandbox.webUrl);
      await keys.press("Enter");
      await page.getByRole("heading", { name: "Three ways out" }).waitFor();
      await page.getByText(`deno task run console --node ${stage.sandbox.webUrl}`).waitFor();
      await page.locator('main [data-problem="NodeUnreachable"]').first().waitFor();
      assert.deepEqual(await violationsOf(page, "three ways out"), []);
      await look(page, "origin_file_unreachable");
      // Elsewhere too it is no matter of waiting.
      await goTo(page, "#/proposals");
      await page.locator('main [data-problem="NodeUnreachable"]').first().waitFor();
    },
  );

  await step("from disk, it keeps no keys, since other local pages could use them", async () => {
    const page = await stage.pageFromDisk();
    await goTo(page, "#/keys");
    await page.locator('[data-problem="KeysNotFromDisk"]').waitFor();
    assert.equal(await page.getByRole("button", { name: "Make the key" }).count(), 0);
    await look(page, "origin_file_keys");
  });

  await step("what is typed wrong is told beside the field", async () => {
    const page = await stage.pageFromDisk();
    const keys = new Keyboard(page);
    for (
      const [text, code] of [["", "UrlMissing"], ["ftp://x", "UrlUnreadable"], ["https://a:b@x", "UrlHasPassword"]]
    ) {
      await keys.fill("URL of a node", text!);
      if (text === "") await keys.press("Delete");
      await keys.press("Enter");
      await page.locator(`main [data-problem="${code}"]`).waitFor();
    }
  });

  await step("everything is reached from the keyboard: palette, keys, skip link", async () => {
    const page = await stage.page();
    const keys = new Keyboard(page);
    await connectByRelay(page);
    await keys.press("Control+K");
    await page.getByRole("dialog", { name: "Go to" }).getByRole("combobox").and(page.locator(":focus")).waitFor();
    assert.deepEqual(await violationsOf(page, "palette"), []);
    await look(page, "palette");
    await keys.type("member1");
    await page.getByRole("option", { name: /^member1/ }).first().waitFor();
    await keys.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Members and users" }).waitFor();
    await keys.press("Control+K");
    await page.getByRole("combobox").and(page.locator(":focus")).waitFor();
    await keys.type("2.3");
    await keys.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Transaction 2.3" }).waitFor();
    await keys.press("Shift+?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    assert.deepEqual(await violationsOf(page, "keys"), []);
    await look(page, "shortcuts");
    await keys.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    for (const [letter, title] of [["o", "Overview"], ["l", "Ledger"], ["t", "Time machine"], ["n", "Nodes"]]) {
      await keys.press("g", letter!);
      await page.getByRole("heading", { level: 1, name: title! }).waitFor();
    }
    await page.reload();
    await keys.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Skip to the page");
    await keys.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement?.tagName), "MAIN");
  });
});
