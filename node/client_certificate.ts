/**
 * Client certificates that prove something: those for which the runtime checks that the client has the key.
 *
 * In: a certificate that a client has shown. Out: whether the handshake's signature was really verified.
 * Deno 2.9's `node:tls` takes the handshake's signature for good, unverified, where its certificate parser (webpki) does
 * not like the certificate, X.509 version 1 above all: anybody could show somebody else's. Such a client is treated as
 * one that shows no certificate, since a session that anybody can have must not be anybody's.
 */

import { createHash, generateKeyPairSync } from "node:crypto";
import { FormatError } from "../shared/assert.ts";
import { parsePublicKeyInfo } from "../shared/crypto/key_info.ts";
import { parseCertificate, serialiseCertificatePem } from "../shared/crypto/x509.ts";
import { MAX_REMEMBERED_CLIENT_CERTIFICATES } from "../shared/limits.ts";

/** What was found of certificates lately, by SHA-256; asking takes a fifth of a millisecond. */
const remembered = new Map<string, boolean>();

/** Whether a session with this certificate is one whose client has the key. DER. */
export function isPossessionChecked(certificate: Uint8Array): boolean {
  const key = createHash("sha256").update(certificate).digest("base64");
  const known = remembered.get(key);
  if (known !== undefined) return known;
  const isChecked = isStrict(certificate) && isParsedByRuntime(certificate);
  for (const oldest of remembered.keys()) {
    if (remembered.size < MAX_REMEMBERED_CLIENT_CERTIFICATES) break;
    remembered.delete(oldest);
  }
  remembered.set(key, isChecked);
  return isChecked;
}

/** What our own parser takes: the whole of it DER, version 3, a well-formed public key. */
function isStrict(certificate: Uint8Array): boolean {
  try {
    const { version, spki } = parseCertificate(certificate);
    parsePublicKeyInfo(spki);
    return version === 3;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

/**
 * Asks the runtime's own certificate parser, the one that decides in a handshake: it is given the certificate with a key
 * that cannot be its own, and must complain of just that. Any other complaint is about the certificate.
 */
function isParsedByRuntime(certificate: Uint8Array): boolean {
  try {
    Deno.createHttpClient({ cert: serialiseCertificatePem(certificate), key: strangerKeyPem() }).close();
  } catch (error) {
    return (error as Error).message.includes("KeyMismatch");
  }
  return false;
}

let strangerKey: string | undefined;

function strangerKeyPem(): string {
  return strangerKey ??= generateKeyPairSync("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  }).privateKey;
}
