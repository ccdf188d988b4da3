/** Filters that somebody gave a name, kept in this browser. */

import { signal } from "@preact/signals";

export interface SavedView {
  readonly name: string;
  /** Text of the grammar of `filter_query.ts`. */
  readonly query: string;
}

const KEY = "quorate.ledger_views";
const MAX_VIEWS = 100;

export const savedViews = signal<readonly SavedView[]>(read());

function read(): readonly SavedView[] {
  try {
    const kept: unknown = JSON.parse(globalThis.localStorage?.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter(isView).slice(0, MAX_VIEWS) : [];
  } catch {
    // Storage that is off, or holds something else: there are no views.
    return [];
  }
}

function isView(value: unknown): value is SavedView {
  return typeof value === "object" && value !== null && typeof (value as SavedView).name === "string" &&
    typeof (value as SavedView).query === "string";
}

/** A view of the same name is replaced. */
export function saveView(view: SavedView): void {
  keep([...savedViews.value.filter(({ name }) => name !== view.name), view].slice(-MAX_VIEWS));
}

export function removeView(name: string): void {
  keep(savedViews.value.filter((view) => view.name !== name));
}

function keep(views: readonly SavedView[]): void {
  savedViews.value = views;
  try {
    localStorage.setItem(KEY, JSON.stringify(views));
  } catch {
    // They hold for this visit.
  }
}
