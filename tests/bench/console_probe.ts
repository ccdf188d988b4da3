/**
 * What watches a page from inside: how long its thread is busy, how far frames are apart, how long its worker takes.
 *
 * In: a page that was not loaded yet. Out: figures since they were last reset. The page's own questions to its worker are
 * timed, from asking to the answer's arrival, cloning and a busy page included; more can be asked beside them.
 */

import type { BrowserContext, Page } from "playwright-core";
import type { LedgerApi, LedgerState } from "../../console/ledger/protocol.ts";

export interface Asked {
  readonly method: string;
  readonly ms: number;
}

export interface Watched {
  /** Milliseconds between two frames, each. */
  readonly frames: readonly number[];
  /** Of tasks that took 50 ms or more: their lengths. */
  readonly longTasks: readonly number[];
  /** From a key or click to the frame that shows what came of it; below 16 ms none is told. */
  readonly inputs: readonly number[];
  readonly asked: readonly Asked[];
}

interface Probe extends Watched {
  frames: number[];
  longTasks: number[];
  inputs: number[];
  asked: Asked[];
  state: LedgerState | undefined;
  ask(method: string, args: readonly unknown[]): Promise<number>;
  /** When a file was chosen, and when the page last changed. */
  chosenAt: number;
  changedAt: number;
}

declare global {
  var quorateProbe: Probe;
}

export async function watch(context: BrowserContext): Promise<void> {
  await context.addInitScript(install);
}

/** Everything seen so far is left out from now on. */
export async function reset(page: Page): Promise<void> {
  await page.evaluate(() => {
    for (const list of ["frames", "longTasks", "inputs", "asked"] as const) quorateProbe[list].length = 0;
  });
}

export async function watched(page: Page): Promise<Watched> {
  return await page.evaluate(() => {
    const { frames, longTasks, inputs, asked } = quorateProbe;
    return { frames, longTasks, inputs, asked };
  });
}

/** Where the page's worker stands, as it told last. */
export async function stateOf(page: Page): Promise<LedgerState | undefined> {
  return await page.evaluate(() => quorateProbe.state);
}

/** Milliseconds from a question to the answer. */
export async function ask<M extends keyof LedgerApi>(
  page: Page,
  method: M,
  ...args: Parameters<LedgerApi[M]>
): Promise<number> {
  return await page.evaluate(([method, args]) => quorateProbe.ask(method, args), [method, args] as const);
}

/** Milliseconds from choosing a file to the last change that it made, once what is looked for stands there. */
export async function untilShown(page: Page, label: string, file: string, selector: string): Promise<number> {
  await page.getByLabel(label, { exact: true }).setInputFiles(file);
  await page.locator(selector).first().waitFor();
  return await page.evaluate(() => quorateProbe.changedAt - quorateProbe.chosenAt);
}

/** Runs in the page, before its scripts. */
function install(): void {
  const started = new Map<number, { readonly method: string; readonly at: number; readonly done?: () => void }>();
  let nextId = 1e9;
  let worker: Worker | undefined;
  const probe: Probe = globalThis.quorateProbe = {
    frames: [],
    longTasks: [],
    inputs: [],
    asked: [],
    state: undefined,
    chosenAt: 0,
    changedAt: 0,
    ask(method, args) {
      return new Promise((resolve) => {
        const at = performance.now();
        const id = nextId++;
        started.set(id, { method, at, done: () => resolve(performance.now() - at) });
        worker!.postMessage({ id, method, args });
      });
    },
  };
  const NativeWorker = globalThis.Worker;
  globalThis.Worker = class extends NativeWorker {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(url, options);
      if (options?.name !== "ledger") return;
      worker = this;
      this.addEventListener("message", ({ data }) => {
        if (data.kind === "state") probe.state = data.state;
        const asked = started.get(data.id);
        if (asked === undefined) return;
        started.delete(data.id);
        probe.asked.push({ method: asked.method, ms: performance.now() - asked.at });
        asked.done?.();
      });
    }

    override postMessage(message: { id: number; method: string }, ...rest: never[]): void {
      if (!started.has(message.id)) started.set(message.id, { method: message.method, at: performance.now() });
      super.postMessage(message, ...rest);
    }
  };
  let before: number | undefined;
  const frame = (now: number) => {
    if (before !== undefined) probe.frames.push(now - before);
    before = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) probe.longTasks.push(duration);
  }).observe({ type: "longtask" });
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) probe.inputs.push(duration);
  }).observe({ type: "event", durationThreshold: 16 } as PerformanceObserverInit);
  addEventListener("change", () => probe.chosenAt = performance.now(), true);
  new MutationObserver(() => probe.changedAt = performance.now())
    .observe(document, { subtree: true, childList: true, characterData: true });
}
