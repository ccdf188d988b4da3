/** The moment that tables are shown as of: by slider, number, time, or an event with a name. */

import { useEffect, useId, useRef, useState } from "preact/hooks";
import { useLedger } from "../../hooks.ts";
import { announce } from "../../parts/announce.tsx";
import { ledger } from "../../service/session.ts";
import { ledgerEvents } from "./table_events.ts";

/** While a slider is dragged, tables are asked for when it has rested so long. */
const REST_MS = 120;

export function MomentPicker({ label, first, last, at, onChange }: {
  /** What it is the moment of: "As of". */
  readonly label: string;
  readonly first: number;
  readonly last: number;
  readonly at: number;
  /** undefined: the last signed moment, whichever that is. */
  readonly onChange: (at: number | undefined) => void;
}) {
  const id = useId();
  const [typed, setTyped] = useState(String(at));
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const events = useLedger(ledgerEvents, []);
  useEffect(() => setTyped(String(at)), [at]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const go = (seqno: number) => {
    if (Number.isSafeInteger(seqno)) onChange(Math.min(Math.max(seqno, first), last));
  };
  const slide = (text: string) => {
    setTyped(text);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => go(Number(text)), REST_MS);
  };
  const goToTime = async (text: string) => {
    const ms = new Date(text).getTime();
    if (Number.isNaN(ms)) return;
    const next = await ledger().seqnoAt(ms);
    if (next === undefined) announce("Nothing that is proved here was signed at that time or later: the end is shown");
    // What was signed before that moment is the state at that moment.
    onChange(next === undefined ? last : Math.max(first, next - 1));
  };
  return (
    <fieldset class="moment" aria-label={label}>
      <div class="field moment-slider">
        <label htmlFor={`${id}-slider`}>{label} seqno {typed}</label>
        <input
          id={`${id}-slider`}
          type="range"
          min={first}
          max={last}
          value={typed}
          onInput={(event) => slide(event.currentTarget.value)}
        />
      </div>
      <div class="field">
        <label htmlFor={`${id}-seqno`}>Seqno</label>
        <input
          id={`${id}-seqno`}
          type="number"
          min={first}
          max={last}
          value={typed}
          onChange={(event) => go(Number(event.currentTarget.value))}
        />
      </div>
      <div class="field">
        <label htmlFor={`${id}-time`}>Date and time</label>
        <input
          id={`${id}-time`}
          type="datetime-local"
          step={1}
          onChange={(event) => void goToTime(event.currentTarget.value)}
        />
      </div>
      <div class="field">
        <label htmlFor={`${id}-event`}>Event</label>
        <select
          id={`${id}-event`}
          value=""
          onChange={(event) => {
            if (event.currentTarget.value !== "") go(Number(event.currentTarget.value));
            event.currentTarget.value = "";
          }}
        >
          <option value="">
            {events.kind === "ready"
              ? `Choose one of ${events.value.length}`
              : events.kind === "loading"
              ? "Loading…"
              : "Not known"}
          </option>
          {events.kind === "ready" &&
            events.value.map(({ seqno, text }, i) => <option key={i} value={seqno}>{`${seqno}: ${text}`}</option>)}
        </select>
      </div>
      <div>
        <button type="button" class="button" onClick={() => onChange(undefined)}>Last signed moment</button>
      </div>
    </fieldset>
  );
}
