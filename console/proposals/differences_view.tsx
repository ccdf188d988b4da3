/** What a proposal's actions would change, against the folded tables. */

import { fromUtf8Lenient } from "../../shared/bytes.ts";
import { differencesOf } from "../governance/differences.ts";
import { useLedger } from "../hooks.ts";
import { DiffView } from "../parts/diff_view.tsx";
import { ShowAll } from "../parts/show_all.tsx";
import { Empty, Region } from "../parts/states.tsx";
import { readDraft } from "../governance/draft.ts";

export function DifferencesView({ text, at }: {
  readonly text: Uint8Array | string;
  readonly at?: number;
}) {
  const source = typeof text === "string" ? text : fromUtf8Lenient(text);
  const differences = useLedger((ledger) => {
    const reading = readDraft(source);
    return reading.kind === "actions" ? differencesOf(ledger, reading.actions, at) : Promise.resolve([]);
  }, [source, at]);
  return (
    <Region of={differences} loading="what it changes">
      {(found) =>
        found.length === 0
          ? (
            <Empty>
              <p>
                No row changes that can be told from the proposal's text alone. The dry run tells what a node would
                change.
              </p>
            </Empty>
          )
          : (
            <div class="stack">
              <p class="soft">Folded from the ledger, not asked of a node.</p>
              <ShowAll of={found} what="changes" wrap={(items) => items}>
                {({ what, before, after }) => (
                  <div class="stack-tight">
                    <h3 class="foreign">
                      {what}
                      {before === undefined && " (new)"}
                      {after === undefined && " (removed)"}
                    </h3>
                    <DiffView before={before ?? ""} after={after ?? ""} label={`Changes of ${what}`} />
                  </div>
                )}
              </ShowAll>
            </div>
          )}
    </Region>
  );
}
