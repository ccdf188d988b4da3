/** After signing: sent, final, proved by a receipt; or what went wrong and how to go on with the same bytes. */

import { useEffect, useState } from "preact/hooks";
import { KeyStore, offerKeys } from "../keys/key_store.ts";
import { announce } from "../parts/announce.tsx";
import { saveFile } from "../parts/save_file.ts";
import { Loading, ProblemNote } from "../parts/states.tsx";
import { Verdict } from "../parts/verdict.tsx";
import { type Problem, problemOf } from "../problem.ts";
import { linkTo } from "../routes.ts";
import { api, ledger, ledgerState, origin } from "../service/session.ts";
import type { SignedEnvelope } from "./envelope.ts";
import { KeptReceipts } from "./kept_receipts.ts";
import { Outbox } from "./outbox.ts";
import { findRequest, type RequestInLedger } from "./request_in_ledger.ts";
import {
  type CommitOutcome,
  type Delivery,
  fetchReceipt,
  followCommit,
  type Outcome,
  RECEIPT_LIMITS,
  type ReceiptOutcome,
  sendEnvelope,
} from "./submit.ts";

export type Accepted = Extract<Outcome, { readonly kind: "accepted" }>;

/** Where requests go now; undefined where no node is open. */
export function deliveryNow(): Delivery | undefined {
  const node = api.peek();
  if (node === undefined) return undefined;
  const service = ledgerState.peek().service?.identities[0]?.identity;
  return {
    ask: (path, options) => node.ask(path, options),
    outbox: new Outbox(),
    nowMs: () => Date.now(),
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    ...(service !== undefined && { service }),
  };
}

/** Notes in the browser's key what it signed, and where that stands. */
async function noteUse(browserKeyId: string | undefined, what: string, atMs: number, txId?: string): Promise<void> {
  const offer = offerKeys(origin);
  if (browserKeyId === undefined || !offer.offered) return;
  const keys: KeyStore = offer.keys;
  const service = ledgerState.peek().service?.identities[0]?.identity;
  await keys.recordUse(browserKeyId, {
    what,
    atMs,
    ...(service !== undefined && { service }),
    ...(txId !== undefined && { txId }),
  });
}

export function SendAndFollow({ envelope, what, browserKeyId, onAccepted, onSettled }: {
  readonly envelope: SignedEnvelope;
  /** In words: "A ballot on proposal ab12…". */
  readonly what: string;
  readonly browserKeyId?: string;
  readonly onAccepted: (outcome: Accepted) => void;
  /** Nothing more is under way. */
  readonly onSettled?: () => void;
}) {
  const [outcome, setOutcome] = useState<Outcome | undefined>();
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    let isOver = false;
    setOutcome(undefined);
    const delivery = deliveryNow();
    if (delivery === undefined) {
      const service = ledgerState.peek().service?.identities[0]?.identity;
      const lost = (notKept?: Problem) =>
        !isOver && setOutcome({ kind: "lost", problem: NO_NODE, ...(notKept && { notKept }) });
      new Outbox().keep(envelope, service).then(() => lost(), (error) => lost(problemOf(error)));
      return () => {
        isOver = true;
      };
    }
    void (async () => {
      let came: Outcome;
      try {
        came = await sendEnvelope(delivery, envelope);
        await noteUse(browserKeyId, what, envelope.signedAtMs);
      } catch (error) {
        came = { kind: "lost", problem: problemOf(error) };
      }
      if (isOver) return;
      setOutcome(came);
      if (came.kind === "accepted") {
        void ledger().refresh().catch(() => {});
        onAccepted(came);
      }
      if (came.kind !== "accepted" || came.txId === undefined) onSettled?.();
    })();
    return () => {
      isOver = true;
    };
  }, [envelope, attempt]);
  if (outcome === undefined) return <Loading of="the node's answer" />;
  const retry = (
    <button type="button" class="button" onClick={() => setAttempt((n) => n + 1)}>
      Send the same bytes again
    </button>
  );
  return (
    <div class="stack" data-outcome={outcome.kind}>
      {outcome.notKept && <ProblemNote problem={outcome.notKept} />}
      {outcome.kind === "accepted"
        ? (
          <>
            <p role="status">
              <Verdict kind="unchecked">The node says that it took it</Verdict>
              {outcome.proposalState !== undefined && `, and that the proposal is ${outcome.proposalState}`}
            </p>
            {outcome.txId !== undefined && (
              <Follow
                envelope={envelope}
                txId={outcome.txId}
                what={what}
                {...(browserKeyId !== undefined && { browserKeyId })}
                onSettled={onSettled ?? (() => {})}
                onAgain={() => setAttempt((n) => n + 1)}
              />
            )}
          </>
        )
        : (
          <ProblemNote problem={outcome.problem}>
            {(outcome.kind === "lost" || outcome.retry) && (
              <>
                <p>
                  The signed request is kept in the outbox on{" "}
                  <a href={linkTo("keys")}>Keys</a>. Sending it again sends the same bytes: nothing is signed anew, and
                  a service counts it once.
                </p>
                <div>{retry}</div>
              </>
            )}
          </ProblemNote>
        )}
    </div>
  );
}

