/**
 * What a receipt proves: its steps in order, each with what went into it.
 *
 * In: a receipt that was read, services whose certificates are at hand and how well each is known, what somebody says that
 * the receipt is for. Out: steps, the path from leaf to root, a verdict, what it does not prove.
 * The checks are those of `shared/receipt`; here they are put into the order in which people follow them, and after the
 * first that fails no other is said to hold. Knows nothing of the ledger (`receipt_in_ledger.ts`) and of connections.
 * Rules: ledger-and-receipts.md §8.1, §8.2
 */

import { FormatError } from "../../../shared/assert.ts";
import { equalBytes, toHex } from "../../../shared/bytes.ts";
import { parseLedgerSignatureHeader } from "../../../shared/crypto/cose_headers.ts";
import { nodeIdOf } from "../../../shared/crypto/identifiers.ts";
import type { Primitives } from "../../../shared/crypto/primitives.ts";
import { type Certificate, isSignedBy, parseCertificatePem, publicKeyOf } from "../../../shared/crypto/x509.ts";
import {
  authorityKeyIdentifier,
  keyIdentifierOf,
  subjectKeyIdentifier,
} from "../../../shared/crypto/x509_extensions.ts";
import { verifyCoseReceipt } from "../../../shared/receipt/cose_receipt.ts";
import type { Expected } from "../../../shared/receipt/expected.ts";
import { verifyReceipt } from "../../../shared/receipt/verify_receipt.ts";
import { formatTxId } from "../../../shared/tx_id.ts";
import type { ReadableReceipt } from "./read_receipts.ts";
import { notesOf, notProved, reading } from "./receipt_notes.ts";
import { CLAIMS, type DrawnPath, pathsOf } from "./receipt_path.ts";
import { described, failedStep, type ReceiptStep } from "./receipt_steps.ts";

/** A service whose certificate is at hand. */
export interface KnownService {
  readonly certificatePem: string;
  /** pinned: a person decided to trust it. open: the ledger that is open has it. given: somebody gave the certificate. */
  readonly known: "pinned" | "open" | "given";
  readonly name: string;
}

export interface JudgedReceipt {
  readonly name: string;
  readonly kind: "JSON" | "COSE";
  /** not pinned: all holds, for a key that nobody here decided to trust. */
  readonly verdict: "verified" | "not pinned" | "cannot be checked" | "refused";
  /** Of the verdict, as a sentence. */
  readonly reason: string;
  readonly steps: readonly ReceiptStep[];
  readonly paths: readonly DrawnPath[];
  /** Hex SHA-256 of the key of the service that it holds for. */
  readonly serviceIdentity?: string;
  /** Of the node that signed; COSE receipts are signed by the service, and name none. */
  readonly nodeId?: string;
  /** What is worth knowing and refuses nothing. */
  readonly notes: readonly string[];
  readonly notProved: readonly string[];
}

/** Never throws on what comes from outside. @param nowMs for notes about certificates that have ended */
export function judgeReceipt(
  given: Primitives,
  read: ReadableReceipt,
  services: readonly KnownService[],
  expected: Expected,
  nowMs: number,
): JudgedReceipt {
  const primitives = remembering(given);
  const certified = services.flatMap((service) => {
    const certificate = reading(() => parseCertificatePem(service.certificatePem));
    return certificate instanceof FormatError ? [] : [{ ...service, certificate }];
  });
  const drawn = reading(() => pathsOf(primitives, read));
  const paths = drawn instanceof FormatError ? [] : drawn;
  const found = read.kind === "JSON" ? serviceOfJson(primitives, read, certified) : serviceOfCose(read, certified);
  const steps = read.kind === "JSON"
    ? jsonSteps(primitives, read, found, expected, paths)
    : coseSteps(primitives, read, found, expected, paths);
  if (drawn instanceof FormatError) steps.unshift(failedStep("readable", drawn.message));
  const ordered = upToFirstFailure([...steps, trustStep(found)]);
  const identity = found?.certificate && nodeIdOf(found.certificate.spki);
  return {
    name: read.name,
    kind: read.kind,
    ...verdictOf(ordered),
    steps: ordered,
    paths,
    ...(identity !== undefined && { serviceIdentity: identity }),
    ...(read.kind === "JSON" && { nodeId: read.receipt.nodeId }),
    notes: notesOf(read, found?.certificate, paths, nowMs),
    notProved: notProved(read, expected),
  };
}

/** Finding the service and verifying with it ask for the same signatures, which cost most of the time. */
function remembering(primitives: Primitives): Primitives {
  const known = new Map<string, boolean>();
  return {
    ...primitives,
    ecdsaVerifyHashed(curve, publicKey, digest, signature) {
      const key = [curve, ...[publicKey, digest, signature].map(toHex)].join(" ");
      const holds = known.get(key) ?? primitives.ecdsaVerifyHashed(curve, publicKey, digest, signature);
      known.set(key, holds);
      return holds;
    },
  };
}

type Certified = KnownService & { readonly certificate: Certificate };

