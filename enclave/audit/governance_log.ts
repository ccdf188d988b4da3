/**
 * What members decided and what became of the service, in the order of the ledger, one sentence each.
 *
 * In: transactions that were verified. Out: events, and who governs after the last of them.
 * Whether any of it follows is for others: signatures for the replay (`shared/ledger/replay/governance.ts`), decisions for
 * `governance_audit.ts`.
 * Formats: ledger-and-receipts.md §10.2
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { FormatError } from "../../shared/assert.ts";
import { type ByteString, fromByteString, fromUtf8Lenient, toHex } from "../../shared/bytes.ts";
import * as tables from "../../shared/governance/tables.ts";
import { parseJsonBytes } from "../../shared/json.ts";
import { listOf, object, text } from "../../shared/json_shape.ts";
import type { TableWrites } from "../../shared/kv/write_set.ts";
import { LedgerEntry } from "../../shared/ledger/entry.ts";
import type { Snapshot } from "../../shared/ledger/snapshot.ts";
import { MAX_LISTED_FINDINGS } from "../../shared/limits.ts";
import { formatTxId, type TxId } from "../../shared/tx_id.ts";

export interface GovernanceEvent {
  readonly txId: TxId;
  readonly what: string;
}

export interface Governor {
  readonly id: string;
  readonly status: string;
  /** Participant, NonParticipant or Owner, where it is said. */
  readonly recoveryRole: string | undefined;
}

const PROPOSAL = object({ actions: listOf(object({ name: text })) });

/** What is said of every table that others only add to or remove from, by table name. */
const LISTS: ReadonlyMap<string, string> = new Map([
  [tables.NODES_CODE_IDS.name, "SGX measurement"],
  [tables.SGX_MEASUREMENTS.name, "SGX measurement"],
  [tables.TDX_MEASUREMENTS.name, "TDX measurement"],
  [tables.TDX_HOST_DATA.name, "TDX host data"],
  [tables.DCAP_TCB_STATUSES.name, "TCB status"],
  [tables.VIRTUAL_MEASUREMENTS.name, "virtual measurement"],
  [tables.VIRTUAL_HOST_DATA.name, "virtual host data"],
  [tables.SNP_MEASUREMENTS.name, "SNP measurement"],
  [tables.SNP_HOST_DATA.name, "SNP host data"],
  [tables.SNP_UVM_ENDORSEMENTS.name, "UVM endorsement"],
  [tables.SNP_TCB_VERSIONS.name, "SNP TCB version"],
  [tables.JWT_ISSUERS.name, "JWT issuer"],
  [tables.CA_CERT_BUNDLES.name, "CA bundle"],
  [tables.ENDPOINTS.name, "endpoint"],
  [tables.MODULES.name, "module"],
]);
/** More of a kind in one transaction are counted. */
const MAX_NAMED = 3;

export class GovernanceLog {
  readonly events: GovernanceEvent[] = [];
  /** Events that are not listed, since there are too many. */
  unlisted = 0;
  readonly #members = new Map<string, Governor>();
  readonly #nodes = new Map<string, string>();
  readonly #proposals = new Map<string, { readonly state: string; readonly ballots: number }>();
  #serviceStatus = "";
  #recoveryThreshold: number | undefined;
  #txId: TxId = { view: 0, seqno: 0 };

  /** Members as of the last transaction, by ID. */
  get members(): readonly Governor[] {
    return [...this.#members.values()].sort((a, b) => a.id < b.id ? -1 : 1);
  }

  get recoveryThreshold(): number | undefined {
    return this.#recoveryThreshold;
  }

  /** Takes over what a snapshot holds, as it stands. */
  startFrom(snapshot: Snapshot): void {
    this.#txId = { view: snapshot.viewStarts.length, seqno: snapshot.seqno };
    for (const { name, entries } of snapshot.publicTables(tolerate)) {
      const writes = Array.from(entries, ({ key, value }) => [key, value] as const);
      this.#note({ name, writes, removes: [] });
    }
    this.events.length = 0;
  }

  /** The next transaction. */
  add(bytes: Uint8Array): void {
    const entry = LedgerEntry.parse(bytes);
    const changed = entry.publicTables(tolerate).filter(({ name }) => name.startsWith("public:ccf."));
    if (changed.length === 0) return;
    this.#txId = entry.txId;
    for (const table of changed) this.#note(table);
  }

  #note(changes: TableWrites): void {
    const list = LISTS.get(changes.name);
    if (list !== undefined) return this.#noteList(list, changes);
    for (const [key, value] of changes.writes) {
      try {
        this.#noteWrite(changes.name, fromUtf8Lenient(fromByteString(key)), value);
      } catch (error) {
        // What tables hold is anybody's JSON here and there.
        if (!(error instanceof FormatError)) throw error;
        this.#say(`Table ${changes.name} is changed in a way that cannot be read: ${error.message}`);
      }
    }
    for (const key of changes.removes) this.#noteRemove(changes.name, fromUtf8Lenient(fromByteString(key)));
  }

