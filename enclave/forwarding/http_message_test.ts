import { strict as assert } from "node:assert";
import fc from "fast-check";
import { FormatError } from "../../shared/assert.ts";
import { concat, fromByteString, toByteString, toUtf8 } from "../../shared/bytes.ts";
import { MAX_REQUEST_HEAD_BYTES } from "../../shared/limits.ts";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import type { HttpRequest, HttpResponse } from "../messages.ts";
import { parseRequest, parseResponse, serialiseRequest, serialiseResponse } from "./http_message.ts";

const NOTHING = new Uint8Array();

const POST: HttpRequest = {
  method: "POST",
  target: "/app/log/private?scope=a%20b",
  headers: [["host", "127.0.0.1"], ["content-length", "20"], ["content-type", "application/json"]],
  body: toUtf8('{"id":42,"msg":"hi"}'),
};
const POST_TEXT = "POST /app/log/private?scope=a%20b HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 20\r\n" +
  'content-type: application/json\r\n\r\n{"id":42,"msg":"hi"}';

Deno.test("a request is written as RFC 9112 has it, and read back", () => {
  assert.equal(toByteString(serialiseRequest(POST)), POST_TEXT);
  assert.deepEqual(parseRequest(fromByteString(POST_TEXT)), POST);
  const get: HttpRequest = { method: "GET", target: "/node/state", headers: [], body: NOTHING };
  assert.equal(toByteString(serialiseRequest(get)), "GET /node/state HTTP/1.1\r\n\r\n");
  assert.deepEqual(parseRequest(serialiseRequest(get)), get);
});

Deno.test("serialiseRequest() says the length of the body, whatever the client said of it", () => {
  const body = toUtf8("abc");
  const headersOf = (headers: HttpRequest["headers"]) =>
    parseRequest(serialiseRequest({ ...POST, headers, body })).headers;
  assert.deepEqual(headersOf([]), [["content-length", "3"]]);
  assert.deepEqual(headersOf([["transfer-encoding", "chunked"], ["a", "b"]]), [["a", "b"], ["content-length", "3"]]);
  assert.deepEqual(headersOf([["content-length", "9"], ["a", "b"], ["content-length", "10"]]), [
    ["content-length", "3"],
    ["a", "b"],
  ]);
});

Deno.test("header values travel byte for byte", () => {
  for (const value of ["", " ", "a: b", "\ttab\t", "caf\xc3\xa9 \xff"]) {
    const request: HttpRequest = {
      method: "GET",
      target: "/\xc3\xa9#?",
      headers: [["x", value], ["x", "2"]],
      body: NOTHING,
    };
    assert.deepEqual(parseRequest(serialiseRequest(request)), request);
  }
});

Deno.test("serialiseRequest() refuses what would be read as something else", () => {
  const cases: readonly (readonly [Partial<HttpRequest>, RegExp])[] = [
    [{ target: "/a HTTP/1.1\r\nx: y" }, /is no request line/],
    [{ target: "/a b" }, /is no request line/],
    [{ target: "" }, /is no request line/],
    [{ target: "/\u0100" }, /is no request line/],
    [{ method: "GE T" }, /is no request line/],
    [{ headers: [["X", "y"]] }, /"X" is no lower-case header name/],
    [{ headers: [["", "y"]] }, /is no lower-case header name/],
    [{ headers: [["x:", "y"]] }, /is no lower-case header name/],
    [{ headers: [["x", "y\r\nz: w"]] }, /^Cannot write an HTTP message: the value of header x has control characters$/],
    [{ headers: [["x", "\0"]] }, /control characters/],
    [{ headers: [["x", "\u0100"]] }, /control characters/],
  ];
  for (const [change, message] of cases) {
    assert.throws(() => serialiseRequest({ ...POST, ...change }), { name: "FormatError", message });
  }
});

