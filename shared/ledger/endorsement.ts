/**
 * Endorsements of service identities: each recovered service signs the key of the one before it.
 *
 * In: values of the table, keys. Out: the chain that leads from the current service back to a transaction; new values.
 * Knows nothing of certificates: the endorsements in classic receipts are made on demand and stored nowhere.
 * Format: ledger-and-receipts.md §7.1 to §7.3
 */

import { assert, FormatError } from "../assert.ts";
import { fromBase64, toBase64 } from "../bytes.ts";
import {
  type CoseSign1,
  parseCoseSign1,
  serialiseCoseSign1,
  toBeSigned,
  verifyCoseSign1,
  withSignature,
} from "../crypto/cose.ts";
import { type EndorsementHeader, parseEndorsementHeader, serialiseEndorsementHeader } from "../crypto/cose_headers.ts";
import {
  ecdsaSign,
  type EcdsaVerifier,
  type EcPrivateKey,
  type EcPublicKey,
  parseEcPublicKey,
} from "../crypto/ecdsa.ts";
import { parseJsonBytes, stableJsonBytes } from "../json.ts";
import { object, text, unsigned } from "../json_shape.ts";
import { MAX_ENDORSEMENT_CHAIN } from "../limits.ts";
import { formatTxId, parseTxId, sameTxId, type Seqno, type TxId } from "../tx_id.ts";

/** One value of the table, written when a service opens. */
export interface IdentityEndorsement {
  /** Its payload is the endorsed key (SPKI DER): the service's own where it has no predecessor. */
  readonly message: CoseSign1;
  /** SPKI DER of the key that signed: that of the service which wrote this. */
  readonly endorsingKey: Uint8Array;
  /** First transaction of the endorsed service. */
  readonly begin: TxId;
  /** Its last transaction; absent in a self-endorsement. */
  readonly end?: TxId;
  /** Seqno of the value before this one; absent in a self-endorsement. */
  readonly previousVersion?: Seqno;
}

/** A value of the table with the seqno of the transaction that wrote it. */
export interface EndorsementWrite {
  readonly seqno: Seqno;
  readonly value: IdentityEndorsement;
}

/** What a service endorses when it opens: the header to sign, and what goes around it. */
export interface EndorsementDraft {
  readonly header: EndorsementHeader;
  readonly endorsedKey: Uint8Array;
  readonly previousVersion?: Seqno;
}

/** A service without a predecessor endorses itself. */
export function draftSelfEndorsement(key: EcPublicKey, created: TxId, issuedAtSeconds: number): EndorsementDraft {
  return { header: { curve: key.curve, issuedAtSeconds, begin: created, end: undefined }, endorsedKey: key.spki };
}

/**
 * A recovered service endorses the key that endorsed last.
 *
 * After an election in the middle of a recovery the next primary writes a second value, which begins after it ends and
 * endorses the service's own key; readers pass it over (`double_sealed_service` 5.503).
 *
 * @param key the new service's
 * @param created first transaction of the new service
 * @param previous the last value of the table
 * @param lastSignedRoot root that the last signature before the recovery signed
 */
export function draftEndorsement(
  key: EcPublicKey,
  created: TxId,
  previous: EndorsementWrite,
  lastSignedRoot: Uint8Array,
  issuedAtSeconds: number,
): EndorsementDraft {
  const { begin, end, endorsingKey } = previous.value;
  return {
    header: {
      curve: key.curve,
      issuedAtSeconds,
      begin: end === undefined ? begin : nextServiceStart(end),
      end: { txId: previousServiceEnd(created), root: lastSignedRoot },
    },
    endorsedKey: endorsingKey,
    previousVersion: previous.seqno,
  };
}

export function signEndorsement(key: EcPrivateKey, draft: EndorsementDraft): IdentityEndorsement {
  const { header, endorsedKey, previousVersion } = draft;
  const protectedBytes = serialiseEndorsementHeader(header);
  const signature = ecdsaSign(key, toBeSigned(protectedBytes, endorsedKey));
  return {
    message: withSignature(protectedBytes, endorsedKey, signature),
    endorsingKey: key.publicKey.spki,
    begin: header.begin,
    ...(header.end !== undefined && { end: header.end.txId }),
    ...(previousVersion !== undefined && { previousVersion }),
  };
}

/** Recoveries continue two views on, at the next seqno: see ledger-and-receipts.md §1. */
export function nextServiceStart(end: TxId): TxId {
  return { view: end.view + 2, seqno: end.seqno + 1 };
}

function previousServiceEnd(created: TxId): TxId {
  assert(created.view > 2 && created.seqno > 1, "A recovered service has a predecessor");
  return { view: created.view - 2, seqno: created.seqno - 1 };
}

/**
 * The endorsements between the current service and the one that wrote transaction `seqno`, newest first; none where that
 * is the current one.
 *
 * @param writes every write of the table, or at least those that `previousVersion` leads to from the last one, in order
 * @param created first transaction of the current service
 * @throws FormatError where the chain has a gap
 */
