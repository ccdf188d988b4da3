/**
 * A node that lies: altered entries, proposals, ballots, quotes, receipts; entries held back; the state of last week; two
 * branches for two members; silence; nonsense. The page finds each on the screens that it concerns, and stays usable.
 */

import { strict as assert } from "node:assert";
import type { Page } from "playwright-core";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { stableJsonBytes } from "../../shared/json.ts";
import { RunningRelay } from "../e2e/relay.ts";
import { TrustForge } from "../trust_forge.ts";
import {
  at,
  instead,
  type Lie,
  LyingNode,
  nonsense,
  otherJson,
  otherLedger,
  silence,
  withoutEntry,
} from "./lying_node.ts";
import { connectByRelay, goTo, isFollowing, look, type Stage, stageTest } from "./stage.ts";

/** Stands in the open proposal; another name of the same length is put in. */
const NAME = "Ursula";
const OTHER_NAME = "Mallor";
/** Screens that show what the ledger has. */
const LEDGER_SCREENS = [
  "#/overview",
  "#/ledger",
  "#/tables?table=public:ccf.gov.proposals",
  "#/proposals",
  "#/members",
  "#/constitution",
  "#/nodes",
  "#/recovery",
  "#/apps",
];

interface QuoteAnswer {
  raw: string;
}

/** What a virtual node says about itself, told otherwise, and the rung that does not hold. */
const OTHER_EVIDENCE: readonly (readonly [
  what: string,
  change: (attestation: Record<string, string>) => object,
  rung: string,
])[] = [
  ["is for another key", (told) => ({ ...told, report_data: btoa("k".repeat(32)) }), "Key bound"],
  ["is of other code", (told) => ({ ...told, measurement: "Other code" }), "Node of the service"],
];

async function lyingPage(stage: Stage, relay = stage.relay): Promise<{ page: Page; node: LyingNode }> {
  let node: LyingNode | undefined;
  const page = await stage.page({ prepare: async (context) => node = await LyingNode.between(context) }, relay);
  return { page, node: node! };
}

/** Connects to a node that tells this lie from the beginning. */
async function connectedToLie(
  stage: Stage,
  lie: Lie,
  relay = stage.relay,
): Promise<{ page: Page; node: LyingNode }> {
  const { page, node } = await lyingPage(stage, relay);
  await page.getByRole("button", { name: /^Connect to https:/ }).waitFor();
  node.tell(lie);
  await page.getByRole("button", { name: /^Connect to https:/ }).click();
  return { page, node };
}

const problem = (page: Page, code: string) => page.locator(`main [data-problem="${code}"]`).first();

/** Every screen of the ledger says that it was stopped, and none shows what was put in. */
async function isStopped(page: Page, node: LyingNode, forbidden: string): Promise<void> {
  await page.getByRole("banner").getByText("Stopped: LedgerRefused").waitFor();
  node.assertTold();
  for (const fragment of LEDGER_SCREENS) {
    await goTo(page, fragment);
    assert.equal(await page.getByText(forbidden).count(), 0, `${fragment} shows what nobody signed`);
    assert.equal(await page.getByRole("banner").getByText("Stopped: LedgerRefused").count(), 1, fragment);
  }
}

