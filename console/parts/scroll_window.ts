/**
 * Where one is in a list that is taller than a browser can make anything.
 *
 * In: how many rows of which height, the scroll bar's position. Out: the position in the whole list, the rows in view.
 * Browsers cap heights at 16 to 33 million pixels, a million rows. A taller list gets a bar of a fixed height: small moves
 * of it (a wheel, an arrow) move the list by as much, large ones (a drag) by their share of the whole. Knows no DOM.
 */

export interface ListGeometry {
  readonly rows: number;
  /** Of one row, pixels. */
  readonly rowHeight: number;
  /** Of what is seen, pixels. */
  readonly viewHeight: number;
}

export interface ScrollPosition {
  /** Pixels from the top of the whole list. */
  readonly top: number;
  /** What the scroll bar says. */
  readonly bar: number;
}

/** Below what any browser can do. */
export const MAX_SPACER_PIXELS = 8_000_000;
/** Moves of the bar by more than so many views are drags. */
const DRAG_VIEWS = 3;

/** The height of what scrolls. */
export function spacerHeight({ rows, rowHeight }: ListGeometry): number {
  return Math.min(rows * rowHeight, MAX_SPACER_PIXELS);
}

const lastTop = ({ rows, rowHeight, viewHeight }: ListGeometry) => Math.max(0, rows * rowHeight - viewHeight);
const lastBar = (list: ListGeometry) => Math.max(0, spacerHeight(list) - list.viewHeight);

/** What the bar has to say for a position in the list. */
export function barFor(list: ListGeometry, top: number): number {
  const end = lastTop(list);
  return end === 0 ? 0 : Math.min(top / end, 1) * lastBar(list);
}

/** Where the list is after the bar has moved. */
export function afterScroll(list: ListGeometry, before: ScrollPosition, bar: number): ScrollPosition {
  const [endTop, endBar] = [lastTop(list), lastBar(list)];
  const moved = bar - before.bar;
  if (endBar === endTop) return { top: clamp(bar, endTop), bar };
  if (bar <= 0) return { top: 0, bar };
  if (bar >= endBar - 1) return { top: endTop, bar };
  if (Math.abs(moved) <= DRAG_VIEWS * list.viewHeight) return { top: clamp(before.top + moved, endTop), bar };
  return { top: (bar / endBar) * endTop, bar };
}

/** The position at which a row is seen: as near as may be to the one before, in the middle where it was far away. */
export function topShowing(list: ListGeometry, top: number, row: number): number {
  const { rowHeight, viewHeight } = list;
  const [start, end] = [row * rowHeight, (row + 1) * rowHeight];
  if (start >= top && end <= top + viewHeight) return top;
  const isNear = start >= top - viewHeight && end <= top + 2 * viewHeight;
  const next = !isNear ? start - (viewHeight - rowHeight) / 2 : start < top ? start : end - viewHeight;
  return clamp(next, lastTop(list));
}

/** The first and the last row in view, and how many pixels of the first one are above it. */
export function rowsInView(
  list: ListGeometry,
  top: number,
): { readonly first: number; readonly last: number; readonly hidden: number } {
  const first = Math.max(0, Math.min(Math.floor(top / list.rowHeight), list.rows - 1));
  const last = Math.min(list.rows - 1, Math.floor((top + list.viewHeight) / list.rowHeight));
  return { first, last, hidden: top - first * list.rowHeight };
}

function clamp(value: number, max: number): number {
  return Math.min(Math.max(value, 0), max);
}
