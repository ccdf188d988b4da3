import { strict as assert } from "node:assert";
import fc from "fast-check";
import { FormatError } from "../assert.ts";
import { equalBytes, fromBase64, toHex, toUtf8 } from "../bytes.ts";
import { parseCoseSign1 } from "../crypto/cose.ts";
import { type EcPrivateKey, generateEcPrivateKey, parseEcPublicKey } from "../crypto/ecdsa.ts";
import { noblePrimitives as primitives } from "../crypto/primitives.ts";
import { parseCertificatePem } from "../crypto/x509.ts";
import { parseTxId, type TxId } from "../tx_id.ts";
import { ledgerDirectory, readEntries } from "../../tests/services.ts";
import { join } from "../../tests/paths.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import {
  draftEndorsement,
  draftSelfEndorsement,
  endorsementChain,
  type EndorsementWrite,
  parseIdentityEndorsement,
  serialiseIdentityEndorsement,
  signEndorsement,
  verifyEndorsements,
} from "./endorsement.ts";
import { LedgerEntry } from "./entry.ts";
import { onlyValueOf } from "./single_value.ts";
import { IDENTITY_ENDORSEMENT } from "./table_names.ts";

const ROOT = new Uint8Array(32).fill(7);
const CREATED: TxId[] = [{ view: 2, seqno: 1 }, { view: 4, seqno: 50 }, { view: 6, seqno: 90 }];

let counter = 0;
function seeded(length: number): Uint8Array {
  const block = primitives.sha256(toUtf8(`endorsement ${counter++}`));
  return Uint8Array.from({ length }, (_, i) => block[i % 32]! ^ i);
}

/** A service that was recovered twice, with another curve each time. */
function threeServices(): { keys: EcPrivateKey[]; writes: EndorsementWrite[] } {
  const keys = [
    generateEcPrivateKey("P-384", seeded),
    generateEcPrivateKey("P-256", seeded),
    generateEcPrivateKey("P-384", seeded),
  ];
  const draft = draftSelfEndorsement(keys[0]!.publicKey, CREATED[0]!, 1000);
  const writes: EndorsementWrite[] = [{ seqno: 15, value: signEndorsement(keys[0]!, draft) }];
  for (const n of [1, 2]) {
    const next = draftEndorsement(keys[n]!.publicKey, CREATED[n]!, writes.at(-1)!, ROOT, 2000);
    writes.push({ seqno: CREATED[n]!.seqno + 10, value: signEndorsement(keys[n]!, next) });
  }
  return { keys, writes };
}

Deno.test("signEndorsement() endorses each service by the next, and endorsementChain() leads back through them", () => {
  const { keys, writes } = threeServices();
  assert.deepEqual(writes[0]!.value.begin, CREATED[0]);
  assert.equal(writes[0]!.value.end, undefined);
  assert.deepEqual([writes[1]!.value.begin, writes[1]!.value.end], [{ view: 2, seqno: 1 }, { view: 2, seqno: 49 }]);
  assert.deepEqual([writes[2]!.value.begin, writes[2]!.value.end], [{ view: 4, seqno: 50 }, { view: 4, seqno: 89 }]);
  assert.equal(writes[2]!.value.previousVersion, 60);
  for (const { value } of writes) {
    assert.deepEqual(parseIdentityEndorsement(serialiseIdentityEndorsement(value)), value);
  }

  assert.deepEqual(endorsementChain(writes, CREATED[2]!, 90), []);
  assert.deepEqual(endorsementChain(writes, CREATED[2]!, 50), [writes[2]!.value]);
  assert.deepEqual(endorsementChain(writes, CREATED[2]!, 49), [writes[2]!.value, writes[1]!.value]);

  const messages = endorsementChain(writes, CREATED[2]!, 7).map((value) => value.message);
  const oldest = verifyEndorsements(primitives, keys[2]!.publicKey, messages)!;
  assert.equal(toHex(oldest.key.spki), toHex(keys[0]!.publicKey.spki));
  assert.deepEqual([oldest.begin, oldest.end], [{ view: 2, seqno: 1 }, { view: 2, seqno: 49 }]);
  assert.equal(verifyEndorsements(primitives, keys[1]!.publicKey, messages), undefined);
});

Deno.test("verifyEndorsements() refuses a self-endorsement, a gap and nothing at all", () => {
  const { keys, writes } = threeServices();
  const [self, older, newer] = writes.map((write) => write.value.message) as [never, never, never];
  assert.throws(() => verifyEndorsements(primitives, keys[0]!.publicKey, [self]), {
    name: "FormatError",
    message: "Cannot follow an endorsement: it endorses no earlier service",
  });
  assert.throws(() => verifyEndorsements(primitives, keys[2]!.publicKey, [newer, newer]), {
    message: "Cannot follow an endorsement: it ends at 4.89, and the next begins at 4.50",
  });
  assert.throws(() => verifyEndorsements(primitives, keys[2]!.publicKey, []), {
    message: "Cannot follow 0 endorsements: 1 to 1024 are possible",
  });
  assert.equal(verifyEndorsements(primitives, keys[2]!.publicKey, [older]), undefined);
});

