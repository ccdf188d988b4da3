/** A hash, an ID or a key: short, with all of it at hand, and always with what it is of. */

import { CopyButton } from "./copy.tsx";

/** @param of what the value is, or is the hash of: "SHA-256 of the service's public key" */
export function Hash({ value, of, whole = false }: {
  readonly value: string;
  readonly of: string;
  readonly whole?: boolean;
}) {
  const isShort = !whole && value.length > 20;
  return (
    <span class={isShort ? "hash hash-short" : "hash"}>
      <code title={`${of}: ${value}`}>{isShort ? `${value.slice(0, 8)}…${value.slice(-6)}` : value}</code>
      {isShort && <span class="sr-only">{of}</span>}
      <CopyButton text={value} what={of} bare />
    </span>
  );
}
