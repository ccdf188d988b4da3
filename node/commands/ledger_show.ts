/**
 * `ledger show` and `ledger decrypt`: what is in a ledger, transaction by transaction. Nothing is verified.
 *
 * In: a listing, which part of it to show, and secrets to decrypt with. Out: text for people, or one JSON object a line;
 * an exit code.
 */

import { FormatError } from "../../shared/assert.ts";
import { equalBytes, toHex } from "../../shared/bytes.ts";
import type { ByteString } from "../../shared/bytes.ts";
import { fromByteString } from "../../shared/bytes.ts";
import type { Primitives } from "../../shared/crypto/primitives.ts";
import type { TableWrites } from "../../shared/kv/write_set.ts";
import { FORCE_CHUNK_AFTER, FORCE_CHUNK_BEFORE, LedgerEntry } from "../../shared/ledger/entry.ts";
import type { LedgerSecrets } from "../../shared/ledger/secrets.ts";
import { SIGNATURES } from "../../shared/ledger/table_names.ts";
import { MAX_SEQNO } from "../../shared/limits.ts";
import { NO_CLAIMS } from "../../shared/merkle/leaf.ts";
import { formatTxId, type Seqno } from "../../shared/tx_id.ts";
import type { LedgerFile } from "../ledger_listing.ts";
import { walkLedger } from "../ledger_scan.ts";
import { ExitCode } from "./exit.ts";
import type { LedgerOutput } from "./ledger_output.ts";
import { describeKey, describeValue, safeJson, textOrHex } from "./ledger_values.ts";

export interface ShowRequest {
  readonly primitives: Primitives;
  readonly files: readonly LedgerFile[];
  readonly from?: Seqno | undefined;
  readonly to?: Seqno | undefined;
  /** Only transactions that change this table, and only what they do to it. */
  readonly table?: string | undefined;
  /** Only transactions that change this key, and only what they do to it. */
  readonly key?: ByteString | undefined;
  readonly json: boolean;
  /** Undefined: private tables stay closed. */
  readonly secrets?: LedgerSecrets | undefined;
  /** From this seqno on no secret is known, whatever `secrets` says. */
  readonly unsharedFrom?: Seqno | undefined;
}

/** Private tables of a transaction, or why they are not there. */
type PrivateTables =
  | { readonly kind: "none" }
  | { readonly kind: "closed"; readonly bytes: number }
  | { readonly kind: "damaged"; readonly bytes: number }
  | { readonly kind: "open"; readonly tables: readonly TableWrites[] };

/** @returns 0; 1 where something does not open with the secret it should be sealed with; 2 where a file is damaged */
export function showLedger(request: ShowRequest, output: LedgerOutput): number {
  const { from = 1, to = MAX_SEQNO, json } = request;
  const files = request.files.filter(({ name }, i) => {
    const last = name.last ?? (request.files[i + 1]?.name.first ?? MAX_SEQNO) - 1;
    return name.first <= to && last >= from;
  });
  let found = 0;
  let damagedFiles = 0;
  let closed = 0;
  let damaged = 0;

  for (const step of walkLedger(files, files[0]?.name.first ?? 1)) {
    switch (step.kind) {
      case "entry": {
        const entry = parse(step.entry.bytes, step.file, output);
        if (entry === undefined) {
          damagedFiles++;
          break;
        }
        if (entry.seqno < from || entry.seqno > to) break;
        const privateTables = openPrivateTables(request, entry);
        const shown = selection(request, entry, privateTables);
        if (shown === undefined) break;
        found++;
        if (privateTables.kind === "closed") closed++;
        if (privateTables.kind === "damaged") damaged++;
        const text = json
          ? safeJson(describeForMachines(request, shown, step.file, step.entry.offset))
          : describeForPeople(shown, step.file, output);
        if (!output.line(text)) return ExitCode.done;
        break;
      }
      case "misplaced":
        output.note(step.reason);
        break;
      case "damaged":
        output.note(`${step.file.path}: ${step.reason}`);
        damagedFiles++;
        break;
      case "end":
        if (step.end.incompleteBytes > 0) {
          output.note(`${step.file.path} ends with ${step.end.incompleteBytes} bytes that are no whole entry`);
        }
    }
  }
  if (found === 0) output.note("There are no such transactions in these files");
  if (request.secrets !== undefined && closed > 0) {
    output.note(`${closed} transactions stay encrypted: no ledger secret is known for them`);
  }
  if (damaged > 0) output.note(`${damaged} transactions do not open: they were changed, or the secrets are others`);
  if (damagedFiles > 0) return ExitCode.usage;
  return damaged > 0 ? ExitCode.refused : ExitCode.done;
}

function parse(bytes: Uint8Array, file: LedgerFile, output: LedgerOutput): LedgerEntry | undefined {
  try {
    const entry = LedgerEntry.parse(bytes);
    entry.publicTables(tolerate);
    return entry;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    output.note(`${file.path}: ${error.message}`);
    return undefined;
  }
}

