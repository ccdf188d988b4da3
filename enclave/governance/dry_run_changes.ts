/**
 * What a transaction would change, for people: row by row, before and after, and what they should think twice about.
 *
 * In: a transaction that was written to and not committed. Out: rows of public tables, shortened; sentences.
 */

import {
  type ByteString,
  fromByteString,
  fromUtf8,
  fromUtf8Lenient,
  toBase64,
  toByteString,
  toHex,
} from "../../shared/bytes.ts";
import { FormatError } from "../../shared/assert.ts";
import { hash } from "../../shared/crypto/hashes.ts";
import * as tables from "../../shared/governance/tables.ts";
import { parseJsonText } from "../../shared/json.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { MAX_DRY_RUN_CHANGES, MAX_DRY_RUN_VALUE_CHARACTERS } from "../../shared/limits.ts";

export interface Change {
  readonly table: string;
  readonly key: string;
  /** JSON, or text, or `{"$base64"}`; what is long is told by `{"sha256", "bytes"}`. Absent where there was nothing. */
  readonly before?: unknown;
  readonly after?: unknown;
}

/** What a node makes anew each time: that it changes counts, not how. */
const MADE_ANEW: ReadonlySet<string> = new Set([
  tables.RECOVERY_SHARES.name,
  tables.HISTORICAL_ENCRYPTED_LEDGER_SECRET.name,
  tables.ENCRYPTED_LEDGER_SECRETS.name,
  tables.MODULES_QUICKJS_BYTECODE.name,
  tables.PREVIOUS_SERVICE_IDENTITY_ENDORSEMENT.name,
]);

/** @param proposalId whose own row does not count: that it is accepted is known */
export function changesOf(
  trial: Transaction,
  proposalId: string,
): { readonly changes: readonly Change[]; readonly changesLeftOut: number } {
  const changes: Change[] = [];
  let count = 0;
  for (const { name, writes, removes } of trial.writeSet().publicTables) {
    const add = (key: ByteString, after: Uint8Array | undefined) => {
      const keyText = keyOf(key);
      if (name === tables.PROPOSALS_INFO.name && keyText === proposalId) return;
      const before = trial.storedValue(name, key);
      if (before === undefined && after === undefined) return;
      if (before !== undefined && after !== undefined && toByteString(before) === toByteString(after)) return;
      if (++count > MAX_DRY_RUN_CHANGES) return;
      const shown = (value: Uint8Array) => MADE_ANEW.has(name) ? "made anew by the node" : shownValue(value);
      changes.push({
        table: name,
        key: keyText,
        ...(before !== undefined && { before: shown(before) }),
        ...(after !== undefined && { after: shown(after) }),
      });
    };
    for (const [key, value] of writes) add(key, value);
    for (const key of removes) add(key, undefined);
  }
  return { changes, changesLeftOut: Math.max(0, count - MAX_DRY_RUN_CHANGES) };
}

/** Text, or hex where it is none; nothing for the only key of a table that has one. */
function keyOf(key: ByteString): string {
  const bytes = fromByteString(key);
  if (bytes.length === 8 && bytes.every((byte) => byte === 0)) return "";
  try {
    return fromUtf8(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return toHex(bytes);
  }
}

function shownValue(value: Uint8Array): unknown {
  if (value.length > MAX_DRY_RUN_VALUE_CHARACTERS) {
    return { sha256: toHex(hash("SHA-256", value)), bytes: value.length };
  }
  const text = fromUtf8Lenient(value);
  if (text.includes("\ufffd")) return { $base64: toBase64(value) };
  try {
    return parseJsonText(text);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return text;
  }
}

/** Tables in which a new row lets code take part that could not before. */
const CODE_TABLES = [
  tables.NODES_CODE_IDS,
  tables.VIRTUAL_MEASUREMENTS,
  tables.VIRTUAL_HOST_DATA,
  tables.SNP_MEASUREMENTS,
  tables.SNP_HOST_DATA,
  tables.SNP_UVM_ENDORSEMENTS,
  tables.SGX_MEASUREMENTS,
  tables.TDX_MEASUREMENTS,
  tables.TDX_HOST_DATA,
] as const;

/**
 * What members should think twice about.
 *
 * @param before the state that the transaction reads
 */
export function warningsOf(before: Transaction, trial: Transaction): string[] {
  const changed = new Map(trial.writeSet().publicTables.map((table) => [table.name, table]));
  const warnings: string[] = [];
  const warn = (condition: boolean, sentence: string) => {
    if (condition) warnings.push(sentence);
  };
  warn(changed.has(tables.CONSTITUTION.name), "It changes the constitution: what can be decided, and by whom");
  const threshold = (tx: Transaction) => tx.open(tables.SERVICE_CONFIG).get()?.recovery_threshold ?? 0;
  const [old, next] = [threshold(before), threshold(trial)];
  warn(next < old, `It lowers the recovery threshold from ${old} to ${next}: fewer members can read everything`);
  warn(next > old, `It raises the recovery threshold from ${old} to ${next}: more members must come for a recovery`);
  const [holdersBefore, holders] = [shareHolders(before), shareHolders(trial)];
  warn(
    holders < holdersBefore && holders <= next,
    `${holders} active members could take part in a recovery afterwards, and it takes ${next}`,
  );
  for (const { name } of CODE_TABLES) {
    const added = changed.get(name)?.writes.map(([key]) => keyOf(key)) ?? [];
    warn(added.length > 0, `It lets code take part that is not known yet (${name}): ${added.slice(0, 3).join(", ")}`);
  }
  const app = [tables.MODULES, tables.ENDPOINTS].some(({ name }) => changed.has(name));
  warn(app, "It changes the app, and so who may read and change what users stored");
  const status = (tx: Transaction) => tx.open(tables.SERVICE_INFO).get()?.status;
  warn(status(before) !== status(trial), `It makes the service ${status(trial)}; it is ${status(before)} now`);
  warn(changed.has(tables.ENCRYPTED_LEDGER_SECRETS.name), "It gives the ledger a new key from the next transaction on");
  const dropped = changed.get(tables.PROPOSALS_INFO.name)?.writes
    .filter(([, value]) => tables.PROPOSALS_INFO.value.decode(value).state === "Dropped").map(([key]) => keyOf(key)) ??
    [];
  warn(dropped.length > 0, `It drops other open proposals: ${dropped.join(", ")}`);
  return warnings;
}

function shareHolders(tx: Transaction): number {
  let count = 0;
  for (const [id, { status, recovery_role }] of tx.open(tables.MEMBERS_INFO).entries()) {
    const takesPart = status === "Active" && recovery_role !== "NonParticipant";
    if (takesPart && tx.open(tables.MEMBERS_ENCRYPTION_PUBLIC_KEYS).has(id)) count++;
  }
  return count;
}
