/**
 * A table of any number of rows, of which only those in view are in the page.
 *
 * One stop for the Tab key; arrows, j and k, Home, End, PageUp and PageDown move the chosen row, Enter opens it. The focus
 * stays on the table, so that scrolling cannot lose it. Where it stands is `scroll_window.ts`'s business.
 */

import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { afterScroll, barFor, type ListGeometry, rowsInView, spacerHeight, topShowing } from "./scroll_window.ts";
import "./values.css";

export interface ListColumn {
  readonly label: string;
  /** A track of a CSS grid: "6rem", "minmax(0, 1fr)". */
  readonly width: string;
  /** Instead of it on narrow screens. */
  readonly narrow?: string;
  /** Left out on narrow screens. */
  readonly wide?: boolean;
}

/** A bar that was left behind by wheel moves is put right this long after the last one. */
const SETTLE_MS = 200;
const FALLBACK_ROW_PIXELS = 36;

export function VirtualList(
  { label, columns, rows, cells, chosen, onChoose, onOpen, onRange, pinned = false, onLeaveEnd, class: name = "" }: {
    readonly label: string;
    readonly columns: readonly ListColumn[];
    /** How many there are. */
    readonly rows: number;
    /** The cells of one row, as many as columns. */
    readonly cells: (row: number) => readonly ComponentChildren[];
    /** The row that is selected: it is scrolled into view when it changes. */
    readonly chosen?: number | undefined;
    readonly onChoose?: (row: number) => void;
    readonly onOpen?: (row: number) => void;
    /** Which rows are in view: for loading them. */
    readonly onRange?: (first: number, last: number) => void;
    /** Stay at the end as rows come. */
    readonly pinned?: boolean;
    /** Somebody scrolled away from the end. */
    readonly onLeaveEnd?: () => void;
    readonly class?: string;
  },
) {
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  const probe = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ rowHeight: FALLBACK_ROW_PIXELS, viewHeight: 0 });
  const [position, setPosition] = useState({ top: 0, bar: 0 });
  const latest = useRef(position);
  const settle = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const [own, setOwn] = useState<number | undefined>(undefined);
  const at = onChoose === undefined ? own : chosen;
  const list: ListGeometry = { rows, ...size };

  useLayoutEffect(() => {
    const measure = () => {
      const rowHeight = probe.current?.offsetHeight || FALLBACK_ROW_PIXELS;
      const viewHeight = Math.max(rowHeight, (box.current?.clientHeight ?? 0) - rowHeight);
      setSize((old) => old.rowHeight === rowHeight && old.viewHeight === viewHeight ? old : { rowHeight, viewHeight });
    };
    measure();
    const observer = new ResizeObserver(measure);
    if (box.current !== null) observer.observe(box.current);
    if (probe.current !== null) observer.observe(probe.current);
    return () => observer.disconnect();
  }, []);

  const moveTo = useCallback((top: number) => {
    const bar = barFor(list, top);
    latest.current = { top, bar };
    setPosition(latest.current);
    if (box.current !== null) {
      box.current.scrollTop = bar;
      // Browsers round: what they made of it is where the next move starts from.
      latest.current = { top, bar: box.current.scrollTop };
    }
  }, [rows, size.rowHeight, size.viewHeight]);

  useLayoutEffect(() => {
    if (at !== undefined && at < rows && size.viewHeight > 0) {
      const top = topShowing(list, latest.current.top, at);
      if (top !== latest.current.top) moveTo(top);
    }
  }, [at, size.viewHeight, rows > (at ?? 0)]);

  useLayoutEffect(() => {
    if (pinned) moveTo(Math.max(0, rows * size.rowHeight - size.viewHeight));
    else if (latest.current.top > rows * size.rowHeight) moveTo(Math.max(0, rows * size.rowHeight - size.viewHeight));
  }, [pinned, rows, size]);

  useEffect(() => () => clearTimeout(settle.current), []);

  const onScroll = () => {
    const bar = box.current!.scrollTop;
    if (Math.abs(bar - latest.current.bar) < 1) return;
    const before = latest.current;
    latest.current = afterScroll(list, before, bar);
    setPosition(latest.current);
    if (pinned && latest.current.top < before.top) onLeaveEnd?.();
    clearTimeout(settle.current);
    settle.current = setTimeout(() => {
      if (box.current === null || Math.abs(barFor(list, latest.current.top) - latest.current.bar) < 1) return;
      box.current.scrollTop = barFor(list, latest.current.top);
      latest.current = { ...latest.current, bar: box.current.scrollTop };
    }, SETTLE_MS);
  };

  const choose = (row: number) => {
    const next = Math.min(Math.max(row, 0), rows - 1);
    if (onChoose === undefined) setOwn(next);
    else onChoose(next);
    if (pinned && next < rows - 1) onLeaveEnd?.();
  };

  const { first, last, hidden } = rowsInView(list, position.top);
  useEffect(() => {
    if (rows > 0) onRange?.(first, last);
  }, [first, last, rows, onRange]);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || rows === 0) return;
    const page = Math.max(1, Math.floor(size.viewHeight / size.rowHeight) - 1);
    const from = at ?? first - 1;
    const moves: Readonly<Record<string, number>> = {
      ArrowDown: from + 1,
      j: from + 1,
      ArrowUp: (at ?? first + 1) - 1,
      k: (at ?? first + 1) - 1,
      PageDown: (at ?? first) + page,
      PageUp: (at ?? first) - page,
      Home: 0,
      End: rows - 1,
    };
    if (event.key === "Enter" && at !== undefined && event.target === box.current) onOpen?.(at);
    else if (Object.hasOwn(moves, event.key)) choose(moves[event.key]!);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const shown = rows === 0 ? [] : Array.from({ length: last - first + 1 }, (_, i) => first + i);
  // A row that has left the view lends its elements to one that has come: making them anew costs most of a frame.
  const slots = Math.ceil(size.viewHeight / size.rowHeight) + 2;
  const isActiveShown = at !== undefined && at >= first && at <= last;
  const hide = (i: number) => columns[i]?.wide ? "vlist-wide" : undefined;
  return (
    <div
      ref={box}
      class={`vlist ${name}`}
      role="grid"
      aria-label={label}
      aria-rowcount={rows + 1}
      aria-colcount={columns.length}
      aria-activedescendant={isActiveShown ? `${id}-${at}` : undefined}
      tabIndex={0}
      data-item
      onScroll={onScroll}
      onKeyDown={onKeyDown}
      style={{
        "--columns": columns.map(({ width }) => width).join(" "),
        "--columns-narrow": columns.filter(({ wide }) => wide !== true).map(({ width, narrow = width }) => narrow).join(
          " ",
        ),
      }}
    >
      <div ref={probe} class="vlist-probe" aria-hidden="true" />
      <div style={{ height: `${spacerHeight(list) + size.rowHeight}px` }}>
        <div
          class="vlist-layer"
          style={{ height: `${Math.min(size.viewHeight, rows * size.rowHeight) + size.rowHeight}px` }}
        >
          <div class="vlist-row vlist-head" role="row" aria-rowindex={1}>
            {columns.map((column, i) => <span key={i} role="columnheader" class={hide(i)}>{column.label}</span>)}
          </div>
          <div class="vlist-body" style={{ height: `${size.viewHeight}px` }}>
            {shown.map((row) => (
              <div
                key={row % slots}
                id={`${id}-${row}`}
                class="vlist-row"
                role="row"
                aria-rowindex={row + 2}
                aria-selected={row === at}
                style={{ transform: `translateY(${(row - first) * size.rowHeight - hidden}px)` }}
                onClick={() => choose(row)}
                onDblClick={() => onOpen?.(row)}
              >
                {cells(row).map((cell, i) => <span key={i} role="gridcell" class={hide(i)}>{cell}</span>)}
              </div>
            ))}
          </div>
        </div>
      </div>
    </div>
  );
}
