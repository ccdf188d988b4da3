import assert from "node:assert/strict";
import fc from "fast-check";
import { loadNativePrimitives } from "../../enclave/native_primitives.ts";
import { fuzzDecoder, mutatedText } from "../../tests/mutations.ts";
import { join } from "../../tests/paths.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import {
  cwtDocument,
  legacyDocument,
  UVM_FEED,
  UVM_MEASUREMENT,
  UVM_NOW_MS,
  uvmSigner,
} from "../../tests/uvm_documents.ts";
import { FormatError } from "../assert.ts";
import { toHex } from "../bytes.ts";
import { noblePrimitives } from "../crypto/primitives.ts";
import { parseJsonText } from "../json.ts";
import { MAX_VECTORS } from "../limits.ts";
import { evaluateVectors } from "./vectors.ts";

const SIGNER = uvmSigner();
const FILES: Readonly<Record<string, Uint8Array>> = { "a/cwt.cose": cwtDocument(), "legacy.cose": legacyDocument() };
const ROOTS = [{ did: SIGNER.did, feed: UVM_FEED, minSvn: 100 }];

/** A vector that holds. */
function vector(changes: Record<string, unknown> = {}) {
  return {
    id: "good",
    kind: "uvm",
    files: { uvm: "a/cwt.cose" },
    verifyAt: new Date(UVM_NOW_MS).toISOString().replace(".000Z", "Z"),
    policy: { roots: ROOTS },
    expect: { verdict: "accept", did: SIGNER.did, svn: 105, measurement: toHex(UVM_MEASUREMENT), format: "cwt" },
    ...changes,
  };
}

/** A negative that holds. */
function negative(changes: Record<string, unknown> = {}) {
  const expect = { verdict: "reject", reasons: ["malformed"] };
  return { id: "bad", base: "good", mutations: [{ file: "uvm", op: "append", hex: "00" }], expect, ...changes };
}

const file = (vectors: readonly unknown[], negatives: readonly unknown[] = [], policyDefaults = {}) => ({
  format: 1,
  generated: "2026-11-24T15:00:00Z",
  policyDefaults,
  vectors,
  negatives,
});

function evaluate(json: unknown) {
  return evaluateVectors(structuredClone(json), readFile, noblePrimitives);
}

function readFile(path: string): Uint8Array {
  const bytes = FILES[path];
  if (bytes === undefined) throw new FormatError(`Cannot read ${path}: there is no such file`);
  return bytes;
}

/** What is wrong with one vector, or with a negative of a good one. */
const problemsOf = (changes: Record<string, unknown>) =>
  evaluate(file([vector(changes)])).deviations.map(({ problem }) => problem);
const problemsOfNegative = (changes: Record<string, unknown>) =>
  evaluate(file([vector()], [negative(changes)])).deviations.map(({ problem }) => problem);

Deno.test("evaluateVectors() counts what holds, and tells of each entry as it is done", () => {
  const progress: [number, number][] = [];
  const json = file([vector(), vector({ id: "x", verifyAt: "2049-01-01T00:00:00Z" })], [negative()]);
  const results = evaluateVectors(json, readFile, noblePrimitives, (done, of) => progress.push([done, of]));
  assert.deepEqual([results.passed, results.failed], [2, 1]);
  assert.deepEqual(results.deviations.map(({ id }) => id), ["x"]);
  assert.match(results.deviations[0]!.problem, /^expected is accept; found is rejection for cert_not_valid_at_time: /);
  assert.deepEqual(progress, [[1, 3], [2, 3], [3, 3]]);
});

