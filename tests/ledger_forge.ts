/**
 * A service of one node that writes a ledger without an enclave: right, or wrong in exactly one place.
 *
 * For tests of whoever reads ledgers. Keys are on P-256 and come from a seed, so that runs are fast and equal.
 */

import { toBase64, toHex, toUtf8 } from "../shared/bytes.ts";
import { sealBox } from "../shared/crypto/aes_gcm.ts";
import { EC_CURVES, type EcPrivateKey, generateEcPrivateKey } from "../shared/crypto/ecdsa.ts";
import { memberIdOf, nodeIdOf } from "../shared/crypto/identifiers.ts";
import type { Primitives, Random } from "../shared/crypto/primitives.ts";
import { ecdsaAlgorithm, serialisePublicKeyPem } from "../shared/crypto/public_key.ts";
import { shareFreshSecret, wrapLedgerSecret } from "../shared/crypto/shamir.ts";
import { parseCertificatePem, serialiseCertificatePem } from "../shared/crypto/x509.ts";
import { memberCertificate, serviceCertificate, signCertificate, validityOfDays } from "../shared/crypto/x509_build.ts";
import { nameFromText } from "../shared/crypto/x509_name.ts";
import { stableJsonBytes } from "../shared/json.ts";
import { SINGLETON_KEY } from "../shared/kv/codecs.ts";
import type { TableWrites, WriteSet } from "../shared/kv/write_set.ts";
import {
  draftEndorsement,
  draftSelfEndorsement,
  type EndorsementWrite,
  serialiseIdentityEndorsement,
  signEndorsement,
} from "../shared/ledger/endorsement.ts";
import { type EntryContent, FORCE_CHUNK_BEFORE, LedgerEntry, sealEntry } from "../shared/ledger/entry.ts";
import { serialiseRecoveryShares } from "../shared/ledger/recovery_shares.ts";
import { serialiseSecretBroadcast } from "../shared/ledger/secret_broadcast.ts";
import { type HistoricalSecret, serialiseHistoricalSecret } from "../shared/ledger/secret_chain.ts";
import { LedgerSecret, LedgerSecrets } from "../shared/ledger/secrets.ts";
import { buildSignatureWriteSet, type SignatureContent } from "../shared/ledger/signature.ts";
import { NO_CLAIMS } from "../shared/merkle/leaf.ts";
import { MerkleTree } from "../shared/merkle/tree.ts";
import { formatTxId, type Seqno, type TxId, type View } from "../shared/tx_id.ts";

const VALIDITY = validityOfDays(Date.UTC(2026, 0, 1), 365);

/** Changes to tables: the value under each key, or null to remove it. Text becomes bytes. */
export type Changes = Readonly<Record<string, Readonly<Record<string, Uint8Array | string | null>>>>;

/** A table with one value. */
export function one(value: Uint8Array | string): Readonly<Record<string, Uint8Array | string>> {
  return { [SINGLETON_KEY]: value };
}

export function tableWrites(changes: Changes): TableWrites[] {
  return Object.entries(changes).sort(([a], [b]) => a < b ? -1 : 1).map(([name, keys]) => {
    const sorted = Object.entries(keys).sort(([a], [b]) => a < b ? -1 : 1);
    return {
      name,
      writes: sorted.flatMap(([key, value]) =>
        value === null ? [] : [[key, typeof value === "string" ? toUtf8(value) : value] as const]
      ),
      removes: sorted.filter(([, value]) => value === null).map(([key]) => key),
    };
  });
}

/** The same bytes for the same seed, which nobody should call random. */
export function seededRandom(primitives: Primitives, seed: string): Random {
  let block = 0;
  return (length) => {
    const out = new Uint8Array(length);
    for (let at = 0; at < length; at += 32) {
      out.set(primitives.sha256(toUtf8(`${seed} ${block++}`)).subarray(0, length - at), at);
    }
    return out;
  };
}

/** A key with its certificate, and who issued it. */
export interface ForgedIdentity {
  readonly id: string;
  readonly key: EcPrivateKey;
  readonly certificatePem: string;
}

export class LedgerForge {
  readonly primitives: Primitives;
  readonly random: Random;
  readonly entries: Uint8Array[] = [];
  readonly secrets = new LedgerSecrets();
  tree: MerkleTree;
  view: View = 2;
  service: ForgedIdentity;
  node: ForgedIdentity;
  readonly member: ForgedIdentity;
  #created: TxId = { view: 2, seqno: 1 };
  #lastSigned: Seqno = 0;
  #lastSignedRoot: Uint8Array = NO_CLAIMS;
  #lastHistorical: Seqno | undefined;
  #lastEndorsement: EndorsementWrite | undefined;

