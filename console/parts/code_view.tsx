/**
 * Source text to read or to edit. `diff_view.tsx` compares texts.
 *
 * The editor comes with its own piece of the page, loaded when it is first shown; until then the plain text stands there.
 */

import { useEffect, useRef, useState } from "preact/hooks";
import type { CodeHandle, CodeLanguage } from "./code_mirror.ts";

/** While the editor is on its way. */
const MAX_PLAIN_CHARACTERS = 2000;
/** Texts that come back from whoever heard of a change: they are no news, and what was typed since must stay. */
const MAX_ECHOES = 8;

interface CodeProps {
  readonly text: string;
  readonly language: CodeLanguage;
  /** What the text is: "Constitution". */
  readonly label: string;
}

/** Text to read: numbered lines, folding, invisible characters made visible. */
export function CodeView(props: CodeProps) {
  return <Code {...props} />;
}

/** Text to change. What is given later replaces what was typed, where it differs. */
export function CodeEditor(props: CodeProps & { readonly onChange: (text: string) => void }) {
  return <Code {...props} />;
}

function Code({ text, language, label, onChange }: CodeProps & {
  readonly onChange?: (text: string) => void;
}) {
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<CodeHandle | undefined>(undefined);
  const typed = useRef<readonly string[]>([]);
  const [isShown, setIsShown] = useState(false);
  const isEditable = onChange !== undefined;
  // The newest of both, for an editor that was made earlier or is still on its way.
  const latest = useRef({ text, onChange });
  latest.current = { text, onChange };
  useEffect(() => {
    let isOver = false;
    import("./code_mirror.ts").then(({ mountCode }) => {
      if (isOver || host.current === null) return;
      editor.current = mountCode(host.current, {
        text: latest.current.text,
        language,
        label,
        ...(isEditable && {
          onChange: (next: string) => {
            typed.current = [...typed.current.slice(1 - MAX_ECHOES), next];
            latest.current.onChange?.(next);
          },
        }),
      });
      setIsShown(true);
    });
    return () => {
      isOver = true;
      editor.current?.destroy();
      editor.current = undefined;
    };
  }, [language, label, isEditable]);
  useEffect(() => {
    if (!typed.current.includes(text)) editor.current?.setText(text);
  }, [text]);
  return (
    <div class="code">
      {!isShown && <pre class="foreign">{text.slice(0, MAX_PLAIN_CHARACTERS)}</pre>}
      <div ref={host} class="foreign" />
    </div>
  );
}
