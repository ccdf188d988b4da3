/** The whole ledger as a strip: where much was written, and where one is. Arrow keys move, so does a click. */

import { useState } from "preact/hooks";
import { useLedger } from "../../hooks.ts";
import { linkTo } from "../../routes.ts";
import { ledgerState } from "../../service/session.ts";
import { type DensityPart, densityParts } from "./density.ts";

const PARTS = 100;
const HEIGHT = 40;

/** @param at the entry that is chosen in the list */
export function DensityStrip(
  { at, onGo }: { readonly at: number | undefined; readonly onGo: (seqno: number) => void },
) {
  const state = ledgerState.value;
  const first = Math.max(1, state.firstSeqno);
  const last = state.signed?.seqno ?? 0;
  const entries = last - first + 1;
  const counts = useLedger((ledger) => ledger.density(Math.max(1, Math.min(PARTS, entries))), [entries > 0]);
  const [own, setOwn] = useState<number | undefined>(undefined);
  if (counts.kind !== "ready" || entries < 1) return null;
  const parts = densityParts(counts.value, first, last);
  const here = at === undefined ? own : parts.findIndex(({ from, to }) => at >= from && at <= to);
  const go = (i: number) => {
    const next = Math.min(Math.max(i, 0), parts.length - 1);
    setOwn(next);
    onGo(parts[next]!.from);
  };
  const most = Math.max(1, ...parts.map(({ total }) => total));
  const now = Math.max(0, here ?? 0);
  return (
    <div class="stack-tight">
      {/* In SVG the name of an attribute is taken as it is written: tabindex, not tabIndex. */}
      <svg
        class="strip"
        viewBox={`0 0 ${parts.length} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="slider"
        tabindex={0}
        aria-label="Place in the ledger"
        aria-valuemin={1}
        aria-valuemax={parts.length}
        aria-valuenow={now + 1}
        aria-valuetext={parts[now]?.text}
        onClick={(event) => {
          const box = event.currentTarget.getBoundingClientRect();
          go(Math.floor(((event.clientX - box.left) / box.width) * parts.length));
        }}
        onKeyDown={(event) => {
          const to = {
            ArrowLeft: now - 1,
            ArrowDown: now - 1,
            ArrowRight: now + 1,
            ArrowUp: now + 1,
            Home: 0,
            End: parts.length - 1,
            PageUp: now + 10,
            PageDown: now - 10,
          }[event.key];
          if (to === undefined) return;
          event.preventDefault();
          go(to);
        }}
      >
        {parts.map((part, i) => {
          const [all, governance] = [(part.total / most) * HEIGHT, (part.governance / most) * HEIGHT];
          return (
            <g key={part.from}>
              <title>{part.text}</title>
              <rect x={i} y={0} width={1} height={HEIGHT} fill="transparent" />
              <rect class="strip-bar" x={i + 0.1} y={HEIGHT - all} width={0.8} height={all} />
              <rect class="strip-governance" x={i + 0.1} y={HEIGHT - governance} width={0.8} height={governance} />
            </g>
          );
        })}
        {here !== undefined && here >= 0 && <rect class="strip-here" x={here} y={1} width={1} height={HEIGHT - 2} />}
      </svg>
      <div class="row row-apart small soft">
        <span>
          Entries {first} to {last}: <span class="strip-legend" aria-hidden="true" /> all kinds,{" "}
          <span class="strip-legend strip-legend-governance" aria-hidden="true" /> governance and reconfiguration
        </span>
      </div>
      <Twin parts={parts} />
    </div>
  );
}

function Twin({ parts }: { readonly parts: readonly DensityPart[] }) {
  return (
    <details class="small">
      <summary>The strip as a list</summary>
      <ul>
        {parts.map((part) => (
          <li key={part.from}>
            <a href={linkTo("ledger", undefined, { at: part.from })}>{part.text}</a>
          </li>
        ))}
      </ul>
    </details>
  );
}
