/**
 * Recovery as the ledger has it: state, threshold, who holds which share.
 *
 * In: the worker; a member's private encryption key, from its file. Out: facts for people; the share, opened.
 * Shares bring back the ledger's secrets after a disaster, and with them everything private that the ledger ever held.
 */

import { FormatError } from "../../../shared/assert.ts";
import { equalBytes, fromBase64 } from "../../../shared/bytes.ts";
import { parsePrivateKeyFile } from "../../../shared/crypto/key_file.ts";
import { parsePublicKeyPem } from "../../../shared/crypto/public_key.ts";
import { parseShare, SHARE_BYTES } from "../../../shared/crypto/shamir.ts";
import {
  ENCRYPTED_SUBMITTED_SHARES,
  MEMBERS_ENCRYPTION_PUBLIC_KEYS,
  MEMBERS_INFO,
  RECOVERY_SHARES,
  SERVICE_CONFIG,
  SERVICE_INFO,
} from "../../../shared/governance/tables.ts";
import type { Seqno } from "../../../shared/tx_id.ts";
import { foldedTable, foldedValue, nameIn } from "../../folded.ts";
import type { LedgerApi } from "../../ledger/protocol.ts";
import { type Problem, ProblemError } from "../../problem.ts";

export interface ShareHolder {
  readonly memberId: string;
  readonly name: string | undefined;
  readonly role: "Participant" | "Owner";
  /** PEM. */
  readonly encryptionKey: string | undefined;
  /** Undefined: an active member who gets one when shares are made again. */
  readonly encryptedShare: Uint8Array | undefined;
}

export interface RecoveryFacts {
  readonly status: "Opening" | "Open" | "WaitingForRecoveryShares" | "Recovering" | undefined;
  readonly recoveries: number;
  readonly threshold: number | undefined;
  readonly sharesWrittenAt: Seqno | undefined;
  readonly holders: readonly ShareHolder[];
  readonly submitted: number;
}

export async function recoveryFacts(ledger: LedgerApi): Promise<RecoveryFacts> {
  const [service, config, shares, keys, members, submitted] = await Promise.all([
    foldedValue(ledger, SERVICE_INFO),
    foldedValue(ledger, SERVICE_CONFIG),
    foldedValue(ledger, RECOVERY_SHARES),
    foldedTable(ledger, MEMBERS_ENCRYPTION_PUBLIC_KEYS),
    foldedTable(ledger, MEMBERS_INFO),
    foldedTable(ledger, ENCRYPTED_SUBMITTED_SHARES),
  ]);
  const encrypted = shares?.value.encrypted_shares ?? {};
  const keyOf = new Map(keys.rows.map(({ key, value }) => [key, value]));
  const holders = members.rows.filter(({ key, value }) =>
    Object.hasOwn(encrypted, key) || (keyOf.has(key) && value.status === "Active")
  ).map(({ key, value }): ShareHolder => ({
    memberId: key,
    name: nameIn(value.member_data),
    role: value.recovery_role === "Owner" ? "Owner" : "Participant",
    encryptionKey: keyOf.get(key),
    encryptedShare: Object.hasOwn(encrypted, key) ? fromBase64(encrypted[key]!) : undefined,
  }));
  return {
    status: service?.value.status,
    recoveries: service?.value.recovery_count ?? 0,
    threshold: config?.value.recovery_threshold,
    sharesWrittenAt: shares?.writtenAt,
    holders,
    submitted: submitted.total,
  };
}

export interface OpenedShare {
  readonly holder: ShareHolder;
  /** SHARE_BYTES bytes, secret. An owner's is the whole secret. */
  readonly share: Uint8Array;
  /** Which of the shares it is; 0: the whole secret. */
  readonly index: number;
}

/**
 * Opens the share that was encrypted to this key.
 *
 * @param keyFile PEM of the member's private encryption key
 * @throws ProblemError where the file is no such key, or no share is encrypted to it
 */
