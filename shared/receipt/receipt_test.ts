import { strict as assert } from "node:assert";
import { join } from "node:path";
import fc from "fast-check";
import { FormatError } from "../assert.ts";
import { concat, fromHex, fromUtf8, toHex, toUtf8 } from "../bytes.ts";
import { ecdsaSignDigest, type EcPrivateKey, generateEcPrivateKey, serialiseDerSignature } from "../crypto/ecdsa.ts";
import { noblePrimitives } from "../crypto/primitives.ts";
import { serialiseCoseSign1 } from "../crypto/cose.ts";
import { type Certificate, parseCertificate, serialiseCertificatePem } from "../crypto/x509.ts";
import {
  type CertificateFields,
  randomSerial,
  serviceCertificate,
  signCertificate,
  validityOfDays,
} from "../crypto/x509_build.ts";
import { basicConstraintsExtension } from "../crypto/x509_extensions.ts";
import { nameFromConfiguration } from "../crypto/x509_name.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { buildCoseReceipt, parseCoseReceipt, verifyCoseReceipt } from "./cose_receipt.ts";
import { parseReceipt, type Receipt, serialiseReceipt } from "./receipt.ts";
import { verifyReceipt } from "./verify_receipt.ts";

const recovery = teamData("ccf/testdata/recorded_recovery");
const epochs = [0, 1, 2];

/** Receipts that a node answered in one life of its service, with the certificate that was current then. */
function recorded(epoch: number, suffix: ".json" | ".cose"): { name: string; bytes: Uint8Array; service: string }[] {
  const folder = join(recovery, "receipts", `epoch${epoch}`);
  const service = Deno.readTextFileSync(join(folder, "service_cert.pem"));
  return [...Deno.readDirSync(folder)]
    .filter(({ name }) => /^[0-9]/.test(name) && name.endsWith(suffix))
    .map(({ name }) => ({ name, bytes: Deno.readFileSync(join(folder, name)), service }));
}

teamTest(
  "parseReceipt() and serialiseReceipt() give back every receipt that a CCF node answered, byte for byte",
  () => {
    let count = 0;
    for (const epoch of epochs) {
      for (const { bytes, name } of recorded(epoch, ".json")) {
        assert.equal(serialiseReceipt(parseReceipt(fromUtf8(bytes))), fromUtf8(bytes), name);
        count++;
      }
    }
    assert(count > 20);
  },
);

teamTest("verifyReceipt() verifies every receipt that a CCF node answered, older service keys included", () => {
  for (const epoch of epochs) {
    for (const { bytes, name, service } of recorded(epoch, ".json")) {
      const verdict = verifyReceipt(noblePrimitives, parseReceipt(fromUtf8(bytes)), service, {});
      assert.equal(verdict.verdict, "verified", `epoch ${epoch}, ${name}: ${verdict.reason}`);
    }
  }
});

teamTest("verifyReceipt() refuses a receipt of another service", () => {
  const [receipt] = recorded(0, ".json");
  const [other] = recorded(1, ".json");
  const { verdict, reason } = verifyReceipt(
    noblePrimitives,
    parseReceipt(fromUtf8(receipt!.bytes)),
    other!.service,
    {},
  );
  assert.equal(verdict, "refused");
  assert.match(reason!, /^service: /);
});

teamTest("verifyReceipt() compares claims and transaction ID with what is expected", () => {
  const { bytes, service } = recorded(0, ".json").find(({ name }) => name === "2.16.json")!;
  const receipt = parseReceipt(fromUtf8(bytes));
  assert(receipt.leaf.kind === "components");
  const claimsDigest = receipt.leaf.claimsDigest!;
  const check = (expected: Parameters<typeof verifyReceipt>[3]) =>
    verifyReceipt(noblePrimitives, receipt, service, expected);
  assert.equal(check({ txId: { view: 2, seqno: 16 }, claimsDigest }).verdict, "verified");
  assert.match(
    check({ txId: { view: 2, seqno: 17 } }).reason!,
    /^transaction: .*asked for is 2\.17, in the receipt 2\.16$/,
  );
  assert.match(check({ txId: { view: 3, seqno: 16 } }).reason!, /^transaction: /);
  assert.match(check({ claimsDigest: new Uint8Array(32).fill(1) }).reason!, /^claims: /);
});

