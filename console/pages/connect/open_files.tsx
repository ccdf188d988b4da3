/** Ledger and snapshot files, or a folder of them, dropped or chosen. */

import { FileDrop } from "../../parts/file_drop.tsx";
import { Section } from "../../parts/page.tsx";

export function OpenFiles({ onFiles }: { readonly onFiles: (files: readonly File[]) => void }) {
  return (
    <Section title="Open ledger files">
      <FileDrop label="Choose ledger files" folderLabel="Choose a folder" multiple onFiles={onFiles}>
        <p class="small">
          Drop ledger files (<code>ledger_1-20.committed</code>, …), snapshots, or the folder with them. They are read
          here and go nowhere; nothing needs to be connected.
        </p>
      </FileDrop>
    </Section>
  );
}
