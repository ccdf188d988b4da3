/** The constitution in force, its history, and what changed from one to the next. */

import { DataTable } from "../../parts/data_table.tsx";
import { useLedger } from "../../hooks.ts";
import { CodeView } from "../../parts/code_view.tsx";
import { CopyButton } from "../../parts/copy.tsx";
import { DiffView } from "../../parts/diff_view.tsx";
import { Page, Section } from "../../parts/page.tsx";
import { Party, useNames } from "../../parts/party.tsx";
import { saveFile } from "../../parts/save_file.ts";
import { Empty, Region } from "../../parts/states.tsx";
import { Time } from "../../parts/time.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import { linkTo, type PageProps, replaceQuery } from "../../routes.ts";
import { ledgerState } from "../../service/session.ts";
import { type ConstitutionFacts, constitutionFacts, type ConstitutionVersion } from "./constitution_facts.ts";

export default function ConstitutionPage({ route }: PageProps) {
  const facts = useLedger(constitutionFacts, []);
  return (
    <Page
      title="Constitution"
      lead="The script by which members' proposals are checked, decided and carried out."
      actions={
        <a class="button" href={linkTo("compose", undefined, { action: "set_constitution" })}>Propose another</a>
      }
    >
      <Region of={facts} loading="the constitution">
        {(value) => value.versions.length === 0
          ? <Empty>The ledger has no constitution as of here: nothing can be decided.</Empty>
          : <Versions facts={value} query={route.query} />}
      </Region>
    </Page>
  );
}

const bySeqno = (versions: readonly ConstitutionVersion[], text: string | null) =>
  versions.find(({ seqno }) => String(seqno) === text);

function Versions({ facts, query }: { readonly facts: ConstitutionFacts; readonly query: URLSearchParams }) {
  const { versions, isCut } = facts;
  const shown = bySeqno(versions, query.get("at")) ?? versions[0]!;
  const against = bySeqno(versions, query.get("against"));
  return (
    <>
      <Section title="History">
        <DataTable label="Table of constitutions" columns={["Since", "Decided by", "Compare"]}>
          {versions.map((version, i) => (
            <tr key={version.seqno}>
              <td>
                <a
                  data-item
                  href={linkTo("constitution", undefined, { at: version.seqno })}
                  {...(version === shown && { "aria-current": "true" as const })}
                >
                  seqno {version.seqno}
                </a>
                {i === 0 && " (in force)"}
                {version.timeMs !== undefined && (
                  <>
                    , <Time ms={version.timeMs} utc />
                  </>
                )}
              </td>
              <td>
                <Decider version={version} />
              </td>
              <td>
                {versions[i + 1] === undefined ? "the first" : (
                  <a
                    href={linkTo("constitution", undefined, {
                      at: version.seqno,
                      against: versions[i + 1]!.seqno,
                    })}
                  >
                    with the one before
                  </a>
                )}
              </td>
            </tr>
          ))}
        </DataTable>
        {isCut && <p class="soft">Older ones are in the time machine.</p>}
        {ledgerState.value.fromSnapshot !== undefined && (
          <p class="soft">What was before the snapshot that the ledger begins with is not known here.</p>
        )}
      </Section>
      {against !== undefined && against !== shown && (
        <Section
          title={`What changed from seqno ${against.seqno} to ${shown.seqno}`}
          actions={
            <button type="button" class="button" onClick={() => replaceQuery({ against: undefined })}>
              Close the comparison
            </button>
          }
        >
          <DiffView before={against.text} after={shown.text} />
        </Section>
      )}
      <Section
        title={shown === versions[0] ? "In force" : `As of seqno ${shown.seqno}`}
        actions={
          <>
            <CopyButton text={shown.text} what="the constitution" />
            <button
              type="button"
              class="button"
              onClick={() => saveFile(`constitution_${shown.seqno}.js`, shown.text, "text/javascript")}
            >
              Save as a file
            </button>
          </>
        }
      >
        {!shown.isReadable && <Verdict kind="failed">The value is not the JSON text that a node expects</Verdict>}
        <p class="soft">{shown.text.length.toLocaleString()} characters</p>
        <CodeView text={shown.text} language="javascript" label="Constitution" />
      </Section>
    </>
  );
}

function Decider({ version: { decidedBy, seqno } }: { readonly version: ConstitutionVersion }) {
  const names = useNames();
  if (decidedBy === undefined) {
    return (
      <>
        no proposal: it came with{" "}
        <a href={linkTo("transaction", String(seqno))}>the transaction that made the service</a>
      </>
    );
  }
  const votes = Object.entries(decidedBy.votes);
  return (
    <div class="stack-tight">
      <span>
        <a href={linkTo("proposal", decidedBy.proposalId)}>proposal {decidedBy.proposalId.slice(0, 8)}…</a> of{" "}
        {names.get(decidedBy.proposerId) ?? `${decidedBy.proposerId.slice(0, 8)}…`}
      </span>
      {votes.length > 0 && (
        <ul class="small">
          {votes.map(([member, isFor]) => (
            <li key={member} class="row">
              {isFor ? "for:" : "against:"} <Party id={member} kind="member" names={names} />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
