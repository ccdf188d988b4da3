/**
 * Requests to join with evidence of SEV-SNP: what lets a node in, and for each thing that is wrong what the client is told
 * and what the log says.
 */

import { strict as assert } from "node:assert";
import fc from "fast-check";
import { concat, fromBase64, toBase64, toHex } from "../../shared/bytes.ts";
import { TAG, writeDer } from "../../shared/crypto/der.ts";
import type { CertificateFields } from "../../shared/crypto/x509_build.ts";
import { basicConstraintsExtension } from "../../shared/crypto/x509_extensions.ts";
import { MAX_EVIDENCE_CHECKS_PER_SECOND } from "../../shared/limits.ts";
import { NODES_INFO, VIRTUAL_HOST_DATA, VIRTUAL_MEASUREMENTS } from "../../shared/governance/tables.ts";
import {
  askToJoin,
  type BadEvidence,
  BETWEEN_CHECKS_MS,
  dcapEvidence,
  endorsedEvidence,
  flipped,
  HARDWARE_NOW_MS,
  hardwareService,
  joiner,
  KEY_HASH,
  letIn,
  OTHER_KEY,
  OTHER_KEY_HASH,
  refuseAll,
  refusedBy,
  reportDataOf,
  SNP_MEASUREMENT,
  snpEvidence,
  type SnpParts,
  UNLISTED_HOST_DATA,
  UNLISTED_MEASUREMENT,
  UNVERIFIED,
  UVM_SIGNER,
} from "../../tests/hardware_joiner.ts";
import { mutated } from "../../tests/mutations.ts";
import { SNP_ISSUER_KEY, SNP_LEAF_KEY, SNP_TCB, snpCertificate, snpLeafExtensions } from "../../tests/snp_pki.ts";
import { cwtDocument, UVM_MEASUREMENT } from "../../tests/uvm_documents.ts";
import { virtualQuote } from "../platform/virtual.ts";

const UNTRUSTED_UVM = "401 InvalidQuote UVM endorsements are not authorised";
/** Quirk: CCF has no sentence for these. */
const UNMAPPED = "500 InvalidQuote Unknown quote verification error";

Deno.test("a node with evidence of SEV-SNP is let in, with its measurement, or with an endorsement of it", async () => {
  const { node } = await hardwareService();
  const plain = snpEvidence();
  const row = letIn(node, plain);
  assert.deepEqual([row.status, row.code_digest, row.quote_info], ["Pending", SNP_MEASUREMENT, plain]);
  const endorsed = letIn(node, endorsedEvidence(cwtDocument({ signer: UVM_SIGNER })));
  assert.equal(endorsed.code_digest, toHex(UVM_MEASUREMENT), "which no table lists");
  const endorsedTcb = { endorsed_tcb: "db18000000000104" };
  assert.equal(letIn(node, snpEvidence({ more: endorsedTcb })).quote_info.endorsed_tcb, "db18000000000104");
});

Deno.test("of evidence of SEV-SNP everything wrong has a reason of its own in the log", async () => {
  refuseAll((await hardwareService()).node, snpRows());
});

Deno.test("evidence of one platform is none of another", async () => {
  refuseAll((await hardwareService()).node, otherRows());
});

