/**
 * Who looks at the page, as a member: chosen on Keys, or in a list. Kept in this browser; it is no secret and no proof.
 */

import { signal } from "@preact/signals";

const KEY = "quorate.me";
const ID = /^[0-9a-f]{64}$/;

/** Member ID; undefined: nobody was chosen. */
export const me = signal<string | undefined>(read());

function read(): string | undefined {
  try {
    const kept = globalThis.localStorage?.getItem(KEY) ?? "";
    return ID.test(kept) ? kept : undefined;
  } catch {
    // Storage that is off: it has to be chosen again at each visit.
    return undefined;
  }
}

export function chooseMe(memberId: string | undefined): void {
  me.value = memberId;
  try {
    if (memberId === undefined) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, memberId);
  } catch {
    // It holds for this visit.
  }
}
