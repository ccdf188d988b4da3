/** What was signed and waits for an answer, what is being written, and receipts of what was signed. */

import { useEffect, useState } from "preact/hooks";
import { saveFile } from "../../parts/save_file.ts";
import { Section } from "../../parts/page.tsx";
import { Empty, Loading, ProblemNote } from "../../parts/states.tsx";
import { Time } from "../../parts/time.tsx";
import { type Problem, problemOf } from "../../problem.ts";
import { linkTo } from "../../routes.ts";
import { ledgerState } from "../../service/session.ts";
import { SendAndFollow } from "../../sign/delivery.tsx";
import { type KeptReceipt, KeptReceipts } from "../../sign/kept_receipts.ts";
import { type Draft, Drafts, type KeptEnvelope, Outbox, wordsOfEnvelope } from "../../sign/outbox.ts";
import { BytesSay } from "../../sign/what_is_said.tsx";

/** A list of this browser, and how to ask for it again. */
function useKept<T>(ask: () => Promise<readonly T[]>): {
  readonly list: readonly T[] | undefined;
  readonly problem: Problem | undefined;
  readonly look: () => void;
} {
  const [list, setList] = useState<readonly T[] | undefined>();
  const [problem, setProblem] = useState<Problem | undefined>();
  const look = () => void ask().then(setList, (error) => setProblem(problemOf(error)));
  useEffect(look, []);
  return { list, problem, look };
}

export function OutboxSection() {
  const { list, problem, look } = useKept(() => new Outbox().list());
  return (
    <Section title="Outbox">
      <p class="soft">
        Signed requests stay here until a service has answered. Sending one again sends the same bytes, and they count
        once.
      </p>
      {problem && <ProblemNote problem={problem} />}
      {list === undefined ? problem === undefined && <Loading of="the outbox" /> : list.length === 0
        ? (
          <Empty>
            <p>Nothing waits.</p>
          </Empty>
        )
        : (
          <ul class="plain-list">
            {list.map((envelope) => (
              <li key={envelope.id} class="card stack">
                <OneEnvelope envelope={envelope} onChanged={look} />
              </li>
            ))}
          </ul>
        )}
    </Section>
  );
}

const KIND_WORDS: Readonly<Partial<Record<KeptEnvelope["kind"], string>>> = {
  proposal: "A proposal",
  ballot: "A ballot",
  withdrawal: "A withdrawal",
  ack: "An acknowledgement",
};

function OneEnvelope({ envelope, onChanged }: { readonly envelope: KeptEnvelope; readonly onChanged: () => void }) {
  const { id, kind, proposalId, state, txId, attempts, problem, signedAtMs, service } = envelope;
  const [isSending, setIsSending] = useState(false);
  const here = ledgerState.value.service?.identities[0]?.identity;
  const isOther = service !== undefined && here !== undefined && service !== here;
  const title = KIND_WORDS[kind] ?? kind;
  let read: ReturnType<typeof wordsOfEnvelope> | Problem;
  try {
    read = wordsOfEnvelope(envelope);
  } catch (error) {
    read = problemOf(error);
  }
  return (
    <>
      <h3>
        {title}
        {proposalId !== undefined && (
          <>
            {" "}on <a href={linkTo("proposal", proposalId)}>proposal {proposalId.slice(0, 12)}…</a>
          </>
        )}
      </h3>
      <p>
        Signed <Time ms={signedAtMs} />; {state === "accepted"
          ? `taken as transaction ${txId}, not known to be final`
          : `waits, sent ${attempts} ${attempts === 1 ? "time" : "times"}`}.
      </p>
      {isOther && <p class="notice notice-warn">It is for another service than the one that is open.</p>}
      {"code" in read ? <ProblemNote problem={read} /> : (
        <details>
          <summary>What it says</summary>
          <BytesSay signed={read} />
        </details>
      )}
      {isSending
        ? <SendAndFollow envelope={envelope} what={title} onAccepted={() => {}} onSettled={onChanged} />
        : problem && <ProblemNote problem={problem} />}
      <div class="row">
        <button
          type="button"
          class="button"
          disabled={isSending || isOther || "code" in read}
          onClick={() => setIsSending(true)}
        >
          Retry: send the same bytes
        </button>
        <button
          type="button"
          class="button"
          onClick={() => saveFile(`${kind}_${id.slice(0, 12)}.cose`, envelope.body, "application/cose")}
        >
          Save it
        </button>
        <button
          type="button"
          class="button"
          onClick={() => new Outbox().remove(id).then(onChanged)}
        >
          Discard
        </button>
      </div>
    </>
  );
}

export function DraftsSection() {
  const { list, problem, look } = useKept(() => new Drafts().list());
  const hrefOf = ({ id, kind, proposalId }: Draft) =>
    kind === "ballot" && proposalId !== undefined
      ? linkTo("proposal", proposalId)
      : linkTo("compose", undefined, { draft: id });
  return (
    <Section title="Drafts">
      {problem && <ProblemNote problem={problem} />}
      {list === undefined ? problem === undefined && <Loading of="drafts" /> : list.length === 0
        ? (
          <Empty>
            <p>
              There is none. <a href={linkTo("compose")}>Compose a proposal</a>; it is kept as you write.
            </p>
          </Empty>
        )
        : (
          <ul class="plain-list">
            {list.map((draft) => (
              <li key={draft.id} class="row row-apart">
                <span>
                  <a class="foreign" href={hrefOf(draft)}>{draft.title}</a>, {draft.text.length.toLocaleString()}{" "}
                  characters, <Time ms={draft.changedAtMs} />
                </span>
                <button
                  type="button"
                  class="button"
                  aria-label={`Discard the draft ${draft.title}`}
                  onClick={() => new Drafts().remove(draft.id).then(look)}
                >
                  Discard
                </button>
              </li>
            ))}
          </ul>
        )}
    </Section>
  );
}

export function ReceiptsSection() {
  const { list, problem, look } = useKept(() => new KeptReceipts().list());
  const nameOf = ({ txId }: KeptReceipt) => `receipt_${txId}.json`;
  return (
    <Section title="Receipts of what was signed here">
      {problem && <ProblemNote problem={problem} />}
      {list === undefined ? problem === undefined && <Loading of="receipts" /> : list.length === 0
        ? (
          <Empty>
            <p>None yet. One is fetched, verified and kept whenever something that was signed here is final.</p>
          </Empty>
        )
        : (
          <ul class="plain-list">
            {list.map((receipt) => (
              <li key={receipt.id} class="row row-apart">
                <span>
                  <span class="foreign">{receipt.what}</span> in{" "}
                  <a href={linkTo("transaction", receipt.txId)}>{receipt.txId}</a>, <Time ms={receipt.atMs} />
                </span>
                <span class="row">
                  <button
                    type="button"
                    class="button"
                    aria-label={`Save the receipt of ${receipt.txId}`}
                    onClick={() => saveFile(nameOf(receipt), receipt.text, "application/json")}
                  >
                    Save
                  </button>
                  <button
                    type="button"
                    class="button"
                    aria-label={`Discard the receipt of ${receipt.txId}`}
                    onClick={() => new KeptReceipts().remove(receipt.id).then(look)}
                  >
                    Discard
                  </button>
                </span>
              </li>
            ))}
          </ul>
        )}
      {list !== undefined && list.length > 0 && (
        <p class="soft">
          Look at what one proves on <a href={linkTo("receipts")}>Receipts</a>.
        </p>
      )}
    </Section>
  );
}
