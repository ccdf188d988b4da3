/**
 * Checks who the service is and who belongs to it: identities, recoveries, endorsements, nodes, members and users.
 *
 * Rules: ledger-and-receipts.md §7.1, §10.4, §10.5, §11
 */

import { FormatError } from "../../assert.ts";
import { equalBytes, fromHex, fromUtf8, toHex } from "../../bytes.ts";
import { verifyCoseSign1 } from "../../crypto/cose.ts";
import { parseEndorsementHeader } from "../../crypto/cose_headers.ts";
import { nodeIdOf } from "../../crypto/identifiers.ts";
import { parsePublicKeyPem } from "../../crypto/public_key.ts";
import { parseJsonBytes } from "../../json.ts";
import { object, text } from "../../json_shape.ts";
import { formatTxId, parseTxId, sameTxId, type Seqno, type TxId } from "../../tx_id.ts";
import {
  draftEndorsement,
  type IdentityEndorsement,
  parseIdentityEndorsement,
  serialiseIdentityEndorsement,
} from "../endorsement.ts";
import { onlyValueOf } from "../single_value.ts";
import {
  HISTORICAL_SECRET,
  IDENTITY_ENDORSEMENT,
  LAST_SIGNED_ROOT,
  MEMBERS_CERTS,
  NODES_ENDORSED_CERTIFICATES,
  NODES_INFO,
  PREVIOUS_SERVICE_IDENTITY,
  RECOVERY_SHARES,
  SERVICE_INFO,
  USERS_CERTS,
} from "../table_names.ts";
import type { KnownCertificate } from "./certificates.ts";
import type { ReplayedTransaction, ReplayState } from "./state.ts";

/** One life of a service: from its first transaction to the recovery that ends it. */
export interface ServiceIdentity {
  readonly from: Seqno;
  readonly certificatePem: string;
  readonly certificate: KnownCertificate;
  /** As `service.info` says; absent in old ledgers. */
  readonly created: TxId | undefined;
  /** What the last signature before it signed; undefined for the first. */
  readonly previousRoot: Uint8Array | undefined;
}

export type ServiceStatus = "Opening" | "Open" | "Recovering" | "WaitingForRecoveryShares";

const TRANSITIONS: ReadonlySet<string> = new Set([
  "Opening Open",
  "Opening WaitingForRecoveryShares", // 1.x
  "Recovering WaitingForRecoveryShares",
  "WaitingForRecoveryShares Open",
]);

const SERVICE_SHAPE = object({ cert: text, status: text }, { current_service_create_txid: text });
const NODE_SHAPE = object({ status: text }, { public_key: text });

export class ServiceChecks {
  readonly #state: ReplayState;
  readonly #identities: ServiceIdentity[] = [];
  #status = "";

  constructor(state: ReplayState) {
    this.#state = state;
  }

  /** Every identity so far, in order. */
  get identities(): readonly ServiceIdentity[] {
    return this.#identities;
  }

  get current(): ServiceIdentity | undefined {
    return this.#identities.at(-1);
  }

  get status(): string {
    return this.#status;
  }

