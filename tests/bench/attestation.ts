/**
 * Verifying recorded evidence: how many reports and quotes a second, on one core, certificates and collateral in hand.
 */

import { loadNativePrimitives } from "../../enclave/native_primitives.ts";
import { INTEL_SGX_ROOT } from "../../shared/attestation/anchors.ts";
import { collateralTexts, parseCollateral } from "../../shared/attestation/dcap/collateral.ts";
import { verifyDcap } from "../../shared/attestation/dcap/verify.ts";
import { verifySnp } from "../../shared/attestation/snp.ts";
import { SnpChain } from "../../shared/attestation/snp_chain.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { snpEvidence, snpOptions, snpVector, vectorFile } from "../snp_vectors.ts";
import { haveTeamData } from "../team_data.ts";
import type { Figure } from "./figure.ts";

const SNP = "snp-milan-v2-crl";
/** Before measuring: the compiler, and tables of the curves, come once in the life of a process. */
const WARM_UP = 50;
/** A trust domain and an enclave, each with lists of revoked certificates. */
const DCAP = [
  { id: "tdx/tdx-v4-uptodate-a", what: "quote of TDX" },
  { id: "sgx/sgx-v3-confneeded", what: "quote of SGX" },
] as const;

export function benchAttestation(seconds: number): Promise<Figure[]> {
  if (!haveTeamData) {
    console.error("attestation is not measured: recorded evidence is in the team folder alone");
    return Promise.resolve([]);
  }
  return Promise.resolve([...benchSnp(seconds), ...benchDcap(seconds)]);
}

function benchSnp(seconds: number): Figure[] {
  const vector = snpVector(SNP);
  const { report, chain, crl } = snpEvidence(vector);
  const options = snpOptions(vector);
  const native = loadNativePrimitives();
  const known = new SnpChain(chain, crl);
  const rate = (what: string, verify: () => { readonly verdict: string }, target?: number) =>
    figure(what, seconds, verify, target);
  return [
    rate("report of SEV-SNP, chain known", () => verifySnp({ report, chain: known }, options, native), 100),
    rate(
      "report of SEV-SNP, chain known, as in a browser",
      () => verifySnp({ report, chain: known }, options, noblePrimitives),
    ),
    rate(
      "report of SEV-SNP, chain and list read each time",
      () => verifySnp({ report, chain, crl: crl! }, options, native),
    ),
  ];
}

function benchDcap(seconds: number): Figure[] {
  const native = loadNativePrimitives();
  const { vectors } = JSON.parse(new TextDecoder().decode(vectorFile("vectors.json"))) as {
    vectors: { id: string; verifyAt: string }[];
  };
  return DCAP.map(({ id, what }) => {
    const quote = vectorFile(`${id}/quote.bin`);
    const json = JSON.parse(new TextDecoder().decode(vectorFile(`${id}/collateral.json`)));
    const collateral = parseCollateral(collateralTexts(json));
    const at = Date.parse(vectors.find((vector) => id.endsWith(`/${vector.id}`))!.verifyAt);
    const policy = { acceptTcbStatus: ["UpToDate", "SWHardeningNeeded", "ConfigurationAndSWHardeningNeeded"] } as const;
    const options = { at, policy, pins: [INTEL_SGX_ROOT.spkiSha256] };
    return figure(
      `${what}, collateral read once`,
      seconds,
      () => verifyDcap({ quote, collateral }, options, native),
      50,
    );
  });
}

function figure(what: string, seconds: number, verify: () => { readonly verdict: string }, target?: number): Figure {
  for (let i = 0; i < WARM_UP; i++) verify();
  let count = 0;
  const begin = performance.now();
  const endMs = begin + seconds * 1000;
  while (performance.now() < endMs) {
    if (verify().verdict !== "verified") throw new Error(`What is measured must verify: ${what}`);
    count++;
  }
  const value = count / ((performance.now() - begin) / 1000);
  return { group: "attest", what, value, unit: "/s", ...(target !== undefined && { target }) };
}
