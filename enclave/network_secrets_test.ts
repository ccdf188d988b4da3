import { strict as assert } from "node:assert";
import { toHex, toUtf8 } from "../shared/bytes.ts";
import { parseRsaPrivateKeyFile } from "../shared/crypto/key_file.ts";
import { noblePrimitives } from "../shared/crypto/primitives.ts";
import { parsePemBlock } from "../shared/crypto/pem.ts";
import { parseRsaPublicKey, rsaOaepEncrypt } from "../shared/crypto/rsa.ts";
import { ENCRYPTED_LEDGER_SECRETS } from "../shared/governance/tables.ts";
import { SINGLETON_KEY } from "../shared/kv/codecs.ts";
import type { TableWrites } from "../shared/kv/write_set.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import { type BroadcastSecret, serialiseSecretBroadcast } from "../shared/ledger/secret_broadcast.ts";
import { LedgerSecret, LedgerSecrets } from "../shared/ledger/secrets.ts";
import { fuzzDecoder, mutated } from "../tests/mutations.ts";
import { join } from "../tests/paths.ts";
import { ledgerDirectory, readEntries, readLedgerSecrets } from "../tests/services.ts";
import { teamTest } from "../tests/team_data.ts";
import { loadNativePowers } from "./native_powers.ts";
import { secretFromBroadcast, secretsForJoiner } from "./network_secrets.ts";

const { primitives, random, rsaKeyPair } = await loadNativePowers();
const encryption = rsaKeyPair();
const publicKey = parseRsaPublicKey(parsePemBlock(encryption.publicKeyPem, "PUBLIC KEY"));
const secretOf = (byte: number) => new Uint8Array(32).fill(byte);

function sealed(secret: Uint8Array, version?: number): BroadcastSecret {
  return { version, encryptedSecret: rsaOaepEncrypt(publicKey, secret, random) };
}

function broadcast(...secrets: readonly BroadcastSecret[]): TableWrites {
  return changes(serialiseSecretBroadcast(new Map([["node", secrets], ["another", []]])));
}

function changes(value: Uint8Array): TableWrites {
  return { ...EMPTY, writes: [[SINGLETON_KEY, value]] };
}

const EMPTY: TableWrites = { name: ENCRYPTED_LEDGER_SECRETS.name, writes: [], removes: [] };

function told(from: TableWrites, nodeId = "node"): Uint8Array | undefined {
  return secretFromBroadcast(from, nodeId, { encryption }, primitives);
}

Deno.test("secretsForJoiner() tells what was in force when the node was trusted, and before", () => {
  const secrets = new LedgerSecrets();
  secrets.add(1, new LedgerSecret(noblePrimitives, secretOf(1)));
  secrets.add(35, new LedgerSecret(noblePrimitives, secretOf(2), 34));
  secrets.add(41, new LedgerSecret(noblePrimitives, secretOf(3), 40));
  const all = [
    { first: 1, secret: secretOf(1) },
    { first: 35, secret: secretOf(2), previousSecretStoredVersion: 34 },
    { first: 41, secret: secretOf(3), previousSecretStoredVersion: 40 },
  ];
  assert.deepEqual(secretsForJoiner(secrets, undefined), all);
  assert.deepEqual(secretsForJoiner(secrets, 41), all);
  assert.deepEqual(secretsForJoiner(secrets, 35), all.slice(0, 2));
  assert.deepEqual(secretsForJoiner(secrets, 1), all.slice(0, 1));
  assert.throws(() => secretsForJoiner(secrets, 36), {
    name: "FormatError",
    message: "Cannot tell ledger secrets to a node: this one has none that begins at seqno 36",
  });
});

Deno.test("a rekey's broadcast tells a node its secret, and nobody else's node anything", () => {
  assert.deepEqual(told(broadcast(sealed(secretOf(7)))), secretOf(7));
  assert.equal(told(broadcast(sealed(secretOf(7))), "another"), undefined);
  assert.equal(told(broadcast(sealed(secretOf(7))), "nobody"), undefined);
  assert.equal(
    told(broadcast(sealed(secretOf(7), 1), sealed(secretOf(8), 35))),
    undefined,
    "a recovery's are older ones",
  );
});

Deno.test("a broadcast that a node cannot use is refused", () => {
  const refused: readonly [TableWrites, RegExp][] = [
    [broadcast(sealed(secretOf(7).subarray(1))), /does not open its own/],
    [broadcast({ version: undefined, encryptedSecret: random(256) }), /does not open its own/],
    [broadcast({ version: undefined, encryptedSecret: new Uint8Array() }), /does not open its own/],
    [broadcast(sealed(secretOf(7)), sealed(secretOf(8))), /it has two for one seqno/],
    [changes(toUtf8("[]")), /must be an object/],
    [EMPTY, /they must be one value$/],
  ];
  for (const [from, message] of refused) assert.throws(() => told(from), { name: "FormatError", message });
  const [, value] = broadcast(sealed(secretOf(7))).writes[0]!;
  fuzzDecoder(mutated(value), (bytes) => told(changes(bytes)), (secret) => {
    if (secret !== undefined) assert.deepEqual(secret, secretOf(7));
  }, 200);
});

teamTest("a real joiner learns by its key what follows each of the two rekeys", () => {
  const directory = ledgerDirectory("recorded_join");
  const file = Deno.readTextFileSync(join(directory.common, "joiner0_enc_privk.pem"));
  const privateKeyPkcs8 = parseRsaPrivateKeyFile(file).pkcs8;
  const id = "964fa06723b5e462921d0dc8009adb8d71473b4359efe5bc9f7a08846f3bc8a9";
  const known = new Map(readLedgerSecrets(directory));
  const learnt: number[] = [];
  for (const bytes of readEntries(directory)) {
    const entry = LedgerEntry.parse(bytes);
    const table = entry.publicTables().find(({ name }) => name === ENCRYPTED_LEDGER_SECRETS.name);
    if (table === undefined) continue;
    for (const each of [primitives, noblePrimitives]) {
      const secret = secretFromBroadcast(table, id, { encryption: { publicKeyPem: "", privateKeyPkcs8 } }, each);
      assert.equal(toHex(secret!), known.get(entry.seqno + 1));
    }
    learnt.push(entry.seqno);
  }
  assert.deepEqual(learnt, [34, 40]);
});
