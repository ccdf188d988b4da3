/** The fields of one action: each a control of its type, with what is wrong beside it. */

import { useId, useState } from "preact/hooks";
import { fromUtf8Lenient } from "../../../shared/bytes.ts";
import { MAX_MEMBER_INPUT_BYTES } from "../../../shared/limits.ts";
import { CodeEditor } from "../../parts/code_view.tsx";
import { FileDrop } from "../../parts/file_drop.tsx";
import type { ActionForm, Field } from "../../governance/action_forms.ts";
import type { ArgumentProblem } from "../../governance/argument_checks.ts";

/** Who is known, for fields that name somebody. */
export interface KnownIds {
  readonly member: readonly KnownId[];
  readonly user: readonly KnownId[];
  readonly node: readonly KnownId[];
}

export interface KnownId {
  readonly id: string;
  readonly name: string;
}

export function ActionFields({ form, args, problems, known, onChange }: {
  readonly form: ActionForm;
  readonly args: unknown;
  readonly problems: readonly ArgumentProblem[];
  readonly known: KnownIds;
  /** @param value undefined: the argument is left out */
  readonly onChange: (name: string, value: unknown) => void;
}) {
  const given = (typeof args === "object" && args !== null ? args : {}) as Readonly<Record<string, unknown>>;
  const whole = problems.filter(({ field }) => field === undefined);
  return (
    <div class="stack">
      {form.fields.map((field) => (
        <FieldControl
          key={field.name}
          field={field}
          value={given[field.name]}
          problem={problems.find((problem) => problem.field === field.name)?.message}
          known={known}
          onChange={(value) => onChange(field.name, value)}
        />
      ))}
      {form.fields.length === 0 && <p class="soft">This action has no arguments.</p>}
      {whole.map(({ message }) => <p key={message} class="field-problem">{message}.</p>)}
    </div>
  );
}

interface ControlProps {
  readonly field: Field;
  readonly value: unknown;
  readonly problem: string | undefined;
  readonly known: KnownIds;
  readonly onChange: (value: unknown) => void;
}

function FieldControl(props: ControlProps) {
  const { field, problem } = props;
  const id = useId();
  const described = `${id}-hint ${id}-problem`;
  const isEditor = field.kind === "source" || field.kind === "bundle";
  const label = `${field.label}${field.isOptional ? " (may be left out)" : ""}`;
  return (
    <div class="field" role={isEditor ? "group" : undefined} aria-label={isEditor ? field.label : undefined}>
      {isEditor ? <strong>{label}</strong> : <label htmlFor={id}>{label}</label>}
      <Control {...props} id={id} described={described} />
      {field.hint !== undefined && <span id={`${id}-hint`} class="small field-hint">{field.hint}</span>}
      {problem !== undefined && <span id={`${id}-problem`} class="small field-problem foreign">{problem}.</span>}
    </div>
  );
}

function Control({ field, value, problem, known, onChange, id, described }: ControlProps & {
  readonly id: string;
  readonly described: string;
}) {
  const common = {
    id,
    "aria-describedby": described,
    ...(problem !== undefined && value !== "" && { "aria-invalid": true }),
  };
  const text = typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value);
  const setText = (next: string) => onChange(next === "" && field.isOptional ? undefined : next);
  switch (field.kind) {
    case "text":
    case "hex":
    case "time":
      return (
        <div class="row">
          <input
            {...common}
            type="text"
            spellcheck={false}
            autocomplete="off"
            value={text}
            onInput={({ currentTarget }) => setText(currentTarget.value)}
          />
          {field.kind === "time" && (
            <button
              type="button"
              class="button"
              onClick={() => setText(new Date().toISOString().replace(/\.\d+Z$/, "Z"))}
            >
              Now
            </button>
          )}
        </div>
      );
    case "id":
      return (
        <>
          <input
            {...common}
            type="text"
            list={`${id}-known`}
            spellcheck={false}
            autocomplete="off"
            value={text}
            onInput={({ currentTarget }) => setText(currentTarget.value.trim())}
          />
          <datalist id={`${id}-known`}>
            {known[field.of].map((each) => <option key={each.id} value={each.id}>{each.name}</option>)}
          </datalist>
          {known[field.of].some((each) => each.id === text) && (
            <span class="small foreign">{known[field.of].find((each) => each.id === text)!.name}</span>
          )}
        </>
      );
    case "integer":
      return (
        <input
          {...common}
          type="number"
          step={1}
          {...(field.min !== undefined && { min: field.min })}
          {...(field.max !== undefined && { max: field.max })}
          value={text}
          onInput={({ currentTarget: { value: typed } }) => onChange(numberOf(typed, field.isOptional))}
        />
      );
    case "boolean":
      return (
        <select
          {...common}
          value={value === undefined ? "" : String(value)}
          onChange={({ currentTarget }) =>
            onChange(currentTarget.value === "" ? undefined : currentTarget.value === "true")}
        >
          {field.isOptional && <option value="">left out</option>}
          <option value="true">yes</option>
          <option value="false">no</option>
        </select>
      );
    case "choice":
      return (
        <select {...common} value={text} onChange={({ currentTarget }) => setText(currentTarget.value)}>
          {field.isOptional && <option value="">left out</option>}
          {field.choices.map((choice) => <option key={choice} value={choice}>{choice}</option>)}
        </select>
      );
    case "json":
      return <JsonText common={common} value={value} isOptional={field.isOptional === true} onChange={onChange} />;
    case "certificate":
    case "public key":
      return (
        <WithFile label={`Choose a file: ${field.label}`} accept=".pem,.crt,.cer" onText={setText}>
          <textarea
            {...common}
            spellcheck={false}
            value={text}
            onInput={({ currentTarget }) => setText(currentTarget.value)}
          />
        </WithFile>
      );
    case "source":
      return (
        <WithFile label={`Choose a file: ${field.label}`} accept=".js,.mjs,.txt,.rego" onText={setText}>
          <CodeEditor text={text} language="javascript" label={field.label} onChange={setText} />
        </WithFile>
      );
    case "bundle":
      return <Bundle value={value} onChange={onChange} />;
  }
}

