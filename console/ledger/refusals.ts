/**
 * Why a ledger is not gone on with: it does not hold, or contradicts what was verified before.
 *
 * In: what was found. Out: problems for people.
 */

import { FormatError } from "../../shared/assert.ts";
import { fromHex } from "../../shared/bytes.ts";
import { nodeIdOf } from "../../shared/crypto/identifiers.ts";
import { parseCertificatePem } from "../../shared/crypto/x509.ts";
import { type LedgerPin, type PinBreach, pinMismatch, pinNotSeen } from "../../shared/ledger/pin.ts";
import { parseTxId, type Seqno } from "../../shared/tx_id.ts";
import type { Problem } from "../problem.ts";
import type { OpenLedger } from "./open_ledger.ts";
import type { Pin } from "./protocol.ts";

export function refused(
  { seqno, reason }: { readonly seqno: Seqno; readonly reason: string },
): Problem & { readonly seqno: Seqno } {
  return {
    code: "LedgerRefused",
    what: `The ledger does not hold from entry ${seqno} on`,
    why: reason,
    todo:
      "Do not trust this source. What was signed before stands; compare with another node, or run `deno task run ledger verify`",
    seqno,
  };
}

/** The pin, as the core has it. */
function pinIn({ serviceIdentity, lastSigned, root }: Pin): LedgerPin {
  return { serviceIdentity, lastSigned: parseTxId(lastSigned), root: fromHex(root) };
}

/** What the ledger contradicts of what was verified before, as far as it was read. */
export function pinContradiction(ledger: OpenLedger): Problem | undefined {
  const breach = breachAtPin(ledger);
  return breach && problemOfBreach(breach);
}

/** The pin that was given, and whether the ledger, which has no more for now, goes on from it. */
export function pinStanding(
  ledger: OpenLedger,
): { readonly pin: LedgerPin; readonly breach: PinBreach | undefined } | undefined {
  const { options, index } = ledger;
  if (options.pin === undefined) return undefined;
  const pin = pinIn(options.pin);
  const signed = index.signatures.at(-1);
  const last = signed === undefined ? { view: 0, seqno: 0 } : { view: signed.view, seqno: signed.seqno };
  const isSeen = pin.lastSigned.seqno >= index.first && pin.lastSigned.seqno <= last.seqno;
  return { pin, breach: isSeen ? breachAtPin(ledger) : pinNotSeen(pin, last) };
}

/** Where the pinned place was read and is signed. */
function breachAtPin({ options, index, fold }: OpenLedger): PinBreach | undefined {
  if (options.pin === undefined) return undefined;
  const pin = pinIn(options.pin);
  const { seqno } = pin.lastSigned;
  const covering = index.has(seqno) ? index.coveringSignature(seqno) : undefined;
  if (covering === undefined) return undefined;
  const found: LedgerPin = {
    serviceIdentity: fold.identities.findLast(({ from }) => from <= seqno)?.certificate.nodeId ?? "",
    lastSigned: { view: index.view(seqno), seqno },
    root: index.tree.root(seqno),
  };
  return pinMismatch(pin, found, covering.seqno === seqno);
}

/** The same where the source has no more, for now; and whether it is the service that was asked for. */
export function contradictionAtEnd(ledger: OpenLedger): Problem | undefined {
  const breach = pinStanding(ledger)?.breach;
  if (breach !== undefined) return problemOfBreach(breach);
  const { options: { serviceCertificatePem }, fold } = ledger;
  if (serviceCertificatePem === undefined) return undefined;
  let wanted: string;
  try {
    wanted = nodeIdOf(parseCertificatePem(serviceCertificatePem).spki);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    wanted = `unreadable: ${error.message}`;
  }
  const found = fold.identities.at(-1)?.certificate.nodeId;
  return wanted === found ? undefined : {
    code: "IdentityChanged",
    what: "The ledger is of another service",
    why: `Its service is ${String(found)}, and the certificate given is of ${wanted}`,
    todo: "Check which certificate members gave you",
  };
}

const WHAT: Readonly<Record<PinBreach["code"], string>> = {
  LedgerOlderThanPinned: "The ledger is older than what was verified here before",
  LedgerForked: "The ledger contradicts what was verified here before",
  IdentityChanged: "The service has another identity than the one that was verified here before",
  PinNotCovered: "What was verified here before cannot be compared with this ledger",
};

const WHAT_TO_DO: Readonly<Record<PinBreach["code"], string>> = {
  LedgerOlderThanPinned:
    "The node may be behind, or replay an old state: connect to another node, or choose newer files, and do not act on what is shown",
  LedgerForked:
    "Do not act on what is shown. Ask other members which of the two they see; keep the exported pin as evidence",
  IdentityChanged: "Do not act on what is shown. Ask other members what happened to the service",
  PinNotCovered: "Open the files from before the snapshot too, or connect to a node that has them",
};

function problemOfBreach({ code, reason }: PinBreach): Problem {
  return { code, what: WHAT[code], why: reason, todo: WHAT_TO_DO[code] };
}