/** The service that issued the node's certificate, or the oldest key's that the receipt brings along. */
function serviceOfJson(
  primitives: Primitives,
  { receipt }: Extract<ReadableReceipt, { kind: "JSON" }>,
  services: readonly Certified[],
): Certified | undefined {
  const found = reading(() => {
    const signed = parseCertificatePem(receipt.serviceEndorsementsPem.at(-1) ?? receipt.certificatePem);
    const issuer = services.find(({ certificate }) =>
      reading(() => isSignedBy(primitives, signed, publicKeyOf(certificate))) === true
    );
    // Also where it only says so: then it is a forged or damaged certificate of that service, and not one of another.
    return issuer ?? services.find(({ certificate }) => namesAsIssuer(signed, certificate));
  });
  return found instanceof FormatError ? undefined : found;
}

/** By the key identifiers of both (RFC 5280 §4.2.1.1): every service has the same name. */
function namesAsIssuer(signed: Certificate, service: Certificate): boolean {
  const wanted = authorityKeyIdentifier(signed.extensions);
  const own = subjectKeyIdentifier(service.extensions) ?? keyIdentifierOf(service.spki);
  return wanted !== undefined && equalBytes(wanted, own);
}

/** The service whose key the receipt names. */
function serviceOfCose(
  { receipt }: Extract<ReadableReceipt, { kind: "COSE" }>,
  services: readonly Certified[],
): Certified | undefined {
  const header = reading(() => parseLedgerSignatureHeader(receipt.message));
  if (header instanceof FormatError) return undefined;
  return services.find(({ certificate }) => nodeIdOf(certificate.spki) === header.keyId);
}

function jsonSteps(
  primitives: Primitives,
  { receipt }: Extract<ReadableReceipt, { kind: "JSON" }>,
  service: Certified | undefined,
  expected: Expected,
  paths: readonly DrawnPath[],
): ReceiptStep[] {
  // Without a service the rest can still be checked: any certificate does, and the step that compares with it is not taken.
  const verdict = reading(() =>
    verifyReceipt(primitives, receipt, service?.certificatePem ?? receipt.certificatePem, expected)
  );
  if (verdict instanceof FormatError) return [failedStep("certificate", verdict.message)];
  const steps = verdict.steps.map(({ name, result, detail }): ReceiptStep => {
    if (name === "service" && service === undefined) {
      return {
        ...described(name, "cannot be checked", "the certificate that would have to have signed is not at hand"),
        meaning:
          "Connect to the service, pin it, or give its certificate below. If you did: it is a receipt of another",
      };
    }
    return described(name, result, detail, jsonInputs(name, receipt, service, expected, paths[0]));
  });
  return [...leafSteps(paths), ...steps];
}

function jsonInputs(
  name: string,
  receipt: Extract<ReadableReceipt, { kind: "JSON" }>["receipt"],
  service: Certified | undefined,
  expected: Expected,
  path: DrawnPath | undefined,
): Record<string, string> {
  switch (name) {
    case "signature":
      return { Root: path?.root ?? "", "Signature (DER)": toHex(receipt.signature) };
    case "node":
      return { "Node named by the receipt": receipt.nodeId, "Certificate of the node": receipt.certificatePem };
    case "service":
      return service === undefined
        ? {}
        : { "Service's key": nodeIdOf(service.certificate.spki), "Its certificate": service.certificatePem };
    default:
      return commonInputs(name, expected, path);
  }
}

function coseSteps(
  primitives: Primitives,
  { receipt }: Extract<ReadableReceipt, { kind: "COSE" }>,
  service: Certified | undefined,
  expected: Expected,
  paths: readonly DrawnPath[],
): ReceiptStep[] {
  const header = reading(() => parseLedgerSignatureHeader(receipt.message));
  if (header instanceof FormatError) return [failedStep("readable", header.message)];
  const named = { "Key that the receipt names": header.keyId };
  if (service === undefined) {
    const why = `the receipt names the service key ${header.keyId}, and its certificate is not at hand`;
    const roots = new Set(paths.map(({ root }) => root));
    return [
      ...leafSteps(paths),
      described("root", roots.size === 1 ? "verified" : "failed", rootText(paths)),
      {
        ...described("signature", "cannot be checked", why, named),
        meaning: "Connect to the service, pin it, or give its certificate below",
      },
    ];
  }
  const verdict = reading(() => verifyCoseReceipt(primitives, receipt, service.certificatePem, expected));
  if (verdict instanceof FormatError) return [failedStep("certificate", verdict.message)];
  // People follow the proof upwards: first the root, then by which key it is signed.
  const rank = (name: string) => ["readable", "root", "algorithm", "key", "signature", "claims"].indexOf(name);
  const sorted = verdict.steps.map((step, i) => ({ step, i })).toSorted((a, b) =>
    (rank(a.step.name) >>> 0) - (rank(b.step.name) >>> 0) || a.i - b.i
  );
  const inputs = (name: string) =>
    name === "signature"
      ? {
        Root: paths[0]?.root ?? "",
        Signature: toHex(receipt.message.signature),
        "Service's certificate": service.certificatePem,
      }
      : name === "key"
      ? { ...named, "Service's key": nodeIdOf(service.certificate.spki) }
      : commonInputs(name, expected, paths[0]);
  return [
    ...leafSteps(paths),
    ...sorted.map(({ step: { name, result, detail } }) => described(name, result, detail, inputs(name))),
  ];
}

