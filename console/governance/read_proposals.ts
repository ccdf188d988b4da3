/**
 * Proposals, read through the ledger worker.
 *
 * In: the worker. Out: records (`proposals.ts`) as of the last signature. Entries never change once they are signed, so
 * what was read of one is kept by the caller's cache.
 */

import { fromByteString, toUtf8 } from "../../shared/bytes.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { PROPOSALS, PROPOSALS_INFO } from "../../shared/governance/tables.ts";
import { MAX_PAGE_GOVERNANCE_ENTRIES, MAX_PAGE_QUESTIONS_AT_ONCE } from "../../shared/limits.ts";
import type { Seqno } from "../../shared/tx_id.ts";
import { foldedTable } from "../folded.ts";
import type { LedgerApi } from "../ledger/protocol.ts";
import { type GovernanceEntry, governanceEntryOf } from "./entries.ts";
import { type LiveProposal, type ProposalRecord, proposalRecords } from "./proposals.ts";

export type ProposalLedger = Pick<LedgerApi, "entries" | "transaction" | "value" | "table" | "history">;

/** Entries of one ledger that were read and are signed. */
export type EntryCache = Map<Seqno, GovernanceEntry>;

export interface ProposalList {
  /** Newest first. */
  readonly proposals: readonly ProposalRecord[];
  /** Entries about proposals that are older than those that were read. */
  readonly olderEntries: number;
  /** What could not be read, as sentences. */
  readonly odd: readonly string[];
}

/** The proposals that stand in the table, and those of the newest entries about proposals. */
export async function readProposals(ledger: ProposalLedger, cache: EntryCache): Promise<ProposalList> {
  const filter = { table: PROPOSALS_INFO.name };
  const { total } = await ledger.entries(filter, 0, 0);
  const offset = Math.max(0, total - MAX_PAGE_GOVERNANCE_ENTRIES);
  const [page, live] = await Promise.all([ledger.entries(filter, offset, total - offset), liveProposals(ledger)]);
  const read = new Map<Seqno, GovernanceEntry>();
  const readAll = async (seqnos: readonly Seqno[]) => {
    for (const entry of await entriesAt(ledger, seqnos, cache)) read.set(entry.seqno, entry);
  };
  // What no signature covers yet is not shown: it may never come to be.
  await readAll(page.rows.filter(({ proof }) => proof !== "unsigned").map(({ seqno }) => seqno));
  for (const { id } of live) {
    const isWhole = [...read.values()].some(({ changes }) =>
      changes.some((change) => change.id === id && change.before === undefined)
    );
    if (!isWhole) await readAll(await seqnosOf(ledger, id));
  }
  const entries = [...read.values()].toSorted((a, b) => a.seqno - b.seqno);
  return { proposals: proposalRecords(entries, live), olderEntries: offset, odd: entries.flatMap(({ odd }) => odd) };
}

/** One proposal; undefined where the ledger has never had it, as far as it was folded. */
export async function readProposal(
  ledger: ProposalLedger,
  id: string,
  cache: EntryCache,
): Promise<ProposalRecord | undefined> {
  const live = (await liveProposals(ledger)).filter((row) => row.id === id);
  const entries = await entriesAt(ledger, await seqnosOf(ledger, id), cache);
  const signed = entries.filter(({ proof }) => proof !== "unsigned").toSorted((a, b) => a.seqno - b.seqno);
  return proposalRecords(signed, live).find((record) => record.id === id);
}

async function seqnosOf(ledger: ProposalLedger, id: string): Promise<readonly Seqno[]> {
  const history = await ledger.history(PROPOSALS_INFO.name, toUtf8(id));
  return history.slice(0, MAX_PAGE_GOVERNANCE_ENTRIES).map(({ seqno }) => seqno);
}

async function entriesAt(
  ledger: ProposalLedger,
  seqnos: readonly Seqno[],
  cache: EntryCache,
): Promise<readonly GovernanceEntry[]> {
  const entries: GovernanceEntry[] = [];
  for (let i = 0; i < seqnos.length; i += MAX_PAGE_QUESTIONS_AT_ONCE) {
    const some = await Promise.all(
      seqnos.slice(i, i + MAX_PAGE_QUESTIONS_AT_ONCE).map(async (seqno) => {
        const known = cache.get(seqno);
        if (known !== undefined) return known;
        const answer = await ledger.transaction(seqno);
        if (!answer.found) return undefined;
        const entry = await governanceEntryOf(ledger, noblePrimitives, answer.transaction);
        if (entry.proof === "verified") cache.set(seqno, entry);
        return entry;
      }),
    );
    for (const entry of some) if (entry !== undefined) entries.push(entry);
  }
  return entries;
}

/** Rows of the table as they stand. @param at as of which seqno; left out: the last signed one */
export async function liveProposals(
  ledger: Pick<LedgerApi, "table" | "value">,
  at?: Seqno,
): Promise<readonly LiveProposal[]> {
  const { rows } = await foldedTable(ledger, PROPOSALS_INFO, at);
  return await Promise.all(rows.map(async ({ key, value, writtenAt }) => {
    const text = await ledger.value(PROPOSALS.name, fromByteString(PROPOSALS.key.encode(key)), at);
    return { id: key, info: value, text: text?.value, writtenAt };
  }));
}
