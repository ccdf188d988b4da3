/**
 * Signature transactions: the root of the Merkle tree, signed by a node and by the service.
 *
 * In: tables of an entry, or a root and keys. Out: both signatures and the serialised tree, or the write set of one.
 * Knows nothing of when to sign, nor of who may: whose key it must have been is for the caller.
 * Format: ledger-and-receipts.md §6
 */

import { FormatError } from "../assert.ts";
import { fromBase64, fromHex, toBase64, toHex } from "../bytes.ts";
import { type CoseSign1, parseCoseSign1, serialiseCoseSign1, toBeSigned, withSignature } from "../crypto/cose.ts";
import { serialiseLedgerSignatureHeader } from "../crypto/cose_headers.ts";
import {
  ecdsaSign,
  ecdsaSignDigest,
  type EcdsaVerifier,
  ecdsaVerifyDigest,
  type EcPrivateKey,
  type EcPublicKey,
  parseDerSignature,
  serialiseDerSignature,
} from "../crypto/ecdsa.ts";
import { nodeIdOf } from "../crypto/identifiers.ts";
import { parseJsonBytes, stableJsonBytes } from "../json.ts";
import { object, text, unsigned } from "../json_shape.ts";
import { SINGLETON_KEY } from "../kv/codecs.ts";
import type { TableWrites, WriteSet } from "../kv/write_set.ts";
import type { TxId } from "../tx_id.ts";
import { onlyValueOf } from "./single_value.ts";
import { COSE_SIGNATURES, SIGNATURES, TREE } from "./table_names.ts";

/** The node's signature, as `public:ccf.internal.signatures` holds it. */
export interface NodeSignature {
  readonly nodeId: string;
  /** Of the signature transaction itself. */
  readonly txId: TxId;
  /** Over the leaves of all transactions before it. */
  readonly root: Uint8Array;
  /** DER. The root is the digest that is signed: it is not hashed again, although most keys are on P-384. */
  readonly signature: Uint8Array;
  /** The node's certificate from the service; 1.x left it out. */
  readonly certificatePem: string | undefined;
  /** How far consensus had committed, as versions before 3.0 wrote it; always 0.0 now, which is left out here. */
  readonly committed?: TxId;
}

/** What a signature transaction holds. */
export interface SignatureTransaction {
  readonly nodeSignature: NodeSignature;
  /** The value of the table as it was written. */
  readonly nodeSignatureBytes: Uint8Array;
  /** The service's signature, with the root as its detached payload. 5.x and older have none. */
  readonly coseSignature: CoseSign1 | undefined;
  readonly serialisedTree: Uint8Array;
}

/** Whether these are the tables of a signature transaction, sound or not. */
export function isSignature(publicTables: readonly TableWrites[]): boolean {
  return publicTables.some((table) => table.name === SIGNATURES);
}

/**
 * Reads the tables of a signature transaction, which holds these two or three and no others.
 *
 * @throws FormatError
 */
export function parseSignatureTables(publicTables: readonly TableWrites[]): SignatureTransaction {
  const names = publicTables.map((table) => table.name);
  const allowed = [COSE_SIGNATURES, SIGNATURES, TREE];
  const expected = names.includes(COSE_SIGNATURES) ? allowed : allowed.slice(1);
  if (names.length !== expected.length || names.some((name, i) => name !== expected[i])) {
    throw new FormatError(`Cannot read a signature transaction: its tables are ${JSON.stringify(names)}`);
  }
  const [node, tree] = publicTables.slice(-2) as [TableWrites, TableWrites];
  const nodeSignatureBytes = onlyValueOf(node);
  return {
    nodeSignature: parseNodeSignature(nodeSignatureBytes),
    nodeSignatureBytes,
    coseSignature: expected === allowed ? parseCoseSignature(onlyValueOf(publicTables[0]!)) : undefined,
    serialisedTree: onlyValueOf(tree),
  };
}

