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

import {
  type CheckedEvidence,
  describeTcb,
  type EvidenceAnchors,
  type EvidenceClaims,
  type QuotedEvidence,
  verifyEvidence,
} from "../attestation/evidence.ts";
import { judgeJoiner, measurementOf, provesKey, tcbMinimumFor } from "../attestation/join_policy.ts";
import { equalBytes, fromBase64, toHex } from "../bytes.ts";
import { FormatError } from "../assert.ts";
import { nodeIdOf } from "../crypto/identifiers.ts";
import { parsePublicKeyPem } from "../crypto/public_key.ts";
import type { Primitives } from "../crypto/primitives.ts";
import {
  type Certificate,
  isSignedBy,
  isValidAt,
  parseCertificate,
  parseCertificatePem,
  publicKeyOf,
} from "../crypto/x509.ts";
import { joinPolicyOf } from "../governance/join_policy_tables.ts";
import {
  DCAP_TCB_STATUSES,
  NODES_INFO,
  SGX_MEASUREMENTS,
  SNP_HOST_DATA,
  SNP_MEASUREMENTS,
  SNP_TCB_VERSIONS,
  SNP_UVM_ENDORSEMENTS,
  TDX_HOST_DATA,
  TDX_MEASUREMENTS,
  VIRTUAL_HOST_DATA,
  VIRTUAL_MEASUREMENTS,
} from "../governance/tables.ts";
import { formatTxId } from "../tx_id.ts";
import type { StepResult } from "../verdict.ts";
import { describeCause } from "./decisions.ts";
import { type NodeAdmission, POLICY_TABLES, type PolicyChange, type TrustFold } from "./trust_fold.ts";

export const RUNGS = ["hardware", "key", "service", "code", "network"] as const;
export type RungName = typeof RUNGS[number];

/** What each rung asks. */
export const RUNG_QUESTIONS: Readonly<Record<RungName, string>> = {
  hardware: "Is the evidence what genuine hardware signed?",
  key: "Is it for the key that ended this connection?",
  service: "Does the node belong to the service?",
  code: "Who allowed the code that it runs?",
  network: "Was every node of the service let in by these rules?",
};

export interface TrustStep {
  readonly name: string;
  readonly result: StepResult;
  /** What was compared with what, as a sentence. */
  readonly detail: string;
  /** Of evidence: the rule, what was looked at, and the code of a failure (`evidence_steps.ts`). */
  readonly rule?: string;
  readonly inputs?: Readonly<Record<string, string>>;
  readonly code?: string;
}

export interface Rung {
  readonly name: RungName;
  /** "virtual": all is as it should be but that no hardware vouches for any of it. */
  readonly verdict: "verified" | "virtual" | "refused" | "not checked";
  readonly steps: readonly TrustStep[];
}

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
  /** What came of deciding every request of members again; undefined where nobody can run scripts. */
  readonly redecided?: RedecidedRequests | undefined;
  /** Milliseconds since 1970, at which certificates must be valid. */
  readonly at: number;
  /** The last rung that is asked for. */
  readonly upTo: RungName;
  readonly anchors?: EvidenceAnchors | undefined;
  readonly expected?: ExpectedCode | undefined;
}

/** What the caller wants the node to run, whatever members allow; hex in lower case. Any of a list will do. */
export interface ExpectedCode {
  readonly measurements?: readonly string[] | undefined;
  readonly hostData?: readonly string[] | undefined;
}

export interface RedecidedRequests {
  readonly requests: number;
  /** The first that does not follow, as a sentence. */
  readonly doubt: string | undefined;
  /** Those of which it cannot be said, since a script looked at the time or at chance. */
  readonly undecidable: number;
}

export interface TrustReport {
  /** "virtual": nothing was refused, and nothing about hardware is proved. */
  readonly verdict: "verified" | "virtual" | "refused";
  /** Of the first step that failed, or that was asked for and cannot be checked. */
  readonly reason?: string;
  readonly rungs: readonly Rung[];
  readonly nodeId?: string;
  /** Hex SHA-256 of the service's key, where it is known. */
  readonly serviceIdentity?: string;
  /** What holds all the same may be otherwise: sentences. */
  readonly notProved: readonly string[];
}

