/** The palette: one field that goes to pages, transactions, tables, proposals, members and nodes. */

import { signal } from "@preact/signals";
import { useId, useMemo, useState } from "preact/hooks";
import { useLedger } from "../hooks.ts";
import { Dialog } from "../parts/dialog.tsx";
import { linkTo } from "../routes.ts";
import { type Destination, destinationsFor, type Findable, findablesOf } from "./destinations.ts";

export const isPaletteOpen = signal(false);

const MAX_SHOWN = 30;
const NOTHING: readonly Findable[] = [];

export function Palette() {
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const id = useId();
  const known = useLedger(findablesOf, []);
  const findables = known.kind === "ready" ? known.value : NOTHING;
  const found = useMemo(() => destinationsFor(text, findables).slice(0, MAX_SHOWN), [text, findables]);
  const at = Math.min(chosen, Math.max(0, found.length - 1));
  const close = () => isPaletteOpen.value = false;
  const go = (destination: Destination | undefined) => {
    if (destination === undefined) return;
    close();
    location.hash = linkTo(destination.page, destination.id, destination.query);
  };
  return (
    <Dialog title="Go to" onClose={close} class="palette">
      <div>
        <label class="sr-only" htmlFor={`${id}-text`}>A page, TxID, seqno, proposal, member, node or table</label>
        <input
          id={`${id}-text`}
          type="text"
          autofocus
          autocomplete="off"
          spellcheck={false}
          placeholder="A page, TxID, seqno, proposal, member, node or table"
          role="combobox"
          aria-expanded="true"
          aria-controls={`${id}-list`}
          aria-activedescendant={found.length > 0 ? `${id}-${at}` : undefined}
          value={text}
          onInput={(event) => {
            setText(event.currentTarget.value);
            setChosen(0);
          }}
          onKeyDown={(event) => {
            if (event.key === "ArrowDown") setChosen(Math.min(at + 1, found.length - 1));
            else if (event.key === "ArrowUp") setChosen(Math.max(at - 1, 0));
            else if (event.key === "Enter") go(found[at]);
            else return;
            event.preventDefault();
          }}
        />
        <ul id={`${id}-list`} role="listbox" aria-label="Destinations">
          {found.map((destination, i) => (
            <li
              key={`${destination.kind} ${destination.label}`}
              id={`${id}-${i}`}
              role="option"
              aria-selected={i === at}
              onClick={() => go(destination)}
              onPointerMove={() => setChosen(i)}
            >
              <span class="foreign">{destination.label}</span>
              <span class="soft small">{destination.kind}</span>
            </li>
          ))}
        </ul>
        {found.length === 0 && <p role="status">Nothing here is called that</p>}
      </div>
    </Dialog>
  );
}
