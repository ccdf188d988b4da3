/** Members and users: who may do what, by which certificate, and what to propose about them. */

import { DataTable } from "../../parts/data_table.tsx";
import { lifeState } from "../../certificate_life.ts";
import { useLedger } from "../../hooks.ts";
import { CopyButton } from "../../parts/copy.tsx";
import { Hash } from "../../parts/hash.tsx";
import { Facts, Page, Section } from "../../parts/page.tsx";
import { Empty, Region } from "../../parts/states.tsx";
import { agoText, Time } from "../../parts/time.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import { linkTo, type PageProps } from "../../routes.ts";
import { type CertificateFacts, type MemberFacts, type PeopleFacts, peopleFacts, standingOf } from "./member_facts.ts";

export default function MembersPage({ route }: PageProps) {
  const people = useLedger(peopleFacts, []);
  return (
    <Page
      title="Members and users"
      lead="Members govern the service by signed votes; users call its app. All of it is folded from the ledger."
      actions={
        <>
          <a class="button" href={propose("set_member", {})}>Propose a new member</a>
          <a class="button" href={propose("set_user", {})}>Propose a new user</a>
        </>
      }
    >
      <Region of={people} loading="members and users">
        {(value) => route.id === undefined ? <Everybody people={value} /> : <One people={value} id={route.id} />}
      </Region>
    </Page>
  );
}

/** A proposal with this action, filled in as far as this screen knows it. */
function propose(action: string, args: Readonly<Record<string, unknown>>): string {
  return linkTo("compose", undefined, { action, args: JSON.stringify(args) });
}

function Everybody({ people }: { readonly people: PeopleFacts }) {
  const { members, users, threshold, odd } = people;
  const nowMs = Date.now();
  return (
    <>
      <Section title={`Members (${members.length})`}>
        {members.length === 0 ? <Empty>The ledger has no member as of here.</Empty> : (
          <DataTable
            label="Table of members"
            columns={["Member", "Status", "Recovery", "Certificate", "Last request"]}
          >
            {members.map((member) => (
              <tr key={member.id}>
                <th scope="row">
                  <a data-item class="foreign" href={linkTo("members", member.id)}>
                    {member.name ?? `${member.id.slice(0, 12)}…`}
                  </a>{" "}
                  <Hash value={member.id} of={`ID of the member ${member.name ?? ""}`} />
                </th>
                <td>{standingOf(member)}</td>
                <td>{recoveryText(member)}</td>
                <td>
                  <CertificateEnd certificate={member.certificate} nowMs={nowMs} />
                </td>
                <td>
                  <SeqnoLink seqno={member.lastRequestAt} none="none in the ledger" />
                </td>
              </tr>
            ))}
          </DataTable>
        )}
        <p class="soft">
          {threshold === undefined
            ? "No recovery threshold is set."
            : threshold === 1
            ? "A recovery needs the share of one member."
            : `A recovery needs the shares of ${threshold} members.`} <a href={linkTo("recovery")}>Shares by member</a>
        </p>
      </Section>
      <Section title={`Users (${users.length})`}>
        {users.length === 0
          ? <Empty>No user has been added. An app may still let callers in by other ways, such as tokens.</Empty>
          : (
            <DataTable label="Table of users" columns={["User", "Certificate", "Since", "Propose"]}>
              {users.map((user) => (
                <tr key={user.id}>
                  <th scope="row">
                    <a data-item class="foreign" href={linkTo("members", user.id)}>
                      {user.name ?? `${user.id.slice(0, 12)}…`}
                    </a>{" "}
                    <Hash value={user.id} of={`ID of the user ${user.name ?? ""}`} />
                  </th>
                  <td>
                    <CertificateEnd certificate={user.certificate} nowMs={nowMs} />
                  </td>
                  <td>
                    <SeqnoLink seqno={user.since} none="" />
                  </td>
                  <td>
                    <a href={propose("remove_user", { user_id: user.id })}>Removal</a>
                  </td>
                </tr>
              ))}
            </DataTable>
          )}
      </Section>
      {odd.length > 0 && (
        <div class="notice notice-warn">
          <p>
            {odd.length} rows of these tables have a form that nobody expects. The first:{" "}
            <span class="foreign">{odd[0]!.why}</span>. Look at them in the <a href={linkTo("tables")}>time machine</a>.
          </p>
        </div>
      )}
    </>
  );
}

const recoveryText = ({ recoveryRole, holdsShare, hasEncryptionKey }: MemberFacts) => {
  if (recoveryRole === "NonParticipant") return hasEncryptionKey ? "No part, though it has a key" : "No part";
  const role = recoveryRole === "Owner" ? "Owner: its share alone is enough" : "Participant";
  return holdsShare ? `${role}; holds a share` : `${role}; holds no share yet`;
};

