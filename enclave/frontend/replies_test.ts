import { strict as assert } from "node:assert";
import { fromUtf8Lenient } from "../../shared/bytes.ts";
import type { HttpResponse } from "../messages.ts";
import type { EndpointContext } from "./endpoint.ts";
import { OdataError, sortedHeaders } from "./odata_error.ts";
import { empty, json, jsonHandler, text } from "./replies.ts";
import { ParsedRequest } from "./request.ts";

/** What a JSON handler answers a client with this `accept`. */
function answer(accept: string | undefined, value: unknown = { b: 1, a: [] }): HttpResponse {
  const headers: [string, string][] = accept === undefined ? [] : [["accept", accept]];
  const request = new ParsedRequest({ method: "GET", target: "/", headers, body: new Uint8Array() });
  try {
    return jsonHandler(() => value)({ request } as EndpointContext);
  } catch (error) {
    if (!(error instanceof OdataError)) throw error;
    return error.toResponse();
  }
}

Deno.test("jsonHandler() answers clients that accept JSON, whatever weight they give it", () => {
  const accepted = [
    undefined,
    "*/*",
    "application/*",
    "application/json",
    "application/json;q=0",
    "application/json; charset=utf-8",
    "text/html, application/json",
    "text/html;q=1 , */*;q=0.1",
  ];
  for (const accept of accepted) {
    const { status, headers, body } = answer(accept);
    assert.equal(status, 200, accept);
    assert.deepEqual(headers, [["content-type", "application/json"]]);
    assert.equal(fromUtf8Lenient(body), '{"a":[],"b":1}');
  }
});

Deno.test("jsonHandler() refuses clients that accept something else, or nothing that is a type", () => {
  for (const accept of ["text/html", "application/cbor", "application/jsonx", "text/html, image/*"]) {
    const { status, body } = answer(accept);
    assert.equal(status, 406);
    const { error } = JSON.parse(fromUtf8Lenient(body));
    assert.equal(error.code, "UnsupportedContentType");
    assert.equal(
      error.message,
      `No supported content type in accept header: ${accept}\nOnly application/json is currently supported`,
    );
  }
  for (const accept of ["garbage", "a/b/c", "text/html, garbage"]) {
    const { status, body } = answer(accept);
    assert.equal(status, 400);
    assert.equal(JSON.parse(fromUtf8Lenient(body)).error.code, "InvalidHeaderValue");
  }
});

Deno.test("jsonHandler() answers null with 204, whatever the client accepts", () => {
  assert.deepEqual(answer("text/html", null), empty(204));
  assert.equal(fromUtf8Lenient(answer(undefined, false).body), "false");
});

Deno.test("text() and json() name their type", () => {
  assert.deepEqual(text("é").headers, [["content-type", "text/plain"]]);
  assert.deepEqual(text("x", 200, "text/javascript").headers, [["content-type", "text/javascript"]]);
  assert.equal(json(1, 201).status, 201);
});

Deno.test("OdataError.toResponse() writes the envelope, with details where there are some", () => {
  const plain = new OdataError(404, "ResourceNotFound", "Nothing", [], [["allow", "GET"]]).toResponse();
  assert.equal(fromUtf8Lenient(plain.body), '{"error":{"code":"ResourceNotFound","message":"Nothing"}}');
  assert.deepEqual(plain.headers, [["allow", "GET"], ["content-type", "application/json"]]);
  const details = [{ code: "JSException", message: "m", trace: "t" } as const];
  const detailed = new OdataError(500, "InternalError", "Failed", details).toResponse();
  assert.equal(
    fromUtf8Lenient(detailed.body),
    '{"error":{"code":"InternalError","details":[{"code":"JSException","message":"m","trace":"t"}],"message":"Failed"}}',
  );
});

Deno.test("OdataError.toResponse() replaces text that is not well-formed", () => {
  const details = [{ code: "JSException", message: "\ud800", trace: "\udc00" } as const];
  const { body } = new OdataError(400, "InvalidInput", "\ud800x", details).toResponse();
  const { error } = JSON.parse(fromUtf8Lenient(body));
  assert.equal(error.message, "\ufffdx");
  assert.deepEqual(error.details, [{ code: "JSException", message: "\ufffd", trace: "\ufffd" }]);
});

Deno.test("sortedHeaders() orders by name and leaves what it is given", () => {
  const headers: [string, string][] = [["b", "1"], ["a", "2"]];
  assert.deepEqual(sortedHeaders(headers), [["a", "2"], ["b", "1"]]);
  assert.deepEqual(headers[0], ["b", "1"]);
});
