/**
 * Who may be at the other end of a channel: the node that a frame claims, if the service has endorsed its certificate.
 *
 * In: a certificate as the peer shows it, the ID that its frame claims, the service's certificate. Out: the key with which
 * the peer must sign, or why it is not believed.
 * Knows nothing of which nodes are trusted today: consensus asks nobody who is in none of its configurations.
 * Rules: nodes-and-attestation.md §1.2. Validity dates are ignored, as in CCF. Stricter than CCF in two things: the ID must
 * be that of the certificate's key (in CCF another ID yields keys that nobody has), and the service's own certificate is
 * no node's.
 */

import { FormatError } from "../../shared/assert.ts";
import { concat, fromUtf8, toUtf8 } from "../../shared/bytes.ts";
import type { NodeId } from "../../shared/consensus/messages.ts";
import { type EcdsaVerifier, ecdsaVerify, type EcPublicKey, parseDerSignature } from "../../shared/crypto/ecdsa.ts";
import { nodeIdOf } from "../../shared/crypto/identifiers.ts";
import { type Certificate, parseCertificatePem, publicKeyOf } from "../../shared/crypto/x509.ts";
import { verifyChain } from "../../shared/crypto/x509_chain.ts";

/**
 * The key in a node's certificate.
 *
 * @param certificate PEM, with or without a zero byte behind it
 * @throws FormatError where the peer is not believed, with the reason
 */
export function endorsedNodeKey(
  primitives: EcdsaVerifier,
  certificate: Uint8Array,
  peerId: NodeId,
  service: Certificate,
): EcPublicKey {
  const leaf = parseCertificatePem(fromUtf8(withoutTerminator(certificate)));
  const id = nodeIdOf(leaf.spki);
  if (id !== peerId) throw new FormatError(`Cannot accept the certificate of node ${id}: its frame names another`);
  const chain = verifyChain(primitives, leaf, [], [service], "ignore dates");
  if (chain.verdict === "rejected") {
    throw new FormatError(`Cannot accept a node's certificate: the service did not issue it, ${chain.reason}`);
  }
  if (chain.path.length !== 2) throw new FormatError("Cannot accept the service's own certificate as a node's");
  const key = publicKeyOf(leaf);
  if (key.kind !== "EC") throw new FormatError("Cannot accept a node's certificate: its key is not an EC key");
  return key;
}

/** Whether this key signed the parts, in this order, with the hash of its curve. @throws FormatError where it is not DER */
export function isSignedBy(
  primitives: EcdsaVerifier,
  key: EcPublicKey,
  signature: Uint8Array,
  ...parts: Uint8Array[]
): boolean {
  return ecdsaVerify(primitives, key, concat(...parts), parseDerSignature(key.curve, signature));
}

/** CCF counts the zero byte that ends its text as part of the certificate (`include/ccf/crypto/pem.h`), and takes both. */
export function certificateOnWire(pem: string): Uint8Array {
  return toUtf8(`${pem}\0`);
}

function withoutTerminator(pem: Uint8Array): Uint8Array {
  return pem.at(-1) === 0 ? pem.subarray(0, -1) : pem;
}
