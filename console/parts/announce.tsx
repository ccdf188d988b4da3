/** Says things to screen readers, and to everybody in passing: never the only copy of an error. */

import { signal } from "@preact/signals";

const said = signal<readonly { readonly id: number; readonly text: string }[]>([]);
let next = 0;

/** Said politely, and shown for a few seconds. */
export function announce(text: string): void {
  const id = next++;
  said.value = [...said.value.slice(-2), { id, text }];
  setTimeout(() => said.value = said.value.filter((item) => item.id !== id), 5000);
}

export function Announcer() {
  return (
    <div class="announcer" role="status" aria-live="polite">
      {said.value.map(({ id, text }) => <p key={id}>{text}</p>)}
    </div>
  );
}
