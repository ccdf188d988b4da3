/**
 * Keys of members that live in this browser: made here, used here, never exported.
 *
 * In: a name, where the page came from, a store of records. Out: keys with their certificate and what they were used for;
 * a signer for each; the public part, for the proposal that makes somebody a member; warnings, and why there are no keys
 * where there are none. The certificate is what CCF's key generator makes: self-signed, no extensions, only the key counts.
 * Knows nothing of services and screens. Rules: decisions.md §10; certificate: shared/crypto/x509_build.ts
 */

import { assert } from "../../shared/assert.ts";
import { equalBytes, toHex, toUtf8 } from "../../shared/bytes.ts";
import { EC_CURVES, ecdsaVerify, parseEcPublicKey, serialiseDerSignature } from "../../shared/crypto/ecdsa.ts";
import { hash } from "../../shared/crypto/hashes.ts";
import { memberIdOf } from "../../shared/crypto/identifiers.ts";
import { serialisePem } from "../../shared/crypto/pem.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { serialiseCertificatePem } from "../../shared/crypto/x509.ts";
import {
  memberCertificate,
  randomSerial,
  toBeSigned,
  validityOfDays,
  withSignature,
} from "../../shared/crypto/x509_build.ts";
import { nameFromText } from "../../shared/crypto/x509_name.ts";
import { MAX_BROWSER_KEYS, MAX_KEY_USES } from "../../shared/limits.ts";
import { type Problem, ProblemError } from "../problem.ts";
import type { PageOrigin } from "../service/origin.ts";
import { type Signer, signingIdentity } from "../sign/envelope.ts";
import { browserRecords, type RecordStore } from "./record_store.ts";
import { type BrowserCurve, makeEncryptionPair, makeSigningPair, openWith, signWith } from "./web_crypto.ts";

/** One thing that a key signed. */
export interface KeyUse {
  /** In words: "A ballot on proposal ac60cf1a…". */
  readonly what: string;
  /** The service, by the identity of its first life; absent where it is not known. */
  readonly service?: string;
  /** Of the transaction, once there is one. */
  readonly txId?: string;
  readonly atMs: number;
}

export interface BrowserKey {
  /** Hex SHA-256 of the public key: stays where the certificate is replaced. */
  readonly id: string;
  readonly name: string;
  readonly curve: BrowserCurve;
  /** Hex SHA-256 of the certificate: who the service takes it for. */
  readonly memberId: string;
  readonly certificatePem: string;
  readonly createdAtMs: number;
  /** Cannot be exported. */
  readonly signingKey: CryptoKey;
  /** To open recovery shares; cannot be exported either. */
  readonly encryption?: { readonly key: CryptoKey; readonly publicKeyPem: string };
  /** Newest last. */
  readonly uses: readonly KeyUse[];
  /** How many older ones are not listed any more. */
  readonly usesLeftOut: number;
}

export interface NewKey {
  /** Of the person; the certificate's CN. At most 64 characters. */
  readonly name: string;
  /** P-384 unless said otherwise, as CCF's generator. */
  readonly curve?: BrowserCurve;
  /** 365 unless said otherwise. */
  readonly validityDays?: number;
  /** Also a pair for a share of the recovery key. */
  readonly encryption?: boolean;
}

/** Whether this page may keep keys, and if not, why. */
export type KeyOffer =
  | { readonly offered: true; readonly keys: KeyStore }
  | { readonly offered: false; readonly problem: Problem };

/** What there is to know before a key is made: that it exists once, and can be lost. */
export const NO_BACKUP: Problem = {
  code: "NoBackup",
  what: "A key of this browser cannot be backed up",
  why: "It was made so that nothing can read it out: not this page, not another one, not you",
  todo:
    "Use a key file or a device where a copy must exist. If the key is lost, other members can propose your new certificate",
};

const DEFAULT_VALIDITY_DAYS = 365;

/** Keys of this browser, where the page may have any. */
export function offerKeys(origin: PageOrigin, records?: RecordStore<BrowserKey>): KeyOffer {
  if (origin === "file") {
    return refused(
      "KeysNotFromDisk",
      "The page was opened from disk, and every other local page could use a key that is stored from here",
      "Run `deno task run console` and open the page from there, or use a key file or a device",
    );
  }
  if (globalThis.isSecureContext === false || globalThis.crypto?.subtle === undefined) {
    return refused(
      "KeysNeedSecureContext",
      "Browsers give cryptography only to pages that come over https or from this computer",
      "Open the page over https or from 127.0.0.1, or use a device",
    );
  }
  return { offered: true, keys: new KeyStore(records ?? browserRecords("quorate-keys")) };
}

