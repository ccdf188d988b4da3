/**
 * What the ledger commands print, kept for tests.
 */

import pc from "picocolors";
import type { LedgerOutput } from "../node/commands/ledger_output.ts";

export class RecordedOutput implements LedgerOutput {
  readonly colors = pc.createColors(false);
  readonly lines: string[] = [];
  readonly notes: string[] = [];
  readonly progressed: [bytes: number, of: number][] = [];

  line(text: string): boolean {
    this.lines.push(text);
    return true;
  }

  note(text: string): void {
    this.notes.push(text);
  }

  progress(bytes: number, of: number): void {
    this.progressed.push([bytes, of]);
  }

  finish(): void {}

  get text(): string {
    return this.lines.join("\n");
  }
}