function snpRows(): BadEvidence[] {
  const lowTcb = { ...SNP_TCB, snp: 23 };
  const wrongLeaf = (certificate: Uint8Array): SnpParts => ({ chain: (chain) => [certificate, ...chain.slice(1)] });
  return [
    [
      "truncated",
      snpEvidence({ bytes: (report) => report.subarray(1) }),
      UNVERIFIED,
      /report: .*\(evidence: malformed\)$/,
    ],
    [
      "with a byte behind it",
      snpEvidence({ bytes: (report) => concat(report, Uint8Array.of(0)) }),
      UNVERIFIED,
      /\(evidence: trailing_bytes\)$/,
    ],
    [
      "oversized",
      snpEvidence({ bytes: () => new Uint8Array(65_537) }),
      UNVERIFIED,
      /longer than 65536 bytes \(evidence: malformed\)$/,
    ],
    [
      "of a version before CCF's",
      snpEvidence({ report: { version: 2 } }),
      UNVERIFIED,
      /version 2 \(evidence: unsupported_version\)$/,
    ],
    [
      "with two certificates",
      snpEvidence({ chain: (chain) => chain.slice(0, 2) }),
      UNVERIFIED,
      /there are 2 certificates and not 3 \(evidence: chain_invalid\)$/,
    ],
    [
      "with no certificates",
      snpEvidence({ more: { endorsements: "" } }),
      UNVERIFIED,
      /there are 0 certificates and not 3 \(evidence: chain_invalid\)$/,
    ],
    [
      "with other bytes than PEM",
      snpEvidence({ more: { endorsements: toBase64(Uint8Array.of(0xff)) } }),
      UNVERIFIED,
      /UTF-8.*\(evidence: malformed\)$/,
    ],
    ["with a bomb of DER", snpEvidence(wrongLeaf(DER_BOMB)), UNVERIFIED, /certificates: .*\(evidence: malformed\)$/],
    ["with a giant of DER", snpEvidence(wrongLeaf(DER_GIANT)), UNVERIFIED, /certificates: .*\(evidence: malformed\)$/],
    [
      "with a critical extension that nobody knows",
      snpEvidence(
        leafWith({
          extensions: [...snpLeafExtensions(), { oid: "1.2.3.4", critical: true, value: Uint8Array.of(5, 0) }],
        }),
      ),
      UNVERIFIED,
      /1\.2\.3\.4.*\(evidence: chain_invalid\)$/,
    ],
    [
      "with a certificate that has ended",
      snpEvidence(leafWith(past)),
      UNVERIFIED,
      /\(evidence: cert_not_valid_at_time\)$/,
    ],
    [
      "with a certificate of the future",
      snpEvidence(leafWith(future)),
      UNVERIFIED,
      /\(evidence: cert_not_valid_at_time\)$/,
    ],
    ["under somebody's own root", snpEvidence(selfMadeRoot()), UNVERIFIED, /\(evidence: untrusted_root\)$/],
    [
      "that is not signed",
      snpEvidence({ bytes: (report) => flipped(report, 0x90) }),
      UNVERIFIED,
      /\(evidence: bad_signature\)$/,
    ],
    [
      "signed by a provider's key",
      snpEvidence({ leaf: { kind: "VLEK" }, report: { signingKey: 1 } }),
      UNVERIFIED,
      /\(evidence: cert_kind_mismatch\)$/,
    ],
    [
      "of another product than the certificate's",
      snpEvidence({ report: { product: "Genoa" } }),
      UNVERIFIED,
      /\(evidence: product_mismatch\)$/,
    ],
    [
      "of older firmware than the certificate's",
      snpEvidence({ report: { tcb: lowTcb } }),
      UNVERIFIED,
      /certificate TCB: .*\(evidence: cert_tcb_mismatch\)$/,
    ],
    [
      "with endorsements for other firmware",
      snpEvidence({ more: { endorsed_tcb: "db18000000000004" } }),
      UNVERIFIED,
      /endorsed TCB: .*\(evidence: cert_tcb_mismatch\)$/,
    ],
    [
      "of another chip",
      snpEvidence({ report: { chipId: new Uint8Array(64) } }),
      UNVERIFIED,
      /\(evidence: chip_id_mismatch\)$/,
    ],
    [
      "asked for by the host",
      snpEvidence({ report: { vmpl: 0xffffffff } }),
      UNVERIFIED,
      /\(evidence: vmpl_out_of_range\)$/,
    ],
    [
      "of a guest that can be debugged",
      snpEvidence({ report: { policy: 0x3001fn | 1n << 19n } }),
      UNVERIFIED,
      /\(evidence: debug_enabled\)$/,
    ],
    [
      "of a guest that can be copied",
      snpEvidence({ report: { policy: 0x3001fn | 1n << 18n } }),
      UNVERIFIED,
      /\(evidence: migration_agent\)$/,
    ],
    [
      "of an unknown configuration",
      snpEvidence({ report: { hostData: new Uint8Array(32) } }),
      UNLISTED_HOST_DATA,
      /^host data 0{64} .*\(host data: host_data_mismatch\)$/,
    ],
    [
      "of unknown code",
      snpEvidence({ report: { measurement: new Uint8Array(48) } }),
      UNLISTED_MEASUREMENT,
      /^measurement 0{96} .*\(measurement: measurement_mismatch\)$/,
    ],
    [
      "with an older endorsement than members want",
      endorsedEvidence(cwtDocument({ signer: UVM_SIGNER, svn: 104 })),
      UNTRUSTED_UVM,
      /version 104 .*\(uvm endorsement: svn_too_low\)$/,
    ],
    [
      "with an endorsement for other code",
      endorsedEvidence(cwtDocument({ signer: UVM_SIGNER }), { measurement: new Uint8Array(48).fill(0xea) }),
      UNTRUSTED_UVM,
      /\(uvm endorsement: uvm_measurement_mismatch\)$/,
    ],
    [
      "with an endorsement for another kind of VM",
      endorsedEvidence(cwtDocument({ signer: UVM_SIGNER, feed: "a\nb" })),
      UNTRUSTED_UVM,
      /feed "a\\nb".*\(uvm endorsement: did_not_trusted\)$/,
    ],
    [
      "with a broken endorsement",
      endorsedEvidence(flipped(cwtDocument({ signer: UVM_SIGNER }), 0)),
      UNTRUSTED_UVM,
      /\(uvm endorsement: malformed\)$/,
    ],
    [
      "with an endorsement that nobody signed",
      endorsedEvidence(forged(cwtDocument({ signer: UVM_SIGNER }))),
      UNTRUSTED_UVM,
      /\(uvm endorsement: bad_signature\)$/,
    ],
    [
      "of a processor without a minimum",
      snpEvidence({ report: { product: "Genoa" }, leaf: { product: "Genoa" } }),
      UNMAPPED,
      /family 25, model 17, stepping 1 \(cpuid: tcb_not_supported\)$/,
    ],
    [
      "of a TCB below the minimum",
      snpEvidence({ report: { tcb: lowTcb }, leaf: { tcb: lowTcb } }),
      UNMAPPED,
      /snp 23.* wants .*snp 24.*\(tcb version: tcb_too_low\)$/,
    ],
    [
      "of another node's key",
      snpEvidence({ report: { reportData: reportDataOf(OTHER_KEY_HASH) } }),
      OTHER_KEY,
      /for another key, .*\(public key: report_data_mismatch\)$/,
    ],
  ];
}

