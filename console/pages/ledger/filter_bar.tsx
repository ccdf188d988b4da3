/** The filter as text, as chips, and as views with names. */

import { useEffect, useId, useState } from "preact/hooks";
import { announce } from "../../parts/announce.tsx";
import { ForeignText } from "../../parts/foreign_text.tsx";
import { Icon } from "../../parts/icon.tsx";
import { FILTER_HELP, kindWord, type ParsedFilter, withoutWord, withWord } from "../../ledger/filter_query.ts";
import { ENTRY_KINDS } from "../../ledger/protocol.ts";
import { removeView, savedViews, saveView } from "./saved_views.ts";

export function FilterBar({ text, parsed, onChange }: {
  readonly text: string;
  readonly parsed: ParsedFilter;
  readonly onChange: (text: string) => void;
}) {
  const id = useId();
  const [typed, setTyped] = useState(text);
  useEffect(() => setTyped(text), [text]);
  const kinds = parsed.filter.kinds ?? [];
  return (
    <div class="stack-tight">
      <form
        class="filter-row"
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          onChange(typed.trim());
        }}
      >
        <div class="field filter-wide">
          <label htmlFor={id}>Filter</label>
          <input
            id={id}
            type="search"
            value={typed}
            autocomplete="off"
            spellcheck={false}
            placeholder="kind:governance seqno:10..20"
            aria-describedby={`${id}-problems`}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </div>
        <button type="submit" class="button">
          <Icon name="search" /> Apply filter
        </button>
        <button type="button" class="button" popovertarget={`${id}-help`}>How to filter</button>
        <Views text={text} onChange={onChange} />
      </form>
      <div id={`${id}-help`} popover="auto" class="help">
        <Help />
      </div>
      <div id={`${id}-problems`} role="status">
        {parsed.problems.map((problem) => (
          <p key={problem} class="verdict verdict-cannot small">
            <Icon name="warning" /> <ForeignText text={problem} maxCharacters={300} row />
          </p>
        ))}
      </div>
      <div class="row" role="group" aria-label="Kinds">
        {ENTRY_KINDS.map((kind) => {
          const isOn = kinds.includes(kind);
          const next = isOn ? kinds.filter((other) => other !== kind) : [...kinds, kind];
          return (
            <button
              key={kind}
              type="button"
              class="chip chip-button"
              aria-pressed={isOn}
              onClick={() =>
                onChange(withWord(parsed, "kind", next.length === 0 ? undefined : next.map(kindWord).join(",")))}
            >
              {isOn && <Icon name="check" />}
              {kind}
            </button>
          );
        })}
        {parsed.words.filter(({ name }) => name !== "kind").map((word) => (
          <span key={word.text} class="chip">
            <ForeignText text={word.text} maxCharacters={60} row />
            <button
              type="button"
              class="button button-bare"
              aria-label={`Remove the filter ${word.name}`}
              onClick={() => onChange(withoutWord(parsed, word))}
            >
              <Icon name="cross" />
            </button>
          </span>
        ))}
        {text !== "" && (
          <button type="button" class="button button-bare" onClick={() => onChange("")}>
            Clear all
          </button>
        )}
      </div>
    </div>
  );
}

function Help() {
  return (
    <div class="stack-tight">
      <h2>How to filter</h2>
      <p>Words are joined by "and". A value with spaces stands in "quotes". Without a word, everything is shown.</p>
      <table>
        <thead>
          <tr>
            <th scope="col">Word</th>
            <th scope="col">For example</th>
            <th scope="col">Entries that</th>
          </tr>
        </thead>
        <tbody>
          {FILTER_HELP.map(([name, example, meaning]) => (
            <tr key={name}>
              <th scope="row">{name}:</th>
              <td class="anywhere">
                <code>{example}</code>
              </td>
              <td>{meaning}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Views({ text, onChange }: { readonly text: string; readonly onChange: (text: string) => void }) {
  const id = useId();
  const views = savedViews.value;
  const shown = views.find(({ query }) => query === text);
  const [name, setName] = useState("");
  return (
    <>
      {views.length > 0 && (
        <div class="field">
          <label htmlFor={id}>Saved views</label>
          <select
            id={id}
            value={shown?.name ?? ""}
            onChange={(event) => {
              const view = views.find((other) => other.name === event.currentTarget.value);
              if (view !== undefined) onChange(view.query);
            }}
          >
            <option value="">None chosen</option>
            {views.map((view) => <option key={view.name} value={view.name}>{view.name}</option>)}
          </select>
        </div>
      )}
      {shown !== undefined
        ? (
          <button type="button" class="button" onClick={() => removeView(shown.name)}>
            Remove view {shown.name}
          </button>
        )
        : text !== "" && (
          <>
            <div class="field">
              <label htmlFor={`${id}-name`}>Name of this view</label>
              <input
                id={`${id}-name`}
                value={name}
                maxLength={60}
                onInput={(event) => setName(event.currentTarget.value)}
              />
            </div>
            <button
              type="button"
              class="button"
              disabled={name.trim() === ""}
              onClick={() => {
                saveView({ name: name.trim(), query: text });
                announce(`Saved the view ${name.trim()} in this browser`);
                setName("");
              }}
            >
              Save view
            </button>
          </>
        )}
    </>
  );
}
