import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { mutated } from "../tests/mutations.ts";
import { teamData, teamTest } from "../tests/team_data.ts";
import type { HttpRequest, HttpResponse } from "../enclave/messages.ts";
import { Http1Parser, type RequestRefusal } from "./http1_parser.ts";
import { HTTP_CORPUS } from "./http_corpus.ts";
import type { HttpLimits } from "./listener.ts";

/** Those of the interface in the recorded answers. */
const LIMITS: HttpLimits = { maxBodyBytes: 200 * 1024, maxHeaderBytes: 8 * 1024, maxHeadersCount: 40 };

interface Parsed {
  readonly requests: readonly HttpRequest[];
  readonly refusal: RequestRefusal | null;
}

const bytesOf = (text: string) => Buffer.from(text, "latin1");
const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");

/** Parses pieces that end at the given places, and at the end. */
function parse(sent: string | Uint8Array, ends: readonly number[] = [], limits = LIMITS): Parsed {
  const bytes = typeof sent === "string" ? bytesOf(sent) : sent;
  const parser = new Http1Parser(limits);
  const requests: HttpRequest[] = [];
  let refusal: RequestRefusal | null = null;
  let start = 0;
  for (const end of [...ends, bytes.length]) {
    refusal = parser.read(bytes.subarray(start, end), requests);
    start = end;
    if (refusal !== null) break;
  }
  parser.release();
  return { requests, refusal };
}

const everyByte = (length: number) => Array.from({ length: Math.max(0, length - 1) }, (_, i) => i + 1);
const describe = ({ method, target, body }: HttpRequest) =>
  [method, target, ...(body.length > 0 ? [textOf(body)] : [])].join(" ");
/** llhttp's words in the text of a 400. */
const errorOf = (refusal: RequestRefusal | null) =>
  refusal === null ? undefined : /parsing failed \((.+)\) around byte \d+\n/.exec(textOf(refusal.response.body))?.[1];

function errorMessage(response: HttpResponse | undefined): string {
  return (JSON.parse(textOf(response!.body)) as { error: { message: string } }).error.message;
}

Deno.test("Http1Parser reads a request to the byte", () => {
  const sent =
    "POST /app/log?id=%20 HTTP/1.1\r\nHost: x:1\r\nX-Empty:\r\nX-Space: \t a  b \t\r\nx-a: 1\r\nX-A: \xe9\r\n" +
    "Content-Length: 5\r\n\r\nhe\0\xff\n";
  const { requests, refusal } = parse(sent);
  assert.equal(refusal, null);
  assert.deepEqual(requests, [{
    method: "POST",
    target: "/app/log?id=%20",
    headers: [
      ["host", "x:1"],
      ["x-empty", ""],
      // As llhttp and so CCF have it: the space before is not the value's, the space behind is.
      ["x-space", "a  b \t"],
      ["x-a", "1"],
      ["x-a", "\xe9"],
      ["content-length", "5"],
    ],
    body: Uint8Array.of(0x68, 0x65, 0, 0xff, 0x0a),
  }]);
});

for (const { name, sent, requests, error } of HTTP_CORPUS) {
  Deno.test(`Http1Parser on: ${name}`, () => {
    const whole = parse(sent);
    assert.deepEqual(whole.requests.map(describe), requests);
    assert.equal(errorOf(whole.refusal), error);
    // However the network cuts it: in two at every place, and byte by byte.
    for (const ends of [...everyByte(sent.length).map((end) => [end]), everyByte(sent.length)]) {
      const cut = parse(sent, ends);
      assert.deepEqual(cut.requests, whole.requests);
      assert.equal(errorOf(cut.refusal), error);
    }
  });
}

Deno.test("Http1Parser keeps what a whole head says when it comes in pieces", () => {
  const sent =
    "POST /a/b?c HTTP/1.1\r\nHost:h\r\nempty:\r\nLonger-Name:  with value \r\ntransfer-encoding: chunked\r\n\r\n" +
    "3\r\nabc\r\n1;x\r\nd\r\n0\r\nHost: t\r\nlast:\r\n\r\nGET / HTTP/1.1\r\nz: 1\r\n\r\n";
  const whole = parse(sent);
  assert.equal(whole.requests.length, 2);
  assert.equal(whole.refusal, null);
  const length = sent.length;
  for (let first = 1; first < length; first++) {
    for (let second = first + 1; second < length; second += 7) {
      assert.deepEqual(parse(sent, [first, second]), whole);
    }
  }
});

Deno.test("Http1Parser states the place and shows the bytes of what it cannot parse", () => {
  const sent = "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\na\0: b\r\n\r\n\xff";
  const { requests, refusal } = parse(sent);
  assert.deepEqual(requests.map(describe), ["GET /a"]);
  assert.equal(refusal?.fault, "parsing");
  assert.equal(refusal.response.status, 400);
  assert.deepEqual(refusal.response.headers, [["content-type", "text/plain"]]);
  assert.equal(
    textOf(refusal.response.body),
    "Unable to parse data as a HTTP request. Error message is: HTTP parsing failed (HPE_INVALID_HEADER_TOKEN: Invalid " +
      "header token) around byte 37\nError occurred while parsing fragment:\n" + sent,
  );
});

