/**
 * A whole ledger, read for one question: who let which node in, and by whose decision.
 *
 * In: every entry from the first on. Out: what may join and who decided so, each node that was ever trusted with its
 * evidence judged again under the tables of its time, who the members became by; and where any of it does not follow.
 * Everything is verified on the way (`ledger/replay.ts`). Knows nothing of connections, and not which node is asked about.
 * Rules: nodes-and-attestation.md §3.5, §4, §5, §9, §11
 *
 * A ledger says no time of a joining node. It is that of the signature which first covers the node's row.
 */

import { assert, FormatError } from "../assert.ts";
import { verifyEvidence } from "../attestation/evidence.ts";
import type { CheckedEvidence, EvidenceAnchors } from "../attestation/evidence.ts";
import { type JoinPolicy, judgeJoiner, type Judgement } from "../attestation/join_policy.ts";
import { fromByteString, fromUtf8Lenient } from "../bytes.ts";
import { parseLedgerSignatureHeader } from "../crypto/cose_headers.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { parsePublicKeyPem } from "../crypto/public_key.ts";
import { copyJoinPolicy } from "../governance/join_policy_tables.ts";
import {
  CONSTITUTION,
  COSE_SIGNATURES,
  DCAP_TCB_STATUSES,
  MEMBERS_CERTS,
  MEMBERS_INFO,
  type NodeInfo,
  NODES_CODE_IDS,
  NODES_ENDORSED_CERTIFICATES,
  NODES_INFO,
  SERVICE_INFO,
  SGX_MEASUREMENTS,
  SIGNATURES,
  SNP_HOST_DATA,
  SNP_MEASUREMENTS,
  SNP_TCB_VERSIONS,
  SNP_UVM_ENDORSEMENTS,
  TDX_HOST_DATA,
  TDX_MEASUREMENTS,
  VIRTUAL_HOST_DATA,
  VIRTUAL_MEASUREMENTS,
} from "../governance/tables.ts";
import { stableJson } from "../json.ts";
import type { Transaction } from "../kv/transaction.ts";
import type { TableWrites } from "../kv/write_set.ts";
import { LedgerEntry } from "../ledger/entry.ts";
import { LedgerVerifier } from "../ledger/replay.ts";
import type { ServiceIdentity } from "../ledger/replay/services.ts";
import type { ReplayMode } from "../ledger/replay/state.ts";
import { parseCoseSignature } from "../ledger/signature.ts";
import { onlyValueOf } from "../ledger/single_value.ts";
import { MAX_TRUST_EVENTS, MAX_UNSIGNED_TRANSACTIONS } from "../limits.ts";
import type { MerkleTree } from "../merkle/tree.ts";
import { formatTxId, type Seqno, type TxId } from "../tx_id.ts";
import { type Cause, Decisions, describeCause } from "./decisions.ts";

/** Tables that say which code may join, each with what stands in it. */
export const POLICY_TABLES: ReadonlyMap<string, string> = new Map([
  [VIRTUAL_MEASUREMENTS.name, "virtual measurement"],
  [VIRTUAL_HOST_DATA.name, "virtual host data"],
  [SNP_MEASUREMENTS.name, "measurement"],
  [SNP_HOST_DATA.name, "host data"],
  [SNP_UVM_ENDORSEMENTS.name, "UVM endorsement"],
  [SNP_TCB_VERSIONS.name, "minimum TCB version"],
  [SGX_MEASUREMENTS.name, "SGX measurement"],
  [TDX_MEASUREMENTS.name, "TDX measurement"],
  [TDX_HOST_DATA.name, "TDX host data"],
  [DCAP_TCB_STATUSES.name, "TCB status"],
  [NODES_CODE_IDS.name, "SGX measurement of before 6.0"],
]);

/** Tables that say who decides, and by which rule. */
const RULE_TABLES: ReadonlyMap<string, string> = new Map([
  [MEMBERS_CERTS.name, "a member's certificate"],
  [MEMBERS_INFO.name, "a member's state"],
  [CONSTITUTION.name, "the constitution"],
]);

/** One key of the tables that say what may join, set or removed. */
export interface PolicyChange {
  readonly txId: TxId;
  readonly table: string;
  /** As text, which it is in all of these tables. */
  readonly key: string;
  readonly isRemoval: boolean;
  readonly cause: Cause;
}

