import assert from "node:assert/strict";
import fc from "fast-check";
import { loadNativePrimitives } from "../../enclave/native_primitives.ts";
import { mutated } from "../../tests/mutations.ts";
import { testOnBoth } from "../../tests/primitive_sets.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import {
  cwtDocument,
  didOf,
  type DocumentOptions,
  legacyDocument,
  UVM_FEED,
  UVM_MEASUREMENT,
  UVM_NOW_MS,
  uvmSigner,
} from "../../tests/uvm_documents.ts";
import { concat, toHex, toUtf8 } from "../bytes.ts";
import { type CborValue, encodeCbor } from "../crypto/cbor.ts";
import { noblePrimitives } from "../crypto/primitives.ts";
import { extendedKeyUsageExtension, keyUsageExtension } from "../crypto/x509_extensions.ts";
import { MAX_ENDORSEMENTS_BYTES } from "../limits.ts";
import { CCF_UVM_ROOTS, parseSvn, rootRefusal, type UvmPolicy, verifyUvm } from "./uvm.ts";

const SIGNER = uvmSigner();
const ROOTS = [{ did: SIGNER.did, feed: UVM_FEED, minSvn: 100 }];
const POLICY: UvmPolicy = { at: UVM_NOW_MS, roots: ROOTS, measurement: UVM_MEASUREMENT };

function check(document: Uint8Array, policy: Partial<UvmPolicy> = {}) {
  const { verdict, code, steps } = verifyUvm(document, { ...POLICY, ...policy }, noblePrimitives);
  const failed = steps.find((step) => step.result === "failed");
  return verdict === "verified" ? verdict : `${failed?.name}: ${code}`;
}

const judgeBoth = (options: DocumentOptions, policy: Partial<UvmPolicy> = {}) =>
  [cwtDocument(options), legacyDocument(options)].map((document) => check(document, policy));

Deno.test("verifyUvm() reads both layouts, and says the same of them", () => {
  for (const [layout, document] of [["cwt", cwtDocument()], ["legacy", legacyDocument()]] as const) {
    const { verdict, steps, endorsement } = verifyUvm(document, POLICY, noblePrimitives);
    assert.equal(verdict, "verified");
    assert.deepEqual(new Set(steps.map(({ result }) => result)), new Set(["verified"]));
    assert.deepEqual(endorsement, {
      layout,
      algorithm: -35,
      did: SIGNER.did,
      feed: UVM_FEED,
      contentType: "application/json",
      svn: 105,
      measurement: UVM_MEASUREMENT,
    });
  }
  assert.equal(check(legacyDocument({ svn: 105 })), "verified");
});

testOnBoth("verifyUvm() verifies signatures of each curve with its own algorithm only", (primitives) => {
  for (const [curve, algorithm, others] of [["P-256", -7, -35], ["P-384", -35, -36], ["P-521", -36, -7]] as const) {
    const signer = uvmSigner({ curve });
    const roots = [{ ...ROOTS[0]!, did: signer.did }];
    const verify = (more: DocumentOptions) =>
      verifyUvm(cwtDocument({ signer, ...more }), { ...POLICY, roots }, primitives);
    assert.equal(verify({ algorithm }).verdict, "verified");
    assert.equal(verify({ algorithm: others }).code, "bad_signature");
    assert.equal(verify({ algorithm: -37 }).code, "bad_signature");
    assert.equal(verify({ algorithm: -257 }).code, "unsupported_key_type");
  }
});

Deno.test("verifyUvm() compares measurement, issuer, feed and version with what is wanted", () => {
  assert.deepEqual(
    judgeBoth({}, { measurement: new Uint8Array(48) }),
    Array(2).fill("measurement: uvm_measurement_mismatch"),
  );
  const other = [{ ...ROOTS[0]!, did: CCF_UVM_ROOTS[0]!.did }];
  assert.deepEqual(judgeBoth({}, { roots: other }), Array(2).fill("root of trust: did_not_trusted"));
  assert.deepEqual(judgeBoth({}, { roots: [] }), Array(2).fill("root of trust: did_not_trusted"));
  assert.deepEqual(judgeBoth({ feed: "x" }), Array(2).fill("root of trust: feed_not_trusted"));
  assert.equal(check(cwtDocument({ svn: 99 })), "root of trust: svn_too_low");
  // As text "99" would be above "100".
  assert.equal(check(legacyDocument({ svn: "99" })), "root of trust: svn_too_low");
  assert.equal(check(legacyDocument({ svn: "100" })), "verified");
  assert.deepEqual(judgeBoth({ contentType: "text/plain" }), Array(2).fill("content type: content_type_unexpected"));
  const types = { contentTypes: ["application/json", "text/plain"] };
  assert.deepEqual(judgeBoth({ contentType: "text/plain" }, types), ["verified", "verified"]);
});