Deno.test("Http1Parser shows no more of malformed input than one fragment", () => {
  const length = 16 * 1024;
  const request = "GET / HTTP/1.1\r\n\r\n";
  const padding = request.repeat(Math.floor(length / request.length));
  const rest = "\r\n".repeat((length - padding.length) / 2);
  const { requests, refusal } = parse(padding + rest + "FOO /");
  assert.equal(requests.length, padding.length / request.length);
  assert.match(textOf(refusal!.response.body), /around byte 1\nError occurred while parsing fragment:\nFOO \/$/);
});

const header = (name: string, value: string) => `GET / HTTP/1.1\r\n${name}: ${value}\r\n\r\n`;
const headers = (count: number) => "GET / HTTP/1.1\r\n" + "a: b\r\n".repeat(count) + "\r\n";
const withLength = (length: number) => `POST / HTTP/1.1\r\ncontent-length: ${length}\r\n\r\n` + "x".repeat(length);
const inChunks = (length: number, size: number) => {
  const chunk = `${size.toString(16)}\r\n${"x".repeat(size)}\r\n`;
  const last = `${(length % size).toString(16)}\r\n${"x".repeat(length % size)}\r\n`;
  return "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + chunk.repeat(Math.floor(length / size)) +
    (length % size === 0 ? "" : last) + "0\r\n\r\n";
};

Deno.test("Http1Parser accepts what is exactly at a limit", () => {
  const { maxBodyBytes, maxHeaderBytes, maxHeadersCount } = LIMITS;
  for (
    const [what, sent, bodyBytes] of [
      ["body", withLength(maxBodyBytes), maxBodyBytes],
      ["chunked body", inChunks(maxBodyBytes, 1000), maxBodyBytes],
      ["header value", header("a", "x".repeat(maxHeaderBytes)), 0],
      ["header name", header("a".repeat(maxHeaderBytes), "x"), 0],
      ["headers", headers(maxHeadersCount), 0],
    ] as const
  ) {
    for (const ends of [[], [1000], [sent.length - 1]]) {
      const { requests, refusal } = parse(sent, ends);
      assert.equal(refusal, null, what);
      assert.equal(requests.length, 1, what);
      assert.equal(requests[0]?.body.length, bodyBytes, what);
      assert.ok(requests[0]!.body.every((byte) => byte === 0x78), what);
    }
  }
});

Deno.test("Http1Parser refuses what is one above a limit", () => {
  const { maxBodyBytes, maxHeaderBytes, maxHeadersCount } = LIMITS;
  const bodyMessage = "HTTP request body is too large (max size allowed: 200KB)";
  const longName = "a".repeat(maxHeaderBytes + 1);
  for (
    const [sent, status, code, message] of [
      [withLength(maxBodyBytes + 1), 413, "RequestBodyTooLarge", bodyMessage],
      [inChunks(maxBodyBytes + 1, 1000), 413, "RequestBodyTooLarge", bodyMessage],
      // A length is believed before the body comes.
      ["POST / HTTP/1.1\r\ncontent-length: 204801\r\n\r\n", 413, "RequestBodyTooLarge", bodyMessage],
      ["POST / HTTP/1.1\r\ncontent-length: 18446744073709551615\r\n\r\n", 413, "RequestBodyTooLarge", bodyMessage],
      [
        header("X-Long", "x".repeat(maxHeaderBytes + 1)),
        431,
        "RequestHeaderTooLarge",
        "Header value for 'x-long' is too large (max size allowed: 8KB)",
      ],
      [
        header(longName, "x"),
        431,
        "RequestHeaderTooLarge",
        `Header key for '${longName}' is too large (max size allowed: 8KB)`,
      ],
      [
        header(longName + "more", "x"),
        431,
        "RequestHeaderTooLarge",
        `Header key for '${longName}' is too large (max size allowed: 8KB)`,
      ],
      [headers(maxHeadersCount + 1), 431, "RequestHeaderTooLarge", "Too many headers (max number allowed: 40)"],
      [
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + `t: ${"x".repeat(maxHeaderBytes + 1)}\r\n\r\n`,
        431,
        "RequestHeaderTooLarge",
        "Header value for 't' is too large (max size allowed: 8KB)",
      ],
      [
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + "t: x\r\n".repeat(maxHeadersCount),
        431,
        "RequestHeaderTooLarge",
        "Too many headers (max number allowed: 40)",
      ],
    ] as const
  ) {
    for (const ends of [[], [30], [1000], [sent.length - 1]]) {
      const { requests, refusal } = parse(sent, ends);
      assert.deepEqual(requests, []);
      assert.equal(refusal?.fault, status === 413 ? "request_payload_too_large" : "request_header_too_large");
      assert.equal(refusal.response.status, status);
      assert.deepEqual(refusal.response.headers, [["content-type", "application/json"]]);
      assert.equal(textOf(refusal.response.body), JSON.stringify({ error: { code, message } }));
    }
  }
});

