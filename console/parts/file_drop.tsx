/** A place to drop files on, which is a button for those who do not drag; and one for a folder, where that is wanted. */

import type { ComponentChildren } from "preact";
import { useId, useRef, useState } from "preact/hooks";
import { droppedFiles } from "./dropped_files.ts";

export function FileDrop({ label, folderLabel, multiple = false, accept, onFiles, children }: {
  /** On the button: "Choose ledger files". */
  readonly label: string;
  /** On the button for a folder, whose files come like others; without it, there is none. */
  readonly folderLabel?: string;
  readonly multiple?: boolean;
  readonly accept?: string;
  readonly onFiles: (files: readonly File[]) => void;
  readonly children?: ComponentChildren;
}) {
  const [isOver, setIsOver] = useState(false);
  const take = (files: readonly File[]) => files.length > 0 && onFiles(multiple ? files : files.slice(0, 1));
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
        void droppedFiles(event.dataTransfer).then(take);
      }}
    >
      {children}
      <div class="row drop-buttons">
        <Chooser label={label} multiple={multiple} accept={accept} onFiles={take} />
        {folderLabel !== undefined && <Chooser label={folderLabel} isFolder onFiles={take} />}
      </div>
    </div>
  );
}

function Chooser({ label, multiple = false, accept, isFolder = false, onFiles }: {
  readonly label: string;
  readonly multiple?: boolean;
  readonly accept?: string | undefined;
  readonly isFolder?: boolean;
  readonly onFiles: (files: readonly File[]) => void;
}) {
  const input = useRef<HTMLInputElement | null>(null);
  const id = useId();
  return (
    <>
      <button type="button" class="button" onClick={() => input.current?.click()}>{label}</button>
      <label class="sr-only" htmlFor={id}>{label}</label>
      <input
        ref={(element) => {
          input.current = element;
          if (element !== null && isFolder) element.webkitdirectory = true;
        }}
        id={id}
        type="file"
        hidden
        multiple={multiple}
        {...(accept !== undefined && { accept })}
        onChange={(event) => {
          const files = [...event.currentTarget.files ?? []];
          event.currentTarget.value = "";
          onFiles(files);
        }}
      />
    </>
  );
}
