/**
 * Files that are not what they should be, keys that do not fit, nodes that answer anything: the page says what is wrong, why,
 * what to do and a code; and it stays usable. What a ledger may hold to harm its reader is `hostile_test.ts`.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { PAGE_LIST } from "../../console/routes.ts";
import { at, LyingNode, nonsense, silence } from "./lying_node.ts";
import { connectByRelay, goTo, look, type Stage, stageTest } from "./stage.ts";

/** Larger than any file that a screen reads whole; it takes no room on the disk. */
const HUGE_BYTES = 3_000_000_000;

interface BadFiles {
  /** Writes a file of this name. @returns its path */
  readonly write: (name: string, content: Uint8Array | string) => string;
  readonly huge: (name: string) => string;
}

async function withFiles(work: (files: BadFiles) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "quorate_bad_" });
  const write = (name: string, content: Uint8Array | string) => {
    const path = join(folder, name);
    if (typeof content === "string") Deno.writeTextFileSync(path, content);
    else Deno.writeFileSync(path, content);
    return path;
  };
  try {
    await work({
      write,
      huge: (name) => {
        const path = write(name, "");
        Deno.truncateSync(path, HUGE_BYTES);
        return path;
      },
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Not random, and of no format. */
function noise(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (i * 197 + (i >> 8) * 31 + 129) & 0xff);
}

const MARKUP = "<img src=x onerror=alert(1)>";

/** Every problem on the screen has its four parts, and the page still works. @returns the codes */
async function problemsOn(page: Page, where: string): Promise<readonly string[]> {
  const notes = await page.locator("main [role=group][data-problem]").all();
  for (const note of notes) {
    const text = await note.innerText();
    for (const part of ["Why: ", "What to do: ", "Code "]) assert.ok(text.includes(part), `${where}: ${part}: ${text}`);
  }
  return await Promise.all(notes.map(async (note) => (await note.getAttribute("data-problem"))!));
}

/** Gives a screen a file that it cannot take. @returns the codes that it answers with */
async function given(page: Page, label: string, files: string | string[], where: string): Promise<readonly string[]> {
  await page.getByLabel(label, { exact: true }).setInputFiles(files);
  // Evidence that cannot be read is evidence that does not hold.
  await page.locator("main [role=group][data-problem], main .verdict-failed").first().waitFor().catch((error) => {
    throw new Error(`${where}: ${files} is taken without a word`, { cause: error });
  });
  return await problemsOn(page, where);
}

async function isUsable(page: Page, where: string): Promise<void> {
  assert.equal(await page.locator("h1").count(), 1, where);
  assert.equal(await page.getByText("This screen failed").count(), 0, where);
  // The editor has some of its own, which show nothing.
  assert.equal(await page.locator("main img:not(.cm-widgetBuffer)").count(), 0, where);
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)));
}

/** The ledger's files, once what is there is signed. */
function ledgerFiles({ sandbox }: Stage): { readonly name: string; readonly bytes: Uint8Array }[] {
  return [...Deno.readDirSync(sandbox.ledgerFolder)]
    .filter(({ name }) => name.startsWith("ledger_"))
    .map(({ name }) => ({ name, bytes: Deno.readFileSync(join(sandbox.ledgerFolder, name)) }))
    .sort((a, b) => Number(a.name.split(/[_-]/)[1]) - Number(b.name.split(/[_-]/)[1]));
}

