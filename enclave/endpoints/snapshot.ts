/**
 * `/node/snapshot`: snapshot files, for nodes that join or recover (http-api.md §6.3).
 *
 * In: a name, a range. Out: which part of which file the host is to send. A snapshot proves itself by its receipt, so it
 * does not matter what the host sends.
 * Known are the snapshots that this process has written, and the one that it began with.
 */

import { MAX_SNAPSHOT_ANSWER_BYTES } from "../../shared/limits.ts";
import { redirectAddress } from "../forwarding/redirections.ts";
import { type Endpoint, endpoint, type EndpointContext } from "../frontend/endpoint.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { empty, NO_BODY } from "../frontend/replies.ts";
import type { HeaderList, HttpResponse } from "../messages.ts";
import type { KnownSnapshot } from "../snapshotter.ts";

const SNAPSHOT_READ = { forwarding: "never", operatorFeature: "SnapshotRead", hidden: true } as const;

export const snapshotEndpoints: readonly Endpoint[] = [
  endpoint("GET", "/snapshot", "command", redirectToNewest, SNAPSHOT_READ),
  endpoint("HEAD", "/snapshot", "command", redirectToNewest, SNAPSHOT_READ),
  endpoint("GET", "/snapshot/{snapshot_name}", "command", getSnapshot, { ...SNAPSHOT_READ, sendsFile: true }),
  endpoint("HEAD", "/snapshot/{snapshot_name}", "command", headSnapshot, SNAPSHOT_READ),
];

/**
 * To the newest one after `?since=`; what is no number there counts as 0. A backup sends on to the primary, whose snapshot
 * is the one that a joining node needs; where nobody leads, it offers what it has.
 */
function redirectToNewest({ node, request, tx, interfaceName }: EndpointContext): HttpResponse {
  const sinceText = request.parameter("since") ?? "0";
  const since = /^\d{1,15}$/.test(sinceText) ? Number(sinceText) : 0;
  if (!node.canReplicate && node.primaryId !== undefined && node.primaryId !== node.id) {
    const query = since === 0 ? "" : `?since=${since}`;
    const location = `https://${redirectAddress(tx, node.primaryId, interfaceName)}/node/snapshot${query}`;
    const message = "Node is not primary; its snapshot is to be preferred";
    throw new OdataError(308, "NodeCannotHandleRequest", message, [], [["location", location]]);
  }
  const newest = node.snapshotter.known.at(-1);
  if (newest === undefined || newest.seqno <= since) {
    throw new OdataError(404, "ResourceNotFound", `This node has no committed snapshots since ${since}`);
  }
  const address = node.config.rpcInterfaces[interfaceName]?.published_address;
  if (address === undefined) {
    throw new OdataError(500, "InternalError", "The interface of this request has no published address");
  }
  return empty(308, [["location", `https://${address}/node/snapshot/${newest.name}`]]);
}

function headSnapshot(context: EndpointContext): HttpResponse {
  const { name, sizeBytes } = requireSnapshot(context);
  // The length that GET would have; an answer to HEAD has no other way to say it.
  return empty(200, [
    ["accept-ranges", "bytes"],
    ["content-length", String(sizeBytes)],
    ["x-ms-ccf-snapshot-name", name],
  ]);
}

/**
 * Quirk: 206 also where the whole file is asked for, and the end of a range is exclusive.
 *
 * Of a large file an answer holds the beginning of what was asked for, as `content-range` says; CCF gives all of it.
 */
function getSnapshot(context: EndpointContext): HttpResponse {
  const { name, sizeBytes } = requireSnapshot(context);
  const always: HeaderList = [["accept-ranges", "bytes"], ["x-ms-ccf-snapshot-name", name]];
  const header = context.request.header("range");
  const range = header === undefined ? { from: 0, to: sizeBytes } : parseRange(header, sizeBytes);
  if (typeof range === "string") throw new OdataError(400, "InvalidHeaderValue", range, [], always);
  const { from } = range;
  const to = Math.min(range.to, from + MAX_SNAPSHOT_ANSWER_BYTES);
  return {
    status: 206,
    headers: [
      ["accept-ranges", "bytes"],
      ["content-range", `bytes ${from}-${to}/${sizeBytes}`],
      ["content-type", "application/octet-stream"],
      ["x-ms-ccf-snapshot-name", name],
    ],
    body: NO_BODY,
    fromHost: { kind: "snapshot", name, from, to },
  };
}

function requireSnapshot({ node, params }: EndpointContext): KnownSnapshot {
  const name = params.snapshot_name!;
  const snapshot = node.snapshotter.known.find((known) => known.name === name);
  if (snapshot === undefined) {
    throw new OdataError(404, "ResourceNotFound", `This node does not have a snapshot named ${name}`);
  }
  return snapshot;
}

/** `bytes=0-99`, `bytes=5-`, `bytes=-10`; or what is wrong with it. */
function parseRange(header: string, sizeBytes: number): { readonly from: number; readonly to: number } | string {
  if (!header.startsWith("bytes=")) return "Only 'bytes' is supported as a Range header unit";
  const ranges = header.slice("bytes=".length);
  if (ranges.includes(",")) return "Multiple ranges are not supported";
  const parts = ranges.split("-");
  if (parts.length !== 2) return `Invalid format, cannot parse range in ${header}`;
  const [first, last] = parts as [string, string];
  if (first === "" && last === "") return "Invalid range: both of its ends are missing";
  if (first === "") {
    const length = parseUnsigned(last);
    if (length === undefined) return `Unable to parse end of range offset value ${last} in ${header}`;
    return { from: Math.max(0, sizeBytes - length), to: sizeBytes };
  }
  const from = parseUnsigned(first);
  if (from === undefined) return `Unable to parse start of range value ${first} in ${header}`;
  if (from > sizeBytes) return `Start of range ${from} is larger than total file size ${sizeBytes}`;
  if (last === "") return { from, to: sizeBytes };
  const to = parseUnsigned(last);
  if (to === undefined) return `Unable to parse end of range value ${last} in ${header}`;
  if (to < from) return `Invalid range: Start (${from}) and end (${to}) out of order`;
  return { from, to: Math.min(to, sizeBytes) };
}

function parseUnsigned(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