/** All right in itself, and made by nobody known. */
function selfMadeRoot(): SnpParts {
  const authority = [basicConstraintsExtension({ ca: true, pathLength: undefined })];
  const own = snpCertificate("CN=ARK-Milan", SNP_LEAF_KEY, "CN=ARK-Milan", SNP_LEAF_KEY, authority);
  const issuer = snpCertificate("CN=SEV-Milan", SNP_ISSUER_KEY, "CN=ARK-Milan", SNP_LEAF_KEY, authority);
  return { chain: ([leaf]) => [leaf!, issuer, own] };
}

/** The last byte of a document belongs to its signature. */
function forged(document: Uint8Array): Uint8Array {
  return flipped(document, document.length - 1);
}

function otherRows(): BadEvidence[] {
  const { quote, endorsements } = snpEvidence();
  return [
    [
      "a quote of TDX, said to be a report",
      { ...dcapEvidence(), format: "AMD_SEV_SNP_v1" },
      UNVERIFIED,
      /report: .*\(evidence: trailing_bytes\)$/,
    ],
    [
      "a report, said to be a quote of TDX",
      { format: "Intel_TDX_v1", quote, endorsements },
      UNVERIFIED,
      /\(evidence: (malformed|wrong_platform)\)$/,
    ],
    [
      "a report, said to be virtual",
      { format: "Insecure_Virtual", quote, endorsements: "" },
      UNVERIFIED,
      /virtual platform.*\(evidence: malformed\)$/,
    ],
    [
      "the format of before 6.0",
      { format: "OE_SGX_v1", quote, endorsements: "" },
      UNVERIFIED,
      /OE_SGX_v1.*\(evidence: unsupported_tee_type\)$/,
    ],
  ];
}

/** The chain with another certificate of the chip. */
function leafWith(change: Partial<CertificateFields>): SnpParts {
  const leaf = snpCertificate("CN=SEV-VCEK", SNP_LEAF_KEY, "CN=SEV-Milan", SNP_ISSUER_KEY, snpLeafExtensions(), change);
  return { chain: (chain) => [leaf, ...chain.slice(1)] };
}

/** Nested as deep as bytes allow: what reads it by recursion has no stack left. */
const DER_BOMB = Array.from({ length: 12_000 }).reduce<Uint8Array>(
  (inner) => inner.length > 40_000 ? inner : writeDer(TAG.sequence, inner),
  new Uint8Array(),
);
/** Says that it has 2 GiB. */
const DER_GIANT = Uint8Array.of(0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x30);

