import { strict as assert } from "node:assert";
import fc from "fast-check";
import { toUtf8 } from "../../shared/bytes.ts";
import type { HeaderList } from "../messages.ts";
import { decodePathSegment, ParsedRequest } from "./request.ts";

function parse(target: string, headers: HeaderList = []): ParsedRequest {
  return new ParsedRequest({ method: "GET", target, headers, body: new Uint8Array() });
}

const TARGETS: readonly (readonly [target: string, path: string, query: string])[] = [
  ["/a", "/a", ""],
  ["", "", ""],
  ["/a?", "/a", ""],
  ["/a?x", "/a", "x"],
  ["/a?x=1&y=2", "/a", "x=1&y=2"],
  ["/a?b?c", "/a", "b?c"],
  // A fragment is cut from the query, and stays in a path without one.
  ["/a?x=1#f", "/a", "x=1"],
  ["/a?#f", "/a", ""],
  ["/a#f", "/a#f", ""],
  ["/a#f?x=1", "/a#f", "x=1"],
  // The path stays as it was sent.
  ["/a%2Fb?x=%2F", "/a%2Fb", "x=/"],
  ["https://h/app/a", "https://h/app/a", ""],
  // Percent signs and pluses in the query are decoded before it is split.
  ["/a?x=%20y+z", "/a", "x= y z"],
  ["/a?x=%26b%3D1", "/a", "x=&b=1"],
  ["/a?x=%C3%A9", "/a", "x=é"],
  ["/a?x=%c3%a9", "/a", "x=é"],
  ["/a?x=%2B", "/a", "x=+"],
  ["/a?x=%252B", "/a", "x=%2B"],
  ["/a?x=%", "/a", "x=%"],
  ["/a?x=%4", "/a", "x=%4"],
  ["/a?x=%zz", "/a", "x=%zz"],
  ["/a?x=%FF", "/a", "x=\ufffd"],
  ["/a?x=%EF%BB%BF1", "/a", "x=\ufeff1"],
  ["/a?x=%00", "/a", "x=\0"],
  // Bytes that were sent bare come as one character each.
  ["/\u00c3\u00a9?\u00c3\u00a9", "/é", "é"],
  ["/\u00ff", "/\ufffd", ""],
  ["/a?x=\u00c3\u00a9", "/a", "x=é"],
];

Deno.test("ParsedRequest takes a target apart as CCF does", () => {
  for (const [target, path, query] of TARGETS) {
    const request = parse(target);
    assert.equal(request.path, path, target);
    assert.equal(request.query, query, target);
    assert.equal(request.url, query === "" ? path : `${path}?${query}`, target);
  }
});

Deno.test("ParsedRequest.parameter() splits the decoded query, and the first of a name counts", () => {
  const request = parse("/a?x=1&x=2&y&z=&=v&w=a=b&%26q=1");
  assert.equal(request.parameter("x"), "1");
  assert.equal(request.parameter("y"), "");
  assert.equal(request.parameter("z"), "");
  assert.equal(request.parameter(""), "v");
  assert.equal(request.parameter("w"), "a=b");
  assert.equal(request.parameter("q"), "1", "an encoded & separates as well");
  assert.equal(request.parameter("none"), undefined);
  assert.equal(parse("/a").parameter("x"), undefined);
  assert.equal(parse("/a?__proto__=1").parameter("toString"), undefined);
});

Deno.test("ParsedRequest.header() and headers() give the first value of a name", () => {
  const request = parse("/a", [["x-a", "1"], ["x-a", "2"], ["__proto__", "p"], ["x-b", "\u00c3\u00a9"]]);
  assert.equal(request.header("x-a"), "1");
  assert.equal(request.header("x-b"), "é");
  assert.equal(request.header("x-c"), undefined);
  assert.deepEqual(Object.entries(request.headers()), [["x-a", "1"], ["__proto__", "p"], ["x-b", "é"]]);
});

Deno.test("decodePathSegment() decodes percent signs and leaves pluses", () => {
  assert.equal(decodePathSegment("%2Fkv.js"), "/kv.js");
  assert.equal(decodePathSegment("a+b%20c"), "a+b c");
  assert.equal(decodePathSegment("%C3%A9é"), "éé");
});

Deno.test("ParsedRequest reads back every query that was encoded", () => {
  const text = fc.string({ unit: "binary-ascii", maxLength: 8 }).filter((value) => !/[&=#]/.test(value));
  fc.assert(fc.property(text, text, (name, value) => {
    const request = parse(`/a?${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
    assert.equal(request.parameter(name), value);
  }));
});

Deno.test("ParsedRequest takes any target", () => {
  const unit = fc.constantFrom(..."/ab?&=#%+ ", "\0", "\u00ff", "\u00c3", "\ud800", "%41", "%zz");
  fc.assert(fc.property(fc.string({ unit, maxLength: 40 }), (target) => {
    const request = parse(target);
    assert.equal(typeof request.query, "string");
    request.parameter("x");
    assert(toUtf8(request.url).length >= 0);
  }));
});
