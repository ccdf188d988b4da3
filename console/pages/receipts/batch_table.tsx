/** Many receipts at once: one row each, the chosen one is shown below. */

import { DataTable } from "../../parts/data_table.tsx";
import { formatTxId } from "../../../shared/tx_id.ts";
import { Section } from "../../parts/page.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import { type CheckedReceipt, VERDICT_LOOK } from "./checked_receipt.ts";
import type { JudgedReceipt } from "./judge_receipt.ts";

export function BatchTable({ checked, shown, onShow }: {
  readonly checked: readonly CheckedReceipt[];
  readonly shown: number;
  readonly onShow: (index: number) => void;
}) {
  return (
    <Section title="All of them">
      <p role="status">
        {checked.length} receipts: {countWords(checked.map(({ judged }) => judged?.verdict))}
      </p>
      <DataTable
        label="Table of receipts"
        columns={["Receipt", "Kind", "Transaction", "Verdict", "Why"]}
        class="receipt-batch"
      >
        {checked.map(({ read, judged }, i) => {
          const look = judged && VERDICT_LOOK[judged.verdict];
          return (
            <tr key={i} {...(i === shown && { "aria-current": "true" as const })}>
              <td>
                <button type="button" class="button foreign" aria-pressed={i === shown} onClick={() => onShow(i)}>
                  {read.name}
                </button>
              </td>
              <td>{read.kind}</td>
              <td>
                {judged?.paths.map(({ txId }) => txId === undefined ? "none named" : formatTxId(txId)).join(", ")}
              </td>
              <td>
                <Verdict kind={look?.kind ?? "failed"}>{look?.words ?? "Cannot be read"}</Verdict>
              </td>
              <td class="foreign">
                {judged?.verdict === "verified"
                  ? ""
                  : judged?.reason ?? (read.kind === "unreadable" ? read.problem.why : "")}
              </td>
            </tr>
          );
        })}
      </DataTable>
    </Section>
  );
}

const COUNT_WORDS = [
  ["verified", "verified"],
  ["not pinned", "valid for a service that is not pinned"],
  ["cannot be checked", "cannot be checked"],
  ["refused", "refused"],
  [undefined, "cannot be read"],
] as const;

/** How many came out how: "1 verified, 2 refused". */
function countWords(verdicts: readonly (JudgedReceipt["verdict"] | undefined)[]): string {
  return COUNT_WORDS
    .map(([verdict, words]) => [verdicts.filter((other) => other === verdict).length, words] as const)
    .filter(([count]) => count > 0)
    .map(([count, words]) => `${count} ${words}`)
    .join(", ");
}
