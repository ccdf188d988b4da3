import { strict as assert } from "node:assert";
import { fromHex, toHex } from "../bytes.ts";
import { noblePrimitives as primitives } from "../crypto/primitives.ts";
import { leafOf, NO_CLAIMS } from "./leaf.ts";

// ledger-and-receipts.md §3.6: TxID 2.24 of a real ledger.
const WRITE_SET_DIGEST = fromHex("b005d0086e9890db740d293ffc2cdc2814c629737556496d4b47f230c94ab1f7");
const COMMIT_EVIDENCE_DIGEST = fromHex("61600e517ab2e422548ecc4a2c8b4a081ad88eb143ba3d76406ec641e96f558c");

Deno.test("leafOf() hashes write set, commit evidence and claims digests together", () => {
  const leaf = leafOf(primitives, {
    writeSetDigest: WRITE_SET_DIGEST,
    commitEvidenceDigest: COMMIT_EVIDENCE_DIGEST,
    claimsDigest: NO_CLAIMS,
  });
  assert.equal(toHex(leaf), "f249870a952fc525d106236fca7f750f77c0d23933ef448677373e7b75db50c8");
});

Deno.test("leafOf() leaves out the digests that an older entry type lacks", () => {
  const plain = { writeSetDigest: WRITE_SET_DIGEST, commitEvidenceDigest: undefined, claimsDigest: undefined };
  assert.equal(leafOf(primitives, plain), WRITE_SET_DIGEST);
  const both = new Uint8Array([...WRITE_SET_DIGEST, ...COMMIT_EVIDENCE_DIGEST]);
  const evidenceOnly = { ...plain, commitEvidenceDigest: COMMIT_EVIDENCE_DIGEST };
  assert.equal(toHex(leafOf(primitives, evidenceOnly)), toHex(primitives.sha256(both)));
  const claimsOnly = { ...plain, claimsDigest: COMMIT_EVIDENCE_DIGEST };
  assert.equal(toHex(leafOf(primitives, claimsOnly)), toHex(primitives.sha256(both)));
});

Deno.test("leafOf() gives leaves that later calls do not change", () => {
  const components = { writeSetDigest: WRITE_SET_DIGEST, commitEvidenceDigest: NO_CLAIMS, claimsDigest: NO_CLAIMS };
  const leaf = leafOf(primitives, components);
  const before = toHex(leaf);
  leafOf(primitives, { ...components, claimsDigest: COMMIT_EVIDENCE_DIGEST });
  assert.equal(toHex(leaf), before);
});
