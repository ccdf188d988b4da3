/**
 * Opening a service, as the action `transition_service_to_open` asks for it.
 *
 * In: the certificates that the proposal names, the state of service and node. Out: the tables that opening writes, or
 * those of the wait for recovery shares. Knows nothing of what happens once they are committed (`effects.ts`).
 * Rules: governance.md §5, ledger-and-receipts.md §4.5, §7.1
 */

import { FormatError } from "../../shared/assert.ts";
import {
  ENCRYPTED_SUBMITTED_SHARES,
  LAST_RECOVERY_TYPE,
  PREVIOUS_SERVICE_IDENTITY_ENDORSEMENT,
  PREVIOUS_SERVICE_LAST_SIGNED_ROOT,
  SERVICE_INFO,
  SERVICE_PREVIOUS_IDENTITY,
  type ServiceInfo,
} from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { draftEndorsement, draftSelfEndorsement, signEndorsement } from "../../shared/ledger/endorsement.ts";
import { parseTxId } from "../../shared/tx_id.ts";
import type { EffectSource } from "./effect_source.ts";
import { issueFirstShares } from "../share_manager.ts";

export type Opening =
  /** The service is Open. */
  | "opened"
  /** It waits for recovery shares. */
  | "waiting"
  /** It was one or the other before. */
  | "unchanged";

/**
 * Writes what opens the service.
 *
 * @param previousPem certificate of the service that was recovered, exactly as the ledger has it
 * @param nextPem certificate of the service that opens, exactly as the ledger has it
 * @throws FormatError where the certificates are not those, shares cannot be issued, or the node is in no state for it
 */
export function openService(
  tx: Transaction,
  node: EffectSource,
  previousPem: string | undefined,
  nextPem: string,
): Opening {
  const table = tx.open(SERVICE_INFO);
  const service = table.get();
  if (service === undefined) throw new FormatError("the ledger has no record of the service");
  if (service.status === "Open" || service.status === "WaitingForRecoveryShares") return "unchanged";
  if (service.status === "Recovering") checkPrevious(tx, previousPem);
  if (nextPem !== service.cert) {
    throw new FormatError(
      `Service identity mismatch: the proposal opens another service than this.\nNext:\n${nextPem}\nCurrent:\n${service.cert}`,
    );
  }
  switch (node.state) {
    case "PartOfPublicNetwork":
      tx.open(ENCRYPTED_SUBMITTED_SHARES).clear();
      table.put({ ...service, status: "WaitingForRecoveryShares" });
      tx.open(LAST_RECOVERY_TYPE).put("RECOVERY_SHARES");
      return "waiting";
    case "PartOfNetwork":
      issueShares(tx, node);
      endorsePreviousIdentity(tx, node, service);
      table.put({ ...service, status: "Open" });
      return "opened";
    default:
      throw new FormatError(`a node in state ${node.state} cannot open a service`);
  }
}

function checkPrevious(tx: Transaction, previousPem: string | undefined): void {
  const recorded = tx.open(SERVICE_PREVIOUS_IDENTITY).get();
  if (recorded === undefined || previousPem === undefined) {
    throw new FormatError(
      "a recovered service opens only where the proposal and the ledger name the service before it",
    );
  }
  if (recorded !== previousPem) {
    throw new FormatError(
      `Previous service identity does not match.\nActual:\n${recorded}\nIn proposal:\n${previousPem}`,
    );
  }
}

function issueShares(tx: Transaction, node: EffectSource): void {
  try {
    issueFirstShares(tx, node);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError(`Failed to issue recovery shares: ${error.message}`);
  }
}

/**
 * The service's key signs that of the service before it, so that old receipts still verify; the first service of a
 * ledger signs its own, so that every chain has an end.
 */
export function endorsePreviousIdentity(
  tx: Transaction,
  node: EffectSource,
  { current_service_create_txid }: ServiceInfo,
): void {
  if (current_service_create_txid === undefined) {
    throw new FormatError("the record of the service does not say when it was started");
  }
  const { key } = node.service;
  const created = parseTxId(current_service_create_txid);
  const issuedAtSeconds = Math.floor(node.nowMs / 1000);
  const table = tx.open(PREVIOUS_SERVICE_IDENTITY_ENDORSEMENT);
  const value = table.get();
  if (value === undefined) {
    table.put(signEndorsement(key, draftSelfEndorsement(key.publicKey, created, issuedAtSeconds)));
    return;
  }
  const seqno = table.versionOfPreviousWrite();
  const root = tx.open(PREVIOUS_SERVICE_LAST_SIGNED_ROOT).get();
  if (seqno === undefined || root === undefined) {
    throw new FormatError("the ledger does not say where the service before this one ended");
  }
  table.put(signEndorsement(key, draftEndorsement(key.publicKey, created, { seqno, value }, root, issuedAtSeconds)));
}
