/**
 * Gets the certificates that belong to a report of SEV-SNP, from wherever they are to be had.
 *
 * In: the report, and where to look: a configured file, what an earlier start kept, what the hypervisor gave along, servers.
 * Out: the first chain by which the report verifies, kept for the next start; or why there is none, source by source.
 * None of the sources is trusted: what they give is checked here, and by the enclave again.
 * Rules: nodes-and-attestation.md §8.3, attestation/formats.md §1.4
 */

import { join } from "node:path";
import { FormatError } from "../shared/assert.ts";
import { parseCertificateTable } from "../shared/attestation/certificate_table.ts";
import { verifySnp } from "../shared/attestation/snp.ts";
import { AMD_PINS, type SnpPins } from "../shared/attestation/snp_chain.ts";
import { parseSnpReport, tcbFromHex, tcbToHex } from "../shared/attestation/snp_report.ts";
import { equalBytes, toHex } from "../shared/bytes.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { serialiseCertificatePem } from "../shared/crypto/x509.ts";
import { MAX_ENDORSEMENTS_ANSWER_BYTES, MAX_ENDORSEMENTS_REQUEST_MS } from "../shared/limits.ts";
import type { LogLevel } from "../enclave/messages.ts";
import { PlatformFailure } from "../enclave/platform/devices.ts";
import { getPatiently, sleep } from "./plain_http.ts";
import {
  certificatesOf,
  type EndorsementsServer,
  parseAnswer,
  parseHostCertificates,
  requestsTo,
} from "./snp_endorsement_sources.ts";

export interface EndorsementsOptions {
  readonly report: Uint8Array;
  /** A table of certificates that came with the report; may be empty. */
  readonly certificates: Uint8Array;
  /** Contents of `snp_endorsements_file`: the JSON of Azure's hosts in base64. */
  readonly file: string | undefined;
  /** Asked one after the other. */
  readonly servers: readonly EndorsementsServer[];
  /** Where chains are kept, by chip and TCB version. */
  readonly cacheDirectory: string;
  readonly nowMs: number;
  readonly primitives: Primitives;
  readonly log: (level: LogLevel, message: string) => void;
  readonly signal?: AbortSignal;
  /** AMD's own keys unless said otherwise. */
  readonly pins?: SnpPins;
  readonly wait?: (ms: number) => Promise<void>;
}

export interface SnpEndorsements {
  /** PEM: the chip's certificate, its issuer's, AMD's root. */
  readonly pem: string;
  /** The TCB version that they are for, where the file says so: as CCF has it, one number in hex. */
  readonly endorsedTcb?: string;
}

/** What a source gave; or why it has nothing to give. */
type Found = (SnpEndorsements & { readonly chain: readonly Uint8Array[] }) | string;

/** @throws PlatformFailure with the reasons of all sources */
export async function snpEndorsements(options: EndorsementsOptions): Promise<SnpEndorsements> {
  const reasons: string[] = [];
  for (const [source, look] of sources(options)) {
    const found = await look();
    const reason = typeof found === "string" ? found : whyUnfit(found.chain, options);
    if (reason === undefined && typeof found !== "string") {
      options.log("info", `Certificates for this node's report come from ${source}`);
      if (source !== CACHE) await keep(found.pem, options);
      return { pem: found.pem, ...(found.endorsedTcb !== undefined && { endorsedTcb: found.endorsedTcb }) };
    }
    options.log("debug", `No certificates for this node's report from ${source}: ${reason}`);
    reasons.push(`${source}: ${reason}`);
  }
  throw new PlatformFailure(
    `Cannot get certificates for this node's report of SEV-SNP. ${
      reasons.join(". ")
    }. Name servers that have them in ` +
      "/attestation/snp_endorsements_servers, or a file in /attestation/snp_endorsements_file",
  );
}

const CACHE = "what an earlier start has kept";

