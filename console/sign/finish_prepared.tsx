/**
 * A request that was prepared before, here or by `member prepare`, and signed elsewhere meanwhile: read again, and sent.
 *
 * There is no form any more: what is shown comes from the file's own bytes.
 */

import { useMemo, useState } from "preact/hooks";
import { fromUtf8Lenient } from "../../shared/bytes.ts";
import { MAX_PREPARED_FILE_BYTES } from "../../shared/limits.ts";
import { useLedger } from "../hooks.ts";
import { FileDrop } from "../parts/file_drop.tsx";
import { ProblemNote, Region } from "../parts/states.tsx";
import { type Problem, problemOf } from "../problem.ts";
import { SendAndFollow } from "./delivery.tsx";
import type { SignedEnvelope } from "./envelope.ts";
import { readPreparedFile } from "./hand_over.ts";
import type { MemberChoice } from "./key_choice.tsx";
import { reviewBytes } from "./said_and_signed.ts";
import { Elsewhere, membersToSign, type Prepared } from "./sign_dialog.tsx";
import { Agreement, BytesSay, Digests } from "./what_is_said.tsx";

type ReadFile = ReturnType<typeof readPreparedFile>;

export function FinishPrepared({ onSent }: {
  /** It was sent, and nothing more is under way. */
  readonly onSent: () => void;
}) {
  const members = useLedger(membersToSign, []);
  const [read, setRead] = useState<ReadFile | undefined>();
  const [problem, setProblem] = useState<Problem | undefined>();
  const take = async ([file]: readonly File[]) => {
    if (file === undefined) return;
    setRead(undefined);
    setProblem(undefined);
    try {
      const bytes = new Uint8Array(await file.slice(0, MAX_PREPARED_FILE_BYTES + 1).arrayBuffer());
      setRead(readPreparedFile(fromUtf8Lenient(bytes)));
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  return (
    <div class="stack">
      <FileDrop label="Choose a prepared request" accept=".json,application/json" onFiles={take}>
        <p class="soft">
          The JSON file that was saved when a device was to sign, or that <code>member prepare</code> wrote.
        </p>
      </FileDrop>
      {problem && <ProblemNote problem={problem} />}
      {read !== undefined && (
        <Region of={members} loading="members">
          {(list) => <Finish key={read.said.createdAtSeconds} read={read} members={list} onSent={onSent} />}
        </Region>
      )}
    </div>
  );
}

function Finish({ read, members, onSent }: {
  readonly read: ReadFile;
  readonly members: readonly MemberChoice[];
  readonly onSent: () => void;
}) {
  const [signed, setSigned] = useState<SignedEnvelope | undefined>();
  const [problem, setProblem] = useState<Problem | undefined>();
  const { envelope, said } = read;
  const review = useMemo(() => reviewBytes(envelope.toBeSigned, said), [read]);
  const member = members.find(({ memberId }) => memberId === said.memberId);
  const prepared = useMemo((): Prepared | undefined => {
    if (member === undefined) return undefined;
    const { memberId, certificatePem } = member;
    return { envelope, said, source: { kind: "elsewhere", memberId, certificatePem } };
  }, [read, member?.certificatePem]);
  const title = review.signed?.title ?? "A request";
  return (
    <>
      <BytesSay signed={review.signed} />
      <Agreement mismatches={review.mismatches} />
      {review.signed && <Digests signed={review.signed} />}
      {signed !== undefined
        ? <SendAndFollow envelope={signed} what={title} onAccepted={() => {}} onSettled={onSent} />
        : prepared === undefined
        ? <ProblemNote problem={notAMember(said.memberId)} />
        : review.mismatches.length === 0 && (
          <Elsewhere prepared={prepared} onSigned={setSigned} onProblem={setProblem} />
        )}
      {problem && <ProblemNote problem={problem} />}
    </>
  );
}

function notAMember(memberId: string): Problem {
  return {
    code: "NotAMember",
    what: "The request is of somebody who is no member here",
    why: `The service has no member with the ID ${memberId}, as far as the ledger is proved here`,
    todo: "Connect to the service that it was prepared for",
  };
}
