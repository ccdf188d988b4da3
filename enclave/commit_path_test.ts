/**
 * What a backup takes from a primary that lies. It has every secret of the service, so only what entries say can betray it.
 */

import { strict as assert } from "node:assert";
import fc from "fast-check";
import { generateEcPrivateKey } from "../shared/crypto/ecdsa.ts";
import { NODES_INFO } from "../shared/governance/tables.ts";
import type { WriteSet } from "../shared/kv/write_set.ts";
import { type EntryContent, sealEntry } from "../shared/ledger/entry.ts";
import { buildSignatureWriteSet, type SignatureContent } from "../shared/ledger/signature.ts";
import { NO_CLAIMS } from "../shared/merkle/leaf.ts";
import { startNetwork } from "../tests/inline_network.ts";
import type { InlineNode } from "../tests/inline_node.ts";
import type { Node } from "./node.ts";

/** A primary in the hands of somebody, and one of its backups. */
class Liar {
  readonly primary: Node;
  readonly backup: Node;
  readonly #host: InlineNode;

  constructor(primary: InlineNode, backup: InlineNode) {
    this.primary = primary.enclave.node!;
    this.backup = backup.enclave.node!;
    this.#host = backup;
  }

  /** The next entry, true but for what is changed. */
  entry(writeSet: WriteSet, change: Partial<EntryContent> & { readonly key?: Uint8Array } = {}): Uint8Array {
    const { primitives, path } = this.primary;
    const txId = { view: path.view, seqno: path.store.version + 1 };
    const secret = path.secrets.at(txId.seqno)!;
    const { key = secret.key, ...content } = change;
    const commitEvidenceDigest = secret.commitEvidenceDigest(txId);
    return sealEntry(primitives, key, {
      txId,
      flags: 0,
      claimsDigest: NO_CLAIMS,
      commitEvidenceDigest,
      writeSet,
      ...content,
    });
  }

  signature(change: Partial<SignatureContent> = {}): WriteSet {
    const { path, id, identity, endorsedPem, service, coseSignatures } = this.primary;
    return buildSignatureWriteSet({
      view: path.view,
      seqno: path.store.version + 1,
      root: path.tree.root(),
      serialisedTree: path.tree.serialise(),
      node: { id, key: identity.key, endorsedCertificatePem: endorsedPem },
      service,
      issuedAtSeconds: 1_800_000_000,
      ...coseSignatures,
      ...change,
    });
  }

