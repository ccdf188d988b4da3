import { strict as assert } from "node:assert";
import { fromHex, toHex } from "../bytes.ts";
import { noblePrimitives as primitives } from "../crypto/primitives.ts";
import { LedgerSecret, LedgerSecrets } from "./secrets.ts";

function secret(n: number): LedgerSecret {
  return new LedgerSecret(primitives, new Uint8Array(32).fill(n));
}

Deno.test("LedgerSecret.commitEvidence() gives the worked example", () => {
  // ledger-and-receipts.md §3.6
  const example = new LedgerSecret(
    primitives,
    fromHex("0247b5e43538db6bfa1c76ea8561c09d47533c40a71c8cd38f0bdf28dbeea840"),
  );
  const id = { view: 2, seqno: 24 };
  assert.equal(
    example.commitEvidence(id),
    "ce:2.24:6cc9f45fa37dd81aaff7834b5253756f2f089072fef8d7543c647f0fbd01197b",
  );
  assert.equal(
    toHex(example.commitEvidenceDigest(id)),
    "61600e517ab2e422548ecc4a2c8b4a081ad88eb143ba3d76406ec641e96f558c",
  );
});

Deno.test("LedgerSecrets.at() finds the secret with the greatest first seqno that is not above", () => {
  const secrets = new LedgerSecrets();
  assert.equal(secrets.at(1), undefined);
  assert.equal(secrets.latest(), undefined);
  const [one, two, three] = [secret(1), secret(2), secret(3)];
  secrets.add(35, two);
  secrets.add(42, three);
  assert.equal(secrets.at(34), undefined);
  secrets.add(1, one);
  assert.deepEqual([1, 34, 35, 41, 42, 1000].map((seqno) => secrets.at(seqno)), [one, one, two, two, three, three]);
  assert.deepEqual([...secrets].map(({ first }) => first), [1, 35, 42]);
  assert.equal(secrets.firstSeqnoAt(41), 35);
  assert.equal(secrets.startingAt(35), two);
  assert.equal(secrets.startingAt(36), undefined);
  assert.deepEqual(secrets.latest(), { first: 42, secret: three });
});

Deno.test("LedgerSecrets.rollback() keeps the secret that a kept rekey announced for the next seqno", () => {
  const secrets = new LedgerSecrets();
  for (const first of [1, 35, 42]) secrets.add(first, secret(first));
  secrets.rollback(41);
  assert.equal(secrets.size, 3);
  secrets.rollback(40);
  assert.equal(secrets.latest()?.first, 35);
});

Deno.test("LedgerSecrets.add() refuses a second secret for the same seqno", () => {
  const secrets = new LedgerSecrets();
  secrets.add(1, secret(1));
  assert.throws(() => secrets.add(1, secret(2)), /No two ledger secrets start at the same seqno/);
});

Deno.test("LedgerSecrets.keepAll() lets a joiner keep what it was told, however far its ledger goes back", () => {
  const secrets = new LedgerSecrets();
  secrets.add(1, secret(1));
  secrets.add(42, secret(2));
  secrets.keepAll();
  secrets.add(60, secret(3));
  secrets.rollback(24);
  assert.deepEqual([...secrets].map(({ first }) => first), [1, 42]);
});
