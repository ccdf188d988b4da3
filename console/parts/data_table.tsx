/** A table of plain rows. It scrolls by itself where the screen is narrower, by keyboard too, so that the page never does. */

import type { ComponentChildren } from "preact";

export function DataTable({ label, columns, class: name, children }: {
  /** Of the region that scrolls: "Table of members". */
  readonly label: string;
  readonly columns: readonly ComponentChildren[];
  readonly class?: string;
  /** Rows. */
  readonly children: ComponentChildren;
}) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={label}>
      <table {...(name !== undefined && { class: name })}>
        <thead>
          <tr>{columns.map((column, i) => <th key={i} scope="col">{column}</th>)}</tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
