/**
 * What the enclave may draw on besides its inputs: entropy and fast arithmetic. Passed in once, so that a simulator can
 * pass its own and two runs of one seed are equal.
 */

import type { EvidenceAnchors } from "../shared/attestation/evidence.ts";
import type { Primitives, Random } from "../shared/crypto/primitives.ts";
import type { AppEngine } from "./app_engine.ts";

export interface EnclavePowers {
  readonly primitives: Primitives;
  readonly random: Random;
  /** A fresh RSA-2048 key pair, by which ledger secrets reach the node. */
  rsaKeyPair(): { readonly publicKeyPem: string; readonly privateKeyPkcs8: Uint8Array };
  /** Runs member-approved JavaScript. */
  readonly scripts: AppEngine;
  /** Root keys of hardware to believe in the place of their makers': for tests, which have no such hardware. */
  readonly evidenceAnchors?: EvidenceAnchors;
}
