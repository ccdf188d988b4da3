/**
 * Building a receipt from the ledger: an entry, and the signature transaction whose tree covers it.
 *
 * In: both entries, the commit evidence. Out: a receipt that verifies, or FormatError where the two do not belong
 * together; so whoever gets a receipt from here knows that the entry is in the signed tree.
 * Format: ledger-and-receipts.md §8.1 "Node-side construction"
 */

import { FormatError } from "../assert.ts";
import { equalBytes } from "../bytes.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { parseCertificatePem, publicKeyOf } from "../crypto/x509.ts";
import type { LedgerEntry } from "../ledger/entry.ts";
import { type NodeSignature, parseSignatureTables, verifyNodeSignature } from "../ledger/signature.ts";
import { foldPath, type MerklePath } from "../merkle/path.ts";
import { MerkleTree } from "../merkle/tree.ts";
import type { CoseProof } from "./cose_receipt.ts";
import type { Receipt } from "./receipt.ts";

export interface ReceiptSource {
  readonly entry: LedgerEntry;
  /** The first signature transaction whose tree covers the entry; the entry itself where it is a signature. */
  readonly signatureEntry: LedgerEntry;
  /** Known from the ledger secret; undefined for entries from before commit evidence. */
  readonly commitEvidence: string | undefined;
}

/** @throws FormatError where the entry is not in the signed tree, or the signature is not one */
export function buildReceipt(
  primitives: Primitives,
  { entry, signatureEntry, commitEvidence }: ReceiptSource,
): Receipt {
  const { nodeSignature, serialisedTree } = parseSignatureTables(signatureEntry.publicTables());
  const certificatePem = requireSigned(primitives, nodeSignature, signatureEntry.seqno);
  const common = {
    certificatePem,
    nodeId: nodeSignature.nodeId,
    signature: nodeSignature.signature,
    serviceEndorsementsPem: [],
  };
  if (entry.seqno === signatureEntry.seqno) {
    return { ...common, proof: [], leaf: { kind: "digest", digest: nodeSignature.root } };
  }
  const proof = pathTo(primitives, entry, serialisedTree, nodeSignature);
  const writeSetDigest = entry.writeSetDigest(primitives);
  return {
    ...common,
    proof,
    leaf: commitEvidence === undefined
      ? { kind: "digest", digest: writeSetDigest }
      : { kind: "components", writeSetDigest, commitEvidence, claimsDigest: entry.claimsDigest },
  };
}

/**
 * What a COSE receipt of the entry holds, for `buildCoseReceipt`.
 *
 * @throws FormatError as `buildReceipt`, and for a signature transaction, which has no path
 */
export function coseProofOf(receipt: Receipt): CoseProof {
  const { leaf } = receipt;
  if (leaf.kind !== "components" || leaf.claimsDigest === undefined) {
    throw new FormatError("Cannot make a COSE receipt: there is no Merkle proof for this transaction");
  }
  const { writeSetDigest, commitEvidence, claimsDigest } = leaf;
  return { writeSetDigest, commitEvidence, claimsDigest, path: receipt.proof };
}

function requireSigned(primitives: Primitives, signature: NodeSignature, seqno: number): string {
  const { certificatePem, root } = signature;
  if (certificatePem === undefined) {
    throw new FormatError(`Cannot build a receipt: the signature at ${seqno} has no certificate`);
  }
  const key = publicKeyOf(parseCertificatePem(certificatePem));
  if (key.kind !== "EC" || !verifyNodeSignature(primitives, key, root, signature.signature)) {
    throw new FormatError(`Cannot build a receipt: the signature at ${seqno} does not verify`);
  }
  return certificatePem;
}

/** The path from the entry's leaf to the signed root, checked. */
function pathTo(
  primitives: Primitives,
  entry: LedgerEntry,
  serialisedTree: Uint8Array,
  { root, txId }: NodeSignature,
): MerklePath {
  const tree = MerkleTree.parse(primitives, serialisedTree);
  const leaf = entry.leaf(primitives);
  if (entry.seqno < tree.firstIndex || entry.seqno >= tree.size) {
    throw new FormatError(`Cannot build a receipt: the signature at ${txId.seqno} does not cover entry ${entry.seqno}`);
  }
  const path = tree.path(entry.seqno);
  if (!equalBytes(tree.leaf(entry.seqno), leaf) || !equalBytes(foldPath(primitives, leaf, path), root)) {
    throw new FormatError(
      `Cannot build a receipt: entry ${entry.seqno} is not the one that was signed at ${txId.seqno}`,
    );
  }
  return path;
}
