/**
 * Joining a service that runs: asking until members have agreed, then taking what a member of the service has.
 *
 * In: ticks and a node's answers. Out: `httpRequest`s; in the end a node that takes part.
 * The joiner trusts the service certificate that its operator gave it, and nothing else that it is told: the answer
 * comes over TLS from whoever has a certificate of that service, and every key in it must fit that certificate.
 * Rules: nodes-and-attestation.md §3.3, §3.4, §3.7; operations.md §5 "Join"
 */

import { FormatError } from "../shared/assert.ts";
import { equalBytes, fromUtf8Lenient } from "../shared/bytes.ts";
import { parseEcPrivateKeyFile } from "../shared/crypto/key_file.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { isSignedBy, parseCertificatePem, publicKeyOf } from "../shared/crypto/x509.ts";
import { validityOfDays } from "../shared/crypto/x509_build.ts";
import { LedgerSecret } from "../shared/ledger/secrets.ts";
import type { Snapshot } from "../shared/ledger/snapshot.ts";
import {
  JOIN_LOG_REPEAT_MS,
  MAX_EARLY_KEY_EXCHANGES,
  MAX_JOIN_REDIRECTS,
  MAX_KEY_EXCHANGE_BYTES,
  MAX_QUOTED_ANSWER_CHARACTERS,
} from "../shared/limits.ts";
import { createNodeIdentity, type NodeIdentity, privateKeyPem, type ServiceIdentity } from "./identity.ts";
import { type NetworkInfo, parseJoinResponse, serialiseJoinRequest } from "./join_request.ts";
import type { EnclaveInput, EnclaveOutput, HttpResponse, JoinConfig } from "./messages.ts";
import { Node } from "./node.ts";
import type { OwnEvidence } from "./platform/own_evidence.ts";
import type { EnclavePowers } from "./powers.ts";
import { openSnapshot, provenSnapshot } from "./snapshot_start.ts";

type NodeInbound = EnclaveInput & { readonly kind: "nodeInbound" };

export class Joining {
  readonly node: Node;
  readonly #config: JoinConfig;
  readonly #primitives: Primitives;
  readonly #emit: (output: EnclaveOutput) => void;
  readonly #snapshot: Snapshot | undefined;
  readonly #identity: NodeIdentity;
  /** Of the request; undefined until there is evidence to show in it. */
  #body: Uint8Array | undefined;
  #target: string;
  /** Another address than the configured one, where this node was told to wait. */
  #knownAt: string | undefined;
  /** Whether the service has this node's request. */
  #isPending = false;
  #redirects = 0;
  /** Of the question that waits for its answer. */
  #asked: number | undefined;
  #lastId = 0;
  /** By the steady clock of the node. */
  #nextAskMs = 0;
  #isDone = false;
  /** The newest key exchange of each connection, by its number; the oldest first. */
  readonly #early = new Map<number, NodeInbound>();
  /** The last that was logged, of where the node is sent and of what comes of it. */
  readonly #told = new Map<"address" | "outcome", { readonly message: string; readonly atMs: number }>();

  /** @throws FormatError where the configuration or the snapshot cannot be used */
  constructor(
    config: JoinConfig,
    snapshot: { readonly name: string; readonly file: Uint8Array } | null,
    powers: EnclavePowers,
    nowMs: number,
    emit: (output: EnclaveOutput) => void,
  ) {
    const { primitives } = powers;
    this.#config = config;
    this.#primitives = primitives;
    this.#emit = emit;
    this.#target = config.targetAddress;
    parseCertificatePem(config.servicePem);
    this.#snapshot = snapshot === null ? undefined : provenSnapshot(primitives, snapshot, config.servicePem);
    const validity = validityOfDays(nowMs, config.node.initialValidityDays);
    const identity = this.#identity = createNodeIdentity(config.node, validity, powers);
    this.node = new Node(config, identity, powers, nowMs, emit);
    if (snapshot !== null && this.#snapshot !== undefined) {
      const { name, file } = snapshot;
      this.node.snapshotter.remember({ name, seqno: this.#snapshot.seqno, sizeBytes: file.length });
    }
    this.node.becomePending();
    const { id, key, selfSignedPem } = identity;
    emit({
      kind: "tlsIdentity",
      authority: "Node",
      certificateChainPem: selfSignedPem,
      privateKeyPem: privateKeyPem(key),
    });
    emit({ kind: "certificates", servicePem: config.servicePem, nodePem: selfSignedPem, nodeId: id });
  }

  /** Whether the node takes part now, and needs this no more. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** There is evidence over this node's key: now it can ask. */
  attested({ quoteInfo }: OwnEvidence): void {
    const { encryption, requestPem } = this.#identity;
    this.#body = serialiseJoinRequest({
      nodeToNodeInterface: this.#config.nodeToNodeInterface,
      rpcInterfaces: this.#config.rpcInterfaces,
      quoteInfo,
      encryptionPublicKeyPem: encryption.publicKeyPem,
      certificateSigningRequestPem: requestPem,
      startupSeqno: this.#snapshot?.seqno ?? 0,
      nodeData: this.#config.node.data,
    });
  }

