/**
 * One client connection as the enclave remembers it (http-api.md §4.5): who is at the other end, in which view its first
 * request ran, what it has seen, and whether its requests run here or on the primary.
 *
 * CCF compares views alone. That is not enough for a session to see what it saw before: a primary that has lost its quorum
 * drops what is not signed in its own view, and a backup that knows of a new view still has the end of the one before.
 */

import type { Primitives } from "../../shared/crypto/primitives.ts";
import { formatTxId, type Seqno, type TxId, type View } from "../../shared/tx_id.ts";
import { toHex } from "../../shared/bytes.ts";
import { type Certificate, parseCertificate, serialiseCertificatePem } from "../../shared/crypto/x509.ts";
import { FormatError } from "../../shared/assert.ts";
import type { HttpResponse } from "../messages.ts";
import { OdataError } from "./odata_error.ts";

/** What CCF takes for the interface of requests that arrived on none. */
export const PRIMARY_RPC_INTERFACE = "primary_rpc_interface";

/** A client's TLS certificate, taken apart once a session. */
export interface CallerCertificate {
  /** Hex SHA-256 of the DER: the ID of the member or user who has it. */
  readonly id: string;
  readonly pem: string;
  readonly certificate: Certificate;
}

export class Session {
  /** View of the first request; later requests must run in the same. */
  view: View | undefined;
  /** The newest transaction that an answer has named. */
  seen: TxId | undefined;
  /** A request of it has gone to the primary: those that may run on either follow it, so that they see what it wrote. */
  isForwarding = false;
  /** On which it arrived; undefined where another node forwards it, which has seen to the rules of its interface. */
  readonly interfaceName: string | undefined;
  /** DER of the certificate that the client showed. */
  readonly certificate: Uint8Array | null;
  #caller: CallerCertificate | null | undefined;

  constructor(interfaceName: string | undefined, certificate: Uint8Array | null) {
    this.interfaceName = interfaceName;
    this.certificate = certificate;
  }

  /** Whether the client is connected to another node, which sends its requests here. */
  get isForwarded(): boolean {
    return this.interfaceName === undefined;
  }

  /**
   * Begins in this node's view, or must have begun in it, and what it has seen must be here still.
   *
   * @throws OdataError where the session is over, since what it has seen may have been rolled back
   */
  requireConsistency({ view, path }: Ledger): void {
    this.view ??= view;
    if (this.view !== view) throw new SessionConsistencyLost(viewChange(this.view, view));
    if (this.seen !== undefined && path.viewOf(this.seen.seqno) !== this.seen.view) {
      throw new SessionConsistencyLost(loss(this.seen));
    }
  }

  /**
   * The same for a request that the primary is to run, which must have what this session has seen.
   *
   * @throws OdataError
   */
  requireConsistencyWithPrimary(node: Ledger): void {
    this.requireConsistency(node);
    const { view, path, store, committedTxId } = node;
    // All that comes before an entry of its view the primary has.
    if (this.seen === undefined || path.viewOf(store.version) === view) return;
    if (this.seen.seqno > committedTxId.seqno) throw new SessionConsistencyLost(loss(this.seen));
  }

  /** The client's certificate; null where it showed none, or one that cannot be read. */
  caller(primitives: Primitives): CallerCertificate | null {
    if (this.#caller === undefined) this.#caller = readCaller(this.certificate, primitives);
    return this.#caller;
  }
}

/** What a session asks of the node that it is with. */
interface Ledger {
  readonly view: View;
  readonly committedTxId: TxId;
  readonly store: { readonly version: Seqno };
  readonly path: { viewOf(seqno: Seqno): View | undefined };
}

function viewChange(began: View, now: View): string {
  return `This session began in view ${began} and the service is now in view ${now}; open a new session`;
}

function loss(seen: TxId): string {
  return `This session has seen transaction ${formatTxId(seen)}, which may have been rolled back; open a new session`;
}

/** The connection is closed with it. */
class SessionConsistencyLost extends OdataError {
  constructor(why: string) {
    super(500, "SessionConsistencyLost", why);
  }

  override toResponse(): HttpResponse {
    return { ...super.toResponse(), close: true };
  }
}

function readCaller(der: Uint8Array | null, primitives: Primitives): CallerCertificate | null {
  if (der === null) return null;
  try {
    return {
      id: toHex(primitives.sha256(der)),
      pem: serialiseCertificatePem(der),
      certificate: parseCertificate(der),
    };
  } catch (error) {
    if (error instanceof FormatError) return null;
    throw error;
  }
}