stageTest("files that are not what they should be are explained on every screen", [], async (stage, step) => {
  await withFiles(async ({ write, huge }) => {
    const page = await stage.pageFromDisk();

    await step("ledgers", async () => {
      const [first] = ledgerFiles(stage);
      const { name, bytes } = first!;
      const cut = bytes.subarray(0, Math.floor(bytes.length * 0.6));
      const flipped = bytes.slice();
      flipped[Math.floor(bytes.length / 2)]! ^= 1;
      const whole = `ledger_1-${/-(\d+)/.exec(name)?.[1] ?? "9999"}.committed`;
      const bad: readonly (readonly [string, RegExp])[] = [
        [write("notes.txt", "no ledger"), /^NoLedgerFiles$/],
        [write(`${MARKUP.replaceAll("/", "")}.txt`, noise(1000)), /^NoLedgerFiles$/],
        [write("ledger_1-20.committed", noise(100_000)), /^FileDamaged$/],
        [write("ledger_1-30.committed", ""), /^FileDamaged$/],
        [write(whole, cut), /^FileDamaged$/],
        [write("ledger_1", flipped), /^(FileDamaged|LedgerRefused)$/],
        [write("ledger_21-40.committed", noise(1000)), /^LedgerWithoutBeginning$/],
        [write("snapshot_20_22.committed", noise(100_000)), /^FileDamaged$/],
        [huge("ledger_1-1000.committed"), /^FileDamaged$/],
        [huge("snapshot_30_32.committed"), /^FileDamaged$/],
      ];
      for (const [path, code] of bad) {
        await goTo(page, "#/connect");
        const codes = await given(page, "Choose ledger files", path, "connect");
        assert.ok(codes.some((each) => code.test(each)), `${path}: ${codes}`);
        await isUsable(page, path);
        await goTo(page, "#/ledger");
        await isUsable(page, path);
        await goTo(page, "#/connect");
        await page.getByRole("button", { name: "Disconnect" }).click();
        await page.getByRole("button", { name: "Disconnect" }).waitFor({ state: "detached" });
      }
    });

    const all = {
      empty: write("empty.bin", ""),
      noise: write("noise.bin", noise(50_000)),
      huge: huge("huge.bin"),
      markup: write(`${MARKUP}.json`, MARKUP),
      deep: write("deep.json", "[".repeat(100_000)),
      other: write("other.json", '{"__proto__": {"actions": 1}, "actions": null, "signature": {}, "proof": "x"}'),
    };
    const screens: readonly (readonly [string, string])[] = [
      ["#/receipts", "Choose receipts"],
      ["#/receipts", "Choose the service's certificate"],
      ["#/connect", "Import a pin file"],
      ["#/nodes", "Choose evidence"],
      ["#/keys", "Choose a prepared request"],
    ];
    for (const [fragment, label] of screens) {
      await step(`${fragment}: ${label}`, async () => {
        for (const [kind, path] of Object.entries(all)) {
          await goTo(page, "#/settings");
          await goTo(page, fragment);
          await given(page, label, path, `${fragment} ${label} ${kind}`);
          await isUsable(page, `${label} ${kind}`);
        }
      });
    }

    await step("a proposal's file", async () => {
      for (const path of [all.huge, all.noise]) {
        await goTo(page, "#/compose");
        assert.deepEqual(await given(page, "Import a proposal file", path, "compose"), ["ProposalFileUnreadable"]);
        await goTo(page, "#/settings");
      }
      // Text is taken as it is, and what is wrong with it stands beside it.
      for (const path of [all.markup, all.deep, all.other]) {
        const fresh = await stage.pageFromDisk();
        await goTo(fresh, "#/compose");
        await fresh.getByLabel("Import a proposal file", { exact: true }).setInputFiles(path);
        await fresh.getByRole("button", { name: "Import a proposal file" }).waitFor({ state: "detached" });
        await isUsable(fresh, path);
        await fresh.context().close();
      }
    });

    await step("claims that are too large are not read", async () => {
      await goTo(page, "#/receipts");
      await given(page, "Choose the claims", all.huge, "claims");
      await isUsable(page, "claims");
    });
  });
});