/** A digit too few is no reason to forget what was typed. */
function numberOf(typed: string, isOptional = false): unknown {
  if (typed === "") return isOptional ? undefined : "";
  const number = Number(typed);
  return Number.isNaN(number) ? typed : number;
}

/** What is no JSON while it is typed is kept here, and not in the proposal. */
function JsonText({ common, value, isOptional, onChange }: {
  readonly common: Readonly<Record<string, unknown>>;
  readonly value: unknown;
  readonly isOptional: boolean;
  readonly onChange: (value: unknown) => void;
}) {
  const [typed, setTyped] = useState<string | undefined>();
  const [isBroken, setIsBroken] = useState(false);
  const shown = typed ?? (value === undefined ? "" : JSON.stringify(value, null, 2));
  return (
    <>
      <textarea
        {...common}
        spellcheck={false}
        value={shown}
        onInput={({ currentTarget: { value: text } }) => {
          setTyped(text);
          if (text.trim() === "" && isOptional) {
            setIsBroken(false);
            return onChange(undefined);
          }
          try {
            onChange(JSON.parse(text));
            setIsBroken(false);
          } catch {
            setIsBroken(true);
          }
        }}
        onBlur={() => isBroken || setTyped(undefined)}
      />
      {isBroken && (
        <span class="small field-problem">This is no JSON yet; the proposal has what stood here before.</span>
      )}
    </>
  );
}

function WithFile({ label, accept, onText, children }: {
  readonly label: string;
  readonly accept: string;
  readonly onText: (text: string) => void;
  readonly children: preact.ComponentChildren;
}) {
  const [tooLarge, setTooLarge] = useState<string | undefined>();
  const take = async ([file]: readonly File[]) => {
    if (file === undefined) return;
    if (file.size > MAX_MEMBER_INPUT_BYTES) return setTooLarge(sizeWords(file));
    setTooLarge(undefined);
    onText(fromUtf8Lenient(new Uint8Array(await file.arrayBuffer())));
  };
  return (
    <FileDrop label={label} accept={accept} onFiles={take}>
      {children}
      {tooLarge !== undefined && <p class="field-problem">{tooLarge}</p>}
    </FileDrop>
  );
}

function sizeWords({ name, size }: File): string {
  return `${name} has ${size.toLocaleString()} bytes; a member's request has at most ${MAX_MEMBER_INPUT_BYTES.toLocaleString()}.`;
}

/** A bundle of modules and endpoints: one JSON file, or the whole proposal that `app build` writes. */
function Bundle({ value, onChange }: { readonly value: unknown; readonly onChange: (value: unknown) => void }) {
  const [problem, setProblem] = useState<string | undefined>();
  const { modules, metadata } = (value ?? {}) as {
    modules?: { name?: unknown; module?: unknown }[];
    metadata?: { endpoints?: Record<string, Record<string, unknown>> };
  };
  const take = async ([file]: readonly File[]) => {
    if (file === undefined) return;
    if (file.size > MAX_MEMBER_INPUT_BYTES) return setProblem(sizeWords(file));
    try {
      const json = JSON.parse(await file.text());
      const bundle = json?.actions?.find?.((action: { name?: unknown }) =>
        action?.name === "set_js_app"
      )?.args?.bundle ??
        json?.bundle ?? json;
      if (!Array.isArray(bundle?.modules)) return setProblem(`${file.name} is no bundle: it has no list of modules.`);
      setProblem(undefined);
      onChange(bundle);
    } catch {
      setProblem(`${file.name} is no JSON.`);
    }
  };
  const list = Array.isArray(modules) ? modules : [];
  const paths = Object.entries(metadata?.endpoints ?? {}).flatMap(([path, verbs]) =>
    Object.keys(verbs ?? {}).map((verb) => `${verb.toUpperCase()} ${path}`)
  );
  return (
    <FileDrop label="Choose a bundle" accept=".json,application/json" onFiles={take}>
      <p class="soft">
        {list.length} modules, {paths.length} endpoints
      </p>
      {list.length > 0 && (
        <ul class="small foreign">
          {list.slice(0, 30).map((module, i) => (
            <li key={i}>
              {String(module?.name)}: {String(module?.module ?? "").length.toLocaleString()} characters
            </li>
          ))}
        </ul>
      )}
      {problem !== undefined && <p class="field-problem foreign">{problem}</p>}
    </FileDrop>
  );
}