function commonInputs(name: string, expected: Expected, path: DrawnPath | undefined): Record<string, string> {
  switch (name) {
    case "root":
      return path === undefined ? {} : { Leaf: path.leaf, Root: path.root };
    case "claims": {
      const claims = path?.parts.find(({ name }) => name === CLAIMS)?.hash;
      return {
        ...(expected.claimsDigest && { "Digest of the given claims": toHex(expected.claimsDigest) }),
        ...(claims !== undefined && { "Claims digest in the receipt": claims }),
      };
    }
    case "transaction":
      return {
        ...(expected.txId && { "Asked for": formatTxId(expected.txId) }),
        ...(path?.txId && { "In the receipt": formatTxId(path.txId) }),
      };
    default:
      return {};
  }
}

function rootText(paths: readonly DrawnPath[]): string {
  const roots = new Set(paths.map(({ root }) => root));
  return roots.size === 1 ? `the proof leads to root ${paths[0]!.root}` : "the proofs lead to different roots";
}

/** What the leaves are made of. A path with fewer left steps than its transaction has is not whole. */
function leafSteps(paths: readonly DrawnPath[]): ReceiptStep[] {
  const steps: ReceiptStep[] = [];
  for (const { parts, leaf, txId, commitEvidence, steps: path } of paths) {
    if (parts.length === 0) continue;
    steps.push(
      described(
        "leaf",
        "verified",
        `the digests of what it wrote, of its commit evidence and of its claims lead to leaf ${leaf}`,
        {
          ...Object.fromEntries(parts.map(({ name, hash }) => [name, hash])),
          ...(commitEvidence !== undefined && { "commit evidence": commitEvidence }),
        },
      ),
    );
    if (txId === undefined) continue;
    const wanted = leftStepsOf(txId.seqno);
    const has = path.filter(({ side }) => side === "left").length;
    steps.push(
      described(
        "path",
        has === wanted ? "verified" : "failed",
        `transaction ${formatTxId(txId)} has ${wanted} ${wanted === 1 ? "step" : "steps"} from the left, as the path ` +
          `${has === wanted ? "does" : `has ${has}`}`,
        { Steps: path.map(({ side }) => side).join(", ") || "none" },
      ),
    );
  }
  return steps;
}

/** Leaf n has n leaves on its left: their complete trees are as many as n has bits set (ledger-and-receipts.md §5.2). */
function leftStepsOf(seqno: number): number {
  return [...seqno.toString(2)].filter((bit) => bit === "1").length;
}

function trustStep(service: Certified | undefined): ReceiptStep {
  const name = "trust";
  if (service === undefined) {
    return described(
      name,
      "cannot be checked",
      "which service it is of is not known, so it is none that you have pinned",
    );
  }
  const identity = nodeIdOf(service.certificate.spki);
  if (service.known === "pinned") {
    return described(name, "verified", `it is of ${service.name}, which you have pinned`, {
      "Service's key": identity,
    });
  }
  const from = service.known === "open"
    ? "the service of the ledger that is open"
    : "of the certificate that was given";
  return {
    ...described(
      name,
      "cannot be checked",
      `valid for key ${identity}, which you have not pinned: it is ${from}`,
      { "Service's key": identity },
    ),
    meaning: "Verify the service under Connect and pin it; then this receipt counts as much as that service",
  };
}

/** What comes after a failure is not reached: nothing of it would mean anything. */
function upToFirstFailure(steps: readonly ReceiptStep[]): readonly ReceiptStep[] {
  const failed = steps.findIndex(({ result }) => result === "failed");
  return steps.map((step, i) => {
    if (failed === -1 || i <= failed) return step;
    const { meaning: _gone, ...rest } = step;
    return { ...rest, result: "not reached", detail: `"${steps[failed]!.title}" failed before` };
  });
}

function verdictOf(steps: readonly ReceiptStep[]): Pick<JudgedReceipt, "verdict" | "reason"> {
  const failed = steps.find(({ result }) => result === "failed");
  if (failed !== undefined) return { verdict: "refused", reason: `${failed.title}: no; ${failed.detail}` };
  const open = steps.find(({ name, result }) => result === "cannot be checked" && name !== "trust");
  if (open !== undefined) return { verdict: "cannot be checked", reason: `${open.title}: ${open.detail}` };
  const trust = steps.find(({ name }) => name === "trust")!;
  return trust.result === "verified"
    ? { verdict: "verified", reason: trust.detail }
    : { verdict: "not pinned", reason: trust.detail };
}
