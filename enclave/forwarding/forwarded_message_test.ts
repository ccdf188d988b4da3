import { strict as assert } from "node:assert";
import { concat, fromHex, toHex, toUtf8 } from "../../shared/bytes.ts";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import {
  parseAnswerContent,
  parseCommandContent,
  serialiseAnswerContent,
  serialiseCommandContent,
} from "./forwarded_message.ts";

Deno.test("a command carries the session, the caller's certificate where there is one, and the request", () => {
  const request = toUtf8("GET / HTTP/1.1\r\n\r\n");
  const without = { session: 258, certificate: null, request };
  assert.equal(toHex(serialiseCommandContent(without)), "0201000000000000" + "00" + toHex(request));
  assert.deepEqual(parseCommandContent(serialiseCommandContent(without)), without);
  const withOne = { session: 1, certificate: fromHex("3003020105"), request };
  assert.equal(
    toHex(serialiseCommandContent(withOne)),
    "0100000000000000" + "01" + "0500000000000000" + "3003020105" + toHex(request),
  );
  assert.deepEqual(parseCommandContent(serialiseCommandContent(withOne)), withOne);
  assert.throws(() => parseCommandContent(fromHex("010000000000000001ff00000000000000")), { name: "FormatError" });
});

Deno.test("an answer carries the session and the response", () => {
  const answer = { session: 258, response: toUtf8("HTTP/1.1 204 \r\n\r\n") };
  assert.equal(toHex(serialiseAnswerContent(answer)), "0201000000000000" + toHex(answer.response));
  assert.deepEqual(parseAnswerContent(serialiseAnswerContent(answer)), answer);
});

Deno.test("what was read is written again as the same bytes", () => {
  fuzzDecoder(
    mutated(fromHex("0100000000000000" + "47")),
    parseAnswerContent,
    (content, bytes) => assert.deepEqual(concat(serialiseAnswerContent(content)), bytes),
  );
});
