import { strict as assert } from "node:assert";
import { noblePrimitives, type Random } from "../shared/crypto/primitives.ts";
import { equalBytes, fromByteString, fromUtf8Lenient, toHex } from "../shared/bytes.ts";
import { SERVICE_INFO } from "../shared/governance/tables.ts";
import { parseChunk } from "../shared/ledger/chunk.ts";
import { FORCE_CHUNK_AFTER, LedgerEntry } from "../shared/ledger/entry.ts";
import { LedgerVerifier } from "../shared/ledger/replay.ts";
import { parseSnapshotName, Snapshot, splitSnapshotFile } from "../shared/ledger/snapshot.ts";
import { parseReceipt } from "../shared/receipt/receipt.ts";
import { verifyReceipt } from "../shared/receipt/verify_receipt.ts";
import {
  type InlineService,
  type InlineServiceOptions,
  restoreSecrets,
  startInlineService,
} from "../tests/inline_service.ts";
import { InlineNode } from "../tests/inline_node.ts";
import { teamData, teamTest } from "../tests/team_data.ts";
import { loadNativePowers } from "./native_powers.ts";
import { loadNativePrimitives } from "./native_primitives.ts";
import type { EnclavePowers } from "./powers.ts";

/** Runs a test over a service of its own. */
function serviceTest(
  name: string,
  options: InlineServiceOptions,
  test: (service: InlineService) => void,
  app: "native" | "js" = "native",
): void {
  Deno.test(name, async () => {
    const workspace = await Deno.makeTempDir();
    try {
      test(await startInlineService(workspace, app, options));
    } finally {
      await Deno.remove(workspace, { recursive: true });
    }
  });
}

function write({ node, userCertificate }: InlineService, id: number | string): string {
  const body = { id, msg: `message ${id}` };
  const response = node.request({ method: "POST", target: "/app/log/private", body, certificate: userCertificate });
  assert.equal(response.status, 200, fromUtf8Lenient(response.body));
  return response.headers.find(([header]) => header === "x-ms-ccf-transaction-id")![1];
}

function get({ node }: InlineService, target: string): { status: number; json: Record<string, unknown> } {
  const { status, body } = node.request({ method: "GET", target });
  return { status, json: body.length === 0 ? {} : JSON.parse(fromUtf8Lenient(body)) };
}

function txStatus(service: InlineService, txId: string): unknown {
  return get(service, `/node/tx?transaction_id=${txId}`).json.status;
}

for (const app of ["native", "js"] as const) {
  serviceTest(`the ledger of a service with the ${app} app verifies strictly, decrypts, and its snapshots verify`, {
    change: { signatures: { txCount: 10, delayMs: 1000 }, chunkBytes: 20_000, snapshotTxCount: 25 },
  }, (service) => {
    const { node } = service;
    for (let i = 0; i < 100; i++) write(service, i);
    node.send({ kind: "stop" });
    const primitives = loadNativePrimitives();
    const secrets = restoreSecrets(primitives, service, [0, 2]);
    const serviceCertificatePem = node.servicePem;
    const verifier = new LedgerVerifier({ primitives, mode: "strict", secrets, serviceCertificatePem });
    const findings = node.entries.flatMap((entry) => [...verifier.add(entry)]);
    findings.push(...verifier.finish());
    assert.deepEqual(findings, []);
    assert.equal(verifier.lastSigned.seqno, node.entries.length, "a stop signs what is left");
    assert.equal(verifier.store.beginReadOnly().openRaw("records").size, 100);

    assert(node.snapshots.size >= 3);
    for (const [name, file] of node.snapshots) {
      const { snapshot, receipt } = splitSnapshotFile(file);
      const parsed = Snapshot.parse(snapshot);
      assert.equal(parseSnapshotName(name)!.seqno, parsed.seqno);
      const proof = parseReceipt(fromUtf8Lenient(receipt));
      const expected = { claimsDigest: parsed.digest(primitives) };
      assert.equal(verifyReceipt(primitives, proof, node.servicePem, expected).verdict, "verified");
      assert(parsed.privateTables(primitives, secrets.at(parsed.seqno)!.key) !== undefined);
      const flags = LedgerEntry.parse(node.entries[parsed.seqno - 1]!).flags;
      assert.equal(flags, FORCE_CHUNK_AFTER, "a snapshot is taken at a signature that ends a file");
    }
  }, app);
}

