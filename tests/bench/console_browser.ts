/**
 * Measures the console in Chromium, for `console.ts`; the last line that it prints is the figures as JSON.
 */

import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Page } from "playwright-core";
import { SINGLETON_KEY } from "../../shared/kv/codecs.ts";
import { fromByteString } from "../../shared/bytes.ts";
import { FILE_PATH, goTo, settled, Stage } from "../console/stage.ts";
import { ROOT } from "../readme.ts";
import { haveTeamData, teamData } from "../team_data.ts";
import { writeLongLedger } from "./console_ledger.ts";
import { ask, reset, stateOf, untilShown, watch, type Watched, watched } from "./console_probe.ts";
import type { Figure } from "./figure.ts";

/** Of the ledger that is opened from files. */
const ENTRIES = Number(Deno.args[0] ?? 1_000_000);
/** Rows of the list that is scrolled through. */
const ROWS = 100_000;
const WHEEL_PIXELS = 4000;
const ROW_PIXELS = 36;
const LOADS = 7;
const SERVED = join(ROOT, "console/dist/app");

const figures: Figure[] = [];
function note(what: string, value: number, unit: string, target?: number, more = ""): void {
  figures.push({
    group: "console",
    what,
    value,
    unit,
    ...(target !== undefined && { target }),
    ...(more !== "" && { note: more }),
  });
}

const folder = await Deno.makeTempDir({ prefix: "quorate_bench_" });
try {
  await using stage = await Stage.open("--nodes", "1");
  sizes();
  await paints(stage);
  await receipts(stage);
  console.error(`making a ledger of ${ENTRIES} entries …`);
  const files = await writeLongLedger(folder, ENTRIES);
  const page = await stage.page({ prepare: watch });
  await openLongLedger(stage, page, files);
  await answers(page, "when all is read");
  await scroll(stage, page);
  if (stage.problems.length > 0) throw new Error(stage.problems.join("\n"));
} finally {
  await Deno.remove(folder, { recursive: true });
}
console.log(JSON.stringify(figures));

/** What a node and the relay serve, and the single file, as they are sent. */
function sizes(): void {
  const html = Deno.readFileSync(join(SERVED, "index.html"));
  // What the document names, and all that these scripts import before they run.
  const names = new Set(
    [...new TextDecoder().decode(html).matchAll(/(?:src|href)="\.\/(assets\/[^"]+)"/g)].map((m) => m[1]!),
  );
  for (const name of names) {
    if (!name.endsWith(".js")) continue;
    const script = Deno.readTextFileSync(join(SERVED, name));
    for (const [, imported] of script.matchAll(/(?:from|import)"\.\/([^"]+)"/g)) names.add(`assets/${imported}`);
  }
  const bytes = [...names].reduce((sum, name) => sum + gzipped(Deno.readFileSync(join(SERVED, name))), gzipped(html));
  note("what index.html loads at once, gzip", bytes / 1000, "kB", 250, `${1 + names.size} files`);
  note("the single file, gzip", gzipped(Deno.readFileSync(FILE_PATH)) / 1000, "kB", 1500);
}

/** A new profile each time: nothing is cached. */
async function paints(stage: Stage): Promise<void> {
  const ways = {
    "from a node": () => stage.pageOfNode(),
    "from the relay": () => stage.page(),
    "from disk": () => stage.pageFromDisk(),
  };
  for (const [way, open] of Object.entries(ways)) {
    const painted: number[] = [];
    for (let i = 0; i < LOADS; i++) {
      const page = await open();
      await page.locator("main h1").waitFor();
      painted.push(await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]!.startTime));
      await page.context().close();
    }
    note(`first paint ${way}`, median(painted), "ms", 1000, `${LOADS} new profiles, longest ${round(painted)} ms`);
  }
}

