import { strict as assert } from "node:assert";
import { sha256 } from "@noble/hashes/sha2.js";
import { concat, fromHex, toHex } from "../../shared/bytes.ts";
import { merkleLevels } from "./merkle_levels.ts";

const a = "aa".repeat(32);
const b = "bb".repeat(32);
const pair = (left: string, right: string) => toHex(sha256(concat(fromHex(left), fromHex(right))));

Deno.test("each level is the hash of the two below it, in their order", () => {
  const first = pair(b, a);
  assert.deepEqual(merkleLevels(a, [{ side: "left", hash: b }, { side: "right", hash: a }]), {
    hashes: [a, first, pair(first, a)],
  });
});

Deno.test("a path that cannot be followed says where it ends", () => {
  const { hashes, broken } = merkleLevels(a, [{ side: "left", hash: "00" }, { side: "right", hash: a }]);
  assert.deepEqual(hashes, [a]);
  assert.match(broken!, /1 bytes, not 32/);
  assert.match(merkleLevels("zz", []).broken!, /hex/);
});
