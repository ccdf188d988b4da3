import assert from "node:assert/strict";
import fc from "fast-check";
import { fuzzDecoder, mutatedText } from "../../tests/mutations.ts";
import { didOf, UVM_EKU, uvmSigner } from "../../tests/uvm_documents.ts";
import { toBase64Url, toUtf8 } from "../bytes.ts";
import { hash } from "../crypto/hashes.ts";
import type { Certificate } from "../crypto/x509.ts";
import { extendedKeyUsageExtension, type SubjectAltName, subjectAltNameExtension } from "../crypto/x509_extensions.ts";
import { MAX_DID_CHARACTERS, MAX_DID_PREDICATES } from "../limits.ts";
import { authorityRefusal, parseDidX509, predicatesRefusal } from "./did_x509.ts";

const FINGERPRINT = "I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s";
const MICROSOFT = `did:x509:0:sha256:${FINGERPRINT}::eku:${UVM_EKU}`;

/** Of a leaf with this subject and these extensions: why it is not what the predicates want, if it is not. */
function judge(predicates: string, leaf: Certificate): string | undefined {
  return predicatesRefusal(parseDidX509(didOf(leaf, predicates)), leaf)?.code;
}

Deno.test("parseDidX509() reads the issuer of Azure's endorsements", () => {
  const { hash, fingerprint, predicates } = parseDidX509(MICROSOFT);
  assert.deepEqual([hash, toBase64Url(fingerprint)], ["SHA-256", FINGERPRINT]);
  assert.deepEqual(predicates, [{ kind: "eku", oid: UVM_EKU }]);
});

Deno.test("parseDidX509() reads every kind of predicate, decoding what is percent-encoded", () => {
  const { predicates } = parseDidX509(
    `did:x509:0:sha256:${FINGERPRINT}::subject:C:US:ST:Z%C3%BCrich:1.2.3:a%3Ab::san:email:bob%40example.com` +
      "::fulcio-issuer:accounts.google.com%2Fx::san:uri:https%3A%2F%2Fexample.com",
  );
  assert.deepEqual(predicates, [
    { kind: "subject", values: new Map([["2.5.4.6", "US"], ["2.5.4.8", "Zürich"], ["1.2.3", "a:b"]]) },
    { kind: "san", type: "email", value: "bob@example.com" },
    { kind: "fulcio-issuer", url: "https://accounts.google.com/x" },
    { kind: "san", type: "uri", value: "https://example.com" },
  ]);
  const [street] = parseDidX509(`did:x509:0:sha256:${FINGERPRINT}::subject:STREET:x:S:y`).predicates;
  assert.deepEqual(street, { kind: "subject", values: new Map([["2.5.4.9", "x"], ["2.5.4.8", "y"]]) });
});

Deno.test("parseDidX509() refuses what is no DID of this method", () => {
  const shape = 'it must look like "did:x509:0:sha256:FINGERPRINT::eku:OID"';
  const start = `did:x509:0:sha256:${FINGERPRINT}`;
  const table: readonly [did: string, problem: string][] = [
    ["", shape],
    [`DID:x509:0:sha256:${FINGERPRINT}::eku:1.2`, shape],
    [`did:web:0:sha256:${FINGERPRINT}::eku:1.2`, shape],
    ["did:x509:0:sha256::eku:1.2", shape],
    [`${start}:more::eku:1.2`, shape],
    [`did:x509:1:sha256:${FINGERPRINT}::eku:1.2`, 'version "1" of did:x509 is not known'],
    [`did:x509:0:sha1:${FINGERPRINT}::eku:1.2`, 'the hash "sha1" is not known'],
    [`did:x509:0:toString:${FINGERPRINT}::eku:1.2`, 'the hash "toString" is not known'],
    [start, `it has 0 predicates and must have 1 to ${MAX_DID_PREDICATES}`],
    [start + "::eku:1.2".repeat(17), `it has 17 predicates and must have 1 to ${MAX_DID_PREDICATES}`],
    [`did:x509:0:sha384:${FINGERPRINT}::eku:1.2`, "its fingerprint has 32 bytes and must have 48"],
    ["did:x509:0:sha256:AAAA::eku:1.2", "its fingerprint has 3 bytes and must have 32"],
    [`${start}::`, 'the predicate "" is not known'],
    [`${start}::eku:1.2:3`, 'the predicate "eku:1.2:3" is not known'],
    [`${start}::eku:x`, 'the predicate "eku:x" is not known'],
    [`${start}::email:x`, 'the predicate "email:x" is not known'],
    [`${start}::san:dn:x`, 'the predicate "san:dn:x" is not known'],
    [`${start}::san:toString:x`, 'the predicate "san:toString:x" is not known'],
    [`${start}::san:email`, 'the predicate "san:email" is not known'],
    [`${start}::subject:CN`, 'the predicate "subject:CN" is not known'],
    [`${start}::subject:DC:x`, 'the attribute "DC" is not known'],
    [`${start}::subject:CN:x:CN:x`, "it wants CN twice"],
    [`${start}::subject:S:x:ST:x`, "it wants ST twice"],
    [`${start}::subject:CN:a b`, 'the value "a b" is empty or not percent-encoded'],
    [`${start}::subject:CN:a%2`, 'the value "a%2" is empty or not percent-encoded'],
    [`${start}::subject:CN:`, 'the value "" is empty or not percent-encoded'],
    [`${start}::subject:CN:a#0`, 'the value "a#0" is empty or not percent-encoded'],
    [`${start}::eku:1.2${"x".repeat(MAX_DID_CHARACTERS)}`, `it is longer than ${MAX_DID_CHARACTERS} characters`],
  ];
  for (const [did, problem] of table) {
    const shown = JSON.stringify(did.length > 60 ? `${did.slice(0, 60)}…` : did);
    assert.throws(() => parseDidX509(did), {
      name: "FormatError",
      message: `Cannot read ${shown} as a did:x509: ${problem}`,
    });
  }
  // Bits beyond the last byte; text that is not UTF-8.
  assert.throws(() => parseDidX509(`${start.slice(0, -1)}t::eku:1.2`), { name: "FormatError" });
  assert.throws(() => parseDidX509(`${start}::subject:CN:%ff`), { name: "FormatError" });
});

