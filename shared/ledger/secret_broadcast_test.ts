import { strict as assert } from "node:assert";
import { fromUtf8, toHex, toUtf8 } from "../bytes.ts";
import { noblePrimitives as primitives } from "../crypto/primitives.ts";
import { parseRsaPrivateKeyFile } from "../crypto/key_file.ts";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { join } from "../../tests/paths.ts";
import { ledgerDirectories, ledgerDirectory, readEntries, readLedgerSecrets } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import { LedgerEntry } from "./entry.ts";
import { parseSecretBroadcast, serialiseSecretBroadcast } from "./secret_broadcast.ts";
import { onlyValueOf } from "./single_value.ts";
import { SECRET_BROADCAST } from "./table_names.ts";

const REKEY = `{"aa":[{"encrypted_secret":"AAEC","version":null}]}`;
const RECOVERY =
  `{"aa":[{"encrypted_secret":"AAEC","previous_secret_stored_version":15,"version":1},{"encrypted_secret":"","version":34}]}`;

Deno.test("parseSecretBroadcast() and serialiseSecretBroadcast() agree, with and without a version", () => {
  for (const json of [REKEY, RECOVERY, "{}"]) {
    assert.equal(fromUtf8(serialiseSecretBroadcast(parseSecretBroadcast(toUtf8(json)))), json);
  }
  const [secret] = parseSecretBroadcast(toUtf8(REKEY)).get("aa")!;
  assert.deepEqual(secret, { version: undefined, encryptedSecret: Uint8Array.of(0, 1, 2) });
});

Deno.test("parseSecretBroadcast() refuses values of another shape", () => {
  const table: [string, string][] = [
    ["[]", `Cannot read JSON at "": it must be an object`],
    [`{"aa":{}}`, `Cannot read JSON at "/aa": it must be an array`],
    [`{"aa":[{"version":1}]}`, `Cannot read JSON at "/aa/0/encrypted_secret": it must be text`],
    [
      `{"aa":[{"encrypted_secret":"","version":-1}]}`,
      `Cannot read JSON at "/aa/0/version": it must be a whole number from 0`,
    ],
  ];
  for (const [json, message] of table) {
    assert.throws(() => parseSecretBroadcast(toUtf8(json)), { name: "FormatError", message });
  }
  fuzzDecoder(mutated(toUtf8(REKEY), toUtf8(RECOVERY)), parseSecretBroadcast);
});

teamTest("a joiner's own key opens its secret in each broadcast of a real ledger", () => {
  const directory = ledgerDirectory("recorded_join");
  const key = parseRsaPrivateKeyFile(Deno.readTextFileSync(join(directory.common, "joiner0_enc_privk.pem")));
  const known = new Map(readLedgerSecrets(directory));
  let opened = 0;
  for (const bytes of readEntries(directory)) {
    const entry = LedgerEntry.parse(bytes);
    const table = entry.publicTables().find(({ name }) => name === SECRET_BROADCAST);
    if (table === undefined) continue;
    for (const [node, [secret]] of parseSecretBroadcast(onlyValueOf(table))) {
      if (!node.startsWith("964fa06723b5e462")) continue;
      const plaintext = primitives.rsaOaepDecrypt(key.pkcs8, secret!.encryptedSecret);
      assert.equal(toHex(plaintext!), known.get(entry.seqno + 1));
      opened++;
    }
  }
  assert.equal(opened, 2);
});

teamTest("every broadcast in the real ledgers is written again byte for byte", () => {
  let broadcasts = 0;
  for (const directory of ledgerDirectories()) {
    for (const bytes of readEntries(directory)) {
      const table = LedgerEntry.parse(bytes).publicTables().find(({ name }) => name === SECRET_BROADCAST);
      if (table === undefined) continue;
      const value = onlyValueOf(table);
      assert.equal(toHex(serialiseSecretBroadcast(parseSecretBroadcast(value))), toHex(value));
      broadcasts++;
    }
  }
  assert.ok(broadcasts > 20, `${broadcasts} broadcasts`);
});
