/**
 * A ledger that is right, and full of what should harm whoever shows it: markup, scripts, text that runs backwards,
 * invisible characters, a megabyte in one value, bytes that are no text, names of JavaScript's own. All of it is shown as
 * data; nothing of it is executed, and the page stays usable.
 */

import { strict as assert } from "node:assert";
import type { Page } from "playwright-core";
import { concat, toByteString, toUtf8 } from "../../shared/bytes.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { CONSTITUTION } from "../../shared/governance/tables.ts";
import { stableJsonBytes } from "../../shared/json.ts";
import { RunningRelay } from "../e2e/relay.ts";
import { one } from "../ledger_forge.ts";
import { TABLES, TrustForge } from "../trust_forge.ts";
import { LyingNode, otherLedger } from "./lying_node.ts";
import { connectByRelay, goTo, look, overflowOf, settled, stageTest, violationsOf } from "./stage.ts";

const RUN = "globalThis.harmed = true";
const MARKUP = `"><img src=x onerror="${RUN}"><script>${RUN}</script></script><svg/onload=${RUN}>`;
const LINK = `javascript:${RUN}`;
/** Reads as `return false; // eurt nruter` where it is not made visible. */
const BACKWARDS = "return \u202etrue; // \u2066eslaf\u2069\u202c nothing";
const LONG = "all work and no play ".repeat(50_000);
const NO_TEXT = Uint8Array.of(0xff, 0xfe, 0x00, 0xc3, 0x28, 0xf0, 0x9f, 0x80);
const TABLE = `public:${MARKUP}`;

function hostileLedger(): { readonly entries: readonly Uint8Array[]; readonly proposal: string } {
  const forge = new TrustForge(noblePrimitives, "hostile").start();
  const [ada] = forge.members;
  forge.write({
    [TABLES.membersInfo]: { [ada!.id]: stableJsonBytes({ status: "Active", member_data: { name: MARKUP } }) },
  });
  forge.write({
    [TABLE]: {
      [MARKUP]: MARKUP,
      [toByteString(toUtf8(BACKWARDS))]: BACKWARDS,
      ["__proto__"]: "constructor",
      ["\u0000\u0000"]: NO_TEXT,
    },
    "public:long": { long: LONG, deep: "[".repeat(20_000) + "]".repeat(20_000) },
    "public:json": { proto: '{"__proto__":{"harmed":true},"constructor":null,"link":"' + LINK + '"}' },
    "public:certificate": { pem: "-----BEGIN CERTIFICATE-----\n" + btoa(MARKUP) + "\n-----END CERTIFICATE-----\n" },
    "public:cbor": { nested: concat(new Uint8Array(5000).fill(0x81), Uint8Array.of(0)) },
    [CONSTITUTION.name]: one(stableJsonBytes(`// ${MARKUP}\n// ${BACKWARDS}\nexport function validate() {}`)),
  });
  const proposal = forge.propose({
    name: MARKUP,
    args: { [MARKUP]: BACKWARDS, link: LINK, long: LONG.slice(0, 200_000) },
  });
  forge.vote(1, proposal);
  return { entries: forge.sign().entries, proposal };
}

/** Every value of the transaction, and its bytes. */
async function showAll(page: Page): Promise<void> {
  const closed = page.getByRole("button", { name: /^Show (value|annotated bytes)/ });
  while (await closed.count() > 0) await closed.first().click();
  await settled(page);
}

async function isUnharmed(page: Page, where: string): Promise<void> {
  const found = await page.evaluate(() => ({
    harmed: "harmed" in globalThis || "harmed" in {},
    // Each would have to come from a value.
    elements: document.querySelectorAll("img, main script, [onerror], [onload], a[href^='javascript:' i]").length,
    failed: document.body.textContent?.includes("This screen failed"),
  }));
  assert.deepEqual(found, { harmed: false, elements: 0, failed: false }, where);
  assert.equal(await page.locator("h1").count(), 1, where);
}

stageTest("hostile values are shown as data, and never executed", [], async (stage, step) => {
  const { entries, proposal } = hostileLedger();
  await using relay = await RunningRelay.start("--node", stage.sandbox.webUrl);
  const prepare = async (context: Parameters<typeof LyingNode.between>[0]) =>
    (await LyingNode.between(context)).tell(otherLedger(entries));
  const page = await stage.page({ prepare }, relay);
  await connectByRelay(page);
  const table = encodeURIComponent(TABLE);
  const screens = {
    overview: "#/overview",
    ledger: "#/ledger",
    transaction: "#/transaction/8",
    table: `#/tables?table=${table}`,
    long: "#/tables?table=public:long",
    json: "#/tables?table=public:json",
    cbor: "#/tables?table=public:cbor",
    certificate: "#/tables?table=public:certificate",
    proposals: "#/proposals",
    proposal: `#/proposal/${proposal}`,
    members: "#/members",
    constitution: "#/constitution",
    audit: "#/audit",
    // What stands in a link that somebody sends.
    link: `#/ledger?q=${encodeURIComponent(MARKUP)}&from=${encodeURIComponent(MARKUP)}`,
    id: `#/proposal/${encodeURIComponent(MARKUP)}`,
    receipt: `#/receipts?receipt=${encodeURIComponent(MARKUP)}&claims=${encodeURIComponent(MARKUP)}`,
    draft: `#/compose?action=${encodeURIComponent(MARKUP)}&args=${encodeURIComponent(MARKUP)}`,
  };
  for (const [name, fragment] of Object.entries(screens)) {
    await step(name, async () => {
      await goTo(page, fragment);
      if (name === "transaction") await showAll(page);
      await isUnharmed(page, name);
      await page.setViewportSize({ width: 320, height: 700 });
      assert.equal(await overflowOf(page), 0, "nothing stands out at 320 px");
      await page.setViewportSize({ width: 1280, height: 900 });
      await look(page, `hostile_${name}`);
      assert.deepEqual(await violationsOf(page, name), []);
    });
  }
  await step("what runs backwards is made visible", async () => {
    await goTo(page, screens.proposal);
    await page.getByText(/202e/i).first().waitFor();
  });
});
