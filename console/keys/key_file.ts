/**
 * A key file in memory, for one signature or until it is forgotten; never stored.
 *
 * In: the text of a file as OpenSSL writes it, a passphrase where it is encrypted; certificates of members. Out: a key that
 * signs or opens shares, and cannot be read any more; whose it is; or what is wrong: no passphrase, a wrong one, damage.
 * Knows nothing of screens and services. No message holds a byte of a key or a passphrase.
 * Forms: shared/crypto/key_file.ts
 *
 * JavaScript cannot wipe the text it was given, only what is made from it here: the file's owner is told to close the page
 * on a machine that others use.
 */

import { FormatError } from "../../shared/assert.ts";
import { equalBytes } from "../../shared/bytes.ts";
import { ecdsaSign, type EcPrivateKey, type EcPublicKey, serialiseEcPrivateKey } from "../../shared/crypto/ecdsa.ts";
import { parsePrivateKeyFile, WrongPassphrase } from "../../shared/crypto/key_file.ts";
import { parsePem } from "../../shared/crypto/pem.ts";
import { MAX_KEY_FILE_CHARACTERS } from "../../shared/limits.ts";
import { type Problem, ProblemError } from "../problem.ts";
import { type Signer, signingIdentity } from "../sign/envelope.ts";
import { openWith, signWith, takeEncryptionKey, takeSigningKey } from "./web_crypto.ts";

/** A key that can sign until it is forgotten. */
export interface SigningFile {
  readonly publicKey: EcPublicKey;
  /** @returns r ‖ s @throws ProblemError `KeyFileForgotten` */
  sign(message: Uint8Array): Promise<Uint8Array>;
  forget(): void;
}

/** A key that opens recovery shares. */
export interface ShareFile {
  /** @returns undefined where the share is encrypted to another key @throws ProblemError `KeyFileForgotten` */
  open(encrypted: Uint8Array): Promise<Uint8Array | undefined>;
  forget(): void;
}

export type OpenedFile =
  | { readonly kind: "signing"; readonly file: SigningFile }
  | { readonly kind: "encryption"; readonly file: ShareFile }
  | { readonly kind: "passphrase needed" }
  /** Ask again: the file itself looks whole. */
  | { readonly kind: "wrong passphrase"; readonly problem: Problem }
  /** Damaged, or of a form that is not read. */
  | { readonly kind: "unusable"; readonly problem: Problem };

/** Reads a key file. @param passphrase ignored where the file is not encrypted */
export async function openKeyFile(text: string, passphrase?: string): Promise<OpenedFile> {
  try {
    if (text.length > MAX_KEY_FILE_CHARACTERS) {
      throw new FormatError(`It has ${text.length} characters, and a key file at most ${MAX_KEY_FILE_CHARACTERS}`);
    }
    const encrypted = parsePem(text).some(({ label }) => label === "ENCRYPTED PRIVATE KEY");
    if (encrypted && passphrase === undefined) return { kind: "passphrase needed" };
    const key = parsePrivateKeyFile(text, passphrase);
    if (key.kind === "EC") return { kind: "signing", file: await signingFile(key) };
    const held = await takeEncryptionKey(key.pkcs8);
    key.pkcs8.fill(0);
    return { kind: "encryption", file: shareFile(held) };
  } catch (error) {
    if (error instanceof WrongPassphrase) {
      const problem: Problem = {
        code: "WrongPassphrase",
        what: "The passphrase does not open the key file",
        why: "It is another one; or the beginning of the key is damaged, which looks the same",
        todo: "Type it again. If you are sure of it, take the file from its backup",
      };
      return { kind: "wrong passphrase", problem };
    }
    // A browser may refuse a key that is read here well, such as an RSA key of an unusual length.
    if (!(error instanceof FormatError || error instanceof DOMException)) throw error;
    const problem: Problem = {
      code: "KeyFileUnusable",
      what: "The key file cannot be used",
      why: error instanceof FormatError ? error.message : `The browser does not take the key in it (${error.name})`,
      todo:
        "Choose a private key in PEM, such as member0_privk.pem; `openssl pkcs8 -topk8 -v2 aes-256-cbc` rewrites other forms",
    };
    return { kind: "unusable", problem };
  }
}

/**
 * The key goes into WebCrypto, from where it cannot be read, and the bytes here are overwritten. Not every browser's knows
 * P-521: such a key stays in memory, and is overwritten when it is forgotten.
 */
async function signingFile(key: EcPrivateKey): Promise<SigningFile> {
  const { curve, publicKey, scalar } = key;
  let sign: ((message: Uint8Array) => Promise<Uint8Array>) | undefined;
  if (curve === "P-521") {
    sign = (message) => Promise.resolve(ecdsaSign(key, message));
  } else {
    const pkcs8 = serialiseEcPrivateKey(key);
    const held = await takeSigningKey(pkcs8, curve);
    pkcs8.fill(0);
    scalar.fill(0);
    sign = (message) => signWith(held, curve, message);
  }
  return {
    publicKey,
    sign: async (message) => await (sign ?? forgotten())(message),
    forget: () => {
      sign = undefined;
      scalar.fill(0);
    },
  };
}

function shareFile(key: CryptoKey): ShareFile {
  let held: CryptoKey | undefined = key;
  return {
    open: async (encrypted) => await openWith(held ?? forgotten(), encrypted),
    forget: () => void (held = undefined),
  };
}

function forgotten(): never {
  throw new ProblemError({
    code: "KeyFileForgotten",
    what: "The key file is not in memory any more",
    why: "It was opened for one signature, or has been forgotten since",
    todo: "Open the key file again",
  });
}

/** Of these members, those whose certificate has this key: one, or none; several where a key has two certificates. */
export function membersWithKey<T extends { readonly certificatePem: string }>(
  key: EcPublicKey,
  members: readonly T[],
): T[] {
  return members.filter(({ certificatePem }) => {
    try {
      return equalBytes(signingIdentity(certificatePem).key.spki, key.spki);
    } catch (error) {
      // A member that cannot sign here, with an RSA key say: not this one.
      if (error instanceof ProblemError) return false;
      throw error;
    }
  });
}

/**
 * What signs with an opened file.
 *
 * @param once the file is forgotten after the first signature
 * @throws ProblemError `WrongKey` where the certificate is that of another key
 */
export function keyFileSigner(file: SigningFile, certificatePem: string, { once }: { readonly once: boolean }): Signer {
  const { memberId, key } = signingIdentity(certificatePem);
  if (!equalBytes(key.spki, file.publicKey.spki)) {
    throw new ProblemError({
      code: "WrongKey",
      what: "The key file is not the key of the certificate",
      why: "Their public keys differ",
      todo: "Choose both of the same member, such as member0_privk.pem and member0_cert.pem",
    });
  }
  return {
    kind: "key_file",
    memberId,
    certificatePem,
    sign: async (message) => {
      try {
        return await file.sign(message);
      } finally {
        if (once) file.forget();
      }
    },
  };
}