  tick(): void {
    if (this.#body === undefined || this.#isDone || this.#asked !== undefined) return;
    if (this.node.steadyMs < this.#nextAskMs) return;
    this.#asked = ++this.#lastId;
    this.#emit({
      kind: "httpRequest",
      id: this.#asked,
      address: this.#target,
      servicePem: this.#config.servicePem,
      request: {
        method: "POST",
        target: "/node/join",
        headers: [["content-type", "application/json"]],
        body: this.#body,
      },
    });
  }

  /**
   * Takes what comes from other nodes meanwhile.
   *
   * The leader begins a key exchange as soon as members trust this node, which is told so only when it asks again. What
   * was dropped would come again after two seconds (nodes-and-attestation.md §1.2, "Retry"), so it is kept, unlooked at.
   * Strangers with many connections can crowd it out; then this node takes part two seconds later.
   */
  received(message: NodeInbound): void {
    const { connection, messageType, payload } = message;
    if (messageType !== 0 || payload.length > MAX_KEY_EXCHANGE_BYTES) return;
    this.#early.delete(connection);
    this.#early.set(connection, { ...message, payload: payload.slice() });
    if (this.#early.size <= MAX_EARLY_KEY_EXCHANGES) return;
    const [oldest] = this.#early.keys();
    this.#early.delete(oldest!);
  }

  /**
   * Takes the answer to a question: a response, or why there is none.
   *
   * @throws FormatError where the service does not want this node as it is: it is to stop with that sentence
   */
  answered(id: number, answer: HttpResponse | string): void {
    if (id !== this.#asked) return;
    this.#asked = undefined;
    this.#nextAskMs = this.node.steadyMs + this.#config.retryTimeoutMs;
    if (typeof answer === "string") return this.#retry(answer);
    const { status, body } = answer;
    if (status === 200) return this.#accept(body);
    const text = fromUtf8Lenient(body).slice(0, MAX_QUOTED_ANSWER_CHARACTERS);
    // A node that began with a newer snapshot has not what this one lacks; another of the service has taken this node as
    // it is, and members may count on it by now.
    const isForOthers = this.#isPending && text.includes('"StartupSeqnoIsOld"');
    if (status === 400 && !isForOthers) {
      throw new FormatError(
        `Join request to ${this.#target} returned 400 Bad Request: ${text}. Shutting down node gracefully.`,
      );
    }
    if ((status === 307 || status === 308) && this.#config.followRedirect) return this.#follow(answer);
    this.#retry(`${this.#target} answered ${status}: ${text}`);
  }

  #follow({ headers }: HttpResponse): void {
    const location = headers.find(([name]) => name === "location")?.[1] ?? "";
    const address = /^https:\/\/([^/?#@\s]+)\/node\/join$/.exec(location)?.[1];
    if (address === undefined) return this.#retry(`${this.#target} redirects to ${JSON.stringify(location)}`);
    if (++this.#redirects > MAX_JOIN_REDIRECTS) {
      this.#redirects = 0;
      return this.#retry(`${MAX_JOIN_REDIRECTS} redirects in a row led to nobody who could answer`);
    }
    this.#target = address;
    this.#tell("address", "info", `The service is joined through ${address}, which leads it`);
  }

  /** From the beginning: whoever was pointed to may be gone, while the configured address leads to those who are there. */
  #retry(why: string): void {
    this.#turnElsewhere();
    this.#tell("outcome", "fail", `An error occurred while joining the network: ${why}`);
  }

  /**
   * The configured address next; or, where it was that, the one where this node was told to wait.
   *
   * Both in turn, since either may be gone, and a node that was retired tells this one to wait for ever.
   */
  #turnElsewhere(): void {
    const { targetAddress } = this.#config;
    this.#target = this.#target === targetAddress ? this.#knownAt ?? targetAddress : targetAddress;
  }

  /** What is the same at each attempt is told once a minute. */
  #tell(about: "address" | "outcome", level: "info" | "fail", message: string): void {
    const { steadyMs } = this.node;
    const last = this.#told.get(about);
    if (message === last?.message && steadyMs - last.atMs < JOIN_LOG_REPEAT_MS) return;
    this.#told.set(about, { message, atMs: steadyMs });
    this.node.log(level, "join", message);
  }

  #accept(body: Uint8Array): void {
    this.#redirects = 0;
    try {
      const { nodeStatus, networkInfo } = parseJoinResponse(body);
      if (networkInfo === undefined) {
        this.#isPending = true;
        if (this.#target !== this.#config.targetAddress) this.#knownAt = this.#target;
        this.#turnElsewhere();
        return this.#tell("outcome", "info", `This node is ${nodeStatus}: members of the service have to trust it`);
      }
      this.#becomeMember(networkInfo);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#retry(error.message);
    }
  }

  /** Everything is checked, and the snapshot opened, before anything is taken. @throws FormatError */
  #becomeMember(info: NetworkInfo): void {
    if (info.publicOnly) {
      throw new FormatError(
        "the service recovers from a disaster, which this version cannot take part in; it will be tried again",
      );
    }
    const service = this.#serviceIdentity(info);
    const endorsed = parseCertificatePem(info.endorsedCertificatePem);
    if (!equalBytes(endorsed.spki, this.node.identity.key.publicKey.spki)) {
      throw new FormatError("the certificate that the service made for this node is for another key");
    }
    if (!isSignedBy(this.#primitives, endorsed, publicKeyOf(service.certificate))) {
      throw new FormatError("the certificate that the service made for this node is not signed by the service");
    }
    const { path } = this.node;
    if (path.secrets.size === 0) {
      for (const { first, secret, previousSecretStoredVersion } of info.ledgerSecrets) {
        path.secrets.add(first, new LedgerSecret(this.#primitives, secret, previousSecretStoredVersion));
      }
      path.secrets.keepAll();
    }
    const start = this.#snapshot && openSnapshot(this.#primitives, this.#snapshot, path.secrets);
    this.node.becomeMember({
      service,
      endorsedPem: info.endorsedCertificatePem,
      coseSignatures: info.coseSignatures,
    });
    if (start !== undefined) path.startFrom(start);
    this.#isDone = true;
    this.node.log("info", "join", `This node, ${this.node.id}, is trusted and takes part from seqno ${path.start} on`);
    for (const { connection, from, messageType, payload } of this.#early.values()) {
      this.node.receive(connection, from, messageType, payload);
    }
  }

  /** The service's keys, which must be those of the certificate that this node was told to trust. @throws FormatError */
  #serviceIdentity({ serviceKeyPem, serviceCertificatePem }: NetworkInfo): ServiceIdentity {
    const key = parseEcPrivateKeyFile(serviceKeyPem);
    const certificate = parseCertificatePem(serviceCertificatePem);
    const trusted = parseCertificatePem(this.#config.servicePem);
    if (!equalBytes(certificate.spki, trusted.spki) || !equalBytes(certificate.spki, key.publicKey.spki)) {
      throw new FormatError("the identity of the service is not the one that this node was told to trust");
    }
    return { key, certificate, certificatePem: serviceCertificatePem };
  }
}