Deno.test("evaluateVectors() compares verdict and reason", () => {
  const wrong = { verdict: "reject", reasons: ["svn_too_low", "malformed"] };
  assert.deepEqual(problemsOf({ expect: wrong }), [
    "expected is rejection for svn_too_low or malformed; found is accept",
  ]);
  assert.deepEqual(problemsOfNegative({ mutations: [] }), ["expected is rejection for malformed; found is accept"]);
  const low = { roots: [{ ...ROOTS[0], minSvn: 106 }] };
  const found = "found is rejection for svn_too_low: root of trust: version 105 is below 106";
  assert.deepEqual(problemsOf({ policy: low }), [`expected is accept; ${found}`]);
  assert.deepEqual(problemsOfNegative({ policy: low, mutations: [] }), [
    `expected is rejection for malformed; ${found}`,
  ]);
  assert.deepEqual(problemsOfNegative({ policy: low, mutations: [], expect: { ...wrong } }), []);
  // A stricter verifier may refuse; what it has read must be right all the same.
  const stricter = { verdict: "accept", alsoAllowed: ["svn_too_low"], svn: 105 };
  assert.deepEqual(problemsOf({ policy: low, expect: stricter }), []);
  assert.deepEqual(problemsOf({ policy: low, expect: { ...stricter, svn: 1 } }), ["expected is svn 1; found is 105"]);
});

Deno.test("evaluateVectors() compares every value, and knows which it would have", () => {
  const expected = (values: Record<string, unknown>) => problemsOf({ expect: { verdict: "accept", ...values } });
  assert.deepEqual(expected({ svn: 104, format: "legacy" }), [
    "expected is svn 104; found is 105",
    'expected is format "legacy"; found is "cwt"',
  ]);
  assert.deepEqual(expected({ svn: "105" }), ['expected is svn "105"; found is 105']);
  assert.deepEqual(expected({ chipId: "00" }), [
    "expected is a value chipId, which no verifier of this evidence gives",
  ]);
  assert.deepEqual(expected({ toString: 1 }), [
    "expected is a value toString, which no verifier of this evidence gives",
  ]);
  const reject = { verdict: "reject", reasons: ["malformed"], svn: 105 };
  assert.deepEqual(problemsOf({ files: { uvm: "empty" }, expect: reject }), [
    "Cannot read empty: there is no such file",
  ]);
});

Deno.test("evaluateVectors() changes files as negatives say, and refuses changes of what is not there", () => {
  const document = FILES["a/cwt.cose"]!;
  const withMutation = (mutation: Record<string, unknown>) =>
    problemsOfNegative({ mutations: [{ file: "uvm", ...mutation }] });
  assert.deepEqual(withMutation({ op: "truncate", length: 10 }), []);
  assert.deepEqual(withMutation({ op: "set", offset: 0, hex: "00" }), []);
  assert.deepEqual(withMutation({ op: "xor", offset: 0, mask: "ff" }), []);
  const last = { op: "xor", offset: document.length - 1, mask: "01" };
  assert.match(withMutation(last)[0]!, /found is rejection for bad_signature/);
  const nothing = ["expected is rejection for malformed; found is accept"];
  assert.deepEqual(withMutation({ ...last, mask: "00" }), nothing);
  assert.deepEqual(withMutation({ op: "truncate", length: document.length }), nothing);
  assert.deepEqual(problemsOfNegative({ replace: { uvm: "legacy.cose" }, mutations: [] }), nothing);

  const outside = (end: number) => [`Cannot change "uvm": it has ${document.length} bytes, not ${end}`];
  assert.deepEqual(withMutation({ ...last, offset: document.length }), outside(document.length + 1));
  assert.deepEqual(withMutation({ op: "set", offset: document.length, hex: "00" }), outside(document.length + 1));
  assert.deepEqual(withMutation({ op: "truncate", length: document.length + 1 }), outside(document.length + 1));
  const elsewhere = { file: "report", op: "truncate", length: 0 };
  assert.deepEqual(problemsOfNegative({ mutations: [elsewhere] }), ['Cannot change "report": there is no such file']);
  for (
    const [changes] of [[{ collateralSet: { tcb_info: null } }], [{ collateralReplaceText: { tcb_info: ["a", "b"] } }]]
  ) {
    assert.deepEqual(problemsOfNegative(changes!), ["Cannot change the collateral: there is none"]);
  }
});

