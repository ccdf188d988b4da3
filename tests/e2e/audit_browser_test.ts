/**
 * Decisions audited in a web page's worker: the same findings as `ledger verify --governance` has.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { USERS_INFO } from "../../shared/governance/tables.ts";
import { loadScriptEngine } from "../../enclave/js/runtime.ts";
import { runVerify } from "../../node/commands/ledger.ts";
import type { AuditPageAnswer } from "../audit_page.ts";
import { answerOfPage, bundled, withChromium } from "../chromium.ts";
import { startInlineService } from "../inline_service.ts";
import { decide } from "../members.ts";
import { RecordedOutput } from "../recorded_output.ts";
import { ledgerDirectory } from "../services.ts";
import { teamTest } from "../team_data.ts";

const script = new URL("../audit_page.ts", import.meta.url);
const engine = await loadScriptEngine(() => performance.now());

interface Finding {
  readonly tx_id: string;
  readonly verdict: string;
  readonly reason: string;
}

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "quorate_audit_" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What the command line says of each ledger in the folder, in the words of the page. */
function findingsOf(ledger: string): unknown[] {
  const output = new RecordedOutput();
  runVerify(ledger, [], { governance: true, lenient: true, json: true }, output, engine);
  const { findings }: { findings: Finding[] } = JSON.parse(output.text).governance;
  return findings.map(({ tx_id, verdict, reason }) => [
    Number(tx_id.split(".")[1]),
    verdict === "does not follow" ? "failed" : "cannot decide",
    reason,
  ]);
}

/** Every ledger below the folder, in Chromium and on the command line. */
async function compared(folder: string): Promise<AuditPageAnswer["reports"]> {
  const { reports, foreign } = await answerOfPage(await bundled(script), folder, {}, { wasm: true }) as AuditPageAnswer;
  assert.deepEqual(foreign, []);
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  assert.deepEqual(Object.keys(reports).sort(), names);
  for (const name of names) {
    const found = reports[name]!.findings.map(({ seqno, verdict, detail }) => [seqno, verdict, detail]);
    assert.deepEqual(found, findingsOf(join(folder, name)), name);
  }
  return reports;
}

Deno.test("a page finds in a ledger of ours what the command line finds, and nothing in one that is right", async () => {
  await withChromium(() =>
    withFolder(async (folder) => {
      const ledgers = join(folder, "ledgers");
      for (const name of ["right", "wrong"]) {
        const service = await startInlineService(join(folder, name), "native");
        const { json } = decide(service, { name: "set_recovery_threshold", args: { recovery_threshold: 1 } });
        assert.equal(json.proposalState, "Accepted");
        // Nobody asked for that.
        if (name === "wrong") {
          service.node.write((tx) => tx.open(USERS_INFO).put("f".repeat(64), { user_data: "a friend" }));
        }
        service.node.send({ kind: "stop" });
        Deno.mkdirSync(join(ledgers, name), { recursive: true });
        for (const [file, bytes] of service.node.ledgerFiles()) Deno.writeFileSync(join(ledgers, name, file), bytes);
      }
      const { right, wrong } = await compared(ledgers);
      assert.deepEqual([right!.verdict, wrong!.verdict], ["verified", "refused"]);
      assert.match(wrong!.findings[0]!.detail, /^No member's request stands behind this/);
      assert.ok(right!.requests >= 3 && right!.decisions >= 1, JSON.stringify(right));
    })
  );
});

teamTest("a page finds in real ledgers what the command line finds", async () => {
  await withChromium(() =>
    withFolder(async (folder) => {
      for (const name of ["recorded_governance", "recorded_recovery_shares", "eol_service"]) {
        const { ledger } = ledgerDirectory(name);
        Deno.mkdirSync(join(folder, name));
        for (const { name: file } of Deno.readDirSync(ledger)) {
          Deno.copyFileSync(join(ledger, file), join(folder, name, file));
        }
      }
      const reports = await compared(folder);
      const told = Object.entries(reports).map(([name, { verdict, requests }]) => [name, verdict, requests]);
      assert.deepEqual(told.sort(), [
        ["eol_service", "refused", reports["eol_service"]!.requests],
        ["recorded_governance", "verified", 121],
        ["recorded_recovery_shares", "verified", 29],
      ]);
    })
  );
});
