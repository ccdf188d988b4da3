/** One receipt: verdict, steps with inputs, the path drawn, the ledger that is open, what it does not prove, its link. */

import { formatTxId } from "../../../shared/tx_id.ts";
import { useLedger } from "../../hooks.ts";
import { announce } from "../../parts/announce.tsx";
import { CopyButton } from "../../parts/copy.tsx";
import { ForeignText } from "../../parts/foreign_text.tsx";
import { Hash } from "../../parts/hash.tsx";
import { MerklePath } from "../../parts/merkle_path.tsx";
import { Facts, Section } from "../../parts/page.tsx";
import { Party, useNames } from "../../parts/party.tsx";
import { ProblemNote, Region } from "../../parts/states.tsx";
import { KIND_OF_RESULT, Verdict } from "../../parts/verdict.tsx";
import { linkTo } from "../../routes.ts";
import { connection, ledgerState } from "../../service/session.ts";
import { type CheckedReceipt, VERDICT_LOOK } from "./checked_receipt.ts";
import type { JudgedReceipt } from "./judge_receipt.ts";
import type { ReceiptStep } from "./receipt_steps.ts";
import { receiptForLink } from "./read_receipts.ts";
import { findInLedger } from "./receipt_in_ledger.ts";

export function ReceiptView({ checked: { read, judged, tookMs } }: { readonly checked: CheckedReceipt }) {
  if (read.kind === "unreadable" || judged === undefined) {
    return read.kind === "unreadable" ? <ProblemNote problem={read.problem} /> : null;
  }
  const look = VERDICT_LOOK[judged.verdict];
  return (
    <>
      <Section title="Verdict" actions={<Share bytes={read.bytes} />}>
        <p class="receipt-verdict" role="status" data-verdict={judged.verdict}>
          <Verdict kind={look.kind}>{look.words}</Verdict>
        </p>
        <p class="foreign">{sentence(judged.reason)}</p>
        <Facts
          of={[
            ["Receipt", read.name],
            ["Kind", judged.kind === "JSON" ? "JSON, signed by a node" : "COSE, signed by the service"],
            [
              "Transaction",
              judged.paths.map(({ txId }) => txId === undefined ? "none is named" : formatTxId(txId)).join(", "),
            ],
            ...(judged.serviceIdentity === undefined ? [] : [
              ["Service", <Hash value={judged.serviceIdentity} of="SHA-256 of the service's public key" />] as const,
            ]),
            ["Checked in", `${tookMs < 1 ? "less than 1" : Math.round(tookMs)} ms`],
          ]}
        />
        {judged.notes.map((note) => <p key={note} class="notice notice-grey">{note}</p>)}
      </Section>
      <Section title="Steps">
        <ol class="receipt-steps" aria-label="Steps of the proof">
          {judged.steps.map((step, i) => <StepItem key={i} step={step} />)}
        </ol>
      </Section>
      {connection.value !== undefined && <InLedger judged={judged} />}
      {judged.paths.map((path, i) => (
        <Section key={i} title={judged.paths.length === 1 ? "Path" : `Path ${i + 1}`}>
          <MerklePath
            leaf={path.leaf}
            leafParts={path.parts}
            path={path.steps}
            root={path.root}
            isSigned={judged.steps.some(({ name, result }) => name === "signature" && result === "verified")}
          />
        </Section>
      ))}
      <Section title="What this does not prove">
        <ul>
          {judged.notProved.map((sentence) => <li key={sentence}>{sentence}</li>)}
        </ul>
      </Section>
    </>
  );
}

function StepItem({ step: { name, title, result, detail, inputs, meaning } }: { readonly step: ReceiptStep }) {
  const shown = Object.entries(inputs).filter(([, value]) => value !== "");
  return (
    <li class="stack-tight" data-step={name} data-result={result}>
      <Verdict kind={result === "not reached" ? "unchecked" : KIND_OF_RESULT[result]}>
        {title}
        {result === "failed"
          ? ": no"
          : result === "not reached"
          ? ": not reached"
          : result === "cannot be checked"
          ? ": cannot be checked"
          : result === "not checked"
          ? ": not checked"
          : ""}
      </Verdict>
      <span class="foreign">{sentence(detail)}</span>
      {meaning !== undefined && <span class="notice notice-warn">{meaning}</span>}
      {shown.length > 0 && (
        <details class="small">
          <summary>Inputs of “{title}”</summary>
          <dl class="facts">
            {shown.flatMap(([input, value]) => [
              <dt key={`${input} name`} class="foreign">{input}</dt>,
              <dd key={input} class="row">
                <code class="anywhere">
                  <ForeignText text={value} maxCharacters={300} what={input} block={value.includes("\n")} />
                </code>
                <CopyButton text={value} what={input} bare />
              </dd>,
            ])}
          </dl>
        </details>
      )}
    </li>
  );
}

/** What the ledger that is open says of the same transaction, and where it leads on from there. */
function InLedger({ judged }: { readonly judged: JudgedReceipt }) {
  const { service } = ledgerState.value;
  const found = useLedger((ledger) => findInLedger(ledger, service, judged), [judged, service?.identity]);
  const names = useNames();
  return (
    <Section title="In the open ledger">
      <Region of={found} loading="the transaction">
        {({ step, seqno, signedByNode }) => {
          const node = judged.nodeId ?? signedByNode;
          return (
            <>
              <ol class="receipt-steps">
                <StepItem step={step} />
              </ol>
              {seqno !== undefined && judged.paths[0]?.txId !== undefined && (
                <p>
                  <a href={linkTo("transaction", formatTxId(judged.paths[0].txId))}>
                    Transaction {formatTxId(judged.paths[0].txId)} in the ledger
                  </a>
                </p>
              )}
              {node !== undefined && step.result === "verified" && (
                <>
                  <p class="row">
                    The root was signed on <Party id={node} kind="node" names={names} />
                  </p>
                  <p>
                    <a href={linkTo("attestation", node)}>Which code that node runs, and who voted for it</a>
                  </p>
                </>
              )}
            </>
          );
        }}
      </Region>
    </Section>
  );
}

/** A link with the receipt in its fragment, which no server sees. */
function Share({ bytes }: { readonly bytes: Uint8Array }) {
  const link = receiptForLink(bytes);
  if (link === undefined) {
    return <span class="small soft">Too long for a link ({bytes.length} bytes): pass on the file.</span>;
  }
  const url = `${location.href.replace(/#.*$/, "")}${linkTo("receipts", undefined, { receipt: link })}`;
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(url);
      announce("Copied a link with this receipt");
    } catch {
      announce("This browser did not let the page copy the link; take it from the address bar");
    }
  };
  return (
    <button type="button" class="button no-print" onClick={() => void copy()}>Copy a link with this receipt</button>
  );
}

/** With a capital, as sentences begin. */
function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
