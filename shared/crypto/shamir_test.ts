import { strict as assert } from "node:assert";
import fc from "fast-check";
import { PRIMITIVE_SETS, testOnBoth } from "../../tests/primitive_sets.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { AssertionFailed, FormatError } from "../assert.ts";
import { fromHex, toHex } from "../bytes.ts";
import { noblePrimitives, type Random } from "./primitives.ts";
import {
  combineShares,
  parseShare,
  serialiseShare,
  type Share,
  SHARE_BYTES,
  shareFreshSecret,
  unwrapLedgerSecret,
  wrapLedgerSecret,
  wrappingKey,
} from "./shamir.ts";

// ledger-and-receipts.md §4.3, from double_sealed_service, entry 2.18, threshold 3.
const SHARES = [
  "01000000d451e409989597131984c54eef54eb34007e4534db63920eb890ac1a8726d40f6b87663888111968",
  "02000000e48f656e02742318d4ce6f5f009f6f0d065b2162e298db3c6ce9f26f3d2e2d34e9039c7063010f64",
  "03000000cd785a2d3531c02246c68f7d0d881d0a4e55c35ff0e4a005fb4c8057d99ff43373e60f5848099209",
];
const LIMBS = [
  2144779930,
  354194935,
  1267787285,
  9480667,
  1445969467,
  2059748825,
  1470972637,
  1189710006,
  795832568,
  363870647,
];
const WRAPPING_KEY = "c79af77f796b9bdc4f0c44474f5e1c4c50e6d1e99661341f824c675825171924";
const WRAPPED =
  "3446d9d83d68454c124db1da8df38fb4000000000000000000000000f33bf75e759be3e2072139c9daf61f6b12970097c700949c21fb03984b8b0a21";
const LEDGER_SECRET = "0247b5e43538db6bfa1c76ea8561c09d47533c40a71c8cd38f0bdf28dbeea840";

const parsed = (hex: string): Share => parseShare(fromHex(hex));
const shares = SHARES.map(parsed);

Deno.test("combineShares() finds the secret of a real service, in whatever order its shares come", () => {
  assert.deepEqual(combineShares(shares, 3), { x: 0, limbs: LIMBS });
  assert.deepEqual(combineShares(shares.toReversed(), 3), { x: 0, limbs: LIMBS });
});

Deno.test("combineShares() ignores what is more than the threshold", () => {
  const { secret, shares } = shareFreshSecret(2, 4, counting());
  assert.deepEqual(combineShares([shares[3]!, shares[1]!, { x: 7, limbs: LIMBS }], 2), secret);
});

Deno.test("wrappingKey() derives a real service's key, with limbs as info", () => {
  assert.equal(toHex(wrappingKey({ x: 0, limbs: LIMBS })), WRAPPING_KEY);
  // cose_flipflop_service, 2.13: with threshold 1 the share's limbs are the secret's.
  const single = parsed("0100000096937a715cef116095e7645ed312d44eabb67b6106065d6e3c718c3ba8b8b835ce422a0d24c54d36");
  assert.equal(
    toHex(wrappingKey(combineShares([single], 1))),
    "c210863d3a90d12cf776a2690c08fc0418386536abcb2e7b04b96f6e04feec14",
  );
});

testOnBoth("wrapLedgerSecret() and unwrapLedgerSecret() match a real service", (primitives) => {
  const secret = combineShares(shares, 3);
  assert.equal(toHex(wrapLedgerSecret(primitives, secret, fromHex(LEDGER_SECRET))), WRAPPED);
  assert.equal(toHex(unwrapLedgerSecret(primitives, secret, fromHex(WRAPPED))!), LEDGER_SECRET);
});

testOnBoth("unwrapLedgerSecret() answers nothing for shares that do not belong together", (primitives) => {
  const wrong = combineShares([shares[0]!, shares[1]!, { ...shares[2]!, limbs: shares[1]!.limbs }], 3);
  assert.equal(unwrapLedgerSecret(primitives, wrong, fromHex(WRAPPED)), undefined);
  assert.equal(unwrapLedgerSecret(primitives, combineShares(shares, 2), fromHex(WRAPPED)), undefined);
});

