/**
 * HTTP failures: thrown at the door, caught once in `Frontend`, sent as the OData error envelope.
 *
 * Codes and envelope: http-api.md §3.1, §3.2.
 */

import { stableJson } from "../../shared/json.ts";
import { toUtf8 } from "../../shared/bytes.ts";
import type { HeaderList, HttpResponse } from "../messages.ts";

export type ErrorCode =
  | "AuthorizationFailed"
  | "CSRPublicKeyInvalid"
  | "BackupNotFound"
  | "FrontendNotOpen"
  | "InternalError"
  | "InvalidAuthenticationInfo"
  | "InvalidCreatedAt"
  | "InvalidHeaderValue"
  | "InvalidInput"
  | "InvalidNodeState"
  | "InvalidQueryParameterValue"
  | "InvalidQuote"
  | "InvalidResourceName"
  | "MissingApiVersionParameter"
  | "NodeAlreadyExists"
  | "NodeCannotHandleRequest"
  | "NodeNotRetiredCommitted"
  | "NotImplemented"
  | "PrimaryNotFound"
  | "ProposalCreatedTooLongAgo"
  | "ProposalFailedToValidate"
  | "ProposalNotFound"
  | "ProposalNotOpen"
  | "ProposalReplay"
  | "RequestAlreadyForwarded"
  | "RequestBodyTooLarge"
  | "ResourceNotFound"
  | "ServiceNotWaitingForRecoveryShares"
  | "SessionConsistencyLost"
  | "StartupSeqnoIsOld"
  | "StateDigestMismatch"
  | "TooManyPendingTransactions"
  | "TooManyRequests"
  | "TransactionInvalid"
  | "TransactionPendingOrUnknown"
  | "TransactionReplicationFailed"
  | "UnsupportedApiVersionValue"
  | "UnsupportedContentType"
  | "UnsupportedHttpVerb"
  | "VoteAlreadyExists"
  | "VoteNotFound";

/** One element of `error.details`: why a policy refused, or what a script threw. */
export type ErrorDetail =
  | { readonly auth_policy: string; readonly code: ErrorCode; readonly message: string }
  | { readonly code: "JSException"; readonly message: string; readonly trace?: string };

export class OdataError extends Error {
  override name = "OdataError";

  /**
   * @param status HTTP status, 400 or above
   * @param headers sent besides `content-type`
   */
  constructor(
    readonly status: number,
    readonly code: ErrorCode,
    message: string,
    readonly details: readonly ErrorDetail[] = [],
    readonly headers: HeaderList = [],
  ) {
    super(message);
  }

  /** Text that is not well-formed is replaced, not refused: messages quote what clients sent (http-api.md §9). */
  toResponse(): HttpResponse {
    const details = this.details.map((detail) =>
      Object.fromEntries(Object.entries(detail).map(([name, value]) => [name, value.toWellFormed()]))
    );
    const error = {
      code: this.code,
      message: this.message.toWellFormed(),
      ...(details.length > 0 && { details }),
    };
    return {
      status: this.status,
      headers: sortedHeaders([...this.headers, ["content-type", "application/json"]]),
      body: toUtf8(stableJson({ error })),
    };
  }
}

/** CCF sends response headers in ascending order of name (transcripts). */
export function sortedHeaders(headers: HeaderList): HeaderList {
  return headers.length < 2 ? headers : [...headers].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}
