/**
 * Requests to join with quotes of Intel's TDX and SGX: what lets a node in, and for each thing that is wrong what the client
 * is told and what the log says. CCF knows neither.
 */

import { strict as assert } from "node:assert";
import fc from "fast-check";
import { concat, fromBase64, toBase64 } from "../../shared/bytes.ts";
import type { CertificateFields } from "../../shared/crypto/x509_build.ts";
import { NODES_INFO } from "../../shared/governance/tables.ts";
import { makeDcap } from "../../tests/dcap_machine.ts";
import {
  askToJoin,
  type BadEvidence,
  BETWEEN_CHECKS_MS,
  dcapEvidence,
  type DcapParts,
  flipped,
  HARDWARE_NOW_MS,
  hardwareService,
  joiner,
  letIn,
  MRENCLAVE,
  OTHER_KEY,
  OTHER_KEY_HASH,
  QUOTE_BODY,
  refuseAll,
  snpEvidence,
  TDX_MEASUREMENT,
  UNLISTED_HOST_DATA,
  UNLISTED_MEASUREMENT,
  UNVERIFIED,
} from "../../tests/hardware_joiner.ts";
import { mutated } from "../../tests/mutations.ts";
import { SNP_LEAF_KEY } from "../../tests/snp_pki.ts";

Deno.test("a node with a quote of TDX or SGX is let in, with the measurement of its platform", async () => {
  const { node } = await hardwareService();
  const evidence = dcapEvidence();
  const row = letIn(node, evidence);
  assert.deepEqual([row.status, row.code_digest, row.quote_info], ["Pending", TDX_MEASUREMENT, evidence]);
  assert.equal(letIn(node, dcapEvidence({ version: 5, kind: "td15" })).code_digest, TDX_MEASUREMENT);
  assert.equal(letIn(node, dcapEvidence({ version: 3, kind: "sgx" })).code_digest, MRENCLAVE);
  assert.equal(letIn(node, dcapEvidence({ version: 4, kind: "sgx" })).code_digest, MRENCLAVE);
  // Zeros behind a quote are the rest of a driver's buffer.
  const padded = dcapEvidence({ change: ({ quote }) => ({ quote: concat(quote, new Uint8Array(70)) }) });
  assert.equal(letIn(node, padded).status, "Pending");
});

Deno.test("of quotes of TDX and SGX everything wrong has a reason of its own in the log", async () => {
  refuseAll((await hardwareService()).node, dcapRows());
});

Deno.test("changed quotes and collateral are refused, or say the same in other words", async () => {
  const { node } = await hardwareService();
  const good = dcapEvidence();
  const [quote, collateral] = [fromBase64(good.quote), fromBase64(good.endorsements)];
  let refused = 0;
  const check = (quoteInfo: typeof good) => {
    node.advance(BETWEEN_CHECKS_MS);
    const { status } = askToJoin(node, quoteInfo);
    assert([200, 401].includes(status), String(status));
    if (status === 401) return void refused++;
    // Chains in PEM, and JSON around what is signed, may have other white space; what they say is the same.
    const row = node.enclave.node!.store.beginReadOnly().open(NODES_INFO).get(joiner.id)!;
    assert.equal(row.code_digest, TDX_MEASUREMENT);
    node.write((tx) => tx.open(NODES_INFO).remove(joiner.id));
  };
  fc.assert(
    fc.property(mutated(quote), (bytes) => check({ ...good, quote: toBase64(bytes) })),
    { numRuns: 100 },
  );
  fc.assert(
    fc.property(mutated(collateral), (bytes) => check({ ...good, endorsements: toBase64(bytes) })),
    { numRuns: 100 },
  );
  assert.equal(node.fatal, undefined);
  assert(refused > 100, `${refused} refused`);
});