const past = { notBeforeMs: HARDWARE_NOW_MS - 20 * 86_400_000, notAfterMs: HARDWARE_NOW_MS - 1000 };
const future = { notBeforeMs: HARDWARE_NOW_MS + 3_600_000, notAfterMs: HARDWARE_NOW_MS + 20 * 86_400_000 };

Deno.test("virtual evidence lets nobody in where no table allows it, whatever other tables allow", async () => {
  const { node, config } = await hardwareService();
  const quote = virtualQuote(config.platform.hostData, KEY_HASH);
  const virtual = { format: "Insecure_Virtual", quote, endorsements: "" } as const;
  letIn(node, virtual); // as long as this service of tests has the tables
  const { store } = node.enclave.node!;
  const rows = [VIRTUAL_MEASUREMENTS, VIRTUAL_HOST_DATA].map(({ name }) =>
    [name, [...store.beginReadOnly().openRaw(name).entries()]] as const
  );
  const restore = () => {
    node.write((tx) => rows.forEach(([name, all]) => all.forEach(([key, value]) => tx.openRaw(name).put(key, value))));
  };
  try {
    for (
      const [cleared, told] of [
        [[VIRTUAL_HOST_DATA], UNLISTED_HOST_DATA],
        [[VIRTUAL_MEASUREMENTS], UNLISTED_MEASUREMENT],
        [[VIRTUAL_HOST_DATA, VIRTUAL_MEASUREMENTS], UNLISTED_HOST_DATA],
      ] as const
    ) {
      node.write((tx) => cleared.forEach(({ name }) => tx.openRaw(name).clear()));
      assert.equal(refusedBy(node, virtual).told, told);
      letIn(node, snpEvidence());
      restore();
    }
  } finally {
    restore();
  }
});

Deno.test("certificates count at the moment of the enclave, which is the host's clock", async () => {
  const { node } = await hardwareService();
  const [evidence, nowMs] = [snpEvidence(), node.nowMs];
  try {
    node.nowMs = Date.UTC(2027, 0, 1); // a second after the chip's certificate has ended
    node.request({ method: "GET", target: "/node/state" }); // so that what time has made due is done
    assert.match(
      refusedBy(node, evidence).logged,
      /at 2027-01-01T00:00:00\.100Z.*\(evidence: cert_not_valid_at_time\)$/,
    );
  } finally {
    node.nowMs = nowMs;
  }
  letIn(node, evidence);
});

Deno.test("who shows evidence again and again takes a tenth of the node's time, and no more", async () => {
  const { node } = await hardwareService();
  node.advance(1000);
  const statuses = () =>
    Array.from(
      { length: 25 },
      () => askToJoin(node, snpEvidence({ report: { reportData: new Uint8Array(64) } })).status,
    );
  const checked = () => statuses().filter((status) => status === 401).length;
  assert.equal(checked(), MAX_EVIDENCE_CHECKS_PER_SECOND);
  assert.equal(checked(), 0);
  node.advance(500);
  assert.equal(checked(), MAX_EVIDENCE_CHECKS_PER_SECOND / 2);
  letIn(node, snpEvidence());
});

Deno.test("changed evidence of SEV-SNP is refused, or says the same in other words", async () => {
  const { node } = await hardwareService();
  const good = snpEvidence();
  const [report, chain] = [fromBase64(good.quote), fromBase64(good.endorsements)];
  let refused = 0;
  const check = (quoteInfo: typeof good, isReport: boolean) => {
    node.advance(BETWEEN_CHECKS_MS);
    const { status } = askToJoin(node, quoteInfo);
    assert([200, 401, 500].includes(status), String(status));
    if (status !== 200) return void refused++;
    // PEM may have other white space around it; a report has one form.
    if (isReport) assert.equal(quoteInfo.quote, good.quote);
    node.write((tx) => tx.open(NODES_INFO).remove(joiner.id));
  };
  fc.assert(
    fc.property(mutated(report), (bytes) => check({ ...good, quote: toBase64(bytes) }, true)),
    { numRuns: 100 },
  );
  fc.assert(
    fc.property(mutated(chain), (bytes) => check({ ...good, endorsements: toBase64(bytes) }, false)),
    { numRuns: 100 },
  );
  assert.equal(node.fatal, undefined);
  assert(refused > 100, `${refused} refused`);
});
