/**
 * The time machine: every public table as of any seqno, what happened to a key, and what changed between two seqnos.
 *
 * All of it was folded from entries that were verified here.
 */

import { useMemo, useState } from "preact/hooks";
import { fromHex } from "../../../shared/bytes.ts";
import { useLedger } from "../../hooks.ts";
import type { ProofState, TableSummary } from "../../ledger/protocol.ts";
import { CopyButton } from "../../parts/copy.tsx";
import { ForeignText } from "../../parts/foreign_text.tsx";
import { Icon } from "../../parts/icon.tsx";
import { NothingOpen } from "../../parts/nothing_open.tsx";
import { Page, Section } from "../../parts/page.tsx";
import { Empty, Loading, Region, Unknown } from "../../parts/states.tsx";
import { Tabs } from "../../parts/tabs.tsx";
import { Time } from "../../parts/time.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import { VirtualList } from "../../parts/virtual_list.tsx";
import { linkTo, type PageProps, replaceQuery } from "../../routes.ts";
import { connection, ledgerState } from "../../service/session.ts";
import { Difference } from "./difference.tsx";
import { KeyHistory } from "./key_history.tsx";
import { MomentPicker } from "./moment_picker.tsx";
import { TableRows } from "./table_rows.tsx";
import "./tables.css";

export default function TablesPage({ route }: PageProps) {
  const { signed, firstSeqno, status, fromSnapshot } = ledgerState.value;
  if (connection.value === undefined) return <NothingOpen title="Time machine" />;
  if (signed === undefined) {
    return (
      <Page title="Time machine">
        {status === "reading"
          ? <Loading of="the ledger up to its first signature" />
          : <Unknown why="no signature was verified, so that no state of any table is proved" />}
      </Page>
    );
  }
  // Before its first entry a fold from a snapshot has the snapshot's state.
  const first = Math.max(1, fromSnapshot?.seqno ?? firstSeqno);
  return <Machine query={route.query} first={first} last={signed.seqno} />;
}

function Machine({ query, first, last }: {
  readonly query: URLSearchParams;
  readonly first: number;
  readonly last: number;
}) {
  const table = query.get("table") ?? undefined;
  const key = useMemo(() => keyOf(query.get("key")), [query.get("key")]);
  const wanted = query.has("at") ? Number(query.get("at")) : undefined;
  const at = clamp(wanted ?? last, first, last);
  const from = clamp(Number(query.get("from") ?? first), first, last);
  const tab = query.get("tab") ?? "state";
  return (
    <Page
      title="Time machine"
      lead="Public tables as of any seqno, folded here from entries whose signatures were verified here."
      actions={<CopyButton text={permalink(query, at)} what="a link to this moment" />}
    >
      <Section title="Moment">
        <MomentPicker
          label="As of"
          first={first}
          last={last}
          at={at}
          onChange={(next) => replaceQuery({ at: next })}
        />
        {wanted !== undefined && wanted !== at && (
          <p>
            <Verdict kind="cannot">
              Seqno {String(wanted)} is not proved here: what is, reaches from {first} to {last}. Shown as of {at}
            </Verdict>
          </p>
        )}
        <MomentFacts at={at} />
      </Section>
      <Tabs
        label="What of it"
        chosen={tab}
        onChoose={(name) => replaceQuery({ tab: name === "state" ? undefined : name })}
        tabs={[
          {
            name: "state",
            label: table === undefined ? "Tables" : "Table",
            content: () =>
              table === undefined
                ? <TableList at={at} />
                : key !== undefined
                ? <KeyHistory table={table} keyBytes={key} at={at} />
                : <TableRows key={table} table={table} at={at} />,
          },
          {
            name: "difference",
            label: "Difference",
            content: () => <Difference first={first} last={last} from={from} to={at} table={table} />,
          },
        ]}
      />
    </Page>
  );
}

/** Names the moment, also where the address follows the last one. */
function permalink(query: URLSearchParams, at: number): string {
  return `${location.href.split("#")[0]}${linkTo("tables", undefined, { ...Object.fromEntries(query), at })}`;
}

function keyOf(hex: string | null): Uint8Array | undefined {
  if (hex === "empty") return new Uint8Array();
  if (hex === null || !/^([0-9a-f]{2})+$/i.test(hex)) return undefined;
  return fromHex(hex);
}