/** Climbs until a rung breaks, or all that were asked for hold. Never throws on what comes from outside. */
export function climb(request: TrustRequest): TrustReport {
  return new Climb(request).run();
}

/** A report of evidence alone: of the rungs there is but the first. */
export function hardwareReport(steps: readonly TrustStep[], notProved: readonly string[]): TrustReport {
  const bad = steps.find(isBad);
  const verdict = bad === undefined ? "verified" : "refused";
  return {
    verdict,
    ...(bad !== undefined && { reason: `hardware: ${bad.name}: ${bad.detail}` }),
    rungs: RUNGS.map((name): Rung =>
      name === "hardware"
        ? { name, verdict, steps }
        : notReached(name, "this is evidence alone, of no node that is known")
    ),
    notProved,
  };
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
    const { primitives, evidence, peer, servicePem, ledger, at, anchors } = request;
    this.#request = request;
    this.#checked = verifyEvidence(evidence, { at, anchors }, primitives);
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
        return this.#codeSteps();
      case "network":
        return this.#networkSteps();
    }
  }

  #hardwareSteps(): TrustStep[] {
    return [...this.#checked.steps, ...(this.#checked.uvm?.steps ?? []), ...this.#expectationSteps()];
  }

  /** What the caller wants counts before what members want. */
  #expectationSteps(): TrustStep[] {
    const { claims } = this.#checked;
    const { measurements, hostData } = this.#request.expected ?? {};
    if (claims === undefined) return [];
    const steps: TrustStep[] = [];
    const measurement = toHex(measurementOf(claims));
    if (measurements !== undefined) {
      steps.push(
        step("expected measurement", measurements.includes(measurement), `the measurement is ${measurement}`),
      );
    }
    const shown = hostDataOf(claims);
    if (hostData !== undefined) {
      const isExpected = shown !== undefined && hostData.includes(shown);
      steps.push(step("expected host data", isExpected, `the host data is ${shown ?? "missing"}`));
    }
    return steps;
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

  #codeSteps(): TrustStep[] {
    const fold = this.#fold!;
    const admission = fold.admissionOf(this.#nodeId!);
    if (admission === undefined) return [cannot("admission", "the ledger has no row of this node")];
    const wanted = allowancesOf(fold, this.#checked);
    if (wanted === undefined) return [step("code", false, "nothing that members allow fits this evidence")];
    return [
      ...wanted.map(({ table, key }) => allowedStep(fold, admission, table, key)),
      this.#todayStep(fold, admission, wanted),
    ];
  }

  /** Whether members would still let it in: they may have taken the code back, or want a newer TCB version. */
  #todayStep(fold: TrustFold, { row, registeredAt }: NodeAdmission, wanted: readonly Allowance[]): TrustStep {
    const name = "today";
    if (row.public_key === undefined) return cannot(name, "the ledger has no key of this node");
    const { spki } = parsePublicKeyPem(row.public_key);
    const judgement = judgeJoiner(joinPolicyOf(fold.tables()), this.#checked, spki, this.#request.primitives);
    if (judgement.verdict === "accepted") {
      return step(name, true, `as of ${formatTxId(fold.lastSigned)} it would be let in again`);
    }
    const change = fold.policyChanges.findLast(({ table, key, txId }) =>
      txId.seqno > registeredAt.seqno && wanted.some((each) => each.table === table && each.key === key)
    );
    const since = change === undefined ? "" : `, since ${formatTxId(change.txId)}, by ${describeCause(change.cause)}`;
    return step(name, false, `it would not be let in any more: ${judgement.reason}${since}`);
  }

  #networkSteps(): TrustStep[] {
    const fold = this.#fold!;
    const { redecided } = this.#request;
    return [
      ...fold.lives.map(({ identity, opened }, i) => {
        const name = i === 0 ? "service" : `recovery ${i}`;
        const id = identity.certificate.nodeId;
        if (opened === undefined) return step(name, false, `members have not opened the service ${id}`);
        const isDecided = opened.by.kind === "decision" && opened.by.decision.problems.length === 0;
        const how = `the service ${id}, from transaction ${identity.from} on, was opened by ${
          describeCause(opened.by)
        }`;
        return step(name, isDecided, how);
      }),
      problemStep(
        "rules",
        fold.ruleProblems,
        `${fold.ruleChanges} changes of members and of the constitution, each by a decision or an acknowledgement`,
      ),
      problemStep(
        "allowed code",
        fold.policyProblems,
        `${fold.policyChanges.length} changes of what may join, each at a service's start or by a decision`,
      ),
      redecidedStep(redecided),
      ...fold.admissions.filter(({ trusted }) => trusted !== undefined).map((admission) => this.#nodeStep(admission)),
    ];
  }

  /** One node's way in. */
  #nodeStep({ nodeId, trusted, problems, judged, registeredAt, status }: NodeAdmission): TrustStep {
    const name = `node ${nodeId}`;
    if (problems.length > 0) return step(name, false, `${formatTxId(registeredAt)}: ${problems[0]!}`);
    if (judged === undefined) return cannot(name, "no signature covers its row yet");
    const time = new Date(judged.atMs).toISOString().slice(0, 19);
    const what = judged.checked.outcome === "virtual" ? "virtual evidence, which proves nothing" : "genuine evidence";
    const by = describeCause(trusted!.by);
    // A virtual node among others would make all that hangs on the service's key worth nothing.
    const isWeaker = judged.checked.outcome === "virtual" && this.#checked.outcome !== "virtual";
    return step(
      name,
      !isWeaker,
      `${what}, of code that was allowed in ${formatTxId(registeredAt)} (${time}Z); trusted by ${by}; now ${status}`,
    );
  }

  #notProved(): string[] {
    const sentences: string[] = [];
    const { servicePem, peer } = this.#request;
    if (this.#checked.outcome === "virtual") {
      sentences.push("The platform is virtual: which code runs, and that nobody reads its memory, is its own word.");
    }
    if (servicePem === undefined) {
      sentences.push("Which service this is: without a service certificate from elsewhere it is the node's own word.");
    }
    if (peer?.connection === "recorded") {
      sentences.push("That the node ever ended a connection with this key, or that it was at the time that is said.");
    }
    if (this.#fold !== undefined && this.#fold.failure === undefined) {
      sentences.push(
        `What members decided after transaction ${
          formatTxId(this.#fold.lastSigned)
        }: a node may keep newer entries back.`,
      );
    }
    sentences.push(
      "What a measurement stands for: build the code yourself, and compare.",
      "Who the members are, or that their keys were theirs alone.",
    );
    return sentences;
  }
}

