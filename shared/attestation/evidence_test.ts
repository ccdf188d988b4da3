import { strict as assert } from "node:assert";
import { dcapCase, type DcapVector, dcapVectors } from "../../tests/dcap_vectors.ts";
import { makeDcap } from "../../tests/dcap_machine.ts";
import { SNP_PINS } from "../../tests/snp_pki.ts";
import { teamTest } from "../../tests/team_data.ts";
import { toBase64, toHex, toUtf8 } from "../bytes.ts";
import { noblePrimitives as primitives } from "../crypto/primitives.ts";
import { parseQuote } from "./dcap/quote.ts";
import { type CheckedEvidence, type EvidenceAnchors, type QuotedEvidence, verifyEvidence } from "./evidence.ts";

/** Evidence as a node would send it; the platform is the one of the vector's kind. */
function quotedFrom(vector: DcapVector): { quoted: QuotedEvidence; at: number; anchors: EvidenceAnchors } {
  const { quote, collateral, at, pins } = dcapCase(vector);
  const format = vector.kind === "tdx" ? "Intel_TDX_v1" : "Intel_SGX_DCAP_v1";
  const endorsements = toBase64(toUtf8(JSON.stringify(collateral)));
  return { quoted: { format, quote: toBase64(quote), endorsements }, at, anchors: { amd: SNP_PINS, intel: pins } };
}

function check(vector: DcapVector): CheckedEvidence {
  const { quoted, at, anchors } = quotedFrom(vector);
  return verifyEvidence(quoted, { at, anchors }, primitives);
}

teamTest("quotes of TDX and SGX are judged as nodes send them: all but what members and keys decide", () => {
  const seen = { genuine: 0, refused: 0 };
  for (const vector of dcapVectors()) {
    const { id, policy, expect, files } = vector;
    // A vector's own policy, where it is laxer: a node must bring everything, and no buffer of anything but zeros.
    const isLax = ["allowMissingCrl", "noCollateral", "allowTrailing"].some((name) => name in policy);
    if (isLax || files.collateral === undefined) continue;
    const { outcome, code, reason, claims } = check(vector);
    seen[outcome === "genuine" ? "genuine" : "refused"]++;
    const { verdict, reasons = [] } = expect;
    // What is of no account here, but for a join policy or for a key.
    const isForOthers = reasons.some((one) => one === "tcb_status_unacceptable" || one === "report_data_mismatch");
    if (verdict === "accept" || isForOthers) {
      assert.equal(outcome, "genuine", `${id}: ${reason}`);
      assert(claims?.platform === "tdx" || claims?.platform === "sgx");
      const { tcbStatus } = expect as { tcbStatus?: string };
      if (tcbStatus !== undefined) assert.equal(claims.tcbStatuses[0], tcbStatus, id);
    } else {
      assert.equal(outcome, "refused", id);
      assert(reasons.includes(code!), `${id}: ${code} is none of ${reasons}`);
    }
  }
  assert(seen.genuine >= 10 && seen.refused >= 15, JSON.stringify(seen));
});

teamTest("quotes without revocation lists, or without any collateral, are no evidence for a node", () => {
  let refused = 0;
  for (const vector of dcapVectors()) {
    if (!("allowMissingCrl" in vector.policy || "noCollateral" in vector.policy)) continue;
    const { outcome, code } = check(vector);
    assert.equal(outcome, "refused", vector.id);
    assert(["missing_collateral", "malformed", "unsupported_cert_type"].includes(code!), `${vector.id}: ${code}`);
    refused++;
  }
  assert(refused >= 4, String(refused));
});

teamTest("Intel's own key is believed where nobody says otherwise, and no made-up one", () => {
  const real = dcapVectors().find(({ id }) => id === "tdx-v4-uptodate-a")!;
  const { quoted, at } = quotedFrom(real);
  assert.equal(verifyEvidence(quoted, { at }, primitives).outcome, "genuine");
  assert.equal(verifyEvidence(quoted, { at, anchors: { amd: SNP_PINS } }, primitives).outcome, "genuine");
  const { quote, collateral, at: madeAt } = makeDcap();
  const endorsements = toBase64(toUtf8(JSON.stringify(collateral)));
  const made: QuotedEvidence = { format: "Intel_TDX_v1", quote: toBase64(quote), endorsements };
  assert.equal(verifyEvidence(made, { at: madeAt }, primitives).code, "untrusted_root");
});

teamTest("the measurement of a domain is MRTD and the four RTMRs, that of an enclave MRENCLAVE", () => {
  for (
    const [id, length] of [["tdx-v4-uptodate-a", 240], ["tdx-v5-uptodate", 240], ["sgx-v3-confneeded", 32]] as const
  ) {
    const vector = dcapVectors().find((one) => one.id === id)!;
    const { claims } = check(vector);
    assert(claims?.platform === "tdx" || claims?.platform === "sgx");
    const { body } = parseQuote(dcapCase(vector).quote);
    const digests = body.kind === "sgx"
      ? [body.mrenclave]
      : [body.mrtd, body.rtmr0, body.rtmr1, body.rtmr2, body.rtmr3];
    assert.equal(toHex(claims.measurement), digests.map(toHex).join(""));
    assert.equal(claims.measurement.length, length);
    assert.deepEqual(claims.hostData, body.kind === "sgx" ? undefined : body.mrconfigid);
    assert.deepEqual(claims.reportData, body.reportData);
  }
});