Deno.test("verifyUvm() lists as not checked what nobody asked for", () => {
  const { verdict, steps } = verifyUvm(cwtDocument({ feed: "x", svn: 0 }), { at: "ignore dates" }, noblePrimitives);
  assert.equal(verdict, "verified");
  assert.deepEqual(steps.filter(({ result }) => result === "not checked").map(({ name }) => name), [
    "measurement",
    "root of trust",
  ]);
});

Deno.test("verifyUvm() looks at the certificates' dates where it is given one", () => {
  const signer = uvmSigner({ notAfterMs: UVM_NOW_MS - 1000 });
  assert.equal(check(cwtDocument({ signer })), "certificates: cert_not_valid_at_time");
  assert.equal(check(cwtDocument({ signer }), { at: "ignore dates" }), "verified");
  assert.equal(check(cwtDocument({ signer }), { at: UVM_NOW_MS - 2000 }), "verified");
});

Deno.test("verifyUvm() refuses a signer that the issuer's DID does not name", () => {
  const [leaf, middle, root] = SIGNER.chain;
  const withDid = (did: string) => check(cwtDocument({ did }), { roots: [{ ...ROOTS[0]!, did }] });
  assert.equal(withDid(didOf(middle)), "verified");
  assert.equal(withDid(didOf(leaf)), "authority: did_mismatch");
  assert.equal(withDid(didOf(root, "eku:1.2.3")), "signer: eku_mismatch");
  assert.equal(withDid(didOf(root, "subject:CN:Signer:O:Test")), "verified");
  assert.equal(withDid(didOf(root, "subject:CN:Other")), "signer: did_mismatch");
  assert.equal(withDid("did:web:example.com"), "issuer: did_mismatch");
  const purposes = extendedKeyUsageExtension("1.3.6.1.4.1.311.76.59.1.2");
  const forUse = (use: "keyAgreement" | "keyEncipherment") =>
    check(cwtDocument({ signer: uvmSigner({ extensions: [keyUsageExtension(use), purposes] }) }));
  assert.deepEqual([forUse("keyAgreement"), forUse("keyEncipherment")], ["verified", "certificates: chain_invalid"]);
});

Deno.test("verifyUvm() wants the whole chain, in order, and nothing else", () => {
  const [leaf, middle, root] = SIGNER.chain.map(({ der }) => der);
  const stranger = uvmSigner({ curve: "P-256" }).chain[1].der;
  const chains = [[], [leaf], [leaf, root], [leaf, middle], [leaf, root, middle], [leaf, stranger, root]];
  for (const chain of chains) {
    assert.equal(check(cwtDocument({ chain: chain as Uint8Array[] })), "certificates: chain_invalid");
  }
  assert.equal(check(cwtDocument({ chain: Array(7).fill(leaf) })), "header: malformed");
  assert.equal(check(cwtDocument({ chain: [leaf!, middle!, toUtf8("x")] })), "header: malformed");
  assert.equal(check(cwtDocument({ more: new Map([[33, leaf!]]) })), "header: malformed");
});

Deno.test("verifyUvm() falls back to the older layout where the newer one is not complete", () => {
  const claims = new Map<number | string, string | number>([[1, SIGNER.did], [2, "another feed"]]);
  assert.equal(check(legacyDocument({ more: new Map([[15, claims]]) })), "verified");
  // With all of it the newer layout counts, whose payload is the measurement itself.
  const complete = new Map<number, string | typeof claims>([[15, claims.set("svn", 105)], [259, "application/json"]]);
  assert.equal(check(legacyDocument({ more: complete })), "payload: malformed");
  assert.equal(check(cwtDocument({ svn: -1 })), "header: malformed");
  assert.equal(check(cwtDocument({ svn: "105" })), "header: malformed");
});

