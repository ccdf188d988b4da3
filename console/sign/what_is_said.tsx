/** Left, what the form says; right, what the very bytes say that would be signed, and where the two differ. */

import { PLAIN_BALLOTS } from "../../shared/governance/member_request.ts";
import type { MemberRequest } from "../../shared/governance/member_request.ts";
import { valueWords } from "../../shared/governance/proposal_words.ts";
import { fromUtf8Lenient } from "../../shared/bytes.ts";
import { CodeView } from "../parts/code_view.tsx";
import { CopyButton } from "../parts/copy.tsx";
import { ForeignText } from "../parts/foreign_text.tsx";
import { Icon } from "../parts/icon.tsx";
import { ShowAll } from "../parts/show_all.tsx";
import { Time } from "../parts/time.tsx";
import type { Mismatch, Said, Signed } from "./said_and_signed.ts";

const KIND_WORDS: Readonly<Record<MemberRequest["kind"], string>> = {
  proposal: "A new proposal",
  proposal_dry_run: "A question what would become of a proposal; it changes nothing",
  ballot: "A ballot",
  withdrawal: "The withdrawal of my proposal",
  state_digest: "A question for the newest state digest",
  ack: "I acknowledge the state of the service",
  recovery_share: "My recovery share, handed in",
};

/** As the form has it, and nothing from the bytes. */
export function FormSays({ said, memberName }: { readonly said: Said; readonly memberName: string }) {
  const { request, actions } = said;
  return (
    <section class="card stack-tight" aria-label="What the form says">
      <h3>What the form says</h3>
      <dl class="facts">
        <dt>What it is</dt>
        <dd>{KIND_WORDS[request.kind]}</dd>
        {"proposalId" in request && (
          <>
            <dt>Proposal</dt>
            <dd class="mono anywhere">{request.proposalId}</dd>
          </>
        )}
        {request.kind === "ballot" && (
          <>
            <dt>Vote</dt>
            <dd>
              {request.ballot === PLAIN_BALLOTS.yes
                ? "for"
                : request.ballot === PLAIN_BALLOTS.no
                ? "against"
                : "my own program, below"}
            </dd>
          </>
        )}
        {request.kind === "ack" && (
          <>
            <dt>State digest</dt>
            <dd class="mono anywhere">{request.stateDigest}</dd>
          </>
        )}
        <dt>As</dt>
        <dd class="foreign">
          {memberName} <span class="small mono anywhere">{said.memberId}</span>
        </dd>
        <dt>Time</dt>
        <dd>
          <Time ms={said.createdAtSeconds * 1000} utc />
        </dd>
      </dl>
      {request.kind === "ballot" && request.ballot !== PLAIN_BALLOTS.yes && request.ballot !== PLAIN_BALLOTS.no && (
        <CodeView text={request.ballot} language="javascript" label="Ballot, as the form has it" />
      )}
      {actions !== undefined && (
        <ShowAll of={actions} what="actions" wrap={(items) => <ol class="stack-tight">{items}</ol>}>
          {({ name, args }) => (
            <li class="foreign">
              <strong>{name}</strong>
              {args !== undefined && <p class="small">{valueWords(args)}</p>}
            </li>
          )}
        </ShowAll>
      )}
      {actions === undefined && "proposal" in request && (
        <CodeView text={fromUtf8Lenient(request.proposal)} language="json" label="Proposal, as the form has it" />
      )}
    </section>
  );
}

/** Decoded from the bytes by a module that knows no form. */
export function BytesSay({ signed }: { readonly signed: Signed | undefined }) {
  return (
    <section class="card stack-tight" aria-label="What the bytes say">
      <h3>What the bytes say</h3>
      {signed === undefined ? <p>They cannot be read.</p> : (
        <>
          <dl class="facts">
            {signed.fields.flatMap(({ label, value, header, explained }) => [
              <dt key={`${label} name`}>{label}</dt>,
              <dd key={label} class="foreign">
                <span class="anywhere">{value}</span>
                {(header !== undefined || explained !== undefined) && (
                  <span class="small soft">
                    {" "}
                    {header !== undefined && <code>{header}</code>} {explained}
                  </span>
                )}
              </dd>,
            ])}
          </dl>
          {signed.actions !== undefined && (
            <ShowAll of={signed.actions} what="actions" wrap={(items) => <ol class="stack-tight">{items}</ol>}>
              {({ name, args }) => (
                <li class="foreign">
                  <strong>{name}</strong>
                  {args.length > 0 && (
                    <ul class="small">
                      {args.map(([arg, value], j) => (
                        <li key={j}>
                          {arg !== "" && `${arg}: `}
                          <ForeignText text={value} what={arg} />
                        </li>
                      ))}
                    </ul>
                  )}
                </li>
              )}
            </ShowAll>
          )}
          {signed.text !== undefined && (
            <details>
              <summary>The whole text that is signed</summary>
              <CodeView text={signed.text.join("\n")} language="text" label="The whole text that is signed" />
            </details>
          )}
        </>
      )}
    </section>
  );
}

export function Agreement({ mismatches }: { readonly mismatches: readonly Mismatch[] }) {
  if (mismatches.length === 0) {
    return (
      <p class="verdict verdict-verified" data-agreement="same">
        <Icon name="check" /> The bytes say what the form says
      </p>
    );
  }
  return (
    <div class="notice notice-bad stack-tight" role="alert" data-problem="SaidIsNotSigned">
      <p class="verdict verdict-failed">
        <Icon name="cross" /> The bytes say something else: nothing can be signed
      </p>
      <ul>
        {mismatches.map(({ field, sentence }) => <li key={field} class="foreign">{sentence}.</li>)}
      </ul>
      <p>
        Do not sign elsewhere either. Reload the page from a source that you trust, and report it if it happens again.
      </p>
    </div>
  );
}

/** To be compared with a second device. */
export function Digests({ signed }: { readonly signed: Signed }) {
  return (
    <details>
      <summary>Digests, to be compared on another device</summary>
      <div class="stack">
        {signed.digests.map(({ of, algorithm, groups, hex, command }) => (
          <div key={`${of} ${algorithm}`} class="stack-tight">
            <p class="row">
              <strong>{algorithm} of {of}</strong>
              <CopyButton text={hex} what={`the ${algorithm} of ${of}`} bare />
            </p>
            <p class="mono anywhere">{groups}</p>
            {command !== undefined && (
              <p class="small">
                Elsewhere: <code>{command}</code>
              </p>
            )}
          </div>
        ))}
        {signed.again !== undefined && (
          <p class="small">
            The same bytes are made from these words by <code class="anywhere">{signed.again}</code>{" "}
            <CopyButton text={signed.again} what="the command" bare />
          </p>
        )}
      </div>
    </details>
  );
}