const clamp = (value: number, low: number, high: number) =>
  Number.isSafeInteger(value) ? Math.min(Math.max(value, low), high) : high;

/** When that was, and how it is proved. */
function MomentFacts({ at }: { readonly at: number }) {
  const row = useLedger((ledger) => ledger.entries({ fromSeqno: at, toSeqno: at }, 0, 1), [at]);
  const { fromSnapshot } = ledgerState.value;
  const entry = row.kind === "ready" ? row.value.rows[0] : undefined;
  return (
    <div class="row">
      <ProofOf
        proof={entry?.proof ?? (row.kind === "ready" ? "unproved" : "unsigned")}
        snapshot={fromSnapshot?.seqno}
      />
      {entry !== undefined && (
        <span>
          After transaction <a href={linkTo("transaction", entry.txId)}>{entry.txId}</a>
          {entry.timeMs !== undefined && (
            <>
              , signed <Time ms={entry.timeMs} utc />
            </>
          )}
        </span>
      )}
    </div>
  );
}

function ProofOf({ proof, snapshot }: { readonly proof: ProofState; readonly snapshot: number | undefined }) {
  if (proof === "verified") {
    return snapshot === undefined
      ? <Verdict kind="verified">Verified from the first entry on</Verdict>
      : <Verdict kind="cannot">Verified from the snapshot at seqno {snapshot} on; not what led to it</Verdict>;
  }
  return proof === "unsigned"
    ? <Verdict kind="unchecked">Not verified yet: no signature covers it</Verdict>
    : <Verdict kind="cannot">Not verified: it is the snapshot's own state</Verdict>;
}

function TableList({ at }: { readonly at: number }) {
  const tables = useLedger((ledger) => ledger.tables(at), [at]);
  const hidden = useLedger((ledger) => ledger.entries({ hasPrivate: true, toSeqno: at }, 0, 0), [at]);
  const [text, setText] = useState("");
  return (
    <Section title="Tables">
      <label class="field">
        Find a table
        <input type="search" value={text} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      <Region of={tables} loading="tables">
        {(all) => <TableNames all={all} text={text} at={at} />}
      </Region>
      <div class="row">
        <Icon name="lock" />
        <p>
          <strong>Private tables cannot be read here.</strong> {hidden.kind === "ready"
            ? hidden.value.total === 0
              ? "No entry up to this moment wrote any."
              : `${hidden.value.total.toLocaleString()} ${
                hidden.value.total === 1 ? "entry" : "entries"
              } up to this moment wrote some. They are encrypted with the ledger secret, which only the service's nodes have: not even their names or number can be seen.`
            : "Counting the entries that wrote some…"}{" "}
          {hidden.kind === "ready" && hidden.value.total > 0 && (
            <a href={linkTo("ledger", undefined, { q: `private:yes seqno:..${at}` })}>See these entries</a>
          )}
        </p>
      </div>
    </Section>
  );
}

function TableNames({ all, text, at }: {
  readonly all: readonly TableSummary[];
  readonly text: string;
  readonly at: number;
}) {
  const found = all.filter(({ name }) => name.toLowerCase().includes(text.trim().toLowerCase()));
  if (all.length === 0) {
    return (
      <Empty>
        <p>No public table has a key as of this seqno.</p>
      </Empty>
    );
  }
  if (found.length === 0) {
    return (
      <Empty>
        <p>None of {all.length} tables is called so.</p>
      </Empty>
    );
  }
  return (
    <VirtualList
      label="Tables"
      columns={[
        { label: "Name", width: "minmax(0, 1fr)" },
        { label: "Keys", width: "5rem" },
        { label: "Last written at", width: "8rem", wide: true },
      ]}
      rows={found.length}
      onOpen={(row) => openTable(found[row]!.name)}
      cells={(row) => {
        const { name, keys, lastWritten } = found[row]!;
        return [
          <a href={linkTo("tables", undefined, { table: name, at })} tabIndex={-1}>
            <ForeignText text={name} maxCharacters={200} row />
          </a>,
          keys.toLocaleString(),
          <a href={linkTo("transaction", String(lastWritten))} tabIndex={-1}>seqno {lastWritten}</a>,
        ];
      }}
    />
  );
}

function openTable(name: string): void {
  replaceQuery({ table: name, key: undefined, tab: undefined });
}
