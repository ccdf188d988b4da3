/** One table as of a moment, in pages, with the chosen row's value. */

import { useState } from "preact/hooks";
import { linkTo } from "../../routes.ts";
import { ForeignText } from "../../parts/foreign_text.tsx";
import { headOf, visibleText } from "../../parts/invisible.ts";
import { Section } from "../../parts/page.tsx";
import { Empty, Loading, ProblemNote } from "../../parts/states.tsx";
import { keyText, valueLine } from "../../parts/value_forms.ts";
import { KeyView, ValueView } from "../../parts/value_view.tsx";
import { VirtualList } from "../../parts/virtual_list.tsx";
import { ledger } from "../../service/session.ts";
import { useRows } from "../../parts/use_rows.ts";
import { keyLink } from "./table_links.ts";

export function TableRows({ table, at }: { readonly table: string; readonly at: number }) {
  const { total, row, onRange, problem } = useRows(
    (offset, count) => ledger().table(table, { at, offset, count }),
    table,
    at,
  );
  const [chosen, setChosen] = useState<number | undefined>(undefined);
  const name = visibleText(headOf(table, 120));
  const shown = chosen === undefined ? undefined : row(chosen);
  return (
    <Section
      title={name}
      actions={<a class="button" href={linkTo("tables", undefined, { at })}>All tables</a>}
    >
      {problem !== undefined && <ProblemNote problem={problem} />}
      {total === undefined && problem === undefined && <Loading of="rows" />}
      {total === 0 && (
        <Empty>
          <p>The table has no key as of seqno {at}.</p>
        </Empty>
      )}
      {total !== undefined && total > 0 && (
        <>
          <p role="status">{total.toLocaleString()} {total === 1 ? "key" : "keys"} as of seqno {at}</p>
          <VirtualList
            label={`Rows of ${name}`}
            columns={[
              { label: "Key", width: "minmax(0, 2fr)" },
              { label: "Value", width: "minmax(0, 3fr)" },
              { label: "Written at", width: "7rem", wide: true },
            ]}
            rows={total}
            chosen={chosen}
            onChoose={setChosen}
            onRange={onRange}
            onOpen={(index) => {
              const here = row(index);
              if (here !== undefined) location.hash = keyLink(table, here.key, at);
            }}
            cells={(index) => {
              const here = row(index);
              if (here === undefined) return ["…", "loading", ""];
              return [
                <a href={keyLink(table, here.key, at)} tabIndex={-1}>
                  <ForeignText text={keyText(here.key)} maxCharacters={120} row />
                </a>,
                <ForeignText text={valueLine(here.value, table)} maxCharacters={200} row />,
                <a href={linkTo("transaction", String(here.writtenAt))} tabIndex={-1}>seqno {here.writtenAt}</a>,
              ];
            }}
          />
          {shown === undefined
            ? <p class="small soft">Choose a row to see its value.</p>
            : (
              <div class="write stack-tight" key={`${chosen} ${at}`}>
                <h3>
                  Value of <KeyView bytes={shown.key} />
                </h3>
                <p>
                  Written at <a href={linkTo("transaction", String(shown.writtenAt))}>seqno {shown.writtenAt}</a>.{" "}
                  <a href={keyLink(table, shown.key, at)}>History of this key</a>
                </p>
                <ValueView bytes={shown.value} table={table} what={`Value of ${keyText(shown.key).slice(0, 40)}`} />
              </div>
            )}
        </>
      )}
    </Section>
  );
}
