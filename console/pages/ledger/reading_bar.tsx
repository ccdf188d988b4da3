/** How far the ledger has been read and proved: never shown as data that is missing. */

import { ProblemNote } from "../../parts/states.tsx";
import { Time } from "../../parts/time.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import { ledgerState } from "../../service/session.ts";
import { refusedAt } from "./refusal.ts";

export function ReadingBar() {
  const {
    status,
    readSeqno,
    sourceSeqno,
    firstSeqno,
    entriesPerSecond,
    signed,
    fromSnapshot,
    gaps,
    warnings,
    problem,
  } = ledgerState.value;
  const behind = Math.max(0, sourceSeqno - readSeqno);
  const unproved = Math.max(0, readSeqno - (signed?.seqno ?? 0));
  const refused = refusedAt(ledgerState.value);
  return (
    <div class="stack-tight">
      {status === "reading" && (
        <div class="stack-tight" role="status">
          <p>
            Reading and verifying: entry {readSeqno.toLocaleString()} of {sourceSeqno.toLocaleString()},{" "}
            {behind.toLocaleString()} behind
            {entriesPerSecond > 0 && `, ${entriesPerSecond.toLocaleString()} a second`}
            {entriesPerSecond > 0 && behind > 0 && `, about ${waitWords(behind / entriesPerSecond)} left`}
          </p>
          <progress aria-label="Entries read" value={readSeqno} max={Math.max(1, sourceSeqno)} />
        </div>
      )}
      {signed === undefined
        ? (
          <p>
            <Verdict kind="unchecked">No signature was reached yet: nothing is proved</Verdict>
          </p>
        )
        : (
          <p>
            <Verdict kind="verified">
              Complete up to the signature at seqno {signed.seqno.toLocaleString()}
              {signed.timeMs !== undefined && (
                <>
                  {" "}of <Time ms={signed.timeMs} utc />
                </>
              )}
            </Verdict>
            {unproved > 0 && (
              <span class="soft">
                ; {unproved} {unproved === 1 ? "entry" : "entries"} after it{" "}
                {refused === undefined ? "wait for a signature" : "were read, and are proved by nothing"}
              </span>
            )}
          </p>
        )}
      {fromSnapshot !== undefined && (
        <p>
          <Verdict kind="cannot">
            Read from a snapshot at seqno {fromSnapshot.seqno}: the {firstSeqno - 1}{" "}
            entries before it cannot be checked here{!fromSnapshot.evidenceVerified &&
              ", and the snapshot's evidence is not reached yet"}
          </Verdict>
        </p>
      )}
      {problem !== undefined && <ProblemNote problem={problem} />}
      {gaps.map(({ from, to }) => (
        <p key={from} class="gap">
          <strong>Gap</strong>: entries {from} to {to}{" "}
          ({to - from + 1}) are in no file that was opened. What comes after them cannot be proved: add the files that
          are missing.
        </p>
      ))}
      {warnings.length > 0 && (
        <details>
          <summary>
            {warnings.length === 1 ? "1 thing" : `${warnings.length} things`} worth knowing about this source
          </summary>
          <ul>{warnings.map((warning) => <li key={warning} class="foreign">{warning}</li>)}</ul>
        </details>
      )}
    </div>
  );
}

function waitWords(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} seconds`;
  return seconds < 5400 ? `${Math.ceil(seconds / 60)} minutes` : `${Math.ceil(seconds / 3600)} hours`;
}
