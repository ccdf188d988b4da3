/**
 * One client connection as the enclave remembers it (http-api.md §4.5): who is at the other end, and in which view its
 * first request ran.
 */

import type { Primitives } from "../../shared/crypto/primitives.ts";
import type { View } from "../../shared/tx_id.ts";
import { toHex } from "../../shared/bytes.ts";
import { type Certificate, parseCertificate, serialiseCertificatePem } from "../../shared/crypto/x509.ts";
import { FormatError } from "../../shared/assert.ts";

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
  readonly interfaceName: string;
  readonly #der: Uint8Array | null;
  #caller: CallerCertificate | null | undefined;

  constructor(interfaceName: string, callerCertificate: Uint8Array | null) {
    this.interfaceName = interfaceName;
    this.#der = callerCertificate;
  }

  /** The client's certificate; null where it showed none, or one that cannot be read. */
  caller(primitives: Primitives): CallerCertificate | null {
    if (this.#caller === undefined) this.#caller = readCaller(this.#der, primitives);
    return this.#caller;
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