teamTest("verifyReceipt() cannot tell which transaction the receipt of a signature is for", () => {
  const { bytes, service } = recorded(0, ".json").find(({ name }) => name === "2.24.json")!;
  const receipt = parseReceipt(fromUtf8(bytes));
  assert.deepEqual([receipt.leaf.kind, receipt.proof.length], ["digest", 0]);
  const verdict = verifyReceipt(noblePrimitives, receipt, service, { txId: { view: 2, seqno: 24 } });
  assert.equal(verdict.verdict, "refused");
  assert.equal(verdict.steps.find(({ name }) => name === "transaction")!.result, "cannot be checked");
});

teamTest("verifyReceipt() refuses a node of the tree in place of a leaf: it proves no transaction", () => {
  const { bytes, service } = recorded(0, ".json").find(({ name }) => name === "2.16.json")!;
  const { leaf_components, proof, ...members } = JSON.parse(fromUtf8(bytes));
  assert(leaf_components !== undefined && proof.length > 1);
  const { sha256 } = noblePrimitives;
  const { write_set_digest, commit_evidence, claims_digest } = leaf_components;
  const leaf = sha256(concat(fromHex(write_set_digest), sha256(toUtf8(commit_evidence)), fromHex(claims_digest)));
  const [{ left, right }, ...rest] = proof;
  const parent = sha256(left === undefined ? concat(leaf, fromHex(right)) : concat(fromHex(left), leaf));
  for (const forged of [{ leaf: toHex(leaf), proof }, { leaf: toHex(parent), proof: rest }]) {
    const receipt = parseReceipt(JSON.stringify({ ...members, ...forged }));
    const { verdict, reason, steps } = verifyReceipt(noblePrimitives, receipt, service, {});
    assert.equal(verdict, "refused");
    assert.match(reason!, /^leaf: /);
    assert.equal(steps.find(({ name }) => name === "signature")!.result, "verified");
  }
});

Deno.test("verifyReceipt() accepts an older service key's endorsement, and no node's", () => {
  const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
  const validity = validityOfDays(Date.UTC(2026, 0), 30);
  const [serviceKey, olderKey, nodeKey] = [0, 1, 2].map(() => generateEcPrivateKey("P-384", random));
  const subject = nameFromConfiguration("CN=CCF Network");
  const certify = (fields: CertificateFields, key: EcPrivateKey) => parseCertificate(signCertificate(fields, key));
  const selfSigned = (key: EcPrivateKey) =>
    certify(serviceCertificate({ key: key.publicKey, subject, validity, serial: randomSerial(random) }), key);
  const service = selfSigned(serviceKey!);
  const endorse = (key: EcPrivateKey, ca: boolean, issuer: Certificate, issuerKey: EcPrivateKey) =>
    certify({
      ...selfSigned(key),
      issuer: issuer.subject,
      extensions: [basicConstraintsExtension({ ca, pathLength: undefined })],
      serial: randomSerial(random),
      signatureAlgorithm: issuer.signatureAlgorithm,
    }, issuerKey);
  for (const ca of [true, false]) {
    const older = endorse(olderKey!, ca, service, serviceKey!);
    const node = endorse(nodeKey!, false, older, olderKey!);
    const root = random(32);
    const receipt: Receipt = {
      certificatePem: serialiseCertificatePem(node.der),
      nodeId: toHex(noblePrimitives.sha256(node.spki)),
      signature: serialiseDerSignature(ecdsaSignDigest(nodeKey!, root)),
      proof: [],
      leaf: { kind: "digest", digest: root },
      serviceEndorsementsPem: [serialiseCertificatePem(older.der)],
    };
    const verdict = verifyReceipt(noblePrimitives, receipt, serialiseCertificatePem(service.der), {});
    assert.equal(verdict.verdict, ca ? "verified" : "refused", verdict.reason);
    if (!ca) assert.match(verdict.reason!, /^endorsement: /);
  }
});

teamTest("verifyReceipt() refuses a receipt with any one character of a digest, key or signature changed", () => {
  const { bytes, service } = recorded(0, ".json").find(({ name }) => name === "2.16.json")!;
  const text = fromUtf8(bytes);
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.constantFrom(..."0123456789abcdefABZ+/"), (at, char) => {
      fc.pre(/[0-9a-fA-Z+/]/.test(text[at]!) && text[at] !== char);
      const changed = text.slice(0, at) + char + text.slice(at + 1);
      let receipt;
      try {
        receipt = parseReceipt(changed);
      } catch (error) {
        assert(error instanceof FormatError, String(error));
        return;
      }
      // The node ID may be written in capitals, and names of JSON members that are not known do not count.
      if (serialiseReceipt(receipt) === text) return;
      assert.equal(
        verifyReceipt(noblePrimitives, receipt, service, {}).verdict,
        "refused",
        changed.slice(at - 20, at + 20),
      );
    }),
    { numRuns: 60 },
  );
});

