import { strict as assert } from "node:assert";
import { join } from "node:path";
import { NODES_ENDORSED_CERTIFICATES } from "../shared/governance/tables.ts";
import { noblePrimitives as primitives } from "../shared/crypto/primitives.ts";
import { parseCertificatePem } from "../shared/crypto/x509.ts";
import { serialiseBundle } from "../shared/trust/bundle.ts";
import { TrustFold } from "../shared/trust/trust_fold.ts";
import { ForgedNode } from "../tests/forged_node.ts";
import { quoteRequest } from "../tests/quote_request.ts";
import { RecordedOutput } from "../tests/recorded_output.ts";
import { type LedgerDirectory, ledgerDirectory, readEntries } from "../tests/services.ts";
import { teamTest } from "../tests/team_data.ts";
import { allowing, TrustForge } from "../tests/trust_forge.ts";
import { UsageError } from "./commands/exit.ts";
import { type QuoteRequest, verifyQuote } from "./quote_verify.ts";

async function run(target: string, more: Partial<QuoteRequest>) {
  const output = new RecordedOutput();
  const code = await verifyQuote(quoteRequest(target, more), output);
  const json = JSON.parse(output.text);
  const pin = json.rungs[2].steps.find(({ name }: { name: string }) => name === "pin");
  return { code, reason: json.reason as string | null, pin, notes: output.notes };
}

async function withPin(test: (pinPath: string, folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "quorate_pin_" });
  try {
    await test(join(folder, "service.pin"), folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const pinned = (path: string) => JSON.parse(Deno.readTextFileSync(path));

/** A service that has decided so many times; always the same one, and the same up to there, unless its measurements differ. */
function serviceWith(decisions: number, measurement = "0b"): TrustForge {
  const forge = new TrustForge(primitives, "pinned").start();
  for (let i = 0; i < decisions; i++) {
    forge.decide("add_snp_measurement", allowing(measurement.repeat(48)));
    forge.sign();
  }
  return forge;
}

Deno.test("a node is pinned once it is verified, and refused when it shows an older state or another branch", async () => {
  await withPin(async (pinPath, folder) => {
    await using young = await ForgedNode.start(serviceWith(1));
    await using old = await ForgedNode.start(serviceWith(2));
    await using branch = await ForgedNode.start(serviceWith(3, "0c"));
    await using stranger = await ForgedNode.start(new TrustForge(primitives, "stranger").start());

    const first = await run(young.url, { pinPath });
    assert.deepEqual([first.code, first.pin], [0, undefined], first.reason!);
    const before = pinned(pinPath);
    assert.deepEqual(first.notes, [`Pinned ${before.last_signed} in ${pinPath}`]);

    // It grew. What is refused for any reason does not move the pin.
    const refused = await run(old.url, { pinPath, expected: { measurements: ["00"] } });
    assert.equal(refused.code, 1);
    assert.deepEqual(pinned(pinPath), before);
    const second = await run(old.url, { pinPath });
    assert.deepEqual([second.code, second.pin.result], [0, "verified"]);
    const after = pinned(pinPath);
    assert.equal(after.service_identity, before.service_identity);
    assert.notEqual(after.last_signed, before.last_signed);

    const lies = [[young, "LedgerOlderThanPinned"], [branch, "LedgerForked"], [stranger, "LedgerOlderThanPinned"]];
    for (const [node, code] of lies as [ForgedNode, string][]) {
      const { code: exitCode, reason, pin } = await run(node.url, { pinPath });
      assert.deepEqual([exitCode, pin.result, pin.code], [1, "failed", code], reason!);
      assert.match(reason!, /^service: pin: /);
      assert.deepEqual(pinned(pinPath), after);
    }
    // At the seqno of the first pin the stranger has something too.
    const first1 = join(folder, "first.pin");
    Deno.writeTextFileSync(first1, JSON.stringify({ ...before, last_signed: "2.3" }));
    assert.equal((await run(stranger.url, { pinPath: first1 })).pin.code, "IdentityChanged");
  });
});

Deno.test("a pin goes with a ledger, and is looked at before anything is asked", async () => {
  await withPin(async (pinPath, folder) => {
    const target = "https://127.0.0.1:1";
    await assert.rejects(
      run(target, { pinPath, upTo: "key" }),
      /--pin is for what a ledger says, and --up-to key reads/,
    );
    await assert.rejects(run(target, { pinPath: join(folder, "no", "such") }), /Cannot write the pin .*no directory/);
    Deno.writeTextFileSync(pinPath, "{}");
    await assert.rejects(run(target, { pinPath }), (error: Error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, /^Cannot read the pin .*put back the file that an earlier run wrote/);
      return true;
    });
  });
});

/** The evidence of the newest trusted node of a recorded service, with its ledger. */
function bundleOf(directory: LedgerDirectory, folder: string): string {
  const entries = readEntries(directory);
  const fold = new TrustFold({ primitives, mode: "strict" });
  for (const entry of entries) assert.ok(fold.add(entry));
  const certificates = fold.tables().open(NODES_ENDORSED_CERTIFICATES);
  const { row, nodeId } = fold.admissions.findLast(({ row, nodeId }) =>
    row.status === "Trusted" && certificates.has(nodeId)
  )!;
  const nodeCertificate = parseCertificatePem(certificates.get(nodeId)!).der;
  const path = join(folder, `${directory.name.replaceAll("/", "_")}.json`);
  Deno.writeTextFileSync(path, serialiseBundle({ evidence: row.quote_info, nodeCertificate, entries }));
  return path;
}

teamTest("a recovered service continues the pin of before, which moves on with its certificate only", async () => {
  for (const name of ["recorded_recovery", "recorded_recovery_shares"]) {
    await withPin(async (pinPath, folder) => {
      const recovered = ledgerDirectory(name);
      const before = bundleOf(ledgerDirectory(`${name}/before_recovery`), folder);
      const after = bundleOf(recovered, folder);
      const asked = {
        pinPath,
        upTo: "service",
        allowVirtual: true,
        at: Date.UTC(2026, 10, 24, 12),
        nowMs: Date.UTC(2027, 0, 1),
      } as const;
      const first = await run(before, asked);
      assert.equal(first.code, 0, first.reason!);
      const old = pinned(pinPath);

      const alone = await run(after, asked);
      assert.deepEqual([alone.code, alone.pin.result], [0, "verified"], alone.reason!);
      assert.match(alone.notes.join(), /^The service was recovered since .* was pinned.*; the pin stays there until/);
      assert.deepEqual(pinned(pinPath), old);

      const known = await run(after, { ...asked, serviceCert: join(recovered.common, "service_cert.pem") });
      assert.equal(known.code, 0, known.reason!);
      assert.notEqual(pinned(pinPath).service_identity, old.service_identity);
      assert.equal((await run(before, asked)).pin.code, "LedgerOlderThanPinned");
    });
  }
});