Deno.test("parseRequest() takes one message and nothing else", () => {
  const get = "GET / HTTP/1.1\r\n";
  const cases: readonly (readonly [string, string])[] = [
    ["", "its head does not end"],
    ["GET / HTTP/1.1\r\n", "its head does not end"],
    ["GET / HTTP/1.1\n\n", "its head does not end"],
    ["\r\n\r\n", "its first line is no request line"],
    ["GET / HTTP/1.0\r\n\r\n", "its first line is no request line"],
    ["GET  / HTTP/1.1\r\n\r\n", "its first line is no request line"],
    ["GET / HTTP/1.1 \r\n\r\n", "its first line is no request line"],
    ["GET /\n HTTP/1.1\r\n\r\n", "its first line is no request line"],
    ["HTTP/1.1 200 OK\r\n\r\n", "its first line is no request line"],
    [`${get}a\r\n\r\n`, "a line of its head is no header"],
    [`${get}: a\r\n\r\n`, "a line of its head is no header"],
    [`${get}a:b\r\n\r\n`, "a line of its head is no header"],
    [`${get}a : b\r\n\r\n`, "a line of its head is no header"],
    [`${get} a: b\r\n\r\n`, "a line of its head is no header"],
    [`${get}A: b\r\n\r\n`, "a line of its head is no header"],
    [`${get}a: b\rc\r\n\r\n`, "a line of its head is no header"],
    [`${get}a: b\nc: d\r\n\r\n`, "a line of its head is no header"],
    [`${get}a: b\r\n c\r\n\r\n`, "a line of its head is no header"],
    [`${get}a: \0\r\n\r\n`, "a line of its head is no header"],
    [`${get}\r\nx`, "its body has 1 bytes and should have 0"],
    [`${get}content-length: 2\r\n\r\nx`, "its body has 1 bytes and should have 2"],
    [`${get}content-length: 1\r\n\r\nxGET / HTTP/1.1\r\n\r\n`, "its body has 19 bytes and should have 1"],
    [`${get}content-length: 1\r\ncontent-length: 1\r\n\r\nx`, "it names its length twice"],
    [`${get}content-length: +1\r\n\r\nx`, "its content-length is no length"],
    [`${get}content-length: 01\r\n\r\nx`, "its content-length is no length"],
    [`${get}content-length: 1, 1\r\n\r\nx`, "its content-length is no length"],
    [`${get}content-length:  1\r\n\r\nx`, "its content-length is no length"],
    [`${get}transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n`, "it is sent in chunks"],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => parseRequest(fromByteString(text)), {
      name: "FormatError",
      message: `Cannot read an HTTP request: ${message}`,
    }, JSON.stringify(text));
  }
});

Deno.test("a head is as long as one that a client may send, and no longer", () => {
  const get = (length: number) => {
    const around = "GET / HTTP/1.1\r\nx: \r\n\r\n";
    return fromByteString(around.replace("x: ", `x: ${"y".repeat(length - around.length)}`));
  };
  assert.equal(parseRequest(get(MAX_REQUEST_HEAD_BYTES)).headers.length, 1);
  assert.throws(() => parseRequest(get(MAX_REQUEST_HEAD_BYTES + 1)), /its head does not end/);
});

const OK: HttpResponse = {
  status: 200,
  headers: [["content-type", "application/json"], ["x-ms-ccf-transaction-id", "2.20"]],
  body: toUtf8("true"),
};
const OK_TEXT = "HTTP/1.1 200 \r\ncontent-length: 4\r\ncontent-type: application/json\r\n" +
  "x-ms-ccf-transaction-id: 2.20\r\n\r\ntrue";

Deno.test("a response is written with its length, and read back without", () => {
  assert.equal(toByteString(serialiseResponse(OK, "POST")), OK_TEXT);
  assert.deepEqual(parseResponse(fromByteString(OK_TEXT), "POST"), OK);
  const empty: HttpResponse = { status: 204, headers: [], body: NOTHING };
  assert.deepEqual(parseResponse(serialiseResponse(empty, "PUT"), "PUT"), empty);
  const another = fromByteString("HTTP/1.1 404 NOT_FOUND\r\ncontent-length: 1\r\n\r\n?");
  assert.deepEqual(parseResponse(another, "GET"), { status: 404, headers: [], body: toUtf8("?") });
});

Deno.test("the body of a response that was read has a buffer of its own", () => {
  const bytes = serialiseResponse(OK, "GET");
  assert.equal(parseResponse(bytes, "GET").body.buffer.byteLength, 4);
});

