/**
 * The code editor itself, loaded when first shown: CodeMirror 6 in a shadow root.
 *
 * In: an element, a text, a language. Out: an editor or viewer in it.
 * It stands in a shadow root because only there its styles are constructed sheets: a `<style>` element would be against
 * the page's policy. Colours are the page's tokens, which a shadow root inherits. The Tab key leaves it, as any field.
 */

import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { javascript } from "@codemirror/lang-javascript";
import { json } from "@codemirror/lang-json";
import {
  bracketMatching,
  defaultHighlightStyle,
  foldGutter,
  foldKeymap,
  HighlightStyle,
  indentOnInput,
  syntaxHighlighting,
} from "@codemirror/language";
import { EditorState, type Extension } from "@codemirror/state";
import { drawSelection, EditorView, highlightSpecialChars, keymap, lineNumbers } from "@codemirror/view";

export type CodeLanguage = "javascript" | "json" | "text";

export interface CodeOptions {
  readonly text: string;
  readonly language: CodeLanguage;
  /** For screen readers, and whoever looks for it. */
  readonly label: string;
  /** Left out: nothing can be changed. */
  readonly onChange?: (text: string) => void;
}

/** Which of the page's colours stands for which of the library's light ones: comments, keywords, numbers, texts. */
const COLOURS: Readonly<Record<string, string>> = {
  "#404740": "var(--ink-soft)",
  "#708": "var(--accent)",
  "#219": "var(--warn)",
  "#164": "var(--warn)",
  "#a11": "var(--good)",
  "#e40": "var(--good)",
  "#00f": "var(--ink)",
  "#30a": "var(--ink)",
  "#085": "var(--ink)",
  "#167": "var(--ink)",
  "#256": "var(--ink)",
  "#00c": "var(--accent)",
  "#940": "var(--ink-soft)",
  "#f00": "var(--bad)",
};

const highlighting = HighlightStyle.define(defaultHighlightStyle.specs.map((spec) => ({
  ...spec,
  ...(typeof spec.color === "string" && { color: COLOURS[spec.color] ?? "var(--ink)" }),
})));

const theme = EditorView.theme({
  "&": {
    color: "var(--ink)",
    backgroundColor: "var(--paper)",
    border: "1px solid var(--line-strong)",
    borderRadius: "var(--radius)",
    fontSize: "var(--text-small)",
  },
  "&.cm-focused": { outline: "3px solid var(--accent)", outlineOffset: "2px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.5", maxHeight: "min(32rem, 65vh)", overflow: "auto" },
  ".cm-content": { caretColor: "var(--ink)", minHeight: "3rem" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-gutters": { backgroundColor: "var(--sunken)", color: "var(--ink-soft)", border: "none" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--accent-wash)",
  },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--accent-wash)", outline: "1px solid var(--accent)" },
  ".cm-specialChar": { color: "var(--bad)", fontWeight: "bold" },
  ".cm-foldPlaceholder": { backgroundColor: "var(--grey-wash)", color: "var(--ink)", borderColor: "var(--line)" },
});

/** Whatever cannot be seen or turns the direction of reading is shown as a sign: code must not look like other code. */
const INVISIBLE = /[\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

const LANGUAGES: Readonly<Record<CodeLanguage, () => Extension>> = {
  javascript: () => javascript(),
  json: () => json(),
  text: () => [],
};

export interface CodeHandle {
  /** Replaces the text, where it differs; nobody is told of that change. */
  setText(text: string): void;
  /** To be called when the element goes. */
  destroy(): void;
}

/** To the page a key in a shadow root seems pressed on its host, which is no field: its shortcuts must not hear of it. */
function rootOf(host: HTMLElement): ShadowRoot {
  const root = host.attachShadow({ mode: "open" });
  root.addEventListener("keydown", (event) => {
    const { ctrlKey, metaKey } = event as KeyboardEvent;
    if (!ctrlKey && !metaKey) event.stopPropagation();
  });
  return root;
}

/** Puts the editor into a host's shadow root. */
export function mountCode(host: HTMLElement, options: CodeOptions): CodeHandle {
  const root = host.shadowRoot ?? rootOf(host);
  const { text, language, label, onChange } = options;
  const isReadOnly = onChange === undefined;
  let isTold = true;
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        foldGutter(),
        highlightSpecialChars({ addSpecialChars: INVISIBLE }),
        drawSelection(),
        bracketMatching(),
        EditorView.lineWrapping,
        syntaxHighlighting(highlighting),
        LANGUAGES[language](),
        theme,
        EditorView.contentAttributes.of({
          "aria-label": label,
          "aria-multiline": "true",
          // It can be reached without this; tools that look for what a keyboard cannot scroll do not see that.
          tabindex: "0",
          ...(isReadOnly && { "aria-readonly": "true" }),
        }),
        EditorState.readOnly.of(isReadOnly),
        ...(isReadOnly ? [] : [history(), indentOnInput(), keymap.of(historyKeymap)]),
        keymap.of([...defaultKeymap, ...foldKeymap]),
        EditorView.updateListener.of((update) => {
          if (update.docChanged && isTold) onChange?.(update.state.doc.toString());
        }),
      ],
    }),
  });
  return {
    setText(next) {
      const old = view.state.doc.toString();
      if (old === next) return;
      isTold = false;
      view.dispatch({ changes: { from: 0, to: old.length, insert: next } });
      isTold = true;
    },
    destroy: () => view.destroy(),
  };
}
