/**
 * For a test: runs scripts in a Worker, and tells what came of them.
 */

import { endpointCall, FakeContext, moduleOf, requestOf, textOutcome } from "./fake_context.ts";
import { loadScriptEngine, type ScriptEngine } from "./runtime.ts";

const scope = globalThis as unknown as { postMessage(message: unknown): void };

let nowMs = 0;
loadScriptEngine(() => nowMs++).then((engine) => scope.postMessage(run(engine)));

const PROGRAM = moduleOf(`let n = 0; export function f(request) {
  n++;
  const { id, msg } = request.body.json();
  ccf.kv["records"].set(ccf.strToBuf(id), ccf.strToBuf(msg));
  if (msg === "recurse") (function g() { g(); })();
  if (msg === "fill") { const a = []; for (;;) a.push(new ArrayBuffer(1e6)); }
  if (msg === "loop") for (;;);
  return { body: n };
}`);

function run(engine: ScriptEngine): { outcomes: string[]; records: string[] } {
  const limits = { maxHeapBytes: 50_000_000, maxStackBytes: 1 << 20, maxExecutionTimeMs: 100 };
  const context = new FakeContext();
  const outcomes = ["hello", "recurse", "fill", "loop", "again"].map((msg) =>
    textOutcome(engine.callEndpoint(endpointCall(PROGRAM, context, {
      limits,
      request: requestOf({ body: JSON.stringify({ id: msg, msg }) }),
      returnExceptionDetails: msg !== "recurse",
    })))
  );
  return { outcomes, records: [...context.table("records").map.keys()] };
}
