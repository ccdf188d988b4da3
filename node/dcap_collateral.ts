/**
 * Gets what Intel says of this node's platform, which belongs to a quote of TDX or SGX: "collateral".
 *
 * In: the quote, and where to look: a configured file, what an earlier start kept, a server. Out: the first collateral under
 * which the quote is genuine, as the JSON that goes into the ledger; or why there is none, source by source.
 * None of the sources is trusted. Collateral is in force for a month: what was kept may have to be asked for anew.
 * Protocol: attestation/formats.md §3.5, Intel's PCS version 4; a cache of it (PCCS) answers the same paths
 */

import { join } from "node:path";
import { FormatError } from "../shared/assert.ts";
import { collateralFromPcs, type CollateralTexts, collateralTexts } from "../shared/attestation/dcap/collateral.ts";
import { commonName, parsePckPlatform, parsePemChain } from "../shared/attestation/dcap/pck_certificate.ts";
import { parseQuote, PCK_CHAIN_TYPE } from "../shared/attestation/dcap/quote.ts";
import { verifyEvidence } from "../shared/attestation/evidence.ts";
import { AMD_PINS } from "../shared/attestation/snp_chain.ts";
import { toBase64, toUtf8 } from "../shared/bytes.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { parseJsonText } from "../shared/json.ts";
import { MAX_ENDORSEMENTS_REQUEST_MS, MAX_PCS_ANSWER_BYTES, PCS_RETRIES } from "../shared/limits.ts";
import type { LogLevel } from "../enclave/messages.ts";
import { PlatformFailure } from "../enclave/platform/devices.ts";
import { findEndorsement, orReason } from "./endorsement_search.ts";
import { getPatiently, type Patience, type PlainResponse, sleep } from "./plain_http.ts";
import { parseServer } from "./snp_endorsement_sources.ts";

export interface CollateralOptions {
  readonly kind: "tdx" | "sgx";
  readonly quote: Uint8Array;
  /** Contents of `dcap_collateral_file`. */
  readonly file: string | undefined;
  /** "host" or "host:port" of a cache of Intel's service; undefined: Intel's own. */
  readonly server: string | undefined;
  /** Where collateral is kept, by kind of platform. */
  readonly cacheDirectory: string;
  readonly nowMs: number;
  readonly primitives: Primitives;
  readonly log: (level: LogLevel, message: string) => void;
  readonly signal?: AbortSignal;
  /** Intel's own root unless said otherwise. */
  readonly pins?: readonly string[];
  readonly wait?: (ms: number) => Promise<void>;
}

const INTEL = { service: "api.trustedservices.intel.com", lists: "certificates.trustedservices.intel.com" };

const FORMATS = { tdx: "Intel_TDX_v1", sgx: "Intel_SGX_DCAP_v1" } as const;

/** @throws PlatformFailure with the reasons of all sources */
export async function dcapCollateral(options: CollateralOptions): Promise<Uint8Array> {
  const { kind, quote, file, server = INTEL.service, cacheDirectory, log } = options;
  const platform = readPlatform(quote);
  const parse = (text: string) => collateralTexts(parseJsonText(text));
  const found = await findEndorsement<CollateralTexts>({
    what: "Intel's statements on this node's platform",
    sources: [
      ["the configured file", () => file === undefined ? "none is configured" : orReason(() => parse(file))],
      "kept",
      [server, () => fromServer(server, platform, options)],
    ],
    whyUnfit: (texts) => whyUnfit(texts, options),
    kept: {
      path: join(cacheDirectory, `dcap_${kind}_${platform.fmspc}_${platform.ca}.json`),
      serialise: JSON.stringify,
      parse,
    },
    advice: "Name a server that has them in /attestation/dcap_collateral_server, or a file in " +
      "/attestation/dcap_collateral_file",
    log,
  });
  return toUtf8(JSON.stringify(found));
}

/** Which collateral belongs to a quote, by the certificate in it. */
interface Platform {
  readonly fmspc: string;
  readonly ca: "processor" | "platform";
}

/** @throws PlatformFailure where the quote does not say */
function readPlatform(quote: Uint8Array): Platform {
  try {
    const { certification } = parseQuote(quote);
    if (certification.type !== PCK_CHAIN_TYPE) {
      throw new FormatError(
        `it names its certificate in form ${certification.type}, and not by the certificate itself`,
      );
    }
    const [leaf, issuer] = parsePemChain(certification.data);
    if (leaf === undefined || issuer === undefined) throw new FormatError("it has no chain of certificates");
    const ca = commonName(issuer) === "Intel SGX PCK Platform CA" ? "platform" : "processor";
    return { fmspc: parsePckPlatform(leaf).fmspc.toLowerCase(), ca };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new PlatformFailure(`Cannot tell which platform this node's quote is of: ${error.message}`);
  }
}

/** As those will check it who judge this node. Undefined where it fits. */
function whyUnfit(
  texts: CollateralTexts,
  { kind, quote, nowMs, primitives, pins }: CollateralOptions,
): string | undefined {
  const evidence = {
    format: FORMATS[kind],
    quote: toBase64(quote),
    endorsements: toBase64(toUtf8(JSON.stringify(texts))),
  };
  const anchors = pins === undefined ? undefined : { amd: AMD_PINS, intel: pins };
  return verifyEvidence(evidence, { at: nowMs, anchors }, primitives).reason;
}

async function fromServer(
  server: string,
  { fmspc, ca }: Platform,
  { kind, signal, log, wait = sleep }: CollateralOptions,
): Promise<CollateralTexts | string> {
  const patience: Patience = {
    budget: { retries: PCS_RETRIES },
    onWait: (message) => log("info", message),
    wait,
  };
  // Intel has its root's list elsewhere; caches have it beside the others.
  const isIntel = server === INTEL.service;
  const requests = {
    tcbInfo: [server, `/${kind}/certification/v4/tcb?fmspc=${fmspc}`],
    qeIdentity: [server, `/${kind}/certification/v4/qe/identity`],
    pckCrl: [server, `/sgx/certification/v4/pckcrl?ca=${ca}&encoding=der`],
    rootCrl: isIntel ? [INTEL.lists, "/IntelSGXRootCA.der"] : [server, "/sgx/certification/v4/rootcacrl"],
  } as const;
  const answers: Partial<Record<keyof typeof requests, PlainResponse>> = {};
  for (const [name, [host, target]] of Object.entries(requests)) {
    const address = orReason(() => parseServer(host, 443));
    if (typeof address === "string") return address;
    const answer = await getPatiently({
      isTls: true,
      address,
      target,
      headers: {},
      timeoutMs: MAX_ENDORSEMENTS_REQUEST_MS,
      maxBodyBytes: MAX_PCS_ANSWER_BYTES,
      signal,
    }, patience);
    if (typeof answer === "string") return answer;
    answers[name as keyof typeof requests] = answer;
  }
  const { tcbInfo, qeIdentity, pckCrl, rootCrl } = answers as Record<keyof typeof requests, PlainResponse>;
  const issuedBy = ({ body, header }: PlainResponse, name: string) => ({ body, issuerChain: header(name) });
  return orReason(() =>
    collateralFromPcs({
      tcbInfo: issuedBy(tcbInfo, "tcb-info-issuer-chain"),
      qeIdentity: issuedBy(qeIdentity, "sgx-enclave-identity-issuer-chain"),
      pckCrl: issuedBy(pckCrl, "sgx-pck-crl-issuer-chain"),
      rootCrl: rootCrl.body,
    })
  );
}