/** A key in a table of what may join. */
interface Allowance {
  readonly table: string;
  readonly key: string;
}

/** What must be allowed for this evidence; undefined where nothing could be. */
function allowancesOf(
  fold: TrustFold,
  { claims, uvm }: CheckedEvidence,
): Allowance[] | undefined {
  if (claims === undefined) return undefined;
  if (claims.platform === "virtual") {
    return claims.hostData === undefined ? undefined : [
      { table: VIRTUAL_MEASUREMENTS.name, key: claims.measurement },
      { table: VIRTUAL_HOST_DATA.name, key: claims.hostData },
    ];
  }
  const policy = joinPolicyOf(fold.tables());
  if (claims.platform !== "snp") {
    const { platform, hostData, tcbStatuses } = claims;
    const measurements = platform === "tdx" ? TDX_MEASUREMENTS : SGX_MEASUREMENTS;
    const status = tcbStatuses.find((one) => policy.hasDcapTcbStatus(one)) ?? tcbStatuses[0] ?? "none";
    return [
      { table: measurements.name, key: toHex(claims.measurement) },
      ...(hostData === undefined ? [] : [{ table: TDX_HOST_DATA.name, key: toHex(hostData) }]),
      { table: DCAP_TCB_STATUSES.name, key: status },
    ];
  }
  const minimum = tcbMinimumFor(policy, claims);
  return [
    uvm === undefined
      ? { table: SNP_MEASUREMENTS.name, key: toHex(claims.measurement) }
      : { table: SNP_UVM_ENDORSEMENTS.name, key: uvm.claims?.did ?? "none" },
    { table: SNP_HOST_DATA.name, key: toHex(claims.hostData) },
    { table: SNP_TCB_VERSIONS.name, key: minimum?.cpuid ?? describeTcb(claims.reportedTcb) },
  ];
}