const NO_NODE: Problem = {
  code: "NoNode",
  what: "There is no node to send it to",
  why: "Nothing is open, or ledger files are",
  todo: "Connect to a node of the service; then send it from the outbox on Keys",
};

function Follow({ envelope, txId, what, browserKeyId, onSettled, onAgain }: {
  readonly envelope: SignedEnvelope;
  readonly txId: string;
  readonly what: string;
  readonly browserKeyId?: string;
  readonly onSettled: () => void;
  readonly onAgain: () => void;
}) {
  const [commit, setCommit] = useState<CommitOutcome | undefined>();
  const [receipt, setReceipt] = useState<ReceiptOutcome | undefined>();
  const [inLedger, setInLedger] = useState<RequestInLedger | undefined>();
  const [isKept, setIsKept] = useState(false);
  const [problem, setProblem] = useState<Problem | undefined>();
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let isOver = false;
    const delivery = deliveryNow();
    if (delivery === undefined) return;
    const follow = async () => {
      setCommit(undefined);
      const committed = await followCommit(delivery, envelope.id, txId);
      if (isOver) return;
      setCommit(committed);
      if (committed.kind !== "committed") return;
      await noteUse(browserKeyId, what, envelope.signedAtMs, txId);
      const certificate = ledgerState.peek().service?.certificatePem;
      if (certificate === undefined) return;
      const proof = await fetchReceipt(delivery, txId, certificate);
      if (isOver) return;
      setReceipt(proof);
      const found = await findRequest(ledger(), envelope, txId, delivery.wait);
      // Committed was the node's word: what it lied about can still be sent by another.
      if (found.kind === "contradicted") await delivery.outbox.keep(envelope, delivery.service);
      if (isOver) return;
      setInLedger(found);
      if (proof.kind !== "verified" || found.kind === "contradicted") return;
      const { memberId } = envelope;
      const kept = { txId, what, memberId, service: delivery.service ?? "", text: proof.text, atMs: Date.now() };
      await new KeptReceipts().keep(kept);
      if (!isOver) setIsKept(true);
      announce("The receipt was verified and kept");
    };
    follow().catch((error) => !isOver && setProblem(problemOf(error))).finally(() => !isOver && onSettled());
    return () => {
      isOver = true;
    };
  }, [envelope.id, txId, turn]);
  return (
    <ol class="stack-tight steps">
      <li>
        Transaction <a href={linkTo("transaction", txId)}>{txId}</a>
      </li>
      <li data-commit={commit?.kind ?? "waiting"}>
        {commit === undefined
          ? <Loading of="whether it is final" />
          : commit.kind === "committed"
          ? <Verdict kind="unchecked">The node says that it is committed</Verdict>
          : (
            <ProblemNote problem={commit.problem}>
              <div>
                {commit.kind === "invalid"
                  ? <button type="button" class="button" onClick={onAgain}>Send the same bytes again</button>
                  : <button type="button" class="button" onClick={() => setTurn((n) => n + 1)}>Look again</button>}
              </div>
            </ProblemNote>
          )}
      </li>
      {commit?.kind === "committed" && (
        <li data-receipt={receipt?.kind ?? "waiting"}>
          {receipt === undefined
            ? problem === undefined && <Loading of="the receipt" />
            : receipt.kind === "unavailable"
            ? <ProblemNote problem={receipt.problem} />
            : (
              <div class="stack-tight">
                <Verdict kind={receipt.kind === "verified" ? "verified" : "failed"}>
                  {receipt.kind === "verified"
                    ? `Receipt verified here${isKept ? ", and kept" : ""}`
                    : "The receipt does not verify"}
                </Verdict>
                {receipt.kind === "refused" && (
                  <ul>
                    {receipt.verdict.steps.filter(({ result }) => result === "failed").map(({ name, detail }) => (
                      <li key={name} class="foreign">{name}: {detail}</li>
                    ))}
                  </ul>
                )}
                <p class="small soft">{RECEIPT_LIMITS.replace("TxID", txId)}.</p>
                <div class="row">
                  <button
                    type="button"
                    class="button"
                    onClick={() => saveFile(`receipt_${txId}.json`, receipt.text, "application/json")}
                  >
                    Save the receipt
                  </button>
                </div>
              </div>
            )}
        </li>
      )}
      {receipt !== undefined && (
        <li data-in-ledger={inLedger?.kind ?? "waiting"}>
          {inLedger === undefined
            ? problem === undefined && <Loading of="your request in the ledger" />
            : inLedger.kind === "contradicted"
            ? <ProblemNote problem={inLedger.problem} />
            : inLedger.kind === "held"
            ? <Verdict kind="verified">The ledger, read here, has your signed request in this transaction</Verdict>
            : <Verdict kind="cannot">Whether your request stands in it is not known here: {inLedger.why}</Verdict>}
        </li>
      )}
      {problem && (
        <li>
          <ProblemNote problem={problem} />
        </li>
      )}
    </ol>
  );
}