Deno.test("verifyUvm() refuses documents and payloads that are none", () => {
  const document = cwtDocument();
  assert.equal(check(new Uint8Array()), "document: malformed");
  assert.equal(check(concat(document, Uint8Array.of(0))), "document: malformed");
  assert.equal(check(new Uint8Array(MAX_ENDORSEMENTS_BYTES + 1)), "document: malformed");
  assert.equal(check(cwtDocument({ more: new Map([[258, -16]]) })), "header: malformed");
  for (const more of [{ feed: "x".repeat(1025) }, { contentType: "x".repeat(1025) }, { did: "x".repeat(2049) }]) {
    assert.equal(check(cwtDocument(more)), "header: malformed");
  }
  assert.equal(check(cwtDocument({ payload: new Uint8Array(32) })), "payload: malformed");
  const measurement = toHex(UVM_MEASUREMENT);
  const payloads = [
    { "x-ms-sevsnpvm-launchmeasurement": measurement.toUpperCase(), "x-ms-sevsnpvm-guestsvn": "1" },
    { "x-ms-sevsnpvm-launchmeasurement": measurement.slice(2), "x-ms-sevsnpvm-guestsvn": "1" },
    { "x-ms-sevsnpvm-launchmeasurement": measurement.slice(1), "x-ms-sevsnpvm-guestsvn": "1" },
    { "x-ms-sevsnpvm-launchmeasurement": measurement },
    { "x-ms-sevsnpvm-guestsvn": "1" },
    { "x-ms-sevsnpvm-launchmeasurement": measurement, "x-ms-sevsnpvm-guestsvn": "1x" },
    { "x-ms-sevsnpvm-launchmeasurement": measurement, "x-ms-sevsnpvm-guestsvn": -1 },
    { "x-ms-sevsnpvm-launchmeasurement": measurement, "x-ms-sevsnpvm-guestsvn": 1.5 },
    null,
    [],
  ];
  for (const payload of payloads) {
    assert.equal(check(legacyDocument({ payload: toUtf8(JSON.stringify(payload)) })), "payload: malformed");
  }
  assert.equal(check(legacyDocument({ payload: UVM_MEASUREMENT })), "payload: malformed");
});

Deno.test("parseSvn() reads numbers and nothing that only begins with one", () => {
  assert.deepEqual(["0", "104", "0104", "9007199254740991"].map(parseSvn), [0, 104, 104, 9007199254740991]);
  for (const text of ["", " 1", "1 ", "-1", "1.0", "1e3", "0x1", "9007199254740992", "1".repeat(40)]) {
    assert.throws(() => parseSvn(text), { name: "FormatError", message: /as a security version number$/ });
  }
});

Deno.test("rootRefusal() knows CCF's roots of trust, which do not have the issuer of ContainerPlat 0.2.10", () => {
  const [{ did, feed }] = CCF_UVM_ROOTS as [typeof CCF_UVM_ROOTS[0]];
  assert.deepEqual(CCF_UVM_ROOTS.map((root) => root.minSvn), [104, 100, 1]);
  assert.equal(rootRefusal({ did, feed, svn: 100 }, CCF_UVM_ROOTS), undefined);
  assert.equal(rootRefusal({ did, feed, svn: 99 }, CCF_UVM_ROOTS)?.code, "svn_too_low");
  assert.equal(rootRefusal({ did, feed: "ConfAKS-AMD-UVM", svn: 200 }, CCF_UVM_ROOTS)?.code, "feed_not_trusted");
  assert.equal(rootRefusal({ did: did.replace(/2$/, "1"), feed, svn: 200 }, CCF_UVM_ROOTS)?.code, "did_not_trusted");
});

const verified = (document: Uint8Array) => verifyUvm(document, { at: "ignore dates" }, noblePrimitives);

Deno.test("verifyUvm() answers on changed documents, and believes none that says something else", () => {
  const documents = [cwtDocument(), legacyDocument()];
  const said = documents.map((document) => verified(document).endorsement);
  let refused = 0;
  fc.assert(
    fc.property(mutated(...documents), (document) => {
      const { verdict, endorsement } = verified(document);
      if (verdict === "refused") refused++;
      else assert.ok(said.some((one) => JSON.stringify(one) === JSON.stringify(endorsement)));
    }),
    { numRuns: 300 },
  );
  assert.ok(refused > 200, `${refused} of 300 were refused`);
});

