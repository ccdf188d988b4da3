import { strict as assert } from "node:assert";
import { constants, createHash, createSign, generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { loadNativePrimitives } from "../../enclave/native_primitives.ts";
import { join } from "../../tests/paths.ts";
import { PRIMITIVE_SETS, testOnBoth } from "../../tests/primitive_sets.ts";
import { ledgerDirectories } from "../../tests/services.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { FormatError } from "../assert.ts";
import { fromBase64, fromHex, toHex, toUtf8 } from "../bytes.ts";
import { encodeCbor } from "./cbor.ts";
import {
  COSE_ALGORITHMS,
  type CoseSign1,
  parseCoseSign1,
  serialiseCoseSign1,
  toBeSigned,
  verifyCoseSign1,
  withSignature,
} from "./cose.ts";
import { ecdsaSign, type EcPublicKey, generateEcPrivateKey, parseEcPublicKey } from "./ecdsa.ts";
import { noblePrimitives } from "./primitives.ts";
import { parsePublicKey } from "./public_key.ts";
import { parseCertificatePem, publicKeyOf } from "./x509.ts";

// ledger-and-receipts.md §6.2: the signature at 2.27 of double_sealed_service, over the root of §5.5.
const PROTECTED =
  "a50138220458403235643766633036613531383036356261303264343531323065336335346536306234663337613530663537396635656232613337366239613163343532623519018b020fa3061a681ca43e0173736572766963652e6578616d706c652e636f6d02706c65646765722e7369676e6174757265666363662e7631a1647478696464322e3237";
const SIGNATURE =
  "3f1e73e2fa4038fdcda3b85ae13a300dea669024cc8366dfbaa44f3858016170b4b8e52db088a002e9bbbcb914d2beaf4099edc5aa3b7f48829dfffed24b71f2055927ac70c81f7dfa3464bf0e74183afbd1163936838927cd5722217a2d4d93";
const MESSAGE = `d284588c${PROTECTED}a0f65860${SIGNATURE}`;
const ROOT = "e677e94602679a75c7e5a21386b04ba6cb3dd5043be3e4ca1956f8ec5f2e7bf5";

Deno.test("parseCoseSign1() takes the worked example apart, and serialiseCoseSign1() puts it together", () => {
  const message = parseCoseSign1(fromHex(MESSAGE));
  assert.equal(toHex(message.protectedBytes), PROTECTED);
  assert.deepEqual([...message.protectedHeader.keys()], [1, 4, 395, 15, "ccf.v1"]);
  assert.equal(message.unprotectedHeader.size, 0);
  assert.equal(message.payload, undefined);
  assert.equal(toHex(message.signature), SIGNATURE);
  assert.equal(toHex(serialiseCoseSign1(message)), MESSAGE);
  assert.deepEqual(withSignature(fromHex(PROTECTED), undefined, fromHex(SIGNATURE)), message);
});

Deno.test("toBeSigned() is the Sig_structure of RFC 9052 §4.4", () => {
  const expected = `846a${toHex(toUtf8("Signature1"))}588c${PROTECTED}405820${ROOT}`;
  assert.equal(toHex(toBeSigned(fromHex(PROTECTED), fromHex(ROOT))), expected);
});

// RFC 9052, appendix C.2.1; the key is "11" of appendix C.7.1.
const IETF_KEY = parseEcPublicKey(fromHex(
  "3059301306072a8648ce3d020106082a8648ce3d03010703420004" +
    "bac5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a09eff" +
    "20138bf82dc1b6d562be0fa54ab7804a3a64b6d72ccfed6b6fb6ed28bbfc117e",
));
const IETF_MESSAGE =
  "d28443a10126a10442313154546869732069732074686520636f6e74656e742e58408eb33e4ca31d1c465ab05aac34cc6b23d58fef5c083106c4d25a91aef0b0117e2af9a291aa32e14ab834dc56ed2a223444547e01f11d3b0916e5a4c345cacb36";

testOnBoth("verifyCoseSign1() verifies RFC 9052's example, which carries its payload", (primitives) => {
  const message = parseCoseSign1(fromHex(IETF_MESSAGE));
  assert.deepEqual(message.payload, toUtf8("This is the content."));
  assert.deepEqual(message.unprotectedHeader, new Map([[4, toUtf8("11")]]));
  assert.equal(toHex(serialiseCoseSign1(message)), IETF_MESSAGE);
  assert.equal(verifyCoseSign1(primitives, IETF_KEY, message), true);
  assert.equal(verifyCoseSign1(primitives, IETF_KEY, { ...message, payload: toUtf8("This is the content?") }), false);
});

teamTest("verifyCoseSign1() verifies the worked example over its root", () => {
  const ledger = teamData("ccf/testdata/double_sealed_service/ledger/ledger_17-19.committed");
  const endorsingKey = /"endorsing_key":"([^"]+)"/.exec(latin1(ledger))![1]!;
  const key = parseEcPublicKey(fromBase64(endorsingKey));
  const message = parseCoseSign1(fromHex(MESSAGE));
  for (const [name, primitives] of PRIMITIVE_SETS) {
    assert.equal(verifyCoseSign1(primitives, key, message, fromHex(ROOT)), true, name);
    assert.equal(verifyCoseSign1(primitives, key, message, new Uint8Array(32)), false, name);
  }
});

