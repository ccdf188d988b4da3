/**
 * The modal flow of every signature: choose a key, compare what the form says with what the bytes say, sign, send, follow.
 *
 * In: what a form asks for. Out: calls when a node has taken it, and when it is closed. Nothing is signed where the bytes
 * say something else than the form (`said_and_signed.ts`), or where they cannot be read.
 */

import "./sign.css";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import { toUtf8 } from "../../shared/bytes.ts";
import type { MemberRequest } from "../../shared/governance/member_request.ts";
import { MEMBERS_CERTS, MEMBERS_INFO } from "../../shared/governance/tables.ts";
import { foldedTable, nameIn } from "../folded.ts";
import { useLedger } from "../hooks.ts";
import type { LedgerApi } from "../ledger/protocol.ts";
import { CopyButton } from "../parts/copy.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { FileDrop } from "../parts/file_drop.tsx";
import { saveFile } from "../parts/save_file.ts";
import { Loading, ProblemNote, Region } from "../parts/states.tsx";
import { type Problem, problemOf } from "../problem.ts";
import { linkTo } from "../routes.ts";
import { api } from "../service/session.ts";
import { type Accepted, SendAndFollow } from "./delivery.tsx";
import {
  certificateWarnings,
  dryRunOfOpen,
  type PreparedEnvelope,
  prepareEnvelope,
  type SignedEnvelope,
  signEnvelope,
  signingIdentity,
} from "./envelope.ts";
import { handOverFiles, HandOverSigner } from "./hand_over.ts";
import { KeyChoice, type KeySource, type MemberChoice } from "./key_choice.tsx";
import { reviewBytes, type Said } from "./said_and_signed.ts";
import { Agreement, BytesSay, Digests, FormSays } from "./what_is_said.tsx";

/** What a form asks to have signed. */
export interface SignAsk {
  /** Heading of the dialog: "Vote for the proposal". */
  readonly title: string;
  readonly request: MemberRequest;
  /** Of a proposal that was put together in a form. */
  readonly actions?: NonNullable<Said["actions"]>;
  /** What it is about where the bytes name it by an ID alone: the proposal of a ballot, as the ledger has it. */
  readonly about?: ComponentChildren;
  /** Of a dry run: the open proposal whose text the request has. */
  readonly openProposalId?: string;
}

export interface SignDialogProps {
  readonly ask: SignAsk;
  readonly onClose: () => void;
  /** A node has taken it: its word. */
  readonly onAccepted?: (outcome: Accepted) => void;
  /** Shown beside the way it goes on. */
  readonly after?: (outcome: Accepted) => ComponentChildren;
}

export async function membersToSign(ledger: Pick<LedgerApi, "table" | "value">): Promise<readonly MemberChoice[]> {
  const [certificates, infos] = await Promise.all([
    foldedTable(ledger, MEMBERS_CERTS),
    foldedTable(ledger, MEMBERS_INFO),
  ]);
  const info = new Map(infos.rows.map(({ key, value }) => [key, value]));
  return certificates.rows.map(({ key, value }) => ({
    memberId: key,
    certificatePem: value,
    name: nameIn(info.get(key)?.member_data) ?? `Member ${key.slice(0, 8)}…`,
    isActive: info.get(key)?.status === "Active",
  }));
}