function refused(code: string, why: string, todo: string): KeyOffer {
  return { offered: false, problem: { code, what: "This page keeps no keys", why, todo } };
}

/** What threatens keys that are kept here. @param storage `navigator.storage`; undefined where a browser has none */
export async function keyWarnings(
  origin: PageOrigin,
  storage: Pick<StorageManager, "persisted"> | undefined,
): Promise<Problem[]> {
  const warnings: Problem[] = [];
  if (origin === "served" || origin === "host") {
    warnings.push({
      code: "PageFromElsewhere",
      what: "Whoever serves this page can use the keys in it",
      why: origin === "served"
        ? "The page comes from the node that it verifies; another page from there could sign without asking"
        : "Another page from the same server could sign without asking",
      todo: "Keep keys in the page that `deno task run console` serves on this computer",
    });
  }
  if (storage === undefined || !await storage.persisted()) {
    warnings.push({
      code: "KeysMayBeEvicted",
      what: "The browser may delete the keys of this page",
      why: "When space runs short, or after weeks without a visit, browsers remove what is not marked as persistent",
      todo: storage === undefined
        ? "This browser cannot promise to keep it: use a key file or a device for a key that you rely on"
        : "Ask the browser to keep it; some agree only for pages that are visited often or are bookmarked",
    });
  }
  warnings.push({
    code: "PrivateWindow",
    what: "In a private window keys are gone when it is closed",
    why: "A page cannot tell whether its window is a private one",
    todo: "If it is, open the page in another window before you make a key",
  });
  return warnings;
}

/** Asks the browser to keep what the page stores. @returns whether it will */
export async function keepStorage(storage: Pick<StorageManager, "persist"> | undefined): Promise<boolean> {
  return await storage?.persist() ?? false;
}

export class KeyStore {
  readonly #records: RecordStore<BrowserKey>;

  /** Only for `offerKeys`, which knows where there may be one. */
  constructor(records: RecordStore<BrowserKey>) {
    this.#records = records;
  }

  /** Oldest first. */
  async list(): Promise<readonly BrowserKey[]> {
    return [...await this.#records.all()].sort((a, b) => a.createdAtMs - b.createdAtMs);
  }

  get(id: string): Promise<BrowserKey | undefined> {
    return this.#records.get(id);
  }

  /** Makes a key and its certificate. @throws ProblemError where the name cannot be one, or there are too many keys */
  async create(wanted: NewKey, nowMs: number): Promise<BrowserKey> {
    const { curve = "P-384", validityDays = DEFAULT_VALIDITY_DAYS, encryption = false } = wanted;
    assert(Number.isInteger(validityDays) && validityDays > 0, "A certificate lasts for whole days");
    const name = wanted.name.trim();
    if ([...name].length < 1 || [...name].length > 64 || !name.isWellFormed()) {
      throw new ProblemError({
        code: "InvalidKeyName",
        what: "The key cannot have this name",
        why: `It has ${[...name].length} characters, and a certificate takes 1 to 64`,
        todo: "Give it another name, such as your own",
      });
    }
    const { key, spki } = await makeSigningPair(curve);
    const certificate = await selfSigned(key, spki, curve, name, validityDays, nowMs);
    const pair = encryption ? await makeEncryptionPair() : undefined;
    const made: BrowserKey = {
      id: toHex(hash("SHA-256", spki)),
      name,
      curve,
      memberId: memberIdOf(certificate),
      certificatePem: serialiseCertificatePem(certificate),
      createdAtMs: nowMs,
      signingKey: key,
      ...(pair !== undefined && {
        encryption: { key: pair.key, publicKeyPem: serialisePem("PUBLIC KEY", pair.spki) },
      }),
      uses: [],
      usesLeftOut: 0,
    };
    await this.#records.update(made.id, (_, count) => {
      if (count < MAX_BROWSER_KEYS) return made;
      throw new ProblemError({
        code: "TooManyKeys",
        what: "This browser keeps no more keys",
        why: `It has ${count}, and at most ${MAX_BROWSER_KEYS} are kept`,
        todo: "Delete keys that no service knows any more",
      });
    });
    return made;
  }

  /** Another certificate for the same key, such as one that an authority issued. @throws ProblemError */
  async replaceCertificate(id: string, certificatePem: string): Promise<BrowserKey> {
    const { key, memberId, certificate } = signingIdentity(certificatePem);
    if (toHex(hash("SHA-256", key.spki)) !== id) {
      throw new ProblemError({
        code: "CertificateOfAnotherKey",
        what: "The certificate was not taken over",
        why: "Its public key is that of another key",
        todo: "Choose the certificate that was issued for this key's public part",
      });
    }
    return await this.#change(id, (old) => ({
      ...old,
      memberId,
      certificatePem: serialiseCertificatePem(certificate.der),
    }));
  }

  /** Notes what a key was used for; where it has been noted without a transaction, adds that. */
  async recordUse(id: string, use: KeyUse): Promise<void> {
    await this.#change(id, (old) => {
      const others = old.uses.filter(({ what, atMs, txId }) =>
        what !== use.what || atMs !== use.atMs || txId !== undefined
      );
      const uses = [...others, use];
      const tooMany = Math.max(0, uses.length - MAX_KEY_USES);
      return { ...old, uses: uses.slice(tooMany), usesLeftOut: old.usesLeftOut + tooMany };
    });
  }

  /** Deletes a key for good. Whoever it makes a member stays one, and cannot sign any more. */
  wipe(id: string): Promise<void> {
    return this.#records.remove(id);
  }

  wipeAll(): Promise<void> {
    return this.#records.clear();
  }

  async #change(id: string, change: (old: BrowserKey) => BrowserKey): Promise<BrowserKey> {
    const changed = await this.#records.update(id, (old) => old === undefined ? undefined : change(old));
    if (changed !== undefined) return changed;
    throw new ProblemError({
      code: "KeyGone",
      what: "The key is not in this browser any more",
      why: "It was deleted, here or in another tab, or the browser removed it",
      todo: "Choose another key",
    });
  }
}

