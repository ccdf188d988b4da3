import { strict as assert } from "node:assert";
import { haveTeamData, teamData, teamTest } from "../../../tests/team_data.ts";
import { concat, fromHex, toHex } from "../../bytes.ts";
import { noblePrimitives } from "../../crypto/primitives.ts";
import { parseCertificatePem } from "../../crypto/x509.ts";
import { pinOf } from "../evidence_chain.ts";
import { isDebuggable, type QuoteBody } from "./bodies.ts";
import type { CollateralTexts } from "./collateral.ts";
import { commonName } from "./pck_certificate.ts";
import type { DcapPolicy } from "./policy.ts";
import type { DcapEvidence } from "./reading.ts";
import { type DcapVerdict, verifyDcap } from "./verify.ts";

const folder = teamData("attestation/vectors");

interface Vector {
  readonly id: string;
  readonly kind: string;
  readonly files: Readonly<Record<string, string>>;
  readonly verifyAt: string;
  readonly policy: Readonly<Record<string, unknown>>;
  // deno-lint-ignore no-explicit-any -- a table of expected values of many types
  readonly expect: Readonly<Record<string, any>>;
}

interface Negative {
  readonly id: string;
  readonly base: string;
  readonly replace?: Readonly<Record<string, string>>;
  readonly mutations: readonly Readonly<Record<string, string | number>>[];
  readonly collateralSet?: Readonly<Record<string, string>>;
  readonly collateralReplaceText?: Readonly<Record<string, readonly [string, string]>>;
  readonly policy?: Readonly<Record<string, unknown>>;
  readonly verifyAt?: string;
  readonly expect: { readonly reasons: readonly string[] };
}

interface Vectors {
  readonly vectors: readonly Vector[];
  readonly negatives: readonly Negative[];
}

/** A vector as the verifier takes it. */
interface Case {
  readonly evidence: DcapEvidence;
  readonly at: number;
  readonly policy: DcapPolicy;
  readonly pins: readonly string[];
}

const HEX_POLICIES = ["reportData", "mrenclave", "mrsigner", "mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"];

function readVectors(): Vectors {
  if (!haveTeamData) return { vectors: [], negatives: [] };
  const all: Vectors = JSON.parse(Deno.readTextFileSync(`${folder}/vectors.json`));
  const vectors = all.vectors.filter(({ kind }) => kind === "sgx" || kind === "tdx");
  return { vectors, negatives: all.negatives.filter(({ base }) => vectors.some(({ id }) => id === base)) };
}

function caseOf({ files, verifyAt, policy }: Pick<Vector, "files" | "verifyAt" | "policy">): Case {
  const collateral = files.collateral === undefined
    ? undefined
    : JSON.parse(Deno.readTextFileSync(`${folder}/${files.collateral}`)) as CollateralTexts;
  return {
    evidence: {
      quote: Deno.readFileSync(`${folder}/${files.quote}`),
      ...(collateral === undefined ? {} : { collateral }),
    },
    at: Date.parse(verifyAt),
    policy: Object.fromEntries(
      Object.entries(policy).map((
        [name, value],
      ) => [name, HEX_POLICIES.includes(name) ? fromHex(String(value)) : value]),
    ),
    pins: [pinOf(parseCertificatePem(Deno.readTextFileSync(`${folder}/${files.root}`)))],
  };
}

const verify = ({ evidence, at, policy, pins }: Case) => verifyDcap(evidence, { at, policy, pins }, noblePrimitives);

const { vectors, negatives } = readVectors();
const byId = new Map(vectors.map((vector) => [vector.id, vector]));

