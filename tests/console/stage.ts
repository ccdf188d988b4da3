/**
 * The page as its users have it: a sandbox, the relay, a browser; for tests of what a person sees and does.
 *
 * In: options of the sandbox. Out: pages of Chromium, from the relay, from a node, from disk. A test fails where a page logs
 * an error, breaks its own policy, or asks another machine than this one.
 * The browser is the system's `chromium`, or what QUORATE_CHROMIUM names. Where there is none, tests are skipped and say so;
 * with `CI` set that is a failure. Pictures go to the folder QUORATE_SCREENSHOTS, else to dist/screenshots.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import axe from "axe-core";
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { chromiumVersion } from "../chromium.ts";
import { RunningRelay } from "../e2e/relay.ts";
import { run, RunningSandbox } from "../e2e/sandbox.ts";
import { ROOT } from "../readme.ts";

/** Longer than anything takes on a machine that is busy with other tests. */
const PATIENCE_MS = 60_000;

const CHROMIUM = Deno.env.get("QUORATE_CHROMIUM") ?? "/usr/bin/chromium";
const PICTURES = Deno.env.get("QUORATE_SCREENSHOTS") ?? join(ROOT, "dist/screenshots");

export interface PageOptions extends BrowserContextOptions {
  /** Done before anything is loaded, e.g. to put a lying node in between. */
  readonly prepare?: (context: BrowserContext) => Promise<unknown>;
}

export class Stage implements AsyncDisposable {
  /** What pages did that they must not. */
  readonly problems: string[] = [];

  private constructor(readonly browser: Browser, readonly sandbox: RunningSandbox, readonly relay: RunningRelay) {}

