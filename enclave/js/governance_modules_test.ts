/**
 * Functions of constitutions and ballots in the engine, and what CCF says of those that are none.
 */

import { strict as assert } from "node:assert";
import { hash } from "../../shared/crypto/hashes.ts";
import type { Program, ScriptOutcome, ScriptResults, Wanted } from "../app_engine.ts";
import { DEFAULT_LIMITS, FakeContext } from "./fake_context.ts";
import { ballotModule, ballotProgram, CONSTITUTION_MODULE, constitutionProgram } from "./governance_modules.ts";
import { loadQuickJs, ScriptEngine } from "./runtime.ts";

const PRIMITIVES = { sha256: (data: Uint8Array) => hash("SHA-256", data) };

const quickJs = await loadQuickJs();
let nowMs = 0;
const engine = new ScriptEngine(quickJs, () => nowMs);

function runIn<W extends Wanted>(
  program: Program,
  module: string,
  functionName: string,
  wanted: W,
  given: readonly unknown[] = [],
  limits = DEFAULT_LIMITS,
  scripts = engine,
): ScriptOutcome<ScriptResults[W]> {
  const context = new FakeContext("read-only governance");
  return scripts.run({ program, module, functionName, arguments: given, context, limits }, wanted);
}

function constitution<W extends Wanted>(text: string, functionName: string, wanted: W, ...given: unknown[]) {
  return runIn(constitutionProgram(text, PRIMITIVES), CONSTITUTION_MODULE, functionName, wanted, given);
}

const PROPOSAL = "ac60cf1a3678870eb30eee080238f0814f286908024c795ab59619ae165c8cf1";
const MEMBER = "dad803e5268a30b5df4ed61241c854812d39f7cf90c13322fff12ee73f032b59";
const BALLOT_NAME = `public:ccf.gov.proposals_info[${PROPOSAL}].ballots[m[${MEMBER}]]`;

function ballot(text: string, limits = DEFAULT_LIMITS, scripts = engine): ScriptOutcome<boolean> {
  const module = ballotModule(PROPOSAL, MEMBER);
  return runIn(ballotProgram(PROPOSAL, MEMBER, text), module, "vote", "truth", ["{}", MEMBER], limits, scripts);
}

function unusable(message: string) {
  return { kind: "unusable", message };
}

/** Of transcripts/one_node_proposals.jsonl: three requests about ballots that are none, and one that throws. */
Deno.test("a ballot that is none is named as CCF names it, without a reason", () => {
  assert.deepEqual(ballot(`export function vote( {`), unusable(`Failed to compile ${BALLOT_NAME}`));
  assert.deepEqual(ballot(`const x = 1;`), unusable(`Failed to find export 'vote' in module '${BALLOT_NAME}'`));
  assert.deepEqual(ballot(``), unusable(`Failed to find export 'vote' in module '${BALLOT_NAME}'`));
  assert.deepEqual(
    ballot(`export const vote = true;`),
    unusable(`Export 'vote' of module '${BALLOT_NAME}' is not a function`),
  );
  for (
    const text of [`import "x"; export function vote() {}`, `import { x } from "./y.js"; export function vote() {}`]
  ) {
    assert.deepEqual(ballot(text), unusable(`Failed to compile ${BALLOT_NAME}`));
  }
});

Deno.test("a ballot that throws has a trace that equals the recorded one", () => {
  assert.deepEqual(ballot(`export function vote (proposal, proposerId) { throw new Error("x"); }`), {
    kind: "threw",
    exception: { message: "Error: x", trace: `    at vote (${BALLOT_NAME})\n` },
    timedOut: false,
  });
  assert.deepEqual(ballot(`export function vote() {\n  throw new Error("x");\n}`), {
    kind: "threw",
    exception: { message: "Error: x", trace: `    at vote (${BALLOT_NAME}:2)\n` },
    timedOut: false,
  });
});