export function SignDialog({ ask, onClose, onAccepted, after }: SignDialogProps) {
  const members = useLedger(membersToSign, []);
  const [signed, setSigned] = useState<{ readonly envelope: SignedEnvelope; readonly keyId?: string } | undefined>();
  const [accepted, setAccepted] = useState<Accepted | undefined>();
  const isDryRun = ask.request.kind === "proposal_dry_run";
  return (
    <Dialog title={ask.title} onClose={onClose} class="sign">
      {api.value === undefined && (
        <p class="notice notice-warn">
          No node is open, so nothing can be sent from here. What is signed is kept in the outbox until you{" "}
          <a href={linkTo("connect")}>connect</a>.
        </p>
      )}
      {signed === undefined && ask.about}
      {signed === undefined
        ? (
          <Region of={members} loading="members">
            {(list) => (
              <Compare
                ask={ask}
                members={list}
                onSigned={(envelope, keyId) => {
                  const open = ask.openProposalId;
                  const sent = open === undefined ? envelope : dryRunOfOpen(envelope, open);
                  setSigned({ envelope: sent, ...(keyId !== undefined && { keyId }) });
                }}
              />
            )}
          </Region>
        )
        : (
          <SendAndFollow
            envelope={signed.envelope}
            what={whatWords(ask.request)}
            {...(signed.keyId !== undefined && { browserKeyId: signed.keyId })}
            onAccepted={(outcome) => {
              setAccepted(outcome);
              onAccepted?.(outcome);
              if (isDryRun) onClose();
            }}
          />
        )}
      <div class="row row-apart">
        <button type="button" class="button" onClick={onClose}>
          {signed === undefined ? "Cancel" : "Close"}
        </button>
        {accepted !== undefined && after?.(accepted)}
      </div>
    </Dialog>
  );
}

/** For the list of a key's uses and for receipts. */
function whatWords(request: MemberRequest): string {
  switch (request.kind) {
    case "proposal":
      return "A proposal";
    case "proposal_dry_run":
      return "A dry run of a proposal";
    case "ballot":
      return `A ballot on proposal ${request.proposalId.slice(0, 12)}…`;
    case "withdrawal":
      return `The withdrawal of proposal ${request.proposalId.slice(0, 12)}…`;
    case "state_digest":
      return "A question for the state digest";
    case "ack":
      return "An acknowledgement";
    case "recovery_share":
      return "A recovery share";
  }
}

/** A request, what is said of it, and whose key is to sign it. */
export interface Prepared {
  readonly envelope: PreparedEnvelope;
  readonly said: Said;
  readonly source: KeySource;
}

