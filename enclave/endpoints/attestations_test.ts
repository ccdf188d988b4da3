/**
 * What nodes tell of their evidence, `/node/quotes…` and `/node/attestations…`: rows of every platform, and evidence that
 * real hardware gave.
 */

import { strict as assert } from "node:assert";
import { verifyEvidence } from "../../shared/attestation/evidence.ts";
import { QUOTE_FORMATS } from "../../shared/attestation/quote_formats.ts";
import { cpuidOf, parseSnpReport } from "../../shared/attestation/snp_report.ts";
import { toBase64, toHex, toUtf8 } from "../../shared/bytes.ts";
import { noblePrimitives as primitives } from "../../shared/crypto/primitives.ts";
import { serialiseCertificatePem } from "../../shared/crypto/x509.ts";
import { parsePemBlock } from "../../shared/crypto/pem.ts";
import {
  type NodeInfo,
  NODES_INFO,
  type QuoteInfo,
  SNP_HOST_DATA,
  SNP_MEASUREMENTS,
  SNP_TCB_VERSIONS,
  SNP_UVM_ENDORSEMENTS,
} from "../../shared/governance/tables.ts";
import { Store } from "../../shared/kv/store.ts";
import { parseAnswer } from "../../shared/trust/bundle.ts";
import { dcapEvidence, snpEvidence } from "../../tests/hardware_joiner.ts";
import { bodyText, odataError, serviceTest } from "../../tests/inline_app.ts";
import type { InlineService } from "../../tests/inline_service.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { judgeEvidence } from "../join_policy.ts";
import { nodeEndpoints } from "./node.ts";

type Json = Record<string, unknown>;

function get({ node }: InlineService, target: string): Json {
  const response = node.request({ method: "GET", target });
  assert.equal(response.status, 200, bodyText(response));
  return JSON.parse(bodyText(response));
}

/** A row for each, with the IDs 000…, 111…, and so on. */
function putNodes({ node }: InlineService, rows: readonly Partial<NodeInfo>[]): void {
  node.write((tx) =>
    rows.forEach((row, i) => {
      const info: NodeInfo = { status: "Trusted", encryption_pub_key: "", quote_info: snpEvidence(), ...row };
      tx.open(NODES_INFO).put(String(i).repeat(64), info);
    })
  );
}

serviceTest("evidence of every platform is told as it stands in the ledger, with the measurement in hex", "native", (
  service,
) => {
  const endorsed: QuoteInfo = { ...snpEvidence(), uvm_endorsements: "dXZt", endorsed_tcb: "db18000000000104" };
  const [snp, tdx, sgx] = ["ea".repeat(48), "7d".repeat(240), "ec".repeat(32)];
  putNodes(service, [
    { quote_info: endorsed, code_digest: snp },
    { quote_info: dcapEvidence(), code_digest: tdx },
    { quote_info: dcapEvidence({ kind: "sgx" }), code_digest: sgx },
    { quote_info: { format: "OE_SGX_v1", quote: "", endorsements: "" }, code_digest: "" },
    { status: "Pending" },
    { status: "Retired" },
  ]);
  for (const [path, name] of [["/node/quotes", "quotes"], ["/node/attestations", "attestations"]] as const) {
    const told = get(service, path)[name] as Json[];
    const own = get(service, `${path}/self`);
    assert.deepEqual(told.find(({ node_id }) => node_id === service.node.nodeId), own);
    const others = told.filter((one) => one.node_id !== own.node_id);
    const found = others.map(({ node_id, format, measurement }) => [String(node_id)[0], format, measurement]);
    assert.deepEqual(found.sort(), [
      ["0", "AMD_SEV_SNP_v1", snp],
      ["1", "Intel_TDX_v1", tdx],
      ["2", "Intel_SGX_DCAP_v1", sgx],
      ["3", "OE_SGX_v1", ""],
    ], "those of trusted nodes");
    const { quote, endorsements, uvm_endorsements } = endorsed;
    assert.deepEqual(others.find(({ uvm_endorsements }) => uvm_endorsements !== undefined), {
      endorsements,
      format: "AMD_SEV_SNP_v1",
      measurement: snp,
      node_id: "0".repeat(64),
      raw: quote,
      uvm_endorsements,
    });
  }
});

serviceTest("a node that the ledger does not know has no evidence to tell", "native", (service) => {
  service.node.write((tx) => tx.open(NODES_INFO).remove(service.node.nodeId));
  for (const target of ["/node/quotes/self", "/node/attestations/self"]) {
    const response = service.node.request({ method: "GET", target });
    const { code, message } = odataError(response);
    assert.deepEqual([response.status, code, message], [404, "ResourceNotFound", "Could not find node quote."]);
  }
});

Deno.test("no other node is asked about a node's own evidence", () => {
  for (const path of ["/quotes/self", "/attestations/self"]) {
    const endpoint = nodeEndpoints.find((one) => one.method === "GET" && one.path === path);
    assert.deepEqual([endpoint?.forwarding, endpoint?.policies ?? []], ["never", []], path);
  }
});

