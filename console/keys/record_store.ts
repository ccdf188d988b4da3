/**
 * Records that outlive a reload: keys, signed envelopes, drafts.
 *
 * In: records with an ID. Out: the same, later. The interface is small, so that tests run on a Map (`memory_records.ts`);
 * the page's own keeps them in IndexedDB, one database for each kind. What the browser refuses is told as a `ProblemError`.
 * Knows nothing of what is in a record.
 */

import { type IDBPDatabase, openDB } from "idb";
import { ProblemError } from "../problem.ts";

export interface RecordStore<T extends { readonly id: string }> {
  get(id: string): Promise<T | undefined>;
  all(): Promise<readonly T[]>;
  /**
   * Changes one record, or adds it, in one step: nothing else, in no other tab, happens between reading and writing.
   *
   * @param change gets what is there and how many records there are, and answers what is to be there; undefined leaves it
   *   as it is. What it throws ends the step, and nothing is changed
   * @returns what is there afterwards
   */
  update(id: string, change: (old: T | undefined, count: number) => T | undefined): Promise<T | undefined>;
  remove(id: string): Promise<void>;
  clear(): Promise<void>;
}

const STORE = "records";

/** Records in this browser. @param name of the database, such as "quorate-keys" */
export function browserRecords<T extends { readonly id: string }>(name: string): RecordStore<T> {
  let opened: Promise<IDBPDatabase> | undefined;
  const database = async () => {
    try {
      return await (opened ??= openDB(name, 1, {
        upgrade: (db) => void db.createObjectStore(STORE, { keyPath: "id" }),
      }));
    } catch (error) {
      opened = undefined; // a person may allow it, and try again
      throw storageProblem(error);
    }
  };
  const guarded = async <R>(work: (db: IDBPDatabase) => Promise<R>): Promise<R> => {
    const db = await database();
    try {
      return await work(db);
    } catch (error) {
      throw error instanceof DOMException ? storageProblem(error) : error;
    }
  };
  return {
    get: (id) => guarded((db) => db.get(STORE, id)),
    all: () => guarded((db) => db.getAll(STORE)),
    remove: (id) => guarded((db) => db.delete(STORE, id)),
    clear: () => guarded((db) => db.clear(STORE)),
    update: (id, change) =>
      guarded(async (db) => {
        const transaction = db.transaction(STORE, "readwrite");
        const [old, count] = await Promise.all([transaction.store.get(id), transaction.store.count()]);
        let next: T | undefined;
        try {
          next = change(old, count);
        } catch (error) {
          transaction.abort();
          await transaction.done.catch(() => {}); // that it was aborted is known
          throw error;
        }
        if (next !== undefined) await transaction.store.put(next);
        await transaction.done;
        return next ?? old;
      }),
  };
}

function storageProblem(error: unknown): ProblemError {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "QuotaExceededError") {
    return new ProblemError({
      code: "StorageFull",
      what: "This browser has no room to keep it",
      why: "The space that it gives to the page is used up",
      todo: "Remove old drafts and envelopes, or free space on the disk, and try again",
      details: String(error),
    });
  }
  return new ProblemError({
    code: "StorageUnavailable",
    what: "This browser keeps nothing for the page",
    why: "Its storage is switched off, or this is a private window of a browser that keeps nothing in those",
    todo: "Allow the page to store data, or open it in a window that is not private. Key files work without storage",
    details: String(error),
  });
}
