/** One transaction: what it did, what it wrote, who asked for it, and how that is proved. */

import { useState } from "preact/hooks";
import { equalBytes } from "../../../shared/bytes.ts";
import { requestLines, shortId, utcTime } from "../../../shared/governance/request_words.ts";
import { parseCoseSign1 } from "../../../shared/crypto/cose.ts";
import { useLedger } from "../../hooks.ts";
import type { EntryAnswer, TransactionDetail, WriteDetail } from "../../ledger/protocol.ts";
import { ValueDiff } from "../../parts/diff_view.tsx";
import { ForeignText } from "../../parts/foreign_text.tsx";
import { Hash } from "../../parts/hash.tsx";
import { HexView } from "../../parts/hex_view.tsx";
import { Icon } from "../../parts/icon.tsx";
import { sizeText, visibleText } from "../../parts/invisible.ts";
import { MerklePath } from "../../parts/merkle_path.tsx";
import { Facts, Page, Section } from "../../parts/page.tsx";
import { Party, useNames } from "../../parts/party.tsx";
import { Empty, Region } from "../../parts/states.tsx";
import { Time } from "../../parts/time.tsx";
import { keyText } from "../../parts/value_forms.ts";
import { KeyView } from "../../parts/value_view.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import { linkTo, type PageProps } from "../../routes.ts";
import { connection, ledgerState } from "../../service/session.ts";
import { keyFilterText } from "../../ledger/filter_query.ts";
import { parseJump } from "./jump.ts";
import { refusedAt } from "./refusal.ts";
import { ReceiptSection } from "./receipt_section.tsx";
import { proposalIdOf, requestOf, summaryOf } from "./transaction_words.ts";
import "./ledger.css";

/** Of a transaction with many writes, so many are shown at once. */
const PAGE_WRITES = 20;
/** With no more than so many, each is shown open. */
const OPEN_WRITES = 3;

export default function TransactionPage({ route }: PageProps) {
  const id = route.id ?? "";
  const jump = parseJump(id);
  if (jump === undefined || jump.kind === "time") {
    return (
      <Page title="Transaction">
        <NotFound title={`"${id.slice(0, 60)}" is no TxID`}>
          A TxID is a view and a seqno with a dot between them, such as 2.15; a seqno alone will do.
        </NotFound>
      </Page>
    );
  }
  return <Found seqno={jump.seqno} view={jump.kind === "transaction" ? jump.view : undefined} />;
}

function Found({ seqno, view }: { readonly seqno: number; readonly view: number | undefined }) {
  const answer = useLedger((ledger) => ledger.transaction(seqno, view), [seqno, view]);
  const title = `Transaction ${
    answer.kind === "ready" && answer.value.found
      ? answer.value.transaction.txId
      : view === undefined
      ? `at seqno ${seqno}`
      : `${view}.${seqno}`
  }`;
  if (answer.kind === "ready" && answer.value.found) return <Transaction transaction={answer.value.transaction} />;
  return (
    <Page title={title}>
      {connection.value === undefined && (
        <p>
          <a href={linkTo("connect")}>Connect to a node, or open ledger files</a>
        </p>
      )}
      <Region of={answer} loading="the transaction">
        {(value) => value.found ? null : <Missing answer={value} seqno={seqno} view={view} />}
      </Region>
    </Page>
  );
}

const WHY = {
  pending: {
    title: "Pending: it is not proved yet",
    text:
      "The source has an entry there, and no signature that covers it was read and verified yet. This screen fills as soon as it is.",
  },
  unknown: {
    title: "Unknown: the ledger does not reach so far",
    text:
      "Nothing was written there yet, as far as is known here. A TxID that a node gave for a write may also be of a view that has since been lost: then it will turn out to be invalid.",
  },
  invalid: {
    title: "Invalid: it was never committed, and never will be",
    text:
      "Every seqno is taken once, in one view. A write that was accepted by a primary which then lost its role without enough backups having it is gone; another view took its seqno.",
  },
  gap: {
    title: "In a gap: no file that was opened has it",
    text:
      "The entry exists, and what is at hand begins after it or ends before it. Open the missing ledger files as well.",
  },
  "before snapshot": {
    title: "Before the snapshot: it was not read",
    text:
      "What is open begins with a snapshot, which has the state of its moment and not how it came about. Open the ledger files from the beginning to see it.",
  },
} as const;

