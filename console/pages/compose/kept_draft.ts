/** The proposal that is being written, kept in this browser as it is typed. */

import { MAX_DRAFT_CHARACTERS } from "../../../shared/limits.ts";
import { Drafts } from "../../sign/outbox.ts";
import { EMPTY_PROPOSAL, readDraft } from "./draft.ts";

const ID = "compose";
const drafts = new Drafts();

export async function keptDraft(): Promise<string | undefined> {
  return (await drafts.get(ID))?.text;
}

/** @throws ProblemError where it cannot be kept: it stays in the page */
export async function keepDraft(text: string): Promise<void> {
  if (text === EMPTY_PROPOSAL) return await drafts.remove(ID);
  const reading = readDraft(text.length > MAX_DRAFT_CHARACTERS ? "" : text);
  const names = reading.kind === "actions" ? reading.actions.map(({ name }) => name).join(", ") : "";
  await drafts.save({
    id: ID,
    kind: "proposal",
    title: names.slice(0, 120) || "A proposal",
    text,
    changedAtMs: Date.now(),
  });
}

export async function forgetDraft(): Promise<void> {
  await drafts.remove(ID);
}