teamTest("serialiseCoseSign1() gives back the bytes of every COSE message in the real data", () => {
  const folder = teamData("ccf/testdata");
  const messages = [
    Deno.readFileSync(join(folder, "double_sealed_service/expected/receipt_2.24.cose")),
    ...filesBelow(join(folder, "recorded_recovery/receipts"), ".cose").map((path) => Deno.readFileSync(path)),
    ...filesBelow(teamData("attestation/vectors"), ".cose").map((path) => Deno.readFileSync(path)),
    ...signedRequests().map(({ body }) => body),
  ];
  for (const { ledger } of ledgerDirectories()) {
    for (const path of filesBelow(ledger, "")) {
      // Signatures, endorsements, governance requests: all are base64 inside JSON, and begin with tag 18.
      for (const [, text] of latin1(path).matchAll(/"(0oR[A-Za-z0-9+/]+=*)"/g)) messages.push(fromBase64(text!));
    }
  }
  for (const bytes of messages) assert.equal(toHex(serialiseCoseSign1(parseCoseSign1(bytes))), toHex(bytes));
  assert(messages.length > 500, `${messages.length} messages`);
});

teamTest("verifyCoseSign1() agrees with a real node on signed requests", () => {
  const common = teamData("ccf/transcripts/common");
  const keys = new Map(
    filesBelow(common, "_cert.pem").map((path) => {
      const certificate = parseCertificatePem(Deno.readTextFileSync(path));
      return [sha256Hex(certificate.der), publicKeyOf(certificate)];
    }),
  );
  let [verified, refused] = [0, 0];
  for (const { body, response } of signedRequests()) {
    const message = parseCoseSign1(body);
    const key = keys.get(new TextDecoder().decode(message.protectedHeader.get(4) as Uint8Array));
    if (key?.kind !== "EC" || message.payload === undefined) continue;
    const refusedByNode = response.includes("Failed to validate COSE Sign1") ||
      response.includes("Unsupported algorithm");
    for (const [name, primitives] of PRIMITIVE_SETS) {
      assert.equal(verifyCoseSign1(primitives, key, message), !refusedByNode, `${name}: ${response}`);
    }
    if (refusedByNode) refused++;
    else verified++;
  }
  assert(verified > 20 && refused >= 2, `${verified} verified, ${refused} refused`);
});

Deno.test("verifyCoseSign1() verifies PSS with each hash, of keys of 2048 bits and more, and nothing else of RSA", () => {
  const payload = toUtf8("a payload");
  const sign = (bits: number, alg: number, hashName: "SHA-256" | "SHA-384" | "SHA-512", saltLength: number) => {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: bits });
    const protectedBytes = encodeCbor(new Map([[1, alg]]));
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    const signature = createSign(hashName.replace("-", "")).update(toBeSigned(protectedBytes, payload))
      .sign({ key: privateKey, padding, saltLength });
    const message = withSignature(protectedBytes, payload, new Uint8Array(signature));
    const key = parsePublicKey(new Uint8Array(publicKey.export({ type: "spki", format: "der" })));
    const other: CoseSign1 = { ...message, payload: toUtf8("b payload") };
    assert.equal(verifyCoseSign1(noblePrimitives, key, other), false);
    return verifyCoseSign1(noblePrimitives, key, message);
  };
  assert.deepEqual([sign(2048, -37, "SHA-256", 32), sign(3072, -38, "SHA-384", 48), sign(2048, -39, "SHA-512", 64)], [
    true,
    true,
    true,
  ]);
  // Another hash than the header names; another salt; ES256, and RS256, on an RSA key; a short key.
  assert.deepEqual([sign(2048, -38, "SHA-256", 32), sign(2048, -37, "SHA-256", 20)], [false, false]);
  assert.deepEqual([sign(2048, -7, "SHA-256", 32), sign(2048, -257, "SHA-256", 32)], [false, false]);
  assert.equal(sign(1024, -37, "SHA-256", 32), false);
});

Deno.test("verifyCoseSign1() wants a payload from one place and not from two", () => {
  const { key, message } = signed("P-256");
  const detached: CoseSign1 = { ...message, payload: undefined };
  assert.equal(verifyCoseSign1(noblePrimitives, key, message), true);
  assert.equal(verifyCoseSign1(noblePrimitives, key, detached, message.payload), true);
  assert.equal(verifyCoseSign1(noblePrimitives, key, message, message.payload), false);
  assert.equal(verifyCoseSign1(noblePrimitives, key, detached), false);
});

