/**
 * A joining node fetches a snapshot from another node, to start from it.
 *
 * In: an address, limits. Out: a file in the snapshot directory, or why there is none. A range is held in memory at a
 * time. Nothing is checked but that all of it has come: a snapshot proves itself, to the enclave.
 * Protocol: nodes-and-attestation.md §3.3, http-api.md §6.3
 */

import { FormatError } from "../shared/assert.ts";
import { parseSnapshotName } from "../shared/ledger/snapshot.ts";
import { MAX_SNAPSHOT_REDIRECTS, MAX_SNAPSHOT_REQUEST_MS, SNAPSHOT_RANGE_BYTES } from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";
import type { HttpResponse, LogLevel } from "../enclave/messages.ts";
import { OutboundFailure, request } from "./outbound_http.ts";
import type { SnapshotFile, SnapshotFiles, SnapshotWriter } from "./snapshot_files.ts";

export interface SnapshotFetchOptions {
  /** "host:port" of an interface with the operator feature SnapshotRead. */
  readonly targetAddress: string;
  readonly servicePem: string;
  readonly snapshots: SnapshotFiles;
  /** Only one of a later state is worth it. */
  readonly since?: Seqno;
  readonly maxAttempts: number;
  readonly retryIntervalMs: number;
  readonly maxBytes: number;
  readonly log: (level: LogLevel, message: string) => void;
  /** Ends the fetching, with what it says as the reason. */
  readonly signal?: AbortSignal;
}

export type SnapshotFetchResult =
  | { readonly file: SnapshotFile }
  | { readonly file: null; readonly reason: string };

/**
 * Fetches the newest snapshot of a node, or of the one it sends us to. Where it has none, it is not asked again; after
 * other failures it is, from the beginning.
 *
 * @throws StorageError where the snapshot cannot be written
 */
export async function fetchSnapshot(options: SnapshotFetchOptions): Promise<SnapshotFetchResult> {
  const { targetAddress, maxAttempts, retryIntervalMs, log, signal } = options;
  let reason = "";
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    if (attempt > 1) await new Promise((resolve) => setTimeout(resolve, retryIntervalMs));
    log("info", `Fetching a snapshot from ${targetAddress} (attempt ${attempt} of ${maxAttempts})`);
    try {
      const name = await fetchOnce(options);
      if (name === undefined) return { file: null, reason: `${targetAddress} has no snapshot to start from` };
      const file = (await options.snapshots.list()).find((file) => file.name === name);
      if (file !== undefined) return { file };
      reason = `the snapshot ${name} is gone again from the snapshot directory`;
    } catch (error) {
      if (!(error instanceof FormatError || error instanceof OutboundFailure)) throw error;
      reason = error.message;
    }
    if (signal?.aborted) return { file: null, reason };
    log("fail", `No snapshot was fetched: ${reason}`);
  }
  return { file: null, reason };
}

/** @returns its name; undefined where there is none */
async function fetchOnce(options: SnapshotFetchOptions): Promise<string | undefined> {
  const found = await find(options);
  if (found === undefined) return undefined;
  const { url, first } = found;
  const name = nameOf(url, first);
  const { seqno } = parseSnapshotName(name)!;
  const writer = await options.snapshots.writer(seqno);
  try {
    await writeAll(options, url, first, name, writer);
    await writer.commit(name);
  } finally {
    // After a commit there is nothing to discard.
    await writer.discard();
  }
  return name;
}

/** Follows redirections to the snapshot itself, of which the answer has the first range. */
async function find(options: SnapshotFetchOptions): Promise<{ url: URL; first: HttpResponse } | undefined> {
  const { targetAddress, since, log } = options;
  const query = since === undefined ? "" : `?since=${since}`;
  let url = new URL(`https://${targetAddress}/node/snapshot${query}`);
  for (let redirects = 0; redirects <= MAX_SNAPSHOT_REDIRECTS; redirects++) {
    const response = await askForRange(options, url, 0);
    if (response.status === 404) return undefined;
    if (response.status === 206) return { url, first: response };
    requireStatus(response, 308, url);
    const location = headerOf(response, "location");
    const next = location === undefined ? null : URL.parse(location, url);
    if (next?.protocol !== "https:") throw refused(url, `redirects to ${JSON.stringify(location ?? null)}`);
    log("debug", `The snapshot of ${url} is at ${next}`);
    url = next;
  }
  throw refused(url, `is not there after ${MAX_SNAPSHOT_REDIRECTS} redirections`);
}

