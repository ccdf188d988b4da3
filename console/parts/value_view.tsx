/** A value of others, decoded as far as it can be, as text, and as bytes. */

import { useMemo, useState } from "preact/hooks";
import { toBase64, toHex } from "../../shared/bytes.ts";
import { CodeView } from "./code_view.tsx";
import { CopyButton } from "./copy.tsx";
import { ForeignText } from "./foreign_text.tsx";
import { Hash } from "./hash.tsx";
import { HexView } from "./hex_view.tsx";
import { sizeText } from "./invisible.ts";
import { saveFile } from "./save_file.ts";
import { Tabs } from "./tabs.tsx";
import { Time } from "./time.tsx";
import { Verdict } from "./verdict.tsx";
import { FORM_WORDS, type FormFact, type FormInside, keyForm, type ValueForm, valueForm } from "./value_forms.ts";
import "./values.css";

/** Bytes of which the editor shows the source. */
const MAX_CODE_CHARACTERS = 400_000;
const MAX_COPIED_BYTES = 1_000_000;

/** @param what names the value for screen readers: "Value of info" */
export function ValueView({ bytes, table, what }: {
  readonly bytes: Uint8Array;
  readonly table?: string;
  readonly what: string;
}) {
  const form = useMemo(() => valueForm(bytes, table), [bytes, table]);
  const [tab, setTab] = useState("decoded");
  return (
    <div class="value stack-tight">
      <div class="row row-apart small">
        <span class="soft">{FORM_WORDS[form.kind]}, {sizeText(bytes.length)}</span>
        <span class="row">
          {bytes.length <= MAX_COPIED_BYTES && <CopyButton text={copyText(bytes)} what={what} bare />}
          <button
            type="button"
            class="button no-print"
            onClick={() => saveFile(`${what.replaceAll(/[^A-Za-z0-9._-]+/g, "_")}.bin`, bytes)}
          >
            Save<span class="sr-only">{what}</span>
          </button>
        </span>
      </div>
      <Tabs
        label={`${what}: how it is shown`}
        chosen={tab}
        onChoose={setTab}
        tabs={[
          { name: "decoded", label: "Decoded", content: () => <FormView form={form} what={what} /> },
          { name: "text", label: "Text", content: () => <ForeignText bytes={bytes} block what={what} /> },
          { name: "hex", label: "Hex", content: () => <HexView bytes={bytes} label={`${what} in hex`} /> },
        ]}
      />
    </div>
  );
}

/** A key on one line. */
export function KeyView({ bytes }: { readonly bytes: Uint8Array }) {
  const form = keyForm(bytes);
  switch (form.kind) {
    case "text":
      return /^[0-9a-f]{40,}$/.test(form.text)
        ? <Hash value={form.text} of="key" />
        : <ForeignText text={form.text} maxCharacters={200} what="the key" />;
    case "number":
      return <span class="mono">{form.text}</span>;
    case "nothing":
      return <span class="soft">({form.why})</span>;
    default:
      return <Hash value={`0x${toHex(bytes)}`} of="key in hex" />;
  }
}

/** Text where it is text, else base64: what pastes well. */
function copyText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return toBase64(bytes);
  }
}

/** A form with all that stands inside. */
export function FormView({ form, what }: { readonly form: ValueForm; readonly what: string }) {
  switch (form.kind) {
    case "nothing":
      return <p class="soft">{form.why}</p>;
    case "json":
      return (
        <div class="stack-tight">
          <ForeignText text={form.text} block what={what} />
          <Inside of={form.inside} />
        </div>
      );
    case "text":
      return form.language === "javascript" && form.text.length <= MAX_CODE_CHARACTERS
        ? <CodeView text={form.text} language="javascript" label={what} />
        : <ForeignText text={form.text} block what={what} />;
    case "pem":
      return <Inside of={form.blocks} />;
    case "certificate":
    case "public key":
      return <FactLines of={form.facts} />;
    case "cose":
      return (
        <div class="stack-tight">
          <FactLines of={form.facts} />
          <p class="small">
            <Verdict kind="unchecked">
              Read here, not verified here: which signatures were checked stands with the transaction
            </Verdict>
          </p>
          {form.payload !== undefined && <Inside of={[{ where: "Payload", form: form.payload }]} />}
        </div>
      );
    case "cbor":
      return <ForeignText text={form.text} block what={what} />;
    case "number":
      return (
        <p class="mono">
          {form.text} <span class="soft">(8 bytes, little-endian)</span>
        </p>
      );
    case "bytes":
      return <HexView bytes={form.bytes} label={`${what} in hex`} />;
  }
}

function Inside({ of }: { readonly of: readonly FormInside[] }) {
  return (
    <>
      {of.map(({ where, form }) => (
        <details key={where} class="value-inside" open={of.length === 1}>
          <summary>
            <ForeignText text={where} maxCharacters={200} /> <span class="soft">({FORM_WORDS[form.kind]})</span>
          </summary>
          <FormView form={form} what={where} />
        </details>
      ))}
    </>
  );
}

function FactLines({ of }: { readonly of: readonly FormFact[] }) {
  return (
    <dl class="facts">
      {of.map(([name, value]) => (
        <>
          <dt class="foreign">{name}</dt>
          <dd>
            {typeof value === "string"
              ? <ForeignText text={value} block={value.includes("\n")} maxCharacters={1000} what={name} />
              : "ms" in value
              ? <Time ms={value.ms} />
              : <Hash value={value.hash} of={name} />}
          </dd>
        </>
      ))}
    </dl>
  );
}
