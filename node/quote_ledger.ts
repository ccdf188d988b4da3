/**
 * Reading a whole ledger for what it says about trust, wherever it is: from a node, from files, from a bundle.
 *
 * In: where it is. Out: the ledger folded, every member's request decided again; or why it is not to be had. Nobody who
 * hands it out need be believed.
 */

import type { EvidenceAnchors } from "../shared/attestation/evidence.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { type LedgerPin, type PinBreach, pinMismatch, pinNotSeen } from "../shared/ledger/pin.ts";
import type { ReplayMode } from "../shared/ledger/replay/state.ts";
import { MAX_BUNDLE_LEDGER_BYTES, MAX_TRUST_LEDGER_BYTES } from "../shared/limits.ts";
import type { MerkleTree } from "../shared/merkle/tree.ts";
import type { RedecidedRequests } from "../shared/trust/network_rung.ts";
import { TrustFold } from "../shared/trust/trust_fold.ts";
import type { Seqno } from "../shared/tx_id.ts";
import type { AppEngine } from "../enclave/app_engine.ts";
import type { LedgerOutput } from "./commands/ledger_output.ts";
import { Unreachable } from "./commands/node_client.ts";
import { describeFinding, GovernanceAudit } from "../enclave/audit/governance_audit.ts";
import { listLedger } from "./ledger_listing.ts";
import { walkLedger } from "./ledger_scan.ts";
import { isNodeUrl, NodeSource, parseNodeUrl } from "./quote_source.ts";

export interface LedgerReaderOptions {
  readonly primitives: Primitives;
  readonly mode: ReplayMode;
  readonly anchors: EvidenceAnchors | undefined;
  /** Decides members' requests again; undefined where nobody asks for that. */
  readonly engine: AppEngine | undefined;
  /** Whether the entries are wanted too. */
  readonly keepEntries: boolean;
  /** What was verified before, which the ledger must go on from. */
  readonly pin?: LedgerPin | undefined;
}

/** What was read. */
export interface ReadLedger {
  readonly ledger: TrustFold | { readonly unavailable: string };
  readonly redecided?: RedecidedRequests | undefined;
  /** What came of the pin. */
  readonly pinned?: { readonly pin: LedgerPin; readonly breach: PinBreach | undefined } | undefined;
  /** What to pin next, where the rest holds; undefined where the ledger does not. */
  readonly nextPin?: LedgerPin | undefined;
  /** For a bundle, where they are few enough. */
  readonly entries?: readonly Uint8Array[] | undefined;
}

export const NO_LEDGER: ReadLedger = { ledger: { unavailable: "no rung that needs it was asked for" } };

/** From a directory, or a node. @throws UsageError, Unreachable */
export async function readElsewhere(
  where: string,
  reader: LedgerReader,
  servicePem: string | undefined,
  output: LedgerOutput,
): Promise<ReadLedger> {
  if (!isNodeUrl(where)) return reader.fromDirectory(where, output);
  using source = await NodeSource.open(parseNodeUrl(where), servicePem);
  return await reader.fromNode(source, output);
}

/**
 * From the node that was asked, or where it has not the first entries, as one that began with a snapshot, from another
 * node of its service: it does not matter who hands the ledger out.
 *
 * @param makeReader one for each attempt
 */
export async function readFromNetwork(
  source: NodeSource,
  makeReader: () => LedgerReader,
  output: LedgerOutput,
): Promise<ReadLedger> {
  const own = await makeReader().fromNode(source, output);
  if (!("unavailable" in own.ledger)) return own;
  for (const url of await othersOf(source)) {
    try {
      using other = await NodeSource.open(url, source.servicePem);
      const read = await makeReader().fromNode(other, output);
      if ("unavailable" in read.ledger || read.ledger.failure !== undefined) continue;
      output.note(`${own.ledger.unavailable.split(";")[0]}: it was read from ${url.origin}`);
      return read;
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
    }
  }
  return own;
}

/** None where the node does not say: then it is its own ledger that is missing. */
async function othersOf(source: NodeSource): Promise<URL[]> {
  try {
    return await source.others();
  } catch (error) {
    if (error instanceof Unreachable) return [];
    throw error;
  }
}

