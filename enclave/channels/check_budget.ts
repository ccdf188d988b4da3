/**
 * Which messages of a key exchange have their signatures checked, since anybody can send forged ones.
 *
 * In: the connection on which one came, as the host numbers it, and the ID that it claims. Out: whether to check it. Knows
 * nothing of keys. A host that lies about numbers keeps messages from its own node, which it could do more simply.
 *
 * What a stranger sends takes time only from strangers: each connection has checks of its own, and there are three pools,
 * of which none can empty another:
 * - proved: connections that have carried something which only the claimed node can have sent
 * - fresh: the first two checks of any other connection. An honest exchange needs no more to prove itself; the host lets
 *   one address open only so many connections a second (MAX_PEER_ACCEPTS_PER_SECOND)
 * - doubtful: further ones. This pool may be empty for as long as somebody likes
 * What remains: whoever opens connections from many addresses empties the pool of fresh ones. Honest new connections then
 * get a check now and then; exchanges are tried every two seconds, and proved connections go on.
 */

import type { NodeId } from "../../shared/consensus/messages.ts";
import {
  MAX_CHECKED_CONNECTIONS,
  MAX_KEY_EXCHANGE_CHECKS_OF_CONNECTION,
  MAX_KEY_EXCHANGE_CHECKS_PER_SECOND,
} from "../../shared/limits.ts";
import { Budget } from "../budget.ts";

interface Checked {
  /** Whose messages have come on it beyond doubt. */
  provedId: NodeId | undefined;
  /** Checks ever. */
  count: number;
  readonly budget: Budget;
}

/** An init, and its final. */
const FRESH_CHECKS = 2;

export class CheckBudget {
  /** That of which something was checked or proved last is the last. */
  readonly #connections = new Map<number, Checked>();
  readonly #proved = new Budget(MAX_KEY_EXCHANGE_CHECKS_PER_SECOND);
  readonly #fresh = new Budget(MAX_KEY_EXCHANGE_CHECKS_PER_SECOND);
  readonly #doubtful = new Budget(MAX_KEY_EXCHANGE_CHECKS_PER_SECOND);

  /** Whether a message may be checked now; if so, that is counted. */
  mayCheck(connection: number, from: NodeId, nowMs: number): boolean {
    const checked = this.#find(connection);
    if (!checked.budget.has(nowMs)) return false;
    let pool = this.#doubtful;
    if (checked.provedId === from) pool = this.#proved;
    else if (checked.count < FRESH_CHECKS) pool = this.#fresh;
    if (!pool.has(nowMs)) return false;
    pool.take();
    checked.budget.take();
    checked.count += 1;
    return true;
  }

  /**
   * Something has come on a connection that only this node can have sent, and only now.
   *
   * @returns whether that is new
   */
  prove(connection: number, from: NodeId): boolean {
    const checked = this.#find(connection);
    if (checked.provedId === from) return false;
    checked.provedId = from;
    return true;
  }

  /** The node has left: what has come from it no longer counts. */
  forget(id: NodeId): void {
    for (const checked of this.#connections.values()) if (checked.provedId === id) checked.provedId = undefined;
  }

  /** How many connections are known. */
  get size(): number {
    return this.#connections.size;
  }

  #find(connection: number): Checked {
    let checked = this.#connections.get(connection);
    if (checked === undefined) {
      checked = { provedId: undefined, count: 0, budget: new Budget(MAX_KEY_EXCHANGE_CHECKS_OF_CONNECTION) };
      if (this.#connections.size >= MAX_CHECKED_CONNECTIONS) {
        const [unused] = this.#connections.keys();
        this.#connections.delete(unused!);
      }
    }
    this.#connections.delete(connection);
    this.#connections.set(connection, checked);
    return checked;
  }
}
