/**
 * With which key a member signs: one of this browser, a key file, or a key elsewhere that is handed the bytes.
 *
 * Out: a source that signs here, or whose signature is to be brought. What does not apply is shown with its reason.
 */

import { signal } from "@preact/signals";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { fromUtf8Lenient } from "../../shared/bytes.ts";
import { MAX_KEY_FILE_CHARACTERS } from "../../shared/limits.ts";
import { chooseMe, me } from "../governance/me.ts";
import { keyFileSigner, membersWithKey, openKeyFile, type SigningFile } from "../keys/key_file.ts";
import { type BrowserKey, browserSigner, offerKeys } from "../keys/key_store.ts";
import { FileDrop } from "../parts/file_drop.tsx";
import { Loading, ProblemNote } from "../parts/states.tsx";
import { type Problem, problemOf } from "../problem.ts";
import { linkTo } from "../routes.ts";
import { origin } from "../service/session.ts";
import type { Signer } from "./envelope.ts";

/** A member as the ledger has it. */
export interface MemberChoice {
  readonly memberId: string;
  readonly certificatePem: string;
  readonly name: string;
  readonly isActive: boolean;
}

export type KeySource =
  /** `browserKeyId`: where its use is noted. */
  | { readonly kind: "signer"; readonly signer: Signer; readonly browserKeyId?: string }
  | { readonly kind: "elsewhere"; readonly memberId: string; readonly certificatePem: string };

/** A key file that stays open until the page is left, as its owner asked. */
const held = signal<{ readonly file: SigningFile; readonly memberId: string; readonly name: string } | undefined>(
  undefined,
);

type Way = "browser" | "file" | "device";

const WAYS: readonly { readonly way: Way; readonly label: string }[] = [
  { way: "browser", label: "A key of this browser" },
  { way: "file", label: "A key file" },
  { way: "device", label: "A device or another machine" },
];

export function KeyChoice({ members, needsActive, onChoose }: {
  readonly members: readonly MemberChoice[];
  /** Only an active member may do this. */
  readonly needsActive: boolean;
  readonly onChoose: (source: KeySource | undefined) => void;
}) {
  const id = useId();
  const [way, setWay] = useState<Way>(origin === "file" || held.peek() !== undefined ? "file" : "browser");
  const choose = (next: Way) => {
    setWay(next);
    onChoose(undefined);
  };
  return (
    <div class="stack">
      <fieldset class="ways">
        <legend>Sign with</legend>
        {WAYS.map((each) => (
          <label key={each.way} class="row">
            <input
              type="radio"
              name={`${id}-way`}
              checked={way === each.way}
              onChange={() => choose(each.way)}
            />
            {each.label}
          </label>
        ))}
      </fieldset>
      {way === "browser"
        ? <BrowserKeys members={members} needsActive={needsActive} onChoose={onChoose} />
        : way === "file"
        ? <KeyFile members={members} needsActive={needsActive} onChoose={onChoose} />
        : <Device members={members} needsActive={needsActive} onChoose={onChoose} />}
    </div>
  );
}

interface WayProps {
  readonly members: readonly MemberChoice[];
  readonly needsActive: boolean;
  readonly onChoose: (source: KeySource | undefined) => void;
}

function standingProblem(
  member: MemberChoice | undefined,
  memberId: string,
  needsActive: boolean,
): Problem | undefined {
  if (member === undefined) {
    return {
      code: "NotAMember",
      what: "This key is no member's",
      why: `The service has no member with the ID ${memberId}, as far as the ledger is proved here`,
      todo: "Choose the key of a member; or have its certificate set by a proposal (set_member)",
    };
  }
  if (needsActive && !member.isActive) {
    return {
      code: "MemberNotActive",
      what: `${member.name} is not active yet`,
      why: "A new member may propose and vote once it has acknowledged the state of the service",
      todo: "Acknowledge first: on Keys, `Acknowledge the state`, or `deno task run member ack`",
    };
  }
  return undefined;
}

