/**
 * What the client-certificate listener offers in a handshake, as OpenSSL sees it. What of it differs from CCF stands in
 * README.md; these tests notice when a later Deno changes it.
 */

import { strict as assert } from "node:assert";
import { echoing, listenTls } from "./listener_fixtures.ts";

/** Answers `yes` or `no` for each list of arguments of `openssl s_client`: whether a handshake succeeds. */
async function shakesHands(...handshakes: readonly string[][]): Promise<string[]> {
  const listener = await listenTls(echoing());
  try {
    return await Promise.all(handshakes.map(async (args) => {
      const { stdout } = await new Deno.Command("openssl", {
        args: ["s_client", "-connect", `127.0.0.1:${listener.port}`, ...args],
        stdin: "null",
        stderr: "null",
      }).output();
      return /Cipher is (?!\(NONE\))/.test(new TextDecoder().decode(stdout)) ? "yes" : "no";
    }));
  } finally {
    await listener.stop();
  }
}

Deno.test("TlsListener speaks TLS 1.2 and 1.3", async () => {
  assert.deepEqual(await shakesHands(["-tls1_3"], ["-tls1_2"], ["-tls1_1"]), ["yes", "yes", "no"]);
});

Deno.test("TlsListener offers P-384, P-256 and, unlike CCF, X25519 but not P-521", async () => {
  const handshakes = ["P-384", "P-256", "X25519", "P-521"].map((group) => ["-groups", group]);
  assert.deepEqual(await shakesHands(...handshakes), ["yes", "yes", "yes", "no"]);
});

Deno.test("TlsListener offers CCF's suites and, unlike CCF, ChaCha20", async () => {
  const tls13 = ["AES_256_GCM_SHA384", "AES_128_GCM_SHA256", "CHACHA20_POLY1305_SHA256", "AES_128_CCM_SHA256"];
  const tls12 = ["AES256-GCM-SHA384", "AES128-GCM-SHA256", "CHACHA20-POLY1305", "AES256-SHA384"];
  assert.deepEqual(
    await shakesHands(
      ...tls13.map((suite) => ["-tls1_3", "-ciphersuites", `TLS_${suite}`]),
      ...tls12.map((suite) => ["-tls1_2", "-cipher", `ECDHE-ECDSA-${suite}`]),
    ),
    ["yes", "yes", "yes", "no", "yes", "yes", "yes", "no"],
  );
});
