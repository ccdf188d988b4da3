/**
 * Checks how ledger secrets are kept and handed on: shares, the chain of older secrets, broadcasts, submitted shares.
 *
 * What is encrypted to members and nodes stays closed here; `restoreLedgerSecrets` opens it for whoever has their keys.
 * Rules: ledger-and-receipts.md §4.4 to §4.8
 */

import { FormatError } from "../../assert.ts";
import { equalBytes, fromBase64 } from "../../bytes.ts";
import { GCM_IV_BYTES, GCM_TAG_BYTES, openBox } from "../../crypto/aes_gcm.ts";
import { parseJsonBytes } from "../../json.ts";
import { object, text } from "../../json_shape.ts";
import type { Seqno } from "../../tx_id.ts";
import { parseRecoveryShares, serialiseRecoveryShares } from "../recovery_shares.ts";
import { parseSecretBroadcast, type SecretBroadcast, serialiseSecretBroadcast } from "../secret_broadcast.ts";
import { type ChainLink, currentFrom, parseHistoricalSecret, serialiseHistoricalSecret } from "../secret_chain.ts";
import { onlyValueOf } from "../single_value.ts";
import { HISTORICAL_SECRET, NODES_INFO, RECOVERY_SHARES, SECRET_BROADCAST, SUBMITTED_SHARES } from "../table_names.ts";
import type { ServiceIdentity } from "./services.ts";
import type { ReplayedTransaction, ReplayState } from "./state.ts";

/** RSA-OAEP ciphertexts for the nodes' keys, which have 2048 bits. */
const ENCRYPTED_SECRET_BYTES = 256;

export class SecretChecks {
  readonly #state: ReplayState;
  /** First seqno of the secret that the chain describes last. */
  #currentFrom: Seqno = 1;

  constructor(state: ReplayState) {
    this.#state = state;
  }

  /** Goes on from what the store holds: after a snapshot, and after a rollback. @throws FormatError */
  load(): void {
    const value = this.#state.valueBefore(HISTORICAL_SECRET);
    const seqno = this.#state.lastWriteBefore(HISTORICAL_SECRET);
    const isKnown = value !== undefined && seqno !== undefined;
    this.#currentFrom = isKnown ? currentFrom({ seqno, value: parseHistoricalSecret(value) }) : 1;
  }

  /** @throws FormatError */
  check(tx: ReplayedTransaction, service: ServiceIdentity | undefined): void {
    const historical = tx.tables.get(HISTORICAL_SECRET);
    const broadcast = tx.tables.get(SECRET_BROADCAST);
    let isRekey = false;
    let isNewSecret = false;
    if (historical !== undefined) {
      const bytes = onlyValueOf(historical);
      const link = { seqno: tx.entry.seqno, value: parseHistoricalSecret(bytes) };
      this.#checkForm("historical ledger secret", serialiseHistoricalSecret(link.value), bytes);
      isRekey = link.value.nextVersion === undefined;
      isNewSecret = this.#checkLink(tx, link, service);
    }
    const shares = tx.tables.get(RECOVERY_SHARES);
    if (shares !== undefined) this.#checkShares(onlyValueOf(shares), isNewSecret);
    if (broadcast !== undefined) {
      const bytes = onlyValueOf(broadcast);
      const value = parseSecretBroadcast(bytes);
      this.#checkForm("broadcast of ledger secrets", serialiseSecretBroadcast(value), bytes);
      this.#checkBroadcast(value, isRekey);
    }
    this.#checkSubmittedShares(tx);
  }