Deno.test("verifyUvm() answers whatever stands in a header or payload that is signed all the same", () => {
  const scalar = fc.oneof(
    fc.integer(),
    fc.string({ unit: "grapheme", maxLength: 20 }).filter((text) => text.isWellFormed()),
    fc.constantFrom<CborValue>(null, true, SIGNER.did, UVM_FEED, "application/json", new Map(), new Map([[1, 1]])),
    fc.uint8Array({ maxLength: 60 }),
    fc.constantFrom<CborValue>(...SIGNER.chain.map(({ der }) => der)),
  );
  const value: fc.Arbitrary<CborValue> = fc.oneof(scalar, fc.array(scalar, { maxLength: 4 }));
  const claims = fc.array(fc.tuple(fc.constantFrom<number | string>(1, 2, 6, "svn"), value), { maxLength: 4 })
    .map((entries): CborValue => new Map(entries));
  const label = fc.constantFrom<number | string>(1, 3, 15, 33, 34, 258, 259, "iss", "feed", "signingtime");
  const more = fc.array(fc.tuple(label, fc.oneof(value, claims)), { maxLength: 3 }).map((entries) => new Map(entries));
  const payload = fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.json().map(toUtf8), fc.constant(undefined));
  const results = new Set<string>();
  fc.assert(fc.property(fc.boolean(), more, payload, (isCwt, more, payload) => {
    const make = isCwt ? cwtDocument : legacyDocument;
    results.add(check(make({ signer: SIGNER, more, ...(payload && { payload }) })));
  }));
  assert.ok(results.size > 1, [...results].join());
});

Deno.test("verifyUvm() refuses a single changed bit in any byte of a document without an unprotected header", async () => {
  const primitives = await loadNativePrimitives();
  const document = cwtDocument({ signer: uvmSigner({ curve: "P-256" }) });
  const refusals = new Map<string, number>();
  for (const at of document.keys()) {
    const changed = document.slice();
    changed[at]! ^= 1 << (at % 8);
    const { verdict, code, endorsement } = verifyUvm(changed, { at: "ignore dates" }, primitives);
    assert.equal(verdict, "refused", `bit ${at % 8} of byte ${at} makes ${JSON.stringify(endorsement)}`);
    refusals.set(code!, (refusals.get(code!) ?? 0) + 1);
  }
  for (const code of ["malformed", "chain_invalid", "did_mismatch", "bad_signature"]) {
    assert.ok((refusals.get(code) ?? 0) > 20, `${code}: ${refusals.get(code)}`);
  }
});

teamTest("verifyUvm() believes what Azure has signed, whatever the date, and every byte of it counts", () => {
  const files: readonly [file: string, algorithm: number, svn: number, layout: string][] = [
    ["rsa_test1.cose", -38, 100, "legacy"],
    ["ecdsa_test1.cose", -38, 1, "legacy"],
    ["uvm_0.2.10.cose", -37, 104, "cwt"],
    ["scitt_uvm_0.2.10.cose", -38, 104, "cwt"],
  ];
  for (const [file, algorithm, svn, layout] of files) {
    const document = Deno.readFileSync(teamData(`attestation/vectors/uvm/${file}`));
    const contentTypes = ["application/json", "application/octet-stream"];
    const verify = (bytes: Uint8Array, measurement?: Uint8Array) =>
      verifyUvm(bytes, { at: "ignore dates", contentTypes, ...(measurement && { measurement }) }, noblePrimitives);
    const { verdict, endorsement } = verify(document);
    assert.deepEqual([verdict, endorsement.algorithm, endorsement.svn, endorsement.layout], [
      "verified",
      algorithm,
      svn,
      layout,
    ]);
    assert.equal(verify(document, endorsement.measurement).verdict, "verified");
    assert.equal(verify(document, UVM_MEASUREMENT).code, "uvm_measurement_mismatch");
    // Of the protected header a bit in every 97th byte; what follows it in the legacy layout nobody signed.
    for (let at = 2; at < 4900; at += 97) {
      const changed = document.slice();
      changed[at]! ^= 0x10;
      assert.equal(verify(changed).verdict, "refused", `byte ${at} of ${file}`);
    }
  }
});

Deno.test("verifyUvm() refuses a message without its payload", () => {
  const protectedBytes = encodeCbor(new Map([[1, -7]]));
  const detached = concat(
    Uint8Array.of(0xd2, 0x84),
    encodeCbor(protectedBytes),
    Uint8Array.of(0xa0, 0xf6),
    encodeCbor(new Uint8Array(64)),
  );
  assert.equal(check(detached), "document: malformed");
});
