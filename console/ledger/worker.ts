/**
 * The worker's script: passes questions to `LedgerReading` and answers back.
 */

import { problemOf } from "../problem.ts";
import type { FromWorker, ToWorker } from "./protocol.ts";
import { LedgerReading } from "./reading.ts";

const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  postMessage(message: FromWorker): void;
};

const reading = new LedgerReading({
  onState: (state) => scope.postMessage({ kind: "state", state }),
  onAudit: (progress) => scope.postMessage({ kind: "audit", progress }),
  // With the script engine it is larger than all the rest, and most readers never ask for it.
  audit: async (...args) => (await import("./audit.ts")).runAudit(...args),
});

scope.onmessage = ({ data: { id, method, args } }) => {
  const ask = reading[method] as (...args: unknown[]) => Promise<unknown>;
  Promise.resolve().then(() => ask.apply(reading, args)).then(
    (value) => scope.postMessage({ kind: "answer", id, value }),
    (error) => scope.postMessage({ kind: "refused", id, problem: problemOf(error) }),
  );
};
