/**
 * A proposal that is being written: its text is the only truth, and forms are a view of it.
 *
 * In: text, and what a form changes. Out: actions, the changed text. What a form does not know stays as it is.
 */

import { FormatError } from "../../shared/assert.ts";
import { toUtf8 } from "../../shared/bytes.ts";
import { parseJsonText } from "../../shared/json.ts";
import { DEFAULT_MAX_BODY_BYTES } from "../../shared/limits.ts";
import { actionForm, emptyAction } from "./action_forms.ts";
import { type ArgumentProblem, argumentProblems } from "./argument_checks.ts";

export interface DraftAction {
  readonly name: string;
  readonly args: unknown;
}

export type DraftReading =
  | { readonly kind: "actions"; readonly actions: readonly DraftAction[] }
  /** JSON that is no list of actions: a constitution of its own kind may take it. */
  | { readonly kind: "other" }
  | { readonly kind: "invalid"; readonly why: string };

export const EMPTY_PROPOSAL = '{\n  "actions": []\n}';

export function readDraft(text: string): DraftReading {
  let json: unknown;
  try {
    json = parseJsonText(text);
  } catch (error) {
    if (error instanceof FormatError) return { kind: "invalid", why: error.message };
    throw error;
  }
  const actions = (json as { actions?: unknown } | null)?.actions;
  if (!Array.isArray(actions)) return { kind: "other" };
  const isAction = (action: unknown) => typeof (action as { name?: unknown } | null)?.name === "string";
  if (!actions.every(isAction)) return { kind: "other" };
  return { kind: "actions", actions: actions.map(({ name, args }) => ({ name, args })) };
}

type Json = { actions: Record<string, unknown>[] };

/** The text after a change of its JSON; it must be a list of actions. */
function changed(text: string, change: (json: Json) => void): string {
  const json = parseJsonText(text) as Json;
  change(json);
  return JSON.stringify(json, null, 2);
}

/** @param value undefined: the argument is left out */
export function withArgument(text: string, action: number, name: string, value: unknown): string {
  return changed(text, ({ actions }) => {
    const { args } = actions[action]!;
    const next = typeof args === "object" && args !== null && !Array.isArray(args)
      ? { ...args } as Record<string, unknown>
      : {};
    if (value === undefined) delete next[name];
    else next[name] = value;
    actions[action]!.args = next;
  });
}

/** @param args undefined: none at all */
export function withArguments(text: string, action: number, args: unknown): string {
  return changed(text, ({ actions }) => {
    if (args === undefined) delete actions[action]!.args;
    else actions[action]!.args = args;
  });
}

export function withAction(text: string, name: string, args?: unknown): string {
  const form = actionForm(name);
  const empty = form === undefined ? { name, args: {} } : emptyAction(form);
  return changed(text, ({ actions }) => {
    const action: Record<string, unknown> = { ...empty };
    if (args !== undefined) action.args = typeof args === "object" ? { ...empty.args, ...args } : args;
    actions.push(action);
  });
}

export function withoutAction(text: string, action: number): string {
  return changed(text, ({ actions }) => actions.splice(action, 1));
}

/** @param by -1: up; 1: down */
export function withActionMoved(text: string, action: number, by: -1 | 1): string {
  return changed(text, ({ actions }) => {
    const [moved] = actions.splice(action, 1);
    actions.splice(Math.max(0, action + by), 0, moved!);
  });
}

export interface DraftCheck {
  /** By action. */
  readonly problems: readonly (readonly ArgumentProblem[])[];
  readonly sizeBytes: number;
  /** Above what a node takes with its default settings, header and signature counted in. */
  readonly isTooLarge: boolean;
}

/** Header and signature of the envelope, at most. */
const ENVELOPE_BYTES = 512;

export const MAX_PROPOSAL_BYTES = DEFAULT_MAX_BODY_BYTES - ENVELOPE_BYTES;

export function checkDraft(text: string, reading: DraftReading): DraftCheck {
  const sizeBytes = toUtf8(text).length;
  const actions = reading.kind === "actions" ? reading.actions : [];
  return {
    problems: actions.map(({ name, args }) => {
      const form = actionForm(name);
      return form === undefined ? [] : argumentProblems(form, args);
    }),
    sizeBytes,
    isTooLarge: sizeBytes > MAX_PROPOSAL_BYTES,
  };
}

export interface Template {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  /** Names of its actions. */
  readonly actions: readonly string[];
}

/** Proposals that people start from. */
export const TEMPLATES: readonly Template[] = [
  {
    name: "new_member",
    title: "Add a member",
    about: "A certificate, perhaps an encryption key for recovery, and a name.",
    actions: ["set_member"],
  },
  {
    name: "app_limits",
    title: "Change the app's limits",
    about: "Memory and time of a call.",
    actions: ["set_js_runtime_options"],
  },
  {
    name: "new_code",
    title: "Let a new build join",
    about: "The measurement and the security policy of nodes on AMD SEV-SNP.",
    actions: ["add_snp_measurement", "add_snp_host_data"],
  },
  {
    name: "new_app",
    title: "Replace the app",
    about: "A bundle of modules and endpoints.",
    actions: ["set_js_app"],
  },
  {
    name: "recovery",
    title: "Change the recovery threshold",
    about: "How many members must come together.",
    actions: ["set_recovery_threshold"],
  },
  {
    name: "constitution",
    title: "Replace the constitution",
    about: "What can be decided, and by whom.",
    actions: ["set_constitution"],
  },
];

export function templateText({ actions }: Template): string {
  return actions.reduce((text, name) => withAction(text, name), EMPTY_PROPOSAL);
}
