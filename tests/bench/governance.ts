/**
 * Governance in the enclave alone: members' signed requests through `Enclave.handle`, with the default constitution.
 *
 * Requests are signed beforehand, on P-384; what is measured is what a node does with them: it verifies the signature,
 * runs the constitution and every ballot, and writes the transaction.
 */

import { toUtf8 } from "../../shared/bytes.ts";
import { MEMBERS_INFO, PROPOSALS_INFO } from "../../shared/governance/tables.ts";
import { PLAIN_BALLOTS, type SignedMemberRequest } from "../../shared/governance/member_request.ts";
import { type InlineService, startInlineService } from "../inline_service.ts";
import { send, signed } from "../members.ts";
import type { Figure } from "./figure.ts";

const REQUESTS_PER_SECOND_ASKED = 200;
const MEMBERS = 50;
const OPEN_PROPOSALS = 100;

export async function benchGovernance(seconds: number): Promise<Figure[]> {
  const workspace = await Deno.makeTempDir({ prefix: "quorate_bench_" });
  try {
    const service = await startInlineService(workspace, "native");
    const proposer = service.sandbox.opening.members[0]!;
    const proposal = toUtf8(
      JSON.stringify({ actions: [{ name: "set_user_data", args: { user_id: "1".repeat(64), user_data: { a: 1 } } }] }),
    );
    const count = REQUESTS_PER_SECOND_ASKED * seconds;
    const proposals = Array.from({ length: count }, () => signed(proposer, { kind: "proposal", proposal }));
    const created = timed(service, proposals);
    const ballots = created.answers.map(({ proposalId }) =>
      signed(proposer, { kind: "ballot", proposalId: proposalId as string, ballot: PLAIN_BALLOTS.yes })
    );
    const voted = timed(service, ballots);
    const resolveMs = measureResolve(service, created.answers.map(({ proposalId }) => proposalId as string));
    const note = `${count} requests`;
    const group = "governance";
    const target = REQUESTS_PER_SECOND_ASKED;
    return [
      { group, what: "proposals", value: created.perSecond, unit: "/s", target, note: `${note}, all of them open` },
      { group, what: "ballots, one on each proposal", value: voted.perSecond, unit: "/s", target, note },
      {
        group,
        what: `a ballot behind ${MEMBERS - 1} others, ${OPEN_PROPOSALS} proposals open`,
        value: resolveMs,
        unit: "ms",
        target: 50,
        note: "median",
      },
    ];
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
}

function timed(service: InlineService, requests: readonly SignedMemberRequest[]) {
  const begin = performance.now();
  const answers = requests.map((request) => {
    const { status, json } = send(service, request);
    if (status !== 200) throw new Error(`A request is refused: ${JSON.stringify(json)}`);
    return json as { readonly proposalId: unknown };
  });
  return { answers, perSecond: requests.length / ((performance.now() - begin) / 1000) };
}

/** Half of the members have voted no, so that nothing is decided; the ballot that is measured is run with theirs. */
function measureResolve(service: InlineService, ids: readonly string[]): number {
  const others = Array.from({ length: MEMBERS - 3 }, (_, i) => i.toString(16).padStart(64, "0"));
  const kept = ids.slice(0, OPEN_PROPOSALS);
  const voters = [...others, ...service.sandbox.opening.members.slice(0, 2).map(({ id }) => id)];
  service.node.write((tx) => {
    for (const id of others) tx.open(MEMBERS_INFO).put(id, { status: "Active" });
    const table = tx.open(PROPOSALS_INFO);
    for (const id of ids.slice(OPEN_PROPOSALS)) table.remove(id);
    for (const id of kept) {
      const ballots = Object.fromEntries(
        voters.map((voter, i) => [voter, `${i % 2 === 0 ? PLAIN_BALLOTS.yes : PLAIN_BALLOTS.no} // ${i}`]),
      );
      table.put(id, { ...table.get(id)!, ballots });
    }
  });
  const last = service.sandbox.opening.members[2]!;
  const times = kept.slice(0, 20).map((proposalId) => {
    const request = signed(last, { kind: "ballot", proposalId, ballot: PLAIN_BALLOTS.no });
    const begin = performance.now();
    const { status, json } = send(service, request);
    const ms = performance.now() - begin;
    if (status !== 200 || json.proposalState !== "Open") throw new Error(`Not left open: ${JSON.stringify(json)}`);
    return ms;
  });
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!;
}
