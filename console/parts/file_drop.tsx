/** A place to drop files on, which is a button for those who do not drag. */

import type { ComponentChildren } from "preact";
import { useId, useRef, useState } from "preact/hooks";

export function FileDrop({ label, multiple = false, accept, onFiles, children }: {
  /** On the button: "Choose ledger files". */
  readonly label: string;
  readonly multiple?: boolean;
  readonly accept?: string;
  readonly onFiles: (files: readonly File[]) => void;
  readonly children?: ComponentChildren;
}) {
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  const [isOver, setIsOver] = useState(false);
  return (
    <div
      class={isOver ? "drop drop-over stack-tight" : "drop stack-tight"}
      onDragOver={(event) => {
        event.preventDefault();
        setIsOver(true);
      }}
      onDragLeave={() => setIsOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setIsOver(false);
        const files = [...event.dataTransfer?.files ?? []];
        if (files.length > 0) onFiles(multiple ? files : files.slice(0, 1));
      }}
    >
      {children}
      <div>
        <button type="button" class="button" onClick={() => input.current?.click()}>{label}</button>
        <label class="sr-only" htmlFor={id}>{label}</label>
        <input
          ref={input}
          id={id}
          type="file"
          hidden
          multiple={multiple}
          {...(accept !== undefined && { accept })}
          onChange={(event) => {
            const files = [...event.currentTarget.files ?? []];
            event.currentTarget.value = "";
            if (files.length > 0) onFiles(files);
          }}
        />
      </div>
    </div>
  );
}
