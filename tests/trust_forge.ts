/**
 * A service on made-up SEV-SNP hardware that writes its ledger: members, decisions, nodes with evidence; right, or with
 * one link replaced.
 *
 * For tests of whoever follows trust through a ledger. Nothing decides but the test: what a decision changes is given.
 */

import type { EvidenceAnchors, QuotedEvidence } from "../shared/attestation/evidence.ts";
import { concat, fromHex, toBase64, toHex, toUtf8 } from "../shared/bytes.ts";
import { TAG, writeBitString, writeDer, writeSequence, writeUnsigned } from "../shared/crypto/der.ts";
import { ecdsaSign, generateEcPrivateKey, serialiseDerSignature } from "../shared/crypto/ecdsa.ts";
import { memberIdOf } from "../shared/crypto/identifiers.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { ecdsaAlgorithm, serialisePublicKeyPem } from "../shared/crypto/public_key.ts";
import { parseCertificatePem, serialiseCertificatePem } from "../shared/crypto/x509.ts";
import { memberCertificate, signCertificate, validityOfDays } from "../shared/crypto/x509_build.ts";
import { nameFromText } from "../shared/crypto/x509_name.ts";
import {
  finishMemberRequest,
  type MemberRequest,
  PLAIN_BALLOTS,
  prepareMemberRequest,
  requestToBeSigned,
} from "../shared/governance/member_request.ts";
import {
  CONSTITUTION,
  COSE_HISTORY,
  MEMBERS_ACKS,
  type ProposalInfo,
  PROPOSALS_INFO,
} from "../shared/governance/tables.ts";
import { parseCoseSign1 } from "../shared/crypto/cose.ts";
import { stableJsonBytes } from "../shared/json.ts";
import type { EntryContent } from "../shared/ledger/entry.ts";
import { proposalIdOf, requestDigestOf } from "../shared/ledger/proposal_id.ts";
import { TrustFold } from "../shared/trust/trust_fold.ts";
import type { TxId } from "../shared/tx_id.ts";
import { type Changes, type ForgedIdentity, LedgerForge, one } from "./ledger_forge.ts";
import { DCAP_AT, type DcapDifferences, makeDcap } from "./dcap_machine.ts";
import { SNP_PINS, SNP_ROOT_KEY, SNP_TCB, snpChain, snpReport } from "./snp_pki.ts";

export const ANCHORS: EvidenceAnchors = { amd: SNP_PINS, intel: makeDcap().pins };
/** Within the dates of all made-up certificates and statements. */
export const MOMENT = DCAP_AT;

export const MEASUREMENT = "ea".repeat(48);
export const HOST_DATA = "fa".repeat(32);
export const MILAN_CPUID = "00a00f11";

export const TABLES = {
  measurements: "public:ccf.gov.nodes.snp.measurements",
  hostData: "public:ccf.gov.nodes.snp.host_data",
  tcb: "public:ccf.gov.nodes.snp.tcb_versions",
  nodes: "public:ccf.gov.nodes.info",
  certificates: "public:ccf.gov.nodes.endorsed_certificates",
  membersInfo: "public:ccf.gov.members.info",
  membersCerts: "public:ccf.gov.members.certs",
} as const;

const json = (value: unknown) => stableJsonBytes(value);
const ALLOWED = json("AllowedToJoin");

/** Evidence of made-up hardware for a node's key. */
export function snpEvidenceFor(
  node: ForgedIdentity,
  { measurement = MEASUREMENT, hostData = HOST_DATA, tcb = SNP_TCB }: {
    readonly measurement?: string;
    readonly hostData?: string;
    readonly tcb?: typeof SNP_TCB;
  } = {},
): QuotedEvidence {
  const reportData = new Uint8Array(64);
  reportData.set(fromHex(node.id));
  const report = snpReport({ reportData, measurement: fromHex(measurement), hostData: fromHex(hostData), tcb });
  const pem = snpChain({ tcb }).map(serialiseCertificatePem).join("");
  return { format: "AMD_SEV_SNP_v1", quote: toBase64(report), endorsements: toBase64(toUtf8(pem)) };
}

/** A list of the made-up AMD, in force at `MOMENT`, with these serial numbers of its intermediates: theirs is 2. */
export function amdRevocationList(...serials: readonly number[]): Uint8Array {
  const time = (text: string) => writeDer(TAG.utcTime, toUtf8(text));
  const entries = serials.map((serial) => writeSequence(writeUnsigned(serial), time("260601000000Z")));
  const tbs = writeSequence(
    writeUnsigned(1),
    ecdsaAlgorithm("SHA-384"),
    nameFromText("CN=ARK-Milan"),
    time("260601000000Z"),
    time("260701000000Z"),
    entries.length === 0 ? new Uint8Array() : writeSequence(...entries),
  );
  const signature = serialiseDerSignature(ecdsaSign(SNP_ROOT_KEY, tbs));
  return writeSequence(tbs, ecdsaAlgorithm("SHA-384"), writeBitString(signature));
}