function sources(options: EndorsementsOptions): readonly (readonly [string, () => Found | Promise<Found>])[] {
  return [
    ["the configured file", () => fromFile(options)],
    [CACHE, () => fromCache(options)],
    ["the hypervisor", () => fromTable(options.certificates)],
    ...options.servers.map((server) => [`${server.type} at ${server.url}`, () => fromServer(server, options)] as const),
  ];
}

function found(chain: readonly Uint8Array[], endorsedTcb?: string): Found {
  return {
    chain,
    pem: chain.map(serialiseCertificatePem).join(""),
    ...(endorsedTcb !== undefined && { endorsedTcb }),
  };
}

/** By the rules of those who will judge this node. Undefined where the chain fits. */
function whyUnfit(
  chain: readonly Uint8Array[],
  { report, nowMs, primitives, pins = AMD_PINS }: EndorsementsOptions,
): string | undefined {
  return verifySnp({ report, chain }, { at: nowMs, rules: "ccf", pins }, primitives).reason;
}

function fromFile({ file, report }: EndorsementsOptions): Found {
  if (file === undefined) return "none is configured";
  return orReason(() => {
    const { tcbm, certificates } = parseHostCertificates(file);
    const { reportedTcb } = parseSnpReport(report);
    // It may be older than the firmware: then there may be newer ones elsewhere.
    if (!equalBytes(tcbFromHex(tcbm), reportedTcb)) {
      return `it is for TCB version ${tcbm}, and the report has ${tcbToHex(reportedTcb).toUpperCase()}`;
    }
    return found(certificates, tcbm);
  });
}

async function fromCache(options: EndorsementsOptions): Promise<Found> {
  try {
    const text = await Deno.readTextFile(cachePath(options));
    return orReason(() => found(certificatesOf(text)));
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? "nothing is there" : (error as Error).message;
  }
}

/** For the next start, which may be without a network. That it cannot be kept is no reason not to start. */
async function keep(pem: string, options: EndorsementsOptions): Promise<void> {
  const path = cachePath(options);
  try {
    await Deno.writeTextFile(`${path}.new`, pem);
    await Deno.rename(`${path}.new`, path);
  } catch (error) {
    options.log("fail", `Cannot keep the certificates of this node's report in ${path}: ${(error as Error).message}`);
  }
}

function cachePath({ report, cacheDirectory }: EndorsementsOptions): string {
  const { chipId, reportedTcb } = parseSnpReport(report);
  return join(cacheDirectory, `snp_${toHex(chipId)}_${tcbToHex(reportedTcb)}.pem`);
}

function fromTable(table: Uint8Array): Found {
  return orReason(() => {
    const { vcek, ask, ark } = parseCertificateTable(table);
    if (vcek === undefined || ask === undefined || ark === undefined) return "it gave none of them, or not all three";
    return found([vcek, ask, ark]);
  });
}

async function fromServer(server: EndorsementsServer, options: EndorsementsOptions): Promise<Found> {
  const requests = orReason(() => requestsTo(server, parseSnpReport(options.report)));
  if (typeof requests === "string") return requests;
  const { log, signal, wait = sleep } = options;
  const patience = {
    budget: { retries: server.maxRetriesCount },
    onWait: (message: string) => log("info", message),
    wait,
  };
  const chain: Uint8Array[] = [];
  for (const request of requests) {
    const limits = { timeoutMs: MAX_ENDORSEMENTS_REQUEST_MS, maxBodyBytes: MAX_ENDORSEMENTS_ANSWER_BYTES };
    const answer = await getPatiently({ ...request, ...limits, signal }, patience);
    if (typeof answer === "string") return answer;
    const certificates = orReason(() => parseAnswer(request, answer.body));
    if (typeof certificates === "string") return certificates;
    chain.push(...certificates);
  }
  return found(chain);
}

/** What is wrong with their bytes is one reason more. */
function orReason<Value>(read: () => Value): Value | string {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return error.message;
  }
}
