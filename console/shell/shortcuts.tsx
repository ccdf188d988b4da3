/** The sheet of keys, opened with `?`. */

import { signal } from "@preact/signals";
import { DataTable } from "../parts/data_table.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { PAGE_LIST } from "../routes.ts";

export const areShortcutsOpen = signal(false);

const GENERAL: readonly (readonly [keys: string, what: string])[] = [
  ["Ctrl K", "Go to anything (⌘ K on a Mac)"],
  ["/", "Search on this page"],
  ["j", "Next item of a list"],
  ["k", "Item before"],
  ["Esc", "Close"],
  ["?", "This sheet"],
];

export function Shortcuts() {
  const rows = [
    ...GENERAL,
    ...PAGE_LIST.flatMap(([, { letter, title }]) => letter ? [[`g ${letter}`, title] as const] : []),
  ];
  return (
    <Dialog title="Keys" onClose={() => areShortcutsOpen.value = false}>
      <DataTable label="Table of keys" columns={["Keys", "What they do"]}>
        {rows.map(([keys, what]) => (
          <tr key={keys}>
            <td>
              {keys.split(" ").map((key, i) => (
                <>
                  {i > 0 && " "}
                  <kbd>{key}</kbd>
                </>
              ))}
            </td>
            <td>{what}</td>
          </tr>
        ))}
      </DataTable>
    </Dialog>
  );
}