Deno.test("an answer to HEAD has no body, and the length that a header names", () => {
  const read = (headers: HttpResponse["headers"]) =>
    parseResponse(serialiseResponse({ status: 200, headers, body: toUtf8("gone") }, "HEAD"), "HEAD");
  assert.deepEqual(read([]), { status: 200, headers: [], body: NOTHING });
  assert.deepEqual(read([["a", "b"]]), { status: 200, headers: [["a", "b"]], body: NOTHING });
  assert.deepEqual(read([["content-length", "1000"]]).headers, [["content-length", "1000"]]);
  assert.throws(() => parseResponse(fromByteString(OK_TEXT), "HEAD"), /its body has 4 bytes and should have 0/);
});

Deno.test("serialiseResponse() refuses what an app must not send", () => {
  const cases: readonly (readonly [Partial<HttpResponse>, string, RegExp])[] = [
    [{ status: 100 }, "GET", /100 is no final status/],
    [{ status: 1000 }, "GET", /1000 is no final status/],
    [{ headers: [["x", "y\r\n\r\nHTTP/1.1 200 OK"]] }, "GET", /control characters/],
    [{ headers: [["x y", "z"]] }, "GET", /no lower-case header name/],
    [{ headers: [["content-length", "many"]] }, "HEAD", /"many" is no length/],
  ];
  for (const [change, method, message] of cases) {
    assert.throws(() => serialiseResponse({ ...OK, ...change }, method), { name: "FormatError", message });
  }
});

Deno.test("parseResponse() refuses what is no response, or has no length", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["GET / HTTP/1.1\r\n\r\n", /no status line/],
    ["HTTP/1.1 100 CONTINUE\r\ncontent-length: 0\r\n\r\n", /no status line/],
    ["HTTP/1.1 2000 \r\ncontent-length: 0\r\n\r\n", /no status line/],
    ["HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", /no status line/],
    ["HTTP/1.1 200 \r\n\r\n", /does not name its length/],
    ["HTTP/1.1 200 \r\ncontent-length: 1\r\n\r\n", /its body has 0 bytes and should have 1/],
    ["HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", /it is sent in chunks/],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => parseResponse(fromByteString(text), "GET"), { name: "FormatError", message });
  }
});

Deno.test("a request that was read is written again as the same bytes", () => {
  const samples = [POST_TEXT, "GET / HTTP/1.1\r\na: b\r\na: c\r\n\r\n"].map(fromByteString);
  fuzzDecoder(
    mutated(...samples),
    parseRequest,
    (request, bytes) => assert.deepEqual(serialiseRequest(request), bytes),
  );
});

Deno.test("a response that was read is written again as the same response", () => {
  fuzzDecoder(
    mutated(fromByteString(OK_TEXT), fromByteString("HTTP/1.1 404 NOT_FOUND\r\ncontent-length: 1\r\nx: y\r\n\r\n?")),
    (bytes) => parseResponse(bytes, "GET"),
    (response) => {
      const again = parseResponse(serialiseResponse(response, "GET"), "GET");
      assert.deepEqual(again, { ...response, headers: again.headers });
      assert.deepEqual(again.headers.toSorted(), response.headers.toSorted());
    },
  );
});

Deno.test("any request is either refused or read back with all that it says", () => {
  const text = fc.string({ unit: fc.integer({ min: 0, max: 0x101 }).map((code) => String.fromCharCode(code)) });
  const name = fc.oneof(fc.constantFrom("a", "content-length", "transfer-encoding", "x-y"), text);
  const request = fc.record({
    method: fc.oneof(fc.constantFrom("GET", "POST"), text),
    target: fc.oneof(fc.constantFrom("/", "/a?b"), text),
    headers: fc.array(fc.tuple(name, text), { maxLength: 3 }),
    body: fc.uint8Array({ maxLength: 8 }),
  });
  fc.assert(fc.property(request, (request) => {
    let bytes: Uint8Array;
    try {
      bytes = serialiseRequest(request);
    } catch (error) {
      assert.ok(error instanceof FormatError);
      return;
    }
    const read = parseRequest(bytes);
    const other = ([name]: readonly [string, string]) => name !== "content-length" && name !== "transfer-encoding";
    assert.deepEqual([read.method, read.target], [request.method, request.target]);
    assert.deepEqual(read.headers.filter(other), request.headers.filter(other));
    assert.deepEqual(concat(read.body), request.body);
  }));
});
