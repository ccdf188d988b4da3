/**
 * Error codes of the JSON-RPC door. Those below -32000 are the specification's, some of the others were CCF's in 2019
 * (json-rpc-2019.md §3).
 */

export const PARSE_ERROR = -32700;
export const INVALID_REQUEST = -32600;
export const METHOD_NOT_FOUND = -32601;
export const INVALID_PARAMS = -32602;
export const INTERNAL_ERROR = -32603;
export const TX_NOT_PRIMARY = -32001;
export const TX_FAILED_TO_REPLICATE = -32002;
export const INSUFFICIENT_RIGHTS = -32004;
export const TX_PRIMARY_UNKNOWN = -32005;
export const INVALID_CALLER_ID = -32008;
/** The answer is not there yet: ask again. */
export const NOT_READY = -32020;
/** Whatever an endpoint says with another status. */
export const APP_ERROR = -32050;

/** A call that never became a request. */
export class CallError extends Error {
  override name = "CallError";

  constructor(readonly code: number, message: string) {
    super(message);
  }
}
