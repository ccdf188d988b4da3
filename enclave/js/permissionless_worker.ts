/**
 * For a test: runs a script in a Worker, and tells what came of it.
 */

import { endpointCall, FakeContext, moduleOf, requestOf, textOutcome } from "./fake_context.ts";
import { loadScriptEngine } from "./runtime.ts";

const scope = globalThis as unknown as { postMessage(message: unknown): void };

const engine = await loadScriptEngine(() => performance.now());
const program = moduleOf(`let n = 0; export function f(request) {
  n++;
  const { id, msg } = request.body.json();
  ccf.kv["records"].set(ccf.strToBuf(id), ccf.strToBuf(msg));
  if (msg === "recurse") (function g() { g(); })();
  if (msg === "fill") { const a = []; for (;;) a.push(new ArrayBuffer(1e6)); }
  if (msg === "loop") for (;;);
  return { body: n };
}`);
const limits = { maxHeapBytes: 50_000_000, maxStackBytes: 1 << 20, maxExecutionTimeMs: 100 };
const context = new FakeContext();
const outcomes = ["hello", "recurse", "fill", "loop", "again"].map((msg) =>
  textOutcome(engine.callEndpoint(endpointCall(program, context, {
    limits,
    request: requestOf({ body: JSON.stringify({ id: msg, msg }) }),
    returnExceptionDetails: msg !== "recurse",
  })))
);
scope.postMessage({ outcomes, records: [...context.table("records").map.keys()] });