/** What signs with a key of this browser. */
export function browserSigner({ memberId, certificatePem, signingKey, curve }: BrowserKey): Signer {
  return { kind: "browser_key", memberId, certificatePem, sign: (message) => signWith(signingKey, curve, message) };
}

/** A recovery share that was encrypted to this key. @returns undefined where it was to another one, or there is none here */
export async function openShareWith(
  { encryption }: BrowserKey,
  encrypted: Uint8Array,
): Promise<Uint8Array | undefined> {
  return encryption === undefined ? undefined : await openWith(encryption.key, encrypted);
}

/** The files by which others make this key's owner a member, named as CCF names them. There is no secret in them. */
export function publicFiles({ name, certificatePem, encryption }: BrowserKey): { name: string; text: string }[] {
  const base = name.replace(/[^\p{L}\p{N}_-]+/gu, "_");
  return [
    { name: `${base}_cert.pem`, text: certificatePem },
    ...(encryption === undefined ? [] : [{ name: `${base}_enc_pubk.pem`, text: encryption.publicKeyPem }]),
  ];
}

async function selfSigned(
  key: CryptoKey,
  spki: Uint8Array,
  curve: BrowserCurve,
  name: string,
  validityDays: number,
  nowMs: number,
): Promise<Uint8Array> {
  const publicKey = parseEcPublicKey(spki);
  const tbs = toBeSigned(memberCertificate({
    key: publicKey,
    subject: nameFromText(`CN=${escapedValue(name)}`),
    validity: validityOfDays(nowMs, validityDays),
    serial: randomSerial((length) => crypto.getRandomValues(new Uint8Array(length))),
  }));
  const signature = await signWith(key, curve, tbs);
  assert(
    ecdsaVerify(noblePrimitives, publicKey, tbs, signature, EC_CURVES[curve].hash),
    "A key verifies what it signed",
  );
  assert(equalBytes(publicKey.spki, spki), "A browser writes public keys as everybody does");
  return withSignature(tbs, serialiseDerSignature(signature));
}

/** Every byte that could mean something in the text of a name is written as an escape. */
function escapedValue(value: string): string {
  const escaped = (character: string) =>
    [...toUtf8(character)].map((byte) => `\\${toHex(Uint8Array.of(byte))}`).join("");
  return value.replace(/[^A-Za-z0-9 _.-]/gu, escaped);
}