/** Whether this key signed this root. */
export function verifyNodeSignature(
  primitives: EcdsaVerifier,
  key: EcPublicKey,
  root: Uint8Array,
  signature: Uint8Array,
): boolean {
  try {
    return ecdsaVerifyDigest(primitives, key, root, parseDerSignature(key.curve, signature));
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

/** What is to be signed, by whom, and what else goes with it. */
export interface SignatureContent extends TxId {
  /** Over the leaves of all transactions before this one. */
  readonly root: Uint8Array;
  readonly serialisedTree: Uint8Array;
  readonly node: {
    readonly id: string;
    readonly key: EcPrivateKey;
    /** As `public:ccf.gov.nodes.endorsed_certificates` holds it. */
    readonly endorsedCertificatePem: string;
  };
  readonly service: { readonly key: EcPrivateKey };
  readonly issuedAtSeconds: number;
  /** Of the COSE signature: `cose_signatures` of the node's configuration; both may be empty. */
  readonly issuer: string;
  readonly subject: string;
}

/** Signs a root with both keys. */
export function buildSignatureWriteSet(content: SignatureContent): WriteSet {
  const { view, seqno, root, node, service, issuedAtSeconds, issuer, subject } = content;
  const txId = { view, seqno };
  const protectedBytes = serialiseLedgerSignatureHeader({
    curve: service.key.curve,
    keyId: nodeIdOf(service.key.publicKey.spki),
    issuedAtSeconds,
    issuer,
    subject,
    txId,
  });
  const cose = withSignature(protectedBytes, undefined, ecdsaSign(service.key, toBeSigned(protectedBytes, root)));
  const nodeSignature = {
    nodeId: node.id,
    txId,
    root,
    signature: serialiseDerSignature(ecdsaSignDigest(node.key, root)),
    certificatePem: node.endorsedCertificatePem,
  };
  const table = (name: string, value: Uint8Array) => ({ name, writes: [[SINGLETON_KEY, value] as const], removes: [] });
  return {
    publicTables: [
      table(COSE_SIGNATURES, serialiseCoseSignature(cose)),
      table(SIGNATURES, serialiseNodeSignature(nodeSignature)),
      table(TREE, content.serialisedTree),
    ],
    privateTables: [],
  };
}

const NODE_SIGNATURE_SHAPE = object(
  { node: text, root: text, seqno: unsigned, sig: text, view: unsigned },
  { cert: text, commit_seqno: unsigned, commit_view: unsigned },
);
/** Written since 2.x in place of what an older consensus put there. */
const NO_NONCE = "0".repeat(64);

/** @throws FormatError */
export function parseNodeSignature(bytes: Uint8Array): NodeSignature {
  const json = NODE_SIGNATURE_SHAPE(parseJsonBytes(bytes), "");
  const root = fromHex(json.root);
  if (root.length !== 32) throw new FormatError(`Cannot read a node's signature: its root has ${root.length} bytes`);
  const committed = { view: json.commit_view ?? 0, seqno: json.commit_seqno ?? 0 };
  return {
    nodeId: json.node,
    txId: { view: json.view, seqno: json.seqno },
    root,
    signature: fromBase64(json.sig),
    certificatePem: json.cert,
    ...(committed.seqno > 0 && { committed }),
  };
}

export function serialiseNodeSignature(value: NodeSignature): Uint8Array {
  return stableJsonBytes({
    cert: value.certificatePem,
    commit_seqno: value.committed?.seqno ?? 0,
    commit_view: value.committed?.view ?? 0,
    hashed_nonce: NO_NONCE,
    node: value.nodeId,
    root: toHex(value.root),
    seqno: value.txId.seqno,
    sig: toBase64(value.signature),
    view: value.txId.view,
  });
}

/** Reads a JSON string that holds the message in base64; CCF's documentation says raw CBOR, and is wrong. @throws FormatError */
export function parseCoseSignature(bytes: Uint8Array): CoseSign1 {
  return parseCoseSign1(fromBase64(text(parseJsonBytes(bytes), "")));
}

export function serialiseCoseSignature(message: CoseSign1): Uint8Array {
  return stableJsonBytes(toBase64(serialiseCoseSign1(message)));
}