  constructor(primitives: Primitives, seed = "forge") {
    this.primitives = primitives;
    this.random = seededRandom(primitives, seed);
    this.tree = new MerkleTree(primitives);
    this.service = this.makeService();
    this.node = this.makeNode(this.service);
    this.member = this.#selfSigned("CN=member");
    this.secrets.add(1, this.#makeSecret());
  }

  get nextSeqno(): Seqno {
    return this.tree.size;
  }

  makeService(): ForgedIdentity {
    const key = generateEcPrivateKey("P-256", this.random);
    const fields = serviceCertificate({
      key: key.publicKey,
      subject: nameFromText("CN=CCF Service"),
      validity: VALIDITY,
      serial: Uint8Array.of(1),
    });
    const der = signCertificate(fields, key);
    return { id: nodeIdOf(key.publicKey.spki), key, certificatePem: serialiseCertificatePem(der) };
  }

  /** A new node with a certificate from this service. */
  makeNode(service: ForgedIdentity): ForgedIdentity {
    return this.endorse(generateEcPrivateKey("P-256", this.random), service);
  }

  /** A node's certificate from a service. */
  endorse(key: EcPrivateKey, service: ForgedIdentity): ForgedIdentity {
    const issuer = parseCertificatePem(service.certificatePem);
    const fields = {
      ...memberCertificate({
        key: key.publicKey,
        subject: nameFromText("CN=CCF Node"),
        validity: VALIDITY,
        serial: Uint8Array.of(2),
      }),
      issuer: issuer.subject,
      signatureAlgorithm: ecdsaAlgorithm(EC_CURVES[service.key.curve].hash),
    };
    const der = signCertificate(fields, service.key);
    return { id: nodeIdOf(key.publicKey.spki), key, certificatePem: serialiseCertificatePem(der) };
  }

  #selfSigned(subject: string): ForgedIdentity {
    const key = generateEcPrivateKey("P-256", this.random);
    const serial = Uint8Array.of(3);
    const fields = memberCertificate({
      key: key.publicKey,
      subject: nameFromText(subject),
      validity: VALIDITY,
      serial,
    });
    const der = signCertificate(fields, key);
    return { id: memberIdOf(der), key, certificatePem: serialiseCertificatePem(der) };
  }

