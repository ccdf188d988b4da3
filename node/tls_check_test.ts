import { strict as assert } from "node:assert";
import { selfSigned } from "./listener_fixtures.ts";
import { checkTls } from "./tls_check.ts";

Deno.test("checkTls() finds that this runtime brings client certificates to the node", async () => {
  assert.deepEqual(await checkTls(selfSigned("node")), { ok: true });
});

Deno.test("checkTls() says in words what does not work", async () => {
  // A certificate and a key that do not belong together.
  const identity = { ...selfSigned("node"), privateKeyPem: selfSigned("node").privateKeyPem };
  const result = await checkTls(identity);
  assert.ok(!result.ok);
  assert.match(result.reason, /^TLS does not work as it must on Deno \d+\.\d+\.\d+: ./);
});

Deno.test("checkTls() finds a client without the key of its certificate that is accepted", async () => {
  // The key that should be a stranger's is the certificate's own, so the handshake is a good one.
  const identity = selfSigned("node");
  const result = await checkTls(identity, identity.privateKeyPem);
  assert.ok(!result.ok);
  assert.match(result.reason, /: a client without the key of its certificate is accepted$/);
});