teamTest("parseCoseReceipt() and buildCoseReceipt() give back every COSE receipt of a CCF node, byte for byte", () => {
  for (const epoch of epochs) {
    for (const { bytes, name } of recorded(epoch, ".cose")) {
      const { message, proofs } = parseCoseReceipt(bytes);
      assert.equal(toHex(serialiseCoseSign1(message)), toHex(bytes), name);
      const signature = { ...message, unprotectedHeader: new Map() };
      assert.equal(toHex(buildCoseReceipt(signature, proofs[0]!)), toHex(bytes), name);
    }
  }
});

teamTest("verifyCoseReceipt() verifies COSE receipts of the current service key, and refuses older ones", () => {
  for (const epoch of epochs) {
    const receipts = recorded(epoch, ".cose");
    // A COSE receipt keeps the signature of its time: after a recovery the older key has to be proved separately (§7.3).
    const currentView = 2 + 2 * epoch;
    let current = 0;
    for (const { bytes, name, service } of receipts) {
      const { verdict, reason } = verifyCoseReceipt(noblePrimitives, parseCoseReceipt(bytes), service, {});
      if (name.startsWith(`${currentView}.`)) {
        assert.equal(verdict, "verified", `epoch ${epoch}, ${name}: ${reason}`);
        current++;
      } else {
        assert.match(reason!, /^key: /, `epoch ${epoch}, ${name}`);
      }
    }
    assert(current > 0);
  }
});

teamTest("verifyCoseReceipt() refuses a receipt with any bit of it changed", () => {
  const { bytes, service } = recorded(0, ".cose").find(({ name }) => name === "2.16.cose")!;
  fc.assert(
    fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
      const changed = bytes.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      try {
        assert.equal(verifyCoseReceipt(noblePrimitives, parseCoseReceipt(changed), service, {}).verdict, "refused");
      } catch (error) {
        assert(error instanceof FormatError, String(error));
      }
    }),
    { numRuns: 100 },
  );
});

const digest = toHex(new Uint8Array(32));
const minimal = {
  cert: "",
  leaf_components: { claims_digest: digest, commit_evidence: "ce:2.4:00", write_set_digest: digest },
  node_id: "",
  proof: [{ left: digest }],
  signature: "",
};

for (
  const [what, change, message] of [
    ["no leaf", { leaf_components: undefined }, /must have one of "leaf_components", "leaf" and "root_hex"/],
    ["two leaves", { leaf: digest }, /must have one of/],
    ["a step with both sides", { proof: [{ left: digest, right: digest }] }, /either "left" or "right"/],
    ["a step with no side", { proof: [{}] }, /either "left" or "right"/],
    ["a short hash", { proof: [{ left: "00" }] }, /a step of its proof must be 32 bytes and has 1/],
    ["a hash that is not hex", { proof: [{ left: "zz" }] }, /as hex/],
    ["a long proof", { proof: Array(65).fill({ left: digest }) }, /its proof has 65 steps/],
    ["a signature that is not base64", { signature: "*" }, /as base64/],
    ["a number for a certificate", { cert: 1 }, /\/cert/],
  ] as const
) {
  Deno.test(`parseReceipt() refuses ${what}`, () => {
    assert.throws(() => parseReceipt(JSON.stringify({ ...minimal, ...change })), (error) => {
      assert(error instanceof FormatError);
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("parseReceipt() answers a receipt or throws FormatError, whatever the text", () => {
  const text = JSON.stringify(minimal);
  fc.assert(fc.property(fc.nat(text.length), fc.nat(4), fc.string({ maxLength: 4 }), (at, cut, put) => {
    try {
      parseReceipt(text.slice(0, at) + put + text.slice(at + cut));
    } catch (error) {
      assert(error instanceof FormatError, String(error));
    }
  }));
});

Deno.test("parseCoseReceipt() answers a receipt or throws FormatError, whatever the bytes", () => {
  const seed = fromHex(`d28440a119018ca1208158a0${"00".repeat(20)}f640`);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(seed.length), (tail, keep) => {
    try {
      parseCoseReceipt(new Uint8Array([...seed.subarray(0, keep), ...tail]));
    } catch (error) {
      assert(error instanceof FormatError, String(error));
    }
  }));
});
