/**
 * What an accepted proposal brings about besides its own writes, seen from the ledger: secrets, shares and certificates
 * cannot be made again, so what the node wrote for them is taken from the entry where the constitution asked for it.
 *
 * In: calls of the constitution's `apply`, the entry they led to, the tables before it. Out: the same tables in the
 * transaction, or a FormatError where the entry lacks what was asked for, or has what no node would have written.
 * Knows nothing of what else the entry holds: what nobody asked for is found when write sets are compared.
 * Rules: those of `enclave/governance/effects.ts`; governance.md §4.1, §5, §6
 */

import { FormatError } from "../../shared/assert.ts";
import { equalBytes, fromUtf8Lenient } from "../../shared/bytes.ts";
import { isRequestSigned, parseCertificateRequestPem } from "../../shared/crypto/csr.ts";
import type { Primitives } from "../../shared/crypto/primitives.ts";
import { type Certificate, isSignedBy, parseCertificatePem, publicKeyOf } from "../../shared/crypto/x509.ts";
import {
  ENCRYPTED_LEDGER_SECRETS,
  ENCRYPTED_SUBMITTED_SHARES,
  HISTORICAL_ENCRYPTED_LEDGER_SECRET,
  LAST_RECOVERY_TYPE,
  MODULES,
  MODULES_QUICKJS_BYTECODE,
  MODULES_QUICKJS_VERSION,
  NODES_ENDORSED_CERTIFICATES,
  PREVIOUS_SERVICE_IDENTITY_ENDORSEMENT,
  RECOVERY_SHARES,
  SERVICE_INFO,
  SERVICE_PREVIOUS_IDENTITY,
} from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import type { TableWrites } from "../../shared/kv/write_set.ts";
import { parseTxId, type Seqno } from "../../shared/tx_id.ts";
import type { GovernanceEffects } from "../app_engine.ts";
import { validityFrom } from "../governance/certificate_renewal.ts";
import { removeJwtPublicSigningKeys, setJwtPublicSigningKeys } from "../governance/jwt_keys.ts";
import { because, canRekey } from "../governance/ledger_rekey.ts";

/** The effects of one transaction, as its entry has them. */
export class AuditedEffects implements GovernanceEffects {
  readonly #tx: Transaction;
  readonly #entry: readonly TableWrites[];
  readonly #primitives: Primitives;
  /** What the entry lacks, if it lacks anything that was asked for: also where a script catches the exception. */
  failure: string | undefined;

  /** @param entry the public tables that the transaction led to */
  constructor(tx: Transaction, entry: readonly TableWrites[], primitives: Primitives) {
    this.#tx = tx;
    this.#entry = entry;
    this.#primitives = primitives;
  }

