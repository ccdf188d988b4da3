/** The proposal that is being written, kept in this browser as it is typed. */

import { MAX_DRAFT_CHARACTERS } from "../../../shared/limits.ts";
import { Drafts } from "../../sign/outbox.ts";
import { EMPTY_PROPOSAL, readDraft } from "../../governance/draft.ts";

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

/** Makes room for another: what is being written goes to the drafts on Keys, from where it can be taken up again. */
export async function putDraftAside(): Promise<void> {
  const draft = await drafts.get(ID);
  if (draft === undefined) return;
  await drafts.save({ ...draft, id: `${ID}-${draft.changedAtMs}` });
  await drafts.remove(ID);
}

/** Takes a draft up that was put aside. @returns its text */
export async function takeDraftUp(id: string): Promise<string | undefined> {
  const draft = await drafts.get(id);
  if (draft === undefined || id === ID) return draft?.text;
  await putDraftAside();
  await drafts.remove(id);
  await keepDraft(draft.text);
  return draft.text;
}

export async function forgetDraft(): Promise<void> {
  await drafts.remove(ID);
}
