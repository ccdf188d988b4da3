/** How these screens ask: proposals from the ledger, and the node's list beside it. */

import { foldedTable, foldedValue } from "../folded.ts";
import { comparableAt, compareTold, type Comparison, parseTold, type ToldProposals } from "../governance/node_word.ts";
import {
  type EntryCache,
  liveProposals,
  type ProposalList,
  readProposal,
  readProposals,
} from "../governance/read_proposals.ts";
import type { ProposalRecord } from "../governance/proposals.ts";
import { useLedger, useNode } from "../hooks.ts";
import type { Loaded } from "../problem.ts";
import { ProblemError } from "../problem.ts";
import { jsonOf, type NodeApi, refusalOf } from "../service/node_api.ts";
import { connection, ledgerState } from "../service/session.ts";
import { FormatError } from "../../shared/assert.ts";
import { GOVERNANCE_API_VERSION } from "../../shared/governance/member_request.ts";
import { CONSTITUTION, MEMBERS_INFO } from "../../shared/governance/tables.ts";
import type { Seqno } from "../../shared/tx_id.ts";
import { formatTxId } from "../../shared/tx_id.ts";

/** Entries that were read, for as long as one ledger is open. */
const caches = new WeakMap<object, EntryCache>();

function cacheOfConnection(): EntryCache {
  const open = connection.peek() ?? caches;
  const cache = caches.get(open) ?? new Map();
  caches.set(open, cache);
  return cache;
}

export function useProposals(): Loaded<ProposalList> {
  return useLedger((ledger) => readProposals(ledger, cacheOfConnection()), []);
}

/** undefined: the ledger has no such proposal. */
export function useProposal(id: string): Loaded<ProposalRecord | undefined> {
  return useLedger((ledger) => readProposal(ledger, id, cacheOfConnection()), [id]);
}

export interface Voters {
  /** IDs of active members, who may propose and vote. */
  readonly active: readonly string[];
  readonly all: readonly string[];
  readonly constitutionSince: Seqno | undefined;
}

export function useVoters(): Loaded<Voters> {
  return useLedger(async (ledger) => {
    const [members, constitution] = await Promise.all([
      foldedTable(ledger, MEMBERS_INFO),
      foldedValue(ledger, CONSTITUTION),
    ]);
    return {
      active: members.rows.filter(({ value }) => value.status === "Active").map(({ key }) => key),
      all: members.rows.map(({ key }) => key),
      constitutionSince: constitution?.writtenAt,
    };
  }, []);
}

const EVERY_MS = 15_000;

/** The node's own list, asked now and then. */
function useTold(): Loaded<ToldProposals> {
  return useNode(
    async (api, signal) => {
      const askedAt = ledgerState.peek().signed?.seqno ?? 0;
      const path = `/gov/members/proposals?api-version=${GOVERNANCE_API_VERSION}`;
      const answer = await api.ask(path, { signal });
      if (answer.status !== 200) throw new ProblemError(refusalOf(answer, api.name, path));
      return parsed(
        () => parseTold(jsonOf(answer, api.name, path), answer.headers.get("x-ms-ccf-transaction-id"), askedAt),
        api,
      );
    },
    [],
    EVERY_MS,
  );
}

function parsed<T>(read: () => T, api: NodeApi): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new ProblemError({
      code: "NodeNonsense",
      what: `${api.name} answered with a list of proposals that is none`,
      why: error.message,
      todo: "Rely on what is folded from the ledger, and ask another node",
    });
  }
}

/** What the node says of proposals, held against the ledger as of the same transaction. */
export function useComparison(): Loaded<Comparison> {
  const told = useTold();
  const answer = told.kind === "ready" ? told.value : undefined;
  const signed = ledgerState.value.signed?.seqno ?? 0;
  const compared = useLedger(async (ledger): Promise<Comparison | undefined> => {
    if (answer === undefined) return undefined;
    const when = comparableAt(answer, signed);
    if ("why" in when) return { kind: "not yet", why: when.why };
    const asOf = answer.asOf?.seqno === when.at ? formatTxId(answer.asOf) : `seqno ${when.at}`;
    const rows = when.at === 0 ? [] : await liveProposals(ledger, when.at);
    const discrepancies = compareTold(answer, rows);
    return discrepancies.length === 0 ? { kind: "same", asOf } : { kind: "different", asOf, discrepancies };
  }, [answer]);
  if (told.kind !== "ready") return told;
  if (compared.kind !== "ready") return compared;
  return compared.value === undefined ? { kind: "loading" } : { kind: "ready", value: compared.value };
}
