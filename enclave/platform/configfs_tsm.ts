/**
 * Evidence from Linux's configfs-tsm, the one way to AMD SEV-SNP and Intel TDX alike.
 *
 * In: 64 bytes of report data, a name for the request's directory. Out: what the kernel's provider answers, uninterpreted.
 * Knows nothing of reports and quotes.
 * Protocol: attestation/formats.md §5.1; Linux Documentation/ABI/testing/configfs-tsm-report, drivers/virt/coco/guest/report.c
 *
 *     mkdir report/<name>            the kernel fills it with attributes
 *     read provider, generation      "sev_guest", 7
 *     write inblob                   taken when the file is closed; generation 8
 *     read outblob, auxblob          made by the first reading
 *     read generation                8, or somebody else has written
 *     rmdir report/<name>
 */

import { MAX_TSM_ATTEMPTS, MAX_TSM_BUSY_WAITS, MAX_TSM_REPORT_BYTES, TSM_BUSY_WAIT_MS } from "../../shared/limits.ts";
import {
  attributeText,
  type DeviceError,
  type DeviceOutcome,
  failureOf,
  MAX_ATTRIBUTE_BYTES,
  paddedReportData,
  PlatformFailure,
  type Protocol,
  TOO_LONG,
} from "./devices.ts";

export const TSM_DIRECTORY = "/sys/kernel/config/tsm/report";

/** Kernel drivers that provide reports here, and that we know. */
export type TsmProvider = "sev_guest" | "tdx_guest";

export interface TsmReport {
  /** The report of SEV-SNP, or the quote of TDX, perhaps with zeros behind it. */
  readonly outblob: Uint8Array;
  /** Certificates that the hypervisor has for a report of SEV-SNP; may be empty, and proves nothing. */
  readonly auxblob: Uint8Array;
}

const NO_PROVIDER = "this machine's kernel has no attestation driver loaded; load sev-guest or tdx-guest";

/**
 * Who would provide reports: the driver's name as the kernel has it; undefined where there is no configfs-tsm, or nobody
 * provides any.
 *
 * @param name for a directory of one's own, which nobody else uses
 * @throws PlatformFailure where it is there and cannot be used
 */
export function* tsmProvider(name: string): Protocol<string | undefined> {
  const looked = yield { kind: "look", path: TSM_DIRECTORY };
  if (!looked.isDone) {
    if (looked.code === "ENOENT") return undefined;
    throw failureOf(`look for ${TSM_DIRECTORY}`, looked, "look into the kernel's log");
  }
  const answer = yield* inOwnDirectory(name, readProvider);
  return answer === "no provider" ? undefined : answer;
}

/**
 * Asks for a report.
 *
 * @param provider who must answer
 * @param name for a directory of one's own, which nobody else uses
 * @param reportData at most 64 bytes; always 64 are asked for, since the drivers refuse others
 * @throws PlatformFailure
 */
export function* tsmReport(provider: TsmProvider, name: string, reportData: Uint8Array): Protocol<TsmReport> {
  for (let attempt = 0; attempt < MAX_TSM_ATTEMPTS; attempt++) {
    const report = yield* inOwnDirectory(`${name}-${attempt}`, (directory) => askOnce(directory, provider, reportData));
    if (report === "no provider") {
      throw new PlatformFailure(`Cannot make a directory in ${TSM_DIRECTORY}: ${NO_PROVIDER}`);
    }
    if (report !== "disturbed") return report;
  }
  throw new PlatformFailure(
    `Cannot get a report from ${TSM_DIRECTORY}: another process wrote to our request, ${MAX_TSM_ATTEMPTS} times in a ` +
      "row; find out which, since it has the rights to make reports of this machine",
  );
}

/** Makes a directory, and removes it whatever happens. */
function* inOwnDirectory<Result>(
  name: string,
  use: (directory: string) => Protocol<Result>,
): Protocol<Result | "no provider"> {
  const directory = yield* makeDirectory(name);
  if (directory === undefined) return "no provider";
  try {
    return yield* use(directory);
  } finally {
    // One that stays behind takes some memory of the kernel's, and is no reason to fail.
    yield { kind: "removeDirectory", path: directory };
  }
}

