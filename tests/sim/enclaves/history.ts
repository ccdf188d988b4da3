/**
 * What clients were told, and whether it can all be true: consensus.md §24, client-visible consistency.
 *
 * In: requests, answers and transaction statuses in the order in which clients saw them. Out: a `Violation` as soon as
 * two of them contradict each other, or the ledger.
 */

import { formatTxId, parseTxId, type TxId } from "../../../shared/tx_id.ts";
import { type Call, isLinearizable, registerModel, type RegisterOperation } from "../linearizability.ts";
import { Violation } from "../world.ts";
import { isBefore, recordAfter, type TreeEntry } from "./ledger_tree.ts";

export type OperationKind = "write" | "remove" | "read";

/** One request about one record. */
export interface Operation {
  readonly client: string;
  /** Connections are never used again. */
  readonly connection: string;
  readonly kind: OperationKind;
  readonly key: string;
  /** What is written; no two writes write the same. */
  readonly value: string | undefined;
  readonly invoked: number;
  completed?: number;
  /** That the response names. */
  entry?: TreeEntry;
  /** What a read has given. */
  observed?: string | undefined;
  /** Asked of the primary once all nodes agree and nobody writes. */
  readonly isLast?: boolean;
}

type Told = "Committed" | "Invalid";

export class History {
  readonly operations: Operation[] = [];
  readonly receipts: { readonly txId: TxId; readonly json: string }[] = [];
  readonly #told = new Map<string, Told>();
  readonly #writes = new Map<string, Operation>();
  readonly #sessions = new Map<string, Operation[]>();
  #moment = 0;

  get committed(): TxId[] {
    return [...this.#told].flatMap(([id, told]) => told === "Committed" ? [parseTxId(id)] : []);
  }

  invoke(asked: Omit<Operation, "invoked" | "completed" | "entry" | "observed">): Operation {
    const operation = { ...asked, invoked: this.#moment++ };
    this.operations.push(operation);
    if (operation.value !== undefined) this.#writes.set(operation.value, operation);
    return operation;
  }

  /**
   * A request has succeeded.
   *
   * @param entry that the response names as its transaction: any that some node ever had
   * @param observed what a read has answered; undefined: there is none
   */
  succeed(operation: Operation, id: TxId, entry: TreeEntry | undefined, observed: string | undefined): void {
    const { kind, key, value, client } = operation;
    operation.completed = this.#moment++;
    operation.observed = observed;
    if (entry === undefined) {
      throw new Violation("ResponsesNameTransactions", `${client} was told ${formatTxId(id)}, which nobody ever had`);
    }
    operation.entry = entry;
    if (kind === "read") {
      if (observed !== undefined && !this.#writes.has(observed)) {
        throw new Violation("OnlyObserveSentRequestsInv", `${client} read ${observed}, which nobody wrote`);
      }
      const held = recordAfter(entry, key);
      if (held !== observed) {
        throw new Violation(
          "ReadsAreOfTheirTransaction",
          `${client} read ${observed} of ${key} at ${formatTxId(id)}, where it is ${held}`,
        );
      }
    } else {
      const wrote = entry.records.some((record) => record.key === key && record.value === value);
      if (!wrote) {
        throw new Violation(
          "WritesAreOfTheirTransaction",
          `${client} was told that ${formatTxId(id)} has its ${kind} of ${key}`,
        );
      }
    }
    this.#followSession(operation, entry);
  }

  /** What a session has seen or written it sees ever after, as long as it lasts. */
  #followSession(operation: Operation, entry: TreeEntry): void {
    const earlier = this.#sessions.get(operation.connection) ?? [];
    for (const before of earlier) {
      if (before.completed! < operation.invoked && !isBefore(before.entry!, entry)) {
        throw new Violation(
          "SessionConsistency",
          `${operation.client} saw ${formatTxId(before.entry!)} in a session, and then ${formatTxId(entry)} without it`,
        );
      }
    }
    this.#sessions.set(operation.connection, [...earlier, operation]);
  }

  /**
   * A node has told the status of a transaction.
   *
   * @param isHeld whether a transaction that is said to be committed is where committed ones are
   */
  status(node: string, id: TxId, status: string, isHeld: () => boolean): void {
    if (status !== "Committed" && status !== "Invalid") return;
    const name = formatTxId(id);
    const known = this.#told.get(name);
    if (known === status) return;
    if (known !== undefined) {
      throw new Violation("CommittedOrInvalidInv", `${node} says ${name} is ${status}; it was ${known}`);
    }
    if (status === "Committed" && !isHeld()) {
      throw new Violation("CommittedIsHeld", `${node} says that ${name} is committed, and no quorum has it`);
    }
    this.#told.set(name, status);
    for (const [other, told] of this.#told) this.#compare(id, status, parseTxId(other), told);
  }

  #compare(a: TxId, toldA: Told, b: TxId, toldB: Told): void {
    const wrong = contradiction(a, toldA, b, toldB) ?? contradiction(b, toldB, a, toldA);
    if (wrong !== undefined) throw new Violation("CommittedOrInvalidStrongInv", wrong);
  }

  /** At the end: against the ledger that all nodes agreed on. */
  compareWith(ledger: readonly TreeEntry[]): void {
    const isThere = ({ view, seqno }: TxId) => ledger[seqno - 1]?.view === view;
    for (const [name, told] of this.#told) {
      if (isThere(parseTxId(name)) !== (told === "Committed")) {
        throw new Violation("CommittedIsNeverLost", `${name} was told to be ${told}, and the ledger says otherwise`);
      }
    }
    this.#checkWrites(ledger);
    for (const key of new Set(this.operations.map((operation) => operation.key))) {
      const calls = this.#calls(key, ledger);
      if (isLinearizable(registerModel, calls)) continue;
      const what = `what clients did to ${key} cannot be put in an order: ${JSON.stringify(calls)}`;
      throw new Violation("Linearizable", what);
    }
  }

  /** What clients asked for happened once, or not at all. */
  #checkWrites(ledger: readonly TreeEntry[]): void {
    const seen = new Set<string>();
    for (const entry of ledger) {
      for (const { key, value } of entry.records) {
        if (value === undefined) continue;
        const write = this.#writes.get(value);
        if (write === undefined || write.key !== key) {
          throw new Violation(
            "OnlyObserveSentRequestsInv",
            `${formatTxId(entry)} has ${value}, which nobody wrote to ${key}`,
          );
        }
        if (seen.has(value)) throw new Violation("UniqueTxRequestsInv", `${value} was written twice`);
        seen.add(value);
      }
    }
  }

