/**
 * A client's story, by keyboard alone, with the single file from disk and nothing connected: a receipt of its own write
 * verified, and receipts that somebody tampered with refused, each at its step. Then the same receipt in the ledger.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { Keyboard } from "./keyboard.ts";
import { at, LyingNode, otherJson } from "./lying_node.ts";
import { connectByRelay, goTo, look, stageTest } from "./stage.ts";

interface JsonReceipt {
  cert: string;
  leaf_components: { claims_digest?: string; commit_evidence: string; write_set_digest: string };
  node_id: string;
  proof: Record<string, string>[];
  signature: string;
}

/** Another hex digit at the start. */
const flipped = (hex: string) => (hex[0] === "0" ? "1" : "0") + hex.slice(1);

/** Changes to a receipt, and the step at which each is refused. */
const TAMPERED: readonly (readonly [what: string, step: string, change: (receipt: JsonReceipt) => void])[] = [
  ["write set", "signature", ({ leaf_components: leaf }) => leaf.write_set_digest = flipped(leaf.write_set_digest)],
  ["path", "signature", ({ proof: [first] }) => {
    const [side, hash] = Object.entries(first!)[0]!;
    first![side] = flipped(hash);
  }],
  [
    "signature",
    "signature",
    (receipt) =>
      receipt.signature = `${receipt.signature.slice(0, 20)}${receipt.signature[20] === "A" ? "B" : "A"}${
        receipt.signature.slice(21)
      }`,
  ],
  ["node", "node", (receipt) => receipt.node_id = flipped(receipt.node_id)],
];

stageTest("a client sees what a receipt proves, and which step a false one fails", [], async (stage, step) => {
  const { sandbox } = stage;
  const write = await sandbox.request("POST", "/app/log/public?id=7", { as: "user0", body: '{"id":7,"msg":"paid"}' });
  assert.equal(write.status, 200, write.text);
  const txId = write.headers.get("x-ms-ccf-transaction-id")!;
  const { text } = await sandbox.eventually("GET", `/app/receipt?transaction_id=${txId}`, { as: "user0" });
  const path = join(sandbox.workspace, "receipt.json");
  Deno.writeTextFileSync(path, text);

  const page = await stage.pageFromDisk();
  const keys = new Keyboard(page);
  const verdict = (word: string) => page.locator(`[data-verdict="${word}"]`);

  await step("of a service that is not known here, the receipt cannot be checked to its end", async () => {
    await page.getByRole("heading", { level: 1, name: "Connect" }).waitFor();
    await keys.press("g", "r");
    await page.getByRole("heading", { level: 1, name: "Receipts" }).waitFor();
    await keys.chooseFiles("Choose receipts", path);
    await verdict("cannot be checked").waitFor();
    await page.getByRole("heading", { name: "What this does not prove" }).waitFor();
  });

  await step("with the service's certificate every step holds; that nobody here has pinned it is said", async () => {
    await keys.chooseFiles("Choose the service's certificate", stage.credential("service_cert.pem"));
    await verdict("not pinned").waitFor();
    for (const name of ["root", "signature", "node", "service"]) {
      await page.locator(`[data-step=${name}][data-result=verified]`).waitFor();
    }
    await page.getByText(/^Checked in/).waitFor();
    await look(page, "client_1_verified");
  });

  await step("pasted, it is the same", async () => {
    await keys.paste("Or paste receipts", text);
    await keys.activate("Check the receipt");
    await verdict("not pinned").waitFor();
  });

  await step("a link carries it to somebody else", async () => {
    const url = page.url();
    assert.match(url, /#\/receipts\?.*receipt=/);
    const hers = await stage.pageFromDisk();
    await goTo(hers, new URL(url).hash);
    await hers.locator("[data-verdict]").waitFor();
    await hers.getByText(txId, { exact: true }).first().waitFor();
  });

  for (const [what, failing, change] of TAMPERED) {
    await step(`another ${what}: refused at the step ${failing}`, async () => {
      const receipt = JSON.parse(text);
      change(receipt);
      const tampered = join(sandbox.workspace, `receipt_${what.replaceAll(" ", "_")}.json`);
      Deno.writeTextFileSync(tampered, JSON.stringify(receipt));
      await keys.chooseFiles("Choose receipts", tampered);
      // The one before was refused too: this one is shown when its step is.
      await page.locator(`[data-step="${failing}"][data-result=failed]`).first().waitFor();
      await verdict("refused").waitFor();
      assert.equal(await page.locator("[data-result=failed]").first().getAttribute("data-step"), failing);
      assert.equal(await page.locator("[data-result=failed] ~ [data-result=verified]").count(), 0, "later steps");
      if (what === "path") await look(page, "client_2_refused");
    });
  }

  await step("it is not for another transaction, nor for other claims", async () => {
    await keys.chooseFiles("Choose receipts", path);
    await verdict("not pinned").waitFor();
    await keys.fill("Transaction ID", "2.99999");
    await page.locator("[data-step=transaction][data-result=failed]").waitFor();
    await keys.fill("Transaction ID", txId);
    await verdict("not pinned").waitFor();
    await keys.paste("Claims digest (SHA-256, hex)", "ab".repeat(32));
    await page.locator("[data-step=claims][data-result=failed]").waitFor();
    await verdict("refused").waitFor();
  });

  await step("half a receipt is told for what it is", async () => {
    const half = join(sandbox.workspace, "half.json");
    Deno.writeTextFileSync(half, text.slice(0, text.length >> 1));
    await keys.chooseFiles("Choose receipts", half);
    await page.locator("main [data-problem]").waitFor();
  });

  await step("of a service that was pinned it is verified, and is found in its ledger", async () => {
    const page = await stage.page();
    const keys = new Keyboard(page);
    await connectByRelay(page);
    await keys.fill("Name", "The bank");
    await keys.activate("Pin this service");
    await page.getByText("Pinned as “The bank”").waitFor();
    await goTo(page, "#/receipts");
    await keys.chooseFiles("Choose receipts", path);
    await page.locator("[data-verdict=verified]").waitFor();
    const inLedger = page.locator("section", { has: page.getByRole("heading", { name: "In the open ledger" }) });
    await inLedger.locator("[data-result=verified]").first().waitFor();
    await look(page, "client_3_pinned");
  });

  await step("a node that hands out an altered receipt is found out by the entry that was read", async () => {
    let node: LyingNode | undefined;
    const page = await stage.page({ prepare: async (context) => node = await LyingNode.between(context) });
    await connectByRelay(page);
    await goTo(page, `#/transaction/${txId}`);
    await page.getByRole("button", { name: "Get receipt" }).click();
    await page.getByText("The receipt is good, and is of this transaction").waitFor();
    await look(page, "client_4_transaction");
    node!.tell(at(/receipt/, otherJson(TAMPERED[1]![2])));
    await page.getByRole("button", { name: "Get receipt" }).click();
    await page.getByText(/^The receipt is refused, at the step "\w+"/).waitFor();
    node!.assertTold();
    await look(page, "lie_receipt");
  });
});