/** Evidence of a trust domain on a made-up machine of Intel's. */
export function tdxEvidenceFor(node: ForgedIdentity, differences: DcapDifferences = {}): QuotedEvidence {
  const { quote, collateral } = makeDcap({
    ...differences,
    body: (bytes) => bytes.set(concat(fromHex(node.id), new Uint8Array(32)), TD_REPORT_DATA),
  });
  return { format: "Intel_TDX_v1", quote: toBase64(quote), endorsements: toBase64(toUtf8(JSON.stringify(collateral))) };
}

/** Where a trust domain's report has its data (attestation/formats.md §3.2). */
const TD_REPORT_DATA = 520;

/** The evidence of the virtual platform, of which nothing is proved. */
export function virtualEvidenceFor(node: ForgedIdentity): QuotedEvidence {
  const claims = { measurement: "virtual", host_data: HOST_DATA, report_data: toBase64(fromHex(node.id)) };
  return { format: "Insecure_Virtual", quote: toBase64(json(claims)), endorsements: "" };
}

export function nodeRow(
  node: ForgedIdentity,
  status: string,
  evidence: QuotedEvidence = snpEvidenceFor(node),
): Uint8Array {
  return json({
    encryption_pub_key: "",
    public_key: serialisePublicKeyPem(node.key.publicKey),
    quote_info: evidence,
    status,
  });
}

export class TrustForge extends LedgerForge {
  readonly members: readonly ForgedIdentity[];
  #more: Changes = {};
  #seconds = 1_767_225_700;

  constructor(primitives: Primitives, seed = "trust") {
    super(primitives, seed);
    this.members = ["ada", "bob", "eve"].map((name) => this.makeMember(name));
  }

  makeMember(name: string): ForgedIdentity {
    const key = generateEcPrivateKey("P-256", this.random);
    const der = signCertificate(
      memberCertificate({
        key: key.publicKey,
        subject: nameFromText(`CN=${name}`),
        validity: validityOfDays(Date.UTC(2026, 0, 1), 365),
        serial: Uint8Array.of(9),
      }),
      key,
    );
    return { id: memberIdOf(der), key, certificatePem: serialiseCertificatePem(der) };
  }

  override write(changes: Changes, wrong: Partial<EntryContent> & { readonly key?: Uint8Array } = {}): TxId {
    const more = this.#more;
    this.#more = {};
    return super.write({ ...changes, ...more }, wrong);
  }

  /** When signatures are made from now on. */
  signedAtMs = Date.UTC(2026, 0, 1);

  override sign(wrong: Parameters<LedgerForge["sign"]>[0] = {}, edit?: Parameters<LedgerForge["sign"]>[1]): this {
    return super.sign({ issuedAtSeconds: this.signedAtMs / 1000, ...wrong }, edit);
  }

  override nodeInfo(node: ForgedIdentity, status: string): Uint8Array {
    return nodeRow(node, status);
  }

  /** What a node that starts, or takes over, writes about its own code. */
  allowances(): Changes {
    return {
      [TABLES.measurements]: { [MEASUREMENT]: ALLOWED },
      [TABLES.hostData]: { [HOST_DATA]: json("") },
      [TABLES.tcb]: { [MILAN_CPUID]: json(SNP_TCB) },
    };
  }

  override genesisChanges(): Changes {
    const byMember = (value: (member: ForgedIdentity) => Uint8Array | string) =>
      Object.fromEntries(this.members.map((member) => [member.id, value(member)]));
    return {
      ...super.genesisChanges(),
      ...this.allowances(),
      [TABLES.membersCerts]: byMember(({ certificatePem }) => certificatePem),
      [TABLES.membersInfo]: byMember(() => json({ status: "Active" })),
      [CONSTITUTION.name]: one(json("// a majority decides")),
    };
  }

  /** A service that members have opened by a decision: entries 1 to 6, signatures included. */
  start(): this {
    this.genesis();
    return this.opened().sign();
  }

  /** Members decide that the service opens. */
  opened(): this {
    const id = this.propose({ name: "transition_service_to_open" });
    this.vote(0, id);
    return this.#withVote(1, id, () => this.open());
  }

