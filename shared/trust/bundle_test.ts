import { strict as assert } from "node:assert";
import { FormatError } from "../assert.ts";
import { noblePrimitives as primitives } from "../crypto/primitives.ts";
import { toHex } from "../bytes.ts";
import { fuzzDecoder, mutatedText } from "../../tests/mutations.ts";
import { ANCHORS, certificateOf, MOMENT, snpEvidenceFor, TrustForge } from "../../tests/trust_forge.ts";
import { climb } from "./ladder.ts";
import { TrustFold } from "./trust_fold.ts";
import { type EvidenceBundle, parseBundle, serialiseBundle, splitLedger } from "./bundle.ts";

const forge = new TrustForge(primitives).start();

const BUNDLE: EvidenceBundle = {
  evidence: { ...snpEvidenceFor(forge.node), uvm_endorsements: "AAAA", endorsed_tcb: "db18000000000104" },
  nodeCertificate: certificateOf(forge.node),
  revocationList: Uint8Array.of(0x30, 0),
  entries: forge.entries,
  source: "https://127.0.0.1:8000",
  savedAtMs: MOMENT,
};

function refusal(json: string): string {
  try {
    parseBundle(json);
  } catch (error) {
    if (error instanceof FormatError) return error.message;
    throw error;
  }
  return "accepted";
}

Deno.test("a bundle is read as it was written", () => {
  const read = parseBundle(serialiseBundle(BUNDLE));
  assert.deepEqual(read.evidence, BUNDLE.evidence);
  assert.equal(toHex(read.nodeCertificate!), toHex(BUNDLE.nodeCertificate!));
  assert.equal(toHex(read.revocationList!), "3000");
  assert.deepEqual(read.entries!.map(toHex), forge.entries.map(toHex));
  assert.deepEqual([read.source, read.savedAtMs], [BUNDLE.source, MOMENT]);
  const least = parseBundle(serialiseBundle({ evidence: snpEvidenceFor(forge.node) }));
  assert.deepEqual(least, { evidence: snpEvidenceFor(forge.node) });
});

Deno.test("what a node answers about itself is read as evidence", () => {
  const { quote, endorsements, format } = snpEvidenceFor(forge.node);
  const answer = { format, raw: quote, endorsements, node_id: forge.node.id, measurement: "00" };
  assert.deepEqual(parseBundle(JSON.stringify(answer)), {
    evidence: { format, quote, endorsements },
    nodeId: forge.node.id,
  });
  assert.match(refusal(JSON.stringify({ ...answer, node_id: "x" })), /node ID is not 64 hex digits/);
});

Deno.test("what is no bundle is refused with a reason", () => {
  const json = JSON.parse(serialiseBundle(BUNDLE));
  const table: readonly [unknown, RegExp][] = [
    [[], /an object/],
    [{}, /neither a bundle nor what a node answers/],
    [{ ...json, version: 2 }, /version 2/],
    [{ ...json, evidence: { ...json.evidence, format: "other" } }, /evidence\/format/],
    [{ ...json, saved_at: "yesterday" }, /its time is none/],
    [{ ...json, ledger: "AAEC" }, /Cannot read/],
    [{ ...json, ledger: json.ledger.slice(0, -8) }, /the last one is cut short|Cannot read/],
    [{ ...json, node_certificate: "*" }, /base64/],
  ];
  for (const [value, reason] of table) assert.match(refusal(JSON.stringify(value)), reason);
  assert.match(refusal("{"), /as JSON/);
});

Deno.test("entries back to back are split where each ends, or refused", () => {
  const bytes = forge.bytes;
  assert.deepEqual(splitLedger(bytes).map(toHex), forge.entries.map(toHex));
  assert.deepEqual(splitLedger(new Uint8Array()), []);
  assert.throws(() => splitLedger(bytes.subarray(0, bytes.length - 1)), FormatError);
});

Deno.test("nothing that is read as a bundle surprises the reader", () => {
  const small = serialiseBundle({ ...BUNDLE, entries: forge.entries.slice(0, 1) });
  fuzzDecoder(mutatedText(small), parseBundle);
});

Deno.test("whatever is read as a bundle is climbed to a verdict, and never to the one of the right bundle", () => {
  const climbed = (bundle: EvidenceBundle) => {
    const { evidence, nodeId, nodeCertificate: der } = bundle;
    const fold = new TrustFold({ primitives, mode: "strict", anchors: ANCHORS });
    if (bundle.entries?.every((entry) => fold.add(entry))) fold.finish();
    const peer = der && { der, connection: "recorded" as const };
    return climb({ primitives, evidence, nodeId, peer, ledger: fold, at: MOMENT, upTo: "network", anchors: ANCHORS });
  };
  const evidence = snpEvidenceFor(forge.node);
  const right: EvidenceBundle = { evidence, nodeCertificate: certificateOf(forge.node), entries: forge.entries };
  assert.equal(climbed(right).verdict, "verified");
  const same = serialiseBundle(right);
  fuzzDecoder(mutatedText(same), parseBundle, (bundle) => {
    // Another way to write the same, or other bytes of the last signature's frame, which nothing covers.
    const isSame = serialiseBundle({ ...bundle, entries: (bundle.entries ?? []).slice(0, -1) }) ===
      serialiseBundle({ ...right, entries: forge.entries.slice(0, -1) });
    assert.ok(["verified", "refused"].includes(climbed(bundle).verdict));
    if (!isSame) assert.equal(climbed(bundle).verdict, "refused");
  }, 100);
});