  #noteWrite(table: string, key: string, value: Uint8Array): void {
    switch (table) {
      case tables.SERVICE_INFO.name: {
        const { status } = tables.SERVICE_INFO.value.decode(value);
        if (status !== this.#serviceStatus) this.#say(`The service is ${status}`);
        this.#serviceStatus = status;
        return;
      }
      case tables.SERVICE_CONFIG.name: {
        const { recovery_threshold: threshold } = tables.SERVICE_CONFIG.value.decode(value);
        if (threshold !== this.#recoveryThreshold) this.#say(`It takes ${threshold} recovery shares to recover`);
        this.#recoveryThreshold = threshold;
        return;
      }
      case tables.CONSTITUTION.name:
        return this.#say(`The constitution is the one with sha256:${toHex(sha256(value))}`);
      case tables.MEMBERS_INFO.name: {
        const { status, recovery_role: recoveryRole } = tables.MEMBERS_INFO.value.decode(value);
        if (status !== this.#members.get(key)?.status) this.#say(`Member ${short(key)} is ${status}`);
        this.#members.set(key, { id: key, status, recoveryRole });
        return;
      }
      case tables.USERS_CERTS.name:
        return this.#say(`User ${short(key)} is added`);
      case tables.NODES_INFO.name: {
        const status = NODE(parseJsonBytes(value), "").status;
        if (status !== this.#nodes.get(key)) this.#say(`Node ${short(key)} is ${status}`);
        this.#nodes.set(key, status);
        return;
      }
      case tables.PROPOSALS.name:
        return this.#say(`Proposal ${short(key)} is submitted: ${describeProposal(value)}`);
      case tables.PROPOSALS_INFO.name: {
        const { state, ballots } = tables.PROPOSALS_INFO.value.decode(value);
        const before = this.#proposals.get(key);
        const count = Object.keys(ballots).length;
        if (state !== before?.state || count !== before.ballots) {
          this.#say(`Proposal ${short(key)} is ${state}, with ${count === 1 ? "1 ballot" : `${count} ballots`}`);
        }
        this.#proposals.set(key, { state, ballots: count });
        return;
      }
      case tables.RECOVERY_SHARES.name: {
        const { encrypted_shares: shares } = tables.RECOVERY_SHARES.value.decode(value);
        return this.#say(`Recovery shares are issued to ${Object.keys(shares).length} members`);
      }
    }
  }

  #noteRemove(table: string, key: string): void {
    switch (table) {
      case tables.MEMBERS_INFO.name:
        if (this.#members.delete(key)) this.#say(`Member ${short(key)} is removed`);
        return;
      case tables.USERS_CERTS.name:
        return this.#say(`User ${short(key)} is removed`);
      case tables.NODES_INFO.name:
        if (this.#nodes.delete(key)) this.#say(`Node ${short(key)} is removed`);
        return;
      case tables.PROPOSALS_INFO.name:
        // Closed proposals are tidied away when the next one closes.
        this.#proposals.delete(key);
    }
  }

  #noteList(what: string, { writes, removes }: TableWrites): void {
    if (writes.length > 0) this.#say(`${named(what, writes.map(([key]) => key))} set`);
    if (removes.length > 0) this.#say(`${named(what, removes)} removed`);
  }

  #say(sentence: string): void {
    const what = sentence.charAt(0).toUpperCase() + sentence.slice(1);
    if (this.events.length < MAX_LISTED_FINDINGS) this.events.push({ txId: this.#txId, what });
    else this.unlisted++;
  }
}

const NODE = object({ status: text });

function describeProposal(value: Uint8Array): string {
  try {
    const { actions } = PROPOSAL(parseJsonBytes(value), "");
    return actions.map(({ name }) => name).join(", ") || "no actions";
  } catch (error) {
    if (error instanceof FormatError) return "its actions cannot be read";
    throw error;
  }
}

function named(what: string, keys: readonly ByteString[]): string {
  const isOne = keys.length === 1;
  const names = keys.slice(0, MAX_NAMED).map((key) => fromUtf8Lenient(fromByteString(key)));
  const more = keys.length > MAX_NAMED ? ` and ${keys.length - MAX_NAMED} more` : "";
  return `${what}${isOne ? "" : "s"} ${names.join(", ")}${more} ${isOne ? "is" : "are"}`;
}

/** Long hexadecimal IDs by their beginning, as people say them. */
function short(id: string): string {
  return /^[0-9a-f]{64}$/.test(id) ? id.slice(0, 12) : id;
}

export function describeEvent({ txId, what }: GovernanceEvent): string {
  return `${formatTxId(txId)}  ${what}`;
}

const tolerate = () => {};
