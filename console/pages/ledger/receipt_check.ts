/**
 * A node's receipt for a transaction, held against what was folded here.
 *
 * In: the receipt's JSON, the transaction as it was verified from the ledger, the service's certificate as folded. Out: steps.
 * The node is believed in nothing: a receipt that is good but of another transaction, or of another tree, fails.
 */

import { FormatError } from "../../../shared/assert.ts";
import { fromHex, fromUtf8Lenient, toHex, toUtf8 } from "../../../shared/bytes.ts";
import { noblePrimitives } from "../../../shared/crypto/primitives.ts";
import { parseNodeSignature } from "../../../shared/ledger/signature.ts";
import { SIGNATURES } from "../../../shared/ledger/table_names.ts";
import { leafOf } from "../../../shared/merkle/leaf.ts";
import { foldPath } from "../../../shared/merkle/path.ts";
import { parseReceipt } from "../../../shared/receipt/receipt.ts";
import { verifyReceipt } from "../../../shared/receipt/verify_receipt.ts";
import { parseTxId } from "../../../shared/tx_id.ts";
import type { Step } from "../../../shared/verdict.ts";
import type { TransactionDetail } from "../../ledger/protocol.ts";
import { type Problem, ProblemError } from "../../problem.ts";
import { type NodeApi, refusalOf } from "../../service/node_api.ts";

const TRIES = 20;
const TRY_AGAIN_MS = 500;

/** Asks until the node has the receipt. @throws ProblemError */
export async function fetchReceipt(api: NodeApi, txId: string, signal: AbortSignal): Promise<string> {
  const path = `/app/receipt?transaction_id=${txId}`;
  for (let i = 0; i < TRIES; i++) {
    const answer = await api.ask(path, { signal });
    if (answer.status === 200) return fromUtf8Lenient(answer.body);
    // It reads old entries first, and says so.
    if (answer.status !== 202) throw new ProblemError(refusalOf(answer, api.name, path));
    await new Promise((resolve) => setTimeout(resolve, TRY_AGAIN_MS));
    signal.throwIfAborted();
  }
  throw new ProblemError(notInTime(api.name, txId));
}

function notInTime(name: string, txId: string): Problem {
  return {
    code: "ReceiptNotReady",
    what: `${name} has no receipt for ${txId} yet`,
    why: "It still reads the entry, or the signature after it, from its files",
    todo: "Ask again in a few seconds",
  };
}

/** @throws FormatError where the receipt or the certificate cannot be read */
export function checkReceipt(json: string, transaction: TransactionDetail, serviceCertificatePem: string): Step[] {
  const receipt = parseReceipt(json);
  // What the entry is tells which receipt it must have: a node could answer with that of any signature, which names none.
  const isSignature = transaction.kind === "signature";
  const verdict = verifyReceipt(noblePrimitives, receipt, serviceCertificatePem, {
    // The receipt of a signature is of its root, and names no transaction.
    ...(!isSignature && { txId: parseTxId(transaction.txId) }),
    ...(!isSignature && transaction.claimsDigest !== undefined && { claimsDigest: fromHex(transaction.claimsDigest) }),
  });
  const steps = [...verdict.steps];
  const { leaf } = receipt;
  if (isSignature !== (leaf.kind === "digest")) {
    steps.push({
      name: "kind",
      result: "failed",
      detail: isSignature
        ? "the entry is a signature, and the receipt that of another transaction"
        : "the receipt is that of a signature, which is of its root alone, and the entry is none",
    });
  } else if (leaf.kind === "digest") {
    const root = rootSignedIn(transaction);
    steps.push({
      name: "root in the ledger",
      result: toHex(leaf.digest) === root ? "verified" : "failed",
      detail: `the root of the receipt is ${toHex(leaf.digest)}, the one that the entry read here signs ${root}`,
    });
  }
  if (leaf.kind === "components") {
    const digest = toHex(leafOf(noblePrimitives, {
      writeSetDigest: leaf.writeSetDigest,
      commitEvidenceDigest: noblePrimitives.sha256(toUtf8(leaf.commitEvidence)),
      claimsDigest: leaf.claimsDigest,
    }));
    steps.push({
      name: "leaf in the ledger",
      result: digest === transaction.leaf ? "verified" : "failed",
      detail: `the leaf of the receipt is ${digest}, that of the entry read here ${transaction.leaf}`,
    });
    const root = toHex(foldPath(noblePrimitives, fromHex(digest), receipt.proof));
    const folded = transaction.proofSteps?.root;
    steps.push({
      name: "root in the ledger",
      result: folded === undefined ? "cannot be checked" : folded === root ? "verified" : "failed",
      detail: folded === undefined
        ? "no signature that was read here covers the entry yet"
        : `the root of the receipt is ${root}, the signed one read here ${folded}`,
    });
  }
  return steps;
}

/** Hex; of a signature transaction. @throws FormatError where it is none */
function rootSignedIn({ writes }: TransactionDetail): string {
  const written = writes.find(({ table }) => table === SIGNATURES)?.after;
  if (written === undefined) throw new FormatError("The entry signs no root");
  return toHex(parseNodeSignature(written).root);
}
