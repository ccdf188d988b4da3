import { strict as assert } from "node:assert";
import { ledgerDirectory, readEntries } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import { primitives } from "../../tests/trust_climb.ts";
import { snpEvidenceFor, TrustForge } from "../../tests/trust_forge.ts";
import { describeCause } from "./decisions.ts";
import { TrustFold } from "./trust_fold.ts";

/** Real services of CCF 7.0: nodes that were ever trusted, in order, by whom; and lives of the service. */
const RECORDED: readonly [name: string, trustedBy: readonly string[], lives: number][] = [
  ["recorded_governance", ["genesis"], 1],
  ["recorded_join", ["genesis", "decision", "decision", "decision"], 1],
  ["recorded_nodes/node1", ["genesis", "decision", "decision", "decision"], 1],
  ["recorded_orphans/joiner", ["genesis", "decision", "decision", "decision"], 1],
  ["recorded_recovery", ["genesis", "recovery", "recovery"], 3],
  ["recorded_rekey", ["genesis", "recovery"], 2],
];

for (const [name, trustedBy, lives] of RECORDED) {
  teamTest(`who let whom into ${name}, a service of CCF's, follows`, () => {
    const fold = new TrustFold({ primitives, mode: "strict" });
    assert.ok(readEntries(ledgerDirectory(name)).every((entry) => fold.add(entry)) && fold.finish());
    assert.deepEqual([fold.failure, fold.policyProblems, fold.ruleProblems], [undefined, [], []]);
    assert.deepEqual(fold.admissions.map(({ trusted }) => trusted?.by.kind), trustedBy);
    for (const { nodeId, problems, judged } of fold.admissions) {
      assert.deepEqual(problems, [], nodeId);
      assert.equal(judged!.judgement.verdict, "accepted");
      assert.equal(judged!.checked.outcome, "virtual");
    }
    assert.equal(fold.lives.length, lives);
    for (const { opened } of fold.lives) assert.equal(opened!.by.kind, "decision", JSON.stringify(opened));
  });
}

teamTest("a decision in a real service is told with all who signed it", () => {
  const fold = new TrustFold({ primitives, mode: "strict" });
  for (const entry of readEntries(ledgerDirectory("recorded_join"))) fold.add(entry);
  const by = fold.admissions[1]!.trusted!.by;
  assert.match(
    describeCause(by),
    /^proposal [0-9a-f]{64} \(transition_node_to_trusted\) of member [0-9a-f]{64} \(signed in 2\.16\), accepted in 2\.18 with member [0-9a-f]{64} yes \(signed in 2\.1[78]\), member [0-9a-f]{64} yes \(signed in 2\.1[78]\)$/,
  );
});

Deno.test("a node that comes back after its row was deleted is judged anew", () => {
  const forge = new TrustForge(primitives).start();
  const node = forge.addNode();
  forge.write({ "public:ccf.gov.nodes.info": { [node.id]: null } });
  forge.sign();
  assert.equal(forge.fold().admissionOf(node.id)!.status, "removed");
  forge.joins(node, snpEvidenceFor(node, { measurement: "0b".repeat(48) }));
  forge.sign();
  const fold = forge.fold();
  assert.match(fold.admissionOf(node.id)!.problems[0]!, /is not in the join policy/);
  assert.equal(fold.admissions.filter(({ nodeId }) => nodeId === node.id).length, 2);
});

Deno.test("while a service opens nodes are trusted on their evidence alone, and judged all the same", () => {
  const forge = new TrustForge(primitives).genesis();
  const [good, bad] = [forge.makeNode(forge.service), forge.makeNode(forge.service)];
  forge.write(forge.trusting(good));
  forge.write(forge.trusting(bad, snpEvidenceFor(bad, { hostData: "0c".repeat(32) })));
  forge.sign();
  const fold = forge.fold();
  assert.deepEqual(fold.admissionOf(good.id)!.problems, []);
  assert.match(fold.admissionOf(bad.id)!.problems[0]!, /host data 0c/);
});

Deno.test("a ledger that is not sound is refused with the transaction, and nothing after it is looked at", () => {
  const forge = new TrustForge(primitives).start();
  const entries = forge.entries.map((entry) => entry.slice());
  entries[2]![60]! ^= 1;
  const fold = new TrustFold({ primitives, mode: "strict" });
  assert.equal(entries.every((entry) => fold.add(entry)), false);
  assert.ok(fold.failure!.seqno >= 3);
});

Deno.test("what no signature covers counts for nothing", () => {
  const forge = new TrustForge(primitives).start();
  const node = forge.makeNode(forge.service);
  const signed = forge.fold().last;
  forge.write(forge.trusting(node));
  const fold = forge.fold();
  assert.deepEqual([fold.failure, fold.last, fold.unsigned], [undefined, signed, 1]);
  assert.equal(fold.admissionOf(node.id), undefined);
  forge.sign();
  assert.equal(forge.fold().admissionOf(node.id)!.status, "Trusted");
});

Deno.test("an entry is seen once it was accepted, with the tree that has it last", () => {
  const forge = new TrustForge(primitives).start();
  const sizes: number[] = [];
  const onEntry = (_: Uint8Array, tree: { readonly size: number }) => sizes.push(tree.size);
  const fold = new TrustFold({ primitives, mode: "strict", onEntry });
  for (const entry of forge.entries) fold.add(entry);
  assert.deepEqual(sizes, forge.entries.map((_, i) => i + 2)); // the tree has a leaf before the first
});
