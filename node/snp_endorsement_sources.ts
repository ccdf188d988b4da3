/**
 * Where certificates for a report of SEV-SNP are asked for, and what the answers mean.
 *
 * In: a report, a server as configured; then an answer's bytes, or a file's. Out: requests; then certificates as DER.
 * Knows nothing of sockets. Nothing of it is believed: only a chain that verifies counts.
 * Facts: nodes-and-attestation.md §8.3, attestation/formats.md §1.4; AMD 57230 "VCEK Certificate and KDS Interface"
 */

import { FormatError } from "../shared/assert.ts";
import { productOf, readTcb, type SnpReport, tcbToHex } from "../shared/attestation/snp_report.ts";
import { fromBase64, fromUtf8, toHex } from "../shared/bytes.ts";
import { parsePem } from "../shared/crypto/pem.ts";
import { parseJsonBytes } from "../shared/json.ts";
import { object, text } from "../shared/json_shape.ts";
import { type Address, parseAddress } from "./units.ts";

export interface EndorsementsServer {
  readonly type: "Azure" | "AMD" | "THIM";
  /** "host" or "host:port". */
  readonly url: string;
  /** After the first attempt. */
  readonly maxRetriesCount: number;
}

/** Where the configuration names no server, as in CCF. */
export const DEFAULT_SERVERS: readonly EndorsementsServer[] = [
  { type: "Azure", url: "global.acccache.azure.net", maxRetriesCount: 3 },
];

export interface EndorsementsRequest {
  readonly isTls: boolean;
  readonly address: Address;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly answer: "certificate in DER" | "certificates in PEM" | "THIM";
}

/**
 * The requests whose answers together are a chain, in the order of the chain.
 *
 * @throws FormatError where the server's address is none, or the report is of a processor of which AMD has no certificates
 */
export function requestsTo(server: EndorsementsServer, report: SnpReport): readonly EndorsementsRequest[] {
  const chip = toHex(report.chipId);
  // As one number, so without zeros in front.
  const tcb = BigInt(`0x${tcbToHex(report.reportedTcb)}`).toString(16);
  switch (server.type) {
    case "Azure": {
      const target = `/SevSnpVM/certificates/${chip}/${tcb}?api-version=2020-10-15-preview`;
      return [{
        isTls: true,
        address: parseServer(server.url, 443),
        target,
        headers: {},
        answer: "certificates in PEM",
      }];
    }
    case "AMD": {
      const product = productOf(report.cpu, "general");
      if (product === undefined) {
        const { family, model } = report.cpu;
        throw new FormatError(`AMD has no certificates for processors of family ${family}, model ${model}`);
      }
      const components = readTcb(product, report.reportedTcb);
      const levels = [
        ...(components.fmc === undefined ? [] : [`fmcSPL=${components.fmc}`]),
        `blSPL=${components.boot_loader}`,
        `teeSPL=${components.tee}`,
        `snpSPL=${components.snp}`,
        `ucodeSPL=${components.microcode}`,
      ];
      const common = { isTls: true, address: parseServer(server.url, 443), headers: {} };
      const shortChip = product === "Turin" ? chip.slice(0, 16) : chip;
      return [
        { ...common, target: `/vcek/v1/${product}/${shortChip}?${levels.join("&")}`, answer: "certificate in DER" },
        { ...common, target: `/vcek/v1/${product}/cert_chain`, answer: "certificates in PEM" },
      ];
    }
    case "THIM": {
      // A service of the machine's own host, without TLS.
      const target = `/metadata/THIM/amd/certification?platformId=${chip}&tcbVersion=${tcb}`;
      const headers = { Metadata: "true" };
      return [{ isTls: false, address: parseServer(server.url, 80), target, headers, answer: "THIM" }];
    }
  }
}

/** @param url "host" or "host:port" @throws FormatError */
export function parseServer(url: string, defaultPort: number): Address {
  const address = parseAddress(/:\d+$/.test(url) ? url : `${url}:${defaultPort}`);
  if (address.host === "" || address.port === 0 || /[\s/?#@]/.test(address.host)) {
    throw new FormatError(`${JSON.stringify(url)} is no server; write host or host:port`);
  }
  return address;
}

/** @throws FormatError */
export function parseAnswer({ answer }: Pick<EndorsementsRequest, "answer">, body: Uint8Array): readonly Uint8Array[] {
  switch (answer) {
    case "certificate in DER":
      return [body];
    case "certificates in PEM":
      return certificatesOf(fromUtf8(body));
    case "THIM":
      return parseThim(body).certificates;
  }
}

/** What Azure's host says of its processor. */
export interface HostCertificates {
  /** The TCB version that the first certificate is for, as one number in hex. */
  readonly tcbm: string;
  readonly certificates: readonly Uint8Array[];
}

const hostCertificates = object({ vcekCert: text, certificateChain: text, tcbm: text }, { cacheControl: text });

function parseThim(json: Uint8Array): HostCertificates {
  const { vcekCert, certificateChain, tcbm } = hostCertificates(parseJsonBytes(json), "");
  return { tcbm, certificates: [...certificatesOf(vcekCert), ...certificatesOf(certificateChain)] };
}

/**
 * Reads `snp_endorsements_file`, which Azure's containers have as `host-amd-cert-base64`: the JSON of THIM in base64.
 *
 * @throws FormatError
 */
export function parseHostCertificates(base64: string): HostCertificates {
  return parseThim(fromBase64(base64.trim()));
}

/** @throws FormatError */
export function certificatesOf(pem: string): readonly Uint8Array[] {
  const blocks = parsePem(pem).filter(({ label }) => label === "CERTIFICATE");
  if (blocks.length === 0) throw new FormatError("There is no certificate in PEM");
  return blocks.map(({ der }) => der);
}
