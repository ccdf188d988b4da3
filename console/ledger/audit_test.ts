import { strict as assert } from "node:assert";
import { noblePrimitives as primitives } from "../../shared/crypto/primitives.ts";
import { LedgerVerifier } from "../../shared/ledger/replay.ts";
import { TrustFold } from "../../shared/trust/trust_fold.ts";
import { GovernanceAudit } from "../../enclave/audit/governance_audit.ts";
import { loadScriptEngine } from "../../enclave/js/runtime.ts";
import { filesOf, MadeUpNode, readLedger } from "../../tests/console_ledger.ts";
import { type LedgerDirectory, ledgerDirectory, readEntries } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import { runAudit } from "./audit.ts";
import type { AuditReport } from "./protocol.ts";
import type { LedgerReading, ReadingOptions } from "./reading.ts";

const engine = await loadScriptEngine(() => performance.now());

/** Within the dates of the recorded services' certificates. */
const MOMENT_MS = Date.UTC(2026, 10, 24);
/** The ledger as it was when it was audited first: the service is open, and more is decided later. */
const AUDITED = 35;

/** As `ledger verify --governance` goes about it. */
function onTheCommandLine(directory: LedgerDirectory): GovernanceAudit {
  const audit = new GovernanceAudit(primitives, engine);
  const verifier = new LedgerVerifier({ primitives, mode: "lenient" });
  for (const entry of readEntries(directory)) {
    verifier.add(entry);
    audit.add(entry, verifier.tree);
  }
  return audit;
}

async function withReading<T>(
  name: string,
  test: (reading: LedgerReading) => Promise<T>,
  options: Partial<ReadingOptions> = {},
): Promise<T> {
  const source = { kind: "files", files: filesOf(ledgerDirectory(name)) } as const;
  const reading = await readLedger(source, { lenient: true }, { audit: runAudit, ...options });
  try {
    return await test(reading);
  } finally {
    await reading.close();
  }
}

const auditOf = (name: string, range = {}) => withReading(name, (reading) => reading.audit(range));

const said = ({ findings }: AuditReport) => findings.map(({ seqno, verdict, detail }) => [seqno, verdict, detail]);

teamTest("the page comes to the findings of the command line, whatever wrote the ledger", async (t) => {
  for (
    const name of ["recorded_governance", "recorded_recovery", "recorded_rekey", "double_sealed_service", "eol_service"]
  ) {
    await t.step(name, async () => {
      const { requests, findings, firstDoubt } = onTheCommandLine(ledgerDirectory(name));
      const report = await auditOf(name);
      assert.deepEqual(
        said(report),
        findings.map(({ txId, verdict, reason }) => [
          txId.seqno,
          verdict === "does not follow" ? "failed" : "cannot decide",
          reason,
        ]),
      );
      assert.equal(report.requests, requests);
      assert.equal(report.verdict, firstDoubt === undefined ? "verified" : "refused");
    });
  }
});

teamTest("decisions and signatures are counted, in all and in parts", async () => {
  const { expected } = ledgerDirectory("recorded_governance");
  const proposals: { state: string }[] = JSON.parse(Deno.readTextFileSync(`${expected}/proposals.json`));
  const whole = await auditOf("recorded_governance");
  assert.deepEqual([whole.verdict, whole.from, whole.to, whole.requests], ["verified", 1, 149, 121]);
  assert.equal(whole.decisions, proposals.filter(({ state }) => state !== "Open").length);
  const halves = [await auditOf("recorded_governance", { to: 70 }), await auditOf("recorded_governance", { from: 71 })];
  for (const count of ["requests", "decisions", "signatures"] as const) {
    assert.equal(halves[0]![count] + halves[1]![count], whole[count], count);
  }
  assert.deepEqual(halves.map(({ from, to }) => [from, to]), [[1, 70], [71, 149]]);
});

teamTest("a report on a part tells of that part only", async () => {
  const whole = await auditOf("eol_service");
  assert.equal(whole.verdict, "refused");
  const [first] = whole.findings.filter(({ verdict }) => verdict === "failed");
  const before = await auditOf("eol_service", { to: first!.seqno - 1 });
  assert.deepEqual(said(before), said(whole).filter(([seqno]) => Number(seqno) < first!.seqno));
  assert.notEqual(before.verdict, "refused");
  const nothing = await auditOf("eol_service", { from: 100_000 });
  assert.deepEqual([nothing.verdict, nothing.findings], ["incomplete", []]);
});

teamTest("who stops an audit is told how far it came, and it does not count as done", async () => {
  let reading: LedgerReading | undefined;
  let now = 0;
  const report = await withReading("recorded_governance", (opened) => {
    reading = opened;
    return opened.audit({});
  }, {
    // Every entry takes so long that there is progress to tell.
    nowMs: () => now += 1000,
    onAudit: ({ done, of }) => {
      assert.deepEqual([of, done <= of], [149, true]);
      if (done === 80) void reading!.stopAudit();
    },
  });
  assert.deepEqual([report.verdict, report.to, report.findings], ["incomplete", 80, []]);
});

teamTest("what was decided since the audit does not count as decided again", async () => {
  const entries = readEntries(ledgerDirectory("recorded_join"));
  const fold = new TrustFold({ primitives, mode: "strict" });
  for (const entry of entries) fold.add(entry);
  const { nodeId, row: { quote_info: { quote, ...rest } } } = fold.admissions[0]!;
  const evidence = { format: rest.format, answer: { ...rest, raw: quote, node_id: nodeId }, nowMs: MOMENT_MS };
  const node = new MadeUpNode(entries.slice(0, AUDITED));
  const reading = await readLedger({ kind: "node", url: "https://node" }, {}, { audit: runAudit, ...node.options });
  const decisions = async () => {
    const { rungs } = await reading.climb(evidence);
    return rungs.at(-1)!.steps.find(({ name }) => name === "decisions")?.result;
  };
  try {
    assert.equal(await decisions(), "not checked");
    assert.equal((await reading.audit({})).verdict, "verified");
    assert.equal(await decisions(), "verified");
    node.entries = entries;
    await reading.refresh();
    for (let tries = 0; reading.state.readSeqno < entries.length; tries++) {
      assert.ok(tries < 500, "it reads on");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.equal(await decisions(), "not checked");
    assert.equal((await reading.audit({})).verdict, "verified");
    assert.equal(await decisions(), "verified");
  } finally {
    await reading.close();
  }
});