/** Undefined where nobody provides reports. */
function* makeDirectory(name: string): Protocol<string | undefined> {
  for (let attempt = 0; attempt < MAX_TSM_ATTEMPTS; attempt++) {
    const path = `${TSM_DIRECTORY}/${attempt === 0 ? name : `${name}.${attempt}`}`;
    const made = yield { kind: "makeDirectory", path };
    if (made.isDone) return path;
    if (made.code === "ENXIO") return undefined;
    if (made.code === "ENOENT") {
      throw failureOf(`make ${path}`, made, "mount configfs on /sys/kernel/config; it needs Linux 6.7 or later");
    }
    if (made.code !== "EEXIST") throw failureOf(`make ${path}`, made, "look into the kernel's log");
  }
  throw new PlatformFailure(
    `Cannot make a directory in ${TSM_DIRECTORY}: ${MAX_TSM_ATTEMPTS} names that begin with ${name} are taken; ` +
      "remove what processes that died have left there",
  );
}

function* readProvider(directory: string): Protocol<string> {
  return attributeText(yield* readAttribute(`${directory}/provider`));
}

function* readGeneration(directory: string): Protocol<number> {
  const path = `${directory}/generation`;
  const text = attributeText(yield* readAttribute(path));
  if (!/^\d{1,15}$/.test(text)) {
    throw new PlatformFailure(`Cannot read ${path}: ${JSON.stringify(text)} is no number; is that configfs-tsm?`);
  }
  return Number(text);
}

function* readAttribute(path: string): Protocol<Uint8Array> {
  const read = yield { kind: "read", path, maxBytes: MAX_ATTRIBUTE_BYTES };
  if (!read.isDone) {
    throw failureOf(`read ${path}`, read, read.code === "ENXIO" ? NO_PROVIDER : "look into the kernel's log");
  }
  return read.bytes;
}

/** Of one attempt: the report, or that somebody else wrote meanwhile, so that it may be over other report data. */
function* askOnce(
  directory: string,
  wanted: TsmProvider,
  reportData: Uint8Array,
): Protocol<TsmReport | "disturbed"> {
  const provider = yield* readProvider(directory);
  if (provider !== wanted) {
    throw new PlatformFailure(
      `Cannot use ${TSM_DIRECTORY}: reports come from ${JSON.stringify(provider)}, and ${JSON.stringify(wanted)} is ` +
        "wanted; set /attestation/platform to what this machine is",
    );
  }
  const before = yield* readGeneration(directory);
  const inblob = `${directory}/inblob`;
  const written = yield { kind: "write", path: inblob, bytes: paddedReportData(reportData) };
  if (!written.isDone) throw failureOf(`write ${inblob}`, written, "look into the kernel's log");
  const outblob = yield* readBlob(`${directory}/outblob`);
  const auxblob = wanted === "sev_guest" ? yield* readAuxblob(`${directory}/auxblob`) : new Uint8Array();
  const after = yield* readGeneration(directory);
  return after === before + 1 ? { outblob, auxblob } : "disturbed";
}

/** Reading makes the report, which may be interrupted, or has to wait for an earlier request. */
function* readBlob(path: string): Protocol<Uint8Array> {
  for (let waits = 0;; waits++) {
    const read: DeviceOutcome = yield { kind: "read", path, maxBytes: MAX_TSM_REPORT_BYTES };
    if (read.isDone) return read.bytes;
    if (!isPassing(read) || waits === MAX_TSM_BUSY_WAITS) throw failureOf(`read ${path}`, read, adviceForBlob(read));
    yield { kind: "wait", ms: TSM_BUSY_WAIT_MS };
  }
}

/** Older kernels and other hypervisors have none. */
function* readAuxblob(path: string): Protocol<Uint8Array> {
  const read = yield { kind: "read", path, maxBytes: MAX_TSM_REPORT_BYTES };
  if (read.isDone) return read.bytes;
  if (read.code === "ENOENT") return new Uint8Array();
  throw failureOf(`read ${path}`, read, adviceForBlob(read));
}

const isPassing = ({ code }: DeviceError) => code === "EBUSY" || code === "EINTR" || code === "EAGAIN";

function adviceForBlob({ code }: DeviceError): string {
  switch (code) {
    case "ENXIO":
      return NO_PROVIDER;
    case "EINVAL":
      return "the driver takes no report data of 64 bytes, as it should; is that configfs-tsm of a known kernel?";
    case "EBUSY":
    case "EINTR":
    case "EAGAIN":
      return `it stayed so for ${
        (MAX_TSM_BUSY_WAITS * TSM_BUSY_WAIT_MS) / 1000
      } seconds; is the host's quote service ` +
        "running? Start the node again later";
    case "EFBIG":
    case TOO_LONG:
      return `a report has at most ${MAX_TSM_REPORT_BYTES} bytes`;
    default:
      return "TDX needs the quote generation service on its host; look into the kernel's log";
  }
}
