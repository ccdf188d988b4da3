/**
 * Records in memory, for tests: what `record_store.ts` promises, on a Map.
 */

import type { RecordStore } from "./record_store.ts";

export function memoryRecords<T extends { readonly id: string }>(): RecordStore<T> {
  const records = new Map<string, T>();
  return {
    get: (id) => Promise.resolve(records.get(id)),
    all: () => Promise.resolve([...records.values()]),
    // deno-lint-ignore require-await -- what `change` throws refuses the promise, as a browser's does
    update: async (id, change) => {
      const next = change(records.get(id), records.size);
      if (next !== undefined) records.set(id, next);
      return records.get(id);
    },
    remove: (id) => {
      records.delete(id);
      return Promise.resolve();
    },
    clear: () => Promise.resolve(records.clear()),
  };
}
