/**
 * What the page is connected to: one service, through one node or by files, with the ledger worker that reads it.
 *
 * Signals here are what the shell and all pages look at. Connecting begins the fold; nothing is said to be verified before
 * the fold says so. What this browser remembers of services (pins) is compared here, and a stop is raised where they differ.
 */

import { computed, effect, signal } from "@preact/signals";
import { startWorker } from "../build_facts.ts";
import { LedgerClient } from "../ledger/client.ts";
import { IDLE_STATE, type LedgerState } from "../ledger/protocol.ts";
import type { Problem } from "../problem.ts";
import { pageOrigin, takeRelayToken } from "./origin.ts";
import { NodeApi } from "./node_api.ts";
import { type PinnedService, pinnedServices, savePin } from "./pin_store.ts";

const relayToken = globalThis.location === undefined ? undefined : takeRelayToken();

export const origin = globalThis.location === undefined ? "file" : pageOrigin(relayToken);

export type Connection =
  /** `url` is the node's own; through the relay the requests go elsewhere. */
  | { readonly kind: "node"; readonly url: string; readonly via: "relay" | "served" | "direct"; readonly api: NodeApi }
  | { readonly kind: "files"; readonly files: readonly File[] };

/** undefined: nothing is open. */
export const connection = signal<Connection | undefined>(undefined);

/** The worker is started with the first connection and kept. */
let client: LedgerClient | undefined;
export function ledger(): LedgerClient {
  return client ??= new LedgerClient(startWorker("ledger"));
}

const worker = signal<LedgerClient | undefined>(undefined);

/** Where the fold stands. */
export const ledgerState = computed<LedgerState>(() => worker.value?.state.value ?? IDLE_STATE);

/** What forbids to go on until a person has decided: an identity that changed, an older ledger, another branch. */
export const alarm = signal<{ readonly problem: Problem; readonly pinned?: PinnedService } | undefined>(undefined);

/** What is remembered of the service that is open. */
export const pinned = signal<PinnedService | undefined>(undefined);

/** Codes of the worker that are no mishap of reading: the ledger contradicts what was verified before. */
const STOPS = new Set(["LedgerOlderThanPinned", "LedgerForked", "IdentityChanged"]);

/** The API of the node that is open; undefined offline. */
export const api = computed(() => connection.value?.kind === "node" ? connection.value.api : undefined);

/** The way to a node from where this page is. @param url without a path; undefined: the node that sent the page, or the relay's */
export function nodeConnection(url: string | undefined): Connection {
  if (relayToken !== undefined) {
    const headers = { "x-quorate-relay-token": relayToken };
    return { kind: "node", url: url ?? "", via: "relay", api: new NodeApi("/relay/node", headers, "The node") };
  }
  if (url === undefined || url === location.origin) {
    return { kind: "node", url: location.origin, via: "served", api: new NodeApi("", {}, "The node") };
  }
  return { kind: "node", url, via: "direct", api: new NodeApi(url.replace(/\/+$/, ""), {}, url) };
}

/** Requests to the relay itself; undefined where the page came from elsewhere. */
export const relayApi = relayToken === undefined
  ? undefined
  : new NodeApi("", { "x-quorate-relay-token": relayToken }, "The relay");

/** Opens a node or files, and reads from its beginning. What is remembered of the service must continue. */
export async function connect(to: Connection, remembered?: PinnedService): Promise<void> {
  alarm.value = undefined;
  connection.value = to;
  const known = remembered ?? (to.kind === "node" ? await rememberedAt(to.url) : undefined);
  pinned.value = known;
  worker.value = ledger();
  await ledger().open(
    to.kind === "files" ? { kind: "files", files: to.files } : {
      kind: "node",
      url: to.api.base.startsWith("/") || to.api.base === "" ? location.origin + to.api.base : to.api.base,
      headers: to.api.headers,
    },
    known === undefined ? {} : { pin: known.pin },
  );
}

export async function disconnect(): Promise<void> {
  await client?.close();
  connection.value = undefined;
  pinned.value = undefined;
  alarm.value = undefined;
}

async function rememberedAt(url: string): Promise<PinnedService | undefined> {
  if (url === "") return undefined;
  return (await pinnedServices()).find((service) => service.url === url);
}

/** Begins to look after pins: called once, at start. */
export function watchPins(): void {
  effect(() => {
    const { problem } = ledgerState.value;
    if (problem !== undefined && STOPS.has(problem.code) && alarm.peek() === undefined) {
      alarm.value = { problem, ...(pinned.peek() !== undefined && { pinned: pinned.peek()! }) };
    }
  });
  effect(() => {
    const { pin, service } = ledgerState.value;
    const known = pinned.value;
    const genesis = service?.identities[0]?.identity;
    if (known === undefined || pin === undefined || genesis !== known.genesisIdentity) return;
    if (known.pin.lastSigned === pin.lastSigned || alarm.peek() !== undefined) return;
    const next = { ...known, pin, certificatePem: service!.certificatePem, verifiedAtMs: Date.now() };
    pinned.value = next;
    void savePin(next);
  });
}

/** Remembers the service that is open, as a person decided. */
export async function pinService(name: string): Promise<void> {
  const { pin, service } = ledgerState.value;
  const to = connection.value;
  const genesis = service?.identities[0];
  if (pin === undefined || genesis === undefined || to === undefined) return;
  const entry: PinnedService = {
    genesisIdentity: genesis.identity,
    name,
    pin,
    certificatePem: service!.certificatePem,
    url: to.kind === "node" ? to.url : "",
    verifiedAtMs: Date.now(),
  };
  await savePin(entry);
  pinned.value = entry;
}
