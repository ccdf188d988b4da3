/**
 * From one node's evidence to trust in a whole network, in five rungs of named steps.
 *
 *     hardware   the evidence is what hardware signed
 *     key        it is for the key that ended the connection
 *     service    that node belongs to the service, and its row in the ledger has this key and this evidence
 *     code       who allowed the code that it runs: a proposal with its votes, or genesis
 *     network    every node that was ever trusted was let in by these rules, and so holds for every key of the service
 *
 * In: evidence, certificates, a ledger that was folded, a moment, what the caller expects. Out: steps, each verified,
 * failed, not checked or impossible to check; a verdict; what it does not prove.
 * Knows nothing of connections, files and scripts: what those found out is handed in.
 * Rules: nodes-and-attestation.md §9, §11
 */

import { FormatError } from "../assert.ts";
import {
  type CheckedEvidence,
  type EvidenceAnchors,
  type EvidenceClaims,
  type QuotedEvidence,
  verifyEvidence,
} from "../attestation/evidence.ts";
import { measurementOf, provesKey } from "../attestation/join_policy.ts";
import { equalBytes, fromBase64, toHex } from "../bytes.ts";
import { nodeIdOf } from "../crypto/identifiers.ts";
import type { Primitives } from "../crypto/primitives.ts";
import {
  type Certificate,
  isSignedBy,
  isValidAt,
  parseCertificate,
  parseCertificatePem,
  publicKeyOf,
} from "../crypto/x509.ts";
import { NODES_INFO } from "../governance/tables.ts";
import type { LedgerPin, PinBreach } from "../ledger/pin.ts";
import { formatTxId } from "../tx_id.ts";
import { codeSteps } from "./code_rung.ts";
import { networkSteps, type RedecidedRequests } from "./network_rung.ts";
import {
  cannot,
  expectationSteps,
  type ExpectedCode,
  isBad,
  notReached,
  type Rung,
  type RungName,
  RUNGS,
  skipped,
  step,
  type TrustReport,
  type TrustStep,
} from "./report.ts";
import type { TrustFold } from "./trust_fold.ts";

/** The node's certificate, and how it was come by. */
export interface PeerCertificate {
  readonly der: Uint8Array;
  /** "held": the TLS handshake that has just been seen proved its key; "recorded": somebody says that one did. */
  readonly connection: "held" | "recorded";
}

export interface TrustRequest {
  readonly primitives: Primitives;
  readonly evidence: QuotedEvidence;
  /** Hex, as the evidence came with it. */
  readonly nodeId?: string | undefined;
  readonly peer?: PeerCertificate | undefined;
  /** The certificate that the caller trusts as the service's. */
  readonly servicePem?: string | undefined;
  /** A whole ledger, finished; or why there is none. */
  readonly ledger: TrustFold | { readonly unavailable: string };
  /** What came of looking in the ledger for what was pinned of it before; undefined where nothing was. */
  readonly pinned?: { readonly pin: LedgerPin; readonly breach: PinBreach | undefined } | undefined;
  /** What came of deciding every request of members again; undefined where nobody can run scripts. */
  readonly redecided?: RedecidedRequests | undefined;
  /** Milliseconds since 1970, at which certificates must be valid. */
  readonly at: number;
  /** The last rung that is asked for. */
  readonly upTo: RungName;
  readonly anchors?: EvidenceAnchors | undefined;
  /** DER, of AMD's root: for the evidence of this node. */
  readonly revocationList?: Uint8Array | undefined;
  readonly expected?: ExpectedCode | undefined;
}

/** Climbs until a rung breaks, or all that were asked for hold. Never throws on what comes from outside. */
export function climb(request: TrustRequest): TrustReport {
  return new Climb(request).run();
}

class Climb {
  readonly #request: TrustRequest;
  readonly #checked: CheckedEvidence;
  readonly #peer: Certificate | FormatError | undefined;
  /** The service's certificate: the caller's, else the one of the ledger. */
  readonly #service: Certificate | FormatError | undefined;
  readonly #fold: TrustFold | undefined;
  readonly #nodeId: string | undefined;