  /** A new service takes the ledger over; members open it. */
  recovered(): this {
    const changes = { ...this.recoveryChanges(), ...this.allowances() };
    super.write(changes, { flags: 0x02 });
    this.sign();
    const id = this.propose({ name: "transition_service_to_open" });
    this.vote(0, id);
    this.#withVote(
      1,
      id,
      () => this.write({ "public:ccf.gov.service.info": one(this.serviceInfo("WaitingForRecoveryShares")) }),
    );
    return this.open().sign();
  }

  /** Two of three members decide something. @returns where it came into force */
  decide(name: string, changes: Changes): TxId {
    const id = this.propose({ name });
    this.vote(0, id);
    return this.vote(1, id, changes);
  }

  /** @returns the proposal's ID */
  propose(action: Readonly<Record<string, unknown>>, by: ForgedIdentity = this.members[0]!): string {
    const proposal = toUtf8(JSON.stringify({ actions: [action] }));
    const envelope = this.signed(by, { kind: "proposal", proposal });
    const digest = requestDigestOf(this.primitives, parseCoseSign1(envelope).signature);
    const id = proposalIdOf(this.primitives, this.tree.root(), digest);
    const info: ProposalInfo = { proposer_id: by.id, state: "Open", ballots: {} };
    this.#proposals.set(id, info);
    this.write({
      "public:ccf.gov.proposals": { [id]: proposal },
      [PROPOSALS_INFO.name]: { [id]: PROPOSALS_INFO.value.encode(info) },
      [COSE_HISTORY.name]: { [by.id]: COSE_HISTORY.value.encode(envelope) },
    });
    return id;
  }

  readonly #proposals = new Map<string, ProposalInfo>();

  /** A yes; the second one accepts the proposal, and `changes` come with it. `edit` replaces what would be right. */
  vote(
    member: number | ForgedIdentity,
    id: string,
    changes: Changes = {},
    edit: (info: ProposalInfo) => ProposalInfo = (info) => info,
  ): TxId {
    return this.write({ ...changes, ...this.#ballot(member, id, edit) });
  }

  #withVote<T>(member: number, id: string, write: () => T): T {
    this.#more = this.#ballot(member, id, (info) => info);
    return write();
  }

  #ballot(member: number | ForgedIdentity, id: string, edit: (info: ProposalInfo) => ProposalInfo): Changes {
    const by = typeof member === "number" ? this.members[member]! : member;
    const envelope = this.signed(by, { kind: "ballot", proposalId: id, ballot: PLAIN_BALLOTS.yes });
    const known = this.#proposals.get(id)!;
    const ballots = { ...known.ballots, [by.id]: PLAIN_BALLOTS.yes };
    const isAccepted = Object.keys(ballots).length >= 2;
    const votes = Object.fromEntries(Object.keys(ballots).map((voter) => [voter, true]));
    const info = edit({
      ...known,
      ballots,
      ...(isAccepted && { state: "Accepted" as const, final_votes: votes }),
    });
    this.#proposals.set(id, info);
    return {
      [PROPOSALS_INFO.name]: { [id]: PROPOSALS_INFO.value.encode(info) },
      [COSE_HISTORY.name]: { [by.id]: COSE_HISTORY.value.encode(envelope) },
    };
  }

  /** A member's envelope. */
  signed(by: ForgedIdentity, request: MemberRequest): Uint8Array {
    const prepared = prepareMemberRequest(request, { memberId: by.id, curve: by.key.curve }, ++this.#seconds);
    return finishMemberRequest(prepared, ecdsaSign(by.key, requestToBeSigned(prepared))).body;
  }

  /** A member that was added acknowledges the state, and is active. */
  acknowledge(member: ForgedIdentity, changes: Changes = {}): TxId {
    const stateDigest = toHex(this.tree.root());
    const envelope = this.signed(member, { kind: "ack", stateDigest });
    const ack = { state_digest: stateDigest, cose_sign1_req: toBase64(envelope) };
    return this.write({
      [MEMBERS_ACKS.name]: { [member.id]: MEMBERS_ACKS.value.encode(ack) },
      [TABLES.membersInfo]: { [member.id]: json({ status: "Active" }) },
      ...changes,
    });
  }

  /** A node asks to join. */
  joins(node: ForgedIdentity, evidence?: QuotedEvidence, status = "Pending"): TxId {
    return this.write({ [TABLES.nodes]: { [node.id]: nodeRow(node, status, evidence) } });
  }

  /** What trusting a node changes. */
  trusting(node: ForgedIdentity, evidence?: QuotedEvidence): Changes {
    return {
      [TABLES.nodes]: { [node.id]: nodeRow(node, "Trusted", evidence) },
      [TABLES.certificates]: { [node.id]: node.certificatePem },
    };
  }

  /** A node that joined and that members trust. */
  addNode(evidenceOf: (node: ForgedIdentity) => QuotedEvidence = (node) => snpEvidenceFor(node)): ForgedIdentity {
    const node = this.makeNode(this.service);
    const evidence = evidenceOf(node);
    this.joins(node, evidence);
    this.sign();
    this.decide("transition_node_to_trusted", this.trusting(node, evidence));
    this.sign();
    return node;
  }

  /** Everything, folded to its end. */
  fold(): TrustFold {
    const fold = new TrustFold({ primitives: this.primitives, mode: "strict", anchors: ANCHORS });
    if (this.entries.every((entry) => fold.add(entry))) fold.finish();
    return fold;
  }

  /** All entries back to back. */
  get bytes(): Uint8Array {
    return concat(...this.entries);
  }
}

export function certificateOf({ certificatePem }: ForgedIdentity): Uint8Array {
  return parseCertificatePem(certificatePem).der;
}

/** What a decision that allows code writes. */
export function allowing(measurement: string): Changes {
  return { [TABLES.measurements]: { [measurement]: ALLOWED } };
}

export function disallowing(measurement: string): Changes {
  return { [TABLES.measurements]: { [measurement]: null } };
}
