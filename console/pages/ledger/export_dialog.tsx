/** Saves the rows that a filter finds, or a range of the ledger as a ledger file. */

import { useId, useRef, useState } from "preact/hooks";
import { MAX_PAGE_EXPORT_ENTRIES, MAX_PAGE_EXPORT_ROWS, MAX_PAGE_QUESTIONS_AT_ONCE } from "../../../shared/limits.ts";
import type { EntryFilter, EntryRow } from "../../ledger/protocol.ts";
import { Dialog } from "../../parts/dialog.tsx";
import { saveFile } from "../../parts/save_file.ts";
import { ProblemNote } from "../../parts/states.tsx";
import { type Problem, ProblemError, problemOf } from "../../problem.ts";
import { ledger, ledgerState } from "../../service/session.ts";
import { ledgerSlice, type RowFormat, rowsFile } from "./entry_export.ts";

const PAGE_ROWS = 5000;

type Format = RowFormat | "committed";
const FORMATS: readonly (readonly [Format, string])[] = [
  ["csv", "Rows as CSV"],
  ["json", "Rows as JSON"],
  ["ndjson", "Rows as lines of JSON (NDJSON)"],
  ["committed", "The entries themselves, as ledger files (.committed)"],
];

export function ExportDialog({ filter, total, onClose }: {
  readonly filter: EntryFilter;
  readonly total: number;
  readonly onClose: () => void;
}) {
  const id = useId();
  const signed = ledgerState.value.signed?.seqno ?? 0;
  const [format, setFormat] = useState<Format>("csv");
  const [from, setFrom] = useState(String(filter.fromSeqno ?? Math.max(1, ledgerState.peek().firstSeqno)));
  const [to, setTo] = useState(String(filter.toSeqno ?? signed));
  const [done, setDone] = useState<number | undefined>(undefined);
  const [problem, setProblem] = useState<Problem | undefined>(undefined);
  const stopped = useRef(false);
  const run = async () => {
    setProblem(undefined);
    setDone(0);
    stopped.current = false;
    try {
      if (format === "committed") await saveSlice(Number(from), Number(to), setDone, () => stopped.current);
      else await saveRows(filter, format, setDone, () => stopped.current);
    } catch (error) {
      setProblem(problemOf(error));
    }
    setDone(undefined);
  };
  const of = format === "committed" ? Number(to) - Number(from) + 1 : Math.min(total, MAX_PAGE_EXPORT_ROWS);
  return (
    <Dialog
      title="Export"
      onClose={() => {
        stopped.current = true;
        onClose();
      }}
    >
      <fieldset class="stack-tight">
        <legend>What</legend>
        {FORMATS.map(([value, label]) => (
          <label key={value} class="row">
            <input
              type="radio"
              name={`${id}-format`}
              checked={format === value}
              onChange={() => setFormat(value)}
            />
            {label}
          </label>
        ))}
      </fieldset>
      {format === "committed"
        ? (
          <>
            <p>
              Every entry of the range, byte for byte, whatever is filtered. It opens here and with{" "}
              <code>ledger verify</code>{" "}
              next to the files before it. It becomes as many files as the entries themselves say; behind the last such
              place, an open one.
            </p>
            <div class="row">
              <label class="field">
                First seqno
                <input inputMode="numeric" value={from} onInput={(event) => setFrom(event.currentTarget.value)} />
              </label>
              <label class="field">
                Last seqno
                <input inputMode="numeric" value={to} onInput={(event) => setTo(event.currentTarget.value)} />
              </label>
            </div>
          </>
        )
        : (
          <p>
            {total.toLocaleString()} rows, as filtered
            {total > MAX_PAGE_EXPORT_ROWS && `; the first ${MAX_PAGE_EXPORT_ROWS.toLocaleString()} are saved`}.
          </p>
        )}
      {done !== undefined && (
        <div role="status">
          <p>{done.toLocaleString()} of {of.toLocaleString()}</p>
          <progress aria-label="Exported" value={done} max={Math.max(1, of)} />
        </div>
      )}
      {problem !== undefined && <ProblemNote problem={problem} />}
      <div class="row">
        <button type="button" class="button button-main" disabled={done !== undefined} onClick={run}>Save file</button>
        {done !== undefined && (
          <button type="button" class="button" onClick={() => stopped.current = true}>
            Stop
          </button>
        )}
      </div>
    </Dialog>
  );
}

async function saveRows(
  filter: EntryFilter,
  format: RowFormat,
  onProgress: (done: number) => void,
  isStopped: () => boolean,
): Promise<void> {
  const rows: EntryRow[] = [];
  for (let total = Infinity; rows.length < Math.min(total, MAX_PAGE_EXPORT_ROWS);) {
    const page = await ledger().entries(filter, rows.length, Math.min(PAGE_ROWS, MAX_PAGE_EXPORT_ROWS - rows.length));
    if (isStopped()) return;
    total = page.total;
    if (page.rows.length === 0) break;
    rows.push(...page.rows);
    onProgress(rows.length);
  }
  const { text, type } = rowsFile(rows, format);
  saveFile(`ledger_rows.${format}`, text, type);
}

async function saveSlice(
  from: number,
  to: number,
  onProgress: (done: number) => void,
  isStopped: () => boolean,
): Promise<void> {
  const { firstSeqno, signed } = ledgerState.peek();
  const isRange = Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= Math.max(1, firstSeqno) &&
    to >= from && to <= (signed?.seqno ?? 0);
  if (!isRange || to - from >= MAX_PAGE_EXPORT_ENTRIES) {
    throw new ProblemError({
      code: "RangeNotExportable",
      what: `The range ${from} to ${to} cannot be saved`,
      why: isRange
        ? `It has more than ${MAX_PAGE_EXPORT_ENTRIES} entries`
        : `Entries that are verified here are ${Math.max(1, firstSeqno)} to ${signed?.seqno ?? 0}`,
      todo: isRange ? "Save it in several pieces, or take the files from the node" : "Choose a range within these",
    });
  }
  const entries: Uint8Array[] = [];
  while (entries.length < to - from + 1) {
    const next = from + entries.length;
    const count = Math.min(MAX_PAGE_QUESTIONS_AT_ONCE, to - next + 1);
    const answers = await Promise.all(Array.from({ length: count }, (_, i) => ledger().transaction(next + i)));
    if (isStopped()) return;
    for (const answer of answers) {
      if (!answer.found) {
        throw new ProblemError({
          code: "EntryNotRead",
          what: `Entry ${from + entries.length} could not be read`,
          why: answer.detail,
          todo: "Wait until it is verified, or choose a shorter range",
        });
      }
      entries.push(answer.transaction.bytes);
    }
    onProgress(entries.length);
  }
  for (const { name, bytes } of ledgerSlice(from, entries)) saveFile(name, bytes);
}
