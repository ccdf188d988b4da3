import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { toUtf8 } from "../shared/bytes.ts";
import { teamData, teamTest } from "../tests/team_data.ts";
import type { HttpResponse } from "../enclave/messages.ts";
import { joinResponses, reasonPhrase, serialiseResponse } from "./http1_response.ts";

function written(response: HttpResponse, method = "GET"): string {
  return Buffer.from(joinResponses([serialiseResponse(response, method)])).toString("latin1");
}

Deno.test("serialiseResponse() puts content-length among the names in order", () => {
  const body = toUtf8("é");
  assert.equal(
    written({ status: 405, headers: [["allow", "OPTIONS, GET"], ["content-type", "a/b"]], body }),
    "HTTP/1.1 405 METHOD_NOT_ALLOWED\r\nallow: OPTIONS, GET\r\ncontent-length: 2\r\ncontent-type: a/b\r\n\r\n\xc3\xa9",
  );
  // Whatever order they come in, and whatever length they claim.
  const headers = [["x-b", "2"], ["content-length", "7"], ["x-a", "1"], ["x-b", "1"]] as const;
  assert.equal(
    written({ status: 204, headers, body: new Uint8Array() }),
    "HTTP/1.1 204 NO_CONTENT\r\ncontent-length: 0\r\nx-a: 1\r\nx-b: 2\r\nx-b: 1\r\n\r\n",
  );
});

Deno.test("serialiseResponse() writes values as byte strings", () => {
  const response = { status: 200, headers: [["a", "\xe9\t\xff"]], body: new Uint8Array() } as const;
  assert.equal(written(response), "HTTP/1.1 200 OK\r\na: \xe9\t\xff\r\ncontent-length: 0\r\n\r\n");
  const both = joinResponses([serialiseResponse(response, "GET"), serialiseResponse(response, "GET")]);
  assert.equal(Buffer.from(both).toString("latin1"), written(response).repeat(2));
});

Deno.test("serialiseResponse() makes an answer that cannot be sent a 500", () => {
  for (
    const [status, name, value, why] of [
      [200, "a", "b\r\nc: d", "the value of header a has control characters"],
      [200, "a", "b\0", "the value of header a has control characters"],
      [200, "a", "\u010a", "the value of header a has control characters"],
      [200, "a\r\nb", "c", 'header name "a\\r\\nb" is no lower-case token'],
      [200, "A", "c", 'header name "A" is no lower-case token'],
      [200, "", "c", 'header name "" is no lower-case token'],
      [100, "a", "b", "status 100 is no final status"],
      [1000, "a", "b", "status 1000 is no final status"],
    ] as const
  ) {
    const text = written({ status, headers: [[name, value]], body: toUtf8("body") });
    const error = { error: { code: "InternalError", message: `Cannot send the response: ${why}` } };
    const body = JSON.stringify(error);
    assert.equal(
      text,
      `HTTP/1.1 500 INTERNAL_SERVER_ERROR\r\ncontent-length: ${body.length}\r\ncontent-type: application/json\r\n\r\n${body}`,
    );
  }
});

Deno.test("reasonPhrase() has a word for every status", () => {
  assert.equal(reasonPhrase(299), "MISCELLANEOUS_PERSISTENT_WARNING");
  assert.equal(reasonPhrase(431), "REQUEST_HEADER_FIELDS_TOO_LARGE");
  assert.equal(reasonPhrase(799), "UNKNOWN");
});

interface RecordedResponse {
  readonly status: number;
  readonly reason: string;
  readonly headers: [string, string][];
  readonly body?: string;
}

teamTest("serialiseResponse() has the reason phrases and the order of headers of a CCF node", () => {
  let seen = 0;
  for (const file of ["open", "get", "errors", "proposals"]) {
    const lines = Deno.readTextFileSync(teamData(`ccf/transcripts/one_node_${file}.jsonl`)).trim().split("\n");
    for (const line of lines) {
      const { request, response } = JSON.parse(line) as { request: { line: string }; response: RecordedResponse };
      if (response.body === undefined) continue;
      const method = request.line.split(" ")[0]!;
      const { status, headers, reason } = response;
      const given = method === "HEAD" ? headers : headers.filter(([name]) => name !== "content-length").reverse();
      const { head } = serialiseResponse({ status, headers: given, body: toUtf8(response.body) }, method);
      const fields = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
      assert.equal(head, `HTTP/1.1 ${status} ${reason}\r\n${fields}\r\n`);
      seen++;
    }
  }
  assert.ok(seen > 300);
});