function Missing({ answer, seqno, view }: {
  readonly answer: EntryAnswer & { readonly found: false };
  readonly seqno: number;
  readonly view: number | undefined;
}) {
  const { firstSeqno, signed } = ledgerState.value;
  const refused = refusedAt(ledgerState.value);
  const isRefused = answer.why === "pending" && refused !== undefined;
  const { title, text } = isRefused
    ? {
      title: "Not read: the ledger was refused before it",
      text:
        `Reading stopped at seqno ${refused}, where the ledger does not hold. What comes after cannot be proved by this source.`,
    }
    : WHY[answer.why];
  const last = signed?.seqno ?? 0;
  return (
    <NotFound title={title}>
      {text} {!isRefused && <ForeignText text={`${answer.detail}.`} />}
      <p>
        <strong>Where one may look next:</strong> {answer.why === "invalid" && (
          <>
            <a href={linkTo("transaction", String(seqno))}>what took seqno {seqno} instead</a>,{" "}
          </>
        )}
        {last > 0
          ? (
            <>
              entries {Math.max(1, firstSeqno)} to {last} are here: the nearest is{" "}
              <a href={linkTo("transaction", String(Math.min(Math.max(seqno, firstSeqno, 1), last)))}>
                {Math.min(Math.max(seqno, firstSeqno, 1), last)}
              </a>
              , or see <a href={linkTo("ledger", undefined, { at: Math.min(seqno, last) })}>the list</a>.
            </>
          )
          : "nothing is proved here yet."}
      </p>
      {view !== undefined && answer.why !== "invalid" && (
        <p class="small soft">
          A TxID names a view too: {view}.{seqno} is another transaction than {view + 1}.{seqno}.
        </p>
      )}
    </NotFound>
  );
}

function NotFound({ title, children }: { readonly title: string; readonly children: preact.ComponentChildren }) {
  return (
    <Empty>
      <div class="stack-tight" data-problem="TransactionNotFound">
        <h2>
          <ForeignText text={title} />
        </h2>
        <div class="stack-tight">{children}</div>
      </div>
    </Empty>
  );
}

function Transaction({ transaction }: { readonly transaction: TransactionDetail }) {
  const names = useNames();
  const request = requestOf(transaction);
  const proposalId = proposalIdOf(transaction, request);
  const { seqno, txId, writes, proofSteps, proof, previous, next, requestedBy, timeMs } = transaction;
  const nameOf = (id: string) => names.get(id) ?? `${shortId(id)}…`;
  const last = ledgerState.value.signed?.seqno ?? 0;
  return (
    <Page
      title={`Transaction ${txId}`}
      lead={<ForeignText text={summaryOf(transaction, request, nameOf)} />}
      actions={
        <nav class="row" aria-label="Neighbours">
          {seqno > ledgerState.value.firstSeqno && (
            <a class="button" href={linkTo("transaction", String(seqno - 1))}>
              <Icon name="left" /> Seqno {seqno - 1}
            </a>
          )}
          {seqno < last && (
            <a class="button" href={linkTo("transaction", String(seqno + 1))}>
              Seqno {seqno + 1} <Icon name="right" />
            </a>
          )}
          <a class="button" href={linkTo("ledger", undefined, { at: seqno })}>In the list</a>
        </nav>
      }
    >
      <Section title="Summary">
        <Facts
          of={[
            ["Proof", <ProofLine key="proof" transaction={transaction} />],
            ["Kind", transaction.kind],
            ...timeMs === undefined ? [] : [["Signed at", <Time key="time" ms={timeMs} utc />] as const],
            ["Size", sizeText(transaction.sizeBytes)],
            ...requestedBy === undefined ? [] : [
              ["Asked for by", <Party key="by" id={requestedBy.memberId} kind="member" names={names} />] as const,
            ],
            ...proposalId === undefined ? [] : [
              [
                "Proposal",
                <a key="proposal" href={linkTo("proposal", proposalId)}>
                  <ForeignText text={`${proposalId.slice(0, 16)}…`} />
                </a>,
              ] as const,
            ],
            ["Touched the same keys", <Touched key="touched" previous={previous} next={next} />],
            ["Claims of the app", transaction.hasClaims ? "yes: their digest is part of the leaf" : "none"],
          ]}
        />
      </Section>
      {requestedBy !== undefined && <Request of={transaction} />}
      <Writes writes={writes} seqno={seqno} />
      <Private transaction={transaction} />
      <Section title="Merkle path">
        {proofSteps === undefined
          ? (
            <p>
              <Verdict kind={proof === "unproved" ? "cannot" : "unchecked"}>
                {proof === "unproved"
                  ? "No path: the tree of what was read does not reach back to this entry"
                  : "No signature that holds covers this entry, so there is no signed root to lead to"}
              </Verdict>
            </p>
          )
          : (
            <MerklePath
              leaf={transaction.leaf}
              leafParts={leafParts(transaction)}
              path={proofSteps.path}
              root={proofSteps.root}
              signedBy={
                <>
                  <Party id={proofSteps.signature.nodeId} kind="node" names={names} /> in{" "}
                  <a href={linkTo("transaction", proofSteps.signature.txId)}>{proofSteps.signature.txId}</a>
                </>
              }
            />
          )}
      </Section>
      <ReceiptSection key={txId} transaction={transaction} />
      <Bytes transaction={transaction} />
    </Page>
  );
}

