/** All entries of the ledger, as they were verified here: a list of any length, with filters, a strip, and the tail. */

import { useCallback, useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import type { EntryRow } from "../../ledger/protocol.ts";
import { announce } from "../../parts/announce.tsx";
import { ForeignText } from "../../parts/foreign_text.tsx";
import { Icon } from "../../parts/icon.tsx";
import { sizeText } from "../../parts/invisible.ts";
import { NothingOpen } from "../../parts/nothing_open.tsx";
import { Page } from "../../parts/page.tsx";
import { Empty, Loading, ProblemNote } from "../../parts/states.tsx";
import { Time } from "../../parts/time.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import { VirtualList } from "../../parts/virtual_list.tsx";
import { linkTo, navigate, type PageProps, replaceQuery } from "../../routes.ts";
import { connection, ledger, ledgerState } from "../../service/session.ts";
import { DensityStrip } from "./density_strip.tsx";
import { ExportDialog } from "./export_dialog.tsx";
import { FilterBar } from "./filter_bar.tsx";
import { parseFilter } from "../../ledger/filter_query.ts";
import { parseJump } from "./jump.ts";
import { refusedAt } from "./refusal.ts";
import { ReadingBar } from "./reading_bar.tsx";
import { useRows } from "../../parts/use_rows.ts";
import "./ledger.css";

/** A position goes into the address this long after the last move: browsers refuse too many changes. */
const ADDRESS_DELAY_MS = 300;

const COLUMNS = [
  { label: "TxID", width: "5.5rem", narrow: "4rem" },
  { label: "Seqno", width: "4rem", wide: true },
  { label: "Kind", width: "8.25rem", narrow: "minmax(0, 1fr)" },
  { label: "Tables", width: "minmax(0, 1fr)", wide: true },
  { label: "Size", width: "5rem", wide: true },
  { label: "Claims", width: "3.5rem", wide: true },
  { label: "Private", width: "5.5rem", wide: true },
  { label: "Proof", width: "6rem" },
  { label: "Signed at", width: "13.5rem", wide: true },
];

export default function LedgerPage({ route }: PageProps) {
  if (connection.value === undefined) return <NothingOpen title="Ledger" />;
  return <Entries query={route.query} />;
}

function Entries({ query }: { readonly query: URLSearchParams }) {
  const text = query.get("q") ?? "";
  const parsed = useMemo(() => parseFilter(text), [text]);
  const at = query.has("at") ? Number(query.get("at")) : undefined;
  const isLive = connection.value?.kind === "node";
  const isTailing = isLive && (query.get("tail") ?? (at === undefined ? "1" : "0")) === "1";
  const signed = ledgerState.value.signed?.seqno ?? 0;
  const { total, row, onRange, problem } = useRows(
    (offset, count) => ledger().entries(parsed.filter, offset, count),
    JSON.stringify(parsed.filter),
    signed,
  );
  const [chosen, setChosen] = useState<number | undefined>(undefined);
  const [isExporting, setIsExporting] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const told = useRef<number | undefined>(undefined);
  const seenTotal = useRef(0);
  if (isTailing || seenTotal.current === 0) seenTotal.current = total ?? 0;
  const news = Math.max(0, (total ?? 0) - seenTotal.current);

  const goTo = useCallback(async (seqno: number) => {
    setChosen(await ledger().offsetOf(parsed.filter, seqno));
    told.current = seqno;
    replaceQuery({ at: seqno, tail: 0 });
  }, [parsed]);

  // The address says where to be, unless this list said so itself.
  useEffect(() => {
    if (at === undefined || Number.isNaN(at) || signed === 0 || told.current === at) return;
    told.current = at;
    ledger().offsetOf(parsed.filter, at).then(setChosen, () => {});
  }, [at, signed > 0, parsed]);
  useEffect(() => () => clearTimeout(timer.current), []);

  const setFilter = (q: string) => {
    setChosen(undefined);
    told.current = undefined;
    seenTotal.current = 0;
    replaceQuery({ q });
  };
  const setTail = (isOn: boolean) => {
    seenTotal.current = total ?? 0;
    if (isOn) setChosen(undefined);
    replaceQuery(isOn ? { tail: 1, at: undefined } : { tail: 0 });
  };
  const choose = (index: number) => {
    setChosen(index);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      const seqno = row(index)?.seqno;
      if (seqno === undefined) return;
      told.current = seqno;
      replaceQuery({ at: seqno, tail: 0 });
    }, ADDRESS_DELAY_MS);
  };
  const open = (index: number) => {
    const entry = row(index);
    if (entry !== undefined) navigate("transaction", entry.txId);
  };
  return (
    <Page
      title="Ledger"
      lead="Every entry as it was read, hashed and proved here."
      actions={
        <>
          {isLive && (
            <button type="button" class="button" aria-pressed={isTailing} onClick={() => setTail(!isTailing)}>
              <Icon name={isTailing ? "pause" : "play"} /> {isTailing ? "Pause live tail" : "Follow live tail"}
            </button>
          )}
          <button type="button" class="button" onClick={() => setIsExporting(true)}>
            <Icon name="download" /> Export
          </button>
        </>
      }
    >
      <ReadingBar />
      <DensityStrip at={chosen === undefined ? undefined : row(chosen)?.seqno} onGo={goTo} />
      <FilterBar text={text} parsed={parsed} onChange={setFilter} />
      <div class="row row-apart">
        <p role="status">
          {total === undefined ? "Counting…" : `${total.toLocaleString()} ${total === 1 ? "entry" : "entries"}`}
          {text !== "" && total !== undefined && " found"}
        </p>
        {isLive && !isTailing && news > 0 && (
          <button
            type="button"
            class="button button-main"
            onClick={() => setTail(true)}
          >
            {news} new: go to the end
          </button>
        )}
        <JumpForm onGo={goTo} />
      </div>
      {problem !== undefined && <ProblemNote problem={problem} />}
      {total === undefined && problem === undefined && <Loading of="entries" />}
      {total === 0 && (
        <Empty>
          <p>
            {text === ""
              ? "No entry is proved yet: entries appear once a signature covers them."
              : "No entry matches the filter, of those that are proved so far."}
          </p>
        </Empty>
      )}
      {total !== undefined && total > 0 && (
        <VirtualList
          label="Entries"
          columns={COLUMNS}
          rows={total}
          chosen={chosen}
          onChoose={choose}
          onOpen={open}
          onRange={onRange}
          pinned={isTailing}
          onLeaveEnd={() => setTail(false)}
          cells={(index) => cellsOf(row(index), index)}
        />
      )}
      {isExporting && <ExportDialog filter={parsed.filter} total={total ?? 0} onClose={() => setIsExporting(false)} />}
    </Page>
  );
}

