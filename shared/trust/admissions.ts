/**
 * How each node of a ledger came to be trusted: by whom, and on which evidence.
 *
 * In: entries that change nodes, with what stands behind them; moments of signatures. Out: nodes with their evidence judged
 * again under what was allowed then, and what does not follow.
 * Knows nothing of how entries are verified. Rules: nodes-and-attestation.md §3.5, §4, §5, §9
 */

import { FormatError } from "../assert.ts";
import { type CheckedEvidence, type EvidenceAnchors, verifyEvidence } from "../attestation/evidence.ts";
import { type JoinPolicy, judgeJoiner, type Judgement } from "../attestation/join_policy.ts";
import { fromByteString, fromUtf8Lenient } from "../bytes.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { parsePublicKeyPem } from "../crypto/public_key.ts";
import { copyJoinPolicy } from "../governance/join_policy_tables.ts";
import { type NodeInfo, NODES_ENDORSED_CERTIFICATES, NODES_INFO } from "../governance/tables.ts";
import { stableJson } from "../json.ts";
import type { Transaction } from "../kv/transaction.ts";
import type { TableWrites } from "../kv/write_set.ts";
import { MAX_TRUST_EVENTS } from "../limits.ts";
import { formatTxId, type TxId } from "../tx_id.ts";
import { type Cause, describeCause } from "./decisions.ts";

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

/** What is known of an entry that changes nodes. */
export interface EntryContext {
  readonly cause: Cause;
  /** Why its cause cannot be told. */
  readonly problem?: string;
  /** Whether nodes need members' trust. */
  readonly isOpen: boolean;
  /** What might join before the entry; undefined where that cannot be told. */
  readonly policy: JoinPolicy | undefined;
  /** Tables after it. */
  readonly after: Transaction;
}

interface Waiting {
  readonly admission: NodeAdmission;
  readonly policy: JoinPolicy;
}

export class NodeAdmissions {
  readonly #primitives: Primitives;
  readonly #anchors: EvidenceAnchors | undefined;
  readonly #nodes = new Map<string, NodeAdmission>();
  /** Of nodes of which another row has taken the place. */
  readonly #earlier: NodeAdmission[] = [];
  /** Rows that no signature has given a moment yet. */
  #waiting: Waiting[] = [];

  constructor(primitives: Primitives, anchors: EvidenceAnchors | undefined) {
    this.#primitives = primitives;
    this.#anchors = anchors;
  }

  /** In the order of their rows. */
  get all(): readonly NodeAdmission[] {
    return [...this.#earlier, ...this.#nodes.values()];
  }

  /** The newest row of a node. */
  of(nodeId: string): NodeAdmission | undefined {
    return this.#nodes.get(nodeId);
  }

  /**
   * Takes note of an entry.
   *
   * @throws FormatError where a row cannot be read, or there are too many
   */
  note(txId: TxId, tables: readonly TableWrites[], context: EntryContext): void {
    const table = tables.find(({ name }) => name === NODES_INFO.name);
    for (const [key, value] of table?.writes ?? []) {
      const nodeId = textOf(key);
      const row = NODES_INFO.value.decode(value);
      const known = this.#nodes.get(nodeId);
      // While a service opens, or recovers, nodes are trusted at once, on their evidence alone.
      const isTrustedAtOnce = row.status === "Trusted" && context.cause.kind === "node" && !context.isOpen;
      if (known === undefined || known.status === "removed" || (isTrustedAtOnce && known.status !== "Trusted")) {
        this.#register(txId, nodeId, row, context);
        continue;
      }
      if (!isSameEvidence(row, known.row)) {
        known.problems.push(`its evidence or its key changes in ${formatTxId(txId)}`);
      }
      if (row.status === "Trusted" && known.status !== "Trusted") {
        if (known.status === "Retired") {
          known.problems.push(`it was retired, and is trusted again in ${formatTxId(txId)}`);
        }
        this.#trust(known, txId, context);
      }
      known.status = row.status;
    }
    for (const key of table?.removes ?? []) {
      const known = this.#nodes.get(textOf(key));
      if (known !== undefined) known.status = "removed";
    }
  }

  #register(txId: TxId, nodeId: string, row: NodeInfo, context: EntryContext): void {
    const { cause, after, problem } = context;
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
    const policy = isFirst ? copyJoinPolicy(after) : context.policy;
    if (policy === undefined) {
      throw new FormatError(`Node ${nodeId} joins, and ${problem ?? "what may join is unknown"}`);
    }
    this.#waiting.push({ admission, policy });
    if (row.status === "Trusted") this.#trust(admission, txId, context);
  }

  #trust(admission: NodeAdmission, txId: TxId, { cause, isOpen, problem, after }: EntryContext): void {
    admission.trusted = { at: txId, by: cause };
    const { problems } = admission;
    const mayTrust = cause.kind === "genesis" || cause.kind === "recovery" || cause.kind === "decision" ||
      (cause.kind === "node" && !isOpen);
    if (!mayTrust) problems.push(`it is trusted by ${describeCause(cause)} while the service is open`);
    if (problem !== undefined) problems.push(`it is trusted in ${formatTxId(txId)}: ${problem}`);
    if (cause.kind === "decision") problems.push(...cause.decision.problems);
    if (!after.open(NODES_ENDORSED_CERTIFICATES).has(admission.nodeId)) {
      problems.push("it is trusted, and has no certificate of the service");
    }
  }

  /** A signature gives the moment for all rows that it covers. @param atMs milliseconds since 1970 */
  judge(atMs: number): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { admission, policy } of waiting) admission.judged = this.#judge(admission, policy, atMs);
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
}

function isSameEvidence(one: NodeInfo, other: NodeInfo): boolean {
  return one.public_key === other.public_key && stableJson(one.quote_info) === stableJson(other.quote_info);
}

function textOf(key: string): string {
  return fromUtf8Lenient(fromByteString(key));
}