  constructor(request: TrustRequest) {
    const { primitives, evidence, peer, servicePem, ledger, at, anchors, revocationList } = request;
    this.#request = request;
    this.#checked = verifyEvidence(evidence, { at, anchors, revocationList }, primitives);
    this.#peer = peer && reading(() => parseCertificate(peer.der));
    this.#fold = "unavailable" in ledger ? undefined : ledger;
    const ledgerPem = this.#fold?.identities.at(-1)?.certificatePem;
    const pem = servicePem ?? ledgerPem;
    this.#service = pem === undefined ? undefined : reading(() => parseCertificatePem(pem));
    this.#nodeId = this.#peer !== undefined && !(this.#peer instanceof FormatError)
      ? nodeIdOf(this.#peer.spki)
      : request.nodeId;
  }

  run(): TrustReport {
    const rungs: Rung[] = [];
    const last = RUNGS.indexOf(this.#request.upTo);
    let broken: Rung | undefined;
    for (const [i, name] of RUNGS.entries()) {
      const rung = broken !== undefined
        ? notReached(name, `not reached: the rung "${broken.name}" does not hold`)
        : i > last
        ? notReached(name, "not asked for")
        : this.#climb(name);
      if (rung.verdict === "refused") broken ??= rung;
      rungs.push(rung);
    }
    const failed = broken?.steps.find(isBad);
    const isVirtual = this.#checked.outcome === "virtual";
    const identity = this.#service instanceof FormatError ? undefined : this.#service && nodeIdOf(this.#service.spki);
    return {
      verdict: broken !== undefined ? "refused" : isVirtual ? "virtual" : "verified",
      ...(failed !== undefined && { reason: `${broken!.name}: ${failed.name}: ${failed.detail}` }),
      rungs,
      ...(this.#nodeId !== undefined && { nodeId: this.#nodeId }),
      ...(identity !== undefined && { serviceIdentity: identity }),
      notProved: this.#notProved(),
    };
  }

  #climb(name: RungName): Rung {
    const read = reading(() => this.#stepsOf(name));
    const steps = read instanceof FormatError ? [step(name, false, read.message)] : read;
    const isVirtual = this.#checked.outcome === "virtual";
    if (steps.some(isBad)) return { name, verdict: "refused", steps };
    return { name, verdict: isVirtual ? "virtual" : "verified", steps };
  }

  #stepsOf(name: RungName): TrustStep[] {
    switch (name) {
      case "hardware":
        return this.#hardwareSteps();
      case "key":
        return this.#keySteps();
      case "service":
        return this.#serviceSteps();
      case "code":
        return codeSteps(this.#fold!, this.#fold!.admissionOf(this.#nodeId!), this.#checked, this.#request.primitives);
      case "network":
        return networkSteps(this.#fold!, this.#request.redecided, this.#checked, this.#request.primitives);
    }
  }

  #hardwareSteps(): TrustStep[] {
    const { steps, uvm, claims } = this.#checked;
    if (claims === undefined) return [...steps];
    const measurement = toHex(measurementOf(claims));
    return [
      ...steps,
      ...(uvm?.steps ?? []),
      ...expectationSteps(this.#request.expected ?? {}, measurement, hostDataOf(claims)),
    ];
  }

  #keySteps(): TrustStep[] {
    const { peer, nodeId, primitives } = this.#request;
    const claims = this.#checked.claims!;
    const proved = toHex(claims.reportData.subarray(0, 32));
    const steps: TrustStep[] = [];
    if (this.#peer instanceof FormatError) return [step("certificate", false, this.#peer.message)];
    if (this.#peer === undefined) {
      if (nodeId === undefined) {
        return [cannot("report data", `it names key ${proved}, and no certificate came with the evidence`)];
      }
      steps.push(step("report data", proved === nodeId, `it names key ${proved}, and the node is ${nodeId}`));
      steps.push(skipped("connection", "no connection was seen: evidence alone can be shown by anybody"));
      return steps;
    }
    const key = primitives.sha256(this.#peer.spki);
    steps.push(
      step(
        "report data",
        provesKey(claims, key),
        `it names key ${proved}, and the node's certificate is for key ${toHex(key)}`,
      ),
    );
    steps.push(
      peer!.connection === "held"
        ? step("connection", true, "the TLS handshake proved that this key ended the connection")
        : skipped("connection", "it was seen by whoever saved the evidence; a file cannot prove it again"),
    );
    return steps;
  }

  #serviceSteps(): TrustStep[] {
    const { servicePem, ledger, at, primitives } = this.#request;
    const service = this.#service;
    if (service instanceof FormatError) return [step("service certificate", false, service.message)];
    if (service === undefined) {
      return [
        skipped("service certificate", "none was given, and no ledger tells which one it is"),
        "unavailable" in ledger ? cannot("ledger", ledger.unavailable) : refusedLedger(ledger),
      ];
    }
    const identity = nodeIdOf(service.spki);
    const steps: TrustStep[] = [];
    if (servicePem === undefined) {
      steps.push(skipped("service certificate", `none was given: ${identity} is what the node says the service is`));
    } else {
      steps.push(
        step("service certificate", isValidAt(service, at), `it is the one that was given, for key ${identity}`),
      );
    }
    if (this.#peer === undefined || this.#peer instanceof FormatError) {
      steps.push(skipped("endorsement", "no certificate of the node was seen; the ledger has one, which was checked"));
    } else {
      const peer = this.#peer;
      const endorsed = reading(() => isSignedBy(primitives, peer, publicKeyOf(service)));
      const problem = endorsed instanceof FormatError
        ? endorsed.message
        : !endorsed
        ? `the service ${identity} did not issue the node's certificate`
        : isValidAt(peer, at)
        ? undefined
        : "the node's certificate is not valid at this time";
      steps.push(
        step("endorsement", problem === undefined, problem ?? `the service ${identity} issued the node's certificate`),
      );
    }
    if ("unavailable" in ledger) {
      steps.push(cannot("ledger", ledger.unavailable));
      return steps;
    }
    steps.push(...this.#ledgerSteps(ledger, identity));
    return steps;
  }

  #ledgerSteps(fold: TrustFold, identity: string): TrustStep[] {
    if (fold.failure !== undefined) return [refusedLedger(fold)];
    const found = fold.identities.at(-1)?.certificate.nodeId;
    const steps = [
      step(
        "ledger",
        true,
        `every entry from 1 to ${formatTxId(fold.lastSigned)} hangs together, under signatures of nodes of the service`,
      ),
      step("ledger's service", found === identity, `the ledger is of service ${found ?? "none"}`),
    ];
    const { pinned } = this.#request;
    if (pinned !== undefined) steps.push(pinStep(pinned.pin, pinned.breach));
    steps.push(...this.#rowSteps(fold));
    return steps;
  }

  #rowSteps(fold: TrustFold): TrustStep[] {
    const nodeId = this.#nodeId;
    if (nodeId === undefined) return [cannot("row", "it is not known which node this is")];
    const row = fold.tables().open(NODES_INFO).get(nodeId);
    if (row === undefined) return [step("row", false, `the ledger has no node ${nodeId}`)];
    const { evidence } = this.#request;
    const isSame = row.quote_info.format === evidence.format &&
      sameBytes(row.quote_info.quote, evidence.quote) &&
      sameBytes(row.quote_info.endorsements, evidence.endorsements) &&
      sameBytes(row.quote_info.uvm_endorsements ?? "", evidence.uvm_endorsements ?? "");
    return [
      step("row", row.status === "Trusted", `node ${nodeId} is ${row.status} in the ledger`),
      step(
        "row's evidence",
        isSame,
        isSame ? "the ledger has this very evidence for it" : "the ledger has other evidence for it than was shown",
      ),
    ];
  }

  #notProved(): string[] {
    const sentences: string[] = [];
    const { servicePem, peer } = this.#request;
    if (this.#checked.steps.some(({ name, result }) => name === "revocation" && result === "not checked")) {
      sentences.push("That no certificate behind the report was revoked: --collateral takes AMD's list.");
    }
    if (this.#fold !== undefined && this.#request.revocationList !== undefined) {
      sentences.push(
        "That no certificate behind the evidence of the other nodes was revoked: it was judged as of when they joined.",
      );
    }
    if (this.#checked.outcome === "virtual") {
      sentences.push("The platform is virtual: which code runs, and that nobody reads its memory, is its own word.");
    }
    if (servicePem === undefined) {
      sentences.push("Which service this is: without a service certificate from elsewhere it is the node's own word.");
    }
    if (peer?.connection === "recorded") {
      sentences.push("That the node ever ended a connection with this key, or that it was at the time that is said.");
    }
    if (this.#fold !== undefined && this.#request.redecided === undefined) {
      sentences.push("That members' ballots were enough for what was done: their scripts were not run again.");
    }
    if (this.#fold !== undefined && this.#fold.failure === undefined) {
      sentences.push(
        `What members decided after transaction ${
          formatTxId(this.#fold.lastSigned)
        }: a node may keep newer entries back.`,
      );
    }
    if (this.#fold !== undefined) {
      sentences.push("What the constitution lets pass, the first one included, with votes or without: read it.");
    }
    sentences.push(
      "What a measurement stands for: build the code yourself, and compare.",
      "Who the members are, or that their keys were theirs alone.",
    );
    return sentences;
  }
}

function refusedLedger({ failure, last }: TrustFold): TrustStep {
  const reason = failure === undefined ? "it has no signature" : `transaction ${failure.seqno}: ${failure.reason}`;
  return step("ledger", false, last.seqno === 0 ? reason : `${reason}; what comes before holds`);
}

function pinStep(pin: LedgerPin, breach: PinBreach | undefined): TrustStep {
  if (breach !== undefined) return { ...step("pin", false, breach.reason), code: breach.code };
  return step("pin", true, `the ledger goes on from the pinned signature ${formatTxId(pin.lastSigned)}`);
}

function hostDataOf(claims: EvidenceClaims): string | undefined {
  return claims.platform === "virtual" ? claims.hostData : claims.hostData && toHex(claims.hostData);
}

function sameBytes(one: string, other: string): boolean {
  const bytes = reading(() => [fromBase64(one), fromBase64(other)] as const);
  return !(bytes instanceof FormatError) && equalBytes(bytes[0], bytes[1]);
}

function reading<T>(read: () => T): T | FormatError {
  try {
    return read();
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
}
