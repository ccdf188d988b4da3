/**
 * What a test of `quote verify` asks, unless it says otherwise: everything, strictly, at the moment of the forged evidence.
 */

import { noblePrimitives } from "../shared/crypto/primitives.ts";
import type { QuoteRequest } from "../node/quote_verify.ts";
import { ANCHORS, MOMENT } from "./trust_forge.ts";

export function quoteRequest(target: string, more: Partial<QuoteRequest> = {}): QuoteRequest {
  return {
    primitives: noblePrimitives,
    engine: undefined,
    target,
    upTo: "network",
    at: MOMENT,
    nowMs: MOMENT,
    mode: "strict",
    allowVirtual: false,
    expected: {},
    json: true,
    anchors: ANCHORS,
    ...more,
  };
}
