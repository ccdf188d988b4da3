/**
 * Checks signature transactions: a node that may sign and the service signed the root that the ledger leads to.
 *
 * Rules: ledger-and-receipts.md §6
 */

import { FormatError } from "../../assert.ts";
import { equalBytes, fromUtf8, toByteString, toHex, toUtf8 } from "../../bytes.ts";
import { type CoseSign1, verifyCoseSign1 } from "../../crypto/cose.ts";
import { parseLedgerSignatureHeader } from "../../crypto/cose_headers.ts";
import { parseJsonBytes } from "../../json.ts";
import { object, text } from "../../json_shape.ts";
import { NO_CLAIMS } from "../../merkle/leaf.ts";
import { MerkleTree, parseSerialisedTree } from "../../merkle/tree.ts";
import { formatTxId, sameTxId, type Seqno, type TxId } from "../../tx_id.ts";
import {
  type NodeSignature,
  parseCoseSignature,
  parseNodeSignature,
  parseSignatureTables,
  serialiseNodeSignature,
  type SignatureTransaction,
  verifyNodeSignature,
} from "../signature.ts";
import type { KnownCertificate } from "./certificates.ts";
import type { ReplayedTransaction, ReplayState } from "./state.ts";
import { COSE_SIGNATURES, NODES_ENDORSED_CERTIFICATES, NODES_INFO, SIGNATURES } from "../table_names.ts";

/**
 * @param service the identity that is current
 * @returns the root that was signed, and the first leaf in the serialised tree: what was committed when the node signed
 * @throws FormatError
 */
export function checkSignature(
  state: ReplayState,
  tx: ReplayedTransaction,
  service: KnownCertificate,
): { readonly root: Uint8Array; readonly firstLeaf: Seqno } {
  const { entry } = tx;
  if (entry.hasPrivateTables) throw new FormatError("The signature transaction changes private tables");
  if (entry.claimsDigest !== undefined && !equalBytes(entry.claimsDigest, NO_CLAIMS)) {
    throw new FormatError("The signature transaction makes a claim");
  }
  const signature = parseSignatureTables([...tx.tables.values()]);
  const root = state.tree.root();
  checkNodeSignature(state, signature, entry.txId, root, service);
  const { coseSignature } = signature;
  if (coseSignature === undefined) {
    state.tolerate("signature without COSE", "The service's own COSE signature is missing");
  } else {
    checkCoseSignature(state, coseSignature, entry.txId, root, service);
  }
  return { root, firstLeaf: checkSerialisedTree(state, signature.serialisedTree, entry.seqno, root) };
}

/**
 * Checks the signature that a snapshot was taken at, over the tree in it.
 *
 * @throws FormatError
 */
export function checkSnapshotSignature(state: ReplayState, txId: TxId, service: KnownCertificate): void {
  const bytes = state.valueBefore(SIGNATURES);
  if (bytes === undefined || state.lastWriteBefore(SIGNATURES) !== txId.seqno || state.tree.size !== txId.seqno) {
    throw new FormatError("The snapshot was not taken at a signature");
  }
  const root = state.tree.root();
  const signature = { nodeSignature: parseNodeSignature(bytes), nodeSignatureBytes: bytes };
  checkNodeSignature(state, signature, txId, root, service);
  // A COSE signature from before is of an earlier root: not every signature has one, in older ledgers.
  if (state.lastWriteBefore(COSE_SIGNATURES) !== txId.seqno) return;
  checkCoseSignature(state, parseCoseSignature(state.valueBefore(COSE_SIGNATURES)!), txId, root, service);
}

