import { strict as assert } from "node:assert";
import fc from "fast-check";
import { FormatError } from "../shared/assert.ts";
import { concat, fromHex, toUtf8 } from "../shared/bytes.ts";
import { MAX_PEER_FRAME_BYTES, PEER_FRAME_ROOM_BYTES } from "../shared/limits.ts";
import { fuzzDecoder, mutated } from "../tests/mutations.ts";
import type { NodeMessageType } from "../enclave/messages.ts";
import { FrameReader, type PeerFrame, serialiseFrameHead } from "./peer_frames.ts";

const ID = "30".repeat(31) + "66";
const frame = (from: string, messageType: NodeMessageType, payload: Uint8Array) =>
  concat(serialiseFrameHead(from, messageType, payload.length), payload);

Deno.test("a frame is its length, type, the sender's ID behind its length, and the message, as CCF's hosts write it", () => {
  const expected = concat(
    fromHex("52000000" + "0100000000000000" + "4000000000000000"),
    toUtf8(ID),
    fromHex("abcd"),
  );
  assert.deepEqual(frame(ID, 1, fromHex("abcd")), expected);
  assert.deepEqual(read(new FrameReader(), expected), [{ from: ID, messageType: 1, payload: fromHex("abcd") }]);
});

/** The frames in these bytes, read by `reader`. */
function read(reader: FrameReader, bytes: Uint8Array): PeerFrame[] {
  const frames: PeerFrame[] = [];
  reader.read(bytes, frames);
  return frames;
}

const frames = fc.array(
  fc.record({
    from: fc.constantFrom(ID, "ab".repeat(32)),
    messageType: fc.constantFrom<NodeMessageType>(0, 1, 2),
    payload: fc.uint8Array({ maxLength: 300 }),
  }, { noNullPrototype: true }),
  { maxLength: 8 },
);

Deno.test("FrameReader cuts the same frames from pieces of any size", () => {
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 }), (sent, sizes) => {
      const bytes = concat(...sent.map(({ from, messageType, payload }) => frame(from, messageType, payload)));
      const reader = new FrameReader();
      const received: PeerFrame[] = [];
      const piece = new Uint8Array(200);
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const part = bytes.subarray(at, at + sizes[i % sizes.length]!);
        piece.set(part);
        received.push(...read(reader, piece.subarray(0, part.length)));
        piece.fill(0xee);
        at += part.length;
      }
      assert.deepEqual(received, sent);
      assert.equal(reader.isWithinFrame, false);
      assert.equal(reader.heldBytes, 0);
    }),
  );
});

Deno.test("FrameReader takes memory for a long message only as it comes, and gives it a buffer of its own", () => {
  const payload = new Uint8Array(5 * PEER_FRAME_ROOM_BYTES + 7).map((_, i) => i % 251);
  const bytes = frame(ID, 1, payload);
  const reader = new FrameReader();
  assert.deepEqual(read(reader, bytes.subarray(0, 100)), []);
  assert.ok(reader.isWithinFrame);
  assert.equal(reader.heldBytes, PEER_FRAME_ROOM_BYTES);
  const received: PeerFrame[] = [];
  for (let at = 100; at < bytes.length; at += 65_536) received.push(...read(reader, bytes.subarray(at, at + 65_536)));
  assert.deepEqual(received, [{ from: ID, messageType: 1, payload }]);
  assert.equal(received[0]!.payload.buffer.byteLength, payload.length);
});

const u32 = (value: number) => new Uint8Array(new Uint32Array([value]).buffer);

Deno.test("FrameReader refuses what is no frame as soon as it can be seen", () => {
  const good = frame(ID, 1, fromHex("abcd"));
  const changed = (at: number, bytes: Uint8Array) => {
    const bad = good.slice();
    bad.set(bytes, at);
    return bad;
  };
  const bad: [Uint8Array, RegExp][] = [
    [u32(79), /announced with 79 bytes, and has 80 to/],
    [u32(MAX_PEER_FRAME_BYTES + 1), /announced with \d+ bytes/],
    [toUtf8("GET / HTTP/1.1\r\n"), /announced with 542393671 bytes/],
    [changed(4, fromHex("03")), /its type is 3/],
    [changed(11, fromHex("80")), /over 2\^53/],
    [changed(12, fromHex("41")), /its sender's ID has 65 bytes/],
    [changed(20, toUtf8("F")), /"F0.*" is no ID of a node/],
  ];
  for (const [bytes, reason] of bad) {
    const reader = new FrameReader();
    assert.throws(() => read(reader, bytes), (error) => error instanceof FormatError && reason.test(error.message));
    assert.equal(reader.heldBytes, 0);
  }
  assert.throws(() => serialiseFrameHead("me", 1, 0), /A node's ID is/);
  assert.throws(() => serialiseFrameHead(ID, 1, MAX_PEER_FRAME_BYTES), /short enough to be received/);
});

Deno.test("FrameReader answers changed bytes with frames that are those bytes, or refuses them", () => {
  const samples = [frame(ID, 0, fromHex("")), concat(frame(ID, 1, fromHex("abcd")), frame("ab".repeat(32), 2, u32(7)))];
  fuzzDecoder(mutated(...samples), (bytes) => read(new FrameReader(), bytes), (received, bytes) => {
    const again = concat(...received.map(({ from, messageType, payload }) => frame(from, messageType, payload)));
    assert.deepEqual(again, bytes.subarray(0, again.length));
  });
});
