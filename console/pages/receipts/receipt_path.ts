/**
 * The way from the leaf of a receipt to its root, each hash computed here.
 *
 * In: a receipt that was read. Out: parts of the leaf, steps with the node that each leads to, the root. Whether just that root
 * was signed is not asked here.
 * Format: ledger-and-receipts.md §5.1, §5.3
 */

import { toHex, toUtf8 } from "../../../shared/bytes.ts";
import type { Primitives } from "../../../shared/crypto/primitives.ts";
import { leafOf } from "../../../shared/merkle/leaf.ts";
import { foldPath, type MerklePath } from "../../../shared/merkle/path.ts";
import { txIdOf } from "../../../shared/receipt/expected.ts";
import type { TxId } from "../../../shared/tx_id.ts";
import type { ReadableReceipt } from "./read_receipts.ts";

/** A leaf and its way up; hashes in hex. */
export interface DrawnPath {
  readonly txId: TxId | undefined;
  readonly leaf: string;
  /** Whose digest is among the parts, such as "ce:2.24:6cc9…". */
  readonly commitEvidence?: string;
  /** What the leaf is the hash of; none where it stands for itself. */
  readonly parts: readonly { readonly name: string; readonly hash: string }[];
  /** From the leaf upwards, each with the node that it leads to. */
  readonly steps: readonly { readonly side: "left" | "right"; readonly hash: string; readonly node: string }[];
  readonly root: string;
}

/** Name of the part that stands for the claims. */
export const CLAIMS = "claims digest";

/** The way from each leaf to its root. @throws FormatError */
export function pathsOf(primitives: Primitives, read: ReadableReceipt): readonly DrawnPath[] {
  if (read.kind === "COSE") {
    return read.receipt.proofs.map((proof) => drawn(primitives, { kind: "components", ...proof }, proof.path));
  }
  return [drawn(primitives, read.receipt.leaf, read.receipt.proof)];
}

function drawn(
  primitives: Primitives,
  leaf: Extract<ReadableReceipt, { kind: "JSON" }>["receipt"]["leaf"],
  path: MerklePath,
): DrawnPath {
  let node: Uint8Array;
  const parts: { name: string; hash: string }[] = [];
  let txId: TxId | undefined;
  if (leaf.kind === "digest") node = leaf.digest;
  else {
    const commitEvidenceDigest = primitives.sha256(toUtf8(leaf.commitEvidence));
    txId = txIdOf(leaf.commitEvidence);
    parts.push(
      { name: "write set digest", hash: toHex(leaf.writeSetDigest) },
      { name: "commit evidence digest", hash: toHex(commitEvidenceDigest) },
    );
    if (leaf.claimsDigest !== undefined) parts.push({ name: CLAIMS, hash: toHex(leaf.claimsDigest) });
    node = leafOf(primitives, {
      writeSetDigest: leaf.writeSetDigest,
      commitEvidenceDigest,
      claimsDigest: leaf.claimsDigest,
    });
  }
  const first = toHex(node);
  const steps = path.map((step) => {
    node = foldPath(primitives, node, [step]);
    return { side: step.side, hash: toHex(step.hash), node: toHex(node) };
  });
  return {
    txId,
    leaf: first,
    parts,
    steps,
    root: toHex(node),
    ...(leaf.kind === "components" && { commitEvidence: leaf.commitEvidence }),
  };
}
