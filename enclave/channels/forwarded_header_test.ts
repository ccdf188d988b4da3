import { strict as assert } from "node:assert";
import { fromHex, toHex } from "../../shared/bytes.ts";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import {
  type ForwardedHeader,
  forwardedHeaderBytes,
  parseForwardedHeader,
  serialiseForwardedHeader,
} from "./forwarded_header.ts";

// By hand from nodes-and-attestation.md §2.
const COMMAND = "0400000000000000" + "00" + "2a00000000000000" + "0300000000000000";
const ANSWER = "0500000000000000" + "00" + "0001000000000000" + "01";
const GOOD: readonly (readonly [hex: string, header: ForwardedHeader])[] = [
  [COMMAND, { kind: "command", commandId: 42, view: 3 }],
  [ANSWER, { kind: "answer", commandId: 256, terminate: true }],
  [ANSWER.slice(0, -2) + "00", { kind: "answer", commandId: 256, terminate: false }],
];

Deno.test("headers of forwarded messages are read and written as the format has them", () => {
  for (const [hex, header] of GOOD) {
    assert.deepEqual(parseForwardedHeader(fromHex(hex)), header);
    assert.equal(toHex(serialiseForwardedHeader(header)), hex);
    assert.equal(forwardedHeaderBytes(fromHex(hex + "ff")), hex.length / 2);
  }
});

Deno.test("parseForwardedHeader() refuses what no node sends", () => {
  const bad: readonly (readonly [hex: string, message: string])[] = [
    ["0000000000000000" + COMMAND.slice(16), "Cannot read a forwarded message of kind 0: 4 and 5 are known"],
    ["0600000000000000" + COMMAND.slice(16), "Cannot read a forwarded message of kind 6: 4 and 5 are known"],
    [COMMAND + "00", "Cannot read the header of a forwarded message: it has 26 bytes, not 25"],
    [COMMAND.slice(0, -2), "Cannot read the header of a forwarded message: it has 24 bytes, not 25"],
    ["0400000000000000" + "01" + COMMAND.slice(18), "Cannot read a forwarded message in format 1: 0 is HTTP"],
    [ANSWER.slice(0, -2) + "02", "Cannot read a forwarded answer: 2 is neither 0 nor 1"],
  ];
  for (const [hex, message] of bad) {
    assert.throws(() => parseForwardedHeader(fromHex(hex)), { name: "FormatError", message }, hex);
  }
});

Deno.test("parseForwardedHeader() answers any bytes with a header that is written the same, or FormatError", () => {
  fuzzDecoder(
    mutated(...GOOD.map(([hex]) => fromHex(hex))),
    parseForwardedHeader,
    (header, bytes) => assert.deepEqual(serialiseForwardedHeader(header), bytes),
  );
});
