/** Empty, loading, unknown and error: four different things. */

import type { ComponentChildren } from "preact";
import type { Loaded, Problem } from "../problem.ts";
import { CopyButton } from "./copy.tsx";
import { Icon } from "./icon.tsx";

/** What happened, why, what to do, and the code. */
export function ProblemNote(
  { problem, children }: { readonly problem: Problem; readonly children?: ComponentChildren },
) {
  const { code, what, why, todo, details } = problem;
  return (
    <div class="notice notice-bad stack-tight" role="group" aria-label={`Problem: ${what}`} data-problem={code}>
      <p class="verdict verdict-failed">
        <Icon name="warning" />
        <span class="foreign">{what}</span>
      </p>
      <p class="foreign">
        <strong>Why:</strong> {why}
      </p>
      <p class="foreign">
        <strong>What to do:</strong> {todo}
      </p>
      <div class="row small">
        <span>
          Code <code>{code}</code>
        </span>
        <CopyButton text={JSON.stringify(problem, null, 2)} what="the details" />
      </div>
      {details !== undefined && (
        <details class="small">
          <summary>Details</summary>
          <pre class="foreign">{details}</pre>
        </details>
      )}
      {children}
    </div>
  );
}

export function Loading({ of = "" }: { readonly of?: string | undefined }) {
  return (
    <p class="soft" role="status" data-state="loading">
      Loading{of === "" ? "" : ` ${of}`}…
    </p>
  );
}

/** There is nothing, and that is known. */
export function Empty({ children }: { readonly children: ComponentChildren }) {
  return <div class="notice notice-grey" data-state="empty">{children}</div>;
}

/** Nobody can tell. */
export function Unknown({ why }: { readonly why: string }) {
  return (
    <p class="notice notice-grey verdict-cannot" data-state="unknown">
      <Icon name="question" /> Unknown: {why}
    </p>
  );
}

/** Shows what has been loaded, or says which of the other states it is. */
export function Region<T>({ of, loading, children }: {
  readonly of: Loaded<T>;
  /** What is being loaded, e.g. "members". */
  readonly loading?: string;
  readonly children: (value: T) => ComponentChildren;
}) {
  switch (of.kind) {
    case "loading":
      return <Loading of={of.of ?? loading} />;
    case "unknown":
      return <Unknown why={of.why} />;
    case "error":
      return <ProblemNote problem={of.problem} />;
    case "ready":
      return <>{children(of.value)}</>;
  }
}