/** What a vector's `expect` says of values, under its names. */
function valuesOf({ quote, pckChain, platform, tcb }: DcapVerdict): Readonly<Record<string, unknown>> {
  const body = quote?.body;
  return {
    quoteVersion: quote?.header.version,
    bodyKind: body?.kind,
    certDataType: quote?.certification.type,
    fmspc: platform?.fmspc,
    pceid: platform?.pceId,
    pcesvn: platform?.pceSvn,
    cpusvn: platform?.cpuSvn,
    pckIssuer: pckChain && commonName(pckChain[1]!),
    qeIsvSvn: quote?.qeReport.isvSvn,
    trailing: quote?.trailing.length,
    debug: body && isDebuggable(body),
    tcbDate: tcb?.platform.date,
    platformTcbStatus: tcb?.platform.status,
    qeTcbStatus: tcb?.qe.status,
    moduleTcbStatus: tcb?.module?.status,
    relaunchStatus: tcb?.relaunchStatus,
    tcbStatus: tcb?.status,
    advisoryIds: tcb?.advisoryIds,
    tcbEvaluationDataNumber: tcb?.evaluationDataNumber,
  };
}

/** A body under the names of the vectors: ours in lower case, without underscores. */
function bodyValues(body: QuoteBody): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(body).map((
      [name, value],
    ) => [name.toLowerCase(), value instanceof Uint8Array ? toHex(value) : value]),
  );
}

teamTest("verifyDcap() gives every vector of SGX and TDX its verdict, reason and values", () => {
  for (const vector of vectors) {
    const { verdict, reasons, alsoAllowed: _, body, ...expected } = vector.expect;
    const found = verify(caseOf(vector));
    assert.equal(found.verdict, verdict === "accept" ? "verified" : "refused", `${vector.id}: ${found.reason}`);
    if (verdict === "reject") assert.ok(reasons.includes(found.code), `${vector.id}: ${found.code}`);
    const values = valuesOf(found);
    for (const [name, value] of Object.entries(expected)) assert.deepEqual(values[name], value, `${vector.id} ${name}`);
    if (body === undefined) continue;
    const bodyFound = bodyValues(found.quote!.body);
    for (const [name, value] of Object.entries(body)) {
      assert.equal(bodyFound[name.replaceAll("_", "")], value, `${vector.id} ${name}`);
    }
  }
  assert.equal(vectors.length, 47);
});

teamTest("verifyDcap() refuses every negative vector, for one of its reasons", () => {
  for (const negative of negatives) {
    const found = verify(negativeCase(negative));
    assert.equal(found.verdict, "refused", negative.id);
    assert.ok(negative.expect.reasons.includes(found.code!), `${negative.id}: ${found.code}, ${found.reason}`);
  }
  assert.equal(negatives.length, 222);
});

function negativeCase(negative: Negative): Case {
  const base = byId.get(negative.base)!;
  const changed = caseOf({
    files: { ...base.files, ...negative.replace },
    verifyAt: negative.verifyAt ?? base.verifyAt,
    policy: { ...base.policy, ...negative.policy },
  });
  let collateral = changed.evidence.collateral as CollateralTexts | undefined;
  if (collateral !== undefined) {
    const texts: Record<string, string | null> = { ...collateral, ...negative.collateralSet };
    for (const [name, [from, to]] of Object.entries(negative.collateralReplaceText ?? {})) {
      texts[name] = texts[name]!.replace(from, to);
    }
    collateral = texts as unknown as CollateralTexts;
  }
  const quote = negative.mutations.reduce((bytes, mutation) => mutate(bytes, mutation), changed.evidence.quote);
  return { ...changed, evidence: collateral === undefined ? { quote } : { quote, collateral } };
}

function mutate(bytes: Uint8Array, mutation: Negative["mutations"][number]): Uint8Array {
  const changed = bytes.slice();
  const { file, op } = mutation;
  assert.equal(file, "quote");
  switch (op) {
    case "xor":
      changed[Number(mutation.offset)]! ^= parseInt(String(mutation.mask), 16);
      return changed;
    case "set":
      changed.set(fromHex(String(mutation.hex)), Number(mutation.offset));
      return changed;
    case "truncate":
      return changed.subarray(0, Number(mutation.length));
    case "append":
      return concat(changed, fromHex(String(mutation.hex)));
    default:
      throw new Error(`the mutation ${op} is not known`);
  }
}
