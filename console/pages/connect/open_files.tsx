/** Ledger and snapshot files, or a folder of them, dropped or chosen. */

import { useId, useRef, useState } from "preact/hooks";
import { Section } from "../../parts/page.tsx";
import { droppedFiles } from "./dropped_files.ts";

export function OpenFiles({ onFiles }: { readonly onFiles: (files: readonly File[]) => void }) {
  const id = useId();
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const [isOver, setIsOver] = useState(false);
  const take = (chosen: readonly File[]) => chosen.length > 0 && onFiles(chosen);
  const taken = (input: HTMLInputElement) => {
    const chosen = [...input.files ?? []];
    input.value = "";
    take(chosen);
  };
  return (
    <Section title="Open ledger files">
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
        <p class="small">
          Drop ledger files (<code>ledger_1-20.committed</code>, …), snapshots, or the folder with them. They are read
          here and go nowhere; nothing needs to be connected.
        </p>
        <div class="row drop-buttons">
          <button type="button" class="button" onClick={() => files.current?.click()}>Choose ledger files</button>
          <button type="button" class="button" onClick={() => folder.current?.click()}>Choose a folder</button>
        </div>
        <label class="sr-only" htmlFor={`${id}-files`}>Ledger files</label>
        <input
          ref={files}
          id={`${id}-files`}
          type="file"
          multiple
          hidden
          onChange={(event) => taken(event.currentTarget)}
        />
        <label class="sr-only" htmlFor={`${id}-folder`}>Folder of ledger files</label>
        <input
          ref={(input) => {
            folder.current = input;
            if (input !== null) input.webkitdirectory = true;
          }}
          id={`${id}-folder`}
          type="file"
          hidden
          onChange={(event) => taken(event.currentTarget)}
        />
      </div>
    </Section>
  );
}