/** How a node came to be trusted, and what became of it. */
export interface NodeAdmission {
  readonly nodeId: string;
  /** Where its row was written first, and its evidence judged. */
  readonly registeredAt: TxId;
  /** The row as it was then. */
  readonly row: NodeInfo;
  readonly registeredBy: Cause;
  trusted?: { readonly at: TxId; readonly by: Cause };
  /** As of the last entry. */
  status: NodeInfo["status"] | "removed";
  /** The evidence under the tables of its time; undefined until a signature covers the row. */
  judged?: JudgedEvidence;
  /** What about it does not follow; none where all is right. */
  readonly problems: string[];
}

export interface JudgedEvidence {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly checked: CheckedEvidence;
  readonly judgement: Judgement;
}

/** One life of the service, and how it was opened to users. */
export interface ServiceLife {
  readonly identity: ServiceIdentity;
  /** As members decided, or nodes that recover by themselves; undefined while it is not open. */
  opened?: { readonly at: TxId; readonly by: Cause };
}

/** Something that no node and no member may do, with the entry that does it. */
export interface TrustProblem {
  readonly txId: TxId;
  readonly reason: string;
}

export interface TrustFoldOptions {
  readonly primitives: Primitives;
  readonly mode: ReplayMode;
  /** Instead of the makers' own. */
  readonly anchors?: EvidenceAnchors | undefined;
  /** Sees every entry that was accepted, with the tree that has it as its last leaf. */
  readonly onEntry?: ((bytes: Uint8Array, tree: MerkleTree) => void) | undefined;
}

interface Waiting {
  readonly admission: NodeAdmission;
  readonly policy: JoinPolicy;
}

export class TrustFold {
  readonly #primitives: Primitives;
  readonly #anchors: EvidenceAnchors | undefined;
  readonly #onEntry: TrustFoldOptions["onEntry"];
  readonly #verifier: LedgerVerifier;
  readonly #decisions: Decisions;
  readonly #nodes = new Map<string, NodeAdmission>();
  /** Entries that no signature covers yet: until one does they are anybody's, and nothing is made of them. */
  #unsigned: { readonly bytes: Uint8Array; readonly changes: Changes | undefined }[] = [];
  #waiting: Waiting[] = [];
  #failure: { readonly seqno: Seqno; readonly reason: string } | undefined;
  /** Of nodes of which another row has taken the place. */
  readonly #earlier: NodeAdmission[] = [];
  readonly policyChanges: PolicyChange[] = [];
  /** About what may join. */
  readonly policyProblems: TrustProblem[] = [];
  /** About who decides, and by which rule. */
  readonly ruleProblems: TrustProblem[] = [];
  /** Changes of members and of the constitution, genesis left aside. */
  ruleChanges = 0;
  readonly #openings = new Map<Seqno, { readonly at: TxId; readonly by: Cause }>();

  constructor({ primitives, mode, anchors, onEntry }: TrustFoldOptions) {
    this.#primitives = primitives;
    this.#anchors = anchors;
    this.#onEntry = onEntry;
    this.#verifier = new LedgerVerifier({ primitives, mode });
    this.#decisions = new Decisions(primitives);
  }

  /** Why the ledger itself is refused; undefined where it is sound so far. */
  get failure(): { readonly seqno: Seqno; readonly reason: string } | undefined {
    return this.#failure;
  }

  get last(): TxId {
    return this.#verifier.last;
  }

  get lastSigned(): TxId {
    return this.#verifier.lastSigned;
  }

  get identities(): readonly ServiceIdentity[] {
    return this.#verifier.identities;
  }

  /** The service's lives so far: the first, and one for each recovery. */
  get lives(): readonly ServiceLife[] {
    return this.identities.map((identity) => {
      const opened = this.#openings.get(identity.from);
      return opened === undefined ? { identity } : { identity, opened };
    });
  }

  /** Over all entries so far. */
  get tree(): MerkleTree {
    return this.#verifier.tree;
  }