  #makeSecret(): LedgerSecret {
    return new LedgerSecret(this.primitives, this.random(32));
  }

  /** Appends a transaction. `wrong` replaces what would have been right. */
  write(changes: Changes, wrong: Partial<EntryContent> & { readonly key?: Uint8Array } = {}): TxId {
    const tables = tableWrites(changes);
    return this.append({
      publicTables: tables.filter((table) => table.name.startsWith("public:")),
      privateTables: tables.filter((table) => !table.name.startsWith("public:")),
    }, wrong);
  }

  append(writeSet: WriteSet, wrong: Partial<EntryContent> & { readonly key?: Uint8Array } = {}): TxId {
    const txId = wrong.txId ?? { view: this.view, seqno: this.nextSeqno };
    const secret = this.secrets.at(txId.seqno)!;
    const bytes = sealEntry(this.primitives, wrong.key ?? secret.key, {
      txId,
      flags: 0,
      claimsDigest: NO_CLAIMS,
      commitEvidenceDigest: secret.commitEvidenceDigest(txId),
      writeSet,
      ...wrong,
    });
    this.entries.push(bytes);
    this.tree.append(LedgerEntry.parse(bytes).leaf(this.primitives));
    return txId;
  }

  serviceInfo(status: string, more: Readonly<Record<string, unknown>> = {}): Uint8Array {
    return stableJsonBytes({
      cert: this.service.certificatePem,
      current_service_create_txid: formatTxId(this.#created),
      recovery_count: this.#created.seqno === 1 ? 0 : 1,
      status,
      ...more,
    });
  }

  nodeInfo(node: ForgedIdentity, status: string): Uint8Array {
    return stableJsonBytes({ public_key: serialisePublicKeyPem(node.key.publicKey), status });
  }

  /** Has `service.info` name another first transaction. */
  withCreated(created: TxId): this {
    this.#created = created;
    return this;
  }

  /** What the first transaction of a new service writes. */
  genesisChanges(): Changes {
    return {
      "public:ccf.gov.members.certs": { [this.member.id]: this.member.certificatePem },
      "public:ccf.gov.nodes.endorsed_certificates": { [this.node.id]: this.node.certificatePem },
      "public:ccf.gov.nodes.info": { [this.node.id]: this.nodeInfo(this.node, "Trusted") },
      "public:ccf.gov.service.info": one(this.serviceInfo("Opening")),
    };
  }

  genesis(): this {
    this.write(this.genesisChanges());
    return this.sign();
  }

  /** Appends a signature. `wrong` replaces what would have been signed; `edit` changes the tables after signing. */
  sign(
    wrong: Partial<SignatureContent> & { readonly flags?: number } = {},
    edit: (writeSet: WriteSet) => WriteSet = (writeSet) => writeSet,
  ): this {
    const { flags = 0, ...content } = wrong;
    const seqno = this.nextSeqno;
    const root = this.tree.root();
    const writeSet = buildSignatureWriteSet({
      view: this.view,
      seqno,
      root,
      serialisedTree: this.tree.serialise(this.#lastSigned),
      node: { id: this.node.id, key: this.node.key, endorsedCertificatePem: this.node.certificatePem },
      service: this.service,
      issuedAtSeconds: 1_767_225_600,
      issuer: "",
      subject: "",
      ...content,
    });
    this.append(edit(writeSet), { flags });
    this.#lastSigned = seqno;
    this.#lastSignedRoot = root;
    return this;
  }

  /** What the transaction that opens a service writes, at the next seqno. */
  openingChanges(): Changes {
    const key = this.service.key;
    const previous = this.#lastEndorsement;
    const draft = previous === undefined
      ? draftSelfEndorsement(key.publicKey, this.#created, 1_767_225_600)
      : draftEndorsement(key.publicKey, this.#created, previous, this.#previousRoot!, 1_767_225_600);
    const endorsement = signEndorsement(key, draft);
    this.#nextEndorsement = endorsement;
    return {
      "public:ccf.gov.service.info": one(this.serviceInfo("Open")),
      "public:ccf.internal.recovery_shares": one(this.sharesOf(this.secrets.latest()!.secret)),
      "public:ccf.internal.historical_encrypted_ledger_secret": one(
        serialiseHistoricalSecret({ nextVersion: this.#created.seqno, ...this.#predecessor() }),
      ),
      "public:ccf.internal.previous_service_identity_endorsement": one(serialiseIdentityEndorsement(endorsement)),
    };
  }

  #nextEndorsement: EndorsementWrite["value"] | undefined;
  #previousRoot: Uint8Array | undefined;

  open(): this {
    const changes = this.openingChanges();
    const { seqno } = this.write(changes);
    this.#lastHistorical = seqno;
    this.#lastEndorsement = { seqno, value: this.#nextEndorsement! };
    return this;
  }

  /** The secret before the latest, sealed under it. */
  #predecessor(): Pick<HistoricalSecret, "predecessor"> {
    const [older, latest] = [...this.secrets].slice(-2);
    if (older === undefined || latest === undefined) return {};
    return {
      predecessor: {
        box: sealBox(this.primitives, latest.secret.key, this.random(12), older.secret.key),
        version: older.first,
        ...(this.#lastHistorical !== undefined && { previousSecretStoredVersion: this.#lastHistorical }),
      },
    };
  }

  sharesOf(secret: LedgerSecret): Uint8Array {
    const sharing = shareFreshSecret(1, 1, this.random);
    return serialiseRecoveryShares({
      encryptedShares: new Map([[this.member.id, this.random(256)]]),
      wrappedLedgerSecret: wrapLedgerSecret(this.primitives, sharing.secret, secret.key),
    });
  }

  /** What a rekey writes, at the next seqno; its secret counts from the one after. */
  rekeyChanges(): Changes {
    this.secrets.add(this.nextSeqno + 1, this.#makeSecret());
    return {
      "public:ccf.internal.recovery_shares": one(this.sharesOf(this.secrets.latest()!.secret)),
      "public:ccf.internal.historical_encrypted_ledger_secret": one(serialiseHistoricalSecret(this.#predecessor())),
      "public:ccf.internal.encrypted_ledger_secrets": one(
        serialiseSecretBroadcast(
          new Map([[this.node.id, [{ version: undefined, encryptedSecret: this.random(256) }]]]),
        ),
      ),
    };
  }

  rekey(): this {
    this.#lastHistorical = this.write(this.rekeyChanges()).seqno;
    return this;
  }

  /** A new service on a new node takes the ledger over. What its first transaction writes: */
  recoveryChanges(): Changes {
    const [before, oldNode] = [this.service, this.node];
    this.view += 2;
    this.#created = { view: this.view, seqno: this.nextSeqno };
    this.#previousRoot = this.#lastSignedRoot;
    this.service = this.makeService();
    this.node = this.makeNode(this.service);
    this.secrets.add(this.nextSeqno, this.#makeSecret());
    return {
      "public:ccf.gov.nodes.endorsed_certificates": { [this.node.id]: this.node.certificatePem },
      "public:ccf.gov.nodes.info": {
        [this.node.id]: this.nodeInfo(this.node, "Trusted"),
        [oldNode.id]: this.nodeInfo(oldNode, "Retired"),
      },
      "public:ccf.gov.service.info": one(this.serviceInfo("Recovering")),
      "public:ccf.gov.service.previous_service_identity": one(stableJsonBytes(before.certificatePem)),
      "public:ccf.internal.previous_service_last_signed_root": one(stableJsonBytes(toHex(this.#lastSignedRoot))),
    };
  }

  recover(): this {
    this.write(this.recoveryChanges(), { flags: FORCE_CHUNK_BEFORE });
    this.sign();
    this.write({ "public:ccf.gov.service.info": one(this.serviceInfo("WaitingForRecoveryShares")) });
    return this.open().sign();
  }
}

/** A JSON string around base64, as several tables hold binary values. */
export function base64Json(bytes: Uint8Array): Uint8Array {
  return stableJsonBytes(toBase64(bytes));
}
