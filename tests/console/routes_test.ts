/**
 * Every screen, with nothing open and with a service: it has one heading of the first level, nothing for axe to find in any
 * theme, and no way sideways at 320 px. Pictures of each are kept for people to look at.
 */

import { strict as assert } from "node:assert";
import type { Page } from "playwright-core";
import { PAGE_LIST } from "../../console/routes.ts";
import { connectByRelay, goTo, look, overflowOf, type Stage, stageTest, violationsOf } from "./stage.ts";

const THEMES = [
  ["light", { colorScheme: "light" }],
  ["dark", { colorScheme: "dark" }],
  ["forced", { colorScheme: "dark", forcedColors: "active" }],
] as const;

/** @param routes name of the picture, and fragment */
async function lookAtEach(page: Page, state: string, routes: readonly (readonly [string, string])[]): Promise<void> {
  const wrong: string[] = [];
  for (const [name, fragment] of routes) {
    const where = `${state} ${name}`;
    await page.setViewportSize({ width: 1280, height: 900 });
    await goTo(page, fragment);
    if (await page.locator("h1").count() !== 1) wrong.push(`${where}: not one heading of the first level`);
    for (const [theme, media] of THEMES) {
      await page.emulateMedia({ forcedColors: "none", ...media });
      wrong.push(...await violationsOf(page, `${where} ${theme}`));
      await look(page, `${state}_${name}_${theme}`);
    }
    await page.emulateMedia({ colorScheme: "light", forcedColors: "none" });
    await page.setViewportSize({ width: 320, height: 700 });
    if (await overflowOf(page) > 0) wrong.push(`${where}: something stands out at 320 px`);
    await look(page, `${state}_${name}_320`);
  }
  assert.deepEqual(wrong, []);
}

const BARE = PAGE_LIST.map(([name]) => [name, `#/${name}`] as const);

stageTest("every screen is whole, with nothing open and with a service", ["--nodes", "1"], async (stage, step) => {
  const page = await stage.page();
  await step("nothing is open", () => lookAtEach(page, "empty", BARE));

  await step("a service is open", async () => {
    const open = await stage.propose("member0", { name: "set_user", args: await aCertificate(stage) });
    const decided = await stage.propose("member1", { name: "set_recovery_threshold", args: { recovery_threshold: 1 } });
    await stage.member("member0", "vote", decided, "--yes");
    await stage.member("member1", "vote", decided, "--yes");
    await goTo(page, "#/connect");
    await connectByRelay(page);
    const [node] = stage.sandbox.description.nodes;
    const routes = BARE.map(([name, fragment]) => [name, fragment + (ABOUT[name]?.(open, node!.id) ?? "")] as const);
    await lookAtEach(page, "service", [...routes, ["proposal_decided", `#/proposal/${decided}`]]);
  });
});

/** What those pages are about that are about one thing. */
const ABOUT: Readonly<Partial<Record<string, (proposal: string, node: string) => string>>> = {
  transaction: () => "/2.5",
  tables: () => "?table=public:ccf.gov.members.info",
  proposal: (proposal) => `/${proposal}`,
  compose: () => "?action=set_user",
  attestation: (_, node) => `/${node}`,
};

async function aCertificate(stage: Stage): Promise<object> {
  return { cert: await Deno.readTextFile(stage.credential("user0_cert.pem")), user_data: { name: "Ursula" } };
}
