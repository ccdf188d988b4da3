/** What changed in public tables between two seqnos. */

import { useState } from "preact/hooks";
import { useLedger } from "../../hooks.ts";
import type { TableDifference } from "../../ledger/protocol.ts";
import { ValueDiff } from "../../parts/diff_view.tsx";
import { ForeignText } from "../../parts/foreign_text.tsx";
import { visibleText } from "../../parts/invisible.ts";
import { Section } from "../../parts/page.tsx";
import { Empty, Region } from "../../parts/states.tsx";
import { keyText } from "../../parts/value_forms.ts";
import { KeyView } from "../../parts/value_view.tsx";
import { replaceQuery } from "../../routes.ts";
import { MomentPicker } from "./moment_picker.tsx";
import { keyLink } from "./table_links.ts";

const MAX_CHANGES = 500;

export function Difference({ first, last, from, to, table }: {
  readonly first: number;
  readonly last: number;
  readonly from: number;
  readonly to: number;
  /** Only this one. */
  readonly table: string | undefined;
}) {
  const difference = useLedger((ledger) => ledger.difference(from, to, MAX_CHANGES), [from, to]);
  return (
    <Section title={`From seqno ${from} to seqno ${to}`}>
      <MomentPicker
        label="Compared with"
        first={first}
        last={last}
        at={from}
        onChange={(next) => replaceQuery({ from: next ?? last })}
      />
      <Region of={difference} loading="what changed">
        {(all) => (
          <Tables all={all.filter(({ table: name }) => table === undefined || name === table)} at={to} of={table} />
        )}
      </Region>
    </Section>
  );
}

function Tables({ all, at, of }: {
  readonly all: readonly TableDifference[];
  readonly at: number;
  readonly of: string | undefined;
}) {
  if (all.length === 0) {
    return (
      <Empty>
        <p>{of === undefined ? "No public table" : "Nothing in this table"} differs between the two.</p>
      </Empty>
    );
  }
  const changes = all.reduce((sum, { changes }) => sum + changes.length, 0);
  const isCut = all.some(({ truncated }) => truncated);
  return (
    <>
      <p role="status">
        {isCut ? `More than ${changes}` : changes} {changes === 1 ? "key differs" : "keys differ"} in {all.length}{" "}
        {all.length === 1 ? "table" : "tables"}
        {of !== undefined && (
          <>
            {" "}
            <button type="button" class="button" onClick={() => replaceQuery({ table: undefined, key: undefined })}>
              Show all tables
            </button>
          </>
        )}
      </p>
      {all.map((one) => <OneTable key={one.table} difference={one} at={at} isOpen={all.length === 1} />)}
      {isCut && <p class="soft">Only the first {MAX_CHANGES} are shown: choose seqnos that are nearer to each other.
      </p>}
    </>
  );
}

function OneTable({ difference: { table, changes, truncated }, at, isOpen }: {
  readonly difference: TableDifference;
  readonly at: number;
  readonly isOpen: boolean;
}) {
  return (
    <details class="value-inside" open={isOpen}>
      <summary>
        <ForeignText text={table} maxCharacters={200} />: {changes.length}
        {truncated && " or more"}
      </summary>
      <div class="stack-tight">
        {changes.map((change, i) => (
          <Change key={i} table={table} keyBytes={change.key} before={change.before} after={change.after} at={at} />
        ))}
      </div>
    </details>
  );
}

function Change({ table, keyBytes, before, after, at }: {
  readonly table: string;
  readonly keyBytes: Uint8Array;
  readonly before: Uint8Array | undefined;
  readonly after: Uint8Array | undefined;
  readonly at: number;
}) {
  const [isShown, setIsShown] = useState(false);
  const word = before === undefined ? "Added" : after === undefined ? "Removed" : "Changed";
  return (
    <div class="stack-tight">
      <div class="row">
        <span class="chip">{word}</span>
        <KeyView bytes={keyBytes} />
        <a href={keyLink(table, keyBytes, at)}>History</a>
        <button type="button" class="button" aria-expanded={isShown} onClick={() => setIsShown(!isShown)}>
          {isShown ? "Hide" : "Show"} change<span class="sr-only">of {keyText(keyBytes).slice(0, 60)}</span>
        </button>
      </div>
      {isShown && (
        <ValueDiff
          before={before}
          after={after}
          table={table}
          what={visibleText(`${table.slice(0, 80)} ${keyText(keyBytes).slice(0, 40)}`)}
        />
      )}
    </div>
  );
}
