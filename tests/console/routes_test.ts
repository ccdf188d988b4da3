/**
 * Every screen, with nothing open and with a service: it has one heading of the first level, nothing for axe to find in any
 * theme, and no way sideways at 320 px. Pictures of each are kept for people to look at.
 */

import { strict as assert } from "node:assert";
import type { Page } from "playwright-core";
import { PAGE_LIST } from "../../console/routes.ts";
import { browserTest, expectNoViolations, look, Stage } from "./stage.ts";

const THEMES = [
  ["light", { colorScheme: "light" }],
  ["dark", { colorScheme: "dark" }],
  ["forced", { colorScheme: "dark", forcedColors: "active" }],
] as const;

async function lookAtEach(page: Page, state: string): Promise<void> {
  const names = PAGE_LIST.map(([name]) => name);
  for (const name of names) {
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.evaluate((hash) => location.hash = hash, `#/${name}`);
    await page.locator("main h1").waitFor();
    await page.waitForFunction(() => document.querySelector("[data-state=loading]") === null);
    assert.equal(await page.locator("h1").count(), 1, `${state} ${name}: one heading of the first level`);
    for (const [theme, media] of THEMES) {
      await page.emulateMedia({ forcedColors: "none", ...media });
      await expectNoViolations(page, `${state} ${name} ${theme}`);
      if (theme !== "forced") await look(page, `${state}_${name}_${theme}`);
    }
    await page.emulateMedia({ colorScheme: "light", forcedColors: "none" });
    await page.setViewportSize({ width: 320, height: 700 });
    const overflow = await page.evaluate(() =>
      document.documentElement.scrollWidth - document.documentElement.clientWidth
    );
    assert.equal(overflow, 0, `${state} ${name}: nothing stands out at 320 px`);
    await look(page, `${state}_${name}_320`);
  }
}

browserTest("every screen is whole with nothing open", async () => {
  await using stage = await Stage.open();
  const page = await stage.page(`${stage.relay.origin}/#/settings`);
  await lookAtEach(page, "empty");
  assert.deepEqual(stage.problems, []);
});
