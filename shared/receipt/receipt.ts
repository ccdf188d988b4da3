/**
 * JSON receipts: proof that a transaction is in the ledger of a service.
 *
 * In: JSON text as a node answers it, or an entry with the signature that covers it. Out: a typed receipt; the JSON again.
 * Verifying is `verify_receipt.ts`. Knows nothing of files and requests.
 * Format: ledger-and-receipts.md §8.1
 */

import { FormatError } from "../assert.ts";
import { fromBase64, fromHex, toBase64, toHex } from "../bytes.ts";
import { parseJsonText, stableJson } from "../json.ts";
import { listOf, object, text } from "../json_shape.ts";
import { MAX_MERKLE_PATH_STEPS, MAX_RECEIPT_BYTES } from "../limits.ts";
import type { MerklePath, PathStep } from "../merkle/path.ts";

export interface Receipt {
  /** PEM of the node that signed, endorsed by the service of its time. */
  readonly certificatePem: string;
  /** Hex SHA-256 of the node's public key. */
  readonly nodeId: string;
  /** DER ECDSA signature over the root, taken as the digest. */
  readonly signature: Uint8Array;
  /** From the leaf to the root. */
  readonly proof: MerklePath;
  readonly leaf: ReceiptLeaf;
  /** PEM certificates of older service keys, from the one that endorsed the node to one that the service endorsed. */
  readonly serviceEndorsementsPem: readonly string[];
}

/** What the proof starts from. */
export type ReceiptLeaf =
  /** Everything current. `claimsDigest` is absent in entries of early 2.x. */
  | {
    readonly kind: "components";
    readonly writeSetDigest: Uint8Array;
    readonly commitEvidence: string;
    readonly claimsDigest: Uint8Array | undefined;
  }
  /** A signature transaction, whose leaf is the root it signed; or an entry from before 2.0: its write-set digest. */
  | { readonly kind: "digest"; readonly digest: Uint8Array };

const DIGEST_BYTES = 32;

const SHAPE = object(
  { cert: text, node_id: text, proof: listOf(object({}, { left: text, right: text })), signature: text },
  {
    leaf: text,
    leaf_components: object({ write_set_digest: text, commit_evidence: text }, { claims_digest: text }),
    service_endorsements: listOf(text),
    // Of the variant that applications see (§8.1, last paragraph).
    root_hex: text,
  },
);

/**
 * Reads a receipt. Strict about what is proved, tolerant of members it does not know.
 *
 * @throws FormatError
 */
export function parseReceipt(json: string): Receipt {
  if (json.length > MAX_RECEIPT_BYTES) {
    throw new FormatError(`Cannot read a receipt of ${json.length} bytes: at most ${MAX_RECEIPT_BYTES}`);
  }
  const members = SHAPE(parseJsonText(json), "");
  if (members.proof.length > MAX_MERKLE_PATH_STEPS) {
    throw new FormatError(`Cannot read a receipt: its proof has ${members.proof.length} steps`);
  }
  return {
    certificatePem: members.cert,
    nodeId: members.node_id,
    signature: fromBase64(members.signature),
    proof: members.proof.map(parseStep),
    leaf: parseLeaf(members),
    serviceEndorsementsPem: members.service_endorsements ?? [],
  };
}

/** The members as `GET /app/receipt` answers them; `stableJson` of it is the text. */
export function receiptMembers(receipt: Receipt): Readonly<Record<string, unknown>> {
  const { leaf } = receipt;
  return {
    cert: receipt.certificatePem,
    ...(leaf.kind === "digest" ? { leaf: toHex(leaf.digest) } : {
      leaf_components: {
        ...(leaf.claimsDigest && { claims_digest: toHex(leaf.claimsDigest) }),
        commit_evidence: leaf.commitEvidence,
        write_set_digest: toHex(leaf.writeSetDigest),
      },
    }),
    node_id: receipt.nodeId,
    proof: receipt.proof.map(({ side, hash }) => ({ [side]: toHex(hash) })),
    ...(receipt.serviceEndorsementsPem.length > 0 && { service_endorsements: receipt.serviceEndorsementsPem }),
    signature: toBase64(receipt.signature),
  };
}

/** Keys sorted, no spaces. */
export function serialiseReceipt(receipt: Receipt): string {
  return stableJson(receiptMembers(receipt));
}

function parseStep(step: { readonly left?: string; readonly right?: string }): PathStep {
  if ((step.left === undefined) === (step.right === undefined)) {
    throw new FormatError('Cannot read a receipt: each step of its proof has either "left" or "right"');
  }
  return step.left === undefined
    ? { side: "right", hash: digest(step.right!, "a step of its proof") }
    : { side: "left", hash: digest(step.left, "a step of its proof") };
}

function parseLeaf({ leaf, leaf_components, root_hex }: ReturnType<typeof SHAPE>): ReceiptLeaf {
  const given = [leaf, leaf_components, root_hex].filter((member) => member !== undefined);
  if (given.length !== 1) {
    throw new FormatError('Cannot read a receipt: it must have one of "leaf_components", "leaf" and "root_hex"');
  }
  if (leaf_components === undefined) return { kind: "digest", digest: digest((leaf ?? root_hex)!, '"leaf"') };
  const { write_set_digest, commit_evidence, claims_digest } = leaf_components;
  return {
    kind: "components",
    writeSetDigest: digest(write_set_digest, '"write_set_digest"'),
    commitEvidence: commit_evidence,
    claimsDigest: claims_digest === undefined ? undefined : digest(claims_digest, '"claims_digest"'),
  };
}

function digest(hex: string, what: string): Uint8Array {
  const bytes = fromHex(hex);
  if (bytes.length !== DIGEST_BYTES) {
    throw new FormatError(`Cannot read a receipt: ${what} must be 32 bytes and has ${bytes.length}`);
  }
  return bytes;
}
