/**
 * How the page looks and speaks, kept in this browser: nothing here is about a service.
 */

import { effect, signal } from "@preact/signals";

export interface Settings {
  readonly theme: "system" | "light" | "dark" | "contrast";
  readonly density: "comfortable" | "compact";
}

const KEY = "quorate.settings";
const DEFAULTS: Settings = { theme: "system", density: "comfortable" };

export const settings = signal<Settings>(read());

function read(): Settings {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Settings>;
    return {
      theme: ["system", "light", "dark", "contrast"].includes(kept.theme!) ? kept.theme! : DEFAULTS.theme,
      density: ["comfortable", "compact"].includes(kept.density!) ? kept.density! : DEFAULTS.density,
    };
  } catch {
    // Storage that is off, or was written by something else: the page works with what it comes with.
    return DEFAULTS;
  }
}

export function changeSettings(change: Partial<Settings>): void {
  settings.value = { ...settings.value, ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(settings.value));
  } catch {
    // It holds for this visit.
  }
}

/** Keeps the document's attributes, which the styles look at, as the settings say. */
export function applySettings(): void {
  effect(() => {
    const root = document.documentElement;
    root.dataset.theme = settings.value.theme;
    root.dataset.density = settings.value.density;
  });
}
