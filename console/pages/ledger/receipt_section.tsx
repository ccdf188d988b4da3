/** Asks the node for a receipt, and shows what came of checking it. */

import { useEffect, useRef, useState } from "preact/hooks";
import { FormatError } from "../../../shared/assert.ts";
import type { Step } from "../../../shared/verdict.ts";
import type { TransactionDetail } from "../../ledger/protocol.ts";
import { CopyButton } from "../../parts/copy.tsx";
import { ForeignText } from "../../parts/foreign_text.tsx";
import { Section } from "../../parts/page.tsx";
import { saveFile } from "../../parts/save_file.ts";
import { ProblemNote, Unknown } from "../../parts/states.tsx";
import { KIND_OF_RESULT, Verdict } from "../../parts/verdict.tsx";
import { type Loaded, ProblemError, problemOf } from "../../problem.ts";
import { linkTo } from "../../routes.ts";
import { api, ledgerState } from "../../service/session.ts";
import { checkReceipt, fetchReceipt } from "./receipt_check.ts";

interface Checked {
  readonly json: string;
  readonly steps: readonly Step[];
}

export function ReceiptSection({ transaction }: { readonly transaction: TransactionDetail }) {
  const [receipt, setReceipt] = useState<Loaded<Checked> | undefined>(undefined);
  const abort = useRef(new AbortController());
  useEffect(() => () => abort.current.abort(), []);
  const node = api.value;
  const service = ledgerState.value.service;
  const get = async () => {
    if (node === undefined || service === undefined) return;
    setReceipt({ kind: "loading" });
    try {
      const json = await fetchReceipt(node, transaction.txId, abort.current.signal);
      setReceipt({ kind: "ready", value: { json, steps: check(json, transaction, service.certificatePem) } });
    } catch (error) {
      if (!abort.current.signal.aborted) setReceipt({ kind: "error", problem: problemOf(error) });
    }
  };
  return (
    <Section title="Receipt">
      {node === undefined
        ? (
          <Unknown why="a receipt shows the commit evidence, which only the service's nodes can compute, and files are open. The path above proves the same to whoever has the entry" />
        )
        : (
          <>
            <p>
              A receipt proves to anybody, without the ledger, that this transaction is in it. The node makes it; it is
              checked here, also against the entry that was read.
            </p>
            <div>
              <button
                type="button"
                class="button"
                disabled={service === undefined || receipt?.kind === "loading"}
                onClick={get}
              >
                {receipt?.kind === "loading" ? "Waiting for the node…" : "Get receipt"}
              </button>
            </div>
          </>
        )}
      {receipt?.kind === "error" && <ProblemNote problem={receipt.problem} />}
      {receipt?.kind === "ready" && <Outcome checked={receipt.value} txId={transaction.txId} />}
    </Section>
  );
}

function check(json: string, transaction: TransactionDetail, servicePem: string): Step[] {
  try {
    return checkReceipt(json, transaction, servicePem);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new ProblemError({
      code: "ReceiptUnreadable",
      what: "What the node answered is no receipt",
      why: error.message,
      todo: "Ask another node of the service",
      details: json.slice(0, 4000),
    });
  }
}

function Outcome({ checked: { json, steps }, txId }: { readonly checked: Checked; readonly txId: string }) {
  const failed = steps.find(({ result }) => result === "failed");
  const open = steps.find(({ result }) => result === "cannot be checked");
  return (
    <div class="stack-tight">
      <p role="status">
        {failed !== undefined
          ? <Verdict kind="failed">The receipt is refused, at the step "{failed.name}": do not pass it on</Verdict>
          : open !== undefined
          ? <Verdict kind="cannot">Nothing of the receipt is wrong, and "{open.name}" cannot be checked yet</Verdict>
          : <Verdict kind="verified">The receipt is good, and is of this transaction</Verdict>}
      </p>
      <ol class="path-list">
        {steps.map(({ name, result, detail }, i) => (
          <li key={i}>
            <Verdict kind={KIND_OF_RESULT[result]}>{name}: {result}</Verdict>
            <br />
            <span class="small">
              <ForeignText text={detail} maxCharacters={400} />
            </span>
          </li>
        ))}
      </ol>
      <div class="row">
        <button
          type="button"
          class="button"
          onClick={() => saveFile(`receipt_${txId}.json`, json, "application/json")}
        >
          Save receipt
        </button>
        <CopyButton text={json} what="the receipt" />
        <a href={linkTo("receipts")}>Drop it into Receipts for every step with its inputs</a>
      </div>
    </div>
  );
}
