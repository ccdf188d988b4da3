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
export function pinContradiction({ options: { pin }, index, fold }: OpenLedger): Problem | undefined {
  if (pin === undefined) return undefined;
  const pinned = pinIn(pin);
  const { seqno } = pinned.lastSigned;
  const covering = index.has(seqno) ? index.coveringSignature(seqno) : undefined;
  if (covering === undefined) return undefined;
  const found: LedgerPin = {
    serviceIdentity: fold.identities.findLast(({ from }) => from <= seqno)?.certificate.nodeId ?? "",
    lastSigned: { view: index.view(seqno), seqno },
    root: index.tree.root(seqno),
  };
  const breach = pinMismatch(pinned, found, covering.seqno === seqno);
  return breach && problemOfBreach(breach);
}

/** The same where the source has no more, for now; and whether it is the service that was asked for. */
export function contradictionAtEnd(ledger: OpenLedger): Problem | undefined {
  const { options: { pin, serviceCertificatePem }, index, fold } = ledger;
  const signed = index.signatures.at(-1);
  if (pin !== undefined) {
    const pinned = pinIn(pin);
    const last = signed === undefined ? { view: 0, seqno: 0 } : { view: signed.view, seqno: signed.seqno };
    if (last.seqno < pinned.lastSigned.seqno || pinned.lastSigned.seqno < index.first) {
      return problemOfBreach(pinNotSeen(pinned, last));
    }
  }
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

const TODO: Readonly<Record<PinBreach["code"], string>> = {
  LedgerOlderThanPinned:
    "The node may be behind, or replay an old state: connect to another node, or choose newer files, and do not act on what is shown",
  LedgerForked:
    "Do not act on what is shown. Ask other members which of the two they see; keep the exported pin as evidence",
  IdentityChanged: "Do not act on what is shown. Ask other members what happened to the service",
  PinNotCovered: "Open the files from before the snapshot too, or connect to a node that has them",
};

function problemOfBreach({ code, reason }: PinBreach): Problem {
  return { code, what: WHAT[code], why: reason, todo: TODO[code] };
}
