/**
 * Members' keys where they live: in Chromium's storage, over a reload.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { fromBase64, toBase64, toUtf8 } from "../../shared/bytes.ts";
import { ecdsaVerify } from "../../shared/crypto/ecdsa.ts";
import { parsePrivateKeyFile } from "../../shared/crypto/key_file.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { isSignedBy, parseCertificatePem } from "../../shared/crypto/x509.ts";
import { signingIdentity } from "../../console/sign/envelope.ts";
import { answerOfPage, bundled, withChromium } from "../chromium.ts";
import { EC_PRIVATE_KEYS, ENCRYPTED_EC, PASSPHRASE, RSA_PRIVATE_KEY } from "../openssl_fixtures.ts";
import { type KeysAnswer, MESSAGE } from "./keys_page.ts";

const FILES = {
  "p256.pem": EC_PRIVATE_KEYS["P-256"],
  "p384.pem": EC_PRIVATE_KEYS["P-384"],
  "p521.pem": EC_PRIVATE_KEYS["P-521"],
  "encrypted.pem": ENCRYPTED_EC,
};

Deno.test("keys, envelopes and drafts outlive a reload; keys sign and cannot be exported", async () => {
  await withChromium(async () => {
    const folder = await Deno.makeTempDir({ prefix: "quorate_keys_" });
    try {
      for (const [name, text] of Object.entries({ ...FILES, "rsa.pem": RSA_PRIVATE_KEY })) {
        await Deno.writeTextFile(join(folder, name), text);
      }
      const script = await bundled(new URL("./keys_page.ts", import.meta.url));
      const answer = await answerOfPage(script, folder, {}) as KeysAnswer;
      const message = toUtf8(MESSAGE);
      assert.deepEqual(answer.keys.map(({ name, uses, exported }) => [name, uses, exported]), [
        ["Alice", 3, false],
        ["Bob", 0, false],
      ]);
      for (const { certificatePem, signature } of answer.keys) {
        const { key } = signingIdentity(certificatePem);
        assert(ecdsaVerify(noblePrimitives, key, message, fromBase64(signature)));
        assert(isSignedBy(noblePrimitives, parseCertificatePem(certificatePem), key));
      }
      assert.deepEqual(answer.keys.map(({ opened }) => opened), [toBase64(message), undefined]);
      assert.deepEqual([answer.envelopes, answer.drafts], [[toBase64(message)], ['{"actions":']]);
      assert.deepEqual(answer.refusedChange, [1, "No"]);
      assert.equal(answer.files["rsa.pem"], "encryption");
      for (const [name, text] of Object.entries(FILES)) {
        const key = parsePrivateKeyFile(text, PASSPHRASE);
        assert(
          key.kind === "EC" && ecdsaVerify(noblePrimitives, key.publicKey, message, fromBase64(answer.files[name]!)),
          name,
        );
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
});
