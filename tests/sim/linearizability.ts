/**
 * Whether calls that overlapped in time can be put in an order, one after the other, in which each gives what it gave.
 *
 * In: a model of what is called, and calls with the moments at which they began and ended. Out: yes or no.
 * Source: Wing and Gong, "Testing and verifying concurrent objects" (1993), with Lowe's memory of what was tried
 * ("Testing for linearizability", 2017): the same calls done and the same state lead to nothing new.
 */

/** What is called, as it would be if calls came one at a time. */
export interface Model<State, Operation> {
  readonly initial: State;
  /** @returns the state afterwards; undefined where the operation could not have given what it gave */
  apply(state: State, operation: Operation): { readonly state: State } | undefined;
}

export interface Call<Operation> {
  readonly operation: Operation;
  readonly invoked: number;
  /** Infinity where nobody knows that it ended: it takes effect some time after it began. */
  readonly completed: number;
}

/** A register that holds a value or nothing. */
export type RegisterOperation =
  | { readonly kind: "write"; readonly value: string }
  /** Of a value that is there. */
  | { readonly kind: "remove" }
  /** `value` undefined: there was none. */
  | { readonly kind: "read"; readonly value: string | undefined };

export const registerModel: Model<string | undefined, RegisterOperation> = {
  initial: undefined,
  apply(state, operation) {
    switch (operation.kind) {
      case "write":
        return { state: operation.value };
      case "remove":
        return state === undefined ? undefined : { state: undefined };
      case "read":
        return operation.value === state ? { state } : undefined;
    }
  },
};

/** Where more than so many beginnings of an order were tried, nobody will wait for an answer, nor has the memory. */
const MAX_TRIED = 20_000;

/**
 * States must print differently in JSON where they differ.
 *
 * @param calls are tried in the order given: whoever knows in which one they took effect is answered at once
 * @throws Error where it cannot be told within `MAX_TRIED` tries; a right order that is given is found long before
 */
export function isLinearizable<State, Operation>(
  { initial, apply }: Model<State, Operation>,
  calls: readonly Call<Operation>[],
): boolean {
  const isDone = new Array<boolean>(calls.length).fill(false);
  const tried = new Set<string>();

  /** Calls may come next if no other that is to come ended before they began. */
  const next = (): number[] => {
    let firstEnd = Infinity;
    calls.forEach(({ completed }, at) => {
      if (!isDone[at]) firstEnd = Math.min(firstEnd, completed);
    });
    return calls.flatMap(({ invoked }, at) => !isDone[at] && invoked <= firstEnd ? [at] : []);
  };

  // Depth first, without recursion: histories are longer than stacks are deep.
  const path: { readonly done: number; readonly candidates: number[]; readonly state: State }[] = [];
  let state = initial;
  let candidates = next();
  while (candidates.length > 0 || path.length > 0) {
    if (isDone.every(Boolean)) return true;
    const at = candidates.shift();
    if (at === undefined) {
      const back = path.pop()!;
      isDone[back.done] = false;
      ({ candidates, state } = back);
      continue;
    }
    const outcome = apply(state, calls[at]!.operation);
    if (outcome === undefined) continue;
    isDone[at] = true;
    const key = `${isDone.map((done) => done ? 1 : 0).join("")} ${JSON.stringify(outcome.state)}`;
    if (tried.has(key)) {
      isDone[at] = false;
      continue;
    }
    tried.add(key);
    if (tried.size > MAX_TRIED) {
      throw new Error(`${MAX_TRIED} beginnings of an order of ${calls.length} calls lead nowhere`);
    }
    path.push({ done: at, candidates, state });
    state = outcome.state;
    candidates = next();
  }
  return isDone.every(Boolean);
}
