/** Composing a proposal: forms and their JSON twin, checks at once, a dry run, then the signature. */

import "./compose.css";
import { useEffect, useState } from "preact/hooks";
import { FormatError } from "../../../shared/assert.ts";
import { fromUtf8, toUtf8 } from "../../../shared/bytes.ts";
import { DEFAULT_MAX_BODY_BYTES, MAX_MEMBER_INPUT_BYTES } from "../../../shared/limits.ts";
import { MEMBERS_INFO, NODES_INFO, USERS_CERTS } from "../../../shared/governance/tables.ts";
import { foldedNames, foldedTable } from "../../folded.ts";
import { useLedger } from "../../hooks.ts";
import { announce } from "../../parts/announce.tsx";
import { CodeEditor } from "../../parts/code_view.tsx";
import { FileDrop } from "../../parts/file_drop.tsx";
import { Page, Section } from "../../parts/page.tsx";
import { saveFile } from "../../parts/save_file.ts";
import { ProblemNote } from "../../parts/states.tsx";
import { type Problem, problemOf } from "../../problem.ts";
import { navigate, type PageProps, replaceQuery } from "../../routes.ts";
import { SignDialog } from "../../sign/sign_dialog.tsx";
import { DifferencesView } from "../../proposals/differences_view.tsx";
import { DryRunSection } from "../../proposals/dry_run_section.tsx";
import { useVoters } from "../../proposals/use_proposals.ts";
import { ActionCard, AddAction } from "./action_card.tsx";
import type { KnownIds } from "./action_fields.tsx";
import {
  checkDraft,
  type DraftAction,
  EMPTY_PROPOSAL,
  readDraft,
  TEMPLATES,
  templateText,
  withAction,
} from "../../governance/draft.ts";
import { forgetDraft, keepDraft, keptDraft, putDraftAside, takeDraftUp } from "./kept_draft.ts";

const NOBODY: KnownIds = { member: [], user: [], node: [] };