  /** Takes over the identity that a snapshot holds. @throws FormatError */
  load(seqno: Seqno): void {
    const value = this.#state.valueBefore(SERVICE_INFO);
    if (value === undefined) throw new FormatError("The snapshot holds no service");
    const info = SERVICE_SHAPE(parseJsonBytes(value), "");
    const root = this.#state.valueBefore(LAST_SIGNED_ROOT);
    this.#identities.push({
      from: seqno,
      certificatePem: info.cert,
      certificate: this.#state.certificates.get(info.cert),
      created: parseCreated(info.current_service_create_txid),
      previousRoot: root === undefined ? undefined : fromHex(text(parseJsonBytes(root), "")),
    });
    this.#status = info.status;
  }

  /** Forgets what transactions after `to` brought, once the store has. @throws FormatError */
  rollback(to: Seqno): void {
    while (this.#identities.length > 0 && this.#identities.at(-1)!.from > to) this.#identities.pop();
    const value = this.#state.valueBefore(SERVICE_INFO);
    this.#status = value === undefined ? "" : SERVICE_SHAPE(parseJsonBytes(value), "").status;
  }

  /** Whether a transaction brings another service identity than the current one. @throws FormatError */
  startsService(tx: ReplayedTransaction): boolean {
    const changes = tx.tables.get(SERVICE_INFO);
    if (changes === undefined) return false;
    const { cert } = SERVICE_SHAPE(parseJsonBytes(onlyValueOf(changes)), "");
    return this.#state.certificates.get(cert).nodeId !== this.current?.certificate.nodeId;
  }

  /** @throws FormatError */
  check(tx: ReplayedTransaction, lastSignedRoot: Uint8Array | undefined): void {
    const service = tx.tables.get(SERVICE_INFO);
    if (service !== undefined) this.#checkService(tx, onlyValueOf(service), lastSignedRoot);
    this.#checkNodes(tx);
    this.#checkPeople(tx);
    const endorsement = tx.tables.get(IDENTITY_ENDORSEMENT);
    if (endorsement !== undefined) this.#checkEndorsement(tx, onlyValueOf(endorsement));
  }

  #checkService(tx: ReplayedTransaction, value: Uint8Array, lastSignedRoot: Uint8Array | undefined): void {
    const info = SERVICE_SHAPE(parseJsonBytes(value), "");
    const { certificates } = this.#state;
    const certificate = certificates.get(info.cert);
    const before = this.current;
    const isNew = certificate.nodeId !== before?.certificate.nodeId;
    if (isNew || info.cert !== before?.certificatePem) {
      const curve = certificate.key.kind === "EC" ? certificate.key.curve : "none";
      if (curve !== "P-384" && curve !== "P-256") {
        throw new FormatError(`The service's key is on ${curve}, and must be on P-384 or P-256`);
      }
      if (!certificates.isSignedBy(info.cert, certificate)) {
        throw new FormatError("The service's certificate is not signed by its own key");
      }
    }
    const begins = info.status === "Opening" || info.status === "Recovering";
    const moves = `${this.#status} ${info.status}`;
    if (isNew ? !begins : info.status !== this.#status && !TRANSITIONS.has(moves)) {
      throw new FormatError(`The service goes from ${this.#status || "nothing"} to ${JSON.stringify(info.status)}`);
    }
    if (isNew) {
      const created = parseCreated(info.current_service_create_txid);
      if (created === undefined || !sameTxId(created, tx.entry.txId)) {
        this.#state.tolerate(
          "first transaction",
          `The service says it was created by ${created ? formatTxId(created) : "nobody"}, not by this transaction`,
        );
      }
      if (before !== undefined) this.#checkRecovery(tx, before, lastSignedRoot);
      const { entry: { seqno } } = tx;
      const previousRoot = before === undefined ? undefined : lastSignedRoot;
      this.#identities.push({ from: seqno, certificatePem: info.cert, certificate, created, previousRoot });
    } else if (info.status === "Open" && this.#status !== "Open") {
      const missing = [IDENTITY_ENDORSEMENT, RECOVERY_SHARES, HISTORICAL_SECRET].filter((name) => !tx.tables.has(name));
      if (missing.length > 0) {
        this.#state.tolerate("opening without its tables", `The service opens without ${missing.join(", ")}`);
      }
    }
    this.#status = info.status;
  }

  /** What the first transaction of a recovered service says of the service before. */
  #checkRecovery(tx: ReplayedTransaction, before: ServiceIdentity, lastSignedRoot: Uint8Array | undefined): void {
    const identity = tx.tables.get(PREVIOUS_SERVICE_IDENTITY);
    const root = tx.tables.get(LAST_SIGNED_ROOT);
    if (identity === undefined || root === undefined) {
      this.#state.tolerate("recovery without its tables", "The service is recovered and does not say from which");
    }
    if (identity !== undefined) {
      const pem = text(parseJsonBytes(onlyValueOf(identity)), "");
      if (this.#state.certificates.get(pem).nodeId !== before.certificate.nodeId) {
        throw new FormatError("The service is recovered from an identity that is not the one before");
      }
    }
    if (root !== undefined) {
      const hex = text(parseJsonBytes(onlyValueOf(root)), "");
      if (lastSignedRoot === undefined || hex !== toHex(lastSignedRoot)) {
        throw new FormatError(
          `The service is recovered from root ${JSON.stringify(hex)}, and the last signature is over another`,
        );
      }
    }
  }

  #checkNodes(tx: ReplayedTransaction): void {
    for (const [key, value] of tx.tables.get(NODES_INFO)?.writes ?? []) {
      const { public_key } = NODE_SHAPE(parseJsonBytes(value), "");
      if (public_key === undefined || public_key === "") continue; // 1.x
      if (nodeIdOf(parsePublicKeyPem(public_key).spki) !== key) {
        throw new FormatError(`The public key of node ${JSON.stringify(key)} has another ID`);
      }
    }
    const service = this.current?.certificate;
    for (const [key, value] of tx.tables.get(NODES_ENDORSED_CERTIFICATES)?.writes ?? []) {
      const pem = fromUtf8(value);
      if (this.#state.certificates.get(pem).nodeId !== key) {
        throw new FormatError(`The certificate of node ${JSON.stringify(key)} is for another key`);
      }
      if (service === undefined || !this.#state.certificates.isSignedBy(pem, service)) {
        throw new FormatError(`The service did not endorse the certificate of node ${JSON.stringify(key)}`);
      }
    }
  }

  #checkPeople(tx: ReplayedTransaction): void {
    for (const table of [MEMBERS_CERTS, USERS_CERTS]) {
      for (const [key, value] of tx.tables.get(table)?.writes ?? []) {
        if (this.#state.certificates.get(fromUtf8(value)).memberId !== key) {
          throw new FormatError(`The certificate under ${JSON.stringify(key)} in table ${table} has another ID`);
        }
      }
    }
  }

  /** The key of the service before, signed by this one; or a service's own key, where there was none before. */
  #checkEndorsement(tx: ReplayedTransaction, bytes: Uint8Array): void {
    const service = this.current;
    if (service?.certificate.key.kind !== "EC") {
      throw new FormatError("An identity is endorsed, and there is no service");
    }
    const { key } = service.certificate;
    const value = parseIdentityEndorsement(bytes);
    if (!equalBytes(serialiseIdentityEndorsement(value), bytes)) {
      this.#state.tolerate("form of a value", "The endorsement is not written as a current node writes it");
    }
    if (!equalBytes(value.endorsingKey, key.spki)) {
      throw new FormatError("The endorsement names another key than the service's");
    }
    if (!verifyCoseSign1(this.#state.primitives, key, value.message)) {
      throw new FormatError("The service did not sign the endorsement");
    }
    const { endorsedKey, begin, end } = this.#expectedEndorsement(tx, service, value);
    const header = parseEndorsementHeader(value.message);
    const sameEnd = end === undefined ? header.end === undefined : header.end !== undefined &&
      sameTxId(header.end.txId, end.txId) && equalBytes(header.end.root, end.root);
    if (!sameTxId(header.begin, begin) || !sameEnd || !equalBytes(value.message.payload!, endorsedKey)) {
      const range = `${formatTxId(begin)} to ${end === undefined ? "now" : formatTxId(end.txId)}`;
      throw new FormatError(`The endorsement is not that of the service from ${range}`);
    }
  }

  #expectedEndorsement(tx: ReplayedTransaction, service: ServiceIdentity, value: IdentityEndorsement) {
    const { key } = service.certificate;
    const created = service.created ?? tx.entry.txId;
    const previousBytes = this.#state.valueBefore(IDENTITY_ENDORSEMENT);
    const previousSeqno = this.#state.lastWriteBefore(IDENTITY_ENDORSEMENT);
    if (value.previousVersion !== previousSeqno) {
      throw new FormatError(
        `The endorsement continues that of ${value.previousVersion ?? "none"}, and the one before is of ${
          previousSeqno ?? "none"
        }`,
      );
    }
    if (previousBytes === undefined || previousSeqno === undefined) {
      return { endorsedKey: key.spki, begin: created, end: undefined };
    }
    if (service.previousRoot === undefined || key.kind !== "EC") {
      throw new FormatError("An earlier service is endorsed, and there was none");
    }
    const previous = { seqno: previousSeqno, value: parseIdentityEndorsement(previousBytes) };
    const draft = draftEndorsement(key, created, previous, service.previousRoot, 0);
    return { endorsedKey: draft.endorsedKey, begin: draft.header.begin, end: draft.header.end };
  }
}

function parseCreated(txId: string | undefined): TxId | undefined {
  return txId === undefined ? undefined : parseTxId(txId);
}
