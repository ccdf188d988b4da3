import { strict as assert } from "node:assert";
import { join } from "node:path";
import { noblePrimitives as primitives } from "../shared/crypto/primitives.ts";
import { stableJsonBytes } from "../shared/json.ts";
import { serialiseChunk } from "../shared/ledger/chunk.ts";
import { loadScriptEngine } from "../enclave/js/runtime.ts";
import { ForgedNode, type Otherwise } from "../tests/forged_node.ts";
import { quoteRequest } from "../tests/quote_request.ts";
import { RecordedOutput } from "../tests/recorded_output.ts";
import { ledgerDirectory, readEntries } from "../tests/services.ts";
import { snpChain, snpReport } from "../tests/snp_pki.ts";
import { teamTest } from "../tests/team_data.ts";
import {
  allowing,
  amdRevocationList,
  MEASUREMENT,
  MOMENT,
  snpEvidenceFor,
  TABLES,
  TrustForge,
  virtualEvidenceFor,
} from "../tests/trust_forge.ts";
import { NODES_ENDORSED_CERTIFICATES } from "../shared/governance/tables.ts";
import { parseCertificatePem } from "../shared/crypto/x509.ts";
import { serialiseBundle } from "../shared/trust/bundle.ts";
import { TrustFold } from "../shared/trust/trust_fold.ts";
import { UsageError } from "./commands/exit.ts";
import { type QuoteRequest, verifyQuote } from "./quote_verify.ts";

// deno-lint-ignore no-explicit-any
type Json = any;

const forge = new TrustForge(primitives).start();

async function run(
  target: string,
  more: Partial<QuoteRequest> = {},
): Promise<{ code: number; json: Json; text: string }> {
  const output = new RecordedOutput();
  const code = await verifyQuote(quoteRequest(target, more), output);
  return { code, json: more.json === false ? undefined : JSON.parse(output.text), text: output.text };
}

function verdicts({ rungs }: Json): string[] {
  return rungs.map(({ verdict }: Json) => verdict);
}

