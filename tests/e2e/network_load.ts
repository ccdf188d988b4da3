/**
 * Users of a network who go on writing whatever happens to its nodes, and remember what they were told.
 *
 * In: a network, how often to write. Out: every write that was answered, what became of it, how long nobody could write.
 * Writes are sent at their time whether or not earlier ones were answered, as by users who know nothing of each other.
 */

import { strict as assert } from "node:assert";
import { parseTx, type RunningNetwork, type RunningNode, sleep } from "./network_nodes.ts";

/** Between two writes. */
const INTERVAL_MS = 25;
/** Writes that wait for an answer; further ones are left out. */
const MAX_OUTSTANDING = 60;
/** Between two questions about the same write. */
const QUESTION_MS = 100;
/** Until the last question about it: then it is asked again at the end. */
const MAX_QUESTIONS = 15;

export interface Write {
  readonly txId: string;
  readonly key: string;
  readonly message: string;
  readonly answeredMs: number;
}

export class Load {
  /** All that were answered with 200. */
  readonly writes: Write[] = [];
  /** By transaction ID, what any node said that is final. */
  readonly told = new Map<string, "Committed" | "Invalid">();
  /** Answers that were no success, by status; 0: no answer. */
  readonly failures = new Map<number, number>();
  readonly #network: RunningNetwork;
  readonly #prefix: string;
  readonly #outstanding = new Set<Promise<void>>();
  #next = 0;
  #stopped = false;
  readonly #running: Promise<void>;

  /** @param prefix of the keys it writes, another one for each load */
  constructor(network: RunningNetwork, prefix: string) {
    this.#network = network;
    this.#prefix = prefix;
    this.#running = this.#run();
  }

  /** Waits until so many more writes have been answered. */
  async more(count: number): Promise<void> {
    const goal = this.writes.length + count;
    await this.#network.eventually(
      `${count} writes are answered`,
      () => Promise.resolve(this.writes.length >= goal ? true : undefined),
    );
  }

  /** Stops writing, and waits until it is known of every write what became of it. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    await Promise.all(this.#outstanding);
    const primary = await this.#network.primary();
    for (const { txId } of this.writes) {
      if (this.told.has(txId)) continue;
      await this.#network.eventually(`${txId} is decided`, () => this.#ask(primary, txId, 3000));
    }
  }

  /** Between the last answer in a view up to `view` that was to last, and the first in a later one. */
  withoutWrites(view: number): { readonly ms: number; readonly elections: number } {
    const before = this.committed.filter(({ txId }) => parseTx(txId).view <= view);
    const after = this.committed.filter(({ txId }) => parseTx(txId).view > view);
    assert(before.length > 0 && after.length > 0, "there were writes before and after");
    const first = after.reduce((a, b) => a.answeredMs <= b.answeredMs ? a : b);
    const ms = Math.round(first.answeredMs - Math.max(...before.map(({ answeredMs }) => answeredMs)));
    return { ms, elections: parseTx(first.txId).view - view };
  }

  get committed(): Write[] {
    return this.writes.filter(({ txId }) => this.told.get(txId) === "Committed");
  }

  get invalid(): Write[] {
    return this.writes.filter(({ txId }) => this.told.get(txId) === "Invalid");
  }

  describe(): string {
    const failures = [...this.failures].map(([status, count]) => `${count} × ${status === 0 ? "no answer" : status}`);
    return `${this.writes.length} writes, ${this.committed.length} committed, ${this.invalid.length} invalid` +
      (failures.length > 0 ? `, ${failures.join(", ")}` : "");
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      if (this.#outstanding.size < MAX_OUTSTANDING) {
        const task: Promise<void> = this.#write(this.#next++).finally(() => this.#outstanding.delete(task));
        this.#outstanding.add(task);
      }
      await sleep(INTERVAL_MS);
    }
  }

  /** Writes once, to one node after the other, and asks that node what became of it. */
  async #write(number: number): Promise<void> {
    const nodes = this.#network.live;
    const node = nodes[number % nodes.length]!;
    const key = `${this.#prefix}.${number}`;
    const message = `message ${number} ${"x".repeat(number * 37 % 500)}`;
    const body = JSON.stringify({ id: key, msg: message });
    try {
      const { status, headers } = await this.#network.request(node, "POST", "/app/log/private", { as: "user0", body });
      if (status !== 200) return this.#failed(status);
      const txId = headers.get("x-ms-ccf-transaction-id");
      assert(txId !== null, "a write that succeeds names its transaction");
      this.writes.push({ txId, key, message, answeredMs: performance.now() });
      for (let i = 0; i < MAX_QUESTIONS; i++) {
        await sleep(QUESTION_MS);
        if (await this.#ask(node, txId, 1000) !== undefined) return;
      }
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      this.#failed(0);
    }
  }

  #failed(status: number): void {
    this.failures.set(status, (this.failures.get(status) ?? 0) + 1);
  }

  async #ask(node: RunningNode, txId: string, timeoutMs: number): Promise<true | undefined> {
    const status = await this.#network.statusOf(node, txId, timeoutMs);
    if (status !== "Committed" && status !== "Invalid") return undefined;
    this.#learn(txId, status);
    return true;
  }

  #learn(txId: string, status: "Committed" | "Invalid"): void {
    const before = this.told.get(txId);
    assert(before === undefined || before === status, `${txId} was ${before} and is ${status}`);
    this.told.set(txId, status);
  }
}
