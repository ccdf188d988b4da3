/**
 * The page as its users have it: a sandbox, the relay, a browser; for tests of what a person sees and does.
 *
 * In: options of the sandbox. Out: pages of Chromium that fail their test where the page logs an error, breaks its own
 * policy, or asks another machine than this one.
 * The browser is the system's `chromium`, or what QUORATE_CHROMIUM names. Where there is none, tests are skipped and say so;
 * with `CI` set that is a failure.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import axe from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { chromiumVersion } from "../chromium.ts";
import { ROOT } from "../readme.ts";
import { RunningSandbox, startTask } from "../e2e/sandbox.ts";

/** Longer than anything takes on a machine that is busy with other tests. */
const PATIENCE_MS = 60_000;

/** A relay in a process of its own. */
export class RunningRelay implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;

  private constructor(process: Deno.ChildProcess, readonly url: string) {
    this.#process = process;
  }

  static async start(...options: string[]): Promise<RunningRelay> {
    const process = startTask("console", "--port", "0", "--json", ...options);
    const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`The relay did not start: ${text}`);
      text += value;
    }
    reader.releaseLock();
    return new RunningRelay(process, (JSON.parse(text.split("\n")[0]!) as { url: string }).url);
  }

  /** Without the token. */
  get origin(): string {
    return new URL(this.url).origin;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGTERM");
    } catch {
      // It has ended by itself.
    }
    await this.#process.status;
    await this.#process.stderr.cancel().catch(() => {});
  }
}

export class Stage implements AsyncDisposable {
  readonly problems: string[] = [];

  private constructor(
    readonly browser: Browser,
    readonly sandbox: RunningSandbox,
    readonly relay: RunningRelay,
  ) {}

  /** @param options of the sandbox, e.g. `--nodes 3` */
  static async open(...options: string[]): Promise<Stage> {
    const sandbox = await RunningSandbox.start(...options);
    try {
      const relay = await RunningRelay.start("--workspace", sandbox.workspace);
      return new Stage(await openBrowser(), sandbox, relay);
    } catch (error) {
      await sandbox[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A page of a new profile, at the relay unless said otherwise. */
  async page(url = this.relay.url, options: BrowserContextOptions = {}): Promise<Page> {
    return await openPage(this.browser, url, this.problems, options);
  }

  /** A file of the sandbox's credentials. */
  credential(name: string): string {
    return join(this.sandbox.description.common_dir, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser.close();
    await this.relay[Symbol.asyncDispose]();
    await this.sandbox[Symbol.asyncDispose]();
  }
}

export async function openBrowser(): Promise<Browser> {
  const executablePath = Deno.env.get("QUORATE_CHROMIUM") ?? "/usr/bin/chromium";
  // Its sandbox needs rights that containers and root lack; the pages it opens are ours.
  return await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** @param problems what the page does that it must not */
export async function openPage(
  browser: Browser,
  url: string,
  problems: string[],
  options: BrowserContextOptions = {},
): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-GB", ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // An answer that is no success is logged by the browser itself; the page says what it makes of it.
    const isAnswer = /Failed to load resource|net::ERR/.test(message.text());
    if (message.type() === "error" && !isAnswer) problems.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (["data:", "blob:", "file:"].includes(protocol) || hostname === "127.0.0.1") return;
    problems.push(`request: ${request.url()}`);
  });
  await page.goto(url);
  return page;
}

/** Runs a test's body where there is a browser. */
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

const SHOTS = Deno.env.get("QUORATE_SCREENSHOTS") ?? join(ROOT, "dist/screenshots");

/** Keeps a picture of the page, whole, for people to look at. */
export async function look(page: Page, name: string): Promise<void> {
  await Deno.mkdir(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
}

interface AxeResult {
  readonly violations: readonly {
    readonly id: string;
    readonly help: string;
    readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
  }[];
}

/** What axe finds wrong, as sentences: none. */
export async function expectNoViolations(page: Page, where: string): Promise<void> {
  // The script comes by the debugger, which the page's policy does not bind.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: { run(): Promise<unknown> } }).axe.run()
  ) as AxeResult;
  const found = violations.flatMap(({ id, help, nodes }) =>
    nodes.slice(0, 3).map(({ html, failureSummary }) =>
      `${where}: ${id}: ${help}: ${html.slice(0, 200)} (${failureSummary})`
    )
  );
  assert.deepEqual(found, []);
}
