/** The keyboard map: what `?` lists, and what is done. Keys are left alone where somebody types. */

import { tinykeys } from "tinykeys";
import { navigate, PAGE_LIST } from "../routes.ts";
import { isPaletteOpen } from "./palette.tsx";
import { areShortcutsOpen } from "./shortcuts.tsx";

const PAGE_OF_LETTER = new Map(
  PAGE_LIST.flatMap(([name, { letter }]) => letter === undefined ? [] : [[letter as string, name] as const]),
);

function isTyping(event: KeyboardEvent): boolean {
  const { target } = event;
  return target instanceof HTMLElement &&
    (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName));
}

const unlessTyping = (act: () => void) => (event: KeyboardEvent) => {
  if (isTyping(event) || document.querySelector("dialog[open]") !== null) return;
  event.preventDefault();
  act();
};

/** Moves the focus among the links or buttons that a list marks with `data-item`. */
function moveInList(by: number): void {
  const items = [...document.querySelectorAll<HTMLElement>("main [data-item]")];
  if (items.length === 0) return;
  const at = items.indexOf(document.activeElement as HTMLElement);
  items[Math.min(Math.max(at + by, 0), items.length - 1)]!.focus();
}

/** Starts listening; answers how to stop. */
export function listenForKeys(): () => void {
  const openPalette = (event: KeyboardEvent) => {
    event.preventDefault();
    isPaletteOpen.value = true;
  };
  return tinykeys(globalThis as unknown as Window, {
    "$mod+k": openPalette,
    "/": unlessTyping(() => {
      const search = document.querySelector<HTMLElement>("main [type=search]");
      if (search === null) isPaletteOpen.value = true;
      else search.focus();
    }),
    "Shift+?": unlessTyping(() => areShortcutsOpen.value = true),
    j: unlessTyping(() => moveInList(1)),
    k: unlessTyping(() => moveInList(-1)),
    // One sequence for all pages: of several that begin alike, tinykeys 4.0.0 leaves the others half pressed when one fires,
    // so that the next one is not heard.
    [`g ([${[...PAGE_OF_LETTER.keys()].join("")}])`]: (event) =>
      unlessTyping(() => navigate(PAGE_OF_LETTER.get(event.key.toLowerCase())!))(event),
  });
}
