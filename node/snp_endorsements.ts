/**
 * Gets the certificates that belong to a report of SEV-SNP, from wherever they are to be had.
 *
 * In: the report, and where to look: a configured file, what an earlier start kept, what the hypervisor gave along, servers.
 * Out: the first chain by which the report verifies, kept for the next start; or why there is none, source by source.
 * None of the sources is trusted: what they give is checked here, and by the enclave again.
 * Rules: nodes-and-attestation.md §8.3, attestation/formats.md §1.4
 */

import { join } from "node:path";
import { parseCertificateTable } from "../shared/attestation/certificate_table.ts";
import { verifySnp } from "../shared/attestation/snp.ts";
import { AMD_PINS, type SnpPins } from "../shared/attestation/snp_chain.ts";
import { parseSnpReport, tcbFromHex, tcbToHex } from "../shared/attestation/snp_report.ts";
import { equalBytes, toHex } from "../shared/bytes.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { serialiseCertificatePem } from "../shared/crypto/x509.ts";
import { MAX_ENDORSEMENTS_ANSWER_BYTES, MAX_ENDORSEMENTS_REQUEST_MS } from "../shared/limits.ts";
import type { LogLevel } from "../enclave/messages.ts";
import { findEndorsement, orReason } from "./endorsement_search.ts";
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

type Found = SnpEndorsements & { readonly chain: readonly Uint8Array[] };

/** @throws PlatformFailure with the reasons of all sources */
export async function snpEndorsements(options: EndorsementsOptions): Promise<SnpEndorsements> {
  const { report, cacheDirectory, certificates, servers, log } = options;
  const { chipId, reportedTcb } = parseSnpReport(report);
  const { pem, endorsedTcb } = await findEndorsement<Found>({
    what: "certificates for this node's report",
    sources: [
      ["the configured file", () => fromFile(options)],
      "kept",
      ["the hypervisor", () => fromTable(certificates)],
      ...servers.map((server) => [`${server.type} at ${server.url}`, () => fromServer(server, options)] as const),
    ],
    whyUnfit: ({ chain }) => whyUnfit(chain, options),
    kept: {
      path: join(cacheDirectory, `snp_${toHex(chipId)}_${tcbToHex(reportedTcb)}.pem`),
      serialise: ({ pem }) => pem,
      parse: (text) => found(certificatesOf(text)),
    },
    advice: "Name servers that have them in /attestation/snp_endorsements_servers, or a file in " +
      "/attestation/snp_endorsements_file",
    log,
  });
  return { pem, ...(endorsedTcb !== undefined && { endorsedTcb }) };
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

function fromFile({ file, report }: EndorsementsOptions): Found | string {
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

function fromTable(table: Uint8Array): Found | string {
  return orReason(() => {
    const { vcek, vlek, ask, ark } = parseCertificateTable(table);
    if (vcek === undefined && vlek !== undefined) {
      return "it gave a certificate of the provider's key (VLEK), and by CCF's rules only a chip's own (VCEK) counts";
    }
    if (vcek === undefined || ask === undefined || ark === undefined) return "it gave none of them, or not all three";
    return found([vcek, ask, ark]);
  });
}

async function fromServer(server: EndorsementsServer, options: EndorsementsOptions): Promise<Found | string> {
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
