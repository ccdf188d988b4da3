/**
 * What this browser remembers of each service: the highest signature that was verified, so that an older or another ledger
 * is noticed the next time.
 *
 * In: pins, by the identity of the service's first life. Out: the same, in a later session, and as a file.
 */

import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { Pin } from "../ledger/protocol.ts";

/** One service that was verified here. */
export interface PinnedService {
  /** Hex SHA-256 of the public key of its first life: what stays the same over recoveries. */
  readonly genesisIdentity: string;
  /** What people call it here; at first the node's address. */
  readonly name: string;
  readonly pin: Pin;
  readonly certificatePem: string;
  /** Where it was last found. */
  readonly url: string;
  readonly verifiedAtMs: number;
}

interface Schema extends DBSchema {
  services: { key: string; value: PinnedService };
}

let opened: Promise<IDBPDatabase<Schema>> | undefined;

function database(): Promise<IDBPDatabase<Schema>> {
  return opened ??= openDB<Schema>("quorate-pins", 1, {
    upgrade: (db) => void db.createObjectStore("services", { keyPath: "genesisIdentity" }),
  });
}

export async function pinnedServices(): Promise<readonly PinnedService[]> {
  return await (await database()).getAll("services");
}

export async function savePin(service: PinnedService): Promise<void> {
  await (await database()).put("services", service);
}

export async function forgetPin(genesisIdentity: string): Promise<void> {
  await (await database()).delete("services", genesisIdentity);
}
