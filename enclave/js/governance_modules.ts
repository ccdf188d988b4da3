/**
 * Texts of governance as programs: the constitution, and the ballots of proposals.
 *
 * In: a text, and of a ballot where it is stored. Out: a program for the script engine, and the name of its module.
 * The names stand in stack traces and in messages that members see; they are those of CCF, which calls a text by the
 * place in its tables (recorded in testdata/recorded_governance/steps.json and transcripts/one_node_proposals.jsonl).
 */

import { toHex, toUtf8 } from "../../shared/bytes.ts";
import type { Primitives } from "../../shared/crypto/primitives.ts";
import { CONSTITUTION, PROPOSALS_INFO } from "../../shared/governance/tables.ts";
import type { Program } from "../app_engine.ts";

/** The module of the constitution that is in force. */
export const CONSTITUTION_MODULE = `${CONSTITUTION.name}[0]`;

/** The module of a text that may become the constitution. */
export const PROPOSED_CONSTITUTION_MODULE = "proposed constitution";

/** The module of a ballot. CCF prints a member's id in `m[…]`. */
export function ballotModule(proposalId: string, memberId: string): string {
  return `${PROPOSALS_INFO.name}[${proposalId}].ballots[m[${memberId}]]`;
}

/** Its id is a digest of the text, so keep the program for several calls. */
export function constitutionProgram(text: string, { sha256 }: Pick<Primitives, "sha256">): Program {
  return { ...singleText(CONSTITUTION_MODULE, text), id: toHex(sha256(toUtf8(text))) };
}

/** A ballot is a small text of its own, and runs once for each ballot that comes behind it. */
export function ballotProgram(proposalId: string, memberId: string, text: string): Program {
  const module = ballotModule(proposalId, memberId);
  return { ...singleText(module, text), id: `${module} ${text}`, isShortLived: true };
}

/** @param text evaluated once, to see whether it could be the constitution */
export function proposedConstitution(text: string): Program {
  return { ...singleText(PROPOSED_CONSTITUTION_MODULE, text), id: text, isShortLived: true };
}

function singleText(module: string, text: string): Omit<Program, "id"> {
  return {
    isSingleText: true,
    // The engine asks for every module with a slash in front where its name has none.
    source: (name) => name === module || name === `/${module}` ? text : undefined,
  };
}