testOnBoth("verifyCoseSign1() verifies on each curve with its own algorithm only", (primitives) => {
  for (const curve of ["P-256", "P-384", "P-521"] as const) {
    const { key, message } = signed(curve);
    assert.equal(verifyCoseSign1(primitives, key, message), true, curve);
    for (const algorithm of [-7, -35, -36, -8, -37].filter((id) => id !== COSE_ALGORITHMS[curve])) {
      const { message } = signed(curve, algorithm);
      assert.equal(verifyCoseSign1(primitives, key, message), false, `${curve}, ${algorithm}`);
    }
    assert.equal(verifyCoseSign1(primitives, key, { ...message, signature: message.signature.subarray(1) }), false);
  }
});

Deno.test("parseCoseSign1() reads a header without parameters in either form, and keeps the form", () => {
  for (const hex of ["d28440a0f640", "d28441a0a0f640"]) {
    const message = parseCoseSign1(fromHex(hex));
    assert.equal(message.protectedHeader.size, 0);
    assert.equal(toHex(serialiseCoseSign1(message)), hex);
  }
});

Deno.test("parseCoseSign1() refuses what is no tagged COSE_Sign1", () => {
  const refused: [hex: string, message: string][] = [
    ["8440a0f640", "Cannot read a COSE_Sign1 message: it must have the tag 18"],
    ["d18440a0f640", "Cannot read a COSE_Sign1 message: it must have the tag 18"],
    ["d2d28440a0f640", "Cannot read a COSE_Sign1 message: it is not an array"],
    ["d240", "Cannot read a COSE_Sign1 message: it is not an array"],
    ["d28340a0f6", "Cannot read a COSE_Sign1 message: it has 3 parts and must have 4"],
    ["d284a0a0f640", "Cannot read the protected header of a COSE_Sign1 message: it is not a byte string"],
    ["d2844180a0f640", "Cannot read the protected header of a COSE_Sign1 message: it is not a map"],
    [
      "d28441ffa0f640",
      "Cannot read CBOR at byte 0: floats and simple values other than false, true and null are not supported",
    ],
    ["d2844040f640", "Cannot read the unprotected header of a COSE_Sign1 message: it is not a map"],
    ["d28440a06040", "Cannot read the payload of a COSE_Sign1 message: it is not a byte string"],
    ["d28440a0f6f6", "Cannot read the signature of a COSE_Sign1 message: it is not a byte string"],
    ["d28443a10126a10126f640", "Cannot read a COSE_Sign1 message: both headers have the parameter 1"],
  ];
  for (const [hex, message] of refused) {
    assert.throws(() => parseCoseSign1(fromHex(hex)), new FormatError(message), hex);
  }
});

Deno.test("parseCoseSign1() reads a changed message as what it says or refuses it, and nobody signed it", () => {
  const primitives = loadNativePrimitives();
  const bytes = fromHex(IETF_MESSAGE);
  let read = 0;
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, difference) => {
      const changed = bytes.slice();
      changed[at]! ^= difference;
      let message: CoseSign1;
      try {
        message = parseCoseSign1(changed);
      } catch (error) {
        assert(error instanceof FormatError, String(error));
        return;
      }
      read++;
      assert.deepEqual(serialiseCoseSign1(message), changed);
      // The unprotected header is bytes 7 to 11; nothing covers it.
      if (at < 7 || at > 11) assert.equal(verifyCoseSign1(primitives, IETF_KEY, message), false, `byte ${at}`);
    }),
    { numRuns: 300 },
  );
  assert(read > 100, `${read} read`);
});

/** A message signed here, by a key of this curve. */
function signed(
  curve: "P-256" | "P-384" | "P-521",
  algorithm = COSE_ALGORITHMS[curve],
): { key: EcPublicKey; message: CoseSign1 } {
  const key = generateEcPrivateKey(curve, (length) => Uint8Array.from({ length }, (_, i) => i + 1));
  const protectedBytes = encodeCbor(new Map([[1, algorithm]]));
  const payload = toUtf8("payload");
  const message = withSignature(protectedBytes, payload, ecdsaSign(key, toBeSigned(protectedBytes, payload)));
  return { key: key.publicKey, message };
}

/** Bodies of the recorded requests that are tagged COSE, and the bodies of their responses. */
function signedRequests(): { body: Uint8Array; response: string }[] {
  return filesBelow(teamData("ccf/transcripts"), ".jsonl").flatMap((path) =>
    Deno.readTextFileSync(path).trim().split("\n").map((line) => JSON.parse(line))
      .filter(({ request }) => request?.bodyHex?.startsWith("d284"))
      .map(({ request, response }) => ({ body: fromHex(request.bodyHex), response: response.body ?? "" }))
  );
}

function filesBelow(folder: string, ending: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = join(folder, name);
    if (isDirectory) return filesBelow(path, ending);
    return name.endsWith(ending) ? [path] : [];
  });
}

function latin1(path: string): string {
  return new TextDecoder("latin1").decode(Deno.readFileSync(path));
}

function sha256Hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
