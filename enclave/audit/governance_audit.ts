/**
 * Whether the decisions of a ledger follow: every request of a member is decided again, under the constitution of its
 * time and over the tables of its time, and what comes of it is compared with what the ledger has.
 *
 * In: transactions in order, that were verified; a script engine. Out: findings, one sentence each; the proposals.
 * Knows nothing of files. What cannot be made again, secrets and the like: `audited_effects.ts`; what nodes do
 * by themselves: `node_changes.ts`.
 * Scripts may look at the time and at chance, which no ledger has. A decision that can be had at one time and not at
 * another is said to be beyond what can be checked.
 */

import { FormatError } from "../../shared/assert.ts";
import { equalBytes, fromBase64, fromByteString, fromUtf8Lenient } from "../../shared/bytes.ts";
import type { Primitives } from "../../shared/crypto/primitives.ts";
import { COSE_HISTORY, HISTORY, MEMBERS_ACKS, PROPOSALS, PROPOSALS_INFO } from "../../shared/governance/tables.ts";
import { Store } from "../../shared/kv/store.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import type { TableWrites } from "../../shared/kv/write_set.ts";
import { LedgerEntry } from "../../shared/ledger/entry.ts";
import type { Snapshot } from "../../shared/ledger/snapshot.ts";
import { MAX_LISTED_FINDINGS, MAX_PROPOSAL_ROOT_DISTANCE } from "../../shared/limits.ts";
import type { MerkleTree } from "../../shared/merkle/tree.ts";
import { formatTxId, type TxId } from "../../shared/tx_id.ts";
import type { AppEngine } from "../app_engine.ts";
import { concernsGovernance, unexplainedChanges } from "./node_changes.ts";
import { ProposalHistories } from "./proposal_histories.ts";
import {
  acknowledgeAgain,
  type AuditedRequest,
  authenticate,
  decideAgain,
  Refusal,
  watched,
} from "./audited_requests.ts";

export interface GovernanceFinding {
  readonly txId: TxId;
  /** Undefined where no single proposal is concerned. */
  readonly proposalId: string | undefined;
  readonly verdict: "does not follow" | "cannot be checked";
  /** What the ledger says, and what follows. */
  readonly reason: string;
}

type Tables = readonly TableWrites[];

/** How often scripts are asked again, and what they then take for the present and for chance. */
const OTHER_TIMES: readonly { readonly nowMs: number; readonly chance: number }[] = [
  { nowMs: 0, chance: 0 },
  { nowMs: Date.UTC(2100, 0, 1), chance: 255 },
];
/** As a node says it of a script that had no time left. */
const TIMED_OUT = "Operation took too long to complete.";
/** Differences of one entry that are said; the rest is counted. */
const MAX_DIFFERENCES = 3;

export class GovernanceAudit {
  readonly findings: GovernanceFinding[] = [];
  /** Findings that are not listed, since there are too many. */
  unlisted = 0;
  /** The first decision that does not follow, listed or not. */
  firstDoubt: GovernanceFinding | undefined;
  /** Requests that were decided again. */
  requests = 0;
  readonly proposals = new ProposalHistories();
  readonly #primitives: Primitives;
  readonly #engine: AppEngine;
  /** Whether a script of the request at hand ran out of time here. */
  #timedOut = false;
  readonly #store = new Store();
  #txId: TxId = { view: 0, seqno: 0 };

  constructor(primitives: Primitives, engine: AppEngine) {
    this.#primitives = primitives;
    this.#engine = watched(engine, () => this.#timedOut = true);
  }

  /** Takes over what a snapshot holds, as it stands: what led there is not checked. */
  startFrom(snapshot: Snapshot): void {
    this.#store.load({ version: snapshot.seqno, tables: snapshot.publicTables(tolerate) });
    this.#txId = { view: snapshot.viewStarts.length, seqno: snapshot.seqno };
  }

