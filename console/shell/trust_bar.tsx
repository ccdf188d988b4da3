/**
 * What stands over every screen: which service, by which key, where the page came from, how much of the ledger is proved,
 * and how far the node says it is ahead of that.
 */

import { object, type Of, text } from "../../shared/json_shape.ts";
import { useNode } from "../hooks.ts";
import { Hash } from "../parts/hash.tsx";
import { Icon } from "../parts/icon.tsx";
import { agoText, Time } from "../parts/time.tsx";
import { Verdict, type VerdictKind } from "../parts/verdict.tsx";
import { linkTo } from "../routes.ts";
import { ORIGIN_WORDS } from "../service/origin.ts";
import { alarm, api, connection, ledgerState, origin, pinned, recoveredSince } from "../service/session.ts";
import { isPaletteOpen } from "./palette.tsx";
import { isRailOpen } from "./rail.tsx";

const POLL_MS = 3000;

/** What a node says of its last committed transaction. */
const commitAnswer = object({ transaction_id: text });

export function TrustBar() {
  const state = ledgerState.value;
  const to = connection.value;
  const { service, signed } = state;
  return (
    <div class="row row-apart">
      <dl>
        <Item name="Service">
          {to === undefined ? "nothing is open" : (
            <span class="foreign">
              {pinned.value?.name ??
                (to.kind === "node" ? to.url || "the relay's node" : state.sourceName || "files")}
            </span>
          )}
        </Item>
        {service !== undefined && (
          <Item name="Identity">
            <Hash value={service.identity} of="SHA-256 of the service's public key" />
          </Item>
        )}
        <Item name="Verification">
          <Standing />
        </Item>
        {signed !== undefined && (
          <Item name="As of">
            seqno {signed.seqno}
            {signed.timeMs !== undefined && (
              <>
                , <Time ms={signed.timeMs} /> ({agoText(signed.timeMs, Date.now())})
              </>
            )}
          </Item>
        )}
        {api.value !== undefined && <Lag />}
        <Item name="Page from">
          <span title={ORIGIN_WORDS[origin].long}>{ORIGIN_WORDS[origin].short}</span>
        </Item>
      </dl>
      <div class="row">
        <button
          type="button"
          class="button rail-toggle"
          aria-expanded={isRailOpen.value}
          aria-controls="rail"
          onClick={() => isRailOpen.value = !isRailOpen.value}
        >
          <Icon name="menu" /> Pages
        </button>
        <button type="button" class="button" onClick={() => isPaletteOpen.value = true}>
          <Icon name="search" /> Go to… <kbd>Ctrl K</kbd>
        </button>
      </div>
    </div>
  );
}

function Item({ name, children }: { readonly name: string; readonly children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** The state of the fold, as a sentence. */
function Standing() {
  const { status, signed, readSeqno, sourceSeqno, problem, fromSnapshot } = ledgerState.value;
  if (alarm.value !== undefined) return <Verdict kind="failed">Stopped: {alarm.value.problem.code}</Verdict>;
  if (status === "stopped") return <Verdict kind="failed">Stopped: {problem?.code ?? "unknown reason"}</Verdict>;
  if (status === "idle") return <Verdict kind="unchecked">Nothing is open</Verdict>;
  if (status === "reading") {
    if (problem !== undefined) {
      const read = readSeqno === 0 ? "Nothing is read" : `Read up to entry ${readSeqno}`;
      return <Verdict kind="cannot">{read}: {problem.code}</Verdict>;
    }
    const of = sourceSeqno > 0 ? ` of ${sourceSeqno}` : "";
    return <Verdict kind="unchecked">Reading, entry {readSeqno}{of}</Verdict>;
  }
  if (signed === undefined) return <Verdict kind="unchecked">No signature yet</Verdict>;
  // Whoever has the public ledger can write a recovery behind it: on no screen may it look like what was pinned.
  if (recoveredSince.value !== undefined) {
    return (
      <Verdict kind="cannot">
        Recovered since it was pinned, under another key: <a href={linkTo("connect")}>decide whether to go on</a>
      </Verdict>
    );
  }
  const kind: VerdictKind = fromSnapshot !== undefined && !fromSnapshot.evidenceVerified ? "cannot" : "verified";
  return (
    <Verdict kind={kind}>
      {fromSnapshot === undefined
        ? `Ledger complete up to the signature at seqno ${signed.seqno}`
        : `From the snapshot at seqno ${fromSnapshot.seqno} up to the signature at ${signed.seqno}`}
    </Verdict>
  );
}

/** The distance between what the node says is committed and what is proved here. */
function Lag() {
  const commit = useNode(
    (node, signal) => node.getAs("/node/commit", (answer) => commitAnswer(answer, ""), { signal }),
    [],
    POLL_MS,
  );
  const signed = ledgerState.value.signed?.seqno ?? 0;
  return (
    <Item name="Commit lag">
      {commit.kind === "ready"
        ? lagText(commit.value, signed)
        : commit.kind === "loading"
        ? "…"
        : "the node does not say"}
    </Item>
  );
}

function lagText({ transaction_id: id }: Of<typeof commitAnswer>, signed: number): string {
  const seqno = Number(String(id).split(".")[1]);
  if (!Number.isSafeInteger(seqno)) return "the node does not say";
  return seqno <= signed ? "none" : `${seqno - signed} transactions not proved here yet`;
}