  #checkForm(what: string, canonical: Uint8Array, bytes: Uint8Array): void {
    if (!equalBytes(canonical, bytes)) {
      this.#state.tolerate("form of a value", `The value of the ${what} is not written as a current node writes it`);
    }
  }

  /** Answers whether the secret that is current from now on was not described before. */
  #checkLink(tx: ReplayedTransaction, link: ChainLink, service: ServiceIdentity | undefined): boolean {
    const { nextVersion, predecessor } = link.value;
    const first = currentFrom(link);
    // After an election in the middle of a recovery the next primary seals the same secrets again (§4.9).
    const isSecondSeal = first === this.#currentFrom && predecessor !== undefined;
    const isFirst = nextVersion === 1;
    if (!isFirst && !isSecondSeal && predecessor?.version !== this.#currentFrom) {
      throw new FormatError(
        `The new secret seals that from ${
          predecessor?.version ?? "nowhere"
        }, and the one before is from ${this.#currentFrom}`,
      );
    }
    if (nextVersion === undefined) {
      if (!tx.tables.has(RECOVERY_SHARES) || !tx.tables.has(SECRET_BROADCAST)) {
        throw new FormatError("The rekey does not share the new secret with members and nodes");
      }
    } else {
      const expected = service?.created?.seqno ?? service?.from;
      if (nextVersion !== expected) {
        throw new FormatError(
          `The secret of the service is said to be from ${nextVersion}, and it is from ${expected}`,
        );
      }
      if (isSecondSeal) this.#state.warn(`The secret from ${predecessor.version} is sealed a second time`);
    }
    const previousWrite = this.#state.lastWriteBefore(HISTORICAL_SECRET);
    if (predecessor !== undefined && predecessor.previousSecretStoredVersion !== previousWrite) {
      throw new FormatError(
        `The secret from ${predecessor.version} is said to be stored at ${
          predecessor.previousSecretStoredVersion ?? "nowhere"
        }, not ${previousWrite ?? "nowhere"}`,
      );
    }
    this.#checkBox(link, first);
    this.#currentFrom = first;
    return !isSecondSeal;
  }

  /** Opens the box where both secrets are known. */
  #checkBox({ value: { predecessor } }: ChainLink, first: Seqno): void {
    const current = this.#state.secrets?.startingAt(first);
    const older = predecessor && this.#state.secrets?.startingAt(predecessor.version);
    if (predecessor === undefined || current === undefined || older === undefined) return;
    const opened = openBox(this.#state.primitives, current.key, predecessor.box);
    if (opened === undefined || !equalBytes(opened, older.key)) {
      throw new FormatError(`The secret from ${first} does not open the one from ${predecessor.version}`);
    }
  }

  #checkShares(bytes: Uint8Array, isNewSecret: boolean): void {
    const shares = parseRecoveryShares(bytes);
    this.#checkForm("recovery shares", serialiseRecoveryShares(shares), bytes);
    const iv = shares.wrappedLedgerSecret.subarray(GCM_TAG_BYTES, GCM_TAG_BYTES + GCM_IV_BYTES);
    if (iv.length < GCM_IV_BYTES || iv.some((byte) => byte !== 0)) {
      this.#state.tolerate("form of a value", "The wrapped ledger secret does not have the IV of zeros");
    }
    if (isNewSecret && shares.previousSecretStoredVersion !== undefined) {
      this.#state.tolerate("form of a value", "The shares of a new secret say where the one before is stored");
    }
  }

  #checkBroadcast(broadcast: SecretBroadcast, isRekey: boolean): void {
    for (const [node, secrets] of broadcast) {
      if (secrets.some((secret) => secret.encryptedSecret.length !== ENCRYPTED_SECRET_BYTES)) {
        throw new FormatError(`A secret for node ${JSON.stringify(node)} is not encrypted to a key of 2048 bits`);
      }
      if (isRekey && (secrets.length !== 1 || secrets[0]!.version !== undefined)) {
        throw new FormatError(`The rekey sends node ${JSON.stringify(node)} something else than the one new secret`);
      }
    }
    // A retired node is sent secrets until the primary has committed the mark that nobody needs it any more, of which a
    // ledger does not tell when it was; nodes of a service before a recovery never get the mark.
    const table = this.#state.store.table(NODES_INFO);
    for (const { key, value } of table?.entriesAt(this.#state.store.version) ?? []) {
      const { status } = NODE_SHAPE(parseJsonBytes(value), "");
      const mayHave = status === "Trusted" || status === "Retired";
      if (broadcast.has(key) ? !mayHave : status === "Trusted") {
        const reason = `Node ${JSON.stringify(key)} is ${JSON.stringify(status)}, and is ${
          broadcast.has(key) ? "" : "not "
        }sent the ledger secrets`;
        this.#state.tolerate("recipients of a secret", reason);
      }
    }
  }

  /** Any bytes can be submitted, but what is stored is sealed with the current secret. */
  #checkSubmittedShares(tx: ReplayedTransaction): void {
    if (tx.secret === undefined) return;
    for (const [member, value] of tx.tables.get(SUBMITTED_SHARES)?.writes ?? []) {
      const box = fromBase64(text(parseJsonBytes(value), ""));
      if (openBox(this.#state.primitives, tx.secret.key, box) === undefined) {
        throw new FormatError(
          `The share that member ${JSON.stringify(member)} submitted is not sealed with the ledger secret`,
        );
      }
    }
  }
}

const NODE_SHAPE = object({ status: text });