Deno.test("evaluateVectors() tells what it does not know of an entry, and passes over nothing", () => {
  const table: readonly [changes: Record<string, unknown>, problem: RegExp][] = [
    [{ kind: "nitro" }, /^Cannot read JSON at "\/kind": it must be one of snp, snp-parse, sgx, tdx, uvm$/],
    [{ surprise: 1 }, /^Cannot read JSON at "": no member "surprise" is known here$/],
    [{ files: { uvm: "a/cwt.cose", more: "legacy.cose" } }, /^Cannot use the file "more": no such role is known$/],
    [{ files: { toString: "legacy.cose" } }, /^Cannot use the file "toString": no such role is known$/],
    [{ files: { uvm: ["a/cwt.cose"] } }, /^Cannot use the file "uvm": it must be one$/],
    [{ files: {} }, /^Cannot verify the vector: it has no file "uvm"$/],
    [{ policy: { allowDebug: true } }, /^Cannot read JSON at "\/policy": no member "allowDebug" is known here$/],
    [
      { policy: { measurement: "00" } },
      /^Cannot read JSON at "\/policy\/measurement": it has 1 bytes and must have 48$/,
    ],
    [{ policy: { roots: [{ ...ROOTS[0], svn: 1 }] } }, /no member "svn" is known here$/],
    [{ verifyAt: "2026-02-30T00:00:00Z" }, /^Cannot read JSON at "\/verifyAt": it must be a time such as/],
    [{ verifyAt: null }, /it has no "verifyAt", and the clock must not be used$/],
    [{ expect: { verdict: "maybe" } }, /^Cannot read JSON at "\/expect\/verdict": it must be one of accept, reject,/],
    [{ expect: { verdict: "reject" } }, /^Cannot compare: a rejection must name its reasons, and nothing else may$/],
    [{ expect: { verdict: "accept", reasons: ["malformed"] } }, /^Cannot compare: a rejection must name its reasons/],
    [{ expect: { verdict: "parse-only" } }, /^expected is parse-only; found is accept$/],
  ];
  for (const [changes, problem] of table) {
    const problems = problemsOf(changes);
    assert.equal(problems.length, 1, JSON.stringify(changes));
    assert.match(problems[0]!, problem);
  }
  const ofNegatives: readonly [changes: Record<string, unknown>, problem: RegExp][] = [
    [{ base: "other" }, /^it has the base "other", which is no vector$/],
    [{ id: "good" }, /^the ID "good" is there twice$/],
    [{ mutations: [{ file: "uvm", op: "delete" }] }, /it must be one of xor, set, truncate, append$/],
    [{ mutations: [{ file: "uvm", op: "append", hex: "00", offset: 1 }] }, /no member "offset" is known here$/],
    [{ mutations: [{ file: "uvm", op: "xor", offset: 0, mask: "0102" }] }, /it has 2 bytes and must have 1$/],
    [{ mutations: [{ file: "uvm", op: "xor", offset: -1, mask: "01" }] }, /it must be a whole number from 0$/],
    [{ mutation: [] }, /no member "mutation" is known here$/],
  ];
  for (const [changes, problem] of ofNegatives) {
    const problems = problemsOfNegative(changes);
    assert.equal(problems.length, 1, JSON.stringify(changes));
    assert.match(problems[0]!, problem);
  }
});

Deno.test("evaluateVectors() asks for no file that is not below the folder of the vectors", () => {
  const asked: string[] = [];
  const read = (path: string) => {
    asked.push(path);
    return readFile(path);
  };
  const paths = ["/etc/passwd", "../a", "a/../../b", "a//b", "./a", "a/.", "", "C:a", "a\\b", "a\0b", "x".repeat(1025)];
  for (const path of paths) {
    const { deviations } = evaluateVectors(file([vector({ files: { uvm: path } })]), read, noblePrimitives);
    assert.match(deviations[0]!.problem, /it must be a path below the folder of the file of vectors$|must be an array/);
  }
  assert.deepEqual(asked, []);
});

Deno.test("evaluateVectors() names entries without an ID by their place, and shows no control characters", () => {
  const { failed, deviations } = evaluate(file([vector(), vector({ id: "a\x1b[31m" }), null], [{}]));
  assert.equal(failed, 3);
  assert.deepEqual(deviations.map(({ id }) => id), ["vectors/1", "vectors/2", "negatives/0"]);
});

