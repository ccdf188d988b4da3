/**
 * A snapshot that a node begins with: first proved by its receipt, later opened with the ledger secret.
 *
 * In: the file that the host gave, which nobody trusts. Out: where the ledger goes on.
 * Rules: ledger-and-receipts.md §9, nodes-and-attestation.md §3.3, §3.7
 */

import { FormatError } from "../shared/assert.ts";
import { fromUtf8 } from "../shared/bytes.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { SINGLETON_KEY } from "../shared/kv/codecs.ts";
import type { TableSnapshot } from "../shared/kv/store.ts";
import type { LedgerSecrets } from "../shared/ledger/secrets.ts";
import { parseNodeSignature } from "../shared/ledger/signature.ts";
import { parseSnapshotName, Snapshot, splitSnapshotFile } from "../shared/ledger/snapshot.ts";
import { SIGNATURES, TREE } from "../shared/ledger/table_names.ts";
import { MerkleTree } from "../shared/merkle/tree.ts";
import { parseReceipt } from "../shared/receipt/receipt.ts";
import { verifyReceipt } from "../shared/receipt/verify_receipt.ts";
import type { LedgerStart } from "./commit_path.ts";

/**
 * Proves that a service recorded this snapshot in its ledger.
 *
 * @param servicePem certificate of that service
 * @throws FormatError where the file is damaged, or the receipt is not of it or not of that service
 */
export function provenSnapshot(
  primitives: Primitives,
  { name, file }: { readonly name: string; readonly file: Uint8Array },
  servicePem: string,
): Snapshot {
  const parts = splitSnapshotFile(file);
  const snapshot = Snapshot.parse(parts.snapshot);
  if (parseSnapshotName(name)?.seqno !== snapshot.seqno) {
    throw new FormatError(
      `Cannot start from the snapshot ${JSON.stringify(name)}: it holds the state at ${snapshot.seqno}`,
    );
  }
  const receipt = parseReceipt(fromUtf8(parts.receipt));
  const verdict = verifyReceipt(primitives, receipt, servicePem, { claimsDigest: snapshot.digest(primitives) });
  if (verdict.verdict === "verified") return snapshot;
  throw new FormatError(
    `Cannot start from the snapshot ${JSON.stringify(name)}: its receipt does not hold: ${verdict.reason}`,
  );
}

/**
 * Opens a snapshot that was proved.
 *
 * @throws FormatError where no secret given covers it, or it is not what a snapshot holds
 */
export function openSnapshot(primitives: Primitives, snapshot: Snapshot, secrets: LedgerSecrets): LedgerStart {
  const { seqno, leaf, viewStarts } = snapshot;
  const refuse = (why: string): never => {
    throw new FormatError(`Cannot start from the snapshot at ${seqno}: ${why}`);
  };
  const secret = secrets.at(seqno) ?? refuse("the service did not give the ledger secret that covers it");
  const publicTables = snapshot.publicTables();
  const privateTables = snapshot.privateTables(primitives, secret.key) ??
    refuse("it is not sealed with the service's ledger secret");
  const { txId } = parseNodeSignature(onlyValue(publicTables, SIGNATURES) ?? refuse("it has no signature"));
  const tree = MerkleTree.parse(primitives, onlyValue(publicTables, TREE) ?? refuse("it has no Merkle tree"));
  if (txId.seqno !== seqno || tree.size !== seqno) refuse("it was not taken at a signature");
  tree.append(leaf);
  return { store: { version: seqno, tables: [...publicTables, ...privateTables] }, tree, viewStarts, view: txId.view };
}

function onlyValue(tables: readonly TableSnapshot[], name: string): Uint8Array | undefined {
  for (const { key, value } of tables.find((table) => table.name === name)?.entries ?? []) {
    if (key === SINGLETON_KEY) return value;
  }
  return undefined;
}