/** Folder with the service's certificate, that goes with the test. */
async function withFolder(test: (folder: string, serviceCert: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "quorate_quote_" });
  try {
    const serviceCert = join(folder, "service_cert.pem");
    Deno.writeTextFileSync(serviceCert, forge.service.certificatePem);
    await test(folder, serviceCert);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const ALL = ["verified", "verified", "verified", "verified", "verified"];

Deno.test("a node is verified over the network, and again from the bundle without it", async () => {
  await withFolder(async (folder, serviceCert) => {
    const savePath = join(folder, "evidence.json");
    {
      await using node = await ForgedNode.start(forge);
      const { code, json } = await run(node.url, { serviceCert, savePath });
      assert.deepEqual([code, json.verdict, verdicts(json)], [0, "verified", ALL], json.reason);
      assert.equal(json.node_id, forge.node.id);
      assert.equal(json.service_identity, forge.service.id);
      assert.equal(json.source, node.url);
    }
    // Years later, by the time at which it was saved; and as of then.
    const nowMs = Date.UTC(2040, 0, 1);
    const later = await run(savePath, { serviceCert, at: undefined, nowMs });
    assert.deepEqual([later.code, later.json.at, verdicts(later.json)], [0, new Date(MOMENT).toISOString(), ALL]);
    assert.match(later.json.not_proved[0], /^That certificates, .* hold by now: the file says/);
    const asOfThen = await run(savePath, { serviceCert, at: MOMENT, nowMs });
    assert.ok(asOfThen.json.not_proved.every((sentence: string) => !sentence.includes("the file says")));
    const ahead = run(savePath, { serviceCert, at: undefined, nowMs: MOMENT - 3_600_000 });
    await assert.rejects(ahead, /which is still to come/, "whoever wrote the file could choose any moment");
    const steps = later.json.rungs[1].steps.map(({ name, result }: Json) => `${name}: ${result}`);
    assert.deepEqual(steps, ["report data: verified", "connection: not checked"]);
    const expired = await run(savePath, { serviceCert, at: nowMs, nowMs });
    assert.deepEqual([expired.code, verdicts(expired.json)[0]], [1, "refused"]);
  });
});

Deno.test("machines are told of a decision whole: proposal, actions, and who signed what where", async () => {
  const decided = new TrustForge(primitives).start();
  const measurement = "0b".repeat(48);
  const { view, seqno } = decided.decide("add_snp_measurement", allowing(measurement));
  const added = decided.addNode((node) => snpEvidenceFor(node, { measurement }));
  await using node = await ForgedNode.start(decided, (path) => {
    if (path !== "/node/attestations/self") return undefined;
    const { quote: raw, ...rest } = snpEvidenceFor(added, { measurement });
    return { body: JSON.stringify({ ...rest, raw }) };
  }, added);
  const { json } = await run(node.url);
  assert.equal(json.verdict, "verified", json.reason);
  const { decision } = json.rungs[3].steps[0];
  assert.deepEqual({ ...decision, proposal_id: "" }, {
    proposal_id: "",
    actions: ["add_snp_measurement"],
    proposer_id: decided.members[0]!.id,
    proposed_in: `${view}.${seqno - 2}`,
    accepted_in: `${view}.${seqno}`,
    ballots: decided.members.slice(0, 2).map(({ id }, i) => {
      return { member_id: id, signed_in: `${view}.${seqno - 1 + i}`, vote: true };
    }).sort((a, b) => a.member_id < b.member_id ? -1 : 1),
  });
  assert.match(decision.proposal_id, /^[0-9a-f]{64}$/);
  // What genesis allowed no decision stands behind.
  assert.equal(json.rungs[3].steps[1].decision, undefined);
});

Deno.test("AMD's list of revoked certificates counts where it is given, and goes with the bundle", async () => {
  await withFolder(async (folder) => {
    await using node = await ForgedNode.start(forge);
    const [collateral, savePath] = [join(folder, "collateral"), join(folder, "evidence.json")];
    Deno.mkdirSync(collateral);
    await assert.rejects(run(node.url, { collateral }), /only a revocation list/);
    const revocation = ({ rungs }: Json) => rungs[0].steps.find(({ name }: Json) => name === "revocation").result;
    assert.equal(revocation((await run(node.url)).json), "not checked");
    Deno.writeFileSync(join(collateral, "amd.crl"), amdRevocationList(7));
    const good = await run(node.url, { collateral, savePath });
    assert.deepEqual([good.code, revocation(good.json)], [0, "verified"], good.json.reason);
    assert.equal(revocation((await run(savePath)).json), "verified");
    assert.match((await run(savePath, { at: MOMENT + 30 * 86_400_000 })).json.reason, /^hardware: revocation: /);
    Deno.writeFileSync(join(collateral, "amd.crl"), amdRevocationList(7, 2));
    assert.match((await run(node.url, { collateral })).json.reason, /^hardware: revocation: .*SEV-Milan/);
    Deno.writeTextFileSync(savePath, serialiseBundle({ evidence: virtualEvidenceFor(forge.node) }));
    await assert.rejects(run(savePath, { collateral }), /is for evidence of SEV-SNP/);
  });
});

Deno.test("for people each rung is a question with its answer, long digests are cut, and limits are told", async () => {
  await using node = await ForgedNode.start(forge);
  const { code, text } = await run(node.url, { json: false });
  assert.equal(code, 0);
  assert.match(text, /^1 hardware: Is the evidence what genuine hardware signed\? yes$/m);
  assert.match(
    text,
    /^ {2}ok {2}measurement: eaeaeaeaeaea… was allowed in 2\.1 by genesis, by the members who started/m,
  );
  assert.match(text, /^ {3}- {2}service certificate: none was given: [0-9a-f]{12}… is what the node says/m);
  assert.match(text, /^ {2}Which service this is: /m);
  assert.match(text, /^Verified: node [0-9a-f]{64}, as of 2026-06-15T12:00:00Z$/m);
});

Deno.test("what a node answers wrongly breaks the rung that it is about", async () => {
  const other = forge.makeNode(forge.service);
  const stranger = new TrustForge(primitives, "stranger").start();
  const table: readonly [broken: string, step: string, Otherwise | undefined, Partial<QuoteRequest>?][] = [
    ["hardware", "expected measurement", undefined, { expected: { measurements: ["00"] } }],
    ["key", "report data", (path) => {
      if (path !== "/node/attestations/self") return undefined;
      const { quote: raw, ...rest } = virtualEvidenceFor(other);
      return { body: JSON.stringify({ ...rest, raw }) };
    }],
    [
      "service",
      "ledger",
      (path) =>
        path.startsWith("/node/ledger") || path === "/node/network/nodes" ? { status: 404, body: "" } : undefined,
    ],
    // Without a certificate from elsewhere the ledger says which service it is; the node's certificate is another's.
    [
      "service",
      "endorsement",
      (path) => path === "/node/ledger/entries" || path === "/node/commit" ? answerOf(stranger, path) : undefined,
    ],
  ];
  for (const [broken, step, otherwise, more] of table) {
    await using node = await ForgedNode.start(forge, otherwise);
    const { code, json } = await run(node.url, more);
    assert.equal(code, 1);
    assert.ok(json.reason.startsWith(`${broken}: ${step}: `), json.reason);
  }
  await withFolder(async (folder) => {
    const serviceCert = join(folder, "other.pem");
    Deno.writeTextFileSync(serviceCert, stranger.service.certificatePem);
    await using node = await ForgedNode.start(forge);
    const { code, json } = await run(node.url, { serviceCert });
    assert.deepEqual([code, json.reason.split(": ").slice(0, 2)], [1, ["service", "endorsement"]]);
  });
});

function answerOf(forge: TrustForge, path: string) {
  return path === "/node/commit"
    ? { body: JSON.stringify({ transaction_id: `2.${forge.entries.length}` }) }
    : { body: forge.bytes };
}

Deno.test("the ledger may come from elsewhere: files, or another node", async () => {
  await using node = await ForgedNode.start(
    forge,
    (path) => path === "/node/ledger/entries" ? { status: 403, body: "" } : undefined,
  );
  await using other = await ForgedNode.start(forge);
  const refused = await run(node.url);
  assert.match(refused.json.reason, /^service: ledger: .*HTTP 403; name another node, or a copy of the ledger's files/);
  assert.equal((await run(node.url, { upTo: "key" })).code, 0);
  assert.deepEqual((await run(node.url, { ledger: other.url })).json.verdict, "verified");
  await withFolder(async (folder) => {
    const entries = [...forge.entries];
    Deno.writeFileSync(join(folder, "ledger_1"), serialiseChunk(entries, false));
    assert.equal((await run(node.url, { ledger: folder })).json.verdict, "verified");
    Deno.writeFileSync(join(folder, "ledger_1"), serialiseChunk(entries.slice(0, 4), false));
    assert.match((await run(node.url, { ledger: folder })).json.reason, /^network: service: members have not opened/);
  });
});

Deno.test("a node without the first entries, as one that began with a snapshot, is verified with another's", async () => {
  const joined = new TrustForge(primitives).start();
  const node = joined.addNode();
  await using primary = await ForgedNode.start(joined);
  const addresses = ["127.0.0.1:1", new URL(primary.url).host];
  await using late = await ForgedNode.start(joined, (path, query) => {
    if (path === "/node/network/nodes") {
      const interfaces = addresses.map((published_address, i) => [`rpc${i}`, { published_address }]);
      return { body: JSON.stringify({ nodes: [{ rpc_interfaces: Object.fromEntries(interfaces) }] }) };
    }
    return path === "/node/ledger/entries" && query.get("from") === "1" ? { status: 404, body: "" } : undefined;
  }, node);
  const output = new RecordedOutput();
  const code = await verifyQuote(quoteRequest(late.url), output);
  assert.equal(code, 0, output.text);
  assert.deepEqual(output.notes.map((note) => note.endsWith(`it was read from ${primary.url}`)), [true]);
  assert.ok(primary.asked.includes("/node/ledger/entries"));
  // Where nobody has it, or the node does not say where others are, that is what is told of the first.
  addresses.splice(0);
  assert.match((await run(late.url)).json.reason, /^service: ledger: .* does not hand out ledger entry 1: HTTP 404/);
});

Deno.test("a virtual node is success only where that is asked for", async () => {
  const virtual = new TrustForge(primitives).start();
  virtual.decide("add_virtual", {
    "public:ccf.gov.nodes.virtual.measurements": { virtual: stableJsonBytes("AllowedToJoin") },
    "public:ccf.gov.nodes.virtual.host_data": { ["fa".repeat(32)]: new Uint8Array(8) },
  });
  const added = virtual.addNode(virtualEvidenceFor);
  await using node = await ForgedNode.start(virtual, (path) => {
    if (path !== "/node/attestations/self") return undefined;
    const { quote: raw, ...rest } = virtualEvidenceFor(added);
    return { body: JSON.stringify({ ...rest, raw }) };
  }, added);
  const strict = await run(node.url);
  assert.deepEqual([strict.code, strict.json.verdict], [1, "virtual"], strict.json.reason);
  assert.equal((await run(node.url, { allowVirtual: true })).code, 0);
  const { text } = await run(node.url, { json: false });
  assert.match(text, /hardware signed\? no: the platform is virtual$/m);
  assert.match(text, /^Virtual: all else holds .*--allow-virtual takes that for success$/m);
});

Deno.test("evidence that a node answered is read from a file, and its ledger from elsewhere", async () => {
  await withFolder(async (folder) => {
    await using node = await ForgedNode.start(forge);
    const path = join(folder, "answer.json");
    const { quote: raw, ...rest } = JSON.parse(serialiseBundle({ evidence: await evidenceOf(node.url) })).evidence;
    Deno.writeTextFileSync(path, JSON.stringify({ ...rest, raw, node_id: forge.node.id }));
    assert.match(
      (await run(path)).json.reason,
      /^service: ledger: the file holds no ledger/,
    );
    const { code, json } = await run(path, { ledger: node.url });
    assert.deepEqual([code, verdicts(json)], [0, ALL], json.reason);
  });
});

async function evidenceOf(url: string) {
  const { NodeSource } = await import("./quote_source.ts");
  using source = await NodeSource.open(new URL(url), undefined);
  return (await source.evidence()).evidence;
}

Deno.test("a bare report is verified with what vouches for it", async () => {
  await withFolder(async (folder) => {
    Deno.mkdirSync(join(folder, "collateral"));
    snpChain().forEach((der, i) => Deno.writeFileSync(join(folder, "collateral", `${i}.der`), der));
    Deno.writeTextFileSync(join(folder, "collateral", "README"), "nothing");
    const report = join(folder, "report.bin");
    Deno.writeFileSync(report, snpReport());
    const collateral = join(folder, "collateral");
    const { code, json } = await run(report, { collateral, expected: { measurements: [MEASUREMENT] } });
    assert.deepEqual([code, verdicts(json)], [0, ["verified", ...ALL.slice(1).map(() => "not checked")]], json.reason);
    assert.equal((await run(report)).code, 1);
    await assert.rejects(run(report, { savePath: join(folder, "x") }), UsageError);
    Deno.writeFileSync(join(folder, "collateral", "crl.der"), Uint8Array.of(1));
    Deno.writeFileSync(join(folder, "collateral", "other.crl"), Uint8Array.of(1));
    await assert.rejects(run(report, { collateral }), /second revocation list/);
  });
});

Deno.test("what cannot be used is wrong usage", async () => {
  await withFolder(async (folder, serviceCert) => {
    const path = join(folder, "bad.json");
    const table: readonly [string, Partial<QuoteRequest>, RegExp][] = [
      [join(folder, "none"), {}, /there is no such file/],
      [path, {}, /neither a bundle nor/],
      [path, { serviceCert: join(folder, "none") }, /service certificate .*no such file/],
      [path, { serviceCert: path }, /Cannot use the service certificate/],
      [path, { collateral: folder }, /of a node only a revocation list/],
      ["https://", { serviceCert }, /as the URL of a node/],
      ["http://127.0.0.1:8000", { serviceCert }, /nodes are asked over https/],
      [path, { savePath: join(folder, "no", "such") }, /no directory/],
    ];
    Deno.writeTextFileSync(path, "{}");
    for (const [target, more, reason] of table) {
      await assert.rejects(run(target, more), (error: Error) => {
        assert.ok(error instanceof UsageError, `${error.name}: ${error.message}`);
        assert.match(error.message, reason);
        return true;
      });
    }
  });
});

Deno.test("code that nobody decided on is found from another node's quote", async () => {
  const forged = new TrustForge(primitives, "nobody").start();
  forged.write(allowing("0b".repeat(48)));
  forged.write({ [TABLES.tcb]: { "00000000": null } });
  forged.sign();
  await using node = await ForgedNode.start(forged);
  const { code, json } = await run(node.url);
  assert.deepEqual([code, json.reason.split(": ").slice(0, 2)], [1, ["network", "allowed code"]]);
});

teamTest("every request in a real service's bundle is decided again", async () => {
  const engine = await loadScriptEngine(() => performance.now());
  const entries = readEntries(ledgerDirectory("recorded_join"));
  const fold = new TrustFold({ primitives, mode: "strict" });
  for (const entry of entries) fold.add(entry);
  const { row, nodeId } = fold.admissions[1]!;
  const nodeCertificate = parseCertificatePem(fold.tables().open(NODES_ENDORSED_CERTIFICATES).get(nodeId)!).der;
  await withFolder(async (folder) => {
    const path = join(folder, "bundle.json");
    Deno.writeTextFileSync(path, serialiseBundle({ evidence: row.quote_info, nodeCertificate, entries }));
    const nowMs = fold.admissions[3]!.judged!.atMs + 60_000;
    const { code, json } = await run(path, { engine, at: undefined, nowMs, allowVirtual: true });
    assert.deepEqual([code, json.verdict], [0, "virtual"], json.reason);
    const decisions = json.rungs[4].steps.find(({ name }: Json) => name === "decisions");
    assert.deepEqual([decisions.result, decisions.detail.split(" ")[0]], ["verified", "21"]);
  });
});
