/** Composing a proposal: forms and their JSON twin, checks at once, a dry run, then the signature. */

import "./compose.css";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { fromUtf8, toUtf8 } from "../../../shared/bytes.ts";
import { DEFAULT_MAX_BODY_BYTES, MAX_MEMBER_INPUT_BYTES } from "../../../shared/limits.ts";
import { MEMBERS_INFO, NODES_INFO, USERS_CERTS } from "../../../shared/governance/tables.ts";
import { foldedNames, foldedTable } from "../../folded.ts";
import { useLedger } from "../../hooks.ts";
import { announce } from "../../parts/announce.tsx";
import { CodeEditor } from "../../parts/code_view.tsx";
import { FileDrop } from "../../parts/file_drop.tsx";
import { Icon } from "../../parts/icon.tsx";
import { Page, Section } from "../../parts/page.tsx";
import { saveFile } from "../../parts/save_file.ts";
import { Empty, ProblemNote } from "../../parts/states.tsx";
import { type Problem, problemOf } from "../../problem.ts";
import { linkTo, navigate, type PageProps } from "../../routes.ts";
import { SignDialog } from "../../sign/sign_dialog.tsx";
import { DifferencesView } from "../proposals/differences_view.tsx";
import { DryRunSection } from "../proposals/dry_run_section.tsx";
import { useVoters } from "../proposals/use_proposals.ts";
import { ACTION_FORMS, actionForm, type Theme } from "./action_forms.ts";
import { ActionFields, type KnownIds } from "./action_fields.tsx";
import {
  checkDraft,
  type DraftAction,
  EMPTY_PROPOSAL,
  readDraft,
  TEMPLATES,
  templateText,
  withAction,
  withActionMoved,
  withArgument,
  withArguments,
  withoutAction,
} from "./draft.ts";
import { forgetDraft, keepDraft, keptDraft } from "./kept_draft.ts";

const NOBODY: KnownIds = { member: [], user: [], node: [] };

