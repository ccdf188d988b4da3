/**
 * Fuzzing of decoders: valid inputs with something changed.
 */

import { strict as assert } from "node:assert";
import fc from "fast-check";
import { FormatError } from "../shared/assert.ts";

/** One of the samples with one to three bytes changed, or with a piece cut out, doubled, put in or cut off the end. */
export function mutated(...samples: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const place = fc.nat({ max: 0xffff });
  const change = fc.record({
    kind: fc.constantFrom("set", "set", "set", "cut", "double", "insert", "truncate"),
    at: place,
    length: fc.integer({ min: 1, max: 8 }),
    byte: fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0x81, 0x84, 0xff, 0x30, 0x02), fc.nat({ max: 255 })),
  });
  return fc.tuple(fc.constantFrom(...samples), fc.array(change, { minLength: 1, maxLength: 3 }))
    .map(([sample, changes]) => {
      let bytes = [...sample];
      for (const { kind, at, length, byte } of changes) {
        const start = bytes.length === 0 ? 0 : at % bytes.length;
        if (kind === "set") bytes[start] = byte;
        if (kind === "cut") bytes.splice(start, length);
        if (kind === "double") bytes.splice(start, 0, ...bytes.slice(start, start + length));
        if (kind === "insert") bytes.splice(start, 0, ...new Array<number>(length).fill(byte));
        if (kind === "truncate") bytes = bytes.slice(0, start);
      }
      return Uint8Array.from(bytes);
    });
}

/** As `mutated`, for text. */
export function mutatedText(...samples: readonly string[]): fc.Arbitrary<string> {
  const encoder = new TextEncoder();
  return mutated(...samples.map((sample) => encoder.encode(sample))).map((bytes) => new TextDecoder().decode(bytes));
}

/**
 * Runs a decoder on changed inputs: it may answer or throw FormatError, nothing else.
 *
 * @param check is called with what the decoder answered
 */
export function fuzzDecoder<Input, Output>(
  inputs: fc.Arbitrary<Input>,
  decode: (input: Input) => Output,
  check: (output: Output, input: Input) => void = () => {},
  numRuns = 500,
): void {
  let answered = 0;
  let refused = 0;
  fc.assert(
    fc.property(inputs, (input) => {
      let output: Output;
      try {
        output = decode(input);
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        refused++;
        return;
      }
      answered++;
      check(output, input);
    }),
    { numRuns },
  );
  assert.ok(refused > 0, `no input of ${answered} was refused, so nothing was tested`);
}
