/**
 * What the page is connected to: one service, through one node or by files, with the ledger worker that reads it.
 *
 * Signals here are what the shell and all pages look at. Connecting begins the fold; nothing is said to be verified before
 * the fold says so. What this browser remembers of services (pins) is compared here, and a stop is raised where they differ.
 */

import { computed, effect, signal } from "@preact/signals";
import { fromHex, toHex } from "../../shared/bytes.ts";
import { parsePin, serialisePin } from "../../shared/ledger/pin.ts";
import { formatTxId, parseTxId } from "../../shared/tx_id.ts";
import { startWorker } from "../build_facts.ts";
import { LedgerClient } from "../ledger/client.ts";
import { IDLE_STATE, type LedgerState, type Pin } from "../ledger/protocol.ts";
import type { Problem } from "../problem.ts";
import { parseRoute } from "../routes.ts";
import { pageOrigin, takeRelayToken } from "./origin.ts";
import { NodeApi } from "./node_api.ts";
import { forgetPin, type PinnedService, pinnedServices, savePin } from "./pin_store.ts";
import { judgePins } from "./pinning.ts";

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

/** Everything that is remembered. */
export const remembered = signal<readonly PinnedService[]>([]);

/** Why nothing can be remembered here, as in a private window; undefined: it can. */
export const noMemory = signal<string | undefined>(undefined);

/** The service that is open goes on from what was pinned, under another key: a person decides whether the pin follows. */
export const recoveredSince = signal<{ readonly of: PinnedService; readonly next: PinnedService } | undefined>(
  undefined,
);

/** Of a pin file: what is opened must continue it; `isHeld` once it was read to its end and does. */
export const expectedPin = signal<{ readonly name: string; readonly pin: Pin; readonly isHeld: boolean } | undefined>(
  undefined,
);

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

/** The service whose pin the worker was given. */
let openedWith: PinnedService | undefined;

/** Opens a node or files, and reads from its beginning. What is remembered of the service must continue. */
export async function connect(to: Connection): Promise<void> {
  const expected = expectedPin.value;
  if (expected !== undefined) expectedPin.value = { ...expected, isHeld: false };
  await loadRemembered();
  await open(to, to.kind === "node" && to.url !== "" ? rememberedAt(to.url) : undefined);
}

/** @param known the service whose pin it must continue; a pin file that was not compared yet comes first */
async function open(to: Connection, known: PinnedService | undefined): Promise<void> {
  const expected = expectedPin.value?.isHeld === false ? expectedPin.value : undefined;
  alarm.value = undefined;
  recoveredSince.value = undefined;
  // Until the worker has let go of what was open, its state is of that.
  if (connection.peek() !== undefined) await closeWorker();
  openedWith = expected === undefined ? known : undefined;
  pinned.value = known;
  connection.value = to;
  rememberConnection(to);
  worker.value = ledger();
  const pin = expected?.pin ?? known?.pin;
  const servicePem = to.kind === "node" && to.via === "relay" ? await relayedService() : undefined;
  if (connection.peek() !== to) return;
  await ledger().open(
    to.kind === "files" ? { kind: "files", files: to.files } : {
      kind: "node",
      url: to.api.base.startsWith("/") || to.api.base === "" ? location.origin + to.api.base : to.api.base,
      headers: to.api.headers,
    },
    { ...(pin !== undefined && { pin }), ...(servicePem !== undefined && { serviceCertificatePem: servicePem }) },
  );
}

/** The certificate of the service that whoever started the relay gave it: the ledger must be of that one. */
async function relayedService(): Promise<string | undefined> {
  try {
    const peer = await relayApi?.get<{ readonly service_certificate?: unknown }>("/relay/peer");
    return typeof peer?.service_certificate === "string" ? peer.service_certificate : undefined;
  } catch {
    // The node cannot be reached now, which the checks say; the relay lets through none but of that service.
    return undefined;
  }
}

/** A worker that failed is left behind: the next connection starts another. */
async function closeWorker(): Promise<void> {
  try {
    await client?.close();
  } catch {
    client = undefined;
    worker.value = undefined;
  }
}

export async function disconnect(): Promise<void> {
  await closeWorker();
  connection.value = undefined;
  pinned.value = undefined;
  alarm.value = undefined;
  recoveredSince.value = undefined;
  openedWith = undefined;
  rememberConnection(undefined);
}

function rememberedAt(url: string): PinnedService | undefined {
  return remembered.value.find((service) => service.url === url);
}

/** Reads what is remembered. Storage may be off or broken: then nothing is, and that is said. */
export async function loadRemembered(): Promise<void> {
  try {
    remembered.value = await pinnedServices();
    noMemory.value = undefined;
  } catch (error) {
    noMemory.value = error instanceof Error ? error.message : String(error);
  }
}

