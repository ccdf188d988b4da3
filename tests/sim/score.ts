/**
 * What happened, a line an event: the transcript of a scenario, and the score of a simulation that failed.
 *
 * In: what consensus traces. Out: text. A view and a seqno are written as a transaction ID, e.g. 2.14.
 */

import type { NodeId, RaftMessage } from "../../shared/consensus/messages.ts";
import type { RaftTrace } from "../../shared/consensus/state.ts";

/** One line for an event, or undefined where another line says the same. */
export function scoreLine(trace: RaftTrace): string | undefined {
  const { state } = trace;
  const what = describe(trace);
  if (what === undefined) return undefined;
  const retired = state.retirementPhase === undefined ? "" : ` ${state.retirementPhase}`;
  const committable = state.committable === undefined ? "" : `, signed to ${state.committable[1]}`;
  const where = `view ${state.view}, ${state.last} entries${committable}, committed ${state.committed}`;
  return `${state.id.padStart(3)} ${what.padEnd(62)} ${state.leadership}${retired}, ${where}`;
}

function describe({ event, peer, message, seqno, committable, members }: RaftTrace): string | undefined {
  if (message !== undefined && peer !== undefined) {
    return `${event.startsWith("recv") ? "◀" : "▶"} ${peer} ${describeMessage(message)}`;
  }
  switch (event) {
    case "become_pre_vote_candidate":
      return "asks for pre-votes";
    case "become_candidate":
      return "runs for election";
    case "become_leader":
      return "LEADS";
    case "become_follower":
      return "follows";
    case "add_configuration":
      return `members from ${seqno}: ${(members ?? []).join(" ")}`;
    case "replicate":
      return `appends ${seqno}${committable ? ", a signature" : ""}`;
    case "execute_append_entries_sync":
      return `takes ${seqno}`;
    case "commit":
      return `COMMITS ${seqno}`;
    case "step_down_and_nominate_successor":
      return "nominates a successor";
    default:
      return undefined;
  }
}

/** A message in few words, e.g. "entries 2.5 to 7 after 2.4, committed 4 (view 2)". */
export function describeMessage(message: RaftMessage): string {
  switch (message.kind) {
    case "append entries": {
      const { previous, previousView, last, viewOfEntries, committed, view } = message;
      const what = last === previous
        ? `heartbeat at ${previousView}.${previous}`
        : `entries ${viewOfEntries}.${previous + 1} to ${last} after ${previousView}.${previous}`;
      return `${what}, committed ${committed} (view ${view})`;
    }
    case "append entries response":
      return message.success
        ? `OK ${message.last} (view ${message.view})`
        : `FAIL, try ${message.view}.${message.last}`;
    case "request vote":
    case "request pre-vote":
      return `${message.kind}: view ${message.view}, signed to ${message.viewOfLastCommittable}.${message.lastCommittable}`;
    case "request vote response":
    case "request pre-vote response": {
      const vote = message.kind === "request vote response" ? "vote" : "pre-vote";
      return `${message.granted ? "grants" : "denies"} ${vote} (view ${message.view})`;
    }
    case "propose request vote":
      return `proposes to run (view ${message.view})`;
  }
}

/** "a → b: message" for what the network did with a message. */
export function networkLine(from: NodeId, to: NodeId, message: RaftMessage, what: string): string {
  return `    ${from} → ${to} ${what}: ${describeMessage(message)}`;
}
