/**
 * Verifying a JSON receipt with nothing but the service's certificate.
 *
 * In: a receipt, the certificate to trust, what is claimed of the transaction. Out: a verdict in named steps.
 * Dates are not looked at: a receipt proves what was signed, and is kept for longer than certificates last.
 * Rules: ledger-and-receipts.md §8.1 "Verification", §7.4
 */

import { FormatError } from "../assert.ts";
import { toHex, toUtf8 } from "../bytes.ts";
import { ecdsaVerifyDigest, type EcPublicKey, parseDerSignature } from "../crypto/ecdsa.ts";
import { nodeIdOf } from "../crypto/identifiers.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { type Certificate, isSignedBy, parseCertificatePem, publicKeyOf } from "../crypto/x509.ts";
import { basicConstraints } from "../crypto/x509_extensions.ts";
import { leafOf } from "../merkle/leaf.ts";
import { foldPath } from "../merkle/path.ts";
import { Steps, type Verdict } from "../verdict.ts";
import { checkClaims, checkTxId, type Expected } from "./expected.ts";
import type { Receipt, ReceiptLeaf } from "./receipt.ts";

/** Service certificates that a receipt may lead through: one in everything CCF answers. */
const MAX_SERVICE_ENDORSEMENTS = 16;

/** Checks a receipt against a service certificate (PEM). @throws FormatError where that certificate cannot be read */
export function verifyReceipt(
  primitives: Primitives,
  receipt: Receipt,
  serviceCertificatePem: string,
  expected: Expected,
): Verdict {
  const service = parseCertificatePem(serviceCertificatePem);
  const steps = new Steps();
  try {
    check(primitives, receipt, service, expected, steps);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    steps.check("readable", false, error.message);
  }
  return steps.verdict();
}

function check(
  primitives: Primitives,
  receipt: Receipt,
  service: Certificate,
  expected: Expected,
  steps: Steps,
): void {
  const { leaf } = receipt;
  // The digest alone could be any node of the tree: with steps behind it, it would show that something was hashed.
  const isNamed = leaf.kind === "components" || receipt.proof.length === 0;
  if (!isNamed) steps.check("leaf", false, "a bare digest with a path behind it does not say what it is the digest of");
  const root = foldPath(primitives, leafBytes(primitives, receipt.leaf), receipt.proof);
  steps.check("root", true, `the leaf and ${receipt.proof.length} steps lead to root ${toHex(root)}`);

  const node = parseCertificatePem(receipt.certificatePem);
  const key = publicKeyOf(node);
  const signed = key.kind === "EC" && isRootSigned(primitives, key, root, receipt.signature);
  steps.check("signature", signed, "the key of the node's certificate signed the root");

  const nodeId = nodeIdOf(node.spki);
  steps.check("node", nodeId === receipt.nodeId, `the certificate is that of node ${nodeId}`);

  checkEndorsement(primitives, node, receipt.serviceEndorsementsPem, service, steps);

  const claims = leaf.kind === "components" ? leaf.claimsDigest : undefined;
  checkClaims(steps, expected, claims);
  checkTxId(steps, expected, leaf.kind === "components" ? leaf.commitEvidence : undefined);
}

function leafBytes(primitives: Primitives, leaf: ReceiptLeaf): Uint8Array {
  if (leaf.kind === "digest") return leaf.digest;
  return leafOf(primitives, {
    writeSetDigest: leaf.writeSetDigest,
    commitEvidenceDigest: primitives.sha256(toUtf8(leaf.commitEvidence)),
    claimsDigest: leaf.claimsDigest,
  });
}

/** Bytes that are no signature at all sign nothing: the step that looks at them fails, and not the reading. */
function isRootSigned(primitives: Primitives, key: EcPublicKey, root: Uint8Array, signature: Uint8Array): boolean {
  try {
    return ecdsaVerifyDigest(primitives, key, root, parseDerSignature(key.curve, signature));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return false;
  }
}

/** The node's certificate is signed by the service, or by an older key that a chain of endorsements leads to. */
function checkEndorsement(
  primitives: Primitives,
  node: Certificate,
  endorsementsPem: readonly string[],
  service: Certificate,
  steps: Steps,
): void {
  if (endorsementsPem.length > MAX_SERVICE_ENDORSEMENTS) {
    steps.check(
      "endorsement",
      false,
      `the receipt brings ${endorsementsPem.length} certificates of older service keys`,
    );
    return;
  }
  let signed = node;
  for (const pem of endorsementsPem) {
    const issuer = parseCertificatePem(pem);
    // The service has signed nodes' certificates too, and nodes must not endorse nodes.
    const isAuthority = basicConstraints(issuer.extensions)?.ca === true;
    const isEndorsed = isAuthority && isSignedBy(primitives, signed, publicKeyOf(issuer));
    if (!steps.check("endorsement", isEndorsed, "the certificate of an older service key, an authority's, signed")) {
      return;
    }
    signed = issuer;
  }
  const what = endorsementsPem.length === 0 ? "the node's certificate" : "the oldest key's certificate";
  steps.check("service", isSignedBy(primitives, signed, publicKeyOf(service)), `the given service signed ${what}`);
}