export default function ComposePage({ route }: PageProps) {
  const [text, setText] = useState<string | undefined>();
  const [problem, setProblem] = useState<Problem | undefined>();
  const [isSigning, setIsSigning] = useState(false);
  const ids = useLedger(knownIds, []);
  const known = ids.kind === "ready" ? ids.value : NOBODY;
  const isOver = useRef(false);
  useEffect(() => {
    started(route.query).then(setText, (error) => {
      setProblem(problemOf(error));
      setText(EMPTY_PROPOSAL);
    });
  }, []);
  const change = (next: string) => {
    setText(next);
    if (!isOver.current) keepDraft(next).catch((error) => setProblem(problemOf(error)));
  };
  const startAnew = () => {
    change(EMPTY_PROPOSAL);
    void forgetDraft();
    announce("The draft was deleted");
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
          <button type="button" class="button" disabled={text === undefined} onClick={startAnew}>Start anew</button>
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
            isOver.current = true;
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
  const template = TEMPLATES.find(({ name }) => name === query.get("template"));
  if (template !== undefined) return templateText(template);
  const action = query.get("action");
  if (action === null || action === "") return await keptDraft() ?? EMPTY_PROPOSAL;
  return withAction(EMPTY_PROPOSAL, action, argsIn(query.get("args")));
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
  const [problem, setProblem] = useState<string | undefined>();
  const take = async ([file]: readonly File[]) => {
    if (file === undefined) return;
    if (file.size > MAX_MEMBER_INPUT_BYTES) {
      return setProblem(
        `${file.name} has ${file.size.toLocaleString()} bytes; a proposal has at most ${MAX_MEMBER_INPUT_BYTES.toLocaleString()}.`,
      );
    }
    try {
      onText(fromUtf8(new Uint8Array(await file.arrayBuffer())));
    } catch {
      setProblem(`${file.name} is no text in UTF-8.`);
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
        <p>A file as `deno task run member propose` takes it. Its bytes stay as they are until a form changes them.</p>
        {problem !== undefined && <p class="field-problem foreign">{problem}</p>}
      </FileDrop>
    </Section>
  );
}

const THEMES: readonly Theme[] = ["Members", "Users", "Nodes", "Trusted code", "App", "Service", "Tokens"];

function AddAction({ onAdd }: { readonly onAdd: (name: string) => void }) {
  const id = useId();
  const [chosen, setChosen] = useState("");
  const [custom, setCustom] = useState("");
  const form = actionForm(chosen);
  const name = chosen === "custom" ? custom.trim() : chosen;
  return (
    <form
      class="card stack-tight"
      aria-label="Add an action"
      onSubmit={(event) => {
        event.preventDefault();
        if (name === "") return;
        onAdd(name);
        setChosen("");
        setCustom("");
      }}
    >
      <div class="field">
        <label htmlFor={id}>Add an action</label>
        <select id={id} value={chosen} onChange={({ currentTarget }) => setChosen(currentTarget.value)}>
          <option value="">Choose an action</option>
          {THEMES.map((theme) => (
            <optgroup key={theme} label={theme}>
              {ACTION_FORMS.filter((each) => each.theme === theme).map((each) => (
                <option key={each.name} value={each.name}>{each.title} ({each.name})</option>
              ))}
            </optgroup>
          ))}
          <option value="custom">Another action of this constitution…</option>
        </select>
      </div>
      {chosen === "custom" && (
        <div class="field">
          <label htmlFor={`${id}-custom`}>Name of the action</label>
          <input
            id={`${id}-custom`}
            type="text"
            value={custom}
            onInput={({ currentTarget }) => setCustom(currentTarget.value)}
          />
        </div>
      )}
      {form !== undefined && (
        <p class="small soft">
          {form.about}
          {form.dropsOthers && " Once accepted, every other open proposal is dropped."}
        </p>
      )}
      <div>
        <button type="submit" class="button" disabled={name === ""}>
          <Icon name="plus" /> Add
        </button>
      </div>
    </form>
  );
}

function ActionCard({ index, count, action, problems, known, text, onChange }: {
  readonly index: number;
  readonly count: number;
  readonly action: DraftAction;
  readonly problems: ReturnType<typeof checkDraft>["problems"][number];
  readonly known: KnownIds;
  readonly text: string;
  readonly onChange: (text: string) => void;
}) {
  const form = actionForm(action.name);
  const title = `${index + 1}. ${form?.title ?? action.name}`;
  return (
    <Section
      title={title}
      actions={
        <>
          {index > 0 && (
            <button
              type="button"
              class="button"
              aria-label={`Move ${title} up`}
              onClick={() => onChange(withActionMoved(text, index, -1))}
            >
              Up
            </button>
          )}
          {index < count - 1 && (
            <button
              type="button"
              class="button"
              aria-label={`Move ${title} down`}
              onClick={() => onChange(withActionMoved(text, index, 1))}
            >
              Down
            </button>
          )}
          <button
            type="button"
            class="button"
            aria-label={`Remove ${title}`}
            onClick={() => onChange(withoutAction(text, index))}
          >
            Remove
          </button>
        </>
      }
    >
      {form === undefined
        ? (
          <>
            <Empty>
              <p>
                This page has no form for <code class="foreign">{action.name}</code>. What it takes stands in the{" "}
                <a href={linkTo("constitution")}>constitution</a>.
              </p>
            </Empty>
            <RawArguments
              action={action}
              onArgs={(args) => onChange(withArguments(text, index, args))}
            />
          </>
        )
        : (
          <>
            <p class="small soft">
              <code>{form.name}</code>. {form.about}
              {form.dropsOthers && " Once accepted, every other open proposal is dropped."}
            </p>
            <ActionFields
              form={form}
              args={action.args}
              problems={problems}
              known={known}
              onChange={(name, value) => onChange(withArgument(text, index, name, value))}
            />
          </>
        )}
    </Section>
  );
}

function RawArguments({ action, onArgs }: {
  readonly action: DraftAction;
  readonly onArgs: (args: unknown) => void;
}) {
  const [why, setWhy] = useState<string | undefined>();
  const shown = action.args === undefined ? "" : JSON.stringify(action.args, null, 2);
  return (
    <>
      <CodeEditor
        text={shown}
        language="json"
        label={`Arguments of ${action.name}`}
        onChange={(next) => {
          try {
            onArgs(next.trim() === "" ? undefined : JSON.parse(next));
            setWhy(undefined);
          } catch (error) {
            setWhy(error instanceof Error ? error.message : String(error));
          }
        }}
      />
      {why !== undefined && (
        <p class="small field-problem">This is no JSON yet ({why}); the proposal has what stood here before.</p>
      )}
    </>
  );
}