async function receipts(stage: Stage): Promise<void> {
  if (!haveTeamData) return console.error("receipts are not measured: there is no team folder");
  const recorded = teamData("ccf/testdata/recorded_recovery/receipts/epoch0");
  const page = await stage.page({ prepare: watch });
  await goTo(page, "#/receipts");
  await page.getByLabel("Choose the service's certificate", { exact: true })
    .setInputFiles(join(recorded, "service_cert.pem"));
  await page.getByText("A certificate was given").waitFor();
  for (const [kind, name] of [["JSON", "2.16.json"], ["COSE", "2.16.cose"]] as const) {
    const taken: number[] = [];
    const verified: number[] = [];
    for (let i = 0; i < 10; i++) {
      await goTo(page, "#/about");
      await goTo(page, "#/receipts");
      await page.getByLabel("Choose the service's certificate", { exact: true })
        .setInputFiles(join(recorded, "service_cert.pem"));
      taken.push(await untilShown(page, "Choose receipts", join(recorded, name), `[data-verdict="not pinned"]`));
      // As the page says itself.
      const said = await page.locator("dt:text-is('Checked in') + dd").innerText();
      verified.push(Number(/(\d+) ms/.exec(said)![1]));
    }
    note(`a ${kind} receipt, verified`, median(verified), "ms", 50, `longest ${round(verified)} ms`);
    note(
      `a ${kind} receipt, from its file to all of it on the screen`,
      median(taken),
      "ms",
      undefined,
      `longest ${round(taken)} ms`,
    );
  }
  await page.context().close();
}

/** Reads it on screens that ask for much, with keys pressed all the time. */
async function openLongLedger(stage: Stage, page: Page, files: readonly string[]): Promise<void> {
  await page.getByLabel("Choose ledger files", { exact: true }).setInputFiles([...files]);
  await page.waitForFunction(() => (quorateProbe.state?.signed?.seqno ?? 0) > 0);
  const begin = performance.now();
  let longestTask = 0;
  let longestInput = 0;
  let memory = 0;
  const asked: Record<string, number> = {};
  const screens = ["#/ledger", "#/overview", "#/tables", "#/ledger?q=kind:user"];
  for (let turn = 0;; turn++) {
    const screen = screens[turn % screens.length]!;
    await goTo(page, screen);
    await settled(page);
    await reset(page);
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press(["PageDown", "Tab", "ArrowDown", "End"][i % 4]!);
      await page.waitForTimeout(50);
    }
    const seen = await watched(page);
    longestTask = Math.max(longestTask, longest(seen.longTasks));
    longestInput = Math.max(longestInput, longest(seen.inputs));
    for (const { method, ms } of seen.asked) asked[method] = Math.max(asked[method] ?? 0, ms);
    console.error(screen, summary(seen), JSON.stringify(await reads(page)));
    memory = Math.max(memory, await rendererMegabytes(stage));
    const { status } = (await stateOf(page))!;
    if (status !== "reading") break;
  }
  const state = (await stateOf(page))!;
  if (state.status !== "complete") throw new Error(`The ledger was not read: ${JSON.stringify(state.problem)}`);
  note(
    "entries of files read and verified",
    state.entriesPerSecond,
    "entries/s",
    undefined,
    `${state.readSeqno} entries`,
  );
  note("while it reads: longest task of the page", longestTask, "ms", 50);
  note("while it reads: from a key to its frame, longest", longestInput, "ms", 100);
  note("while it reads: memory of page and worker, at most", memory, "MB");
  for (const [method, ms] of Object.entries(asked)) {
    note(`while it reads: the page's questions, ${method}, longest`, ms, "ms", 50);
  }
  console.error(`read in ${Math.round(performance.now() - begin)} ms`);
}

async function reads(page: Page) {
  const state = (await stateOf(page))!;
  const entries = await ask(page, "entries", {}, Math.max(0, (state.signed?.seqno ?? 0) - 100), 100);
  const table = await ask(page, "table", "public:records", { count: 100 });
  const value = await ask(page, "value", "public:ccf.gov.service.info", fromByteString(SINGLETON_KEY));
  const tables = await ask(page, "tables");
  return { at: state.readSeqno, entries, table, value, tables };
}

async function answers(page: Page, when: string): Promise<void> {
  const questions = {
    "100 rows of the list": () => ask(page, "entries", {}, 500_000, 100),
    "100 rows of a filtered list, first time": () =>
      ask(page, "entries", { kinds: ["user"], hasClaims: false }, 5000, 100),
    "100 rows of a table": () => ask(page, "table", "public:records", { count: 100 }),
    "all tables": () => ask(page, "tables"),
    "the density of the whole": () => ask(page, "density", 100),
    "one transaction": () => ask(page, "transaction", Math.floor(ENTRIES / 2)),
  };
  for (const [what, question] of Object.entries(questions)) note(`${when}: ${what}`, await question(), "ms", 50);
}