  /** @returns why the backup refused the entry; undefined where it took it */
  offer(entry: Uint8Array): string | undefined {
    const { raft, store } = this.backup.path;
    const before = store.version;
    const [digest, tables] = [this.backup.path.tree.root(), store.generation];
    this.#host.logs.length = 0;
    raft.receive(this.primary.id, {
      kind: "append entries",
      view: this.primary.view,
      previous: before,
      previousView: raft.viewOf(before),
      last: before + 1,
      viewOfEntries: this.primary.view,
      committed: 0,
    }, [entry]);
    this.#host.send(); // performs what was emitted
    if (store.version === before + 1) return undefined;
    assert.deepEqual([store.version, store.generation], [before, tables], "nothing has changed");
    assert.deepEqual(this.backup.path.tree.root(), digest);
    assert.equal(this.#host.fatal, undefined);
    const reason = this.#host.logs.find((line) => line.includes("from the primary"));
    assert(reason !== undefined, "the log says why");
    return reason.replace(/^.*from the primary: /, "");
  }
}

async function startLiar(): Promise<Liar> {
  const { network } = await startNetwork();
  network.advance(3000);
  const [primary, backup] = network.nodes as [InlineNode, InlineNode];
  network.isolate(primary);
  network.isolate(backup);
  const liar = new Liar(primary, backup);
  assert.equal(liar.primary.store.version, liar.backup.store.version);
  return liar;
}

const record: WriteSet = {
  publicTables: [{ name: "public:told", writes: [["k", Uint8Array.of(1)]], removes: [] }],
  privateTables: [{ name: "secret", writes: [["k", Uint8Array.of(2)]], removes: [] }],
};

Deno.test("a backup takes an entry only as the primary's ledger must have it", async () => {
  const liar = await startLiar();
  const { view, seqno } = { view: liar.primary.view, seqno: liar.primary.store.version + 1 };
  const refusal = (change: Parameters<Liar["entry"]>[1]) => liar.offer(liar.entry(record, change));
  assert.equal(refusal({ txId: { view, seqno: seqno + 1 } }), `it is entry ${view}.${seqno + 1}`);
  assert.equal(refusal({ txId: { view: view + 1, seqno } }), `it is entry ${view + 1}.${seqno}`);
  assert.match(refusal({ key: new Uint8Array(32) })!, /not sealed with the ledger secret, or was changed$/);
  assert.match(refusal({ commitEvidenceDigest: new Uint8Array(32) })!, /commit evidence is not that of this/);
  const reserved = { publicTables: [], privateTables: [{ ...record.publicTables[0]! }] };
  assert.notEqual(liar.offer(liar.entry(reserved)), undefined, "a public table among the private ones");
  assert.equal(refusal({}), undefined, "and the true one it takes");
});

Deno.test("a backup refuses an entry of which any bit was changed", async () => {
  const liar = await startLiar();
  const entry = liar.entry(record);
  fc.assert(
    fc.property(fc.nat(entry.length * 8 - 1), (bit) => {
      const changed = entry.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      // The flags of an entry are sealed by nobody: the root of the next signature covers them.
      fc.pre(bit >> 3 !== 1);
      assert.notEqual(liar.offer(changed), undefined);
    }),
    { numRuns: 200 },
  );
  assert.equal(liar.offer(entry), undefined);
});

Deno.test("a backup takes a signature only of the root that its own entries lead to, by a node and by the service", async () => {
  const liar = await startLiar();
  const { primary } = liar;
  const { random, identity, endorsedPem, service } = primary;
  const other = generateEcPrivateKey("P-384", random);
  const refusal = (change: Partial<SignatureContent>) => liar.offer(liar.entry(liar.signature(change)));
  const node = { id: primary.id, key: identity.key, endorsedCertificatePem: endorsedPem };
  assert.match(refusal({ root: new Uint8Array(32) })!, /^The transactions before lead to root /);
  assert.match(refusal({ seqno: 1 })!, /^The signature says it is transaction \d+\.1$/);
  assert.match(refusal({ node: { ...node, key: other } })!, /did not sign root/);
  assert.match(refusal({ node: { ...node, id: "ab".repeat(32) } })!, /signs, and is not known$/);
  assert.match(refusal({ node: { ...node, endorsedCertificatePem: service.certificatePem } })!, /not for the key/);
  assert.match(refusal({ service: { key: other } })!, /^The COSE signature names the key/);
  assert.match(refusal({ serialisedTree: new Uint8Array(16) })!, /tree/);
  const claims = { claimsDigest: new Uint8Array(32).fill(1) };
  assert.match(liar.offer(liar.entry(liar.signature(), claims))!, /makes a claim$/);
  const withPrivate = { ...liar.signature(), privateTables: record.privateTables };
  assert.match(liar.offer(liar.entry(withPrivate))!, /changes private tables$/);
  assert.equal(refusal({}), undefined, "and the true one it takes");
});

Deno.test("who is not trusted signs nothing", async () => {
  const liar = await startLiar();
  const { primary } = liar;
  const info = primary.store.beginReadOnly().open(NODES_INFO).get(primary.id)!;
  const tx = primary.store.begin();
  tx.open(NODES_INFO).put(primary.id, { ...info, status: "Pending" });
  assert.equal(liar.offer(liar.entry(tx.writeSet())), undefined);
  primary.commitTransaction(tx);
  assert.match(liar.offer(liar.entry(liar.signature()))!, /signs, and is "Pending"$/);
});