function Compare({ ask, members, onSigned }: {
  readonly ask: SignAsk;
  readonly members: readonly MemberChoice[];
  readonly onSigned: (envelope: SignedEnvelope, browserKeyId?: string) => void;
}) {
  const [prepared, setPrepared] = useState<Prepared | undefined>();
  const [problem, setProblem] = useState<Problem | undefined>();
  const [isBusy, setIsBusy] = useState(false);
  const choose = (source: KeySource | undefined) => {
    setProblem(undefined);
    setPrepared(undefined);
    if (source === undefined) return;
    try {
      setPrepared(prepare(ask, source, Date.now()));
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  const review = useMemo(
    () => prepared && reviewBytes(prepared.envelope.toBeSigned, prepared.said),
    [prepared],
  );
  const sign = async () => {
    const { envelope, said, source } = prepared!;
    if (source.kind !== "signer") return;
    setIsBusy(true);
    try {
      onSigned(await signEnvelope(envelope, said, source.signer, Date.now()), source.browserKeyId);
    } catch (error) {
      setProblem(problemOf(error));
      setIsBusy(false);
    }
  };
  const mayAnybody = ask.request.kind === "ack" || ask.request.kind === "state_digest" ||
    ask.request.kind === "recovery_share";
  const memberId = prepared?.said.memberId;
  const name = members.find((member) => member.memberId === memberId)?.name ?? memberId ?? "";
  const isBlocked = review === undefined || review.mismatches.length > 0 || review.signed === undefined;
  return (
    <>
      <KeyChoice members={members} needsActive={!mayAnybody} onChoose={choose} />
      {prepared !== undefined && review !== undefined && (
        <>
          {certificateWarnings(sourceCertificate(prepared.source), Date.now()).map((warning) => (
            <p key={warning.code} class="notice notice-warn foreign" data-problem={warning.code}>
              <strong>{warning.what}.</strong> {warning.why}. {warning.todo}.
            </p>
          ))}
          <div class="sign-sides">
            <FormSays said={prepared.said} memberName={name} />
            <BytesSay signed={review.signed} />
          </div>
          <Agreement mismatches={review.mismatches} />
          {review.signed && <Digests signed={review.signed} />}
          {prepared.source.kind === "signer"
            ? (
              <div>
                <button type="button" class="button button-main" disabled={isBlocked || isBusy} onClick={sign}>
                  {ask.request.kind === "proposal_dry_run" ? "Sign and ask" : "Sign and send"}
                </button>
              </div>
            )
            : !isBlocked && <Elsewhere prepared={prepared} onSigned={onSigned} onProblem={setProblem} />}
        </>
      )}
      {isBusy && <Loading of="the signature" />}
      {problem && <ProblemNote problem={problem} />}
    </>
  );
}

/** What the form says stands on its own: the time is the page's, the member that of the chosen key. */
function prepare(ask: SignAsk, source: KeySource, nowMs: number): Prepared {
  const certificatePem = sourceCertificate(source);
  const { memberId, curve } = signingIdentity(certificatePem);
  const said: Said = {
    request: ask.request,
    memberId,
    curve,
    createdAtSeconds: Math.floor(nowMs / 1000),
    ...(ask.actions !== undefined && { actions: ask.actions }),
  };
  return { envelope: prepareEnvelope(ask.request, { certificatePem }, nowMs), said, source };
}

const sourceCertificate = (source: KeySource) =>
  source.kind === "signer" ? source.signer.certificatePem : source.certificatePem;

/** Two steps: files out, a signature back. */
export function Elsewhere({ prepared: { envelope, said, source }, onSigned, onProblem }: {
  readonly prepared: Prepared;
  readonly onSigned: (envelope: SignedEnvelope) => void;
  readonly onProblem: (problem: Problem) => void;
}) {
  const id = useId();
  const files = useMemo(() => handOverFiles(envelope), [envelope]);
  const signer = useRef<HandOverSigner | undefined>(undefined);
  const [pasted, setPasted] = useState("");
  const [refused, setRefused] = useState<Problem | undefined>();
  useEffect(() => {
    let isOver = false;
    const waiting = new HandOverSigner(envelope, sourceCertificate(source));
    signer.current = waiting;
    signEnvelope(envelope, said, waiting, Date.now()).then(
      (signed) => !isOver && onSigned(signed),
      (error) => !isOver && onProblem(problemOf(error)),
    );
    return () => {
      isOver = true;
      waiting.giveUp();
    };
  }, [envelope]);
  const offer = (bytes: Uint8Array) => setRefused(signer.current?.offer(bytes));
  return (
    <div class="stack">
      <section class="card stack-tight" aria-label="First step">
        <h3>1. Save what is to be signed, and sign it where the key is</h3>
        <ul class="stack-tight">
          {files.map(({ name, what, content }) => (
            <li key={name}>
              <button type="button" class="button" onClick={() => saveFile(name, content)}>Save {name}</button>{" "}
              <span class="small soft">{what}</span>
              {typeof content === "string" && content.length < 500 && <CopyButton text={content} what={name} bare />}
            </li>
          ))}
        </ul>
      </section>
      <section class="card stack-tight" aria-label="Second step">
        <h3>2. Bring the signature back</h3>
        <FileDrop
          label="Choose the signature file"
          onFiles={([file]) => void file?.arrayBuffer().then((buffer) => offer(new Uint8Array(buffer)))}
        >
          <p class="soft small">A signature that verifies is sent at once.</p>
        </FileDrop>
        <div class="field">
          <label htmlFor={id}>Or paste the signature</label>
          <textarea
            id={id}
            spellcheck={false}
            value={pasted}
            onInput={({ currentTarget }) => setPasted(currentTarget.value)}
          />
        </div>
        <div>
          <button
            type="button"
            class="button button-main"
            disabled={pasted.trim() === ""}
            onClick={() => offer(toUtf8(pasted))}
          >
            Use this signature and send
          </button>
        </div>
        {refused && <ProblemNote problem={refused} />}
      </section>
    </div>
  );
}
