/**
 * Members of a simulated service: they propose and vote until what they want is decided, whatever happens to nodes.
 *
 * In: actions, one decision after the other. Out: signed requests to nodes that live; whether it was accepted.
 */

import type { HttpResponse } from "../../../enclave/messages.ts";
import { fromUtf8Lenient, toUtf8 } from "../../../shared/bytes.ts";
import { ecdsaSign } from "../../../shared/crypto/ecdsa.ts";
import {
  finishMemberRequest,
  type MemberRequest,
  PLAIN_BALLOTS,
  prepareMemberRequest,
  requestToBeSigned,
} from "../../../shared/governance/member_request.ts";
import { FIRST_MOMENT_MS } from "./service.ts";
import type { EnclaveWorld } from "./world.ts";

export interface Action {
  readonly name: string;
  readonly args: unknown;
}

/** Requests that members send for one decision before they let it be. */
const MAX_TRIES = 12;
const RETRY_MS = 150;
const PATIENCE_MS = 3000;

export class Consortium {
  readonly #world: EnclaveWorld;
  /** Of a request; each is later than the one before. */
  #createdAtSeconds = FIRST_MOMENT_MS / 1000;
  #isDeciding = false;

  constructor(world: EnclaveWorld) {
    this.#world = world;
  }

  get isDeciding(): boolean {
    return this.#isDeciding;
  }

  /** Decides one thing, if nothing else is being decided. */
  decide(actions: readonly Action[]): void {
    if (this.#isDeciding) return;
    this.#isDeciding = true;
    this.#world.note(`members want ${actions.map(({ name }) => name).join(", ")}`);
    this.#propose(toUtf8(JSON.stringify({ actions })), MAX_TRIES);
  }

  #propose(proposal: Uint8Array, tries: number): void {
    this.#send(0, { kind: "proposal", proposal }, tries, (answer, left) => {
      if (answer === undefined) return this.#propose(proposal, left);
      const { proposalId, proposalState } = answer;
      if (proposalState !== "Open") return this.#end(`the proposal is ${proposalState}`);
      this.#vote(proposal, proposalId, 0, left);
    });
  }

  #vote(proposal: Uint8Array, proposalId: string, member: number, tries: number): void {
    if (member >= this.#world.service.members.length) return this.#end("all have voted and it is open");
    this.#send(member, { kind: "ballot", proposalId, ballot: PLAIN_BALLOTS.yes }, tries, (answer, left) => {
      // A proposal that was rolled back is made again.
      if (answer === undefined) return this.#propose(proposal, left);
      if (answer.proposalState !== "Open") return this.#end(`the proposal is ${answer.proposalState}`);
      this.#vote(proposal, proposalId, member + 1, left);
    });
  }

  #end(why: string): void {
    this.#isDeciding = false;
    this.#world.note(`members are done: ${why}`);
  }

  /** @param then is told the answer, undefined where there is none that helps, and how many tries are left */
  #send(
    member: number,
    request: MemberRequest,
    tries: number,
    then: (answer: { readonly proposalId: string; readonly proposalState: string } | undefined, left: number) => void,
  ): void {
    const world = this.#world;
    const hosts = world.alive.filter(({ takesPart }) => takesPart);
    if (tries === 0 || world.isCalm || hosts.length === 0) return this.#end("they give up");
    const { id, key } = world.service.members[member]!;
    const prepared = prepareMemberRequest(request, { memberId: id, curve: key.curve }, ++this.#createdAtSeconds);
    const { method, target, contentType, body } = finishMemberRequest(
      prepared,
      ecdsaSign(key, requestToBeSigned(prepared)),
    );
    const host = world.random.pick(hosts);
    const session = host.openSession(null);
    let isDone = false;
    const end = (response: HttpResponse | undefined) => {
      if (isDone) return;
      isDone = true;
      host.closeSession(session);
      const text = response === undefined ? "the connection broke" : fromUtf8Lenient(response.body);
      world.note(`member${member} ${request.kind} at ${host.name}: ${response?.status ?? ""} ${text.slice(0, 150)}`);
      if (response?.status === 200) return then(JSON.parse(text), tries - 1);
      world.after(RETRY_MS, () => then(undefined, tries - 1));
    };
    world.exchange(host, session, { method, target, headers: [["content-type", contentType]], body }, end);
    world.after(PATIENCE_MS, () => end(undefined));
  }
}
