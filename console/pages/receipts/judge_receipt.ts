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
import { toHex, toUtf8 } from "../../../shared/bytes.ts";
import { parseLedgerSignatureHeader } from "../../../shared/crypto/cose_headers.ts";
import { nodeIdOf } from "../../../shared/crypto/identifiers.ts";
import type { Primitives } from "../../../shared/crypto/primitives.ts";
import { type Certificate, isSignedBy, parseCertificatePem, publicKeyOf } from "../../../shared/crypto/x509.ts";
import { leafOf, NO_CLAIMS } from "../../../shared/merkle/leaf.ts";
import { foldPath, type MerklePath } from "../../../shared/merkle/path.ts";
import { verifyCoseReceipt } from "../../../shared/receipt/cose_receipt.ts";
import { type Expected, txIdOf } from "../../../shared/receipt/expected.ts";
import { verifyReceipt } from "../../../shared/receipt/verify_receipt.ts";
import { formatTxId, type TxId } from "../../../shared/tx_id.ts";
import type { StepResult } from "../../../shared/verdict.ts";
import type { ReadReceipt } from "./read_receipts.ts";

/** A service whose certificate is at hand. */
export interface KnownService {
  readonly certificatePem: string;
  /** pinned: a person decided to trust it. open: the ledger that is open has it. given: somebody gave the certificate. */
  readonly known: "pinned" | "open" | "given";
  readonly name: string;
}

export interface ReceiptStep {
  readonly name: string;
  /** For people: what is asked here. */
  readonly title: string;
  readonly result: StepResult | "not reached";
  readonly detail: string;
  /** What went in, by name. */
  readonly inputs: Readonly<Record<string, string>>;
  /** What a failure mostly means. */
  readonly meaning?: string;
}

