/** The beginning of a long list, with how much there is and a button for the rest. */

import { type ComponentChildren, Fragment } from "preact";
import { useState } from "preact/hooks";

const FIRST = 50;

export function ShowAll<T>({ of, what, wrap, children }: {
  readonly of: readonly T[];
  /** What they are, in the plural: "actions". */
  readonly what: string;
  /** The list or table around the items. */
  readonly wrap: (items: ComponentChildren) => ComponentChildren;
  readonly children: (item: T, index: number) => ComponentChildren;
}) {
  const [isWhole, setIsWhole] = useState(false);
  const shown = isWhole ? of : of.slice(0, FIRST);
  return (
    <>
      {wrap(shown.map((item, i) => <Fragment key={i}>{children(item, i)}</Fragment>))}
      {shown.length < of.length && (
        <p class="row" role="status">
          <strong>{(of.length - shown.length).toLocaleString()} more {what} are not shown.</strong>
          <button type="button" class="button" onClick={() => setIsWhole(true)}>
            Show all {of.length.toLocaleString()} {what}
          </button>
        </p>
      )}
    </>
  );
}
