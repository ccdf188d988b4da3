/** The frame of a screen: its one `h1`, sections with headings in order, cards. */

import type { ComponentChildren } from "preact";
import { useEffect, useId } from "preact/hooks";

export function Page({ title, lead, actions, children }: {
  readonly title: string;
  /** What the screen is for, in a sentence. */
  readonly lead?: ComponentChildren;
  readonly actions?: ComponentChildren;
  readonly children?: ComponentChildren;
}) {
  useEffect(() => {
    document.title = `${title} · Quorate`;
  }, [title]);
  return (
    <div class="stack">
      <header class="row row-apart">
        <div class="stack-tight">
          <h1 class="anywhere">{title}</h1>
          {lead !== undefined && <p class="soft">{lead}</p>}
        </div>
        {actions !== undefined && <div class="row no-print">{actions}</div>}
      </header>
      {children}
    </div>
  );
}

/** A card with a heading of the second level. */
export function Section({ title, actions, children }: {
  readonly title: string;
  readonly actions?: ComponentChildren;
  readonly children?: ComponentChildren;
}) {
  const id = useId();
  return (
    <section class="card stack" aria-labelledby={id}>
      <div class="row row-apart">
        <h2 id={id}>{title}</h2>
        {actions !== undefined && <div class="row no-print">{actions}</div>}
      </div>
      {children}
    </section>
  );
}

/** Names and values. */
export function Facts({ of }: { readonly of: readonly (readonly [name: string, value: ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {of.flatMap((
        [name, value],
      ) => [<dt key={`${name} name`}>{name}</dt>, <dd key={name} class="foreign">{value}</dd>])}
    </dl>
  );
}