/** Through the whole list by wheel, then up by keys; an empty page before that tells what the machine does by itself. */
async function scroll(stage: Stage, page: Page): Promise<void> {
  const empty = await stage.browser.newPage();
  await watch(empty.context());
  await empty.goto("about:blank");
  await empty.waitForTimeout(5000);
  noteFrames("an empty page for five seconds", await watched(empty));
  await empty.close();
  await goTo(page, `#/ledger?q=seqno:1..${ROWS}`);
  await page.getByText(`${ROWS.toLocaleString("en-GB")} entries found`).waitFor();
  const list = page.getByRole("grid");
  await list.hover();
  await page.waitForTimeout(500);
  const wheel = async () => {
    for (let pixels = 0; pixels < ROWS * ROW_PIXELS; pixels += WHEEL_PIXELS) await page.mouse.wheel(0, WHEEL_PIXELS);
  };
  const keys = async () => {
    for (let i = 0; i < 300; i++) await page.keyboard.press("PageUp");
    for (const key of ["Home", "End", "Home"]) await page.keyboard.press(key);
    await page.waitForTimeout(200);
  };
  for (const [how, move] of [["wheel", wheel], ["keys", keys]] as const) {
    await list.focus();
    await reset(page);
    const task = await longestTaskMs(stage, page, move);
    noteFrames(`${ROWS.toLocaleString("en")} rows by ${how}`, await watched(page));
    note("the same: its longest task, in processor time", task, "ms", 50);
    const last = await list.locator("[role=row]").last().getAttribute("aria-rowindex");
    if (how === "wheel" && Number(last) < ROWS) throw new Error(`The wheel came to row ${last}`);
  }
}

function noteFrames(what: string, { frames, longTasks }: Watched): void {
  const over = frames.filter((ms) => ms > 50).length;
  const half = median(frames).toFixed(1);
  const more = `${over} of ${frames.length} above 50 ms, half below ${half} ms, longest task ${round(longTasks)} ms`;
  note(`${what}: longest frame`, longest(frames), "ms", 50, more);
}

/** The longest task of the page's own thread, in processor time: what others on the machine do does not count. */
async function longestTaskMs({ browser }: Stage, page: Page, work: () => Promise<void>): Promise<number> {
  await browser.startTracing(page, { categories: ["toplevel", "__metadata"] });
  await work();
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as {
    traceEvents: readonly TraceEvent[];
  };
  const threads = traceEvents.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain");
  const isOfPage = (event: TraceEvent) => threads.some(({ pid, tid }) => event.pid === pid && event.tid === tid);
  return longest(traceEvents.filter((event) => event.ph === "X" && isOfPage(event)).map(({ tdur = 0 }) => tdur / 1000));
}

interface TraceEvent {
  readonly ph: string;
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds of the processor. */
  readonly tdur?: number;
  readonly args: { readonly name?: unknown };
}

/** Of the largest process that draws a page: its worker lives in it too. */
async function rendererMegabytes({ browser }: Stage): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  const sizes = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => {
    const status = Deno.readTextFileSync(`/proc/${id}/status`);
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1000;
  });
  return Math.max(...sizes);
}

function summary({ frames, longTasks, inputs, asked }: Watched): string {
  const methods = Object.groupBy(asked, ({ method }) => method);
  const questions = Object.entries(methods).map(([method, all]) => {
    const times = all!.map(({ ms }) => ms);
    return `${method} ${times.length}x ${Math.round(median(times))}/${Math.round(longest(times))}`;
  });
  return `frame ${Math.round(longest(frames))} task ${Math.round(longest(longTasks))} (${longTasks.length}) input ${
    Math.round(longest(inputs))
  } | ${questions.join(", ")}`;
}

function gzipped(bytes: Uint8Array): number {
  return gzipSync(bytes).length;
}

function longest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function round(values: readonly number[]): number {
  return Math.round(longest(values));
}