/** Who allowed it before the node came. */
function allowedStep(fold: TrustFold, { registeredAt }: NodeAdmission, table: string, key: string): TrustStep {
  const what = POLICY_TABLES.get(table)!;
  // A node that starts or recovers a service has its own code written in the same transaction.
  const allowed = fold.policyChanges.findLast((change) =>
    change.table === table && change.key === key && change.txId.seqno <= registeredAt.seqno
  );
  return allowed === undefined || allowed.isRemoval
    ? step(what, false, `${key} was not allowed when the node asked to join, in ${formatTxId(registeredAt)}`)
    : causeStep(what, key, allowed);
}

function causeStep(what: string, key: string, { txId, cause }: PolicyChange): TrustStep {
  const problem = cause.kind === "decision" ? cause.decision.problems[0] : undefined;
  const isDecided = problem === undefined &&
    (cause.kind === "genesis" || cause.kind === "recovery" || cause.kind === "decision");
  const by = `${key} was allowed in ${formatTxId(txId)} by ${describeCause(cause)}`;
  return step(what, isDecided, problem === undefined ? by : `${by}: ${problem}`);
}

function refusedLedger({ failure, last }: TrustFold): TrustStep {
  const reason = failure === undefined ? "it has no signature" : `transaction ${failure.seqno}: ${failure.reason}`;
  return step("ledger", false, last.seqno === 0 ? reason : `${reason}; what comes before holds`);
}

function redecidedStep(redecided: RedecidedRequests | undefined): TrustStep {
  const name = "decisions";
  if (redecided === undefined) {
    return skipped(name, "members' requests were not decided again: that takes their scripts");
  }
  const { requests, doubt, undecidable } = redecided;
  if (doubt !== undefined) return step(name, false, doubt);
  const rest = undecidable === 0
    ? ""
    : `; of ${undecidable} it cannot be said, since scripts looked at the time or at chance`;
  return step(
    name,
    true,
    `${requests} requests of members were decided again, and follow from what they signed${rest}`,
  );
}

function problemStep(
  name: string,
  problems: readonly { txId: { view: number; seqno: number }; reason: string }[],
  well: string,
): TrustStep {
  const [first] = problems;
  return first === undefined ? step(name, true, well) : step(name, false, `${formatTxId(first.txId)}: ${first.reason}`);
}

function hostDataOf(claims: EvidenceClaims): string | undefined {
  return claims.platform === "virtual" ? claims.hostData : claims.hostData && toHex(claims.hostData);
}

function sameBytes(one: string, other: string): boolean {
  const bytes = reading(() => [fromBase64(one), fromBase64(other)] as const);
  return !(bytes instanceof FormatError) && equalBytes(bytes[0], bytes[1]);
}

export function step(name: string, holds: boolean, detail: string): TrustStep {
  return { name, result: holds ? "verified" : "failed", detail };
}

function skipped(name: string, detail: string): TrustStep {
  return { name, result: "not checked", detail };
}

function cannot(name: string, detail: string): TrustStep {
  return { name, result: "cannot be checked", detail };
}

function notReached(name: RungName, why: string): Rung {
  return { name, verdict: "not checked", steps: [{ name, result: "not checked", detail: why }] };
}

/** Whether a step refuses. */
function isBad({ result }: TrustStep): boolean {
  return result === "failed" || result === "cannot be checked";
}

function reading<T>(read: () => T): T | FormatError {
  try {
    return read();
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
}
