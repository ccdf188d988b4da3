/** Copies text, and says that it did. */

import { announce } from "./announce.tsx";
import { Icon } from "./icon.tsx";

export function CopyButton({ text, what, bare = false }: {
  readonly text: string;
  /** What is copied, for the label: "the digest of the request". */
  readonly what: string;
  /** Without a word beside the icon. */
  readonly bare?: boolean;
}) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      announce(`Copied ${what}`);
    } catch {
      announce(`This browser did not let the page copy ${what}; select it instead`);
    }
  };
  return (
    <button
      type="button"
      class={bare ? "button button-bare no-print" : "button no-print"}
      aria-label={`Copy ${what}`}
      title={`Copy ${what}`}
      onClick={copy}
    >
      <Icon name="copy" />
      {!bare && "Copy"}
    </button>
  );
}