  /** Every node that the ledger ever had a row for, in the order of their rows. */
  get admissions(): readonly NodeAdmission[] {
    return [...this.#earlier, ...this.#nodes.values()];
  }

  /** The newest row of a node, as it came to be there. */
  admissionOf(nodeId: string): NodeAdmission | undefined {
    return this.#nodes.get(nodeId);
  }

  /** Tables after the last entry. */
  tables(): Transaction {
    return this.#verifier.store.beginReadOnly();
  }

  /** How many entries at the end no signature covers. They count for nothing. */
  get unsigned(): number {
    return this.#unsigned.length;
  }

  /**
   * The next entry. It is looked at when the signature has come that covers it.
   *
   * @returns false once the ledger is refused; then nothing more is to be added
   */
  add(bytes: Uint8Array): boolean {
    assert(this.#failure === undefined, "Nothing is folded after a failure");
    const entryChanges = this.#readChanges(bytes);
    this.#unsigned.push({ bytes, changes: entryChanges });
    if (entryChanges !== undefined && changes(entryChanges.tables, SIGNATURES.name)) {
      const covered = this.#unsigned;
      this.#unsigned = [];
      for (const entry of covered) if (!this.#take(entry.bytes, entry.changes)) return false;
    } else if (this.#unsigned.length > MAX_UNSIGNED_TRANSACTIONS + 1) {
      const reason = `More than ${MAX_UNSIGNED_TRANSACTIONS} transactions in a row are not signed`;
      this.#failure = { seqno: this.last.seqno + 1, reason };
    }
    return this.#failure === undefined;
  }

  #take(bytes: Uint8Array, entry: Changes | undefined): boolean {
    // What stood in the tables before must be read before the entry changes them.
    const known = entry && this.#before(entry);
    for (const finding of this.#verifier.add(bytes)) {
      if (finding.kind === "failure") this.#failure = { seqno: finding.seqno, reason: finding.reason };
    }
    if (this.#failure === undefined && entry !== undefined) this.#note(entry, known!);
    if (this.#failure === undefined) this.#onEntry?.(bytes, this.tree);
    return this.#failure === undefined;
  }

  /** The ledger ends. @returns whether it was accepted */
  finish(): boolean {
    for (const finding of this.#verifier.finish()) {
      if (finding.kind === "failure") this.#failure = { seqno: finding.seqno, reason: finding.reason };
    }
    return this.#failure === undefined;
  }

  /** Entries that say anything here; what cannot be read the replay refuses. */
  #readChanges(bytes: Uint8Array): Changes | undefined {
    try {
      const entry = LedgerEntry.parse(bytes);
      const tables = entry.publicTables(() => {});
      const isConcerned = tables.some(({ name }) =>
        name.startsWith("public:ccf.gov.") || name === COSE_SIGNATURES.name
      );
      return isConcerned ? { txId: entry.txId, tables } : undefined;
    } catch (error) {
      if (error instanceof FormatError) return undefined;
      throw error;
    }
  }

  #before({ txId, tables }: Changes): Before {
    const tx = this.#verifier.store.beginReadOnly();
    const isFirst = tx.readVersion === 0;
    try {
      const policy = changes(tables, NODES_INFO.name) ? copyJoinPolicy(tx) : undefined;
      const cause = isFirst ? undefined : this.#decisions.causeOf(txId, tx, tables);
      const status = isFirst ? undefined : tx.open(SERVICE_INFO).get()?.status;
      return { cause, isOpen: status !== undefined && status !== "Opening" && status !== "Recovering", policy };
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      return { cause: undefined, problem: error.message, isOpen: true, policy: undefined };
    }
  }

  #note({ txId, tables }: Changes, before: Before): void {
    try {
      if (changes(tables, COSE_SIGNATURES.name)) this.#judgeWaiting(tables);
      const cause = this.#causeOf(txId, before);
      const problems = before.problem !== undefined
        ? [before.problem]
        : cause.kind === "decision"
        ? cause.decision.problems
        : [];
      this.#notePolicy(txId, tables, cause, problems);
      this.#noteRules(txId, tables, cause, problems);
      this.#noteOpening(txId, tables, cause);
      this.#noteNodes(txId, tables, cause, before);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#failure = { seqno: txId.seqno, reason: error.message };
    }
  }

  #causeOf({ seqno }: TxId, { cause }: Before): Cause {
    if (this.identities.at(-1)?.from === seqno) return { kind: seqno === 1 ? "genesis" : "recovery" };
    return cause ?? { kind: "node" };
  }