  /**
   * The next transaction.
   *
   * @param tree with the transaction as its last leaf
   */
  add(bytes: Uint8Array, tree: MerkleTree): void {
    const entry = LedgerEntry.parse(bytes);
    const tables = entry.publicTables(tolerate);
    this.#txId = entry.txId;
    if (concernsGovernance(tables)) {
      try {
        this.#check(tables, tree);
        if (entry.frame.ciphertext.length > 0) this.#checkPrivate(tables);
      } catch (error) {
        // A table that a service could not have read either.
        if (!(error instanceof FormatError)) throw error;
        this.#say("does not follow", `The transaction cannot be understood: ${error.message}`);
      }
    }
    this.#store.apply(entry.seqno, { publicTables: tables, privateTables: [] });
    this.#store.compact(entry.seqno);
  }

  #check(tables: Tables, tree: MerkleTree): void {
    const requests = tables.find(({ name }) => name === COSE_HISTORY.name)?.writes ?? [];
    if (requests.length > 1) {
      this.#say("does not follow", "The ledger files several requests under one transaction; each has its own");
      return;
    }
    const [request] = requests;
    if (request !== undefined) {
      const [key, value] = request;
      const member = COSE_HISTORY.key.decode(key);
      this.#checkRequest(tables, member, COSE_HISTORY.value.decode(value), tree);
      return;
    }
    const before = this.#store.beginReadOnly();
    const ack = this.#newAcknowledgement(before, tables);
    if (ack !== undefined) return this.#checkAcknowledgement(tables, ...ack);
    this.proposals.add(this.#txId, before, tables, undefined);
    if (tables.some(({ name, writes }) => name === HISTORY.name && writes.length > 0)) {
      const subject = this.#subject(tables);
      this.#say(
        "cannot be checked",
        "The member's request was signed in HTTP headers, as before 4.0; it is not decided again",
        subject,
      );
      return;
    }
    for (const problem of unexplainedChanges(before, tables)) {
      const subject = this.#subject(tables);
      this.#say("does not follow", `No member's request stands behind this, and no node does it: ${problem}`, subject);
    }
  }

  /** What is sealed cannot be compared; but neither constitutions nor acknowledgements write private tables. */
  #checkPrivate(tables: Tables): void {
    const reason = "The transaction writes private tables, and no request of a member does";
    this.#say("does not follow", reason, this.#subject(tables));
  }

  #checkRequest(tables: Tables, member: string, envelope: Uint8Array, tree: MerkleTree): void {
    this.requests++;
    this.#timedOut = false;
    const before = this.#store.beginReadOnly();
    const request = this.#authenticate(before, tables, member, envelope);
    const type = request?.header.type;
    this.proposals.add(this.#txId, before, tables, type === undefined ? undefined : { memberId: member, type });
    if (request === undefined) return;
    const subject = request.header.proposalId ?? this.#subject(tables);
    const actions = tables.find(({ name }) => name === PROPOSALS.name)?.writes ?? [];
    const written = new Set(actions.map(([key]) => PROPOSALS.key.decode(key)));
    const decide = (tx: Transaction, nowMs: number, chance: number) =>
      decideAgain(
        { primitives: this.#primitives, engine: this.#engine, tx, entry: tables, nowMs, chance },
        request,
        rootsBefore(tree),
        written,
      );
    const first = this.#differences(tables, (tx) => decide(tx, request.header.createdAtSeconds * 1000, 127));
    if (first.length === 0) return;
    const others = OTHER_TIMES.map(({ nowMs, chance }) => this.#differences(tables, (tx) => decide(tx, nowMs, chance)));
    const what = `the ${type ?? "request"} of member ${member}`;
    if (others.some((other) => other.join() !== first.join())) {
      const reason = `What comes of ${what} depends on the time or on chance, of which a ledger has no record`;
      this.#say("cannot be checked", `${reason}: ${first[0]}`, subject);
    } else if (this.#timedOut || hasTimedOut(tables)) {
      this.#say("cannot be checked", `A script of ${what} ran out of time, here or there: ${first[0]}`, subject);
    } else {
      for (const difference of shortened(first)) this.#say("does not follow", `Of ${what}: ${difference}`, subject);
    }
  }

  #checkAcknowledgement(tables: Tables, member: string, signed: string | undefined): void {
    if (signed === undefined) {
      const reason = `Member ${member} acknowledges with a signature in HTTP headers, as before 4.0`;
      this.#say("cannot be checked", reason);
      return;
    }
    this.requests++;
    const before = this.#store.beginReadOnly();
    const request = this.#authenticate(before, tables, member, fromBase64(signed));
    if (request === undefined) return;
    const differences = this.#differences(tables, (tx) =>
      acknowledgeAgain(
        { primitives: this.#primitives, engine: this.#engine, tx, entry: tables, nowMs: 0, chance: 0 },
        request,
      ));
    for (const difference of shortened(differences)) {
      this.#say("does not follow", `Of the acknowledgement of member ${member}: ${difference}`);
    }
  }

  #authenticate(
    before: Transaction,
    tables: Tables,
    member: string,
    envelope: Uint8Array,
  ): AuditedRequest | undefined {
    try {
      return authenticate(this.#primitives, before, member, envelope);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const reason = `The ledger has a request of member ${member} that is to be refused: ${error.message}`;
      this.#say("does not follow", reason, this.#subject(tables));
      return undefined;
    }
  }

  /** Who acknowledges in an entry, and what they signed; undefined where nobody does. */
  #newAcknowledgement(before: Transaction, tables: Tables): [member: string, signed: string | undefined] | undefined {
    if (before.readVersion === 0) return undefined; // members who are there from the start have acknowledged nothing
    for (const [key, value] of tables.find(({ name }) => name === MEMBERS_ACKS.name)?.writes ?? []) {
      const member = MEMBERS_ACKS.key.decode(key);
      const known = before.open(MEMBERS_ACKS).get(member);
      const ack = MEMBERS_ACKS.value.decode(value);
      if (ack.cose_sign1_req !== undefined && ack.cose_sign1_req !== known?.cose_sign1_req) {
        return [member, ack.cose_sign1_req];
      }
      if (ack.signed_req !== undefined && JSON.stringify(ack.signed_req) !== JSON.stringify(known?.signed_req)) {
        return [member, undefined];
      }
    }
    return undefined;
  }

  /** What the ledger says otherwise than what comes of a request; none where they are the same. */
  #differences(tables: Tables, decide: (tx: Transaction) => void): string[] {
    const tx = this.#store.begin();
    try {
      decide(tx);
    } catch (error) {
      if (error instanceof Refusal) return [`the ledger has it, and it is to be refused: ${error.message}`];
      throw error;
    }
    return differences(tx.writeSet().publicTables, tables);
  }

  /** The proposal that an entry is about: the first whose row it writes. */
  #subject(tables: Tables): string | undefined {
    const changes = tables.find(({ name }) => name === PROPOSALS_INFO.name);
    const key = changes?.writes[0]?.[0] ?? changes?.removes[0];
    return key === undefined ? undefined : PROPOSALS_INFO.key.decode(key);
  }

  #say(verdict: GovernanceFinding["verdict"], reason: string, proposalId?: string): void {
    const finding = { txId: this.#txId, proposalId, verdict, reason };
    if (verdict === "does not follow") this.firstDoubt ??= finding;
    if (this.findings.length < MAX_LISTED_FINDINGS) this.findings.push(finding);
    else this.unlisted++;
  }
}

