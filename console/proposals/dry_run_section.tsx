/** Asking a node what would become of a proposal: the question is signed, and changes nothing. */

import { sha256 } from "@noble/hashes/sha2.js";
import { useMemo, useState } from "preact/hooks";
import { FormatError } from "../../shared/assert.ts";
import { toHex } from "../../shared/bytes.ts";
import { type DryRunAnswer, parseDryRun, staleBecause } from "../governance/dry_run.ts";
import { useNames } from "../parts/party.tsx";
import { Empty, ProblemNote, Unknown } from "../parts/states.tsx";
import type { Problem } from "../problem.ts";
import { api } from "../service/session.ts";
import { type SignAsk, SignDialog } from "../sign/sign_dialog.tsx";
import { DryRunView } from "./dry_run_view.tsx";
import type { Voters } from "./use_proposals.ts";

/** Answers outlive a change of tabs; they are the node's word, and of little weight. */
const MAX_KEPT = 16;
const kept = new Map<string, DryRunAnswer>();

export function DryRunSection({ text, openId, changedAt, voters }: {
  /** undefined: not known here. */
  readonly text?: Uint8Array;
  /** Of an open proposal: it is tried with the ballots that it has. */
  readonly openId?: string;
  readonly changedAt?: number;
  readonly voters: Voters;
}) {
  const names = useNames();
  const key = useMemo(() => openId ?? (text === undefined ? "" : toHex(sha256(text))), [openId, text]);
  const [answer, setAnswer] = useState<DryRunAnswer | undefined>(kept.get(key));
  const [tried, setTried] = useState({ key, openId });
  const [problem, setProblem] = useState<Problem | undefined>();
  const [ask, setAsk] = useState<SignAsk | undefined>();
  if (text === undefined) {
    return (
      <Empty>
        <p>The text of this proposal is not known here, so it cannot be tried.</p>
      </Empty>
    );
  }
  if (api.value === undefined) return <Unknown why="Only a node can try a proposal, and none is open" />;
  const stale = answer === undefined
    ? undefined
    : tried.key !== key
    ? tried.openId !== undefined && openId === undefined
      ? "The proposal was decided since"
      : "The proposal was changed here since"
    : staleBecause(answer.asOf, voters.constitutionSince, changedAt);
  return (
    <div class="stack">
      <div class="row">
        <button
          type="button"
          class="button"
          onClick={() =>
            setAsk({
              title: "Sign a dry run",
              request: { kind: "proposal_dry_run", proposal: text },
              ...(openId !== undefined && { openProposalId: openId }),
            })}
        >
          {answer === undefined ? "Dry run…" : "Run again…"}
        </button>
        <span class="small soft">
          Validates it, counts the votes every way, and carries it out on a copy. Members ask by a signature that no
          service takes for a proposal.
        </span>
      </div>
      {problem && <ProblemNote problem={problem} />}
      {answer !== undefined && <DryRunView answer={answer} stale={stale} names={names} />}
      {ask !== undefined && (
        <SignDialog
          ask={ask}
          onClose={() => setAsk(undefined)}
          onAccepted={({ answer: json }) => {
            try {
              const read = parseDryRun(json);
              if (kept.size >= MAX_KEPT) kept.clear();
              kept.set(key, read);
              setAnswer(read);
              setTried({ key, openId });
              setProblem(undefined);
            } catch (error) {
              if (!(error instanceof FormatError)) throw error;
              setProblem({
                code: "NodeNonsense",
                what: "The node's answer is no dry run",
                why: error.message,
                todo: "Ask another node; this one may be of another version",
              });
            }
          }}
        />
      )}
    </div>
  );
}
