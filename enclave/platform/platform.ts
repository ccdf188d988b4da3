/**
 * A platform: what vouches for the code that runs, and may keep a secret for it.
 *
 * In: what was detected. Out: one of four, behind one interface. What they answer is not yet believed: `own_evidence.ts`
 * checks it like any other node's evidence.
 */

import { unreachable } from "../../shared/assert.ts";
import type { Detected, PlatformKind } from "./detect.ts";
import type { Protocol } from "./devices.ts";
import { sgxPlatform } from "./sgx.ts";
import { snpPlatform } from "./snp.ts";
import { tdxPlatform } from "./tdx.ts";

export interface Platform {
  readonly kind: PlatformKind;
  /**
   * Asks for evidence, of the exact length that its format has.
   *
   * @param reportData what the evidence is to bind: at most 64 bytes
   * @throws PlatformFailure
   */
  evidence(reportData: Uint8Array): Protocol<RawEvidence>;
  /** The code's measurement, as the evidence has it: hex of it is `code_digest`. @throws FormatError */
  measure(evidence: Uint8Array): Uint8Array;
  /**
   * A key of 32 bytes that only this code on this machine gets, the same at each start. Undefined where a platform has none:
   * then nothing can be sealed.
   *
   * @param tcbVersion 8 bytes, as in a report: older firmware does not get the key
   * @throws PlatformFailure
   */
  readonly sealingKey?: (tcbVersion: Uint8Array) => Protocol<Uint8Array>;
}

export interface RawEvidence {
  readonly quote: Uint8Array;
  /** A table of certificates that the hypervisor gave along; may be empty, and proves nothing. */
  readonly certificates: Uint8Array;
}

/**
 * The hardware that was detected.
 *
 * @param name for directories of one's own, which nobody else uses
 */
export function hardwarePlatform(detected: Exclude<Detected, { kind: "virtual" }>, name: string): Platform {
  switch (detected.kind) {
    case "snp":
      return snpPlatform(detected.by, name);
    case "tdx":
      return tdxPlatform(name);
    case "sgx":
      return sgxPlatform();
    default:
      return unreachable(detected);
  }
}