export default function ComposePage({ route }: PageProps) {
  const [text, setText] = useState<string | undefined>();
  const [problem, setProblem] = useState<Problem | undefined>();
  const [isSigning, setIsSigning] = useState(false);
  const ids = useLedger(knownIds, []);
  const known = ids.kind === "ready" ? ids.value : NOBODY;
  const wanted = ["template", "action", "args", "draft"].map((name) => route.query.get(name) ?? "").join(" ").trim();
  useEffect(() => {
    if (wanted === "" && text !== undefined) return;
    started(route.query).then((start) => {
      setText(start);
      // What is written from here on is the draft: a reload must not begin anew.
      replaceQuery({ template: undefined, action: undefined, args: undefined, draft: undefined });
    }, (error) => {
      setProblem(problemOf(error));
      setText(EMPTY_PROPOSAL);
    });
  }, [wanted]);
  const change = (next: string) => {
    setText(next);
    keepDraft(next).catch((error) => setProblem(problemOf(error)));
  };
  const startAnew = async () => {
    try {
      await putDraftAside();
      setText(EMPTY_PROPOSAL);
      announce("The draft was put aside: it is on Keys");
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  return (
    <Page
      title="Compose a proposal"
      lead="A list of actions, carried out together once enough members have voted for it. Drafts stay in this browser."
      actions={
        <>
          <button
            type="button"
            class="button"
            disabled={text === undefined}
            onClick={() => saveFile("proposal.json", text!, "application/json")}
          >
            Save as a file
          </button>
          <button
            type="button"
            class="button"
            disabled={text === undefined || text === EMPTY_PROPOSAL}
            onClick={startAnew}
          >
            Start anew
          </button>
        </>
      }
    >
      {problem && <ProblemNote problem={problem} />}
      {text !== undefined && <Editor text={text} known={known} onChange={change} onSign={() => setIsSigning(true)} />}
      {isSigning && text !== undefined && (
        <SignDialog
          ask={{
            title: "Sign the proposal",
            request: { kind: "proposal", proposal: toUtf8(text) },
            ...shownActions(text),
          }}
          onClose={() => setIsSigning(false)}
          onAccepted={({ proposalId }) => {
            void forgetDraft();
            if (proposalId !== undefined) announce(`Proposed: ${proposalId.slice(0, 12)}`);
          }}
          after={({ proposalId }) =>
            proposalId === undefined
              ? null
              : (
                <button type="button" class="button button-main" onClick={() => navigate("proposal", proposalId)}>
                  Open the proposal
                </button>
              )}
        />
      )}
    </Page>
  );
}

/** The actions as the form shows them, to be held against what is signed. */
function shownActions(text: string): { readonly actions?: readonly DraftAction[] } {
  const reading = readDraft(text);
  return reading.kind === "actions" ? { actions: JSON.parse(text).actions } : {};
}

/** What the address asks for, else the draft that was kept. */
async function started(query: URLSearchParams): Promise<string> {
  const draft = query.get("draft");
  if (draft) return await takeDraftUp(draft) ?? EMPTY_PROPOSAL;
  const template = TEMPLATES.find(({ name }) => name === query.get("template"));
  const action = query.get("action");
  if (template === undefined && !action) return await keptDraft() ?? EMPTY_PROPOSAL;
  await putDraftAside();
  const text = template !== undefined
    ? templateText(template)
    : withAction(EMPTY_PROPOSAL, action!, argsIn(query.get("args")));
  await keepDraft(text);
  return text;
}

function argsIn(text: string | null): unknown {
  if (text === null || text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    // A link that somebody broke: the form is empty, which everybody sees.
    return undefined;
  }
}

async function knownIds(ledger: Parameters<typeof foldedNames>[0]): Promise<KnownIds> {
  const [names, members, users, nodes] = await Promise.all([
    foldedNames(ledger),
    foldedTable(ledger, MEMBERS_INFO),
    foldedTable(ledger, USERS_CERTS),
    foldedTable(ledger, NODES_INFO),
  ]);
  const list = (rows: readonly { readonly key: string }[]) =>
    rows.map(({ key }) => ({ id: key, name: names.get(key) ?? `${key.slice(0, 12)}…` }));
  return { member: list(members.rows), user: list(users.rows), node: list(nodes.rows) };
}

function Editor({ text, known, onChange, onSign }: {
  readonly text: string;
  readonly known: KnownIds;
  readonly onChange: (text: string) => void;
  readonly onSign: () => void;
}) {
  const reading = readDraft(text);
  const { problems, sizeBytes, isTooLarge } = checkDraft(text, reading);
  const wrong = problems.flat().length;
  const isEmpty = reading.kind === "actions" && reading.actions.length === 0;
  return (
    <>
      {isEmpty && <Start onText={onChange} />}
      <div class="compose">
        <div class="stack">
          {reading.kind === "actions"
            ? reading.actions.map((action, i) => (
              <ActionCard
                key={i}
                index={i}
                count={reading.actions.length}
                action={action}
                problems={problems[i]!}
                known={known}
                text={text}
                onChange={onChange}
              />
            ))
            : reading.kind === "invalid"
            ? (
              <div class="notice notice-bad" data-problem="ProposalNotJson">
                <p>
                  The text is no JSON: <span class="foreign">{reading.why}</span>. Correct it, and the forms come back.
                </p>
              </div>
            )
            : (
              <div class="notice notice-warn">
                <p>
                  This is no list of actions, so there are no forms. A constitution of its own kind may take it: a dry
                  run tells.
                </p>
              </div>
            )}
          {reading.kind === "actions" && <AddAction onAdd={(name) => onChange(withAction(text, name))} />}
        </div>
        <Section title="As JSON">
          <CodeEditor text={text} language="json" label="Proposal as JSON" onChange={onChange} />
          <p class={isTooLarge ? "field-problem" : "soft"} data-problem={isTooLarge ? "ProposalTooLarge" : undefined}>
            {sizeBytes.toLocaleString()} bytes. Nodes take requests of {DEFAULT_MAX_BODY_BYTES.toLocaleString()}{" "}
            bytes unless they are configured otherwise
            {isTooLarge && ", so they will refuse this one: make it smaller, or have max_body_size raised"}.
          </p>
        </Section>
      </div>
      {!isEmpty && reading.kind !== "invalid" && (
        <>
          <Section title="What it changes">
            <DifferencesView text={text} />
          </Section>
          <ComposeDryRun text={text} />
          <Section title="Propose it">
            <p role="status">
              {wrong === 0
                ? "The shape of every argument is right, as far as this page knows. The constitution has the last word."
                : wrong === 1
                ? "One argument is missing or wrong; it is marked above."
                : `${wrong} arguments are missing or wrong; they are marked above.`}
            </p>
            <div>
              <button type="button" class="button button-main" onClick={onSign}>Sign and propose…</button>
            </div>
            {wrong > 0 && <p class="soft">It can be signed all the same: the service's constitution decides.</p>}
          </Section>
        </>
      )}
    </>
  );
}

function ComposeDryRun({ text }: { readonly text: string }) {
  const voters = useVoters();
  return (
    <Section title="Dry run">
      {voters.kind === "ready"
        ? <DryRunSection text={toUtf8(text)} voters={voters.value} />
        : <p class="soft">A dry run needs the members, as the ledger has them.</p>}
    </Section>
  );
}

function Start({ onText }: { readonly onText: (text: string) => void }) {
  const [problem, setProblem] = useState<Problem | undefined>();
  const take = async ([file]: readonly File[]) => {
    if (file === undefined) return;
    const refuse = (why: string) =>
      setProblem({
        code: "ProposalFileUnreadable",
        what: `${file.name} cannot be taken as a proposal`,
        why,
        todo: "Choose a JSON file with a list of actions, as `deno task run member propose` takes it",
      });
    if (file.size > MAX_MEMBER_INPUT_BYTES) {
      const most = MAX_MEMBER_INPUT_BYTES.toLocaleString();
      return refuse(`It has ${file.size.toLocaleString()} bytes, and a proposal has at most ${most}`);
    }
    try {
      onText(fromUtf8(new Uint8Array(await file.arrayBuffer())));
    } catch (error) {
      refuse(error instanceof FormatError ? "It is no text in UTF-8" : `The browser could not read it: ${error}`);
    }
  };
  return (
    <Section title="Start">
      <ul class="templates">
        {TEMPLATES.map((template) => (
          <li key={template.name} class="card stack-tight">
            <h3>{template.title}</h3>
            <p class="small soft">{template.about}</p>
            <div>
              <button
                type="button"
                class="button"
                aria-label={`Use this template: ${template.title}`}
                onClick={() => onText(templateText(template))}
              >
                Use this template
              </button>
            </div>
          </li>
        ))}
      </ul>
      <FileDrop label="Import a proposal file" accept=".json,application/json" onFiles={take}>
        <p>
          A file as <code>deno task run member propose</code>{" "}
          takes it. Its bytes stay as they are until a form changes them.
        </p>
      </FileDrop>
      {problem !== undefined && <ProblemNote problem={problem} />}
    </Section>
  );
}
