/**
 * Recorded SEV-SNP evidence of the team folder, for tests of its parts. `vectors.json` as a whole is evaluated elsewhere.
 */

import type { SnpEvidence, SnpOptions } from "../shared/attestation/snp.ts";
import { snpPinsOf } from "../shared/attestation/snp_chain.ts";
import type { SnpTcb } from "../shared/attestation/snp_report.ts";
import { concat, fromHex } from "../shared/bytes.ts";
import { parseCertificate, parseCertificatePem } from "../shared/crypto/x509.ts";
import { teamData } from "./team_data.ts";

/** What a vector of `vectors.json` says, as far as tests of parts read it. */
export interface SnpVector {
  readonly id: string;
  readonly kind: string;
  readonly files: Readonly<Record<string, string | readonly string[]>>;
  readonly verifyAt: string;
  readonly policy: {
    readonly allowDebug?: boolean;
    readonly reportData?: string;
    readonly measurement?: string;
    readonly hostData?: string;
    readonly minTcb?: Partial<SnpTcb>;
  };
  readonly expect: {
    readonly verdict: "accept" | "reject" | "parse-only";
    readonly reasons?: readonly string[];
    readonly product?: "Milan" | "Genoa" | "Turin";
    readonly certProduct?: string;
    readonly keyKind?: string;
    readonly tcb?: Readonly<Record<string, number>>;
    readonly report?: Readonly<Record<string, unknown>>;
    readonly hwid?: string;
    readonly cspId?: string;
  };
}

/** Where a negative differs from its base, as far as those of SEV-SNP do. */
export interface SnpNegative extends Partial<Pick<SnpVector, "policy" | "verifyAt">> {
  readonly id: string;
  readonly base: string;
  readonly replace?: SnpVector["files"];
  readonly mutations: readonly {
    readonly file: string;
    readonly op: "xor" | "set" | "truncate" | "append";
    readonly offset?: number;
    readonly mask?: string;
    readonly hex?: string;
    readonly length?: number;
  }[];
  readonly expect: SnpVector["expect"];
}

export function vectorFile(path: string): Uint8Array {
  return Deno.readFileSync(teamData(`attestation/vectors/${path}`));
}

/** DER of a certificate in a file with DER or PEM. */
export function vectorCertificate(path: string): Uint8Array {
  const bytes = vectorFile(path);
  return path.endsWith(".pem") ? parseCertificatePem(new TextDecoder().decode(bytes)).der : bytes;
}

function readAll(): { vectors: SnpVector[]; negatives: SnpNegative[] } {
  return JSON.parse(new TextDecoder().decode(vectorFile("vectors.json")));
}

/** All SEV-SNP vectors, those that are for parsing alone too. */
export function snpVectors(): SnpVector[] {
  return readAll().vectors.filter(({ kind }) => kind === "snp" || kind === "snp-parse");
}

/** The negatives of SEV-SNP vectors, each with its base; not those about endorsements of utility VMs. */
export function snpNegatives(): (readonly [SnpNegative, SnpVector])[] {
  const { vectors, negatives } = readAll();
  return negatives.flatMap((negative) => {
    const base = vectors.find(({ id }) => id === negative.base)!;
    return base.kind === "snp" && negative.replace?.uvm === undefined ? [[negative, base] as const] : [];
  });
}

export function snpVector(id: string): SnpVector {
  const vector = snpVectors().find((vector) => vector.id === id);
  if (vector === undefined) throw new Error(`There is no vector ${id}`);
  return vector;
}

/** The evidence of a vector, with its list of revoked certificates if it has one, changed as a negative says. */
export function snpEvidence(
  { files }: Pick<SnpVector, "files">,
  mutations: SnpNegative["mutations"] = [],
): SnpEvidence & { readonly chain: readonly Uint8Array[] } {
  const mutate = (role: string, bytes: Uint8Array) =>
    mutations.filter(({ file }) => file === role).reduce((bytes, mutation) => mutated(bytes, mutation), bytes);
  const [vek, report] = [files.vek as string, files.report as string];
  const chain = [mutate("vek", vectorCertificate(vek)), ...(files.chain as string[]).map(vectorCertificate)];
  const evidence = { report: mutate("report", vectorFile(report)), chain };
  return typeof files.crl === "string" ? { ...evidence, crl: mutate("crl", vectorFile(files.crl)) } : evidence;
}

function mutated(bytes: Uint8Array, mutation: SnpNegative["mutations"][number]): Uint8Array {
  const copy = bytes.slice();
  switch (mutation.op) {
    case "xor":
      copy[mutation.offset!]! ^= parseInt(mutation.mask!, 16);
      return copy;
    case "set":
      copy.set(fromHex(mutation.hex!), mutation.offset!);
      return copy;
    case "truncate":
      return copy.subarray(0, mutation.length!);
    case "append":
      return concat(copy, fromHex(mutation.hex!));
  }
}

/** How a vector is to be verified: its moment, its policy, its roots. */
export function snpOptions({ verifyAt, policy, files }: SnpVector): SnpOptions {
  const bytes = (name: "reportData" | "measurement" | "hostData") => {
    const hex = policy[name];
    return hex === undefined ? {} : { [name]: fromHex(hex) };
  };
  const { allowDebug, minTcb } = policy;
  return {
    at: Date.parse(verifyAt),
    rules: "general",
    policy: {
      ...bytes("reportData"),
      ...bytes("measurement"),
      ...bytes("hostData"),
      ...(allowDebug === undefined ? {} : { allowDebug }),
      ...(minTcb === undefined ? {} : { minTcb }),
    },
    ...(files.trustedRoots === undefined ? {} : {
      pins: snpPinsOf((files.trustedRoots as string[]).map((path) => parseCertificate(vectorCertificate(path)))),
    }),
  };
}