/** A leaf and its way up; hashes in hex. */
export interface DrawnPath {
  readonly txId: TxId | undefined;
  readonly leaf: string;
  /** Whose digest is among the parts, such as "ce:2.24:6cc9…". */
  readonly commitEvidence?: string;
  /** What the leaf is the hash of; none where it stands for itself. */
  readonly parts: readonly { readonly name: string; readonly hash: string }[];
  /** From the leaf upwards, each with the node that it leads to. */
  readonly steps: readonly { readonly side: "left" | "right"; readonly hash: string; readonly node: string }[];
  readonly root: string;
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

type Readable = Exclude<ReadReceipt, { kind: "unreadable" }>;

/** Never throws on what comes from outside. @param nowMs for notes about certificates that have ended */
export function judgeReceipt(
  given: Primitives,
  read: Readable,
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
    notes: notesOf(read, found, paths, nowMs),
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
  { receipt }: Extract<Readable, { kind: "JSON" }>,
  services: readonly Certified[],
): Certified | undefined {
  const found = reading(() => {
    const signed = parseCertificatePem(receipt.serviceEndorsementsPem.at(-1) ?? receipt.certificatePem);
    return services.find(({ certificate }) => {
      const isIssuer = reading(() => isSignedBy(primitives, signed, publicKeyOf(certificate)));
      return isIssuer === true;
    });
  });
  return found instanceof FormatError ? undefined : found;
}

/** The service whose key the receipt names. */
function serviceOfCose(
  { receipt }: Extract<Readable, { kind: "COSE" }>,
  services: readonly Certified[],
): Certified | undefined {
  const header = reading(() => parseLedgerSignatureHeader(receipt.message));
  if (header instanceof FormatError) return undefined;
  return services.find(({ certificate }) => nodeIdOf(certificate.spki) === header.keyId);
}

function jsonSteps(
  primitives: Primitives,
  { receipt }: Extract<Readable, { kind: "JSON" }>,
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
  receipt: Extract<Readable, { kind: "JSON" }>["receipt"],
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
  { receipt }: Extract<Readable, { kind: "COSE" }>,
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

const TITLES: Readonly<Record<string, string>> = {
  readable: "It can be read",
  certificate: "The certificate can be read",
  leaf: "The leaf is made of this transaction",
  path: "The path fits to the transaction",
  root: "The path leads to a root",
  signature: "The root is signed",
  algorithm: "The algorithm is that of the key",
  key: "The key is the service's",
  node: "The signer is the node that is named",
  endorsement: "An older key of the service vouches for the signer",
  service: "The service vouches for the signer",
  claims: "The claims are those that were given",
  transaction: "The transaction is the one asked for",
  trust: "The service is one that you trust",
};

const MEANINGS: Readonly<Record<string, string>> = {
  leaf: "A digest by itself proves that something was hashed, and not which transaction",
  path: "The proof was cut or belongs to another transaction: fetch the receipt again",
  root: "Proofs were put together that do not belong together",
  signature:
    "Something that leads to the root was changed, or the signature was: the receipt was tampered with or damaged",
  node: "The certificate was exchanged for that of another node",
  endorsement: "A certificate in the chain was exchanged; nodes may not vouch for nodes",
  service: "It is a receipt of another service",
  key: "It is a receipt of another service",
  claims:
    "The receipt is genuine, and is for other claims than those that were given: they were changed, or it is the receipt of another request",
  transaction: "The receipt is genuine, and is for another transaction than the one asked for",
};

/** Details of `shared/receipt` that say what should be, said as it is. */
const FAILED_DETAILS: Readonly<Record<string, string>> = {
  signature: "the root that the leaf and the path lead to is not what this key signed",
  endorsement: "the next certificate is not that of an authority which signed it",
  algorithm: "the receipt names another algorithm than that of the service's key",
};

function described(
  name: string,
  result: StepResult,
  told: string,
  inputs: Readonly<Record<string, string>> = {},
): ReceiptStep {
  const meaning = result === "failed" ? MEANINGS[name] : undefined;
  const detail = (result === "failed" ? FAILED_DETAILS[name] : undefined) ?? told;
  return { name, title: TITLES[name] ?? name, result, detail, inputs, ...(meaning !== undefined && { meaning }) };
}

function failedStep(name: string, detail: string): ReceiptStep {
  return described(name, "failed", detail);
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

const CLAIMS = "claims digest";

/** The way from each leaf to its root. @throws FormatError */
function pathsOf(primitives: Primitives, read: Readable): readonly DrawnPath[] {
  if (read.kind === "COSE") {
    return read.receipt.proofs.map((proof) => drawn(primitives, { kind: "components", ...proof }, proof.path));
  }
  return [drawn(primitives, read.receipt.leaf, read.receipt.proof)];
}

function drawn(
  primitives: Primitives,
  leaf: Extract<Readable, { kind: "JSON" }>["receipt"]["leaf"],
  path: MerklePath,
): DrawnPath {
  let node: Uint8Array;
  const parts: { name: string; hash: string }[] = [];
  let txId: TxId | undefined;
  if (leaf.kind === "digest") node = leaf.digest;
  else {
    const commitEvidenceDigest = primitives.sha256(toUtf8(leaf.commitEvidence));
    txId = txIdOf(leaf.commitEvidence);
    parts.push(
      { name: "write set digest", hash: toHex(leaf.writeSetDigest) },
      { name: "commit evidence digest", hash: toHex(commitEvidenceDigest) },
    );
    if (leaf.claimsDigest !== undefined) parts.push({ name: CLAIMS, hash: toHex(leaf.claimsDigest) });
    node = leafOf(primitives, {
      writeSetDigest: leaf.writeSetDigest,
      commitEvidenceDigest,
      claimsDigest: leaf.claimsDigest,
    });
  }
  const first = toHex(node);
  const steps = path.map((step) => {
    node = foldPath(primitives, node, [step]);
    return { side: step.side, hash: toHex(step.hash), node: toHex(node) };
  });
  return {
    txId,
    leaf: first,
    parts,
    steps,
    root: toHex(node),
    ...(leaf.kind === "components" && { commitEvidence: leaf.commitEvidence }),
  };
}

function notesOf(
  read: Readable,
  service: Certified | undefined,
  paths: readonly DrawnPath[],
  nowMs: number,
): readonly string[] {
  const notes: string[] = [];
  if (read.kind === "JSON") {
    const node = reading(() => parseCertificatePem(read.receipt.certificatePem));
    if (!(node instanceof FormatError)) notes.push(...dateNotes("certificate of the node that signed", node, nowMs));
    if (read.receipt.leaf.kind === "digest") {
      notes.push(
        "It is the receipt of a signature transaction, which proves a signed root alone and names no transaction.",
      );
    }
  } else {
    const header = reading(() => parseLedgerSignatureHeader(read.receipt.message));
    if (!(header instanceof FormatError)) {
      const time = new Date(header.issuedAtSeconds * 1000).toISOString().replace(".000", "");
      notes.push(`The root was signed in transaction ${formatTxId(header.txId)}, at ${time} by the signer's clock.`);
    }
  }
  if (service !== undefined) notes.push(...dateNotes("certificate of the service", service.certificate, nowMs));
  const claims = paths[0]?.parts.find(({ name }) => name === CLAIMS)?.hash;
  if (claims === toHex(NO_CLAIMS)) notes.push("The application made no claims about this transaction.");
  return notes;
}

function dateNotes(what: string, { notBeforeMs, notAfterMs }: Certificate, nowMs: number): string[] {
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  if (notAfterMs < nowMs) {
    return [
      `The ${what} ended on ${
        day(notAfterMs)
      }. That refuses nothing: a receipt proves what was signed then, and is kept ` +
      "for longer than certificates last.",
    ];
  }
  return notBeforeMs > nowMs ? [`The ${what} begins on ${day(notBeforeMs)}, which is still to come.`] : [];
}

function notProved({ kind }: Readable, { claimsDigest, txId }: Expected): readonly string[] {
  return [
    ...(claimsDigest === undefined
      ? ["What the transaction did: the receipt holds digests. Give the claims of the application to compare with."]
      : []),
    ...(txId === undefined ? ["That it is the transaction that you mean: give its TxID to compare with."] : []),
    "That what the transaction wrote still stands: a later one may have changed it.",
    "That the application was right, or did what it says: read its code, and who allowed it.",
    kind === "JSON"
      ? "When it was committed: no time is signed in a receipt of this kind."
      : "When it was committed, but for the clock of the node that signed.",
    "That the service runs on protected hardware: that is what Attestation is for.",
  ];
}

function reading<T>(read: () => T): T | FormatError {
  try {
    return read();
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
}
