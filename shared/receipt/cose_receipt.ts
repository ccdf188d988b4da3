/**
 * COSE receipts: the same proof as one COSE_Sign1 message, signed by the service itself.
 *
 * In: CBOR bytes; or the COSE signature of a signature transaction with a proof to put into it. Out: a typed receipt,
 * bytes, a verdict in named steps.
 * Format: ledger-and-receipts.md §8.2
 */

import { FormatError } from "../assert.ts";
import { equalBytes, toHex, toUtf8 } from "../bytes.ts";
import {
  asArray,
  asBytes,
  asMap,
  asText,
  type CborMap,
  type CborValue,
  decodeCbor,
  encodeCbor,
} from "../crypto/cbor.ts";
import {
  COSE_ALGORITHMS,
  COSE_LABELS,
  type CoseSign1,
  parseCoseSign1,
  serialiseCoseSign1,
  verifyCoseSign1,
} from "../crypto/cose.ts";
import { parseLedgerSignatureHeader } from "../crypto/cose_headers.ts";
import { nodeIdOf } from "../crypto/identifiers.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { parseCertificatePem, publicKeyOf } from "../crypto/x509.ts";
import { MAX_COSE_RECEIPT_PROOFS, MAX_MERKLE_PATH_STEPS } from "../limits.ts";
import { leafOf } from "../merkle/leaf.ts";
import { foldPath, type MerklePath } from "../merkle/path.ts";
import { Steps, type Verdict } from "../verdict.ts";
import { checkClaims, checkTxId, type Expected } from "./expected.ts";

/** One proven transaction. */
export interface CoseProof {
  readonly writeSetDigest: Uint8Array;
  readonly commitEvidence: string;
  readonly claimsDigest: Uint8Array;
  readonly path: MerklePath;
}

export interface CoseReceipt {
  /** Its payload, the root, is detached; its unprotected header holds the proofs. */
  readonly message: CoseSign1;
  /** At least one; all under the same root. */
  readonly proofs: readonly CoseProof[];
}

/** Inside the map of verifiable data proofs: inclusion proofs. */
const INCLUSION_PROOFS = -1;
/** Inside a proof. */
const LEAF = 1;
const PATH = 2;

/**
 * Builds the receipt of a transaction from the COSE signature that covers it.
 *
 * @param signature the value of the signature transaction, its payload detached
 */
export function buildCoseReceipt(signature: CoseSign1, proof: CoseProof): Uint8Array {
  const encoded = encodeCbor(
    new Map<number, CborValue>([
      [LEAF, [proof.writeSetDigest, proof.commitEvidence, proof.claimsDigest]],
      [PATH, proof.path.map(({ side, hash }) => [side === "left", hash])],
    ]),
  );
  const proofs: CborMap = new Map([[INCLUSION_PROOFS, [encoded]]]);
  return serialiseCoseSign1({ ...signature, unprotectedHeader: new Map([[COSE_LABELS.vdp, proofs]]) });
}

/** @throws FormatError */
export function parseCoseReceipt(bytes: Uint8Array): CoseReceipt {
  const message = parseCoseSign1(bytes);
  if (message.payload !== undefined) throw new FormatError("Cannot read a COSE receipt: its payload must be detached");
  const data = asMap(message.unprotectedHeader.get(COSE_LABELS.vdp), "the proofs of a COSE receipt");
  const proofs = asArray(data.get(INCLUSION_PROOFS), "the inclusion proofs of a COSE receipt");
  if (proofs.length === 0 || proofs.length > MAX_COSE_RECEIPT_PROOFS) {
    throw new FormatError(`Cannot read a COSE receipt: it has ${proofs.length} inclusion proofs`);
  }
  return { message, proofs: proofs.map(parseProof) };
}

/** Checks a receipt against a service certificate (PEM). @throws FormatError where that certificate cannot be read */
export function verifyCoseReceipt(
  primitives: Primitives,
  receipt: CoseReceipt,
  serviceCertificatePem: string,
  expected: Expected,
): Verdict {
  const service = parseCertificatePem(serviceCertificatePem);
  const key = publicKeyOf(service);
  const steps = new Steps();
  try {
    if (key.kind !== "EC") throw new FormatError("Cannot check a COSE receipt: the service's key is not an EC key");
    const header = parseLedgerSignatureHeader(receipt.message);
    const ofCurve = receipt.message.protectedHeader.get(COSE_LABELS.alg) === COSE_ALGORITHMS[key.curve];
    steps.check("algorithm", ofCurve, `the algorithm is the one for ${key.curve}`);
    const keyId = nodeIdOf(service.spki);
    steps.check("key", header.keyId === keyId, `the receipt names key ${header.keyId}, the service's key is ${keyId}`);
    const root = commonRoot(primitives, receipt.proofs, steps);
    const signed = root !== undefined && verifyCoseSign1(primitives, key, receipt.message, root);
    steps.check("signature", signed, "the service's key signed the root");
    for (const { claimsDigest, commitEvidence } of receipt.proofs) {
      checkClaims(steps, expected, claimsDigest);
      checkTxId(steps, expected, commitEvidence);
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    steps.check("readable", false, error.message);
  }
  return steps.verdict();
}

/** The root that every proof leads to; undefined where they disagree. */
function commonRoot(primitives: Primitives, proofs: readonly CoseProof[], steps: Steps): Uint8Array | undefined {
  const roots = proofs.map(({ writeSetDigest, commitEvidence, claimsDigest, path }) => {
    const commitEvidenceDigest = primitives.sha256(toUtf8(commitEvidence));
    return foldPath(primitives, leafOf(primitives, { writeSetDigest, commitEvidenceDigest, claimsDigest }), path);
  });
  const root = roots[0]!;
  const agree = roots.every((other) => equalBytes(other, root));
  steps.check("root", agree, agree ? `the proof leads to root ${toHex(root)}` : "the proofs lead to different roots");
  return agree ? root : undefined;
}

function parseProof(value: CborValue): CoseProof {
  const members = asMap(decodeCbor(asBytes(value, "an inclusion proof")), "an inclusion proof");
  const leaf = asArray(members.get(LEAF), "the leaf of an inclusion proof");
  const path = asArray(members.get(PATH), "the path of an inclusion proof");
  if (leaf.length !== 3) throw new FormatError(`Cannot read a COSE receipt: its leaf has ${leaf.length} parts`);
  if (path.length > MAX_MERKLE_PATH_STEPS) {
    throw new FormatError(`Cannot read a COSE receipt: its path has ${path.length} steps`);
  }
  return {
    writeSetDigest: digest(leaf[0], "the write-set digest"),
    commitEvidence: asText(leaf[1], "the commit evidence"),
    claimsDigest: digest(leaf[2], "the claims digest"),
    path: path.map((step) => {
      const parts = asArray(step, "a step of the path");
      const [isLeft] = parts;
      if (parts.length !== 2 || typeof isLeft !== "boolean") {
        throw new FormatError("Cannot read a COSE receipt: a step of its path is not a side and a hash");
      }
      return { side: isLeft ? "left" as const : "right" as const, hash: digest(parts[1], "a step of the path") };
    }),
  };
}

function digest(value: CborValue | undefined, what: string): Uint8Array {
  const bytes = asBytes(value, what);
  if (bytes.length !== 32) throw new FormatError(`Cannot read a COSE receipt: ${what} has ${bytes.length} bytes`);
  return bytes;
}
