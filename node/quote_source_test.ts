import { strict as assert } from "node:assert";
import * as https from "node:https";
import { equalBytes, toHex } from "../shared/bytes.ts";
import { noblePrimitives as primitives } from "../shared/crypto/primitives.ts";
import { ForgedNode, halfShake, type Otherwise, type Reaction } from "../tests/forged_node.ts";
import { certificateOf, snpEvidenceFor, TrustForge } from "../tests/trust_forge.ts";
import { Unreachable } from "./commands/node_client.ts";
import { NodeSource } from "./quote_source.ts";

const forge = new TrustForge(primitives).start();
const servicePem = forge.service.certificatePem;

/** Why there is no answer. */
async function failure(otherwise: Otherwise, ask: (source: NodeSource) => Promise<unknown>): Promise<string> {
  await using node = await ForgedNode.start(forge, otherwise);
  try {
    using source = await NodeSource.open(new URL(node.url), servicePem);
    const found = await ask(source);
    return `answered: ${JSON.stringify(found)}`;
  } catch (error) {
    if (error instanceof Unreachable) return error.message;
    throw error;
  }
}

Deno.test("a node's evidence comes with the certificate whose key ended the connection", async () => {
  await using node = await ForgedNode.start(forge);
  using source = await NodeSource.open(new URL(node.url), servicePem);
  const { evidence, nodeId } = await source.evidence();
  assert.deepEqual(evidence, { ...snpEvidenceFor(forge.node), quote: evidence.quote });
  assert.equal(nodeId, forge.node.id);
  assert.ok(equalBytes(source.certificate!, certificateOf(forge.node)));
  assert.ok(!node.asked.includes("/node/network"), "who brings a certificate does not ask for one");
});

Deno.test("a ledger is read to its committed end, a few entries at a time", async () => {
  await using node = await ForgedNode.start(forge);
  using source = await NodeSource.open(new URL(node.url), servicePem);
  const to = await source.committed();
  assert.equal(to, forge.entries.length);
  const read: Uint8Array[] = [];
  while (read.length < to) {
    const entries = await source.entries(read.length + 1, to);
    assert.ok(typeof entries !== "string" && entries.length <= 4);
    read.push(...entries);
  }
  assert.deepEqual(read.map(toHex), forge.entries.map(toHex));
});

Deno.test("without a certificate, or with another service's, the node is held to the service that it names", async () => {
  const stranger = new TrustForge(primitives, "stranger").genesis();
  for (const given of [undefined, stranger.service.certificatePem]) {
    await using node = await ForgedNode.start(forge);
    using source = await NodeSource.open(new URL(node.url), given);
    assert.equal(source.servicePem, servicePem);
    await source.evidence();
    assert.ok(equalBytes(source.certificate!, certificateOf(forge.node)));
  }
});

Deno.test("a node that names a service which did not issue its certificate is not asked anything else", async () => {
  const stranger = new TrustForge(primitives, "stranger").genesis();
  await using node = await ForgedNode.start(
    stranger,
    (path) => path === "/node/network" ? { body: JSON.stringify({ service_certificate: servicePem }) } : undefined,
  );
  using source = await NodeSource.open(new URL(node.url), undefined);
  await assert.rejects(source.evidence(), /certificate/);
  assert.deepEqual(node.asked, ["/node/network"]);
});

Deno.test("what is no answer is told as a sentence", async () => {
  const says = (path: string, body: string, status = 200): Otherwise => (asked) =>
    asked === path ? { status, body } : undefined;
  const evidence = (source: NodeSource) => source.evidence();
  const entries = (source: NodeSource) => source.entries(1, 6);
  const table: readonly [RegExp, Otherwise, (source: NodeSource) => Promise<unknown>][] = [
    [/for its evidence: HTTP 500$/, says("/node/attestations/self", "", 500), evidence],
    [
      /for its evidence: \\u001b\[31mverified\\u0007 \(HTTP 500\)$/,
      says("/node/attestations/self", JSON.stringify({ error: { message: "\u001b[31mverified\u0007" } }), 500),
      evidence,
    ],
    [/about its evidence: Cannot read 4 characters as JSON/, says("/node/attestations/self", "<x/>"), evidence],
    [/about its evidence: /, says("/node/attestations/self", "{}"), evidence],
    [/how far its ledger is committed/, says("/node/commit", `{"transaction_id":"x"}`), (source) => source.committed()],
    [
      /answered: .*does not hand out ledger entry 1: off \(HTTP 404\)/,
      (path) =>
        path === "/node/ledger/entries"
          ? { status: 404, body: JSON.stringify({ error: { code: "x", message: "off" } }) }
          : undefined,
      entries,
    ],
    [/about ledger entries: /, says("/node/ledger/entries", "nonsense"), entries],
    [/asked for entries from 1 it gives others/, says("/node/ledger/entries", ""), entries],
    [
      /asked for entries from 1 it gives others/,
      (path) =>
        path === "/node/ledger/entries"
          ? { headers: { "x-quorate-ledger-next": "9" }, body: forge.entries[0]! }
          : undefined,
      entries,
    ],
    [/more than \d+ bytes/, says("/node/attestations/self", "x".repeat(17 << 20)), evidence],
  ];
  for (const [expected, otherwise, ask] of table) assert.match(await failure(otherwise, ask), expected);
});

Deno.test("the older name of the evidence is asked for where the newer one is not known", async () => {
  await using node = await ForgedNode.start(forge, (path) => {
    const { quote: raw, ...rest } = snpEvidenceFor(forge.node);
    if (path === "/node/attestations/self") return { status: 404, body: "" };
    return path === "/node/quotes/self" ? { body: JSON.stringify({ ...rest, raw }) } : undefined;
  });
  using source = await NodeSource.open(new URL(node.url), servicePem);
  assert.equal((await source.evidence()).evidence.format, "AMD_SEV_SNP_v1");
});

Deno.test("where nothing listens that is said", async () => {
  await assert.rejects(NodeSource.open(new URL("https://127.0.0.1:1"), servicePem), /nothing listens there/);
});

/** What a client does whose server shows the node's certificate and signs with this key. */
async function reactionTo(key: typeof forge.node.key, options: https.RequestOptions): Promise<Reaction> {
  const { port, reaction } = halfShake(forge.node.certificatePem, key);
  const request = https.get({ host: "127.0.0.1", port, agent: false, ...options });
  request.on("error", () => {});
  try {
    return await reaction;
  } finally {
    request.destroy();
  }
}

// The whole rung "key" stands on this: that the runtime wants to see that a server has the key of its certificate.
Deno.test("a server that shows a node's certificate without its key is refused", async () => {
  const thief = new TrustForge(primitives, "thief").node.key;
  const verified = { ca: servicePem, rejectUnauthorized: true, checkServerIdentity: () => undefined };
  assert.equal(await reactionTo(forge.node.key, verified), "goes on");
  assert.equal(await reactionTo(thief, verified), "breaks off");
});
