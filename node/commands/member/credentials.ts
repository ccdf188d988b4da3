/**
 * A member's own files: the certificate that says who it is, the key that signs, the key that decrypts shares.
 *
 * In: paths, and passphrases from files or the terminal. Out: an identity, a signer; never a byte of a key in a message.
 */

import { FormatError } from "../../../shared/assert.ts";
import { equalBytes } from "../../../shared/bytes.ts";
import { ecdsaSign, type EcPrivateKey, type EcPublicKey } from "../../../shared/crypto/ecdsa.ts";
import { memberIdOf } from "../../../shared/crypto/identifiers.ts";
import { parseEcPrivateKeyFile, parseRsaPrivateKeyFile } from "../../../shared/crypto/key_file.ts";
import type { RsaPrivateKey } from "../../../shared/crypto/rsa.ts";
import { type Certificate, parseCertificatePem, publicKeyOf } from "../../../shared/crypto/x509.ts";
import { nameToText } from "../../../shared/crypto/x509_name.ts";
import {
  type PreparedRequest,
  type RequestSigner,
  requestToBeSigned,
} from "../../../shared/governance/member_request.ts";
import { safeText } from "../../../shared/governance/proposal_words.ts";
import { utcTime } from "../../../shared/governance/request_words.ts";
import { readTextFile, UsageError } from "../exit.ts";
import { readHiddenLine } from "./hidden_line.ts";

/** Who a member is. */
export interface MemberIdentity extends RequestSigner {
  /** Path of the certificate. */
  readonly file: string;
  readonly certificate: Certificate;
  readonly key: EcPublicKey;
}

/** Where the passphrase of an encrypted key comes from; tests have another one than the terminal. */
export type AskPassphrase = (question: string) => Promise<string | undefined>;

/** @throws UsageError where the certificate cannot be read, or its key cannot sign requests */
export function readIdentity(path: string | undefined): MemberIdentity {
  if (path === undefined) throw new UsageError("Cannot tell who you are: give --cert FILE, the member's certificate");
  const pem = readTextFile(path, "the member certificate");
  try {
    const certificate = parseCertificatePem(pem);
    const key = publicKeyOf(certificate);
    if (key.kind !== "EC") throw new FormatError("its key is RSA, and members sign with elliptic-curve keys");
    return { file: path, certificate, key, curve: key.curve, memberId: memberIdOf(certificate.der) };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UsageError(`Cannot use the member certificate ${path}: ${error.message}`);
  }
}

/** What to tell about the certificate's validity, which no service looks at (http-api.md §8.2); undefined if nothing. */
export function validityWarning({ certificate, file }: MemberIdentity, nowMs: number): string | undefined {
  const { notBeforeMs, notAfterMs } = certificate;
  if (nowMs < notBeforeMs) return `Warning: the certificate ${file} is valid from ${utcTime(notBeforeMs)} on`;
  if (nowMs < notAfterMs + 1000) return undefined;
  return `Warning: the certificate ${file} was valid until ${
    utcTime(notAfterMs)
  }; services do not check that, people may`;
}

/** The certificate's own name, e.g. "CN=member0", safe to show. */
export function subjectOf(certificate: Certificate): string {
  return safeText(nameToText(certificate.subject));
}

/**
 * The key that signs, which must be the certificate's.
 *
 * @throws UsageError
 */
export async function readSigningKey(
  path: string | undefined,
  passphraseFile: string | undefined,
  identity: MemberIdentity,
  ask: AskPassphrase = readHiddenLine,
): Promise<EcPrivateKey> {
  if (path === undefined) {
    throw new UsageError(
      "Cannot sign: give --key FILE, the member's private key; for a key that is elsewhere see `member prepare`",
    );
  }
  const key = await readKey(path, "the private key", passphraseFile, parseEcPrivateKeyFile, ask);
  if (!equalBytes(key.publicKey.spki, identity.key.spki)) {
    throw new UsageError(`Cannot sign with ${path}: it is not the key of the certificate ${identity.file}`);
  }
  return key;
}

/** The key that decrypts a member's recovery share. @throws UsageError */
export function readEncryptionKey(
  path: string,
  passphraseFile: string | undefined,
  ask: AskPassphrase = readHiddenLine,
): Promise<RsaPrivateKey> {
  return readKey(path, "the encryption key", passphraseFile, parseRsaPrivateKeyFile, ask);
}

/** r ‖ s over a prepared request. */
export function signRequest(key: EcPrivateKey, prepared: PreparedRequest): Uint8Array {
  return ecdsaSign(key, requestToBeSigned(prepared));
}

async function readKey<Key>(
  path: string,
  what: string,
  passphraseFile: string | undefined,
  parse: (text: string, passphrase?: string) => Key,
  ask: AskPassphrase,
): Promise<Key> {
  const text = readTextFile(path, what);
  const passphrase = await passphraseFor(text, path, passphraseFile, ask);
  try {
    return parse(text, passphrase);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const remedy = /holds an RSA key/.test(error.message)
      ? "; of a member's two keys give the one for signing (…_privk.pem)"
      : /holds an EC key/.test(error.message)
      ? "; of a member's two keys give the one for encryption (…_enc_privk.pem)"
      : "";
    throw new UsageError(`Cannot use ${what} ${path}: ${error.message}${remedy}`);
  }
}

async function passphraseFor(
  text: string,
  path: string,
  passphraseFile: string | undefined,
  ask: AskPassphrase,
): Promise<string | undefined> {
  if (passphraseFile !== undefined) {
    return readTextFile(passphraseFile, "the passphrase").replace(/\r?\n$/, "");
  }
  if (!text.includes("-----BEGIN ENCRYPTED PRIVATE KEY-----")) return undefined;
  const passphrase = await ask(`Passphrase of ${path}: `);
  if (passphrase !== undefined) return passphrase;
  throw new UsageError(
    `Cannot use ${path}: it is encrypted, and there is no terminal to ask at; give its passphrase with --passphrase-file`,
  );
}
