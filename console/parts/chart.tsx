/** A line over time, and the same numbers as a table: a canvas says nothing to many readers. */

import { useEffect, useRef, useState } from "preact/hooks";
import { settings } from "../service/settings.ts";
import { Time } from "./time.tsx";

export interface ChartPoint {
  readonly timeMs: number;
  readonly value: number;
}

/** More rows help nobody. */
const MAX_TABLE_ROWS = 60;
const HEIGHT_PX = 180;
/** What a label of the time axis takes, such as 21:35:24, with room beside it. */
const LABEL_PX = 60;

export function Chart({ title, unit, points }: {
  /** What is drawn: "Transactions per second". */
  readonly title: string;
  readonly unit: string;
  /** In order of time. */
  readonly points: readonly ChartPoint[];
}) {
  const place = useRef<HTMLDivElement>(null);
  const colours = useColours();
  useEffect(() => {
    const element = place.current;
    if (element === null || points.length < 2) return;
    let stop = () => {};
    let isOver = false;
    import("uplot").then(({ default: UPlot }) => {
      if (isOver) return;
      const style = getComputedStyle(element);
      const colour = (name: string) => style.getPropertyValue(name).trim();
      const [ink, line] = [resolved(element, "--ink-soft"), resolved(element, "--line")];
      const axis = {
        stroke: ink,
        grid: { stroke: line, width: 1 },
        ticks: { stroke: line },
        font: `12px ${colour("--font")}`,
      };
      const plot = new UPlot(
        {
          width: element.clientWidth,
          height: HEIGHT_PX,
          legend: { show: false },
          cursor: { show: false },
          axes: [
            { ...axis, size: 32, space: LABEL_PX, values: (_, splits) => clocks(splits) },
            { ...axis, size: 60 },
          ],
          series: [{}, { stroke: resolved(element, "--accent"), width: 2, points: { show: points.length < 30 } }],
        },
        [points.map(({ timeMs }) => timeMs / 1000), points.map(({ value }) => value)],
        element,
      );
      const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
      observer.observe(element);
      stop = () => {
        observer.disconnect();
        plot.destroy();
      };
    });
    return () => {
      isOver = true;
      stop();
    };
  }, [points, colours]);
  const step = Math.max(1, Math.ceil(points.length / MAX_TABLE_ROWS));
  return (
    <figure class="chart stack-tight">
      <figcaption>
        <strong>{title}</strong> <span class="soft small">in {unit}</span>
      </figcaption>
      {points.length < 2
        ? <p class="soft">There are not enough signatures with a time to draw this.</p>
        : <div ref={place} class="chart-place" aria-hidden="true" />}
      {points.length >= 2 && (
        <details>
          <summary>{title} as a table</summary>
          <table>
            <thead>
              <tr>
                <th scope="col">Time</th>
                <th scope="col">{unit}</th>
              </tr>
            </thead>
            <tbody>
              {points.filter((_, i) => i % step === 0).map(({ timeMs, value }) => (
                <tr key={timeMs}>
                  <td>
                    <Time ms={timeMs} />
                  </td>
                  <td>{value.toLocaleString(undefined, { maximumFractionDigits: 2 })}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      )}
    </figure>
  );
}

/** Labels of the time axis: where lines are less than a second apart, one label for each second. */
function clocks(splits: readonly number[]): string[] {
  const labels = splits.map((at) => clock(at, splits));
  return labels.map((label, i) => label === labels[i - 1] ? "" : label);
}

/** Seconds since 1970 as a label: as short as tells neighbours apart. */
function clock(seconds: number, splits: readonly number[]): string {
  const step = splits.length < 2 ? 0 : splits[1]! - splits[0]!;
  const options: Intl.DateTimeFormatOptions = step >= 86_400
    ? { day: "numeric", month: "short" }
    : { hour: "2-digit", minute: "2-digit", ...(step < 60 && { second: "2-digit" }) };
  return new Intl.DateTimeFormat(undefined, { ...options, hourCycle: "h23" }).format(seconds * 1000);
}

/** Changes when the page's colours do: a canvas keeps those that it was drawn with. */
function useColours(): string {
  const [isDark, setIsDark] = useState(false);
  useEffect(() => {
    const query = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => setIsDark(query.matches);
    follow();
    query.addEventListener("change", follow);
    return () => query.removeEventListener("change", follow);
  }, []);
  return `${settings.value.theme} ${isDark}`;
}

/** A token's colour as the canvas takes it: `light-dark()` is only known to styles. */
function resolved(element: HTMLElement, token: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${token})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
