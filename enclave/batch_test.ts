import { strict as assert } from "node:assert";
import fc from "fast-check";
import { packInputs, packOutputs, transferOf, unpackInputs, unpackOutputs } from "./batch.ts";
import type { EnclaveInput, EnclaveOutput } from "./messages.ts";

/** Plain objects, as those that cross. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(model, { noNullPrototype: true });
const headers = fc.array(fc.tuple(fc.string(), fc.string()), { maxLength: 4 });
const body = fc.uint8Array({ maxLength: 20 });
const number = fc.nat(1_000_000);

const input: fc.Arbitrary<EnclaveInput> = fc.oneof(
  record({
    kind: fc.constant("request" as const),
    session: number,
    id: number,
    request: record({ method: fc.string(), target: fc.string(), headers, body }),
  }),
  record({ kind: fc.constant("sessionClosed" as const), session: number }),
  record({ kind: fc.constant("tick" as const) }),
);

const output: fc.Arbitrary<EnclaveOutput> = fc.oneof(
  record({
    kind: fc.constant("response" as const),
    session: number,
    id: number,
    response: record({ status: number, headers, body }),
  }),
  record({
    kind: fc.constant("response" as const),
    session: number,
    id: number,
    response: record({ status: number, headers, body, close: fc.constant(true as const) }),
  }),
  record({
    kind: fc.constant("response" as const),
    session: number,
    id: number,
    response: record({
      status: number,
      headers,
      body: fc.constant(new Uint8Array()),
      fromHost: record({ kind: fc.constant("snapshot" as const), name: fc.string(), from: number, to: number }),
    }),
  }),
  record({ kind: fc.constant("ledgerAppend" as const), seqno: number, entry: body, committable: fc.boolean() }),
  record({ kind: fc.constant("ledgerCommit" as const), seqno: number }),
);

Deno.test("unpackInputs() gives back what packInputs() took, in order, also through a structured clone", () => {
  fc.assert(fc.property(fc.array(input, { maxLength: 12 }), number, (inputs, nowMs) => {
    const packed = structuredClone(packInputs(inputs, nowMs));
    assert.equal(packed.nowMs, nowMs);
    assert.deepEqual(unpackInputs(packed), inputs);
  }));
});

Deno.test("unpackOutputs() gives back what packOutputs() took, in order, also through a structured clone", () => {
  fc.assert(fc.property(fc.array(output, { maxLength: 12 }), (outputs) => {
    assert.deepEqual(unpackOutputs(structuredClone(packOutputs(outputs))), outputs);
  }));
});

Deno.test("transferOf() hands over what is large and has a buffer of its own, and leaves the rest where it is", () => {
  const bytesOf = (length: number) => Uint8Array.from({ length }, (_, i) => i % 251);
  const inbound = (payload: Uint8Array): EnclaveInput => ({
    kind: "nodeInbound",
    connection: 1,
    from: "a",
    messageType: 1,
    payload,
  });
  const [large, small, view] = [bytesOf(100_000), bytesOf(100), bytesOf(200_000).subarray(50_000)];
  const entries: EnclaveInput = { kind: "ledgerEntries", from: 1, to: 2, entries: bytesOf(100_000) };
  const inputs = [inbound(large), inbound(small), inbound(view), entries];
  const packed = packInputs(inputs, 0);
  const crossed = unpackInputs(structuredClone(packed, { transfer: transferOf(packed) }));
  assert.equal(large.length, 0, "it has gone");
  assert.deepEqual(crossed, [inbound(bytesOf(100_000)), ...inputs.slice(1)]);
});