export function endorsementChain(
  writes: readonly EndorsementWrite[],
  created: TxId,
  seqno: Seqno,
): IdentityEndorsement[] {
  const chain: IdentityEndorsement[] = [];
  if (seqno >= created.seqno) return chain;
  let newer = created;
  for (const value of wellFormedEndorsements(writes)) {
    assert(value.end !== undefined, "A well-formed endorsement of another service has an end");
    if (!sameTxId(nextServiceStart(value.end), newer)) {
      throw new FormatError(
        `Cannot follow the endorsements: one ends at ${formatTxId(value.end)}, and the service after it begins at ${
          formatTxId(newer)
        }`,
      );
    }
    chain.push(value);
    if (seqno >= value.begin.seqno) return chain;
    newer = value.begin;
  }
  throw new FormatError(`Cannot follow the endorsements: none covers seqno ${seqno}`);
}

/** From the newest back, without self-endorsements and those that begin after they end. */
function* wellFormedEndorsements(writes: readonly EndorsementWrite[]): Generator<IdentityEndorsement> {
  let current = writes.at(-1);
  let lowest = Infinity;
  for (let steps = 0; current !== undefined; steps++) {
    const { seqno, value } = current;
    if (steps === MAX_ENDORSEMENT_CHAIN) {
      throw new FormatError(`Cannot follow the endorsements: more than ${MAX_ENDORSEMENT_CHAIN}`);
    }
    if (value.previousVersion === undefined) return;
    if (value.end !== undefined && value.begin.seqno <= value.end.seqno) {
      if (value.begin.seqno >= lowest) {
        throw new FormatError(`Cannot follow the endorsements: the one at ${seqno} does not lead further back`);
      }
      lowest = value.begin.seqno;
      yield value;
    }
    const wanted: Seqno = value.previousVersion;
    current = writes.find((write) => write.seqno === wanted);
    if (wanted >= seqno || current === undefined) {
      throw new FormatError(`Cannot follow the endorsements: the one at ${seqno} names ${wanted}, which is none`);
    }
  }
}

/** A service of the past, as endorsements lead to it. */
export interface EndorsedService {
  readonly key: EcPublicKey;
  readonly begin: TxId;
  readonly end: TxId;
}

/**
 * Goes from the current service's key to that of an older service.
 *
 * @param messages newest first, at least one
 * @returns undefined where a signature does not hold
 * @throws FormatError where a message is no endorsement of another key, or the ranges do not meet
 */
export function verifyEndorsements(
  primitives: EcdsaVerifier,
  currentKey: EcPublicKey,
  messages: readonly CoseSign1[],
): EndorsedService | undefined {
  if (messages.length === 0 || messages.length > MAX_ENDORSEMENT_CHAIN) {
    throw new FormatError(`Cannot follow ${messages.length} endorsements: 1 to ${MAX_ENDORSEMENT_CHAIN} are possible`);
  }
  let key = currentKey;
  let newer: TxId | undefined;
  let service: EndorsedService | undefined;
  for (const message of messages) {
    const { begin, end } = parseEndorsementHeader(message);
    if (end === undefined || message.payload === undefined) {
      throw new FormatError("Cannot follow an endorsement: it endorses no earlier service");
    }
    if (newer !== undefined && !sameTxId(nextServiceStart(end.txId), newer)) {
      throw new FormatError(
        `Cannot follow an endorsement: it ends at ${formatTxId(end.txId)}, and the next begins at ${formatTxId(newer)}`,
      );
    }
    if (!verifyCoseSign1(primitives, key, message)) return undefined;
    key = parseEcPublicKey(message.payload);
    service = { key, begin, end: end.txId };
    newer = begin;
  }
  return service;
}

const SHAPE = object(
  { endorsement: text, endorsement_epoch_begin: text, endorsing_key: text },
  { endorsement_epoch_end: text, previous_version: unsigned },
);

/**
 * Reads a value and checks that the message says the same as what stands around it.
 *
 * @throws FormatError
 */
export function parseIdentityEndorsement(bytes: Uint8Array): IdentityEndorsement {
  const json = SHAPE(parseJsonBytes(bytes), "");
  const message = parseCoseSign1(fromBase64(json.endorsement));
  const header = parseEndorsementHeader(message);
  const begin = parseTxId(json.endorsement_epoch_begin);
  const end = json.endorsement_epoch_end === undefined ? undefined : parseTxId(json.endorsement_epoch_end);
  const sameEnd = end === undefined ? header.end === undefined : header.end && sameTxId(header.end.txId, end);
  if (!sameTxId(header.begin, begin) || !sameEnd || message.payload === undefined) {
    throw new FormatError("Cannot read an endorsement: what is signed and what stands around it differ");
  }
  if ((end === undefined) !== (json.previous_version === undefined)) {
    throw new FormatError("Cannot read an endorsement: it has an end without a predecessor, or the reverse");
  }
  return {
    message,
    endorsingKey: fromBase64(json.endorsing_key),
    begin,
    ...(end !== undefined && { end }),
    ...(json.previous_version !== undefined && { previousVersion: json.previous_version }),
  };
}

export function serialiseIdentityEndorsement(value: IdentityEndorsement): Uint8Array {
  return stableJsonBytes({
    endorsement: toBase64(serialiseCoseSign1(value.message)),
    endorsement_epoch_begin: formatTxId(value.begin),
    endorsement_epoch_end: value.end && formatTxId(value.end),
    endorsing_key: toBase64(value.endorsingKey),
    previous_version: value.previousVersion,
  });
}