Deno.test("Http1Parser refuses a head without end, and a target is part of it", () => {
  const endless = "GET /" + "x".repeat(1024 * 1024);
  assert.equal(errorMessage(parse(endless).refusal?.response), "Request head is too large (max size allowed: 1MB)");
  assert.equal(parse("GET /" + "x".repeat(1024 * 1024 - 1) + " HTTP/1.1\r\n\r\n").requests.length, 1);
  const limits = { ...LIMITS, maxHeadersCount: 1_000_000 };
  const headers = "GET / HTTP/1.1\r\n" + "name: value\r\n".repeat(200_000);
  assert.equal(
    errorMessage(parse(headers, [], limits).refusal?.response),
    "Request head is too large (max size allowed: 1MB)",
  );
});

Deno.test("Http1Parser keeps connections apart, and a released state starts anew", () => {
  const one = new Http1Parser(LIMITS);
  const other = new Http1Parser(LIMITS);
  const requests: HttpRequest[] = [];
  assert.equal(one.read(bytesOf("POST /one HTTP/1.1\r\ncontent-length: 4\r\n\r\non"), requests), null);
  assert.equal(other.read(bytesOf("POST /other HTTP/1.1\r\ncontent-length: 5\r\na"), requests), null);
  assert.equal(one.read(bytesOf("ly"), requests), null);
  assert.deepEqual(requests.map(describe), ["POST /one only"]);
  // Halfway through a head.
  other.release();
  other.release();
  assert.equal(new Http1Parser(LIMITS).read(bytesOf("GET /new HTTP/1.1\r\n\r\n"), requests), null);
  assert.deepEqual(requests.map(describe), ["POST /one only", "GET /new"]);
  assert.throws(() => other.read(bytesOf("x"), requests), { name: "AssertionFailed" });
});

Deno.test("Http1Parser gives bodies that are nothing but the body", () => {
  const { requests } = parse(withLength(3).repeat(3) + inChunks(5, 2));
  for (const { body } of requests) assert.equal(body.buffer.byteLength, body.length);
});

Deno.test("Http1Parser on changed requests answers, throws nothing, and does not mind where they are cut", () => {
  const samples = [
    ...HTTP_CORPUS.map(({ sent }) => bytesOf(sent)),
    bytesOf(header("content-type", "application/json").repeat(3)),
    bytesOf(inChunks(40, 7) + withLength(20)),
  ];
  let accepted = 0;
  let refused = 0;
  const cuts = fc.array(fc.nat({ max: 300 }), { maxLength: 3 });
  fc.assert(
    fc.property(mutated(...samples), cuts, (bytes, places) => {
      const ends = places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
      const whole = parse(bytes);
      const cut = parse(bytes, ends);
      assert.deepEqual(cut.requests, whole.requests);
      assert.equal(errorOf(cut.refusal), errorOf(whole.refusal));
      accepted += whole.requests.length;
      if (whole.refusal !== null) refused++;
    }),
    { numRuns: 4000 },
  );
  assert.ok(accepted > 100 && refused > 500, `both happen: ${accepted} accepted, ${refused} refused`);
});

interface Recorded {
  readonly note: string;
  readonly sentLatin1: string | null;
  readonly sentStartLatin1?: string;
  readonly sentLength?: number;
  readonly responses: readonly {
    readonly status: number;
    readonly body?: string;
    readonly headers: [string, string][];
  }[];
  readonly serverClosed: boolean;
}

/** What was sent. Of long requests the recording has the start and the length; what follows is the letter a. */
function sentIn(recorded: Recorded): string {
  if (recorded.sentLatin1 !== null) return recorded.sentLatin1;
  const start = recorded.sentStartLatin1!;
  const end = start.includes("content-length") ? "" : "\r\n\r\n";
  return start + "a".repeat(recorded.sentLength! - start.length - end.length) + end;
}

teamTest("Http1Parser refuses as a CCF node did, to the byte", () => {
  const lines = Deno.readTextFileSync(teamData("ccf/transcripts/one_node_raw.jsonl")).trim().split("\n");
  let refusals = 0;
  for (const line of lines) {
    const recorded = JSON.parse(line) as Recorded;
    const { requests, refusal } = parse(sentIn(recorded));
    assert.equal(refusal !== null, recorded.serverClosed, recorded.note);
    if (refusal === null) {
      assert.equal(requests.length, recorded.responses.length, recorded.note);
      continue;
    }
    refusals++;
    const [response] = recorded.responses;
    assert.equal(refusal.response.status, response?.status, recorded.note);
    assert.equal(textOf(refusal.response.body), response?.body, recorded.note);
    assert.deepEqual(refusal.response.headers, response?.headers.filter(([name]) => name !== "content-length"));
  }
  assert.equal(refusals, 8);
});
