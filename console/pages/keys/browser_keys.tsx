/** The keys of this browser: made, looked at, used, replaced, wiped. */

import { useEffect, useId, useState } from "preact/hooks";
import { fromUtf8Lenient } from "../../../shared/bytes.ts";
import { MAX_KEY_FILE_CHARACTERS } from "../../../shared/limits.ts";
import { chooseMe, me } from "../../governance/me.ts";
import { type BrowserKey, type KeyStore, NO_BACKUP, publicFiles } from "../../keys/key_store.ts";
import { announce } from "../../parts/announce.tsx";
import { FileDrop } from "../../parts/file_drop.tsx";
import { Hash } from "../../parts/hash.tsx";
import { Facts } from "../../parts/page.tsx";
import { saveFile } from "../../parts/save_file.ts";
import { Empty, Loading, ProblemNote } from "../../parts/states.tsx";
import { Time } from "../../parts/time.tsx";
import { type Problem, problemOf } from "../../problem.ts";
import { linkTo } from "../../routes.ts";
import type { MemberChoice } from "../../sign/key_choice.tsx";

export function BrowserKeys({ keys, members }: {
  readonly keys: KeyStore;
  /** undefined: no ledger is open, or it is not read yet. */
  readonly members: readonly MemberChoice[] | undefined;
}) {
  const [list, setList] = useState<readonly BrowserKey[] | undefined>();
  const [problem, setProblem] = useState<Problem | undefined>();
  const look = () => keys.list().then(setList, (error) => setProblem(problemOf(error)));
  useEffect(() => void look(), []);
  return (
    <>
      {problem && <ProblemNote problem={problem} />}
      {list === undefined ? problem === undefined && <Loading of="keys" /> : list.length === 0
        ? (
          <Empty>
            <p>This browser has no key. Make one below, or sign with a key file or a device whenever you are asked.</p>
          </Empty>
        )
        : (
          <ul class="key-list">
            {list.map((key) => (
              <li key={key.id} class="card stack">
                <OneKey value={key} keys={keys} members={members} onChanged={look} />
              </li>
            ))}
          </ul>
        )}
      <NewKey keys={keys} onMade={look} />
    </>
  );
}

function OneKey({ value, keys, members, onChanged }: {
  readonly value: BrowserKey;
  readonly keys: KeyStore;
  readonly members: readonly MemberChoice[] | undefined;
  readonly onChanged: () => void;
}) {
  const { id, name, curve, memberId, certificatePem, createdAtMs, encryption, uses, usesLeftOut } = value;
  const [problem, setProblem] = useState<Problem | undefined>();
  const [isSure, setIsSure] = useState(false);
  const member = members?.find((other) => other.memberId === memberId);
  const attempt = (work: Promise<unknown>, done: string) =>
    work.then(() => {
      setProblem(undefined);
      announce(done);
      onChanged();
    }, (error) => setProblem(problemOf(error)));
  const importCertificate = async ([file]: readonly File[]) => {
    if (file === undefined) return;
    const text = fromUtf8Lenient(new Uint8Array(await file.slice(0, MAX_KEY_FILE_CHARACTERS).arrayBuffer()));
    await attempt(keys.replaceCertificate(id, text), "The certificate was taken over");
  };
  const isMe = me.value === memberId;
  return (
    <>
      <div class="row row-apart">
        <h3 class="foreign">{name}</h3>
        {isMe ? <span class="chip">this is me</span> : (
          <button
            type="button"
            class="button"
            aria-label={`This is me: ${name}`}
            onClick={() => {
              chooseMe(memberId);
              announce(`You are ${name}`);
            }}
          >
            This is me
          </button>
        )}
      </div>
      <Facts
        of={[
          ["Member ID", <Hash value={memberId} of={`ID of the member by the certificate of ${name}`} />],
          [
            "Here",
            members === undefined ? "unknown: no ledger is read" : member === undefined
              ? (
                <>
                  no member of this service; <a href={proposeMember(value)}>propose it</a> with another member's key
                </>
              )
              : `${member.name}, ${member.isActive ? "active" : "not active yet"}`,
          ],
          ["Key", `${curve}, cannot be read out`],
          ["Made", <Time ms={createdAtMs} />],
          [
            "For recovery shares",
            encryption === undefined ? "no encryption key" : "an encryption key, which cannot be read out either",
          ],
          ["Backup", `${NO_BACKUP.what}. ${NO_BACKUP.todo}.`],
        ]}
      />
      <div class="row">
        {publicFiles(value).map((file) => (
          <button
            key={file.name}
            type="button"
            class="button"
            onClick={() => saveFile(file.name, file.text, "application/x-pem-file")}
          >
            Save {file.name}
          </button>
        ))}
        {isSure
          ? (
            <>
              <strong>It cannot be brought back.</strong>
              <button type="button" class="button" onClick={() => attempt(keys.wipe(id), `The key ${name} is gone`)}>
                Yes, wipe {name}
              </button>
              <button type="button" class="button" onClick={() => setIsSure(false)}>Keep it</button>
            </>
          )
          : (
            <button type="button" class="button" aria-label={`Wipe… ${name}`} onClick={() => setIsSure(true)}>
              Wipe…
            </button>
          )}
      </div>
      {problem && <ProblemNote problem={problem} />}
      <details>
        <summary>Where it was used ({uses.length + usesLeftOut})</summary>
        {uses.length === 0 ? <p class="soft">Nowhere yet.</p> : (
          <ul>
            {uses.toReversed().map(({ what, txId, atMs }) => (
              <li key={`${atMs} ${what}`}>
                <span class="foreign">{what}</span>
                {txId !== undefined && (
                  <>
                    {" "}in <a href={linkTo("transaction", txId)}>{txId}</a>
                  </>
                )}, <Time ms={atMs} />
              </li>
            ))}
          </ul>
        )}
        {usesLeftOut > 0 && <p class="soft">{usesLeftOut} older uses are not listed any more.</p>}
      </details>
      <details>
        <summary>Import a certificate for this key</summary>
        <FileDrop label={`Choose a certificate for ${name}`} accept=".pem,.crt,.cer" onFiles={importCertificate}>
          <p class="soft">
            One that somebody issued for its public part. The member ID is the digest of the certificate, so it changes.
          </p>
        </FileDrop>
        <pre>{certificatePem}</pre>
      </details>
    </>
  );
}

