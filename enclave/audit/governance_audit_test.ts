import { strict as assert } from "node:assert";
import { parseChunk } from "../../shared/ledger/chunk.ts";
import { LedgerVerifier } from "../../shared/ledger/replay.ts";
import { formatTxId } from "../../shared/tx_id.ts";
import { loadScriptEngine } from "../js/runtime.ts";
import { loadNativePrimitives } from "../native_primitives.ts";
import { ledgerDirectories, ledgerDirectory, readEntries } from "../../tests/services.ts";
import { teamData, teamTest } from "../../tests/team_data.ts";
import { GovernanceAudit } from "./governance_audit.ts";

const primitives = loadNativePrimitives();
const engine = await loadScriptEngine(() => performance.now());

function auditEntries(entries: readonly Uint8Array[]): GovernanceAudit {
  const audit = new GovernanceAudit(primitives, engine);
  const verifier = new LedgerVerifier({ primitives, mode: "lenient" });
  for (const entry of entries) {
    const failures = verifier.add(entry).filter(({ kind }) => kind === "failure");
    assert.deepEqual(failures, []);
    audit.add(entry, verifier.tree);
  }
  return audit;
}

/** Requests that are decided again in each directory that begins with the first transaction. */
const REQUESTS: Readonly<Record<string, number>> = {
  "recorded_governance": 121,
  "recorded_join": 21,
  "recorded_nodes/node0": 17,
  "recorded_nodes/node1": 29,
  "recorded_orphans/dead_primary": 9,
  "recorded_orphans/joiner": 13,
  "recorded_orphans/new_primary": 13,
  "recorded_recovery": 24,
  "recorded_recovery/before_recovery": 9,
  "recorded_recovery_shares": 29,
  "recorded_recovery_shares/before_recovery": 16,
  "recorded_rekey": 57,
  "recorded_rekey/before_recovery": 49,
};

teamTest("every decision of the recorded services follows, byte for byte", () => {
  for (const [name, requests] of Object.entries(REQUESTS)) {
    const audit = auditEntries(readEntries(ledgerDirectory(name)));
    assert.deepEqual([name, audit.requests, audit.findings], [name, requests, []]);
    assert.equal(audit.firstDoubt, undefined);
  }
  assert(ledgerDirectories().length > Object.keys(REQUESTS).length);
});

teamTest("the ledger behind the recorded transcripts follows too", () => {
  const folder = teamData("ccf/transcripts/ledger");
  const first = (name: string) => Number(/\d+/.exec(name)![0]);
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort((a, b) => first(a) - first(b));
  const entries = names.flatMap((name) => parseChunk(Deno.readFileSync(`${folder}/${name}`)).content);
  const audit = auditEntries(entries.map(({ bytes }) => bytes));
  assert.deepEqual(audit.findings, []);
  assert(audit.requests > 20, `${audit.requests}`);
});

teamTest("the proposals of a ledger are those that an auditor should derive from it", () => {
  const directory = ledgerDirectory("recorded_governance");
  const expected = JSON.parse(Deno.readTextFileSync(`${directory.expected}/proposals.json`));
  const { proposals } = auditEntries(readEntries(directory));
  assert.deepEqual(JSON.parse(JSON.stringify(proposals.all)), expected);
  assert.equal(proposals.unlisted, 0);
});

const INFO = "public:ccf.gov.proposals_info";
const SERVICE = "public:ccf.gov.service.info";
const OTHER_DIGEST = "it acknowledges another state digest than the member was given";

/**
 * What does not follow by today's rules, by TxID. Services before 7.0 wrote where the service's record was written last
 * whenever they wrote it; those before 5.0 no vote failures, later 4.x no votes of an accepted proposal, keys of token
 * issuers in other tables; and the digest of an acknowledgement was given in another way.
 */
const OLDER: Readonly<Record<string, readonly string[]>> = {
  "cose_flipflop_service": [`2.13 ${SERVICE}`],
  "double_sealed_service": [`2.18 ${SERVICE}`, `4.494 ${SERVICE}`],
  "eol_service": [
    ...["6.73", "6.75", "6.77"].map((txId) => `${txId} ${OTHER_DIGEST}`),
    `6.80 ${INFO}`,
    `6.84 ${INFO}`,
    `6.84 ${SERVICE}`,
    ...["6.97", "6.101", "6.107"].map((txId) => `${txId} ${INFO}`),
    "6.107 public:ccf.gov.jwt.public_signing_keys_metadata_v2",
    `8.174 ${INFO}`,
    `8.178 ${INFO}`,
    `8.178 ${SERVICE}`,
    ...["8.243", "8.248", "8.266", "8.272", "8.276"].map((txId) => `${txId} ${INFO}`),
    `10.350 ${SERVICE}`,
  ],
};

teamTest("of services of older versions every request that is COSE is decided again, and what differs is known", () => {
  for (const [name, expected] of Object.entries(OLDER)) {
    const { findings } = auditEntries(readEntries(ledgerDirectory(name)));
    const different = findings.filter(({ verdict }) => verdict === "does not follow");
    const said = different.map(({ txId, reason }) =>
      `${formatTxId(txId)} ${/public:ccf\.[a-z0-9_.]+/.exec(reason)?.[0] ?? reason.replace(/.*: /, "")}`
    );
    assert.deepEqual([name, said], [name, expected]);
    const unchecked = findings.filter(({ verdict }) => verdict === "cannot be checked");
    assert(unchecked.every(({ reason }) => reason.includes("in HTTP headers")));
  }
});
