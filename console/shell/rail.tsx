/** The left rail: every page that stands on its own. */

import { signal } from "@preact/signals";
import { linkTo, PAGE_LIST, type PageName } from "../routes.ts";

/** Where the window is narrow; the trust bar has the button. */
export const isRailOpen = signal(false);

const HEADINGS = ["Look", "Govern", "Prove", "This console"] as const;

/** Pages without an entry of their own, and the one they belong to. */
const PARENTS: Readonly<Partial<Record<PageName, PageName>>> = {
  transaction: "ledger",
  proposal: "proposals",
  compose: "proposals",
  attestation: "nodes",
};

export function Rail({ current, isOpen }: { readonly current: PageName; readonly isOpen: boolean }) {
  const marked = PARENTS[current] ?? current;
  return (
    <nav class={isOpen ? "rail open" : "rail"} id="rail" aria-label="Pages">
      {isOpen && (
        <button type="button" class="button" onClick={() => isRailOpen.value = false}>Close the list of pages</button>
      )}
      {HEADINGS.map((heading) => (
        <div key={heading}>
          <h2>{heading}</h2>
          <ul>
            {PAGE_LIST.filter(([, page]) => page.rail === heading).map(([name, page]) => (
              <li key={name}>
                <a href={linkTo(name)} {...(name === marked && { "aria-current": "page" as const })}>{page.title}</a>
              </li>
            ))}
          </ul>
        </div>
      ))}
    </nav>
  );
}