function openPrivateTables({ primitives, secrets, unsharedFrom }: ShowRequest, entry: LedgerEntry): PrivateTables {
  if (!entry.hasPrivateTables) return { kind: "none" };
  const bytes = entry.frame.ciphertext.length;
  const secret = entry.seqno >= (unsharedFrom ?? Infinity) ? undefined : secrets?.at(entry.seqno);
  if (secret === undefined) return { kind: "closed", bytes };
  try {
    const tables = entry.privateTables(primitives, secret.key, tolerate);
    return tables === undefined ? { kind: "damaged", bytes } : { kind: "open", tables };
  } catch (error) {
    if (error instanceof FormatError) return { kind: "damaged", bytes };
    throw error;
  }
}

/** What of a transaction is shown. */
interface Shown {
  readonly entry: LedgerEntry;
  readonly publicTables: readonly TableWrites[];
  readonly privateTables: PrivateTables;
}

function selection(request: ShowRequest, entry: LedgerEntry, privateTables: PrivateTables): Shown | undefined {
  const publicTables = entry.publicTables();
  const { table, key } = request;
  if (table === undefined && key === undefined) return { entry, publicTables, privateTables };
  const select = (tables: readonly TableWrites[]) =>
    tables.filter(({ name }) => table === undefined || name === table)
      .map((changes) => key === undefined ? changes : onlyKey(changes, key))
      .filter(({ writes, removes }) => writes.length + removes.length > 0);
  const open = privateTables.kind === "open" ? select(privateTables.tables) : [];
  const selected = select(publicTables);
  if (selected.length + open.length === 0) return undefined;
  return { entry, publicTables: selected, privateTables: open.length > 0 ? { kind: "open", tables: open } : NONE };
}

const NONE: PrivateTables = { kind: "none" };

function onlyKey({ name, writes, removes }: TableWrites, key: ByteString): TableWrites {
  return {
    name,
    writes: writes.filter(([written]) => written === key),
    removes: removes.filter((removed) => removed === key),
  };
}

function describeForPeople({ entry, publicTables, privateTables }: Shown, file: LedgerFile, output: LedgerOutput) {
  const { bold, cyan, dim, red, yellow } = output.colors;
  const marks = [`${entry.bytes.length} bytes`, file.fileName];
  if (publicTables.some(({ name }) => name === SIGNATURES)) marks.push("signature");
  if ((entry.flags & FORCE_CHUNK_BEFORE) !== 0) marks.push("begins its file");
  if ((entry.flags & FORCE_CHUNK_AFTER) !== 0) marks.push("ends its file");
  if (entry.claimsDigest !== undefined && !equalBytes(entry.claimsDigest, NO_CLAIMS)) {
    marks.push(`claims ${toHex(entry.claimsDigest)}`);
  }
  const lines = [`${bold(formatTxId(entry.txId))}  ${dim(marks.join(", "))}`];
  const describeTables = (tables: readonly TableWrites[]) => {
    for (const { name, writes, removes } of tables) {
      lines.push(`  ${cyan(safeJson(name).slice(1, -1))}`);
      for (const [key, value] of writes) lines.push(`    ${describeKey(key)} = ${describeValue(value)}`);
      for (const key of removes) lines.push(`    ${describeKey(key)} ${yellow("removed")}`);
    }
  };
  describeTables(publicTables);
  if (privateTables.kind === "open") describeTables(privateTables.tables);
  if (privateTables.kind === "closed") lines.push(`  ${dim(`encrypted, ${privateTables.bytes} bytes`)}`);
  if (privateTables.kind === "damaged") lines.push(`  ${red(`does not open, ${privateTables.bytes} bytes`)}`);
  return lines.join("\n");
}

function describeForMachines({ primitives }: ShowRequest, shown: Shown, file: LedgerFile, offset: number) {
  const { entry, publicTables, privateTables } = shown;
  const hexOf = (bytes: Uint8Array | undefined) => bytes === undefined ? null : toHex(bytes);
  return {
    tx_id: formatTxId(entry.txId),
    view: entry.view,
    seqno: entry.seqno,
    file: file.fileName,
    offset,
    size: entry.bytes.length,
    flags: entry.flags,
    type: entry.type,
    write_set_digest: toHex(entry.writeSetDigest(primitives)),
    claims_digest: hexOf(entry.claimsDigest),
    commit_evidence_digest: hexOf(entry.commitEvidenceDigest),
    public: tablesAsJson(publicTables),
    private: privateAsJson(privateTables),
  };
}

function privateAsJson(tables: PrivateTables) {
  switch (tables.kind) {
    case "none":
      return null;
    case "open":
      return tablesAsJson(tables.tables);
    case "closed":
      return { encrypted_bytes: tables.bytes };
    case "damaged":
      return { encrypted_bytes: tables.bytes, opens: false };
  }
}

/** A list rather than an object: names are anybody's, and order is told. */
function tablesAsJson(tables: readonly TableWrites[]) {
  return tables.map(({ name, writes, removes }) => ({
    table: name,
    writes: writes.map(([key, value]) => ({ key: textOrHex(fromByteString(key)), value: textOrHex(value) })),
    removes: removes.map((key) => textOrHex(fromByteString(key))),
  }));
}

const tolerate = () => {};
