/**
 * What a fold means for the services that this browser remembers.
 *
 * In: where the worker stands, all remembered services, the address that was opened, with which pin. Out: what to do.
 * A service is told by the key of its first life, whatever address it was reached by. Knows nothing of storage and signals.
 * Rules: shared/ledger/pin.ts
 */

import { parseTxId } from "../../shared/tx_id.ts";
import type { LedgerState } from "../ledger/protocol.ts";
import type { Problem } from "../problem.ts";
import type { PinnedService } from "./pin_store.ts";

export type PinJudgement =
  /** No signature is verified yet. */
  | { readonly kind: "unread" }
  /** Nothing is remembered of this service. */
  | { readonly kind: "unknown" }
  /** It is remembered, and the fold has not been compared with it: read again, with its pin. */
  | { readonly kind: "compare"; readonly with: PinnedService }
  /** Another service was remembered at this address. */
  | { readonly kind: "changed"; readonly from: PinnedService; readonly problem: Problem }
  /** It is the one that is remembered, and the fold has not come to that place, or began with a snapshot: no pin moves. */
  | { readonly kind: "behind"; readonly of: PinnedService }
  /** It continues what is remembered; `next` is what to remember from now on, where that is more. */
  | { readonly kind: "continues"; readonly of: PinnedService; readonly next?: PinnedService }
  /** It continues what is remembered, and was recovered since, under another key: a person decides about that. */
  | { readonly kind: "recovered"; readonly of: PinnedService; readonly next: PinnedService };

/**
 * @param url address of the node that was opened; undefined for files
 * @param opened the service whose pin the worker was given
 */
export function judgePins(
  { service, signed, pin, fromSnapshot, firstSeqno }: LedgerState,
  all: readonly PinnedService[],
  url: string | undefined,
  opened: PinnedService | undefined,
  nowMs: number,
): PinJudgement {
  if (service === undefined || signed === undefined || pin === undefined) return { kind: "unread" };
  // A fold from a snapshot does not know the first life: it is known by the lives that it has.
  const genesis = fromSnapshot === undefined ? service.identities[0]?.identity : undefined;
  const known = genesis === undefined
    ? all.find(({ pin }) => service.identities.some(({ identity }) => identity === pin.serviceIdentity))
    : all.find(({ genesisIdentity }) => genesisIdentity === genesis);
  const before = opened ?? (url === undefined ? undefined : all.find((each) => each.url === url));
  if (before !== undefined && genesis !== undefined && before.genesisIdentity !== genesis) {
    return { kind: "changed", from: before, problem: changedProblem(before, genesis, url) };
  }
  if (known === undefined) return { kind: "unknown" };
  if (opened?.genesisIdentity !== known.genesisIdentity) return { kind: "compare", with: known };
  const pinnedAt = parseTxId(known.pin.lastSigned).seqno;
  // What was before a snapshot was not compared with the pin, so that nothing is made of it.
  if (pinnedAt >= signed.seqno || pinnedAt < firstSeqno) return { kind: "behind", of: known };
  const next = { ...known, pin, certificatePem: service.certificatePem, verifiedAtMs: nowMs };
  // Whoever has the public ledger can write a recovery behind it, under a key of his own: no pin moves over one by itself.
  if (pin.serviceIdentity !== known.pin.serviceIdentity) return { kind: "recovered", of: known, next };
  return genesis === undefined ? { kind: "behind", of: known } : { kind: "continues", of: known, next };
}

function changedProblem({ name, genesisIdentity }: PinnedService, genesis: string, url: string | undefined): Problem {
  return {
    code: "IdentityChanged",
    what: `${url ?? "What is open"} is another service than the one that was pinned`,
    why: `"${name}" began with the key ${genesisIdentity}, and this one began with ${genesis}`,
    todo:
      "If a new service was set up here on purpose, as a sandbox that was wiped is, forget the old pin and pin this " +
      "one. Else ask the members: somebody may have put another service in its place",
  };
}
