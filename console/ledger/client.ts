/**
 * The page's side of the ledger worker: every question as a promise, and where the worker stands as a signal.
 *
 * In: a port, such as a `Worker`. Out: `LedgerApi`. A refusal comes as `ProblemError`.
 */

import { type Signal, signal } from "@preact/signals";
import { type Problem, ProblemError } from "../problem.ts";
import {
  type AuditProgress,
  type FromWorker,
  IDLE_STATE,
  type LedgerApi,
  type LedgerState,
  type ToWorker,
} from "./protocol.ts";

/** What is needed of a `Worker`; tests give one that stays in the same thread. */
export interface LedgerPort {
  postMessage(message: ToWorker): void;
  onmessage: ((event: MessageEvent<FromWorker>) => void) | null;
  onerror?: ((event: ErrorEvent) => void) | null;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const METHODS = [
  "open",
  "close",
  "refresh",
  "entries",
  "offsetOf",
  "density",
  "growth",
  "transaction",
  "proof",
  "seqnoAt",
  "tables",
  "table",
  "value",
  "history",
  "difference",
  "climb",
  "trustHistory",
  "evidenceBundle",
  "audit",
  "stopAudit",
] as const satisfies readonly (keyof LedgerApi)[];

class Client {
  readonly state: Signal<LedgerState> = signal(IDLE_STATE);
  /** undefined: no audit is running. */
  readonly auditProgress: Signal<AuditProgress | undefined> = signal(undefined);
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  /** Nobody answers any more. */
  #failure: Problem | undefined;

  constructor(port: LedgerPort) {
    port.onmessage = ({ data }) => this.#take(data);
    port.onerror = (event) => this.#fail(event.message);
    for (const method of METHODS) {
      Object.defineProperty(this, method, {
        value: (...args: unknown[]) =>
          new Promise((resolve, reject) => {
            if (this.#failure !== undefined) return reject(new ProblemError(this.#failure));
            const id = this.#nextId++;
            this.#waiting.set(id, { resolve, reject });
            port.postMessage({ id, method, args } as unknown as ToWorker);
          }),
      });
    }
  }

  #take(message: FromWorker): void {
    switch (message.kind) {
      case "state":
        this.state.value = message.state;
        return;
      case "audit":
        this.auditProgress.value = message.progress;
        return;
      case "answer":
      case "refused": {
        const waiting = this.#waiting.get(message.id);
        this.#waiting.delete(message.id);
        if (message.kind === "answer") waiting?.resolve(message.value);
        else waiting?.reject(new ProblemError(message.problem));
      }
    }
  }

  /** The worker's script is broken or did not load: nobody will answer. */
  #fail(message: string): void {
    const problem = {
      code: "LedgerWorkerFailed",
      what: "The part of the page that reads the ledger failed",
      why: message || "Its script did not start",
      todo: "Reload the page; if it happens again, report it with the details",
    };
    this.#failure = problem;
    for (const { reject } of this.#waiting.values()) reject(new ProblemError(problem));
    this.#waiting.clear();
    this.state.value = { ...this.state.value, status: "stopped", problem };
  }
}

/** The methods of `LedgerApi` come from their list above. */
export type LedgerClient = Client & LedgerApi;
export const LedgerClient = Client as unknown as new (port: LedgerPort) => LedgerClient;