export function describeFinding({ txId, proposalId, reason, verdict }: GovernanceFinding): string {
  const where = proposalId === undefined ? "" : ` proposal ${proposalId}`;
  return `${formatTxId(txId)}${where} ${verdict}: ${reason}`;
}

/** Whether the ledger has a ballot that ran out of time. */
function hasTimedOut(tables: Tables): boolean {
  const rows = tables.find(({ name }) => name === PROPOSALS_INFO.name)?.writes ?? [];
  return rows.some(([, value]) => {
    const { ballots, vote_failures = {} } = PROPOSALS_INFO.value.decode(value);
    // Whoever writes the ledger could name a failure of somebody who has cast none.
    return Object.entries(vote_failures).some(([member, { reason }]) => {
      return reason === TIMED_OUT && ballots[member] !== undefined;
    });
  });
}

/** Roots of the ledger before its last transaction, the latest first, as far back as a request may have been decided. */
function* rootsBefore(tree: MerkleTree): Generator<Uint8Array> {
  const last = tree.size - 1;
  const oldest = Math.max(tree.firstIndex, last - MAX_PROPOSAL_ROOT_DISTANCE);
  for (let size = last; size > oldest; size--) yield tree.root(size);
}

/** Compares write sets, whatever their order: that is for whoever reads entries. What decides a proposal comes first. */
function differences(expected: Tables, actual: Tables): string[] {
  const decisive: string[] = [];
  const found: string[] = [];
  const names = new Set([...expected, ...actual].map(({ name }) => name));
  for (const name of [...names].sort()) {
    const [follows, has] = [expected, actual].map((tables) => changesOf(tables.find((table) => table.name === name)));
    for (const key of [...new Set([...follows!.keys(), ...has!.keys()])].sort()) {
      const [wanted, there] = [follows!.get(key), has!.get(key)];
      const isSame = wanted instanceof Uint8Array && there instanceof Uint8Array
        ? equalBytes(wanted, there)
        : wanted === there;
      if (isSame) continue;
      const isDecisive = name === PROPOSALS_INFO.name && wanted instanceof Uint8Array && there instanceof Uint8Array;
      (isDecisive ? decisive : found).push(describeDifference(name, key, wanted, there));
    }
  }
  return [...decisive, ...found];
}