Deno.test("authorityRefusal() finds intermediates and roots by any of three hashes, and never the leaf", () => {
  const { chain } = uvmSigner();
  const [leaf, middle, root] = chain;
  for (const authority of [middle, root]) {
    for (const [name, hashName] of [["sha256", "SHA-256"], ["sha384", "SHA-384"], ["sha512", "SHA-512"]] as const) {
      const did = `did:x509:0:${name}:${toBase64Url(hash(hashName, authority.der))}::eku:${UVM_EKU}`;
      assert.equal(authorityRefusal(parseDidX509(did), chain), undefined);
    }
  }
  assert.equal(authorityRefusal(parseDidX509(didOf(leaf)), chain)?.code, "did_mismatch");
  assert.equal(authorityRefusal(parseDidX509(didOf(root)), [leaf, middle])?.code, "did_mismatch");
  assert.equal(authorityRefusal(parseDidX509(MICROSOFT), chain)?.code, "did_mismatch");
});

Deno.test("predicatesRefusal() compares purposes, whole attributes and alternative names of the signer", () => {
  const names: readonly SubjectAltName[] = [
    { kind: "rfc822Name", value: "bob@example.com" },
    { kind: "dNSName", value: "example.com" },
    { kind: "iPAddress", value: "127.0.0.1" },
    { kind: "uniformResourceIdentifier", value: "https://example.com/x" },
  ];
  const fulcio = { oid: "1.3.6.1.4.1.57264.1.1", critical: false, value: toUtf8("https://accounts.google.com") };
  const extensions = [extendedKeyUsageExtension("1.2.3", UVM_EKU), subjectAltNameExtension(names), fulcio];
  const leaf = uvmSigner({ extensions, subject: "C=US,O=Example Corporation,CN=x,CN=y,1.2.4=z" }).chain[0];
  const good = [
    "eku:1.2.3",
    `eku:${UVM_EKU}::eku:1.2.3`,
    "subject:C:US",
    "subject:O:Example%20Corporation:C:US",
    "subject:1.2.4:z",
    "subject:2.5.4.6:US",
    "san:email:bob%40example.com",
    "san:dns:example.com::san:uri:https%3A%2F%2Fexample.com%2Fx",
    "fulcio-issuer:accounts.google.com",
  ];
  assert.deepEqual(good.map((predicates) => judge(predicates, leaf)), good.map(() => undefined));
  const bad: readonly [predicates: string, code: string][] = [
    ["eku:1.2", "eku_mismatch"],
    ["eku:1.2.3::eku:1.2.3.4", "eku_mismatch"],
    ["subject:O:Example", "did_mismatch"],
    ["subject:O:example%20corporation", "did_mismatch"],
    ["subject:C:US:OU:x", "did_mismatch"],
    // Twice in the name.
    ["subject:CN:x", "did_mismatch"],
    ["san:uri:bob%40example.com", "did_mismatch"],
    ["san:email:bob", "did_mismatch"],
    ["san:dns:127.0.0.1", "did_mismatch"],
    ["fulcio-issuer:accounts.google.com%2F", "did_mismatch"],
  ];
  for (const [predicates, code] of bad) assert.equal(judge(predicates, leaf), code, predicates);
  const plain = uvmSigner({ extensions: [] }).chain[0];
  const missing = ["eku:1.2.3", "san:dns:example.com", "fulcio-issuer:x"].map((predicates) => judge(predicates, plain));
  assert.deepEqual(missing, ["eku_mismatch", "did_mismatch", "did_mismatch"]);
});

Deno.test("predicatesRefusal() refuses a signer whose extension cannot be read", () => {
  const broken = { oid: "2.5.29.37", critical: false, value: Uint8Array.of(0x30, 0x05) };
  const leaf = uvmSigner({ extensions: [broken] }).chain[0];
  assert.equal(judge("eku:1.2.3", leaf), "eku_mismatch");
});

Deno.test("parseDidX509() answers or throws FormatError on changed text, and what it reads holds of what says it", () => {
  const subject = `did:x509:0:sha256:${FINGERPRINT}::subject:C:US:CN:a%20b::san:dns:x.y::fulcio-issuer:z`;
  fuzzDecoder(mutatedText(MICROSOFT, subject), parseDidX509, ({ fingerprint, predicates }) => {
    assert.equal(fingerprint.length, 32);
    assert.ok(predicates.length > 0);
  });
  const value = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 })
    .map((text) => [...text.replace(/[\ud800-\udfff\0]/gu, "")].slice(0, 40).join("")).filter((text) => text !== "");
  fc.assert(
    fc.property(value, value, (name, organisation) => {
      const escape = (text: string, mark: string) =>
        [...toUtf8(text)].map((byte) => `${mark}${byte.toString(16).padStart(2, "0")}`).join("");
      const { chain: [leaf] } = uvmSigner({ subject: `CN=${escape(name, "\\")},O=${escape(organisation, "\\")}` });
      assert.equal(judge(`subject:CN:${escape(name, "%")}:O:${escape(organisation, "%")}`, leaf), undefined);
      assert.equal(judge(`subject:CN:${escape(name, "%")}x`, leaf), "did_mismatch");
    }),
    { numRuns: 25 },
  );
});