interface ShareWrite {
  readonly threshold: number;
  readonly sharesHex: Readonly<Record<string, string>>;
  readonly secretLimbs: readonly number[];
  readonly wrappingKeyHex: string;
  readonly wrappedHex: string;
  readonly ledgerSecretHex: string;
}

const RECORDED = ["governance", "join", "recovery", "recovery_shares", "rekey"];

teamTest("combineShares() recovers every ledger secret of the recorded services, from any enough shares", () => {
  let owners = 0;
  for (const service of RECORDED) {
    const path = teamData(`ccf/testdata/recorded_${service}/expected/shares.json`);
    const writes: ShareWrite[] = JSON.parse(Deno.readTextFileSync(path));
    assert(writes.length > 0);
    for (const write of writes) {
      const all = Object.values(write.sharesHex).map(parsed);
      for (const owned of all.filter(({ x }) => x === 0)) {
        owners++;
        assert.deepEqual(owned.limbs, write.secretLimbs);
      }
      for (const subset of subsets(all.filter(({ x }) => x !== 0), write.threshold)) {
        const secret = combineShares(subset, write.threshold);
        assert.deepEqual(secret.limbs, write.secretLimbs);
        assert.equal(toHex(wrappingKey(secret)), write.wrappingKeyHex);
        for (const [name, primitives] of PRIMITIVE_SETS) {
          const ledgerSecret = unwrapLedgerSecret(primitives, secret, fromHex(write.wrappedHex));
          assert.equal(toHex(ledgerSecret!), write.ledgerSecretHex, name);
          assert.equal(toHex(wrapLedgerSecret(primitives, secret, ledgerSecret!)), write.wrappedHex, name);
        }
      }
    }
  }
  assert(owners > 0);
});

Deno.test("shareFreshSecret() gives shares of which any enough, and no fewer, make the secret", () => {
  for (const [threshold, count] of [[1, 1], [1, 3], [2, 3], [3, 5], [5, 5]] as const) {
    const { secret, shares } = shareFreshSecret(threshold, count, counting());
    assert.equal(secret.x, 0);
    assert.deepEqual(shares.map(({ x }) => x), Array.from({ length: count }, (_, i) => i + 1));
    for (const subset of subsets(shares, threshold)) assert.deepEqual(combineShares(subset, threshold), secret);
    if (threshold === 1) continue;
    for (const subset of subsets(shares, threshold - 1)) {
      assert.notDeepEqual(combineShares(subset, threshold - 1), secret);
    }
  }
});

Deno.test("shareFreshSecret() can make as many shares as the limit allows", () => {
  const { secret, shares } = shareFreshSecret(255, 255, counting());
  assert.deepEqual(combineShares(shares, 255), secret);
  assert.throws(() => shareFreshSecret(1, 256, counting()), AssertionFailed);
  assert.throws(() => shareFreshSecret(3, 2, counting()), AssertionFailed);
  assert.throws(() => shareFreshSecret(0, 2, counting()), AssertionFailed);
});