serviceTest("the OpenAPI document names every format of evidence", "native", (service) => {
  const { components } = get(service, "/node/api") as { components: { schemas: Record<string, Json> } };
  assert.deepEqual(components.schemas.QuoteFormat!.enum, [...QUOTE_FORMATS]);
});

// ---- What real hardware gave ----

interface Recorded {
  readonly name: string;
  readonly quoteInfo: QuoteInfo;
  readonly report: Uint8Array;
  /** A moment at which its certificates were valid. */
  readonly atMs: number;
}

/** Evidence of SEV-SNP from containers on Azure, with its endorsement of the utility VM. */
function recorded(): Recorded[] {
  const folder = "attestation/vectors/";
  const { vectors } = JSON.parse(Deno.readTextFileSync(teamData(`${folder}vectors.json`)));
  const found: Recorded[] = [];
  for (const { id, kind, files, verifyAt } of vectors) {
    if (kind !== "snp" || files.uvm === undefined) continue;
    const read = (path: string) => Deno.readFileSync(teamData(folder + path));
    const chain = [
      read(files.vek),
      ...files.chain.map((path: string) => {
        return parsePemBlock(Deno.readTextFileSync(teamData(folder + path)), "CERTIFICATE");
      }),
    ];
    const report = read(files.report);
    const quoteInfo: QuoteInfo = {
      format: "AMD_SEV_SNP_v1",
      quote: toBase64(report),
      endorsements: toBase64(toUtf8(chain.map(serialiseCertificatePem).join(""))),
      uvm_endorsements: toBase64(read(files.uvm)),
    };
    found.push({ name: id, quoteInfo, report, atMs: Date.parse(verifyAt) });
  }
  assert(found.length >= 3, "there is evidence of several machines");
  return found;
}

teamTest("recorded evidence verifies from what a node answers about it, by the makers' own keys", () => {
  for (const { name, quoteInfo, report, atMs } of recorded()) {
    const measurement = toHex(parseSnpReport(report).measurement);
    const { quote: raw, ...rest } = quoteInfo;
    // The members of an answer, as the tests above have them.
    const { evidence } = parseAnswer({ ...rest, raw, measurement, node_id: "0".repeat(64) });
    const checked = verifyEvidence(evidence, { at: atMs }, primitives);
    assert.equal(checked.outcome, "genuine", `${name}: ${checked.reason}`);
    assert(checked.claims?.platform === "snp");
    assert.equal(toHex(checked.claims.measurement), measurement);
    assert.notEqual(checked.uvm?.claims, undefined, `${name}: ${checked.uvm?.reason}`);
  }
});

teamTest(
  "recorded evidence passes a join policy made for it, up to a key that nobody here has",
  () => {
    for (const { name, quoteInfo, report, atMs } of recorded()) {
      const { uvm_endorsements: _, ...bare } = quoteInfo;
      const { claims, uvm } = verifyEvidence(quoteInfo, { at: atMs }, primitives);
      assert(claims?.platform === "snp" && uvm?.claims !== undefined);
      const { did, feed, svn } = uvm.claims;
      /** `left`: a table that is left out of the policy. */
      const judge = (quote: QuoteInfo, left?: string) => {
        const store = new Store();
        const tx = store.begin();
        const put = (name: string, write: () => void) => left !== name && write();
        put("measurement", () => tx.open(SNP_MEASUREMENTS).put(toHex(claims.measurement), "AllowedToJoin"));
        put("host data", () => tx.open(SNP_HOST_DATA).put(toHex(claims.hostData), ""));
        put("uvm endorsement", () => tx.open(SNP_UVM_ENDORSEMENTS).put(did, { [feed]: { svn: String(svn) } }));
        put("cpuid", () => tx.open(SNP_TCB_VERSIONS).put(cpuidOf(claims.cpu), { ...claims.reportedTcb }));
        store.apply(1, tx.writeSet());
        const judgement = judgeEvidence(store.beginReadOnly(), quote, toUtf8("key"), { primitives, atMs });
        return judgement.verdict === "accepted" ? "accepted" : judgement.step;
      };
      assert.equal(judge(quoteInfo), "public key", name);
      assert.equal(judge(bare), "public key", name);
      assert.equal(judge(quoteInfo, "measurement"), "public key", "an endorsement stands for it");
      assert.equal(judge(quoteInfo, "uvm endorsement"), "uvm endorsement", "though the measurement is listed");
      assert.equal(judge(bare, "measurement"), "measurement");
      assert.equal(judge(quoteInfo, "host data"), "host data");
      assert.equal(judge(quoteInfo, "cpuid"), "cpuid");
      assert.equal(toHex(report.subarray(0x90, 0xc0)), toHex(claims.measurement));
    }
  },
);