serviceTest(
  "a transaction is Pending until a signature commits it, and others are Unknown or Invalid",
  {},
  (service) => {
    const txId = write(service, 1);
    assert.equal(txStatus(service, txId), "Pending");
    assert.equal(txStatus(service, "2.999999"), "Unknown");
    assert.equal(txStatus(service, "1.1"), "Invalid");
    assert.equal(txStatus(service, "3.1"), "Invalid");
    service.node.advance(0);
    assert.equal(txStatus(service, txId), "Pending", "the delay counts from when the transaction was first seen");
    service.node.advance(999);
    assert.equal(txStatus(service, txId), "Pending");
    service.node.advance(1);
    assert.equal(txStatus(service, txId), "Committed");
  },
);

serviceTest("a signature is written after so many transactions, and none where there is nothing to sign", {
  change: { signatures: { txCount: 3, delayMs: 1000 } },
}, (service) => {
  const before = service.node.entries.length;
  service.node.advance(10_000);
  assert.equal(service.node.entries.length, before);
  for (let i = 0; i < 3; i++) write(service, i);
  assert.equal(service.node.entries.length, before + 4);
  assert.equal(service.node.committed, before + 4);
});

serviceTest("a file ends at the signature that finds it large enough", {
  change: { signatures: { txCount: 2, delayMs: 1000 }, chunkBytes: 4000, snapshotTxCount: 1_000_000 },
}, (service) => {
  for (let i = 0; i < 40; i++) write(service, i);
  const files = [...service.node.ledgerFiles().values()].slice(1, -1);
  assert(files.length >= 3);
  for (const file of files) {
    const entries = parseChunk(file).content.map(({ bytes }) => LedgerEntry.parse(bytes));
    const bytesBefore = entries.slice(0, -1).reduce((sum, { bytes }) => sum + bytes.length, 0);
    assert(bytesBefore >= 4000, "the signature itself does not count");
    assert.equal(entries.at(-1)!.flags, FORCE_CHUNK_AFTER);
  }
});

Deno.test("a service whose constitution cannot govern does not start", async () => {
  const workspace = await Deno.makeTempDir();
  const { config, node } = await startInlineService(workspace, "native", { closed: true });
  await Deno.remove(workspace, { recursive: true });
  const refused = new InlineNode(await loadNativePowers(), node.nowMs);
  const service = { ...config.service, constitution: ["export function validate(proposal) {"] };
  refused.send({ kind: "start", config: { ...config, service } });
  assert.match(refused.fatal ?? "", /^Cannot start: the constitution cannot govern: /);
  assert.equal(refused.entries.length, 0);
});

serviceTest(
  "what members write in the place of the service's record does not stop the node",
  { closed: true },
  ({ node }) => {
    node.write((tx) => tx.openRaw(SERVICE_INFO.name).put("\0".repeat(8), new Uint8Array([1])));
    assert.equal(node.fatal, undefined);
    assert(node.logs.some((line) => line.includes("Cannot tell whether the service is open")));
  },
);

serviceTest("too many uncommitted transactions are refused with 503, and /node still answers", {
  change: {
    consensus: { messageTimeoutMs: 100, electionTimeoutMs: 5000, maxUncommittedTransactions: 5 },
    signatures: { txCount: 5000, delayMs: 1000 },
  },
}, (service) => {
  const { node, userCertificate: certificate } = service;
  for (let i = 0; i < 5; i++) write(service, i);
  const body = { id: 6, msg: "x" };
  const refused = node.request({ method: "POST", target: "/app/log/private", body, certificate });
  assert.equal(refused.status, 503);
  assert.match(fromUtf8Lenient(refused.body), /TooManyPendingTransactions/);
  assert.equal(get(service, "/node/state").status, 200);
  node.advance(0);
  node.advance(1000);
  write(service, 6);
});

serviceTest("a stop notice turns readiness off, and the node goes on serving", {}, (service) => {
  assert.equal(get(service, "/node/ready/app").status, 204);
  service.node.send({ kind: "stopNotice" });
  assert.equal(get(service, "/node/ready/app").status, 503);
  assert.equal(get(service, "/node/state").json.stop_notice, true);
  write(service, 1);
});

