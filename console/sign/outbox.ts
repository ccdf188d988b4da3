/**
 * What must outlive a reload: signed envelopes until a service has answered, and drafts while they are written.
 *
 * In: envelopes, drafts. Out: the same, later, byte for byte: an envelope is sent again as it is, and never signed anew.
 * No secret is kept: no private key, and no envelope that carries a recovery share. Full means that nothing more is taken,
 * and said so; nothing is dropped to make room.
 * Knows nothing of nodes and screens.
 */

import { parseCoseSign1, toBeSigned } from "../../shared/crypto/cose.ts";
import { MAX_DRAFT_CHARACTERS, MAX_DRAFTS, MAX_KEPT_ENVELOPES } from "../../shared/limits.ts";
import { browserRecords, type RecordStore } from "../keys/record_store.ts";
import { type Problem, ProblemError } from "../problem.ts";
import { envelopeProblem, type SignedEnvelope } from "./envelope.ts";
import { type Signed, wordsOfBytes } from "./said_and_signed.ts";

export interface KeptEnvelope extends SignedEnvelope {
  /** The service it is for, by the identity of its first life; absent where that was not known. */
  readonly service?: string;
  /** waiting: no service is known to have it. accepted: one has, and has not said that it is final. */
  readonly state: "waiting" | "accepted";
  /** Of an accepted one. */
  readonly txId?: string;
  readonly attempts: number;
  /** Why the last attempt did not get through. */
  readonly problem?: Problem;
}

export interface Draft {
  readonly id: string;
  readonly kind: "proposal" | "ballot";
  /** As lists show it. */
  readonly title: string;
  readonly text: string;
  /** Of a ballot. */
  readonly proposalId?: string;
  readonly service?: string;
  readonly changedAtMs: number;
}

/** Questions are asked anew instead, and shares are secrets. */
const KEPT_KINDS: readonly SignedEnvelope["kind"][] = ["proposal", "ballot", "withdrawal", "ack"];

export class Outbox {
  readonly #records: RecordStore<KeptEnvelope>;

  constructor(records: RecordStore<KeptEnvelope> = browserRecords("quorate-envelopes")) {
    this.#records = records;
  }

  /** Oldest first. */
  async list(): Promise<readonly KeptEnvelope[]> {
    return [...await this.#records.all()].sort((a, b) => a.signedAtMs - b.signedAtMs);
  }

  get(id: string): Promise<KeptEnvelope | undefined> {
    return this.#records.get(id);
  }

  /**
   * Keeps an envelope before it is sent; one that is there already stays as it is.
   *
   * @returns false for a kind that is not kept
   * @throws ProblemError where there is no room
   */
  async keep(envelope: SignedEnvelope, service?: string): Promise<boolean> {
    if (!KEPT_KINDS.includes(envelope.kind)) return false;
    const { id, kind, memberId, proposalId, createdAtSeconds, signedAtMs, target, body } = envelope;
    await this.#records.update(id, (old, count) => {
      if (old !== undefined) return undefined;
      if (count >= MAX_KEPT_ENVELOPES) {
        throw full(`${count} signed requests wait for an answer`, "Send or discard some of them");
      }
      const known = { ...(proposalId !== undefined && { proposalId }), ...(service !== undefined && { service }) };
      return {
        id,
        kind,
        memberId,
        createdAtSeconds,
        signedAtMs,
        target,
        body,
        ...known,
        state: "waiting",
        attempts: 0,
      };
    });
    return true;
  }

  /** Notes how an attempt ended. Nothing happens where the envelope is not kept (any more). */
  async note(
    id: string,
    change: Pick<KeptEnvelope, "state"> & Partial<Pick<KeptEnvelope, "txId" | "problem">>,
  ): Promise<void> {
    await this.#records.update(id, (old) => {
      if (old === undefined) return undefined;
      const { txId: _, problem: __, ...rest } = old;
      return { ...rest, ...change, attempts: old.attempts + 1 };
    });
  }

  /** A service has answered for good, or a person does not want it sent. */
  remove(id: string): Promise<void> {
    return this.#records.remove(id);
  }
}

/** What a kept envelope says, from its bytes. @throws ProblemError where it is not as it was kept */
export function wordsOfEnvelope(envelope: SignedEnvelope): Signed {
  const problem = envelopeProblem(envelope);
  if (problem !== undefined) throw new ProblemError(problem);
  const { protectedBytes, payload } = parseCoseSign1(envelope.body);
  return wordsOfBytes(toBeSigned(protectedBytes, payload!));
}

export class Drafts {
  readonly #records: RecordStore<Draft>;

  constructor(records: RecordStore<Draft> = browserRecords("quorate-drafts")) {
    this.#records = records;
  }

  /** Newest first. */
  async list(): Promise<readonly Draft[]> {
    return [...await this.#records.all()].sort((a, b) => b.changedAtMs - a.changedAtMs);
  }

  get(id: string): Promise<Draft | undefined> {
    return this.#records.get(id);
  }

  /** @throws ProblemError where it is too long, there are too many, or it holds a private key */
  async save(draft: Draft): Promise<void> {
    if (draft.text.length > MAX_DRAFT_CHARACTERS) {
      throw full(
        `The draft has ${draft.text.length} characters, and at most ${MAX_DRAFT_CHARACTERS} are kept`,
        "Save it as a file",
      );
    }
    if (/PRIVATE KEY-----/.test(draft.text)) {
      throw new ProblemError({
        code: "DraftHoldsKey",
        what: "The draft is not kept",
        why: "There is a private key in it, and no such key is stored here; a proposal is public, too",
        todo: "Take the key out: proposals hold certificates and public keys only",
      });
    }
    await this.#records.update(draft.id, (old, count) => {
      if (old !== undefined || count < MAX_DRAFTS) return draft;
      throw full(`There are ${count} drafts`, "Discard some of them");
    });
  }

  remove(id: string): Promise<void> {
    return this.#records.remove(id);
  }
}

function full(why: string, todo: string): ProblemError {
  return new ProblemError({ code: "KeptTooMuch", what: "This browser keeps no more of it", why, todo });
}