Deno.test("endorsementChain() says where a chain has a gap", () => {
  const { writes } = threeServices();
  const [self, older, newer] = writes as [EndorsementWrite, EndorsementWrite, EndorsementWrite];
  const pointing = (write: EndorsementWrite, previousVersion: number) => ({
    ...write,
    value: { ...write.value, previousVersion },
  });
  const table: [EndorsementWrite[], string][] = [
    [[self, newer], "Cannot follow the endorsements: the one at 100 names 60, which is none"],
    [[self, older, pointing(newer, 100)], "Cannot follow the endorsements: the one at 100 names 100, which is none"],
    [[self, older, pointing(newer, 15)], "Cannot follow the endorsements: none covers seqno 7"],
    [[self, older], "Cannot follow the endorsements: one ends at 2.49, and the service after it begins at 6.90"],
  ];
  for (const [chain, message] of table) {
    assert.throws(() => endorsementChain(chain, CREATED[2]!, 7), { name: "FormatError", message });
  }
});

Deno.test("parseIdentityEndorsement() refuses a value that says something else than its message", () => {
  const { writes } = threeServices();
  const json = new TextDecoder().decode(serialiseIdentityEndorsement(writes[1]!.value));
  const differ = "Cannot read an endorsement: what is signed and what stands around it differ";
  const table: [string, string][] = [
    [json.replace(`"2.1"`, `"2.2"`), differ],
    [json.replace(`"2.49"`, `"2.48"`), differ],
    [json.replace(`"endorsement_epoch_end":"2.49",`, ""), differ],
    [
      json.replace(`,"previous_version":15`, ""),
      "Cannot read an endorsement: it has an end without a predecessor, or the reverse",
    ],
    ["{}", `Cannot read JSON at "/endorsement": it must be text`],
  ];
  for (const [text, message] of table) {
    assert.throws(() => parseIdentityEndorsement(toUtf8(text)), { name: "FormatError", message });
  }
});

Deno.test("parseIdentityEndorsement() of any changed value parses or throws FormatError", () => {
  const bytes = serialiseIdentityEndorsement(threeServices().writes[1]!.value);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, byte) => {
      const changed = bytes.slice();
      changed[at] = byte;
      try {
        parseIdentityEndorsement(changed);
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
      }
    }),
    { numRuns: 500 },
  );
});

/** Every write of the table in a real ledger, each also serialised again. */
function readEndorsements(name: string): EndorsementWrite[] {
  const writes: EndorsementWrite[] = [];
  for (const bytes of readEntries(ledgerDirectory(name))) {
    const entry = LedgerEntry.parse(bytes);
    const table = entry.publicTables().find((table) => table.name === IDENTITY_ENDORSEMENT);
    if (table === undefined) continue;
    const value = onlyValueOf(table);
    writes.push({ seqno: entry.seqno, value: parseIdentityEndorsement(value) });
    assert.deepEqual(serialiseIdentityEndorsement(writes.at(-1)!.value), value.slice());
  }
  return writes;
}

teamTest("endorsementChain() passes over the ill-formed value of a service sealed twice", () => {
  const writes = readEndorsements("double_sealed_service");
  assert.deepEqual(writes.map((write) => write.seqno), [18, 498, 503]);
  const chain = endorsementChain(writes, parseTxId("4.484"), 24);
  assert.deepEqual(chain, [writes[1]!.value]);
  assert.deepEqual(endorsementChain(writes, parseTxId("4.484"), 484), []);
  const currentKey = parseEcPublicKey(writes[2]!.value.endorsingKey);
  const first = verifyEndorsements(primitives, currentKey, chain.map((value) => value.message))!;
  assert.equal(toHex(first.key.spki), toHex(writes[0]!.value.endorsingKey));
});

teamTest("endorsementChain() gives what nodes answered, after each of two recoveries", () => {
  const writes = readEndorsements("recorded_recovery");
  const created = [parseTxId("2.1"), parseTxId("4.25"), parseTxId("6.54")];
  for (const epoch of [1, 2]) {
    const folder = teamData(`ccf/testdata/recorded_recovery/receipts/epoch${epoch}`);
    const known = writes.filter((write) => write.seqno < (created[epoch + 1]?.seqno ?? Infinity));
    const service = parseCertificatePem(Deno.readTextFileSync(join(folder, "service_cert.pem")));
    const index: { transactionId: string; coseEndorsements?: { endorsements: string[] } }[] = JSON.parse(
      Deno.readTextFileSync(join(folder, "index.json")),
    );
    for (const { transactionId, coseEndorsements } of index) {
      const answered = (coseEndorsements?.endorsements ?? []).map(fromBase64);
      const chain = endorsementChain(known, created[epoch]!, parseTxId(transactionId).seqno);
      assert.equal(chain.length, answered.length, transactionId);
      chain.forEach(({ message }, i) => assert.deepEqual(message, parseCoseSign1(answered[i]!)));
      if (chain.length === 0) continue;
      const messages = chain.map((value) => value.message);
      const found = verifyEndorsements(primitives, parseEcPublicKey(service.spki), messages)!;
      const seqno = parseTxId(transactionId).seqno;
      assert.ok(found.begin.seqno <= seqno && seqno <= found.end.seqno, transactionId);
      assert.ok(!equalBytes(found.key.spki, service.spki));
    }
  }
});
