import { strict as assert } from "node:assert";
import {
  anything,
  base64,
  boolean,
  either,
  listOf,
  number,
  object,
  type Of,
  oneOf,
  orNull,
  recordOf,
  text,
  unsigned,
} from "./json_shape.ts";
import { stableJson } from "./json.ts";

const member = object({ status: oneOf("Accepted", "Active") }, { member_data: anything, shares: listOf(unsigned) });
const members = recordOf(member);

Deno.test("a shape answers the value it was given, with members it does not name", () => {
  const value = { status: "Active", member_data: { a: 1 }, unknown: [null] };
  const checked: Of<typeof member> = member(value, "");
  assert.equal(checked, value);
  assert.equal(stableJson(checked), '{"member_data":{"a":1},"status":"Active","unknown":[null]}');
});

Deno.test("a shape takes away an optional member that is null, as C++ reads it", () => {
  assert.deepEqual(member({ status: "Active", shares: null, member_data: null }, ""), { status: "Active" });
});

Deno.test("base64 turns an array of numbers into base64", () => {
  assert.equal(base64("aGk=", ""), "aGk=");
  assert.deepEqual(object({ quote: base64 })({ quote: [104, 105] }, ""), { quote: "aGk=" });
});

Deno.test("orNull() keeps the null of a member that must be there", () => {
  const secret = object({ version: orNull(unsigned) });
  assert.deepEqual(secret({ version: null }, ""), { version: null });
  assert.deepEqual(secret({ version: 1 }, ""), { version: 1 });
  assert.throws(() => secret({}, ""), { message: 'Cannot read JSON at "/version": it must be a whole number from 0' });
});

Deno.test("either() tries the second shape where the first refuses", () => {
  const policy = either(text, object({ all_of: listOf(text) }));
  assert.equal(policy("jwt", ""), "jwt");
  assert.deepEqual(policy({ all_of: ["jwt"] }, ""), { all_of: ["jwt"] });
  assert.throws(() => policy({ all_of: [1] }, "/p"), { message: 'Cannot read JSON at "/p/all_of/0": it must be text' });
});

Deno.test("a shape names the place and what must be there", () => {
  const table: readonly (readonly [() => unknown, string, string])[] = [
    [() => members([], ""), "", "an object"],
    [() => members(null, ""), "", "an object"],
    [() => members({ a: {} }, ""), "/a/status", "one of Accepted, Active"],
    [() => members({ a: { status: "accepted" } }, ""), "/a/status", "one of Accepted, Active"],
    [() => members({ a: { status: "Active", shares: {} } }, ""), "/a/shares", "an array"],
    [() => members({ a: { status: "Active", shares: [1, -1] } }, ""), "/a/shares/1", "a whole number from 0"],
    [() => unsigned(2 ** 53, "/n"), "/n", "a whole number from 0"],
    [() => unsigned("1", ""), "", "a whole number from 0"],
    [() => number("1", ""), "", "a number"],
    [() => boolean(0, ""), "", "true or false"],
    [() => text(null, ""), "", "text"],
    [() => base64([256], ""), "", "base64"],
    [() => object({ required: anything, other: text })({}, ""), "/other", "text"],
  ];
  for (const [check, at, expected] of table) {
    assert.throws(check, { name: "FormatError", message: `Cannot read JSON at "${at}": it must be ${expected}` });
  }
});