Deno.test("a ballot counts by the truthiness of what it returns", () => {
  const yes = ["true", "1", `"no"`, `"false"`, "{}", "[]", "new Boolean(false)", "Symbol()", "1n", "-1n", "Infinity"];
  const no = ["false", "0", "-0", `""`, "null", "undefined", "NaN", "0n"];
  for (const expression of yes) {
    const text = `export const vote = () => (${expression});`;
    assert.deepEqual(ballot(text), { kind: "returned", value: true }, expression);
  }
  for (const expression of no) {
    const text = `export const vote = () => (${expression});`;
    assert.deepEqual(ballot(text), { kind: "returned", value: false }, expression);
  }
  const rejected = `export async function vote() { throw new Error("nobody looks"); }`;
  assert.deepEqual(ballot(rejected), { kind: "returned", value: true }, "a promise is an object");
});

Deno.test("what a ballot throws at its top level is ignored", () => {
  assert.deepEqual(ballot(`export function vote() { return true; } throw new Error("top");`), {
    kind: "returned",
    value: true,
  });
  assert.equal(ballot(`throw new Error("top"); export const vote = () => true;`).kind, "unusable");
});

Deno.test("a ballot runs under the limits of its call", () => {
  const timed = new ScriptEngine(quickJs, () => nowMs += 1);
  const late = ballot(`export function vote() { for (;;); }`, DEFAULT_LIMITS, timed);
  assert.equal(late.kind, "threw");
  assert.deepEqual(late.kind === "threw" && [late.timedOut, late.exception.message], [
    true,
    "InternalError: interrupted",
  ]);
  const table = [
    [`const a = []; for (;;) a.push(new ArrayBuffer(1_000_000));`, "InternalError: out of memory"],
    [`const f = () => f() + 1; return f();`, "InternalError: stack overflow"],
  ] as const;
  for (const [body, message] of table) {
    const outcome = ballot(`export function vote() { ${body} }`);
    assert.equal(outcome.kind === "threw" && outcome.exception.message, message);
    assert.equal(outcome.kind === "threw" && outcome.timedOut, false);
  }
  assert.deepEqual(
    ballot(`for (;;); export function vote() { return true; }`, DEFAULT_LIMITS, timed),
    unusable("Operation took too long to complete."),
  );
});

Deno.test("a ballot sees nothing of another, and leaves no image", () => {
  const own = new ScriptEngine(quickJs, () => 0);
  const text =
    `let n = 0; export function vote() { globalThis.seen = (globalThis.seen ?? 0) + 1; return ++n === 1 && seen === 1; }`;
  for (let i = 0; i < 3; i++) assert.deepEqual(ballot(text, DEFAULT_LIMITS, own), { kind: "returned", value: true });
  assert.equal(own.imageBytes, 0);
});

Deno.test("ballots do not push the image of the constitution out", () => {
  const own = new ScriptEngine(quickJs, () => 0);
  const program = constitutionProgram(`export function resolve() { return "Open"; }`, PRIMITIVES);
  const resolve = () => runIn(program, CONSTITUTION_MODULE, "resolve", "status", [], DEFAULT_LIMITS, own);
  resolve();
  const bytes = own.imageBytes;
  assert.ok(bytes > 0);
  for (let i = 0; i < 200; i++) ballot(`export function vote() { return ${i}; }`, DEFAULT_LIMITS, own);
  assert.deepEqual(resolve(), { kind: "returned", value: "Open" });
  assert.equal(own.imageBytes, bytes);
});

Deno.test("validate's answer is an object, of which two members are read", () => {
  const table: readonly (readonly [expression: string, value: unknown])[] = [
    [`({ valid: true, description: "all good" })`, { valid: true, description: "all good" }],
    [`({ valid: 1, description: "" })`, { valid: true, description: "" }],
    [`({ valid: "false" })`, { valid: true, description: undefined }],
    [`({ valid: 0, description: 5 })`, { valid: false, description: undefined }],
    [`({})`, { valid: false, description: undefined }],
    [`[]`, { valid: false, description: undefined }],
    [`(() => {})`, { valid: false, description: undefined }],
    [`Promise.resolve({ valid: true })`, { valid: false, description: undefined }],
    ...["true", `"text"`, "null", "undefined", "7", "Symbol()"].map((text) => [text, null] as const),
  ];
  for (const [expression, value] of table) {
    const outcome = constitution(`export function validate(p) { return ${expression}; }`, "validate", "validation", "");
    assert.deepEqual(outcome, { kind: "returned", value }, expression);
  }
});