async function remember(service: PinnedService): Promise<void> {
  remembered.value = [
    ...remembered.value.filter(({ genesisIdentity }) => genesisIdentity !== service.genesisIdentity),
    service,
  ];
  try {
    await savePin(service);
  } catch (error) {
    noMemory.value = error instanceof Error ? error.message : String(error);
  }
}

/** Begins to look after pins: called once, at start. */
export function watchPins(): void {
  void loadRemembered();
  // The relay's URL, opened in a tab that has the page already, is no more than another fragment.
  addEventListener("hashchange", () => {
    if (parseRoute(location.hash)?.query.has("relay")) location.reload();
  });
  effect(() => {
    const { problem } = ledgerState.value;
    if (problem !== undefined && STOPS.has(problem.code) && alarm.peek() === undefined) {
      alarm.value = { problem, ...(pinned.peek() !== undefined && { pinned: pinned.peek()! }) };
    }
  });
  effect(() => {
    const state = ledgerState.value;
    const to = connection.value;
    const all = remembered.value;
    if (to === undefined || alarm.peek() !== undefined || state.status === "idle") return;
    const url = to.kind === "node" && to.url !== "" ? to.url : undefined;
    const isRead = state.status === "following" || state.status === "complete";
    const expected = expectedPin.value;
    const isExpecting = expected?.isHeld === false;
    if (isExpecting && isRead) expectedPin.value = { ...expected, isHeld: true };
    const judged = judgePins(state, all, url, openedWith, Date.now());
    switch (judged.kind) {
      case "changed":
        alarm.value = { problem: judged.problem, pinned: judged.from };
        return;
      case "compare":
        if (!isExpecting) void open(to, judged.with);
        return;
      case "behind":
        pinned.value = judged.of;
        return;
      case "continues":
        // A pin moves by what is read to its end alone: what comes after may still be refused.
        if (judged.next === undefined || !isRead) return;
        openedWith = pinned.value = judged.next;
        void remember(judged.next);
        return;
      case "recovered":
        recoveredSince.value = judged;
        return;
      default:
        return;
    }
  });
}

/** The pin follows the service over its recovery, as a person decided: by a whole ledger alone, as pins are made. */
export async function acceptRecovery(): Promise<void> {
  const next = recoveredSince.value?.next;
  if (next === undefined || ledgerState.peek().fromSnapshot !== undefined) return;
  recoveredSince.value = undefined;
  openedWith = pinned.value = next;
  await remember(next);
}

/** Remembers the service that is open, as a person decided. @returns false where nothing whole is verified yet */
export async function pinService(name: string): Promise<boolean> {
  const { pin, service, fromSnapshot } = ledgerState.value;
  const to = connection.value;
  const genesis = service?.identities[0];
  if (pin === undefined || genesis === undefined || to === undefined || fromSnapshot !== undefined) return false;
  const entry: PinnedService = {
    genesisIdentity: genesis.identity,
    name,
    pin,
    certificatePem: service!.certificatePem,
    url: to.kind === "node" ? to.url : "",
    verifiedAtMs: Date.now(),
  };
  openedWith = pinned.value = entry;
  expectedPin.value = undefined;
  await remember(entry);
  return true;
}

/** A stop because of it ends with it, and what is open is closed: it was not compared with anything else. */
export async function forgetService(genesisIdentity: string): Promise<void> {
  if (alarm.value?.pinned?.genesisIdentity === genesisIdentity) await disconnect();
  await forgetPin(genesisIdentity);
  if (openedWith?.genesisIdentity === genesisIdentity) openedWith = undefined;
  if (pinned.value?.genesisIdentity === genesisIdentity) pinned.value = undefined;
  await loadRemembered();
}

/** A pin as `ledger verify --pin` and `quote verify --pin` take it. */
export function pinFile({ serviceIdentity, lastSigned, root }: Pin): string {
  return serialisePin({ serviceIdentity, lastSigned: parseTxId(lastSigned), root: fromHex(root) });
}

/** The other way round. @throws FormatError */
export function pinOfFile(text: string): Pin {
  const { serviceIdentity, lastSigned, root } = parsePin(text);
  return { serviceIdentity, lastSigned: formatTxId(lastSigned), root: toHex(root) };
}

const CONNECTION_KEY = "quorate.connection";

/** For a reload of this tab: files cannot be opened again without a person. */
function rememberConnection(to: Connection | undefined): void {
  try {
    if (to?.kind === "node") sessionStorage.setItem(CONNECTION_KEY, to.via === "served" ? "" : to.url);
    else sessionStorage.removeItem(CONNECTION_KEY);
  } catch {
    // Storage is off: after a reload a person connects again.
  }
}

/** Opens again what this tab had open before it was loaded again. */
export function reconnect(): void {
  let url: string | null = null;
  try {
    url = sessionStorage.getItem(CONNECTION_KEY);
  } catch {
    return;
  }
  if (url !== null) void connect(nodeConnection(url === "" ? undefined : url));
}