Deno.test("evaluateVectors() takes defaults for a policy where they are about the kind of evidence", () => {
  const defaults = { allowDebug: false, roots: [{ ...ROOTS[0], minSvn: 106 }] };
  const { deviations } = evaluate(file([vector({ policy: {} }), vector({ id: "own" })], [], defaults));
  assert.deepEqual(deviations.map(({ id }) => id), ["good"]);
  assert.match(evaluate(file([vector()], [], { surprise: true })).deviations[0]!.problem, /no member "surprise"/);
});

Deno.test("evaluateVectors() throws where there is no file of vectors at all", () => {
  for (const json of [null, [], "x", {}, { ...file([]), format: 2 }, { ...file([]), more: 1 }, file({} as never)]) {
    assert.throws(() => evaluate(json), { name: "FormatError" });
  }
  assert.throws(() => evaluate({ ...file([]), format: 2 }), {
    message: "Cannot read vectors of format 2: only 1 is known",
  });
  assert.throws(() => evaluate(file(Array(MAX_VECTORS + 1).fill(null))), { name: "FormatError" });
  assert.deepEqual(evaluate(file([])), { passed: 0, failed: 0, deviations: [] });
});

Deno.test("evaluateVectors() evaluates, or refuses with FormatError, whatever JSON says", () => {
  const text = JSON.stringify(file([vector()], [negative()], { allowDebug: false }));
  fuzzDecoder(
    fc.oneof(mutatedText(text), mutatedText(text.replaceAll("good", "snp"))),
    (changed) => evaluateVectors(parseJsonText(changed), readFile, noblePrimitives),
    ({ passed, failed, deviations }) => {
      assert.ok(failed === 0 ? deviations.length === 0 : deviations.length >= failed);
      assert.ok(passed + failed <= 2);
    },
  );
});

// The verifiers against evidence of real machines, and made up where none could be recorded.
const primitives = loadNativePrimitives();

function teamVectors() {
  const folder = teamData("attestation/vectors");
  const json = JSON.parse(Deno.readTextFileSync(join(folder, "vectors.json")));
  return { json, read: (path: string) => Deno.readFileSync(join(folder, path)) };
}

teamTest("every vector and every negative of the team is judged as it says", () => {
  const { json, read } = teamVectors();
  const { passed, failed, deviations } = evaluateVectors(json, read, primitives);
  assert.deepEqual(deviations, []);
  assert.deepEqual([passed, failed], [88 + 390, 0]);
});

teamTest("a vector of the team with any one expectation changed deviates in that", () => {
  const { json, read } = teamVectors();
  const other = (value: unknown): unknown =>
    typeof value === "number"
      ? value + 1
      : typeof value === "boolean"
      ? !value
      : typeof value === "string"
      ? `${value}0`
      : Array.isArray(value)
      ? [...value, "x"]
      : Object.fromEntries(Object.entries(value as object).map(([name, member]) => [name, other(member)]));
  const leaves = (value: unknown): number =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.values(value).map(leaves).reduce((sum, count) => sum + count, 0)
      : 1;
  let expected = 0;
  for (const vector of json.vectors) {
    const { verdict, reasons, alsoAllowed, ...values } = vector.expect;
    expected += leaves(values);
    vector.expect = {
      verdict,
      ...(reasons && { reasons }),
      ...(alsoAllowed && { alsoAllowed }),
      ...other(values) as object,
    };
  }
  const changed = evaluateVectors({ ...json, negatives: [] }, read, primitives);
  assert.equal(changed.deviations.length, expected);
  assert.ok(expected > 1000, `${expected} values`);
});

teamTest("a vector of the team with the opposite verdict deviates", () => {
  const { json, read } = teamVectors();
  for (const { expect } of json.vectors) {
    if (expect.verdict === "accept") [expect.verdict, expect.reasons] = ["reject", ["malformed"]];
    else if (expect.verdict === "reject") [expect.verdict, expect.reasons] = ["accept", undefined];
    delete expect.alsoAllowed;
  }
  const { passed, failed } = evaluateVectors({ ...json, negatives: [] }, read, primitives);
  // All but the one report that is only read.
  assert.deepEqual([passed, failed], [1, 87]);
});
