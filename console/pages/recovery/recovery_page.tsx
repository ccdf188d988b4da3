/** Recovery: where the service stands, who holds which share, and one's own share opened here. */

import { useEffect, useState } from "preact/hooks";
import { DataTable } from "../../parts/data_table.tsx";
import { toHex } from "../../../shared/bytes.ts";
import { useLedger } from "../../hooks.ts";
import { CopyButton } from "../../parts/copy.tsx";
import { FileDrop } from "../../parts/file_drop.tsx";
import { Facts, Page, Section } from "../../parts/page.tsx";
import { Party } from "../../parts/party.tsx";
import { Empty, ProblemNote, Region } from "../../parts/states.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import { type Problem, problemOf } from "../../problem.ts";
import { linkTo } from "../../routes.ts";
import { healthText, type OpenedShare, openOwnShare, type RecoveryFacts, recoveryFacts } from "./recovery_facts.ts";
import "./recovery.css";

const MAX_KEY_FILE_BYTES = 64 * 1024;

export default function RecoveryPage() {
  const facts = useLedger(recoveryFacts, []);
  return (
    <Page
      title="Recovery"
      lead="After a disaster members bring the ledger's secrets back with shares of a key, which only they can open."
      actions={
        <>
          <a class="button" href={linkTo("compose", undefined, { action: "set_recovery_threshold" })}>
            Propose another threshold
          </a>
          <a class="button" href={linkTo("compose", undefined, { action: "trigger_recovery_shares_refresh" })}>
            Propose new shares
          </a>
        </>
      }
    >
      <Region of={facts} loading="recovery">
        {(value) => (
          <>
            <State facts={value} />
            <Shares facts={value} />
            <OwnShare facts={value} />
          </>
        )}
      </Region>
    </Page>
  );
}

const STATES = [
  ["Open", "The service runs, and shares are kept for a bad day"],
  ["Disaster", "More nodes fail than may, and nobody can write"],
  ["Recovering", "A new node reads the public part of the ledger, as a new service that members open"],
  ["Waiting for recovery shares", "Members submit their shares"],
  ["Open", "The ledger's secrets are back, and the service goes on where it was"],
] as const;

/** Which box of the drawing the service is in. */
function placeOf({ status }: RecoveryFacts): number {
  return status === "Recovering" ? 2 : status === "WaitingForRecoveryShares" ? 3 : 0;
}

function State({ facts }: { readonly facts: RecoveryFacts }) {
  const here = placeOf(facts);
  return (
    <Section title="Where the service stands">
      <ol class="recovery-steps">
        {STATES.map(([name, text], i) => (
          <li key={i} {...(i === here && { "aria-current": "step" as const })}>
            <strong>{name}</strong>
            {i === here && <span class="chip">The service is here</span>}
            <span class="soft small">{text}</span>
          </li>
        ))}
      </ol>
      <p>
        {facts.status === "Opening" && "The service has not been opened yet. "}
        {facts.recoveries === 0 ? "It was never recovered." : `It was recovered ${facts.recoveries} times.`}
        {facts.status === "WaitingForRecoveryShares" && ` ${facts.submitted} shares have been submitted.`}
      </p>
    </Section>
  );
}

function Shares({ facts }: { readonly facts: RecoveryFacts }) {
  const { isGood, text } = healthText(facts);
  const names = new Map(facts.holders.flatMap(({ memberId, name }) => name === undefined ? [] : [[memberId, name]]));
  return (
    <Section title="Shares by member">
      <Verdict kind={isGood ? "verified" : "cannot"}>{text}</Verdict>
      {facts.holders.length === 0
        ? (
          <Empty>
            No member has an encryption key. <a href={linkTo("members")}>Members</a>{" "}
            take part in recovery when they are added with one.
          </Empty>
        )
        : (
          <DataTable label="Table of shares" columns={["Member", "Part", "Share"]}>
            {facts.holders.map(({ memberId, role, encryptedShare }) => (
              <tr key={memberId}>
                <td>
                  <Party id={memberId} kind="member" names={names} />
                </td>
                <td>{role === "Owner" ? "Owner: alone is enough" : "Participant"}</td>
                <td>{encryptedShare === undefined ? "none yet" : "holds one"}</td>
              </tr>
            ))}
          </DataTable>
        )}
      {facts.sharesWrittenAt !== undefined && (
        <p class="soft">
          These shares were made at{" "}
          <a href={linkTo("transaction", String(facts.sharesWrittenAt))}>
            seqno {facts.sharesWrittenAt}
          </a>. Each time members, their keys or the threshold change, all shares are made again.
        </p>
      )}
    </Section>
  );
}

/** The key stays in this page's memory for as long as it takes to open the share. */
function OwnShare({ facts }: { readonly facts: RecoveryFacts }) {
  const [opened, setOpened] = useState<OpenedShare | undefined>();
  const [problem, setProblem] = useState<Problem | undefined>();
  const [passphrase, setPassphrase] = useState("");
  const [isShown, setIsShown] = useState(false);
  useEffect(() => () => opened?.share.fill(0), [opened]);
  const open = async ([file]: readonly File[]) => {
    setOpened(undefined);
    setProblem(undefined);
    setIsShown(false);
    try {
      const text = file!.size > MAX_KEY_FILE_BYTES ? "" : await file!.text();
      setOpened(await openOwnShare(facts, text, passphrase === "" ? undefined : passphrase));
    } catch (error) {
      setProblem(problemOf(error));
    }
    setPassphrase("");
  };
  return (
    <Section title="Open your own share">
      <p>
        Your private encryption key opens your share, here in the page. Neither leaves it. Try this now and then: a
        share that nobody can open is a share that is lost.
      </p>
      <div class="field">
        <label htmlFor="share-passphrase">Passphrase of the key file, where it has one</label>
        <input
          id="share-passphrase"
          type="password"
          autocomplete="off"
          value={passphrase}
          onInput={(event) => setPassphrase(event.currentTarget.value)}
        />
      </div>
      <FileDrop label="Choose your private encryption key" accept=".pem,.key" onFiles={open}>
        <p class="soft">A PEM file of an RSA key, such as member0_enc_privk.pem in a sandbox</p>
      </FileDrop>
      {problem !== undefined && <ProblemNote problem={problem} />}
      {opened !== undefined && (
        <div class="notice notice-good stack-tight">
          <Verdict kind="verified">
            The share of {opened.holder.name ?? opened.holder.memberId.slice(0, 12)} opens with this key
          </Verdict>
          <Facts
            of={[
              ["Which one", opened.index === 0 ? "the whole secret, as an owner has it" : `share ${opened.index}`],
              [
                "The share",
                isShown
                  ? <code class="anywhere">{toHex(opened.share)}</code>
                  : (
                    <button type="button" class="button" onClick={() => setIsShown(true)}>
                      Show it: it is a secret
                    </button>
                  ),
              ],
            ]}
          />
          {isShown && <CopyButton text={toHex(opened.share)} what="the share" />}
          <p class="soft small">
            {facts.status === "WaitingForRecoveryShares"
              ? "The service waits for it. Nodes of this version do not take shares yet."
              : "There is nothing to submit it to: the service is not in recovery."}
          </p>
        </div>
      )}
    </Section>
  );
}
