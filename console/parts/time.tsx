/** A moment: local time, with UTC beside it or at hand. */

const LOCAL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** @param utc beside it, where there is room: what only a pointer finds is not there for everybody */
export function Time({ ms, utc: isBeside = false }: { readonly ms: number; readonly utc?: boolean }) {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return <span>an impossible time</span>;
  const utc = date.toISOString().replace(/\.000Z$/, "Z");
  return (
    <time dateTime={date.toISOString()} title={`${utc} (UTC)`}>
      {LOCAL.format(date)}
      {isBeside && <span class="small soft">{` ${utc}`}</span>}
    </time>
  );
}

/** "3 minutes ago", "in 2 days". */
export function agoText(ms: number, nowMs: number): string {
  const seconds = Math.round((ms - nowMs) / 1000);
  const format = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  for (const [unit, size] of [["day", 86_400], ["hour", 3600], ["minute", 60]] as const) {
    if (Math.abs(seconds) >= size) return format.format(Math.round(seconds / size), unit);
  }
  return format.format(seconds, "second");
}
