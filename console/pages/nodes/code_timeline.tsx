/** Which code was allowed when, and by whom: every change of the tables that say what may join. */

import { DataTable } from "../../parts/data_table.tsx";
import { formatTxId } from "../../../shared/tx_id.ts";
import { useLedger } from "../../hooks.ts";
import { CauseText } from "../../parts/cause.tsx";
import { ForeignText } from "../../parts/foreign_text.tsx";
import { Section } from "../../parts/page.tsx";
import { useNames } from "../../parts/party.tsx";
import { Empty, Region, Unknown } from "../../parts/states.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import { linkTo } from "../../routes.ts";
import { POLICY_WORDS, timelineOf } from "./code_changes.ts";

export function CodeTimeline() {
  const names = useNames();
  const history = useLedger((ledger) => ledger.trustHistory(), []);
  return (
    <Section title="Which code was allowed when">
      <Region of={history} loading="what was allowed">
        {(trust) =>
          trust === undefined
            ? <Unknown why="the ledger begins with a snapshot here: who allowed the code is not in it" />
            : trust.policyChanges.length === 0
            ? <Empty>No code has been allowed up to here.</Empty>
            : (
              <DataTable label="Table of what was allowed" columns={["Transaction", "What", "Change", "By", "Until"]}>
                {timelineOf(trust.policyChanges).map(({ change, until }) => (
                  <tr key={`${formatTxId(change.txId)} ${change.table} ${change.key}`}>
                    <td>
                      <a href={linkTo("transaction", formatTxId(change.txId))}>{formatTxId(change.txId)}</a>
                    </td>
                    <td>
                      {POLICY_WORDS.get(change.table) ?? change.table}
                      <br />
                      <code class="anywhere small">
                        <ForeignText text={change.key} maxCharacters={120} what="what was allowed" />
                      </code>
                    </td>
                    <td>{change.isRemoval ? "taken back" : "allowed"}</td>
                    <td>
                      <CauseText cause={change.cause} names={names} />
                    </td>
                    <td>
                      {change.isRemoval
                        ? ""
                        : until === undefined
                        ? <Verdict kind="unchecked">still allowed</Verdict>
                        : <a href={linkTo("transaction", formatTxId(until))}>{formatTxId(until)}</a>}
                    </td>
                  </tr>
                ))}
              </DataTable>
            )}
      </Region>
    </Section>
  );
}
