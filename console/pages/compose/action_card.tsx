/** One action of a proposal that is being written, and adding another. */

import { useId, useState } from "preact/hooks";
import { CodeEditor } from "../../parts/code_view.tsx";
import { Icon } from "../../parts/icon.tsx";
import { Section } from "../../parts/page.tsx";
import { Empty } from "../../parts/states.tsx";
import { linkTo } from "../../routes.ts";
import { ActionFields, type KnownIds } from "./action_fields.tsx";
import { ACTION_FORMS, actionForm, type Theme } from "../../governance/action_forms.ts";
import {
  type checkDraft,
  type DraftAction,
  withActionMoved,
  withArgument,
  withArguments,
  withoutAction,
} from "../../governance/draft.ts";

const THEMES: readonly Theme[] = ["Members", "Users", "Nodes", "Trusted code", "App", "Service", "Tokens"];

export function AddAction({ onAdd }: { readonly onAdd: (name: string) => void }) {
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

export function ActionCard({ index, count, action, problems, known, text, onChange }: {
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
      <strong>Arguments</strong>
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