Deno.test("a getter that throws counts as the script's exception, as does one that does not end", () => {
  for (const name of ["valid", "description"]) {
    const text =
      `export function validate(p) { return { valid: true, get ${name}() { throw new RangeError("no"); } }; }`;
    const outcome = constitution(text, "validate", "validation", "");
    assert.equal(outcome.kind === "threw" && outcome.exception.message, "RangeError: no");
  }
  const timed = new ScriptEngine(quickJs, () => nowMs += 1);
  const program = constitutionProgram(`export const validate = () => ({ get valid() { for (;;); } });`, PRIMITIVES);
  const outcome = runIn(program, CONSTITUTION_MODULE, "validate", "validation", [], DEFAULT_LIMITS, timed);
  assert.equal(outcome.kind === "threw" && outcome.timedOut, true);
});

Deno.test("resolve's answer is taken as text", () => {
  const table: readonly (readonly [expression: string, value: string])[] = [
    [`"Accepted"`, "Accepted"],
    [`["Accepted"]`, "Accepted"],
    [`({ toString: () => "Rejected" })`, "Rejected"],
    [`new String("Open")`, "Open"],
    [`undefined`, "undefined"],
    [`({})`, "[object Object]"],
    [`(async () => "Accepted")()`, "[object Promise]"],
    [`""`, ""],
  ];
  for (const [expression, value] of table) {
    const text = `export function resolve(p, m, v, i) { return ${expression}; }`;
    assert.deepEqual(constitution(text, "resolve", "status"), { kind: "returned", value }, expression);
  }
  const symbol = constitution(`export function resolve(p, m, v, i) { return Symbol(); }`, "resolve", "status");
  assert.equal(symbol.kind, "threw");
});

Deno.test("resolve is given its arguments as values of its own", () => {
  const text = `export function resolve(proposal, proposerId, votes, proposalId) {
    return [proposal, proposerId, JSON.stringify(votes), votes instanceof Array, proposalId, arguments.length].join(" ");
  }`;
  const votes = [{ member_id: "m1", vote: true }, { member_id: "m2", vote: false }];
  assert.deepEqual(constitution(text, "resolve", "status", "{}", "m0", votes, "p0"), {
    kind: "returned",
    value: `{} m0 [{"member_id":"m1","vote":true},{"member_id":"m2","vote":false}] true p0 4`,
  });
});

Deno.test("apply's answer is not looked at, and its throw names the constitution's lines", () => {
  const text =
    `\n\nexport function apply(proposal, id) {\n  if (id === "no") throw new Error("will not");\n  return Symbol();\n}`;
  assert.deepEqual(constitution(text, "apply", "nothing", "{}", "yes"), { kind: "returned", value: undefined });
  assert.deepEqual(constitution(text, "apply", "nothing", "{}", "no"), {
    kind: "threw",
    exception: { message: "Error: will not", trace: "    at apply (public:ccf.gov.constitution[0]:4)\n" },
    timedOut: false,
  });
});

/** Of transcripts/one_node_errors.jsonl: payloads that are no JSON, and one without actions. */
Deno.test("what a payload that is no proposal makes validate throw equals what was recorded", () => {
  const text = `export function validate(input) {
    const proposal = JSON.parse(input);
    for (const action of proposal["actions"]) { }
    return { valid: true };
  }`;
  const table = [
    ["{no json", "SyntaxError: expecting property name", "    at <input>:1\n    at parse (native)\n", 2],
    ["", "SyntaxError: unexpected end of input", "    at <input>:1\n    at parse (native)\n", 2],
    ["{}", "TypeError: cannot read property 'Symbol.iterator' of undefined", "", 3],
  ] as const;
  for (const [payload, message, frames, line] of table) {
    assert.deepEqual(constitution(text, "validate", "validation", payload), {
      kind: "threw",
      exception: { message, trace: `${frames}    at validate (public:ccf.gov.constitution[0]:${line})\n` },
      timedOut: false,
    });
  }
});
