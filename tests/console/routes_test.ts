/**
 * Every screen, with nothing open and with a service: it has one heading of the first level, nothing for axe to find in any
 * theme, and no way sideways at 320 px. Pictures of each are kept for people to look at.
 */

import { strict as assert } from "node:assert";
import type { Page } from "playwright-core";
import { PAGE_LIST } from "../../console/routes.ts";
import { expectNoViolations, goTo, look, overflowOf, stageTest } from "./stage.ts";

const THEMES = [
  ["light", { colorScheme: "light" }],
  ["dark", { colorScheme: "dark" }],
  ["forced", { colorScheme: "dark", forcedColors: "active" }],
] as const;

/** @param routes name of the picture, and fragment */
async function lookAtEach(page: Page, state: string, routes: readonly (readonly [string, string])[]): Promise<void> {
  for (const [name, fragment] of routes) {
    const where = `${state} ${name}`;
    await page.setViewportSize({ width: 1280, height: 900 });
    await goTo(page, fragment);
    assert.equal(await page.locator("h1").count(), 1, `${where}: one heading of the first level`);
    for (const [theme, media] of THEMES) {
      await page.emulateMedia({ forcedColors: "none", ...media });
      await expectNoViolations(page, `${where} ${theme}`);
      await look(page, `${state}_${name}_${theme}`);
    }
    await page.emulateMedia({ colorScheme: "light", forcedColors: "none" });
    await page.setViewportSize({ width: 320, height: 700 });
    assert.equal(await overflowOf(page), 0, `${where}: nothing stands out at 320 px`);
    await look(page, `${state}_${name}_320`);
  }
}

const BARE = PAGE_LIST.map(([name]) => [name, `#/${name}`] as const);

stageTest("every screen is whole, with nothing open and with a service", ["--nodes", "1"], async (stage, t) => {
  const page = await stage.page();
  await t.step("nothing is open", () => lookAtEach(page, "empty", BARE));
});