function proposeMember({ certificatePem, encryption, name }: BrowserKey): string {
  const args = {
    cert: certificatePem,
    member_data: { name },
    ...(encryption !== undefined && { encryption_pub_key: encryption.publicKeyPem }),
  };
  return linkTo("compose", undefined, { action: "set_member", args: JSON.stringify(args) });
}

function NewKey({ keys, onMade }: { readonly keys: KeyStore; readonly onMade: () => void }) {
  const id = useId();
  const [name, setName] = useState("");
  const [curve, setCurve] = useState<BrowserKey["curve"]>("P-384");
  const [forShares, setForShares] = useState(false);
  const [isBusy, setIsBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | undefined>();
  const make = async () => {
    setIsBusy(true);
    try {
      const made = await keys.create({ name, curve, encryption: forShares }, Date.now());
      setProblem(undefined);
      setName("");
      announce(`Made the key ${made.name}`);
      onMade();
    } catch (error) {
      setProblem(problemOf(error));
    } finally {
      setIsBusy(false);
    }
  };
  return (
    <form
      class="card stack"
      aria-label="Make a key"
      onSubmit={(event) => {
        event.preventDefault();
        void make();
      }}
    >
      <h3>Make a key</h3>
      <div class="columns keys-fields">
        <div class="field">
          <label htmlFor={`${id}-name`}>Name</label>
          <input
            id={`${id}-name`}
            type="text"
            autocomplete="off"
            value={name}
            onInput={({ currentTarget }) => setName(currentTarget.value)}
          />
          <span class="small soft">Yours; it stands in the certificate, which is public.</span>
        </div>
        <div class="field">
          <label htmlFor={`${id}-curve`}>Curve</label>
          <select
            id={`${id}-curve`}
            value={curve}
            onChange={({ currentTarget }) => setCurve(currentTarget.value as BrowserKey["curve"])}
          >
            <option value="P-384">P-384</option>
            <option value="P-256">P-256</option>
          </select>
        </div>
      </div>
      <label class="row">
        <input
          type="checkbox"
          checked={forShares}
          onChange={({ currentTarget }) => setForShares(currentTarget.checked)}
        />
        Also an encryption key, to hold a recovery share
      </label>
      <p class="notice notice-warn">
        <strong>{NO_BACKUP.what}.</strong> {NO_BACKUP.why}. {NO_BACKUP.todo}.
      </p>
      <div>
        <button type="submit" class="button button-main" disabled={isBusy || name.trim() === ""}>Make the key</button>
      </div>
      {problem && <ProblemNote problem={problem} />}
    </form>
  );
}