Deno.test("shareFreshSecret() draws again what is not in the field, and drops the sign bit", () => {
  const draws = ["ffffff7f", "ffffffff", "feffffff", ...Array(9).fill("01000080")];
  let at = 0;
  const { secret } = shareFreshSecret(1, 1, () => fromHex(draws[at++]!));
  assert.deepEqual(secret.limbs, [0x7ffffffe, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
  assert.equal(at, draws.length);
});

Deno.test("combineShares() agrees with interpolation in big integers, at the edges of the field too", () => {
  const element = fc.oneof(fc.integer({ min: 0, max: 0x7ffffffe }), fc.constantFrom(0, 1, 0x7ffffffe));
  const share = fc.record({
    x: fc.oneof(fc.integer({ min: 1, max: 0x7ffffffe }), fc.constantFrom(1, 2, 0x7ffffffe)),
    limbs: fc.array(element, { minLength: 10, maxLength: 10 }),
  });
  fc.assert(
    fc.property(fc.uniqueArray(share, { minLength: 1, maxLength: 5, selector: ({ x }) => x }), (shares) => {
      const expected = LIMBS.map((_, limb) => interpolateAtZero(shares.map(({ x, limbs }) => [x, limbs[limb]!])));
      assert.deepEqual(combineShares(shares, shares.length).limbs, expected);
    }),
  );
});

Deno.test("combineShares() refuses shares that cannot stand together", () => {
  const [first, second] = shares as [Share, Share];
  const refused: [Share[], string][] = [
    [[first, first], "Cannot combine shares: two of them have the number 1"],
    [[first, { ...second, x: 1 }], "Cannot combine shares: two of them have the number 1"],
    [[first, { ...second, x: 0 }], "Cannot combine shares: one of them is a full secret, which stands alone"],
  ];
  for (const [shares, message] of refused) assert.throws(() => combineShares(shares, 2), new FormatError(message));
  assert.throws(() => combineShares([first], 2), AssertionFailed);
});

Deno.test("parseShare() refuses what is no share", () => {
  const refused: [Uint8Array, string][] = [
    [
      new Uint8Array(113),
      "Cannot read a share of 113 bytes: it was made before 5.0; use one that was issued later",
    ],
    [new Uint8Array(43), "Cannot read a share of 43 bytes: it must have 44"],
    [new Uint8Array(), "Cannot read a share of 0 bytes: it must have 44"],
    [fromHex("ffffff7f" + "00".repeat(40)), "Cannot read a share: a number in it is over 2^31 - 2"],
    [fromHex("00".repeat(40) + "000000ff"), "Cannot read a share: a number in it is over 2^31 - 2"],
  ];
  for (const [bytes, message] of refused) assert.throws(() => parseShare(bytes), new FormatError(message));
});

Deno.test("serialiseShare() writes back whatever parseShare() reads", () => {
  for (const hex of SHARES) assert.equal(toHex(serialiseShare(parsed(hex))), hex);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: SHARE_BYTES - 1, maxLength: SHARE_BYTES }), fc.nat(43), (bytes, at) => {
      // Most random words are outside the field: clear the top bits, but one.
      for (let i = 3; i < bytes.length; i += 4) if (i !== (at | 3)) bytes[i]! &= 0x3f;
      try {
        assert.deepEqual(serialiseShare(parseShare(bytes)), bytes);
      } catch (error) {
        assert(error instanceof FormatError, String(error));
      }
    }),
  );
});

Deno.test("unwrapLedgerSecret() refuses what cannot be a wrapped secret", () => {
  assert.throws(
    () => unwrapLedgerSecret(noblePrimitives, { x: 0, limbs: LIMBS }, new Uint8Array(59)),
    new FormatError("Cannot unwrap a ledger secret: it has 59 bytes, not 60"),
  );
});

/** Bytes that never repeat in a test; nothing here depends on their quality. */
function counting(): Random {
  let state = 1;
  return (length) => Uint8Array.from({ length }, () => (state = (state * 48271) % 0x7fffffff) >>> 8);
}

function* subsets<T>(items: readonly T[], size: number): Generator<T[]> {
  if (size === 0) return yield [];
  for (let i = 0; i <= items.length - size; i++) {
    for (const rest of subsets(items.slice(i + 1), size - 1)) yield [items[i]!, ...rest];
  }
}

function interpolateAtZero(points: (readonly [x: number, y: number])[]): number {
  const p = 2n ** 31n - 1n;
  const power = (base: bigint, exponent: bigint): bigint =>
    exponent === 0n ? 1n : power(base * base % p, exponent / 2n) * (exponent % 2n === 1n ? base : 1n) % p;
  let sum = 0n;
  for (const [x, y] of points) {
    let term = BigInt(y);
    for (const [other] of points) {
      if (other !== x) term = term * BigInt(other) % p * power((BigInt(other - x) + p) % p, p - 2n) % p;
    }
    sum = (sum + term) % p;
  }
  return Number(sum);
}
