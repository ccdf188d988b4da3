/**
 * Rows of a long list, fetched in blocks as they come into view.
 *
 * In: how to ask for rows, and what the list depends on. Out: how many there are, each row once it is here, and what went
 * wrong. Blocks that are here stay while newer ones are on their way.
 */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { type Problem, problemOf } from "../problem.ts";

const BLOCK_ROWS = 100;
/** Blocks that are kept: those that were seen last. */
const MAX_BLOCKS = 60;

export interface Rows<T> {
  /** undefined: not known yet. */
  readonly total: number | undefined;
  readonly row: (at: number) => T | undefined;
  readonly onRange: (first: number, last: number) => void;
  readonly problem: Problem | undefined;
}

/**
 * @param ask rows from the `offset`th on; no rows where only the total is wanted
 * @param list what list it is: another one is loaded afresh
 * @param version another one: rows may have been added, or be others. What is in view stays until the new rows are here
 */
export function useRows<T>(
  ask: (offset: number, count: number) => Promise<{ readonly total: number; readonly rows: readonly T[] }>,
  list: string,
  version: number | string,
): Rows<T> {
  const [, redraw] = useState(0);
  const state = useRef<{
    list: string;
    total: number | undefined;
    blocks: Map<number, readonly T[]>;
    /** Block → the version that is on its way. */
    wanted: Map<number, number | string>;
    version: number | string;
    problem: Problem | undefined;
    range: readonly [number, number];
  }>(undefined as never);
  if (state.current?.list !== list) {
    state.current = {
      list,
      total: undefined,
      blocks: new Map(),
      wanted: new Map(),
      version,
      problem: undefined,
      range: [0, 0],
    };
  }
  const latestAsk = useRef(ask);
  latestAsk.current = ask;

  const load = useCallback((block: number) => {
    const here = state.current;
    const { version } = here;
    if (here.wanted.get(block) === version) return;
    here.wanted.set(block, version);
    latestAsk.current(block * BLOCK_ROWS, BLOCK_ROWS).then(({ total, rows }) => {
      if (here.version !== version) return;
      here.total = total;
      here.problem = undefined;
      here.blocks.delete(block);
      here.blocks.set(block, rows);
      for (const old of here.blocks.keys()) {
        if (here.blocks.size <= MAX_BLOCKS) break;
        here.blocks.delete(old);
      }
    }, (error) => {
      if (here.version === version) here.problem = problemOf(error);
    }).finally(() => {
      if (here.wanted.get(block) === version) here.wanted.delete(block);
      if (state.current === here) redraw((n) => n + 1);
    });
  }, []);

  const onRange = useCallback((first: number, last: number) => {
    const here = state.current;
    here.range = [first, last];
    for (let block = Math.floor(first / BLOCK_ROWS); block <= Math.floor(last / BLOCK_ROWS); block++) {
      const rows = here.blocks.get(block);
      const isShort = rows !== undefined && rows.length < BLOCK_ROWS &&
        block * BLOCK_ROWS + rows.length < (here.total ?? 0);
      if (rows === undefined || isShort) load(block);
    }
  }, []);

  useEffect(() => {
    const here = state.current;
    here.version = version;
    const [first, last] = here.range.map((row) => Math.floor(row / BLOCK_ROWS)) as [number, number];
    for (const block of here.blocks.keys()) if (block < first || block > last) here.blocks.delete(block);
    load(Math.floor((here.total ?? 0) / BLOCK_ROWS));
    for (let block = first; block <= last; block++) load(block);
  }, [list, version]);

  const here = state.current;
  return {
    total: here.total,
    row: (at) => here.blocks.get(Math.floor(at / BLOCK_ROWS))?.[at % BLOCK_ROWS],
    onRange,
    problem: here.problem,
  };
}