function BrowserKeys({ members, needsActive, onChoose }: WayProps) {
  const id = useId();
  const offer = offerKeys(origin);
  const [keys, setKeys] = useState<readonly BrowserKey[] | Problem | undefined>();
  const [chosen, setChosen] = useState("");
  useEffect(() => {
    if (!offer.offered) return;
    offer.keys.list().then((list) => {
      setKeys(list);
      const mine = list.find(({ memberId }) => memberId === me.peek()) ??
        list.find(({ memberId }) => members.some((member) => member.memberId === memberId));
      if (mine !== undefined) choose(mine.id, list);
    }, (error) => setKeys(problemOf(error)));
  }, []);
  const choose = (keyId: string, list: readonly BrowserKey[]) => {
    setChosen(keyId);
    const key = list.find((other) => other.id === keyId);
    const member = members.find(({ memberId }) => memberId === key?.memberId);
    const isFit = key !== undefined && standingProblem(member, key.memberId, needsActive) === undefined;
    onChoose(isFit ? { kind: "signer", signer: browserSigner(key), browserKeyId: key.id } : undefined);
  };
  if (!offer.offered) return <ProblemNote problem={offer.problem} />;
  if (keys === undefined) return <Loading of="keys" />;
  if ("code" in keys) return <ProblemNote problem={keys} />;
  if (keys.length === 0) {
    return (
      <p class="notice notice-grey">
        This browser has no key. <a href={linkTo("keys")}>Make one</a>, or use a key file.
      </p>
    );
  }
  const key = keys.find((other) => other.id === chosen);
  const problem = key &&
    standingProblem(members.find(({ memberId }) => memberId === key.memberId), key.memberId, needsActive);
  return (
    <>
      <div class="field">
        <label htmlFor={id}>Key</label>
        <select id={id} value={chosen} onChange={({ currentTarget }) => choose(currentTarget.value, keys)}>
          <option value="">Choose a key</option>
          {keys.map((each) => <option key={each.id} value={each.id}>{each.name} ({each.curve})</option>)}
        </select>
      </div>
      {problem && <ProblemNote problem={problem} />}
    </>
  );
}

