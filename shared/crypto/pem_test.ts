import { strict as assert } from "node:assert";
import fc from "fast-check";
import { toHex } from "../bytes.ts";
import { EC_PRIVATE_KEYS, RSA_ENCRYPTED_OLD, SEC1_WITH_PARAMETERS } from "../../tests/openssl_fixtures.ts";
import { fuzzDecoder, mutatedText } from "../../tests/mutations.ts";
import { parsePem, parsePemBlock, serialisePem } from "./pem.ts";

Deno.test("serialisePem() writes what OpenSSL wrote", () => {
  for (const text of Object.values(EC_PRIVATE_KEYS)) {
    assert.equal(serialisePem("PRIVATE KEY", parsePemBlock(text, "PRIVATE KEY")), text);
  }
  assert.equal(serialisePem("X", new Uint8Array(48)), `-----BEGIN X-----\n${"A".repeat(64)}\n-----END X-----\n`);
});

Deno.test("parsePem() reads several blocks, text around them, and CRLF", () => {
  const [parameters, key, ...none] = parsePem(SEC1_WITH_PARAMETERS);
  assert.equal(none.length, 0);
  assert.equal(parameters?.label, "EC PARAMETERS");
  assert.equal(toHex(parameters.der), "06052b81040022");
  assert.equal(key?.label, "EC PRIVATE KEY");

  const around = `subject=CN=x: y\r\n${SEC1_WITH_PARAMETERS.replaceAll("\n", "\r\n")}\r\nthat was all`;
  assert.deepEqual(parsePem(around), [parameters, key]);
  assert.deepEqual(parsePem(SEC1_WITH_PARAMETERS.trimEnd()), [parameters, key]);
  assert.deepEqual(parsePem(""), []);
  assert.deepEqual(parsePem("  -----BEGIN X-----"), [], "a boundary begins its line");
});

Deno.test("parsePem() refuses broken blocks and never quotes a body", () => {
  const table: [text: string, message: string][] = [
    ["-----BEGIN A-----\nAAAA\n", "Cannot read PEM: A has no END line"],
    ["-----END A-----\n", "Cannot read PEM: END A without a BEGIN"],
    ["-----BEGIN A-----\nAAAA\n-----END B-----", "Cannot read PEM: END B inside A"],
    ["-----BEGIN A-----\n-----BEGIN A-----\n", "Cannot read PEM: BEGIN A inside A"],
    ["-----BEGIN A-----\nsecret!\n-----END A-----", "Cannot read PEM: the body of A is not base64"],
    ["-----BEGIN A-----\nAAA\n-----END A-----", "Cannot read PEM: the body of A is not base64"],
    ["-----BEGIN A-----\nAAB=\n-----END A-----", "Cannot read PEM: the body of A is not base64"],
    ["-----BEGIN A-----\n-----END A-----", "Cannot read PEM: the body of A is not base64"],
    ["A".repeat(1024 * 1024 + 1), "Cannot read PEM: it is longer than 1048576 bytes"],
    [
      RSA_ENCRYPTED_OLD,
      "Cannot read PEM: RSA PRIVATE KEY has header lines, as old encrypted keys have; " +
      'rewrite it with "openssl pkcs8 -topk8"',
    ],
  ];
  for (const [text, message] of table) assert.throws(() => parsePem(text), { name: "FormatError", message });
});

Deno.test("parsePemBlock() wants exactly one block of its label", () => {
  const block = serialisePem("A", Uint8Array.of(1, 2, 3));
  assert.deepEqual(parsePemBlock(block, "A"), Uint8Array.of(1, 2, 3));
  assert.throws(() => parsePemBlock("", "A"), { message: "Cannot read PEM: there is no block, expected A" });
  assert.throws(() => parsePemBlock(block + block, "A"), { message: "Cannot read PEM: 2 blocks, expected one A" });
  assert.throws(() => parsePemBlock(block, "B"), { message: "Cannot read PEM: found A, expected B" });
});

Deno.test("parsePem() reads back what serialisePem() wrote", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (der) => {
    assert.deepEqual(parsePem(serialisePem("A KEY", der)), [{ label: "A KEY", der }]);
  }));
});

Deno.test("parsePem() answers blocks or throws FormatError on changed text", () => {
  fuzzDecoder(mutatedText(SEC1_WITH_PARAMETERS, EC_PRIVATE_KEYS["P-256"]), parsePem, (blocks) => {
    for (const { label, der } of blocks) assert.deepEqual(parsePem(serialisePem(label, der)), [{ label, der }]);
  });
});
