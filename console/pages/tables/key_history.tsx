/** One key: its value as of a moment, and all that ever happened to it. */

import { useState } from "preact/hooks";
import { useLedger } from "../../hooks.ts";
import type { KeyVersion } from "../../ledger/protocol.ts";
import { ValueDiff } from "../../parts/diff_view.tsx";
import { ForeignText } from "../../parts/foreign_text.tsx";
import { Section } from "../../parts/page.tsx";
import { Empty, Region } from "../../parts/states.tsx";
import { Time } from "../../parts/time.tsx";
import { keyText } from "../../parts/value_forms.ts";
import { KeyView, ValueView } from "../../parts/value_view.tsx";
import { linkTo, replaceQuery } from "../../routes.ts";
import { keyFilterText } from "../../ledger/filter_query.ts";

const PAGE_VERSIONS = 30;

export function KeyHistory({ table, keyBytes, at }: {
  readonly table: string;
  readonly keyBytes: Uint8Array;
  readonly at: number;
}) {
  const row = useLedger((ledger) => ledger.value(table, keyBytes, at), [table, keyBytes, at]);
  const history = useLedger((ledger) => ledger.history(table, keyBytes), [table, keyBytes]);
  const what = `Value of ${keyText(keyBytes).slice(0, 40)}`;
  return (
    <div class="stack">
      <Section
        title={`As of seqno ${at}`}
        actions={
          <>
            <a class="button" href={linkTo("tables", undefined, { table, at })}>All keys of the table</a>
            <a class="button" href={linkTo("ledger", undefined, { q: keyFilterText(table, keyBytes) })}>
              In the ledger
            </a>
          </>
        }
      >
        <p>
          Key <KeyView bytes={keyBytes} /> of <ForeignText text={table} maxCharacters={200} />
        </p>
        <Region of={row} loading="the value">
          {(found) =>
            found === undefined
              ? (
                <Empty>
                  <p>The key was not there as of this seqno.</p>
                </Empty>
              )
              : (
                <>
                  <p class="small">
                    Written at <a href={linkTo("transaction", String(found.writtenAt))}>seqno {found.writtenAt}</a>
                  </p>
                  <ValueView key={found.writtenAt} bytes={found.value} table={table} what={what} />
                </>
              )}
        </Region>
      </Section>
      <Section title="History of this key">
        <Region of={history} loading="its history">
          {(versions) => <Versions versions={versions} table={table} at={at} what={what} />}
        </Region>
      </Section>
    </div>
  );
}

function Versions({ versions, table, at, what }: {
  readonly versions: readonly KeyVersion[];
  readonly table: string;
  readonly at: number;
  readonly what: string;
}) {
  const [shown, setShown] = useState(PAGE_VERSIONS);
  if (versions.length === 0) {
    return (
      <Empty>
        <p>Nothing ever happened to this key, as far as was read here.</p>
      </Empty>
    );
  }
  const current = versions.find(({ seqno }) => seqno <= at);
  return (
    <>
      <p class="small soft">{versions.length} {versions.length === 1 ? "write" : "writes"}, the newest first.</p>
      <ol class="path-list" reversed start={versions.length}>
        {versions.slice(0, shown).map((version, i) => (
          <li key={version.seqno}>
            <details>
              <summary>
                {version.value === undefined ? "Removed" : versions[i + 1]?.value === undefined ? "Added" : "Changed"}
                {" "}
                at seqno {version.seqno}
                {version.timeMs !== undefined && (
                  <>
                    , signed <Time ms={version.timeMs} />
                  </>
                )}
                {version === current && <strong>: in force as of seqno {at}</strong>}
              </summary>
              <div class="stack-tight">
                <div class="row">
                  <a href={linkTo("transaction", version.txId.startsWith("?") ? String(version.seqno) : version.txId)}>
                    Transaction {version.txId}
                  </a>
                  <button type="button" class="button" onClick={() => replaceQuery({ at: version.seqno })}>
                    Go to this moment
                  </button>
                </div>
                <ValueDiff before={versions[i + 1]?.value} after={version.value} table={table} what={what} />
              </div>
            </details>
          </li>
        ))}
      </ol>
      {versions.length > shown && (
        <div>
          <button type="button" class="button" onClick={() => setShown(shown + PAGE_VERSIONS)}>
            Show older ones: {versions.length - shown} left
          </button>
        </div>
      )}
    </>
  );
}