function cellsOf(row: EntryRow | undefined, index: number) {
  if (row === undefined) return ["…", String(index + 1), "loading", "", "", "", "", "", ""];
  return [
    <a href={linkTo("transaction", row.txId)} tabIndex={-1}>{row.txId}</a>,
    row.seqno.toLocaleString(),
    row.kind,
    row.tables.length === 0
      ? <span class="soft">{row.hasPrivate ? "private tables only" : "none"}</span>
      : <ForeignText text={row.tables.map(shortTable).join(", ")} maxCharacters={160} row />,
    sizeText(row.sizeBytes),
    row.hasClaims ? "claims" : "",
    row.hasPrivate
      ? (
        <span
          class="row"
          title="Encrypted with the ledger secret, which only the service's nodes have: nobody else can read it"
        >
          <Icon name="lock" /> private
        </span>
      )
      : "",
    row.proof === "unsigned" && refusedAt(ledgerState.value) !== undefined
      ? <Verdict kind="failed">Refused</Verdict>
      : PROOF[row.proof],
    row.timeMs === undefined ? <span class="soft">no time</span> : <Time ms={row.timeMs} />,
  ];
}

const PROOF = {
  verified: <Verdict kind="verified" />,
  unsigned: <Verdict kind="unchecked">Not signed</Verdict>,
  unproved: <Verdict kind="cannot">Unproved</Verdict>,
} as const;

/** Names of the service's tables without what they all begin with. */
function shortTable(name: string): string {
  return name.replace(/^public:ccf\.(gov|internal)\./, "$1.").replace(/^public:/, "");
}

function JumpForm({ onGo }: { readonly onGo: (seqno: number) => Promise<void> }) {
  const id = useId();
  const [typed, setTyped] = useState("");
  const [refusal, setRefusal] = useState("");
  const go = async () => {
    const jump = parseJump(typed);
    setRefusal("");
    if (jump === undefined) return setRefusal("That is no TxID (2.15), seqno (15) or time (2026-11-01T08:00)");
    if (jump.kind === "time") {
      const seqno = await ledger().seqnoAt(jump.ms);
      return seqno === undefined
        ? setRefusal("No signature of that time or later is proved here")
        : (announce(`Entry ${seqno} is the first that was signed then or later`), await onGo(seqno));
    }
    const answer = await ledger().transaction(jump.seqno, jump.kind === "transaction" ? jump.view : undefined);
    if (answer.found) return await onGo(jump.seqno);
    setRefusal(answer.detail);
  };
  return (
    <form
      class="row"
      onSubmit={(event) => {
        event.preventDefault();
        void go().catch(() => setRefusal("The ledger could not be asked: see above"));
      }}
    >
      <label class="field" htmlFor={id}>
        <span class="sr-only">Jump to TxID, seqno or time</span>
        <input
          id={id}
          value={typed}
          size={24}
          autocomplete="off"
          placeholder="TxID, seqno or time"
          aria-describedby={`${id}-refusal`}
          onInput={(event) => setTyped(event.currentTarget.value)}
        />
      </label>
      <button type="submit" class="button">Jump</button>
      <span id={`${id}-refusal`} role="status" class="verdict verdict-cannot small">{refusal}</span>
    </form>
  );
}
