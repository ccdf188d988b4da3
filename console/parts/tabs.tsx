/** Tabs: arrow keys move, the chosen one is shown. Which one is the caller's, mostly in the URL. */

import type { ComponentChildren } from "preact";
import { useId, useRef } from "preact/hooks";

export interface Tab {
  readonly name: string;
  readonly label: string;
  readonly content: () => ComponentChildren;
}

export function Tabs({ label, tabs, chosen, onChoose }: {
  readonly label: string;
  readonly tabs: readonly Tab[];
  readonly chosen: string;
  readonly onChoose: (name: string) => void;
}) {
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const at = Math.max(0, tabs.findIndex(({ name }) => name === chosen));
  const move = (to: number) => {
    const next = (to + tabs.length) % tabs.length;
    onChoose(tabs[next]!.name);
    (list.current?.children[next] as HTMLElement | undefined)?.focus();
  };
  return (
    <div class="stack">
      <div ref={list} class="tabs" role="tablist" aria-label={label}>
        {tabs.map((tab, i) => (
          <button
            key={tab.name}
            type="button"
            role="tab"
            id={`${id}-${tab.name}`}
            aria-selected={i === at}
            aria-controls={`${id}-panel`}
            tabIndex={i === at ? 0 : -1}
            onClick={() => onChoose(tab.name)}
            onKeyDown={(event) => {
              if (event.key === "ArrowRight") move(at + 1);
              else if (event.key === "ArrowLeft") move(at - 1);
              else if (event.key === "Home") move(0);
              else if (event.key === "End") move(tabs.length - 1);
            }}
          >
            {tab.label}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${tabs[at]!.name}`} tabIndex={0}>
        {tabs[at]!.content()}
      </div>
    </div>
  );
}
