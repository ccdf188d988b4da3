import { strict as assert } from "node:assert";
import fc from "fast-check";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { fromHex, toHex } from "../bytes.ts";
import { MAX_SEQNO, MAX_VIEWS } from "../limits.ts";
import { parseRaftMessage, raftHeaderBytes, type RaftMessage, serialiseRaftMessage } from "./messages.ts";

/** Little-endian u64 of a small number, written by hand. */
const u64 = (value: number) => `${value.toString(16).padStart(2, "0")}00000000000000`;

// By hand from the table in consensus.md §6: fields in this order, u64 but for the last flags.
const VECTORS: readonly (readonly [RaftMessage, string])[] = [
  [
    { kind: "append entries", view: 5, last: 17, previous: 16, previousView: 3, committed: 9, viewOfEntries: 4 },
    u64(0) + u64(17) + u64(16) + u64(5) + u64(3) + u64(9) + u64(4) + "00",
  ],
  // Quorate's own: that byte is always 0 in CCF.
  [
    {
      kind: "append entries",
      view: 5,
      last: 17,
      previous: 16,
      previousView: 3,
      committed: 9,
      viewOfEntries: 4,
      flagsUnknown: true,
    },
    u64(0) + u64(17) + u64(16) + u64(5) + u64(3) + u64(9) + u64(4) + "01",
  ],
  [
    { kind: "append entries response", view: 5, last: 17, success: true },
    u64(1) + u64(5) + u64(17) + "00",
  ],
  [
    { kind: "append entries response", view: 5, last: 17, success: false },
    u64(1) + u64(5) + u64(17) + "01",
  ],
  [
    { kind: "request vote", view: 5, lastCommittable: 17, viewOfLastCommittable: 4 },
    u64(3) + u64(5) + u64(17) + u64(4),
  ],
  [{ kind: "request vote response", view: 5, granted: true }, u64(4) + u64(5) + "01"],
  [{ kind: "request vote response", view: 5, granted: false }, u64(4) + u64(5) + "00"],
  [{ kind: "propose request vote", view: 5 }, u64(5) + u64(5)],
  [
    { kind: "request pre-vote", view: 5, lastCommittable: 17, viewOfLastCommittable: 4 },
    u64(6) + u64(5) + u64(17) + u64(4),
  ],
  [{ kind: "request pre-vote response", view: 5, granted: true }, u64(7) + u64(5) + "01"],
];

Deno.test("consensus messages have the bytes that consensus.md §6 gives them", () => {
  for (const [message, hex] of VECTORS) {
    assert.equal(toHex(serialiseRaftMessage(message)), hex, message.kind);
    assert.deepEqual(parseRaftMessage(fromHex(hex)), message);
  }
});

Deno.test("raftHeaderBytes() knows the size of each message, whatever follows, and no other kind", () => {
  const sizes: readonly [number, number][] = [[0, 57], [1, 25], [3, 32], [4, 17], [5, 16], [6, 32], [7, 17]];
  for (const [kind, size] of sizes) assert.equal(raftHeaderBytes(fromHex(u64(kind) + "ffff")), size);
  for (const kind of [2, 8, 0x80]) {
    assert.throws(() => raftHeaderBytes(fromHex(u64(kind))), {
      name: "FormatError",
      message: `Cannot read a consensus message of kind ${kind}: there is none`,
    });
  }
  assert.throws(() => raftHeaderBytes(fromHex("ffffffffffffffff")), { name: "FormatError", message: /over 2\^53/ });
  assert.throws(() => raftHeaderBytes(fromHex("00000000000000")), { name: "FormatError", message: /only 7 are left/ });
});

Deno.test("parseRaftMessage() refuses what no correct node sends", () => {
  const append = (...fields: number[]) => fields.map(u64).join("");
  const bad: readonly [string, string | RegExp][] = [
    [u64(5), 'Cannot read a consensus message "propose request vote" of 8 bytes: it has 16'],
    [u64(5) + u64(5) + "00", 'Cannot read a consensus message "propose request vote" of 17 bytes: it has 16'],
    [u64(5) + "ffffffffffffffff", /over 2\^53/],
    [u64(5) + "0000000000002000", /over 2\^53/],
    [u64(1) + u64(5) + "0000000000002000" + "00", /over 2\^53/],
    [u64(5) + "0100000100000000", "Cannot follow a node into view 16777217: at most 16777216"],
    [u64(4) + u64(5) + "02", "Cannot read a consensus message: 2 stands where 0 or 1 must be"],
    [u64(1) + u64(5) + u64(1) + "ff", "Cannot read a consensus message: 255 stands where 0 or 1 must be"],
    [append(0, 1, 0, 2, 0, 0, 2) + "02", "Cannot read a consensus message: 2 stands where 0 or 1 must be"],
    [append(0, 4, 5, 2, 2, 0, 2) + "00", "Cannot read an append entries: it ends at 4, before it begins at 5"],
    [
      append(0, 6, 5, 4, 3, 0, 2) + "00",
      "Cannot read an append entries: entries of view 2 cannot follow one of 3 in view 4",
    ],
    [
      append(0, 6, 5, 4, 3, 0, 5) + "00",
      "Cannot read an append entries: entries of view 5 cannot follow one of 3 in view 4",
    ],
  ];
  for (const [hex, message] of bad) {
    assert.throws(() => parseRaftMessage(fromHex(hex)), { name: "FormatError", message });
  }
});

Deno.test("property: serialiseRaftMessage() and parseRaftMessage() are each other's inverse", () => {
  const seqno = fc.integer({ min: 0, max: MAX_SEQNO });
  const view = fc.integer({ min: 0, max: MAX_VIEWS });
  const record = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record<T>(fields, { noNullPrototype: true });
  const message: fc.Arbitrary<RaftMessage> = fc.oneof(
    fc.tuple(fc.boolean(), seqno, seqno, seqno, view, view, view).map(([unknown, a, b, committed, ...views]) => {
      const [previousView, viewOfEntries, highest] = views.sort((x, y) => x - y) as [number, number, number];
      const [previous, last] = [Math.min(a, b), Math.max(a, b)];
      const fields = { view: highest, last, previous, previousView, committed, viewOfEntries };
      return { kind: "append entries", ...fields, ...(unknown && { flagsUnknown: true as const }) } as const;
    }),
    record({
      kind: fc.constant("append entries response" as const),
      view,
      last: seqno,
      success: fc.boolean(),
    }),
    record({
      kind: fc.constantFrom("request vote" as const, "request pre-vote" as const),
      view,
      lastCommittable: seqno,
      viewOfLastCommittable: view,
    }),
    record({
      kind: fc.constantFrom("request vote response" as const, "request pre-vote response" as const),
      view,
      granted: fc.boolean(),
    }),
    record({ kind: fc.constant("propose request vote" as const), view }),
  );
  fc.assert(fc.property(message, (message) => {
    const bytes = serialiseRaftMessage(message);
    assert.equal(bytes.length, raftHeaderBytes(bytes));
    assert.deepEqual(parseRaftMessage(bytes), message);
  }));
});

Deno.test("fuzz: parseRaftMessage() answers with what serialises to the same bytes, or throws FormatError", () => {
  const samples = VECTORS.map(([, hex]) => fromHex(hex));
  fuzzDecoder(mutated(...samples), parseRaftMessage, (message, bytes) => {
    assert.equal(toHex(serialiseRaftMessage(message)), toHex(bytes));
  }, 2000);
});
