/**
 * The proposals of a ledger, each with all that happened to it.
 *
 * In: entries that change proposals, and the member's request in each. Out: a list, in the order in which they were made.
 * Knows nothing of whether any of it follows. Formats: ledger-and-receipts.md §10.2
 */

import { FormatError } from "../../shared/assert.ts";
import { type ProposalInfo, PROPOSALS, PROPOSALS_INFO } from "../../shared/governance/tables.ts";
import { parseJsonBytes } from "../../shared/json.ts";
import { listOf, object, text } from "../../shared/json_shape.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import type { TableWrites } from "../../shared/kv/write_set.ts";
import { MAX_LISTED_FINDINGS } from "../../shared/limits.ts";
import { formatTxId, type TxId } from "../../shared/tx_id.ts";

export interface ProposalEvent {
  readonly txid: string;
  readonly state: string;
  /** Member IDs. */
  readonly ballotsAdded?: readonly string[];
  /** What the member of this transaction had signed. */
  readonly request?: { readonly memberId: string; readonly type: string };
}

export interface ProposalHistory {
  readonly proposalId: string;
  readonly proposerId: string;
  readonly events: readonly ProposalEvent[];
  /** Names, in order; undefined where they cannot be read, or the ledger begins later. */
  readonly actions: readonly string[] | undefined;
  readonly state: string;
  readonly ballots: number;
  readonly finalVotes?: Readonly<Record<string, boolean>>;
  readonly voteFailures?: ProposalInfo["vote_failures"];
  /** Of closed proposals only the newest stays in the tables. */
  readonly removedFromTablesAt?: string;
}

type Growing = { -readonly [K in keyof ProposalHistory]: ProposalHistory[K] } & { events: ProposalEvent[] };

const PROPOSAL = object({ actions: listOf(object({ name: text })) });

export class ProposalHistories {
  readonly #byId = new Map<string, Growing>();
  /** Proposals that are not listed, since there are too many. */
  unlisted = 0;

  get all(): readonly ProposalHistory[] {
    return [...this.#byId.values()];
  }

  /**
   * @param before tables before the entry
   * @throws FormatError where a row is none
   */
  add(txId: TxId, before: Transaction, tables: readonly TableWrites[], request: ProposalEvent["request"]): void {
    const changes = tables.find(({ name }) => name === PROPOSALS_INFO.name);
    const actions = tables.find(({ name }) => name === PROPOSALS.name)?.writes ?? [];
    const txid = formatTxId(txId);
    for (const [key, value] of changes?.writes ?? []) {
      const id = PROPOSALS_INFO.key.decode(key);
      const known = before.open(PROPOSALS_INFO).get(id);
      const info = PROPOSALS_INFO.value.decode(value);
      const history = this.#of(id, info, actions.find(([each]) => each === key)?.[1] ?? before.open(PROPOSALS).get(id));
      if (history === undefined) continue;
      const ballotsAdded = Object.keys(info.ballots).filter((voter) => !Object.hasOwn(known?.ballots ?? {}, voter));
      history.events.push({
        txid,
        state: info.state,
        ...(ballotsAdded.length > 0 && { ballotsAdded }),
        ...(request !== undefined && { request }),
      });
      history.state = info.state;
      history.ballots = Object.keys(info.ballots).length;
      if (info.final_votes !== undefined) history.finalVotes = info.final_votes;
      if (info.vote_failures !== undefined) history.voteFailures = info.vote_failures;
    }
    for (const key of changes?.removes ?? []) {
      const history = this.#byId.get(PROPOSALS_INFO.key.decode(key));
      if (history !== undefined) history.removedFromTablesAt = txid;
    }
  }

  #of(id: string, { proposer_id, state }: ProposalInfo, actions: Uint8Array | undefined): Growing | undefined {
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    if (this.#byId.size >= MAX_LISTED_FINDINGS) {
      this.unlisted++;
      return undefined;
    }
    const history: Growing = {
      proposalId: id,
      proposerId: proposer_id,
      events: [],
      actions: actions && namesOf(actions),
      state,
      ballots: 0,
    };
    this.#byId.set(id, history);
    return history;
  }
}

function namesOf(proposal: Uint8Array): string[] | undefined {
  try {
    return PROPOSAL(parseJsonBytes(proposal), "").actions.map(({ name }) => name);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