export async function openOwnShare(
  facts: RecoveryFacts,
  keyFile: string,
  passphrase: string | undefined,
): Promise<OpenedShare> {
  const key = readKey(keyFile, passphrase);
  const holder = facts.holders.find(({ encryptionKey }) =>
    encryptionKey !== undefined && equalBytes(spkiOf(encryptionKey) ?? new Uint8Array(), key.publicKey.spki)
  );
  if (holder === undefined) {
    throw new ProblemError({
      code: "NotAShareHoldersKey",
      what: "No share is encrypted to this key",
      why: "Its public part is not the encryption key of any member who takes part in recovery",
      todo: "Choose the private encryption key, not the one that signs; in a sandbox it is memberN_enc_privk.pem",
    });
  }
  if (holder.encryptedShare === undefined) {
    throw new ProblemError({
      code: "NoShareYet",
      what: "This member holds no share",
      why: "Shares are made again when members or the threshold change, and this key came after the last time",
      todo: "Propose trigger_recovery_shares_refresh",
    });
  }
  const share = await decrypt(key.pkcs8, holder.encryptedShare);
  if (share === undefined || share.length !== SHARE_BYTES) {
    throw new ProblemError({
      code: "ShareDoesNotOpen",
      what: "The share does not open with this key",
      why: "It is encrypted to a key that the member had before, or the shares are of a service older than 5.0",
      todo: "Try the member's older key; or propose trigger_recovery_shares_refresh",
    });
  }
  return { holder, share, index: parseShare(share).x };
}

/** By the browser's own RSA, which takes the same time whatever the key. Undefined where it does not open. */
async function decrypt(pkcs8: Uint8Array, ciphertext: Uint8Array): Promise<Uint8Array | undefined> {
  const algorithm = { name: "RSA-OAEP", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("pkcs8", pkcs8 as BufferSource, algorithm, false, ["decrypt"]);
  try {
    return new Uint8Array(await crypto.subtle.decrypt(algorithm, key, ciphertext as BufferSource));
  } catch {
    return undefined;
  }
}

function readKey(file: string, passphrase: string | undefined) {
  let problem: Problem;
  try {
    const key = parsePrivateKeyFile(file, passphrase);
    if (key.kind === "RSA") return key;
    problem = {
      code: "NotAnEncryptionKey",
      what: "This key cannot open a share",
      why: "Shares are encrypted to RSA keys, and this is one that signs",
      todo: "Choose the member's private encryption key; in a sandbox it is memberN_enc_privk.pem",
    };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    problem = {
      code: "KeyFileUnreadable",
      what: "The key file cannot be read",
      why: error.message,
      todo: "Choose a PEM file with one private key, and give its passphrase where it has one",
    };
  }
  throw new ProblemError(problem);
}

function spkiOf(pem: string): Uint8Array | undefined {
  try {
    return parsePublicKeyPem(pem).spki;
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** What losing shares would mean. */
export function healthText({ threshold, holders }: RecoveryFacts): { readonly isGood: boolean; readonly text: string } {
  const shares = holders.filter(({ encryptedShare }) => encryptedShare !== undefined);
  const owners = shares.filter(({ role }) => role === "Owner").length;
  if (shares.length === 0) {
    return { isGood: false, text: "Nobody holds a share: after a disaster, everything private in the ledger is lost" };
  }
  if (threshold === undefined) return { isGood: false, text: "No threshold is set" };
  const spare = shares.length - owners - threshold;
  if (owners > 0 && spare < 0) {
    return { isGood: true, text: `${owners} ${owners === 1 ? "owner" : "owners"} can recover the ledger alone` };
  }
  if (spare < 0) return { isGood: false, text: `Recovery needs ${threshold} shares and there are ${shares.length}` };
  if (spare === 0) return { isGood: false, text: `All ${shares.length} shares are needed: none may be lost` };
  return {
    isGood: true,
    text: `${threshold} of ${shares.length} shares are needed: ${spare} may be lost`,
  };
}