for (
  const [what, change, message] of [
    ["a member's certificate that is none", { certificatePem: "nothing" }, /certificate/i],
    ["a member's key that is no RSA key", { encryptionPublicKeyPem: "nothing" }, /PUBLIC KEY/],
  ] as const
) {
  Deno.test(`a node does not start with ${what}, and says so in a sentence`, async () => {
    const workspace = await Deno.makeTempDir();
    try {
      const { config, sandbox } = await startInlineService(workspace, "native");
      const [first, ...others] = config.service.members;
      const service = { ...config.service, members: [{ ...first!, ...change }, ...others] };
      const other = await Deno.makeTempDir();
      await assert.rejects(
        startInlineService(other, "native", { change: { service } }),
        (error: Error) => message.test(error.message) && !error.message.includes("TypeError"),
      );
      await Deno.remove(other, { recursive: true });
      void sandbox;
    } finally {
      await Deno.remove(workspace, { recursive: true });
    }
  });
}

/** Bytes that look random and are the same for each seed. */
function seeded(seed: number): Random {
  let state = seed;
  return (length) => {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      bytes[i] = state >>> 24;
    }
    return bytes;
  };
}

Deno.test("two nodes with the same entropy, time and requests write the same ledger, also on other primitives", async () => {
  const native = await loadNativePowers();
  const pair = native.rsaKeyPair();
  const workspace = await Deno.makeTempDir();
  const nowMs = Date.parse("2026-11-24T00:00:00Z");
  const service = await startInlineService(workspace, "native", { nowMs });
  const run = (primitives: EnclavePowers["primitives"]) => {
    const powers = { ...native, primitives, random: seeded(7), rsaKeyPair: () => pair };
    const node = InlineNode.start(powers, service.config, nowMs, service.sandbox.opening);
    for (let i = 0; i < 5; i++) write({ ...service, node }, i);
    node.advance(0);
    node.advance(1000);
    return node.entries;
  };
  const first = run(native.primitives);
  const second = run(noblePrimitives);
  assert.equal(first.length, second.length);
  first.forEach((entry, i) => assert(equalBytes(entry, second[i]!), `entry ${i + 1}: ${toHex(entry).slice(0, 80)}`));
  await Deno.remove(workspace, { recursive: true });
});

/** Names of members of a JSON object, of those inside too. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf).slice(0, 1);
  if (typeof value !== "object" || value === null) return typeof value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, shapeOf(member)]));
}

teamTest("the genesis transaction has the tables of a CCF node's, and their values the same members", async () => {
  const file = parseChunk(Deno.readFileSync(teamData("ccf/transcripts/ledger/ledger_1-13.committed")));
  const real = LedgerEntry.parse(file.content[0]!.bytes).publicTables();
  const workspace = await Deno.makeTempDir();
  try {
    const { node } = await startInlineService(workspace, "native");
    const ours = LedgerEntry.parse(node.entries[0]!).publicTables();
    assert.deepEqual(ours.map(({ name }) => name), real.map(({ name }) => name));
    // Settings that one configuration made and the other did not.
    const optional = new Set([
      "http_configuration",
      "enabled_operator_features",
      "max_open_sessions_hard",
      "max_open_sessions_soft",
      "member_data",
      "node_data",
    ]);
    const compare = (bytes: Uint8Array) => {
      try {
        return JSON.stringify(
          shapeOf(JSON.parse(fromUtf8Lenient(bytes), (name, value) => optional.has(name) ? undefined : value)),
        );
      } catch {
        return fromUtf8Lenient(bytes).split("\n")[0]; // PEM, or eight zero bytes
      }
    };
    ours.forEach(({ name, writes, removes }, i) => {
      const theirs = real[i]!;
      assert.deepEqual(removes, theirs.removes);
      assert.equal(fromByteString(writes[0]![0]).length, fromByteString(theirs.writes[0]![0]).length, `key of ${name}`);
      assert.equal(compare(writes[0]![1]), compare(theirs.writes[0]![1]), name);
    });
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
});
