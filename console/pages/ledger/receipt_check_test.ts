import { strict as assert } from "node:assert";
import { fromByteString, fromHex, fromUtf8, toHex, toUtf8 } from "../../../shared/bytes.ts";
import { noblePrimitives as primitives } from "../../../shared/crypto/primitives.ts";
import { SERVICE_INFO } from "../../../shared/governance/tables.ts";
import { LedgerEntry } from "../../../shared/ledger/entry.ts";
import { isSignature, parseSignatureTables } from "../../../shared/ledger/signature.ts";
import { LedgerSecret } from "../../../shared/ledger/secrets.ts";
import { buildReceipt } from "../../../shared/receipt/build_receipt.ts";
import { type Receipt, serialiseReceipt } from "../../../shared/receipt/receipt.ts";
import { formatTxId } from "../../../shared/tx_id.ts";
import { ledgerDirectories, readEntries, readLedgerSecrets } from "../../../tests/services.ts";
import { teamTest } from "../../../tests/team_data.ts";
import type { TransactionDetail } from "../../ledger/protocol.ts";
import { checkReceipt } from "./receipt_check.ts";

/** A receipt for an entry of a real ledger, and that entry as the worker tells of it. */
function sample() {
  const directory = ledgerDirectories().find(({ name }) => name.includes("double_sealed"))!;
  const entries = [...readEntries(directory)].slice(0, 60).map((bytes) => LedgerEntry.parse(bytes));
  const at = entries.findIndex((entry, i) => i > 30 && !isSignature(entry.publicTables()));
  const entry = entries[at]!;
  const signatureEntry = entries.slice(at).find((later) => isSignature(later.publicTables()))!;
  const [, hex] = readLedgerSecrets(directory)[0]!;
  const secret = new LedgerSecret(primitives, fromHex(hex));
  const receipt = buildReceipt(
    primitives,
    {
      entry,
      signatureEntry,
      commitEvidence: secret.commitEvidence(entry.txId),
    } as Parameters<typeof buildReceipt>[1],
  );
  const { nodeSignature } = parseSignatureTables(signatureEntry.publicTables());
  const info = entries.flatMap((one) => one.publicTables()).filter(({ name }) => name === SERVICE_INFO.name).at(-1)!;
  const servicePem = (JSON.parse(fromUtf8(info.writes[0]![1])) as { cert: string }).cert;
  const transaction = {
    txId: formatTxId(entry.txId),
    leaf: toHex(entry.leaf(primitives)),
    claimsDigest: toHex(entry.claimsDigest!),
    proofSteps: { root: toHex(nodeSignature.root) },
  } as TransactionDetail;
  const signature = {
    kind: "signature",
    txId: formatTxId(signatureEntry.txId),
    leaf: toHex(signatureEntry.leaf(primitives)),
    writes: signatureEntry.publicTables().flatMap(({ name, writes }) =>
      writes.map(([key, after]) => ({ table: name, key: fromByteString(key), after }))
    ),
  } as unknown as TransactionDetail;
  const ofSignature = buildReceipt(primitives, {
    entry: signatureEntry,
    signatureEntry,
    commitEvidence: undefined,
  });
  return { json: serialiseReceipt(receipt), transaction, servicePem, signature, ofSignature };
}

const rootOf = ({ leaf }: Receipt) => leaf.kind === "digest" ? toHex(leaf.digest) : "";

const failed = (steps: ReturnType<typeof checkReceipt>) =>
  steps.filter(({ result }) => result === "failed").map(({ name }) => name);

teamTest("a receipt of the transaction that was read holds in every step", () => {
  const { json, transaction, servicePem } = sample();
  const steps = checkReceipt(json, transaction, servicePem);
  assert.deepEqual(failed(steps), []);
  assert.deepEqual(steps.slice(-2).map(({ name, result }) => [name, result]), [
    ["leaf in the ledger", "verified"],
    ["root in the ledger", "verified"],
  ]);
});

teamTest("a good receipt of another transaction, of other claims, or under another root is refused", () => {
  const { json, transaction, servicePem } = sample();
  const check = (change: Partial<TransactionDetail>) =>
    failed(checkReceipt(json, { ...transaction, ...change }, servicePem));
  assert.deepEqual(check({ leaf: "ab".repeat(32) }), ["leaf in the ledger"]);
  assert.deepEqual(check({ txId: "2.7" }), ["transaction"]);
  assert.deepEqual(check({ claimsDigest: "ab".repeat(32) }), ["claims"]);
  assert.deepEqual(check({ proofSteps: { ...transaction.proofSteps!, root: "ab".repeat(32) } }), [
    "root in the ledger",
  ]);
});

teamTest(
  "a receipt that was changed is refused where it was changed, and an entry without a signature is left open",
  () => {
    const { json, transaction, servicePem } = sample();
    const members = JSON.parse(json);
    members.leaf_components.write_set_digest = "00".repeat(32);
    assert.ok(failed(checkReceipt(JSON.stringify(members), transaction, servicePem)).includes("signature"));
    const { proofSteps: _, ...unsigned } = transaction;
    assert.equal(checkReceipt(json, unsigned as TransactionDetail, servicePem).at(-1)!.result, "cannot be checked");
  },
);

teamTest("the receipt of a signature names no transaction, and is taken for that signature alone", () => {
  const { json, transaction, servicePem, signature, ofSignature } = sample();
  const signed = serialiseReceipt(ofSignature);
  assert.deepEqual(failed(checkReceipt(signed, signature, servicePem)), []);
  assert.equal(checkReceipt(signed, signature, servicePem).at(-1)!.name, "root in the ledger");
  assert.deepEqual(failed(checkReceipt(signed, transaction, servicePem)), ["kind"]);
  assert.equal(failed(checkReceipt(json, signature, servicePem))[0], "kind");
  const writes = signature.writes.map((write) =>
    write.table === "public:ccf.internal.signatures"
      ? { ...write, after: toUtf8(fromUtf8(write.after!).replace(rootOf(ofSignature), "ab".repeat(32))) }
      : write
  );
  assert.deepEqual(failed(checkReceipt(signed, { ...signature, writes }, servicePem)), ["root in the ledger"]);
});