  #notePolicy(txId: TxId, tables: readonly TableWrites[], cause: Cause, problems: readonly string[]): void {
    for (const { name, writes, removes } of tables) {
      const what = POLICY_TABLES.get(name);
      if (what === undefined) continue;
      const changed = [
        ...writes.map(([key]) => ({ key: textOf(key), isRemoval: false })),
        ...removes.map((key) => ({ key: textOf(key), isRemoval: true })),
      ];
      for (const { key, isRemoval } of changed) {
        this.#keep(this.policyChanges, { txId, table: name, key, isRemoval, cause });
        const verb = isRemoval ? "removed" : "set";
        if (!MAY_CHANGE_POLICY.has(cause.kind)) {
          const reason = `the ${what} ${key} is ${verb} by ${describeCause(cause)}, and not by a decision of members`;
          this.#keep(this.policyProblems, { txId, reason });
        }
        for (const problem of problems) {
          this.#keep(this.policyProblems, { txId, reason: `the ${what} ${key} is ${verb}: ${problem}` });
        }
      }
    }
  }

  #noteRules(txId: TxId, tables: readonly TableWrites[], cause: Cause, problems: readonly string[]): void {
    for (const { name, writes, removes } of tables) {
      const what = RULE_TABLES.get(name);
      if (what === undefined || cause.kind === "genesis" || writes.length + removes.length === 0) continue;
      this.ruleChanges++;
      const reasons = [...problems];
      if (cause.kind === "acknowledgement" && name === MEMBERS_INFO.name) {
        const isOwn = removes.length === 0 && writes.every(([key]) => textOf(key) === cause.memberId);
        if (!isOwn) reasons.push(`an acknowledgement of member ${cause.memberId} changes that of others`);
      } else if (cause.kind !== "decision") {
        reasons.push(`it is done by ${describeCause(cause)}, and not by a decision of members`);
      }
      for (const reason of reasons) this.#keep(this.ruleProblems, { txId, reason: `${what} changes: ${reason}` });
    }
  }

  /** The decision to open is the one that counts: where shares are awaited in between, a node does the rest. */
  #noteOpening(txId: TxId, tables: readonly TableWrites[], cause: Cause): void {
    const changed = tables.find(({ name }) => name === SERVICE_INFO.name);
    const life = this.identities.at(-1);
    if (changed === undefined || life === undefined || this.#openings.has(life.from)) return;
    const { status } = SERVICE_INFO.value.decode(onlyValueOf(changed));
    if (status === "Open" || status === "WaitingForRecoveryShares") {
      this.#openings.set(life.from, { at: txId, by: cause });
    }
  }

  #noteNodes(txId: TxId, tables: readonly TableWrites[], cause: Cause, before: Before): void {
    const table = tables.find(({ name }) => name === NODES_INFO.name);
    for (const [key, value] of table?.writes ?? []) {
      const nodeId = textOf(key);
      const row = NODES_INFO.value.decode(value);
      const known = this.#nodes.get(nodeId);
      // While a service opens, or recovers, nodes are trusted at once, on their evidence alone.
      const isTrustedAtOnce = row.status === "Trusted" && cause.kind === "node" && !before.isOpen;
      if (known === undefined || known.status === "removed" || (isTrustedAtOnce && known.status !== "Trusted")) {
        this.#register(txId, nodeId, row, cause, before);
        continue;
      }
      if (!isSameEvidence(row, known.row)) {
        known.problems.push(`its evidence or its key changes in ${formatTxId(txId)}`);
      }
      if (row.status === "Trusted" && known.status !== "Trusted") {
        if (known.status === "Retired") {
          known.problems.push(`it was retired, and is trusted again in ${formatTxId(txId)}`);
        }
        this.#trust(known, txId, cause, before);
      }
      known.status = row.status;
    }
    for (const key of table?.removes ?? []) {
      const known = this.#nodes.get(textOf(key));
      if (known !== undefined) known.status = "removed";
    }
  }

  #register(txId: TxId, nodeId: string, row: NodeInfo, cause: Cause, before: Before): void {
    const earlier = this.#nodes.get(nodeId);
    if (earlier !== undefined) {
      this.#earlier.push(earlier);
      this.#nodes.delete(nodeId);
    }
    if (this.#nodes.size + this.#earlier.length >= MAX_TRUST_EVENTS) {
      throw new FormatError(`The ledger has rows of more than ${MAX_TRUST_EVENTS} nodes`);
    }
    const admission: NodeAdmission = {
      nodeId,
      registeredAt: txId,
      row,
      registeredBy: cause,
      status: row.status,
      problems: [],
    };
    this.#nodes.set(nodeId, admission);
    // A node that starts or recovers a service writes itself which code that takes; others are judged by what was there.
    const isFirst = cause.kind === "genesis" || cause.kind === "recovery";
    const policy = isFirst ? copyJoinPolicy(this.tables()) : before.policy;
    if (policy === undefined) {
      throw new FormatError(`Node ${nodeId} joins, and ${before.problem ?? "what may join is unknown"}`);
    }
    this.#waiting.push({ admission, policy });
    if (row.status === "Trusted") this.#trust(admission, txId, cause, before);
  }

  #trust(admission: NodeAdmission, txId: TxId, cause: Cause, { isOpen, problem }: Before): void {
    admission.trusted = { at: txId, by: cause };
    const { problems } = admission;
    const mayTrust = cause.kind === "genesis" || cause.kind === "recovery" || cause.kind === "decision" ||
      (cause.kind === "node" && !isOpen);
    if (!mayTrust) problems.push(`it is trusted by ${describeCause(cause)} while the service is open`);
    if (problem !== undefined) problems.push(`it is trusted in ${formatTxId(txId)}: ${problem}`);
    if (cause.kind === "decision") problems.push(...cause.decision.problems);
    if (!this.tables().open(NODES_ENDORSED_CERTIFICATES).has(admission.nodeId)) {
      problems.push("it is trusted, and has no certificate of the service");
    }
  }

  /** A signature gives the moment for all rows that it covers. */
  #judgeWaiting(tables: readonly TableWrites[]): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    const table = tables.find(({ name }) => name === COSE_SIGNATURES.name)!;
    const atMs = parseLedgerSignatureHeader(parseCoseSignature(onlyValueOf(table))).issuedAtSeconds * 1000;
    if (atMs > MAX_DATE_MS) throw new FormatError("The signature is of a time that is no date");
    for (const { admission, policy } of waiting) {
      admission.judged = this.#judge(admission, policy, atMs);
    }
  }

  #judge({ row, problems }: NodeAdmission, policy: JoinPolicy, atMs: number): JudgedEvidence {
    const primitives = this.#primitives;
    const checked = verifyEvidence(row.quote_info, { at: atMs, anchors: this.#anchors }, primitives);
    if (row.public_key === undefined) {
      const reason = "the row has no public key";
      const judgement = { verdict: "rejected", step: "public key", code: "malformed", reason } as const;
      problems.push(reason);
      return { atMs, checked, judgement };
    }
    const { spki } = parsePublicKeyPem(row.public_key);
    const judgement = judgeJoiner(policy, checked, spki, primitives);
    if (judgement.verdict === "rejected") problems.push(`its evidence is not acceptable: ${judgement.reason}`);
    return { atMs, checked, judgement };
  }

  #keep<T>(list: T[], item: T): void {
    if (list.length >= MAX_TRUST_EVENTS) {
      throw new FormatError(`More than ${MAX_TRUST_EVENTS} changes of one kind; that is more than is looked at`);
    }
    list.push(item);
  }
}

/** Beyond the year 9999 dates have another form. */
const MAX_DATE_MS = Date.UTC(9999, 11, 31);

const MAY_CHANGE_POLICY: ReadonlySet<Cause["kind"]> = new Set(["genesis", "recovery", "decision"]);

interface Changes {
  readonly txId: TxId;
  readonly tables: readonly TableWrites[];
}

interface Before {
  readonly cause: Cause | undefined;
  /** Why the entry's cause cannot be told. */
  readonly problem?: string;
  /** Whether nodes need members' trust. */
  readonly isOpen: boolean;
  /** What may join, where the entry changes nodes and its cause is known. */
  readonly policy: JoinPolicy | undefined;
}

function changes(tables: readonly TableWrites[], wanted: string): boolean {
  return tables.some(({ name }) => name === wanted);
}

function isSameEvidence(one: NodeInfo, other: NodeInfo): boolean {
  return one.public_key === other.public_key && stableJson(one.quote_info) === stableJson(other.quote_info);
}

function textOf(key: string): string {
  return fromUtf8Lenient(fromByteString(key));
}
