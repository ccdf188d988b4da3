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
import type { EvidenceAnchors } from "../attestation/evidence.ts";
import type { JoinPolicy } from "../attestation/join_policy.ts";
import { fromByteString, fromUtf8Lenient } from "../bytes.ts";
import { parseLedgerSignatureHeader } from "../crypto/cose_headers.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { copyJoinPolicy } from "../governance/join_policy_tables.ts";
import {
  CONSTITUTION,
  COSE_SIGNATURES,
  DCAP_TCB_STATUSES,
  MEMBERS_CERTS,
  MEMBERS_INFO,
  NODES_CODE_IDS,
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
import type { Seqno, TxId } from "../tx_id.ts";
import { type NodeAdmission, NodeAdmissions } from "./admissions.ts";
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

export class TrustFold {
  readonly #onEntry: TrustFoldOptions["onEntry"];
  readonly #verifier: LedgerVerifier;
  readonly #decisions: Decisions;
  readonly #nodes: NodeAdmissions;
  /** Entries that no signature covers yet: until one does they are anybody's, and nothing is made of them. */
  #unsigned: { readonly bytes: Uint8Array; readonly changes: Changes | undefined }[] = [];
  #failure: { readonly seqno: Seqno; readonly reason: string } | undefined;
  readonly policyChanges: PolicyChange[] = [];
  /** About what may join. */
  readonly policyProblems: TrustProblem[] = [];
  /** About who decides, and by which rule. */
  readonly ruleProblems: TrustProblem[] = [];
  /** Changes of members and of the constitution, genesis left aside. */
  ruleChanges = 0;
  readonly #openings = new Map<Seqno, { readonly at: TxId; readonly by: Cause }>();

  constructor({ primitives, mode, anchors, onEntry }: TrustFoldOptions) {
    this.#onEntry = onEntry;
    this.#verifier = new LedgerVerifier({ primitives, mode });
    this.#decisions = new Decisions(primitives);
    this.#nodes = new NodeAdmissions(primitives, anchors);
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
    return this.#nodes.all;
  }

  /** The newest row of a node, as it came to be there. */
  admissionOf(nodeId: string): NodeAdmission | undefined {
    return this.#nodes.of(nodeId);
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
    for (const _entry of this.addInSteps(bytes)) { /* at once */ }
    return this.#failure === undefined;
  }

  /**
   * The same, with a rest after each entry that is looked at: thousands may lie between two signatures. Between rests
   * nothing else is to be added, and what is read from here is not yet signed.
   */
  *addInSteps(bytes: Uint8Array): Generator<void, void> {
    assert(this.#failure === undefined, "Nothing is folded after a failure");
    const entryChanges = this.#readChanges(bytes);
    this.#unsigned.push({ bytes, changes: entryChanges });
    if (entryChanges !== undefined && changes(entryChanges.tables, SIGNATURES.name)) {
      const covered = this.#unsigned;
      this.#unsigned = [];
      for (const entry of covered) {
        if (!this.#take(entry.bytes, entry.changes)) return;
        yield;
      }
    } else if (this.#unsigned.length > MAX_UNSIGNED_TRANSACTIONS + 1) {
      const reason = `More than ${MAX_UNSIGNED_TRANSACTIONS} transactions in a row are not signed`;
      this.#failure = { seqno: this.last.seqno + 1, reason };
    }
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
      const isConcerned = tables.some(({ name }) => name.startsWith("public:ccf.gov.") || name === SIGNATURES.name);
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
      const signature = tables.find(({ name }) => name === COSE_SIGNATURES.name);
      if (signature !== undefined) this.#nodes.judge(timeOf(signature));
      const cause = this.#causeOf(txId, before);
      const problems = before.problem !== undefined
        ? [before.problem]
        : cause.kind === "decision"
        ? cause.decision.problems
        : [];
      this.#notePolicy(txId, tables, cause, problems);
      this.#noteRules(txId, tables, cause, problems);
      this.#noteOpening(txId, tables, cause);
      this.#nodes.note(txId, tables, { ...before, cause, after: this.tables() });
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

  #keep<T>(list: T[], item: T): void {
    if (list.length >= MAX_TRUST_EVENTS) {
      throw new FormatError(`More than ${MAX_TRUST_EVENTS} changes of one kind; that is more than is looked at`);
    }
    list.push(item);
  }
}

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

/** When the service made a signature, milliseconds since 1970. @throws FormatError */
function timeOf(signature: TableWrites): number {
  const atMs = parseLedgerSignatureHeader(parseCoseSignature(onlyValueOf(signature))).issuedAtSeconds * 1000;
  // Beyond the year 9999 dates have another form.
  if (atMs > Date.UTC(9999, 11, 31)) throw new FormatError("The signature is of a time that is no date");
  return atMs;
}

function changes(tables: readonly TableWrites[], wanted: string): boolean {
  return tables.some(({ name }) => name === wanted);
}

function textOf(key: string): string {
  return fromUtf8Lenient(fromByteString(key));
}
