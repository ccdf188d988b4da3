import { strict as assert } from "node:assert";
import { createECDH, hkdfSync } from "node:crypto";
import { concat, fromHex, toHex } from "../../shared/bytes.ts";
import { ecPrivateKey } from "../../shared/crypto/ecdsa.ts";
import { MAX_KEY_EXCHANGE_BYTES } from "../../shared/limits.ts";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import {
  deriveChannelKeys,
  type KeyExchangeMessage,
  parseKeyExchange,
  parseShare,
  serialiseKeyExchange,
  serialiseShare,
} from "./key_exchange.ts";

const ephemeral = ecPrivateKey("P-384", new Uint8Array(48).fill(5));
const share = serialiseShare(ephemeral.publicKey);
const SALT = new Uint8Array(32).fill(0xaa);
const u64 = (value: number) => toHex(Uint8Array.of(value & 0xff, value >>> 8, 0, 0, 0, 0, 0, 0));

// By hand from nodes-and-attestation.md §1.2.
const SIGNED = u64(1) + u64(98) + toHex(share) + u64(2) + "3000" + u64(3) + "504500";
const INIT = u64(0) + SIGNED + u64(32) + "aa".repeat(32);
const RESPONSE = u64(1) + SIGNED;
const FINAL = u64(2) + u64(2) + "3000";
const signed = { share, signature: fromHex("3000"), certificate: fromHex("504500") };
const GOOD: readonly (readonly [hex: string, message: KeyExchangeMessage])[] = [
  [INIT, { kind: "init", ...signed, salt: SALT }],
  [RESPONSE, { kind: "response", ...signed }],
  [FINAL, { kind: "final", signature: fromHex("3000") }],
];

Deno.test("messages of a key exchange are read and written as the format has them", () => {
  for (const [hex, message] of GOOD) {
    assert.deepEqual(parseKeyExchange(fromHex(hex)), message);
    assert.equal(toHex(serialiseKeyExchange(message)), hex);
  }
});

Deno.test("parseKeyExchange() refuses what no node sends", () => {
  const point = toHex(share.subarray(1));
  const signature = u64(2) + "3000";
  const bad: readonly (readonly [hex: string, message: RegExp])[] = [
    ["", /./],
    [u64(3), /there is no message 3/],
    [u64(0) + u64(2) + SIGNED.slice(16), /of version 2: only 1 is known/],
    [INIT + "00", /1 bytes too many/],
    [FINAL + "0000", /2 bytes too many/],
    [RESPONSE + u64(32) + "aa".repeat(32), /40 bytes too many/],
    [INIT.slice(0, -2), /./],
    [u64(0) + SIGNED, /./],
    [u64(0) + SIGNED + u64(0), /its salt is empty/],
    [u64(0) + SIGNED + u64(31) + "aa".repeat(31), /its salt has 31 bytes and not 32/],
    [u64(2) + u64(0), /its signature is empty/],
    [u64(2) + "ffffffffffffff00" + "3000", /over 2\^53/],
    [u64(1) + u64(1) + u64(0) + signature, /its key share is empty/],
    [u64(1) + u64(1) + u64(98) + toHex(share) + signature + u64(0), /its certificate is empty/],
    [u64(1) + u64(1) + u64(97) + point + signature, /key share of 97 bytes/],
    [u64(1) + u64(1) + u64(98) + "60" + point + signature, /key share of 98 bytes/],
    [u64(1) + u64(1) + u64(98) + "6104" + "11".repeat(96) + signature, /not on P-384/],
    [u64(1) + u64(1) + u64(98) + "6104" + "00".repeat(96) + signature, /not on P-384/],
  ];
  for (const [hex, message] of bad) {
    assert.throws(() => parseKeyExchange(fromHex(hex)), { name: "FormatError", message }, hex);
  }
  const large = concat(fromHex(FINAL), new Uint8Array(MAX_KEY_EXCHANGE_BYTES));
  assert.throws(() => parseKeyExchange(large), { name: "FormatError", message: /over 131072/ });
});

Deno.test("parseKeyExchange() answers any bytes with a message that is written the same, or FormatError", () => {
  fuzzDecoder(
    mutated(...GOOD.map(([hex]) => fromHex(hex))),
    parseKeyExchange,
    (message, bytes) => assert.deepEqual(serialiseKeyExchange(message), bytes),
  );
});

Deno.test("a key share is the length of the point and the point", () => {
  assert.equal(share.length, 98);
  assert.deepEqual(parseShare(share), ephemeral.publicKey);
});

Deno.test("deriveChannelKeys() gives what another implementation of ECDH and HKDF gives, crosswise at both ends", () => {
  const [selfId, peerId] = ["11".repeat(32), "22".repeat(32)];
  const other = createECDH("secp384r1");
  other.generateKeys();
  const otherKey = ecPrivateKey("P-384", new Uint8Array(other.getPrivateKey()));
  const secret = other.computeSecret(ephemeral.publicKey.point);
  const key = (info: string) => new Uint8Array(hkdfSync("sha256", secret, SALT, info, 32));
  const ours = deriveChannelKeys(ephemeral, serialiseShare(otherKey.publicKey), SALT, selfId, peerId);
  assert.deepEqual(ours, { send: key(selfId + peerId), receive: key(peerId + selfId) });
  const theirs = deriveChannelKeys(otherKey, share, SALT, peerId, selfId);
  assert.deepEqual([theirs.send, theirs.receive], [ours.receive, ours.send]);
});