stageTest("keys that do not fit and certificates that have expired are told", [], async (stage, step) => {
  const proposal = await stage.propose("member0", { name: "set_recovery_threshold", args: { recovery_threshold: 2 } });
  await withFiles(async ({ write, huge }) => {
    const fit = stage.credential("member0_privk.pem");
    const pem = Deno.readTextFileSync(fit);
    const bad = [
      write("noise.pem", noise(5000)),
      huge("huge.pem"),
      write("half.pem", pem.slice(0, 100)),
      stage.credential("member0_cert.pem"),
      stage.credential("member0_enc_privk.pem"),
      // Of a user, who is no member.
      stage.credential("user0_privk.pem"),
    ];
    await step("a key file in the dialog that signs", async () => {
      const page = await stage.page();
      await connectByRelay(page);
      await goTo(page, `#/proposal/${proposal}`);
      await page.getByRole("button", { name: "Vote for", exact: true }).click();
      await page.getByRole("radio", { name: "A key file" }).check();
      const dialog = page.getByRole("dialog");
      for (const path of bad) {
        // One that fits takes away what was said of the last.
        await page.getByLabel("Choose a key file", { exact: true }).setInputFiles(fit);
        await dialog.getByText("The key of member0 is open").waitFor();
        await page.getByLabel("Choose a key file", { exact: true }).setInputFiles(path);
        await dialog.locator("[role=group][data-problem]").waitFor();
        assert.equal(await dialog.getByText("is open.").count(), 0, path);
        const text = await dialog.locator("[role=group][data-problem]").innerText();
        for (const part of ["Why: ", "What to do: ", "Code "]) assert.ok(text.includes(part), `${path}: ${text}`);
      }
      await look(page, "bad_key_file");
    });

    await step("an encryption key that opens no share", async () => {
      const page = await stage.page();
      await connectByRelay(page);
      await goTo(page, "#/recovery");
      for (const path of bad.filter((path) => !path.endsWith("_enc_privk.pem"))) {
        await goTo(page, "#/settings");
        await goTo(page, "#/recovery");
        await given(page, "Choose your private encryption key", path, `recovery ${path}`);
        await isUsable(page, path);
      }
    });

    await step("years later every certificate has expired, and that is said where it matters", async () => {
      const page = await stage.page();
      await page.clock.setFixedTime(new Date("2040-01-01T00:00:00Z"));
      await connectByRelay(page);
      await goTo(page, "#/overview");
      await page.locator("main").getByText(/expired|ended/i).first().waitFor();
      await goTo(page, `#/proposal/${proposal}`);
      await page.getByRole("button", { name: "Vote for", exact: true }).click();
      await page.getByRole("radio", { name: "A key file" }).check();
      await page.getByLabel("Choose a key file", { exact: true }).setInputFiles(fit);
      const dialog = page.getByRole("dialog");
      await dialog.locator("[data-problem=CertificateExpired]").or(dialog.getByText("The certificate has expired"))
        .first().waitFor();
      await look(page, "bad_expired");
    });
  });
});

const ANSWERS = {
  "no JSON": nonsense("[[[[", "application/json"),
  "markup": nonsense(`<html>${MARKUP}</html>`),
  "null": nonsense("null", "application/json"),
  "a list": nonsense("[]", "application/json"),
  "another object": nonsense('{"value": 1, "quotes": {}, "nodes": null, "id": []}', "application/json"),
  "an error without words": nonsense("", "text/plain", 500),
  "a refusal full of markup": nonsense(
    JSON.stringify({ error: { code: MARKUP, message: MARKUP.repeat(500) } }),
    "application/json",
    403,
  ),
};
/** What the page's worker reads is left alone: its lies are `lying_node_test.ts`'s. */
const ELSE = /^(?!\/node\/ledger)/;

stageTest("a node that answers anything to anything leaves every screen usable", [], async (stage, step) => {
  const proposal = await stage.propose("member0", { name: "set_recovery_threshold", args: { recovery_threshold: 2 } });
  let node: LyingNode | undefined;
  const page = await stage.page({ prepare: async (context) => node = await LyingNode.between(context) });
  await connectByRelay(page);
  const screens = [
    ...PAGE_LIST.map(([name]) => `#/${name}`),
    "#/transaction/2.5",
    `#/proposal/${proposal}`,
    `#/attestation/${stage.sandbox.description.nodes[0]!.id}`,
  ];
  for (const [kind, answer] of Object.entries(ANSWERS)) {
    await step(kind, async () => {
      node!.tell(at(ELSE, answer));
      for (const fragment of screens) {
        await goTo(page, "#/settings");
        await goTo(page, fragment);
        await isUsable(page, `${kind} ${fragment}`);
        await problemsOn(page, `${kind} ${fragment}`);
      }
      node!.assertTold();
    });
  }
  await step("silence", async () => {
    node!.tell(at(ELSE, silence));
    for (const fragment of screens) {
      await page.evaluate((hash) => location.hash = hash, fragment);
      await page.locator("main h1").waitFor();
      await isUsable(page, fragment);
    }
    node!.assertTold();
  });
});