function ProofLine({ transaction: { proof, proofSteps } }: { readonly transaction: TransactionDetail }) {
  switch (proof) {
    case "verified":
      return (
        <Verdict kind="verified">
          Verified: read here, and covered by {proofSteps === undefined ? "a signature" : (
            <>
              the signature <a href={linkTo("transaction", proofSteps.signature.txId)}>{proofSteps.signature.txId}</a>
            </>
          )}
        </Verdict>
      );
    case "unsigned":
      if (refusedAt(ledgerState.value) !== undefined) {
        return (
          <Verdict kind="failed">
            Failed: the ledger does not hold behind this entry, at seqno{" "}
            {refusedAt(ledgerState.value)}, so that no signature proves it
          </Verdict>
        );
      }
      return <Verdict kind="unchecked">Not checked yet: no signature covers it so far</Verdict>;
    case "unproved":
      return <Verdict kind="cannot">Cannot be checked: it was before the snapshot that reading began with</Verdict>;
  }
}

function Touched({ previous, next }: { readonly previous: number | undefined; readonly next: number | undefined }) {
  if (previous === undefined && next === undefined) return <>no other entry did</>;
  return (
    <span class="row">
      {previous === undefined
        ? <span class="soft">none before</span>
        : <a href={linkTo("transaction", String(previous))}>Previous: seqno {previous}</a>}
      {next === undefined
        ? <span class="soft">none after</span>
        : <a href={linkTo("transaction", String(next))}>Next: seqno {next}</a>}
    </span>
  );
}

/** What the member signed, from the bytes. */
function Request({ of: transaction }: { readonly of: TransactionDetail }) {
  const request = requestOf(transaction);
  if (transaction.requestedBy === undefined) return null;
  return (
    <Section title="What was signed">
      {request === undefined
        ? (
          <p>
            <Verdict kind="cannot">The request has a form that is not known here: see its bytes below</Verdict>
          </p>
        )
        : (
          <>
            <p>
              <Verdict kind="verified">
                Signed by the member's key as the ledger has it, at {utcTime(request.createdAtSeconds * 1000)}{" "}
                by the member's own clock
              </Verdict>
            </p>
            <ForeignText text={linesOf(transaction.requestedBy.request).join("\n")} block what="the request" />
            <p class="small">
              SHA-256 of the signed payload <Hash value={request.payloadDigest} of="SHA-256 of the signed payload" />
            </p>
          </>
        )}
    </Section>
  );
}

function linesOf(request: Uint8Array): string[] {
  const { protectedBytes, payload } = parseCoseSign1(request);
  return requestLines({ protectedBytes, payload: payload! });
}