function SeqnoLink({ seqno, none }: { readonly seqno: number | undefined; readonly none: string }) {
  return seqno === undefined ? <>{none}</> : <a href={linkTo("transaction", String(seqno))}>seqno {seqno}</a>;
}

function CertificateEnd({ certificate, nowMs }: {
  readonly certificate: CertificateFacts | string | undefined;
  readonly nowMs: number;
}) {
  if (certificate === undefined) return <>none</>;
  if (typeof certificate === "string") return <Verdict kind="cannot">Unreadable</Verdict>;
  const { notBeforeMs, notAfterMs } = certificate;
  switch (lifeState(certificate, nowMs)) {
    case "ended":
      return <Verdict kind="failed">Ended {agoText(notAfterMs, nowMs)}</Verdict>;
    case "ends soon":
      return <Verdict kind="cannot">Ends {agoText(notAfterMs, nowMs)}</Verdict>;
    case "not yet":
      return <Verdict kind="cannot">Begins {agoText(notBeforeMs, nowMs)}</Verdict>;
    case "valid":
      return <>until {new Date(notAfterMs).toISOString().slice(0, 10)}</>;
  }
}

function One({ people, id }: { readonly people: PeopleFacts; readonly id: string }) {
  const member = people.members.find((other) => other.id === id);
  const person = member ?? people.users.find((other) => other.id === id);
  const back = <a href={linkTo("members")}>All members and users</a>;
  if (person === undefined) {
    return (
      <>
        <Empty>
          <p>
            Nobody has this ID as of here. It may have been removed: its history is in the{" "}
            <a href={linkTo("tables", undefined, { table: "public:ccf.gov.members.certs" })}>time machine</a>.
          </p>
        </Empty>
        <p>{back}</p>
      </>
    );
  }
  const { certificate } = person;
  return (
    <>
      <p>{back}</p>
      <Section title={person.name ?? (member === undefined ? "User without a name" : "Member without a name")}>
        <Facts
          of={[
            ["ID", <Hash value={id} of="SHA-256 of the certificate, which is the ID" whole />],
            ["Since", <SeqnoLink seqno={person.since} none="" />],
            ...(member === undefined ? [] : [
              ["Standing", standingOf(member)],
              ["Recovery", recoveryText(member)],
              ["Last signed request", <SeqnoLink seqno={member.lastRequestAt} none="none in the ledger" />],
              ["Last acknowledgement", <SeqnoLink seqno={member.acknowledgedAt} none="none" />],
            ] as const),
            ["Data that members wrote of it", <pre>{JSON.stringify(person.data ?? null, null, 2)}</pre>],
          ]}
        />
      </Section>
      <Section title="Certificate">
        {certificate === undefined || typeof certificate === "string"
          ? (
            <p class="foreign">
              <Verdict kind="cannot">Cannot be read</Verdict> {certificate}
            </p>
          )
          : (
            <>
              <Facts
                of={[
                  ["Subject", certificate.subject],
                  ["Key", certificate.key],
                  ["From", <Time ms={certificate.notBeforeMs} />],
                  ["Until", <Time ms={certificate.notAfterMs} />],
                  ["Now", <CertificateEnd certificate={certificate} nowMs={Date.now()} />],
                ]}
              />
              <details>
                <summary>PEM</summary>
                <pre>{certificate.pem}</pre>
                <CopyButton text={certificate.pem} what="the certificate" />
              </details>
            </>
          )}
      </Section>
      <Section title="What members can propose">
        {member === undefined
          ? (
            <ul>
              <li>
                <a href={propose("remove_user", { user_id: id })}>Remove this user</a>
              </li>
              <li>
                <a href={propose("set_user_data", { user_id: id, user_data: person.data ?? {} })}>Change its data</a>
              </li>
            </ul>
          )
          : (
            <>
              <ul>
                <li>
                  <a href={propose("set_member_data", { member_id: id, member_data: person.data ?? {} })}>
                    Change its data
                  </a>
                </li>
                <li>
                  <a href={propose("set_member", { cert: "", member_data: person.data ?? {} })}>
                    Add its new certificate as a member
                  </a>
                  , the first half of a rotation
                </li>
                <li>
                  <a href={propose("remove_member", { member_id: id })}>Remove this member</a>
                  {member.holdsShare && ", whose recovery share goes with it"}
                </li>
              </ul>
              <p class="soft">
                A member is its certificate. To rotate a key, propose a member with the new certificate, let it
                acknowledge, then propose the removal of the old one.
              </p>
            </>
          )}
      </Section>
    </>
  );
}
