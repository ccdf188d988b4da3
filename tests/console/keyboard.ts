/**
 * A person who has nothing but a keyboard.
 *
 * In: a page, and names of what to reach, as a screen reader would say them. Out: the same, done by Tab, Enter, Space and
 * arrows. What cannot be reached so fails the test.
 */

import type { FileChooser, Page } from "playwright-core";

/** More stops than any screen here has. */
const MAX_STOPS = 300;

type Name = string | RegExp;

export class Keyboard {
  constructor(readonly page: Page) {}

  async press(...keys: string[]): Promise<void> {
    for (const key of keys) await this.page.keyboard.press(key);
  }

  async type(text: string): Promise<void> {
    await this.page.keyboard.type(text);
  }

  /** Presses Tab until this has the focus. */
  async reach(name: Name): Promise<void> {
    const seen = new Set<string>();
    for (let i = 0; i < MAX_STOPS; i++) {
      const focused = await this.#focused();
      if (typeof name === "string" ? focused === name : name.test(focused)) return;
      seen.add(focused);
      await this.press("Tab");
    }
    throw new Error(`Cannot reach ${name} by ${MAX_STOPS} presses of Tab, only ${[...seen].join(" | ")}`);
  }

  /** Reaches a button or a link, once it can be used, and presses Enter. */
  async activate(name: Name): Promise<void> {
    await this.page.getByRole("button", { name, disabled: false }).or(this.page.getByRole("link", { name }))
      .or(this.page.getByRole("tab", { name })).first().waitFor();
    await this.reach(name);
    await this.press("Enter");
  }

  /** Writes into a field, instead of what stood there. */
  async fill(name: Name, text: string): Promise<void> {
    await this.page.getByLabel(name).first().waitFor();
    await this.reach(name);
    await this.press("Control+A");
    await this.type(text);
  }

  /** The same from the clipboard, as nobody types a receipt. */
  async paste(name: Name, text: string): Promise<void> {
    await this.page.getByLabel(name).first().waitFor();
    await this.reach(name);
    await this.press("Control+A");
    await this.page.keyboard.insertText(text);
  }

  /** Chooses a button's file; the dialog for it is the browser's own. */
  async chooseFiles(name: Name, ...paths: string[]): Promise<void> {
    const chooser: Promise<FileChooser> = this.page.waitForEvent("filechooser");
    await this.activate(name);
    await (await chooser).setFiles(paths);
  }

  /** One of several radio buttons: the group is one stop, and arrows move in it. */
  async chooseRadio(first: Name, wanted: Name): Promise<void> {
    await this.page.getByRole("radio", { name: wanted }).waitFor();
    await this.reach(first);
    for (let i = 0; i < 10 && !await this.page.getByRole("radio", { name: wanted }).isChecked(); i++) {
      await this.press("ArrowDown");
    }
  }

  /** Name of what has the focus: its label, else what is written on it. */
  async #focused(): Promise<string> {
    return await this.page.evaluate(() => {
      const element = document.activeElement;
      if (element === null || element === document.body) return "";
      const by = element.getAttribute("aria-labelledby");
      const labels = (element as HTMLInputElement).labels;
      const text = element.getAttribute("aria-label") ?? (by && document.getElementById(by)?.textContent) ??
        (labels?.length ? labels[0]!.textContent : element.textContent) ?? "";
      return text.replaceAll(/\s+/g, " ").trim();
    });
  }
}