  /**
   * Calls on one record that are on the ledger, in its order: those without an answer took effect some time after they
   * began. Reads may be late (§24, `AllCommittedObservedRoInv`), but for those made once all is quiet.
   */
  #calls(key: string, ledger: readonly TreeEntry[]): Call<RegisterOperation>[] {
    const operations = this.operations.filter((operation) => operation.key === key);
    const unanswered = operations.filter(({ kind, entry }) => kind !== "read" && entry === undefined);
    const byEntry = new Map(
      operations.flatMap((of) => of.kind === "read" || !of.entry ? [] : [[of.entry, of] as const]),
    );
    const calls: Call<RegisterOperation>[] = [];
    for (const entry of ledger) {
      for (const { value } of entry.records.filter((record) => record.key === key)) {
        // Of removals without an answer nobody knows which one it was; the first began before all others.
        const operation = byEntry.get(entry) ?? unanswered.find((one) => one.value === value);
        if (operation === undefined) {
          throw new Violation("UniqueTxRequestsInv", `nobody asked for ${formatTxId(entry)}`);
        }
        const { invoked, completed = Infinity } = operation;
        const what: RegisterOperation = value === undefined ? { kind: "remove" } : { kind: "write", value };
        calls.push({ operation: what, invoked, completed });
      }
    }
    for (const { kind, isLast, observed, invoked, completed = Infinity } of operations) {
      if (kind === "read" && isLast) calls.push({ operation: { kind, value: observed }, invoked, completed });
    }
    return calls;
  }
}

/** What follows from `toldA` of transaction `a` for `b`, and was told otherwise. */
function contradiction(a: TxId, toldA: Told, b: TxId, toldB: Told): string | undefined {
  const [first, second] = [formatTxId(a), formatTxId(b)];
  if (toldA === "Committed") {
    if (a.view === b.view && b.seqno <= a.seqno && toldB !== "Committed") {
      return `${first} is committed and ${second}, before it in the same view, is not`;
    }
    if (b.view < a.view && b.seqno >= a.seqno && toldB !== "Invalid") {
      return `${first} is committed, and ${second}, of an older view, is not invalid`;
    }
    return undefined;
  }
  return a.view === b.view && b.seqno >= a.seqno && toldB !== "Invalid"
    ? `${first} is invalid, and ${second}, after it in the same view, is not`
    : undefined;
}