async function writeAll(
  options: SnapshotFetchOptions,
  url: URL,
  first: HttpResponse,
  name: string,
  writer: SnapshotWriter,
): Promise<void> {
  const { maxBytes, log } = options;
  const { totalBytes } = rangeOf(first, 0, url);
  if (totalBytes > maxBytes) throw refused(url, `has ${totalBytes} bytes, of ${maxBytes} at most`);
  log("info", `Fetching ${name}, ${totalBytes} bytes, from ${url.host}`);
  let response = first;
  let loggedTenths = 0;
  for (let bytes = 0;;) {
    if (rangeOf(response, bytes, url).totalBytes !== totalBytes) throw refused(url, "changes while it is fetched");
    await writer.append(response.body);
    bytes += response.body.length;
    const tenths = Math.floor(10 * bytes / totalBytes);
    if (tenths > loggedTenths) log("info", `Fetched ${bytes} of ${totalBytes} bytes of ${name}`);
    loggedTenths = tenths;
    if (bytes === totalBytes) return;
    response = await askForRange(options, url, bytes);
    requireStatus(response, 206, url);
  }
}

async function askForRange(options: SnapshotFetchOptions, url: URL, from: number): Promise<HttpResponse> {
  const { servicePem, signal } = options;
  if (signal?.aborted) throw new OutboundFailure(`Fetching a snapshot was ended: ${(signal.reason as Error).message}`);
  return await request({
    address: `${url.hostname}:${url.port === "" ? 443 : url.port}`,
    servicePem,
    request: {
      method: "GET",
      target: url.pathname + url.search,
      // Quirk of CCF 7.0.0-dev7: the end of a range is exclusive, here and in its answer.
      headers: [["range", `bytes=${from}-${from + SNAPSHOT_RANGE_BYTES}`]],
      body: new Uint8Array(),
    },
    timeoutMs: MAX_SNAPSHOT_REQUEST_MS,
    maxBodyBytes: SNAPSHOT_RANGE_BYTES + 1,
  });
}

/**
 * What `content-range` says of an answer, which must begin at `from` and go on. Its end is exclusive from a node of
 * 7.0.0-dev7 and inclusive from a newer one, of which the body has one byte more.
 */
function rangeOf(response: HttpResponse, from: number, url: URL): { readonly totalBytes: number } {
  const text = headerOf(response, "content-range") ?? "";
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(text);
  if (match === null) throw refused(url, `answers with the range ${JSON.stringify(text)}`);
  const [start, end, totalBytes] = match.slice(1).map(Number) as [number, number, number];
  const bytes = response.body.length;
  const isWhole = bytes === end - start || bytes === end - start + 1;
  if (start !== from || !isWhole || bytes === 0 || start + bytes > totalBytes) {
    throw refused(url, `answers with ${bytes} bytes for the range ${JSON.stringify(text)}, asked from ${from} on`);
  }
  return { totalBytes };
}

/** The name that the file has there; it is also what the address ends in. */
function nameOf(url: URL, response: HttpResponse): string {
  const name = headerOf(response, "x-ms-ccf-snapshot-name") ?? url.pathname.split("/").at(-1)!;
  if (parseSnapshotName(name)?.committed === true) return name;
  throw refused(url, `names its snapshot ${JSON.stringify(name)}, which is no name of a committed one`);
}

function requireStatus(response: HttpResponse, status: number, url: URL): void {
  if (response.status === status) return;
  const text = new TextDecoder().decode(response.body.subarray(0, SHOWN_BODY_BYTES));
  throw refused(url, `answers ${response.status} instead of ${status}: ${JSON.stringify(text)}`);
}

const SHOWN_BODY_BYTES = 500;

function headerOf(response: HttpResponse, name: string): string | undefined {
  return response.headers.find(([other]) => other === name)?.[1];
}

function refused(url: URL, what: string): FormatError {
  return new FormatError(`Cannot fetch the snapshot at ${url}: it ${what}`);
}
