/**
 * Where a certificate stands in its life, by a clock that the caller names: one rule for every screen.
 *
 * Members' certificates are not refused once they have ended, as in CCF; people should renew them all the same.
 */

export interface CertificateLife {
  /** Milliseconds since 1970. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export type LifeState = "not yet" | "valid" | "ends soon" | "ended";

/** Time enough to propose and vote for another one. */
const SOON_MS = 30 * 86_400_000;

export function lifeState({ notBeforeMs, notAfterMs }: CertificateLife, nowMs: number): LifeState {
  if (nowMs > notAfterMs) return "ended";
  if (nowMs < notBeforeMs) return "not yet";
  return nowMs > notAfterMs - SOON_MS ? "ends soon" : "valid";
}
