import { strict as assert } from "node:assert";
import fc from "fast-check";
import { type Call, isLinearizable, type Model, registerModel, type RegisterOperation } from "./linearizability.ts";

/**
 * A history in short: a line a call, its place in time drawn, e.g. `[--w1--]` writes 1, `[r1]` reads 1, `[r-]` reads that
 * nothing is there, `[x]` removes, and `[w1..` never ends.
 */
function history(...lines: readonly string[]): Call<RegisterOperation>[] {
  return lines.map((line) => {
    const [, kind, value] = /\[-*([wrx])([^-.\]]?)/.exec(line)!;
    const end = line.indexOf("]");
    const operation: RegisterOperation = kind === "w"
      ? { kind: "write", value: value! }
      : kind === "x"
      ? { kind: "remove" }
      : { kind: "read", value: value === "" ? undefined : value };
    return { operation, invoked: line.indexOf("["), completed: end === -1 ? Infinity : end };
  });
}

const accepted: readonly (readonly [what: string, ...lines: string[]])[] = [
  ["nothing happened", ...[]],
  ["one after the other", "[w1]", "     [r1]", "          [w2]", "               [r2]"],
  ["a read during a write may see it", "[---w1---]", "   [r1]"],
  ["or not", "[---w1---]", "   [r-]"],
  ["writes at once, in either order", "[--w1--]", "[--w2--]", "         [r1]"],
  ["writes at once, in the other order", "[--w1--]", "[--w2--]", "         [r2]"],
  ["a write without an answer happened late", "[w1..", "    [r-]", "         [r1]"],
  ["a write without an answer never showed", "[w1..", "    [r-]", "         [r-]"],
  ["a removal of what is there", "[w1]", "     [x]", "         [r-]"],
  ["a removal during the write that it needs", "[----w1----]", "  [x]"],
  ["the order has to be looked for", "[---w1---]", "[---w2---]", "[---w3---]", "            [r2]"],
];

const refused: readonly (readonly [what: string, ...lines: string[]])[] = [
  ["a read of what nobody wrote", "[w1]", "     [r2]"],
  ["a stale read", "[w1]", "     [w2]", "          [r1]"],
  ["a write that was answered and lost", "[w1]", "     [r-]"],
  ["what was read is gone again", "[-----w1-----]", "[r1]", "     [r-]"],
  ["two readers that disagree on the order", "[w1]", "     [--w2--]", "     [r2]", "          [r1]"],
  ["a write that shows before it begins", "[r1]", "     [w1]"],
  ["a removal of what is not there", "[x]", "    [w1]"],
  ["two removals of one value", "[w1]", "     [x]", "        [x]"],
  ["a write without an answer that shows and is gone", "[w1..", "    [r1]", "         [r-]"],
];

for (const [what, ...lines] of accepted) {
  Deno.test(`isLinearizable() accepts: ${what}`, () => assert(isLinearizable(registerModel, history(...lines))));
}

for (const [what, ...lines] of refused) {
  Deno.test(`isLinearizable() refuses: ${what}`, () => assert(!isLinearizable(registerModel, history(...lines))));
}

Deno.test("isLinearizable() remembers what it tried, so that many calls at once take no time", () => {
  const writes = Array.from({ length: 10 }, (_, at) => ({
    operation: { kind: "write", value: `${at % 2}` } as const,
    invoked: 0,
    completed: 100,
  }));
  const read = { operation: { kind: "read", value: "9" } as const, invoked: 101, completed: 102 };
  assert(!isLinearizable(registerModel, [...writes, read]));
});

Deno.test("isLinearizable() takes histories that are longer than stacks are deep", () => {
  const calls = Array.from({ length: 2000 }, (_, at) => ({
    operation: { kind: "write", value: `${at}` } as const,
    invoked: 2 * at,
    completed: 2 * at + 1,
  }));
  assert(isLinearizable(registerModel, calls));
});

/** By trying every order. */
function hasOrder<State, Operation>(
  model: Model<State, Operation>,
  calls: readonly Call<Operation>[],
  state: State = model.initial,
): boolean {
  if (calls.length === 0) return true;
  const firstEnd = Math.min(...calls.map(({ completed }) => completed));
  return calls.some((call, at) => {
    const outcome = call.invoked <= firstEnd ? model.apply(state, call.operation) : undefined;
    return outcome !== undefined && hasOrder(model, calls.toSpliced(at, 1), outcome.state);
  });
}

const anyCall = fc.record({
  operation: fc.oneof(
    fc.record({ kind: fc.constant("write" as const), value: fc.constantFrom("1", "2") }),
    fc.record({ kind: fc.constant("remove" as const) }),
    fc.record({ kind: fc.constant("read" as const), value: fc.constantFrom("1", "2", undefined) }),
  ),
  invoked: fc.nat(8),
  lasts: fc.constantFrom(1, 2, 4, Infinity),
}).map(({ operation, invoked, lasts }) => ({ operation, invoked, completed: invoked + lasts }));

Deno.test("property: isLinearizable() says what trying every order says", () => {
  fc.assert(
    fc.property(fc.array(anyCall, { maxLength: 6 }), (calls) => {
      assert.equal(isLinearizable(registerModel, calls), hasOrder(registerModel, calls));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("isLinearizable() finds the order that it is given at once, where many calls have no answer", () => {
  // Of a hundred writes without an answer any may come next, at any time.
  const writes = Array.from({ length: 100 }, (_, at) => ({
    operation: { kind: "write", value: `${at}` } as const,
    invoked: at,
    completed: Infinity,
  }));
  const reads = writes.map(({ operation: { value }, invoked }) => ({
    operation: { kind: "read", value } as const,
    invoked: 100 + 2 * invoked,
    completed: 101 + 2 * invoked,
  }));
  assert(isLinearizable(registerModel, writes.flatMap((write, at) => [write, reads[at]!])));
});

Deno.test("isLinearizable() gives up before memory does", () => {
  const writes = Array.from({ length: 20 }, (_, at) => ({
    operation: { kind: "write", value: `${at}` } as const,
    invoked: 0,
    completed: Infinity,
  }));
  const read = { operation: { kind: "read", value: "none of them" } as const, invoked: 1, completed: 2 };
  assert.throws(
    () => isLinearizable(registerModel, [...writes, read]),
    /beginnings of an order of 21 calls lead nowhere/,
  );
});