type Change = Uint8Array | "removed";

function changesOf(table: TableWrites | undefined): Map<string, Change> {
  const changes = new Map<string, Change>();
  for (const [key, value] of table?.writes ?? []) changes.set(key, value);
  for (const key of table?.removes ?? []) changes.set(key, "removed");
  return changes;
}

function describeDifference(table: string, key: string, follows: Change | undefined, has: Change | undefined): string {
  const inWords = table === PROPOSALS_INFO.name && describeProposal(follows) !== describeProposal(has);
  const row = inWords ? describeProposal : quoted;
  const name = fromUtf8Lenient(fromByteString(key));
  const where = /^[\x20-\x7e]+$/.test(name) ? `${table}, ${name}` : table;
  return `in ${where} the ledger has ${row(has)}; what follows is ${row(follows)}`;
}

/** The state in words, where that says more than the bytes. */
function describeProposal(change: Change | undefined): string {
  if (!(change instanceof Uint8Array)) return quoted(change);
  const { state, ballots, final_votes } = PROPOSALS_INFO.value.decode(change);
  const votes = final_votes === undefined ? "" : `, votes ${JSON.stringify(final_votes)}`;
  return `${state} with ${Object.keys(ballots).length} ballots${votes}`;
}

/** Characters of a value that a sentence quotes. */
const MAX_QUOTED = 120;

function quoted(change: Change | undefined): string {
  if (change === undefined) return "no change";
  if (change === "removed") return "it removed";
  const text = fromUtf8Lenient(change);
  if (text.length <= MAX_QUOTED) return text;
  // Both ends: long values tend to begin alike.
  return `${text.slice(0, MAX_QUOTED / 2)}…${text.slice(-MAX_QUOTED / 2)} (${change.length} bytes)`;
}

function shortened(all: readonly string[]): string[] {
  if (all.length <= MAX_DIFFERENCES) return [...all];
  return [...all.slice(0, MAX_DIFFERENCES), `and ${all.length - MAX_DIFFERENCES} more differences`];
}

const tolerate = () => {};