stageTest("the page catches a node that lies about its ledger", ["--nodes", "3"], async (stage, step) => {
  const cert = await Deno.readTextFile(stage.credential("user0_cert.pem"));
  const open = await stage.propose("member0", { name: "set_user", args: { cert, user_data: { name: NAME } } });
  await stage.member("member1", "vote", open, "--no");
  const { page, node } = await lyingPage(stage);
  await connectByRelay(page);

  await step("told the truth, the proposal is there, and the node's word is the ledger's", async () => {
    await goTo(page, `#/proposal/${open}`);
    await page.getByText(NAME).first().waitFor();
    await page.getByText("What the node tells this page has the same text and ballots").waitFor();
  });

  await step("the API shows another text of a proposal", async () => {
    node.tell(at(/^\/gov\//, instead(NAME, OTHER_NAME)));
    await goTo(page, "#/proposals");
    await goTo(page, `#/proposal/${open}`);
    await problem(page, "NodeShowsOtherText").waitFor();
    node.assertTold();
    assert.equal(await page.getByText(OTHER_NAME).count(), 0);
    await look(page, "lie_api_proposal_text");
  });

  await step("the API shows another ballot", async () => {
    node.tell(at(/^\/gov\/.*\/ballots\//, instead("false", "true ")));
    await goTo(page, "#/proposals");
    await goTo(page, `#/proposal/${open}`);
    await problem(page, "NodeShowsOtherText").getByText("another ballot").waitFor();
    node.assertTold();
  });

  await step("the API holds a ballot back", async () => {
    node.tell(at(/^\/gov\/.*\/ballots\//, nonsense("{}", "application/json", 404)));
    await goTo(page, "#/proposals");
    await goTo(page, `#/proposal/${open}`);
    await problem(page, "NodeShowsOtherText").getByText("does not show the ballot").waitFor();
    node.assertTold();
  });

  await step("the API holds a proposal back", async () => {
    node.tell(at(/^\/gov\/members\/proposals\?/, otherJson(() => ({ value: [] }))));
    await goTo(page, "#/overview");
    await goTo(page, "#/proposals");
    await problem(page, "NodeContradictsLedger").getByText("the node does not list it").first().waitFor();
    node.assertTold();
    await page.getByRole("listitem").getByRole("link", { name: "Add or replace a user" }).first().waitFor();
    await look(page, "lie_api_proposal_withheld");
  });

  await step("the API says that a proposal was accepted", async () => {
    const accepted = (told: { value: { proposalState: string }[] }) =>
      told.value.forEach((each) => each.proposalState = "Accepted");
    node.tell(at(/^\/gov\/members\/proposals\?/, otherJson(accepted)));
    await goTo(page, "#/overview");
    await goTo(page, "#/proposals");
    await problem(page, "NodeContradictsLedger").getByText("the node says Accepted").first().waitFor();
    node.assertTold();
  });

  const [first, second] = stage.sandbox.description.nodes;
  for (const [what, change, rung] of OTHER_EVIDENCE) {
    await step(`the evidence ${what}`, async () => {
      node.tell(at(
        /^\/node\/quotes/,
        otherJson((told: QuoteAnswer | { quotes: QuoteAnswer[] }) => {
          for (const quote of "quotes" in told ? told.quotes : [told]) {
            quote.raw = btoa(JSON.stringify(change(JSON.parse(atob(quote.raw)))));
          }
        }),
      ));
      await goTo(page, "#/connect");
      await page.getByRole("button", { name: "Check again" }).click();
      await page.locator(`[data-rung="${rung}"][data-state=failed]`).waitFor();
      node.assertTold();
      for (const { id } of [first!, second!]) {
        await goTo(page, `#/attestation/${id}`);
        await page.locator("[data-verdict=refused]").waitFor();
      }
      await look(page, `lie_evidence_${rung.replaceAll(" ", "_")}`);
    });
  }

  await step("a node is left out, and another is said to be retired", async () => {
    node.tell(at(
      /^\/node\/network\/nodes/,
      otherJson((told: { nodes: { node_id: string; status: string }[] }) => ({
        nodes: told.nodes.filter(({ node_id }) => node_id !== second!.id).map((each) => ({
          ...each,
          status: "Retired",
        })),
      })),
    ));
    await goTo(page, "#/nodes");
    await page.getByText("The node leaves out node1, which is Trusted in the ledger").waitFor();
    await page.getByText("The node says that node0 is Retired, and it is Trusted in the ledger").waitFor();
    node.assertTold();
    await look(page, "lie_nodes");
  });

  await step("an entry has another text of a proposal", async () => {
    const { page, node } = await connectedToLie(stage, at(/entries/, instead(NAME, OTHER_NAME)));
    await isStopped(page, node, OTHER_NAME);
    await look(page, "lie_entry_changed");
  });

  await step("an entry has another value of a table, and so has the API", async () => {
    const { page, node } = await connectedToLie(stage, instead("member0", "member9"));
    await isStopped(page, node, "member9");
  });

  await step("an entry is left out", async () => {
    const { page, node } = await connectedToLie(stage, withoutEntry(12));
    await page.getByRole("banner").getByText(/^Stopped: (LedgerRefused|NodeNonsense)$/).waitFor();
    node.assertTold();
  });
});

stageTest(
  "the page remembers what it verified, and stops at an older state or another branch",
  [],
  async (stage, step) => {
    const [first, second] = branches();
    // This one was given no certificate of the service: only what the page remembers speaks against the node.
    await using relay = await RunningRelay.start("--node", stage.sandbox.webUrl);
    const { page, node } = await connectedToLie(stage, otherLedger(first), relay);
    await isFollowing(page);
    await page.getByLabel("Name", { exact: true }).fill("The consortium");
    await page.getByRole("button", { name: "Pin this service" }).click();
    await page.getByText("Pinned as “The consortium”").waitFor();

    const reconnected = async (lie: Lie) => {
      await page.getByRole("button", { name: "Disconnect" }).or(page.getByRole("link", { name: "Disconnect" })).click();
      node.tell(lie);
      await goTo(page, "#/connect");
      await page.getByRole("button", { name: /^Connect to https:/ }).click();
    };
    await step("last week's state", async () => {
      await reconnected(otherLedger(first.slice(0, -2)));
      await page.getByRole("heading", { level: 1, name: /^Stop:/ }).waitFor();
      await problem(page, "LedgerOlderThanPinned").waitFor();
      await goTo(page, "#/proposals");
      await page.getByRole("heading", { level: 1, name: /^Stop:/ }).waitFor();
      await look(page, "lie_older_state");
    });
    await step("another branch", async () => {
      await reconnected(otherLedger(second));
      await problem(page, "LedgerForked").waitFor();
      await look(page, "lie_other_branch");
    });
    await step("another service", async () => {
      await reconnected(otherLedger(branches("another")[0]));
      await problem(page, "IdentityChanged").waitFor();
      await look(page, "lie_other_service");
    });
    await step("another branch, for somebody who imports the pin of the first", async () => {
      const saved = page.waitForEvent("download");
      await goTo(page, "#/connect");
      await page.getByRole("button", { name: "Export the pin of The consortium" }).click();
      const pin = await (await saved).path();
      const { page: hers, node: said } = await lyingPage(stage, relay);
      const chooser = hers.waitForEvent("filechooser");
      await hers.getByRole("button", { name: "Import a pin file" }).click();
      await (await chooser).setFiles(pin);
      await hers.getByText("What is opened next must continue the signature").waitFor();
      said.tell(otherLedger(second));
      await hers.getByRole("button", { name: /^Connect to https:/ }).click();
      await problem(hers, "LedgerForked").waitFor();
    });
    await step("another service than that of the certificate which the relay was given", async () => {
      const { page } = await connectedToLie(stage, otherLedger(first));
      await problem(page, "IdentityChanged").waitFor();
    });
    await step("what was verified, and more", async () => {
      await reconnected(otherLedger(first));
      await isFollowing(page);
      await page.getByText("Pinned as “The consortium”").waitFor();
    });
  },
);

/** Two ledgers of one service, the same up to a signature, and not from there on. */
function branches(seed = "two branches"): readonly [readonly Uint8Array[], readonly Uint8Array[]] {
  const make = (last: string) => {
    const forge = new TrustForge(noblePrimitives, seed).start();
    forge.decide("set_user", { "public:ccf.gov.users.info": { [last]: stableJsonBytes({ user_data: last }) } });
    return forge.sign().entries;
  };
  return [make("one user"), make("another user")];
}

stageTest("a node that says nothing, or nonsense, is told for what it does", [], async (stage, step) => {
  // It takes a while until a page may say that nobody answers.
  const silent = await connectedToLie(stage, silence);
  await step("nonsense for a ledger", async () => {
    const { page, node } = await connectedToLie(stage, at(/entries/, nonsense("<h1>It works!</h1>")));
    await page.getByRole("banner").getByText("Stopped: NodeNonsense").waitFor();
    node.assertTold();
    await goTo(page, "#/settings");
    await page.getByRole("heading", { level: 1 }).waitFor();
  });
  await step("nonsense for everything else", async () => {
    const { page, node } = await lyingPage(stage);
    await connectByRelay(page);
    node.tell(at(/^(?!\/node\/(commit|ledger))/, nonsense("[[[[", "application/json")));
    for (const fragment of [...LEDGER_SCREENS, "#/audit", "#/receipts", "#/compose", "#/keys"]) {
      await goTo(page, fragment);
      assert.equal(await page.getByText("This screen failed").count(), 0, fragment);
    }
  });
  await step("silence", async () => {
    const { page, node } = silent;
    await page.getByText("NodeSilent").first().waitFor();
    node.assertTold();
    await look(page, "lie_silence");
    // It can be used all the same.
    await goTo(page, "#/receipts");
    await page.getByRole("heading", { level: 1, name: "Receipts" }).waitFor();
  });
});