/** Folds a ledger wherever it comes from; nobody who hands it out need be believed. */
export class LedgerReader {
  readonly #fold: TrustFold;
  readonly #audit: GovernanceAudit | undefined;
  /** Kept for a bundle; undefined once there are too many, or none is wanted. */
  #kept: Uint8Array[] | undefined;
  #bytes = 0;
  readonly #pin: LedgerPin | undefined;
  #pinSeen = false;
  #pinBreach: PinBreach | undefined;
  #lastPin: LedgerPin | undefined;

  constructor({ primitives, mode, anchors, engine, keepEntries, pin }: LedgerReaderOptions) {
    this.#audit = engine && new GovernanceAudit(primitives, engine);
    this.#pin = pin;
    this.#fold = new TrustFold({ primitives, mode, anchors, onEntry: (entry, tree) => this.#accepted(entry, tree) });
    this.#kept = keepEntries ? [] : undefined;
  }

  async fromNode(source: NodeSource, output: LedgerOutput): Promise<ReadLedger> {
    const to = await source.committed();
    for (let from: Seqno = 1; from <= to;) {
      const entries = await source.entries(from, to);
      if (typeof entries === "string") {
        const remedy = "name another node, or a copy of the ledger's files, with --ledger";
        return { ledger: { unavailable: `${entries}; ${remedy}` } };
      }
      for (const entry of entries) if (!this.#add(entry)) return this.#end();
      if (this.#bytes > MAX_TRUST_LEDGER_BYTES) {
        const reason =
          `the ledger has more than ${MAX_TRUST_LEDGER_BYTES} bytes, which is more than is read from a node`;
        return { ledger: { unavailable: `${reason}; name a copy of its files with --ledger` } };
      }
      from += entries.length;
      output.progress(from - 1, to);
    }
    return this.#end();
  }

  fromEntries(entries: readonly Uint8Array[]): ReadLedger {
    for (const entry of entries) if (!this.#add(entry)) break;
    return this.#end();
  }

  /** @throws UsageError */
  fromDirectory(directory: string, output: LedgerOutput): ReadLedger {
    const { files } = listLedger(directory);
    const total = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    let bytes = 0;
    for (const step of walkLedger(files, 1, (count) => output.progress(bytes += count, total))) {
      if (step.kind === "misplaced" || step.kind === "damaged") {
        return { ledger: { unavailable: `of the ledger in ${directory}: ${step.reason}` } };
      }
      // A walk hands out views into what it has read.
      if (step.kind === "entry" && !this.#add(step.entry.bytes)) break;
    }
    return this.#end();
  }

  #add(entry: Uint8Array): boolean {
    this.#bytes += entry.length;
    if (this.#bytes > MAX_BUNDLE_LEDGER_BYTES) this.#kept = undefined;
    this.#kept?.push(entry);
    return this.#fold.add(entry);
  }

  /** The fold hands on what a signature covers, with the tree and the identities of then. */
  #accepted(entry: Uint8Array, tree: MerkleTree): void {
    this.#audit?.add(entry, tree);
    const { last, lastSigned, identities } = this.#fold;
    const isPinned = last.seqno === this.#pin?.lastSigned.seqno;
    if (last !== lastSigned && !isPinned) return;
    const found = {
      serviceIdentity: identities.at(-1)!.certificate.nodeId,
      lastSigned: last,
      root: tree.root(last.seqno),
    };
    if (last === lastSigned) this.#lastPin = found;
    if (!isPinned) return;
    this.#pinSeen = true;
    this.#pinBreach = pinMismatch(this.#pin!, found, last === lastSigned);
  }

  #end(): ReadLedger {
    if (this.#fold.failure === undefined) this.#fold.finish();
    const audit = this.#audit;
    const pin = this.#pin;
    return {
      ledger: this.#fold,
      pinned: pin && { pin, breach: this.#pinSeen ? this.#pinBreach : pinNotSeen(pin, this.#fold.last) },
      nextPin: this.#fold.failure === undefined ? this.#lastPin : undefined,
      redecided: audit && {
        requests: audit.requests,
        doubt: audit.firstDoubt && describeFinding(audit.firstDoubt),
        undecidable: audit.findings.length + audit.unlisted,
      },
      entries: this.#kept,
    };
  }
}