function KeyFile({ members, needsActive, onChoose }: WayProps) {
  const id = useId();
  const [file, setFile] = useState<{ readonly name: string; readonly text: string } | undefined>();
  const [passphrase, setPassphrase] = useState("");
  const [needsPassphrase, setNeedsPassphrase] = useState(false);
  const [problem, setProblem] = useState<Problem | undefined>();
  const [opened, setOpened] = useState<string | undefined>();
  const [isKept, setIsKept] = useState(held.peek() !== undefined);
  const [current, setCurrent] = useState<{ readonly file: SigningFile; readonly owner: MemberChoice } | undefined>();
  const mine = useRef<SigningFile | undefined>(undefined);
  useEffect(() => () => {
    if (mine.current !== held.peek()?.file) mine.current?.forget();
  }, []);
  const offer = (signing: SigningFile, owner: MemberChoice, keep: boolean) => {
    mine.current = signing;
    held.value = keep ? { file: signing, memberId: owner.memberId, name: owner.name } : undefined;
    onChoose({ kind: "signer", signer: keyFileSigner(signing, owner.certificatePem, { once: !keep }) });
  };
  useEffect(() => {
    const kept = held.peek();
    const owner = members.find(({ memberId }) => memberId === kept?.memberId);
    if (kept === undefined || owner === undefined) return;
    if (standingProblem(owner, owner.memberId, needsActive) !== undefined) return;
    setCurrent({ file: kept.file, owner });
    setOpened(owner.name);
    offer(kept.file, owner, true);
  }, []);
  const open = async (name: string, text: string, secret: string | undefined) => {
    onChoose(undefined);
    setOpened(undefined);
    setProblem(undefined);
    try {
      const answer = await openKeyFile(text, secret);
      if (answer.kind === "passphrase needed") return setNeedsPassphrase(true);
      if (answer.kind === "wrong passphrase" || answer.kind === "unusable") return setProblem(answer.problem);
      if (answer.kind === "encryption") {
        return setProblem({
          code: "KeyFileForShares",
          what: `${name} is no key that signs`,
          why: "It is an encryption key, which opens recovery shares",
          todo: "Choose the signing key, such as member0_privk.pem",
        });
      }
      const owners = membersWithKey(answer.file.publicKey, members);
      const owner = owners.find(({ memberId }) => memberId === me.peek()) ?? owners.find(({ isActive }) => isActive) ??
        owners[0];
      const fault = owner === undefined
        ? standingProblem(undefined, `of the key in ${name}`, needsActive)
        : standingProblem(owner, owner.memberId, needsActive);
      if (fault !== undefined) return setProblem(fault);
      setOpened(owner!.name);
      setPassphrase("");
      chooseMe(owner!.memberId);
      setCurrent({ file: answer.file, owner: owner! });
      offer(answer.file, owner!, isKept);
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  const take = async ([chosen]: readonly File[]) => {
    if (chosen === undefined) return;
    const text = fromUtf8Lenient(new Uint8Array(await chosen.slice(0, MAX_KEY_FILE_CHARACTERS + 1).arrayBuffer()));
    setFile({ name: chosen.name, text });
    setNeedsPassphrase(false);
    setPassphrase("");
    await open(chosen.name, text, undefined);
  };
  return (
    <div class="stack-tight">
      <FileDrop label="Choose a key file" accept=".pem,.key,application/x-pem-file" onFiles={take}>
        <p class="soft">
          A private key in PEM, such as member0_privk.pem. It is never stored, and forgotten after one signature.
        </p>
      </FileDrop>
      {needsPassphrase && opened === undefined && file !== undefined && (
        <form
          class="row"
          onSubmit={(event) => {
            event.preventDefault();
            void open(file.name, file.text, passphrase);
          }}
        >
          <div class="field">
            <label htmlFor={id}>Passphrase of {file.name}</label>
            <input
              id={id}
              type="password"
              autocomplete="off"
              value={passphrase}
              onInput={({ currentTarget }) => setPassphrase(currentTarget.value)}
            />
          </div>
          <button type="submit" class="button">Open the key</button>
        </form>
      )}
      {opened !== undefined && (
        <p role="status">
          The key of <strong class="foreign">{opened}</strong> is open.
        </p>
      )}
      {current !== undefined && (
        <label class="row">
          <input
            type="checkbox"
            checked={isKept}
            onChange={({ currentTarget: { checked } }) => {
              setIsKept(checked);
              offer(current.file, current.owner, checked);
            }}
          />
          Keep it in memory until I leave this page
        </label>
      )}
      {problem && <ProblemNote problem={problem} />}
    </div>
  );
}

function Device({ members, needsActive, onChoose }: WayProps) {
  const id = useId();
  const [chosen, setChosen] = useState("");
  const choose = (memberId: string) => {
    setChosen(memberId);
    const member = members.find((other) => other.memberId === memberId);
    const isFit = member !== undefined && standingProblem(member, memberId, needsActive) === undefined;
    onChoose(isFit ? { kind: "elsewhere", memberId, certificatePem: member.certificatePem } : undefined);
  };
  useEffect(() => {
    if (me.peek() !== undefined && members.some(({ memberId }) => memberId === me.peek())) choose(me.peek()!);
  }, []);
  const member = members.find(({ memberId }) => memberId === chosen);
  const problem = member && standingProblem(member, member.memberId, needsActive);
  return (
    <>
      <div class="field">
        <label htmlFor={id}>Whose key signs</label>
        <select id={id} value={chosen} onChange={({ currentTarget }) => choose(currentTarget.value)}>
          <option value="">Choose a member</option>
          {members.map(({ memberId, name }) => <option key={memberId} value={memberId}>{name}</option>)}
        </select>
      </div>
      <p class="soft">
        Two steps: save what is to be signed, sign it where the key is (an HSM, a key vault, a smart card), bring the
        signature back. The key never comes near this page.
      </p>
      {problem && <ProblemNote problem={problem} />}
    </>
  );
}