function dcapRows(): BadEvidence[] {
  const sgx = { kind: "sgx", version: 3 } as const;
  const collateral = (change: object): DcapParts => ({
    change: (made) => ({ collateral: { ...made.collateral, ...change } }),
  });
  const quote = (change: (quote: Uint8Array) => Uint8Array): DcapParts => ({
    change: (made) => ({ quote: change(made.quote) }),
  });
  const other = makeDcap({ certificate: (_, fields) => ({ ...fields, serial: Uint8Array.of(9) }) });
  return [
    [
      "truncated",
      dcapEvidence(quote((bytes) => bytes.slice(0, -1))),
      UNVERIFIED,
      /quote structure: .*\(evidence: malformed\)$/,
    ],
    [
      "shorter than a header",
      dcapEvidence(quote((bytes) => bytes.slice(0, 47))),
      UNVERIFIED,
      /47 bytes.*\(evidence: malformed\)$/,
    ],
    [
      "with something behind it",
      dcapEvidence(quote((bytes) => concat(bytes, Uint8Array.of(0, 1)))),
      UNVERIFIED,
      /\(evidence: trailing_bytes\)$/,
    ],
    [
      "of a version to come",
      dcapEvidence(quote((bytes) => bytes.map((byte, i) => i === 0 ? 6 : byte))),
      UNVERIFIED,
      /\(evidence: unsupported_version\)$/,
    ],
    [
      "of TDX, said to be of SGX",
      dcapEvidence({ format: "Intel_SGX_DCAP_v1" }),
      UNVERIFIED,
      /of TDX, and said to be Intel_SGX_DCAP_v1 \(evidence: wrong_platform\)$/,
    ],
    [
      "of SGX, said to be of TDX",
      dcapEvidence({ ...sgx, format: "Intel_TDX_v1" }),
      UNVERIFIED,
      /not of TDX, and said to be Intel_TDX_v1 \(evidence: wrong_platform\)$/,
    ],
    ["without collateral", { ...dcapEvidence(), endorsements: "" }, UNVERIFIED, /\(evidence: malformed\)$/],
    [
      "with certificates in the place of collateral",
      { ...dcapEvidence(), endorsements: snpEvidence().endorsements },
      UNVERIFIED,
      /as JSON \(evidence: malformed\)$/,
    ],
    [
      "with collateral that lacks a part",
      dcapEvidence(collateral({ tcb_info: undefined })),
      UNVERIFIED,
      /tcb_info".*\(evidence: malformed\)$/,
    ],
    [
      "with a bomb of JSON",
      dcapEvidence(collateral({ tcb_info: "[".repeat(20_000) })),
      UNVERIFIED,
      /collateral: .*\(evidence: malformed\)$/,
    ],
    [
      "without the root's list",
      dcapEvidence(collateral({ root_ca_crl: null })),
      UNVERIFIED,
      /root CRL: .*\(evidence: missing_collateral\)$/,
    ],
    [
      "without the platform's list",
      dcapEvidence(collateral({ pck_crl: null })),
      UNVERIFIED,
      /PCK CRL: .*\(evidence: missing_collateral\)$/,
    ],
    [
      "with a revoked platform",
      dcapEvidence({ revokedByPckCa: [3] }),
      UNVERIFIED,
      /PCK CRL: .*\(evidence: cert_revoked\)$/,
    ],
    [
      "with a revoked authority",
      dcapEvidence({ revokedByRoot: [2] }),
      UNVERIFIED,
      /root CRL: .*\(evidence: cert_revoked\)$/,
    ],
    [
      "with collateral of another time",
      dcapEvidence({ tcbInfo: (info) => (info.nextUpdate = "2026-06-10T00:00:00Z") }),
      UNVERIFIED,
      /TCB info: .*\(evidence: collateral_expired\)$/,
    ],
    [
      "with collateral of the future",
      dcapEvidence({ qeIdentity: (id) => (id.issueDate = "2026-06-20T00:00:00Z") }),
      UNVERIFIED,
      /QE identity: .*\(evidence: collateral_not_yet_valid\)$/,
    ],
    [
      "with collateral for other platforms",
      dcapEvidence({ tcbInfo: (info) => (info.fmspc = "000000000000") }),
      UNVERIFIED,
      /\(evidence: collateral_mismatch\)$/,
    ],
    [
      "with collateral that was changed",
      dcapEvidence({
        change: ({ collateral }) => ({
          collateral: { ...collateral, tcb_info: collateral.tcb_info.replace("OutOfDate", "UpToDate") },
        }),
      }),
      UNVERIFIED,
      /\(evidence: collateral_bad_signature\)$/,
    ],
    [
      "with a platform's certificate that has ended",
      dcapEvidence({ certificate: (role, fields) => role === "pck" ? { ...fields, ...past } : fields }),
      UNVERIFIED,
      /\(evidence: cert_not_valid_at_time\)$/,
    ],
    [
      "with a critical extension that nobody knows",
      dcapEvidence({
        certificate: (role, fields) =>
          role === "pck"
            ? {
              ...fields,
              extensions: [...fields.extensions, { oid: "1.2.3.4", critical: true, value: Uint8Array.of(5, 0) }],
            }
            : fields,
      }),
      UNVERIFIED,
      /1\.2\.3\.4.*\(evidence: chain_invalid\)$/,
    ],
    [
      "under somebody's own root",
      dcapEvidence({ change: () => ({ collateral: other.collateral }), certificate: ownRoot }),
      UNVERIFIED,
      /\(evidence: untrusted_root\)$/,
    ],
    [
      "that is not signed",
      dcapEvidence(quote((bytes) => flipped(bytes, 48 + QUOTE_BODY.tdx.mrtd))),
      UNVERIFIED,
      /quote signature: .*\(evidence: bad_signature\)$/,
    ],
    [
      "of a domain that can be debugged",
      dcapEvidence({ body: (body) => (body[QUOTE_BODY.tdx.tdAttributes] = 1) }),
      UNVERIFIED,
      /\(evidence: debug_enabled\)$/,
    ],
    [
      "of a domain that can be copied",
      dcapEvidence({ body: (body) => (body[QUOTE_BODY.tdx.tdAttributes + 3]! |= 0x20) }),
      UNVERIFIED,
      /^migration: .*\(evidence: migration_agent\)$/,
    ],
    [
      "of a platform that Intel gave up",
      dcapEvidence({ components: new Array(16).fill(3) }),
      UNVERIFIED,
      /Revoked.*\(evidence: tcb_revoked\)$/,
    ],
    [
      "of a platform older than every level",
      dcapEvidence({ components: new Array(16).fill(1) }),
      UNVERIFIED,
      /\(evidence: tcb_not_supported\)$/,
    ],
    [
      "of an enclave that can be debugged",
      dcapEvidence({ ...sgx, body: (body) => (body[QUOTE_BODY.sgx.attributes]! |= 2) }),
      UNVERIFIED,
      /debugging.*\(evidence: debug_enabled\)$/,
    ],
    [
      "of an unknown configuration",
      dcapEvidence({ body: (body) => (body[QUOTE_BODY.tdx.mrconfigid] = 1) }),
      UNLISTED_HOST_DATA,
      /^host data 010{94} .*\(host data: host_data_mismatch\)$/,
    ],
    [
      "of an unknown firmware",
      dcapEvidence({ body: (body) => (body[QUOTE_BODY.tdx.mrtd] = 0) }),
      UNLISTED_MEASUREMENT,
      /^measurement 007d.*\(measurement: measurement_mismatch\)$/,
    ],
    [
      "of unknown code under known firmware",
      dcapEvidence({ body: (body) => (body[QUOTE_BODY.tdx.rtmr2] = 0) }),
      UNLISTED_MEASUREMENT,
      /^measurement 7d.*\(measurement: measurement_mismatch\)$/,
    ],
    [
      "of an unknown enclave",
      dcapEvidence({ ...sgx, body: (body) => (body[QUOTE_BODY.sgx.mrenclave] = 0) }),
      UNLISTED_MEASUREMENT,
      /^measurement 00ec.*\(measurement: measurement_mismatch\)$/,
    ],
    [
      "of a platform that members find too old",
      dcapEvidence({ components: new Array(16).fill(5) }),
      "401 InvalidQuote Quote TCB status is not authorised",
      /OutOfDate.*\(tcb status: tcb_status_unacceptable\)$/,
    ],
    [
      "of another node's key",
      dcapEvidence({ body: (body) => body.set(OTHER_KEY_HASH, QUOTE_BODY.tdx.reportData) }),
      OTHER_KEY,
      /for another key, .*\(public key: report_data_mismatch\)$/,
    ],
  ];
}

/** All right in itself: the root's name, and a key that nobody trusts. */
function ownRoot(role: string, fields: CertificateFields): CertificateFields {
  return role === "root" ? { ...fields, spki: SNP_LEAF_KEY.publicKey.spki } : fields;
}

const past = { notBeforeMs: HARDWARE_NOW_MS - 20 * 86_400_000, notAfterMs: HARDWARE_NOW_MS - 1000 };