  /** @param options of the sandbox, e.g. `--nodes 3` */
  static async open(...options: string[]): Promise<Stage> {
    // The sandbox builds the page before it starts, so that the relay finds it built.
    const sandbox = await RunningSandbox.start(...options);
    try {
      const relay = await RunningRelay.start("--workspace", sandbox.workspace);
      return new Stage(await openBrowser(), sandbox, relay);
    } catch (error) {
      await sandbox[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The page in a new profile, from the relay, which its user trusts. */
  async page(options: PageOptions = {}, relay = this.relay): Promise<Page> {
    return await openPage(this.browser, relay.url, this.problems, options);
  }

  /** From the node that it judges. Whoever goes there has told the browser to take the certificate. */
  async pageOfNode(options: PageOptions = {}): Promise<Page> {
    const url = `${this.sandbox.webUrl}/console/`;
    return await openPage(this.browser, url, this.problems, { ignoreHTTPSErrors: true, ...options });
  }

  /** The single file, from disk. */
  async pageFromDisk(options: PageOptions = {}): Promise<Page> {
    return await openPage(this.browser, FILE_URL, this.problems, options);
  }

  /** Path of a file of the sandbox's credentials. */
  credential(name: string): string {
    return this.sandbox.credential(name);
  }

  /** A command of `member` for one of the sandbox's members, which must do what it is asked. @returns its JSON */
  async member(name: string, ...args: string[]): Promise<unknown> {
    const { code, stdout, stderr } = await run(
      "member",
      ...args,
      "--workspace",
      this.sandbox.workspace,
      "--as",
      name,
      "--json",
    );
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  }

  /** Proposes these actions. @returns the proposal's ID */
  async propose(name: string, ...actions: { readonly name: string; readonly args?: object }[]): Promise<string> {
    const file = join(this.sandbox.workspace, `proposal_${crypto.randomUUID()}.json`);
    Deno.writeTextFileSync(file, JSON.stringify({ actions }));
    return (await this.member(name, "propose", file) as { answer: { proposalId: string } }).answer.proposalId;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await closeBrowser(this.browser);
    await this.relay[Symbol.asyncDispose]();
    await this.sandbox[Symbol.asyncDispose]();
  }
}

/** Where `deno task console` leaves the single file. */
export const FILE_PATH = join(ROOT, "console/dist/console.html");
const FILE_URL = pathToFileURL(FILE_PATH).href;

export async function openBrowser(): Promise<Browser> {
  // Its sandbox needs rights that containers and root lack; the pages it opens are ours.
  const args = ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"];
  return await chromium.launch({ executablePath: CHROMIUM, args });
}

export async function closeBrowser(browser: Browser): Promise<void> {
  // A node that lies may hold answers back that nobody waits for any more.
  for (const context of browser.contexts()) await context.unrouteAll({ behavior: "ignoreErrors" });
  await browser.close();
}

/** @param problems what the page does that it must not */
export async function openPage(
  browser: Browser,
  url: string,
  problems: string[],
  { prepare, ...options }: PageOptions = {},
): Promise<Page> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    locale: "en-GB",
    timezoneId: "Europe/Berlin",
    reducedMotion: "reduce",
    ...options,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  await prepare?.(context);
  const page = await context.newPage();
  guard(page, problems);
  await page.goto(url);
  return page;
}

/** What breaks the page's policy is logged as an error by the browser. */
function guard(page: Page, problems: string[]): void {
  page.on("pageerror", (error) => problems.push(`error: ${error.stack ?? error.message}`));
  page.on("console", (message) => {
    // An answer that is no success is logged by the browser itself; the page says what it makes of it.
    const isAnswer = /^Failed to load resource: (the server responded|net::ERR_)/.test(message.text());
    if (message.type() === "error" && !isAnswer) problems.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (["data:", "blob:", "file:"].includes(protocol) || hostname === "127.0.0.1") return;
    problems.push(`request: ${request.url()}`);
  });
}

/** Goes to another address of the page, and waits until that screen stands there with what it shows. */
export async function goTo(page: Page, fragment: string): Promise<void> {
  await page.evaluate((hash) =>
    new Promise<void>((resolve) => {
      if (location.hash === hash) return resolve();
      // After the page's own listener, and what it has rendered at once.
      addEventListener("hashchange", () => setTimeout(resolve), { once: true });
      location.hash = hash;
    }), fragment);
  await settled(page);
}

/** Connects to the node of the relay, and waits until the ledger up to its last signature is proved. */
export async function connectByRelay(page: Page): Promise<void> {
  await page.getByRole("button", { name: /^Connect to https:/ }).click();
  await isFollowing(page);
}

/** The fold has come to the end of what the node has. */
export async function isFollowing(page: Page): Promise<void> {
  await page.getByRole("banner").getByText(/^Ledger complete up to the signature at seqno \d+$/).waitFor();
}

/** Nothing on the screen is said to be loading any more. */
export async function settled(page: Page): Promise<void> {
  await page.locator("main h1").waitFor();
  await page.waitForFunction(() => document.querySelector("main [data-state=loading]") === null);
}

/** Declares a test that needs a browser. */
export function browserTest(name: string, test: (t: Deno.TestContext) => Promise<void>): void {
  Deno.test(name, async (t) => {
    if (await chromiumVersion() === undefined && !Deno.env.has("QUORATE_CHROMIUM")) {
      if (Deno.env.has("CI")) throw new Error("Cannot test the page: there is no chromium to start");
      console.log("1 skipped: there is no chromium to start; install it, e.g. by apt-get");
      return;
    }
    await test(t);
  });
}

/** A part of a test's story: when it fails, what would have come after it is left out. */
export type Step = (name: string, part: () => Promise<void>) => Promise<void>;

/** The same with a stage of its own, on which nothing may happen that must not. */
export function stageTest(
  name: string,
  options: readonly string[],
  test: (stage: Stage, step: Step) => Promise<void>,
): void {
  browserTest(name, async (t) => {
    await using stage = await Stage.open(...options);
    try {
      await test(stage, async (part, body) => {
        if (!await t.step(part, body)) throw new Error(`The story ended at "${part}"`);
      });
    } catch (error) {
      await lookAtFailure(stage, name);
      throw error;
    }
    assert.deepEqual(stage.problems, []);
  });
}

/** What stood on each page when the test failed, and what the pages had done that they must not. */
async function lookAtFailure({ browser, problems }: Stage, name: string): Promise<void> {
  const pages = browser.contexts().flatMap((context) => context.pages());
  for (const [i, page] of pages.entries()) await look(page, `failed_${name.replaceAll(/[^a-z0-9]+/gi, "_")}_${i}`);
  if (problems.length > 0) console.error(problems.join("\n"));
}

/** Keeps a picture of the page, whole, for people to look at. */
export async function look(page: Page, name: string): Promise<void> {
  await Deno.mkdir(PICTURES, { recursive: true });
  // What stays at the window's edge would stand in the middle of the picture else, and what the mouse is over look chosen.
  await page.evaluate(() => scrollTo(0, 0));
  await page.mouse.move(0, 0);
  await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true, animations: "disabled" });
}

interface AxeResult {
  readonly violations: readonly {
    readonly id: string;
    readonly help: string;
    readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
  }[];
}

/** What axe finds wrong, as sentences. */
export async function violationsOf(page: Page, where: string): Promise<readonly string[]> {
  // The script comes by the debugger, which the page's policy does not bind: the policy stays on.
  if (await page.evaluate(() => !("axe" in globalThis))) await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: { run(): Promise<unknown> } }).axe.run()
  ) as AxeResult;
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.slice(0, 1).map(({ html, failureSummary }) =>
      `${where}: ${id}: ${help}: ${html.slice(0, 200)} (${failureSummary})`
    )
  );
}

/** How far the page can be scrolled sideways: nothing may stand out. */
export async function overflowOf(page: Page): Promise<number> {
  return await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}
