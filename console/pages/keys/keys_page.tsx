/** Keys of this browser, who I am, what was signed and waits, drafts, receipts. */

import "./keys.css";
import { useEffect, useState } from "preact/hooks";
import { MEMBERS_ACKS } from "../../../shared/governance/tables.ts";
import { foldedTable } from "../../folded.ts";
import { me } from "../../governance/me.ts";
import { useLedger } from "../../hooks.ts";
import { keepStorage, type KeyStore, keyWarnings, offerKeys } from "../../keys/key_store.ts";
import { announce } from "../../parts/announce.tsx";
import { Page, Section } from "../../parts/page.tsx";
import { Loading, ProblemNote, Region } from "../../parts/states.tsx";
import { type Problem, problemOf } from "../../problem.ts";
import { origin } from "../../service/session.ts";
import { FinishPrepared } from "../../sign/finish_prepared.tsx";
import type { MemberChoice } from "../../sign/key_choice.tsx";
import { membersToSign, type SignAsk, SignDialog } from "../../sign/sign_dialog.tsx";
import { MeSelect } from "../../proposals/me_select.tsx";
import { BrowserKeys } from "./browser_keys.tsx";
import { DraftsSection, OutboxSection, ReceiptsSection } from "./kept_sections.tsx";

export default function KeysPage() {
  const offer = offerKeys(origin);
  const members = useLedger(membersToSign, []);
  const [sent, setSent] = useState(0);
  return (
    <Page
      title="Keys"
      lead="With which keys you sign, as which member, and what was signed here. No key ever leaves this browser."
    >
      <Region of={members} loading="members">
        {(list) => <WhoIAm members={list} />}
      </Region>
      <Section title="Keys of this browser">
        {offer.offered
          ? <BrowserKeys keys={offer.keys} members={members.kind === "ready" ? members.value : undefined} />
          : (
            <>
              <ProblemNote problem={offer.problem} />
              <p>
                Key files and devices work from here all the same: they are asked for whenever something is signed, and
                nothing of them is stored.
              </p>
            </>
          )}
      </Section>
      {offer.offered && <Storage keys={offer.keys} />}
      <Section title="Finish a prepared request">
        <FinishPrepared onSent={() => setSent((n) => n + 1)} />
      </Section>
      <OutboxSection key={`outbox ${sent}`} />
      <DraftsSection />
      <ReceiptsSection key={`receipts ${sent}`} />
    </Page>
  );
}

function WhoIAm({ members }: { readonly members: readonly MemberChoice[] }) {
  const [ask, setAsk] = useState<SignAsk | undefined>();
  const names = new Map(members.map(({ memberId, name }) => [memberId, name]));
  const mine = members.find(({ memberId }) => memberId === me.value);
  const acks = useLedger(async (ledger) => {
    const { rows } = await foldedTable(ledger, MEMBERS_ACKS);
    return new Map(rows.map(({ key, value }) => [key, value.state_digest]));
  }, []);
  const digest = acks.kind === "ready" && mine !== undefined ? acks.value.get(mine.memberId) : undefined;
  return (
    <Section title="Who I am">
      <MeSelect members={members.map(({ memberId }) => memberId)} names={names} />
      {mine === undefined ? <p class="soft">Lists show what waits for this member.</p> : (
        <>
          <p role="status">
            {mine.isActive
              ? "An active member: may propose and vote."
              : "Accepted, and not active yet: the first acknowledgement of the service's state makes it active."}
          </p>
          {digest !== undefined && digest !== "" && (
            <div class="row">
              <button
                type="button"
                class="button"
                onClick={() =>
                  setAsk({ title: "Acknowledge the state", request: { kind: "ack", stateDigest: digest } })}
              >
                Acknowledge the state
              </button>
              <span class="small soft">
                The root that the service asks this member to sign, as folded here:{" "}
                <code class="anywhere">{digest.slice(0, 16)}…</code>
              </span>
            </div>
          )}
        </>
      )}
      {ask !== undefined && <SignDialog ask={ask} onClose={() => setAsk(undefined)} />}
    </Section>
  );
}

/** What threatens keys that are kept here, and getting rid of all of them. */
function Storage({ keys }: { readonly keys: KeyStore }) {
  const [warnings, setWarnings] = useState<readonly Problem[] | undefined>();
  const [isSure, setIsSure] = useState(false);
  const look = () =>
    keyWarnings(origin, navigator.storage).then(setWarnings, (error) => setWarnings([problemOf(error)]));
  useEffect(() => void look(), []);
  return (
    <Section title="How safe they are here">
      {warnings === undefined ? <Loading of="what this browser promises" /> : (
        <ul class="plain-list">
          {warnings.map(({ code, what, why, todo }) => (
            <li key={code} class="notice notice-warn stack-tight" data-problem={code}>
              <strong>{what}</strong>
              <p>
                {why}. {todo}.
              </p>
              {code === "KeysMayBeEvicted" && (
                <div>
                  <button
                    type="button"
                    class="button"
                    onClick={async () => {
                      announce(
                        await keepStorage(navigator.storage)
                          ? "The browser will keep it"
                          : "The browser does not promise to keep it",
                      );
                      await look();
                    }}
                  >
                    Ask the browser to keep it
                  </button>
                </div>
              )}
            </li>
          ))}
        </ul>
      )}
      <div class="row">
        {isSure
          ? (
            <>
              <strong>All keys of this browser will be gone for good.</strong>
              <button
                type="button"
                class="button"
                onClick={async () => {
                  await keys.wipeAll();
                  location.reload();
                }}
              >
                Yes, wipe all keys
              </button>
              <button type="button" class="button" onClick={() => setIsSure(false)}>Keep them</button>
            </>
          )
          : <button type="button" class="button" onClick={() => setIsSure(true)}>Wipe all keys…</button>}
      </div>
    </Section>
  );
}