function Writes({ writes, seqno }: { readonly writes: readonly WriteDetail[]; readonly seqno: number }) {
  const [shown, setShown] = useState(PAGE_WRITES);
  return (
    <Section title={`Public writes (${writes.length})`}>
      {writes.length === 0 && (
        <Empty>
          <p>It wrote no public table.</p>
        </Empty>
      )}
      {writes.slice(0, shown).map((write, i) => (
        <Write key={i} write={write} seqno={seqno} isOpen={writes.length <= OPEN_WRITES} />
      ))}
      {writes.length > shown && (
        <div>
          <button type="button" class="button" onClick={() => setShown(shown + PAGE_WRITES)}>
            Show {Math.min(PAGE_WRITES, writes.length - shown)} more of {writes.length - shown}
          </button>
        </div>
      )}
    </Section>
  );
}

function Write({ write: { table, key, before, after, beforeSeqno }, seqno, isOpen }: {
  readonly write: WriteDetail;
  readonly seqno: number;
  readonly isOpen: boolean;
}) {
  const [isShown, setIsShown] = useState(isOpen);
  const word = after === undefined
    ? "Removed"
    : before === undefined
    ? "Added"
    : equalBytes(before, after)
    ? "Written again"
    : "Changed";
  return (
    <div class="write stack-tight">
      <h3 class="anywhere">
        <a href={linkTo("tables", undefined, { table, at: seqno })}>
          <ForeignText text={table} maxCharacters={200} />
        </a>
      </h3>
      <div class="row row-apart">
        <span class="row">
          Key <KeyView bytes={key} />
          <span class="chip">{word}</span>
          {beforeSeqno !== undefined && (
            <a href={linkTo("transaction", String(beforeSeqno))}>before: seqno {beforeSeqno}</a>
          )}
        </span>
        <span class="row">
          <a href={linkTo("ledger", undefined, { q: keyFilterText(table, key) })}>All writes of this key</a>
          <button type="button" class="button" aria-expanded={isShown} onClick={() => setIsShown(!isShown)}>
            {isShown ? "Hide value" : "Show value"}
            <span class="sr-only">of {visibleText(keyText(key).slice(0, 60))}</span>
          </button>
        </span>
      </div>
      {isShown && (
        <ValueDiff
          before={before}
          after={after}
          table={table}
          what={visibleText(`${shortName(table)} ${keyText(key).slice(0, 40)}`)}
        />
      )}
    </div>
  );
}

const shortName = (table: string) => table.split(".").at(-1)!.slice(0, 60);

function Private({ transaction: { privateBytes } }: { readonly transaction: TransactionDetail }) {
  return (
    <Section title="Private writes">
      {privateBytes === 0
        ? (
          <Empty>
            <p>It wrote no private table.</p>
          </Empty>
        )
        : (
          <div class="row">
            <Icon name="lock" />
            <p>
              {sizeText(privateBytes)}, encrypted with AES-256-GCM under the ledger secret, which only the service's
              nodes have, and members together could recover. Which tables and keys it holds cannot be seen either. That
              nobody changed it can: its bytes are part of the leaf.
            </p>
          </div>
        )}
    </Section>
  );
}

function leafParts(transaction: TransactionDetail) {
  const { writeSetDigest, commitEvidenceDigest, claimsDigest } = transaction;
  return [
    { name: "digest of the write set", hash: writeSetDigest },
    ...commitEvidenceDigest === undefined
      ? []
      : [{ name: "digest of the commit evidence", hash: commitEvidenceDigest }],
    ...claimsDigest === undefined ? [] : [{ name: "digest of the claims", hash: claimsDigest }],
  ];
}

function Bytes({ transaction: { bytes, layout, txId } }: { readonly transaction: TransactionDetail }) {
  const [isShown, setIsShown] = useState(false);
  return (
    <Section
      title="Bytes"
      actions={
        <button type="button" class="button" aria-expanded={isShown} onClick={() => setIsShown(!isShown)}>
          {isShown ? "Hide bytes" : "Show annotated bytes"}
        </button>
      }
    >
      {isShown
        ? <HexView bytes={bytes} label={`Bytes of ${txId}`} ranges={layout} />
        : <p class="soft">{sizeText(bytes.length)} as they stand in the ledger, in {layout.length} ranges.</p>}
    </Section>
  );
}
