/**
 * Recorded and synthetic evidence of SGX and TDX of the team folder, for tests of its parts. `vectors.json` as a whole is
 * evaluated elsewhere.
 */

import type { CollateralTexts } from "../shared/attestation/dcap/collateral.ts";
import type { DcapPolicy } from "../shared/attestation/dcap/policy.ts";
import { pinOf } from "../shared/attestation/evidence_chain.ts";
import { fromHex } from "../shared/bytes.ts";
import { parseCertificatePem } from "../shared/crypto/x509.ts";
import { teamData } from "./team_data.ts";

/** What a vector says, as far as tests of parts read it. */
export interface DcapVector {
  readonly id: string;
  readonly kind: string;
  readonly files: Readonly<Record<string, string>>;
  readonly verifyAt: string;
  readonly policy: Readonly<Record<string, unknown>>;
  readonly expect: { readonly verdict: "accept" | "reject"; readonly reasons?: readonly string[] };
}

/** A vector as the verifier takes it. */
export interface DcapCase {
  readonly quote: Uint8Array;
  readonly collateral: CollateralTexts | undefined;
  readonly at: number;
  readonly policy: DcapPolicy;
  readonly pins: readonly string[];
  /** PEM of the root that is trusted. */
  readonly root: string;
}

/** Members of a policy that are bytes, in hex. */
const HEX_POLICIES = ["reportData", "mrenclave", "mrsigner", "mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"];

/** Those of SGX and TDX. */
export function dcapVectors(): DcapVector[] {
  const { vectors }: { vectors: DcapVector[] } = JSON.parse(textOf("vectors.json"));
  return vectors.filter(({ kind }) => kind === "sgx" || kind === "tdx");
}

export function dcapVector(id: string): DcapVector {
  const vector = dcapVectors().find((one) => one.id === id);
  if (vector === undefined) throw new Error(`there is no vector ${id}`);
  return vector;
}

export function dcapCase({ files, verifyAt, policy }: DcapVector): DcapCase {
  const root = textOf(files.root!);
  return {
    quote: Deno.readFileSync(pathOf(files.quote!)),
    collateral: files.collateral === undefined ? undefined : JSON.parse(textOf(files.collateral)),
    at: Date.parse(verifyAt),
    policy: Object.fromEntries(
      Object.entries(policy).map((
        [name, value],
      ) => [name, HEX_POLICIES.includes(name) ? fromHex(String(value)) : value]),
    ),
    pins: [pinOf(parseCertificatePem(root))],
    root,
  };
}

function pathOf(path: string): string {
  return teamData(`attestation/vectors/${path}`);
}

function textOf(path: string): string {
  return Deno.readTextFileSync(pathOf(path));
}
