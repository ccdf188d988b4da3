/**
 * STAND-IN until governance lands: opens a service as accepted proposals would have.
 *
 * In: users and an app. Out: one transaction with exactly the tables that acknowledgement, `set_user`, `set_js_app` and
 * `transition_service_to_open` write, shares included, and none of the governance history, since nobody voted.
 * Only a node whose configuration allows it does this; the sandbox's does.
 */

import { assert, FormatError } from "../shared/assert.ts";
import { toHex } from "../shared/bytes.ts";
import { parsePemBlock } from "../shared/crypto/pem.ts";
import { parseCertificate, serialiseCertificatePem } from "../shared/crypto/x509.ts";
import {
  MEMBERS_ACKS,
  MEMBERS_INFO,
  PREVIOUS_SERVICE_IDENTITY_ENDORSEMENT,
  SERVICE_INFO,
  type ServiceInfo,
  SIGNATURES,
  USERS_CERTS,
  USERS_INFO,
} from "../shared/governance/tables.ts";
import type { Transaction } from "../shared/kv/transaction.ts";
import { draftSelfEndorsement, signEndorsement } from "../shared/ledger/endorsement.ts";
import { parseTxId, type TxId } from "../shared/tx_id.ts";
import { installBundle } from "./js_app.ts";
import type { ServiceOpening } from "./messages.ts";
import type { Node } from "./node.ts";
import { issueFirstShares } from "./share_manager.ts";

/**
 * Opens the service and signs.
 *
 * @throws FormatError where it cannot be opened, or a user's certificate or the app cannot be used
 */
export function openService(node: Node, opening: ServiceOpening): TxId {
  if (!node.config.allowOpenService) throw new FormatError("Cannot open the service: its members must decide that");
  const tx = node.store.begin();
  const service = tx.open(SERVICE_INFO).get();
  if (service?.status !== "Opening") {
    throw new FormatError(`Cannot open the service: its status is ${service?.status ?? "unknown"}, not Opening`);
  }
  const state_digest = tx.open(SIGNATURES).get()?.root ?? "";
  for (const [id, info] of tx.open(MEMBERS_INFO).entries()) {
    tx.open(MEMBERS_INFO).put(id, { ...info, status: "Active" });
    tx.open(MEMBERS_ACKS).put(id, { state_digest });
  }
  for (const { certificatePem, data } of opening.users) {
    const der = parsePemBlock(certificatePem, "CERTIFICATE");
    parseCertificate(der);
    const id = toHex(node.primitives.sha256(der));
    tx.open(USERS_CERTS).put(id, serialiseCertificatePem(der));
    if (data === undefined) tx.open(USERS_INFO).remove(id);
    else tx.open(USERS_INFO).put(id, { user_data: data });
  }
  if (opening.app !== undefined) installBundle(tx, opening.app);
  issueFirstShares(tx, node);
  endorseServiceIdentity(tx, node, service);
  tx.open(SERVICE_INFO).put({ ...service, status: "Open" });
  node.signer.forceSnapshot();
  const id = node.commitTransaction(tx);
  node.sign();
  // The snapshot's evidence is signed at once, so that whoever waits for the service finds its snapshot too.
  node.signWhatIsLeft();
  return id;
}

/** A service without a predecessor endorses its own key, so that every chain of endorsements has an end. */
function endorseServiceIdentity(tx: Transaction, node: Node, { current_service_create_txid }: ServiceInfo): void {
  assert(current_service_create_txid !== undefined, "A service that was started here says when");
  const { key } = node.service;
  const created = parseTxId(current_service_create_txid);
  const draft = draftSelfEndorsement(key.publicKey, created, Math.floor(node.nowMs / 1000));
  tx.open(PREVIOUS_SERVICE_IDENTITY_ENDORSEMENT).put(signEndorsement(key, draft));
}
