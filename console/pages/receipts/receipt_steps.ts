/**
 * A step of what a receipt proves, with the words for it.
 *
 * In: what a check found. Out: the step for people: its title, what was found, what a failure mostly means.
 */

import type { StepResult } from "../../../shared/verdict.ts";

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
  service: "The certificate says that the service issued it, and the service did not: it was altered or forged",
  key: "It is a receipt of another service",
  claims:
    "The receipt is genuine, and is for other claims than those that were given: they were changed, or it is the receipt of another request",
  transaction: "The receipt is genuine, and is for another transaction than the one asked for",
};

/** Details of `shared/receipt` that say what should be, said as it is. */
const FAILED_DETAILS: Readonly<Record<string, string>> = {
  service: "the service's key did not sign the certificate that names it",
  signature: "the root that the leaf and the path lead to is not what this key signed",
  endorsement: "the next certificate is not that of an authority which signed it",
  algorithm: "the receipt names another algorithm than that of the service's key",
};

export function described(
  name: string,
  result: StepResult,
  told: string,
  inputs: Readonly<Record<string, string>> = {},
): ReceiptStep {
  const meaning = result === "failed" ? MEANINGS[name] : undefined;
  const detail = (result === "failed" ? FAILED_DETAILS[name] : undefined) ?? told;
  return { name, title: TITLES[name] ?? name, result, detail, inputs, ...(meaning !== undefined && { meaning }) };
}

export function failedStep(name: string, detail: string): ReceiptStep {
  return described(name, "failed", detail);
}