  openService(previousIdentityPem: string | undefined, nextIdentityPem: string): void {
    because("Unable to open service", () => this.#open(previousIdentityPem, nextIdentityPem));
  }

  rekeyLedger(): void {
    if (!canRekey(this.#tx)) throw new FormatError("Could not rekey ledger");
    this.#require(RECOVERY_SHARES.name);
    this.#require(HISTORICAL_ENCRYPTED_LEDGER_SECRET.name);
    this.#require(ENCRYPTED_LEDGER_SECRETS.name);
  }

  /** Shares alone: the secret before theirs is where it was. */
  refreshRecoveryShares(): void {
    this.#require(RECOVERY_SHARES.name);
  }

  /** At the next signature: nothing of it is in tables. */
  endLedgerChunk(): void {}

  /** At the next signature: nothing of it is in tables. */
  takeSnapshot(): void {}

  latestLedgerSecretSeqno(): Seqno {
    return latestSecretSeqno(this.#tx);
  }

  /** Serial number and signature are by chance: the certificate is the one in the entry that fits all the rest. */
  endorsedCertificate(requestPem: string, validFrom: string, validityDays: number): string {
    const request = parseCertificateRequestPem(requestPem);
    if (!isRequestSigned(this.#primitives, request)) {
      throw new FormatError("Failed to create endorsed cert: the request is not signed with the key that it is for");
    }
    const validity = validityFrom(validFrom, validityDays);
    const issuer = publicKeyOf(this.#serviceCertificate());
    const written = this.#find(NODES_ENDORSED_CERTIFICATES.name)?.writes ?? [];
    for (const [, value] of written) {
      const pem = fromUtf8Lenient(value);
      const certificate = parseCertificatePem(pem);
      const fits = equalBytes(certificate.spki, request.spki) && hasPeriod(certificate, validity) &&
        isSignedBy(this.#primitives, certificate, issuer);
      if (fits) return pem;
    }
    return this.#lacks("Failed to create endorsed cert: the ledger has none for this request, period and service");
  }

  serviceCertificate(validFrom: string, validityDays: number): string {
    const validity = validityFrom(validFrom, validityDays);
    const before = this.#serviceCertificate();
    const value = this.#find(SERVICE_INFO.name)?.writes[0]?.[1];
    if (value !== undefined) {
      const { cert } = SERVICE_INFO.value.decode(value);
      const certificate = parseCertificatePem(cert);
      const fits = equalBytes(certificate.spki, before.spki) && hasPeriod(certificate, validity) &&
        isSignedBy(this.#primitives, certificate, publicKeyOf(before));
      if (fits) return cert;
    }
    return this.#lacks("Error: the ledger has no certificate for this period and the service's key");
  }

  /** What engines make of modules is theirs; that each module that is installed has something is everybody's. */
  refreshBytecodeCache(): void {
    const names = [...this.#tx.open(MODULES).entries()].map(([name]) => name);
    const compiled = this.#find(MODULES_QUICKJS_BYTECODE.name)?.writes ?? [];
    const isWhole = names.length === compiled.length &&
      names.every((name) => compiled.some(([key]) => MODULES_QUICKJS_BYTECODE.key.decode(key) === name));
    if (!isWhole) this.#lacks("Failed to refresh bytecode: the ledger has it for other modules than these");
    this.#require(MODULES_QUICKJS_VERSION.name);
    this.#tx.open(MODULES_QUICKJS_BYTECODE).clear();
    this.#adopt(MODULES_QUICKJS_BYTECODE.name);
  }

  setJwtPublicSigningKeys(issuer: string, _metadata: unknown, jwks: unknown): void {
    because("set_jwt_public_signing_keys() failed", () => setJwtPublicSigningKeys(this.#tx, issuer, jwks));
  }

  removeJwtPublicSigningKeys(issuer: string): void {
    because("Failed to remove JWT public signing keys", () => removeJwtPublicSigningKeys(this.#tx, issuer));
  }

  #open(previousPem: string | undefined, nextPem: string): void {
    const table = this.#tx.open(SERVICE_INFO);
    const service = table.get();
    if (service === undefined) throw new FormatError("the ledger has no record of the service");
    if (service.status === "Open" || service.status === "WaitingForRecoveryShares") return;
    if (service.status === "Recovering") {
      const recorded = this.#tx.open(SERVICE_PREVIOUS_IDENTITY).get();
      if (recorded === undefined || recorded !== previousPem) {
        throw new FormatError("the proposal names another service before this one than the ledger");
      }
    }
    if (nextPem !== service.cert) throw new FormatError("the proposal opens another service than this");
    if (service.status === "Recovering" && this.#find(RECOVERY_SHARES.name) === undefined) {
      this.#tx.open(ENCRYPTED_SUBMITTED_SHARES).clear();
      table.put({ ...service, status: "WaitingForRecoveryShares" });
      this.#adopt(LAST_RECOVERY_TYPE.name);
      return;
    }
    this.#require(RECOVERY_SHARES.name);
    this.#require(HISTORICAL_ENCRYPTED_LEDGER_SECRET.name);
    table.put({ ...service, status: "Open" });
    // Services before 4.0 do not endorse each other; that the endorsement is there where it must be, replay checks.
    this.#adopt(PREVIOUS_SERVICE_IDENTITY_ENDORSEMENT.name);
  }

  #serviceCertificate(): Certificate {
    const service = this.#tx.open(SERVICE_INFO).get();
    if (service === undefined) throw new FormatError("the ledger has no record of the service");
    return parseCertificatePem(service.cert);
  }

  #find(table: string): TableWrites | undefined {
    return this.#entry.find(({ name }) => name === table);
  }

  /** @throws FormatError where the entry does not write the table */
  #require(table: string): void {
    if (!this.#adopt(table)) this.#lacks(`the ledger has no new value in ${table}`);
  }

  #lacks(sentence: string): never {
    this.failure ??= sentence;
    throw new FormatError(sentence);
  }

  /** Does to the table what the entry did. Answers false where that is nothing. */
  #adopt(table: string): boolean {
    const changes = this.#find(table);
    if (changes === undefined) return false;
    const raw = this.#tx.openRaw(table);
    for (const [key, value] of changes.writes) raw.put(key, value);
    for (const key of changes.removes) raw.remove(key);
    return true;
  }
}

/**
 * First seqno of the ledger secret in force, from tables: that of the service's first transaction, or the one behind the
 * last rekey. A historical secret that names no seqno for its successor was written by a rekey.
 */
function latestSecretSeqno(tx: Transaction): Seqno {
  const created = tx.open(SERVICE_INFO).get()?.current_service_create_txid;
  const table = tx.open(HISTORICAL_ENCRYPTED_LEDGER_SECRET);
  const written = table.versionOfPreviousWrite();
  const historical = table.get();
  const shared = historical === undefined ? 1 : historical.next_version ?? (written ?? 0) + 1;
  return Math.max(created === undefined ? 1 : parseTxId(created).seqno, shared);
}

function hasPeriod(certificate: Certificate, validity: Pick<Certificate, "notBeforeMs" | "notAfterMs">): boolean {
  return certificate.notBeforeMs === validity.notBeforeMs && certificate.notAfterMs === validity.notAfterMs;
}