/** The part of a signature that names and is made by a node. */
function checkNodeSignature(
  state: ReplayState,
  { nodeSignature, nodeSignatureBytes }: Pick<SignatureTransaction, "nodeSignature" | "nodeSignatureBytes">,
  txId: TxId,
  root: Uint8Array,
  service: KnownCertificate,
): void {
  const { nodeId, certificatePem } = nodeSignature;
  if (!sameTxId(nodeSignature.txId, txId)) {
    throw new FormatError(`The signature says it is transaction ${formatTxId(nodeSignature.txId)}`);
  }
  if (!equalBytes(nodeSignature.root, root)) {
    throw new FormatError(
      `The transactions before lead to root ${toHex(root)}, and the signature is over ${toHex(nodeSignature.root)}`,
    );
  }
  const canonical = nodeSignature.committed === undefined &&
    equalBytes(serialiseNodeSignature(nodeSignature), nodeSignatureBytes);
  if (!canonical) state.tolerate("form of a value", "The node's signature is not written as a current node writes it");

  const signer = signingCertificate(state, nodeSignature);
  if (signer.key.kind !== "EC") throw new FormatError(`Node ${JSON.stringify(nodeId)} has no key that can sign`);
  if (!verifyNodeSignature(state.primitives, signer.key, root, nodeSignature.signature)) {
    throw new FormatError(`Node ${JSON.stringify(nodeId)} did not sign root ${toHex(root)}`);
  }
  if (certificatePem === undefined) {
    state.tolerate("signature without a current certificate", "The signature does not bring the node's certificate");
    return;
  }
  if (!equalBytes(state.certificates.get(certificatePem).certificate.spki, signer.certificate.spki)) {
    throw new FormatError(`The certificate beside the signature is not for the key of node ${JSON.stringify(nodeId)}`);
  }
  if (!state.certificates.isSignedBy(certificatePem, service)) {
    throw new FormatError(
      `The service did not endorse the certificate beside the signature of node ${JSON.stringify(nodeId)}`,
    );
  }
}

const NODE_STATUS = object({ status: text }, { cert: text });

/** The certificate of a node that is or was trusted, as of the transaction before. */
function signingCertificate(state: ReplayState, { nodeId }: NodeSignature): KnownCertificate {
  const key = toByteString(toUtf8(nodeId));
  const infoBytes = state.valueBefore(NODES_INFO, key);
  if (infoBytes === undefined) throw new FormatError(`Node ${JSON.stringify(nodeId)} signs, and is not known`);
  const info = NODE_STATUS(parseJsonBytes(infoBytes), "");
  // A retired node may sign for a while, until another has taken over.
  if (info.status !== "Trusted" && info.status !== "Retired") {
    throw new FormatError(`Node ${JSON.stringify(nodeId)} signs, and is ${JSON.stringify(info.status)}`);
  }
  const endorsed = state.valueBefore(NODES_ENDORSED_CERTIFICATES, key);
  if (endorsed !== undefined) return state.certificates.get(fromUtf8(endorsed));
  if (info.cert === undefined) throw new FormatError(`Node ${JSON.stringify(nodeId)} signs, and has no certificate`);
  const reason = `The certificate of node ${JSON.stringify(nodeId)} stands where 1.x kept it`;
  state.tolerate("signature without a current certificate", reason);
  return state.certificates.get(info.cert);
}

/** The service's signature over the same root. */
function checkCoseSignature(
  state: ReplayState,
  message: CoseSign1,
  txId: TxId,
  root: Uint8Array,
  service: KnownCertificate,
): void {
  const header = parseLedgerSignatureHeader(message);
  if (!sameTxId(header.txId, txId)) {
    throw new FormatError(`The COSE signature says it is transaction ${formatTxId(header.txId)}`);
  }
  if (header.keyId !== service.nodeId) {
    throw new FormatError(`The COSE signature names the key ${header.keyId}, and the service's is ${service.nodeId}`);
  }
  if (message.unprotectedHeader.size > 0 || message.payload !== undefined) {
    throw new FormatError("The COSE signature carries an unprotected header or a payload");
  }
  if (service.key.kind !== "EC" || !verifyCoseSign1(state.primitives, service.key, message, root)) {
    throw new FormatError(`The service did not make the COSE signature over root ${toHex(root)}`);
  }
}

/** The tree that goes with a signature proves the transactions before it, so it must be this ledger's. */
function checkSerialisedTree(state: ReplayState, bytes: Uint8Array, seqno: Seqno, root: Uint8Array): Seqno {
  const { first, leafCount } = parseSerialisedTree(bytes);
  if (first + leafCount !== seqno) {
    throw new FormatError(`The serialised tree ends before ${first + leafCount}, and the signature is at ${seqno}`);
  }
  // Comparing bytes costs no hashing. Where our own tree no longer goes back so far, the root must do.
  const same = first >= state.tree.firstIndex
    ? equalBytes(state.tree.serialise(first), bytes)
    : equalBytes(MerkleTree.parse(state.primitives, bytes).root(), root);
  if (!same) throw new FormatError("The serialised tree is not the one that the transactions before lead to");
  return first;
}
