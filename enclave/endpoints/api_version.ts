/**
 * What all versioned endpoints of `/gov` have in common: the api-version they ask for, and IDs in their paths
 * (http-api.md §7).
 */

import { FormatError } from "../../shared/assert.ts";
import { parseTxId, type TxId } from "../../shared/tx_id.ts";
import { type Endpoint, endpoint, type EndpointContext } from "../frontend/endpoint.ts";
import type { MemberCosePolicy } from "../frontend/cose_authentication.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { STRING } from "../frontend/schema.ts";
import type { HttpResponse } from "../messages.ts";

export const API_VERSIONS = ["2023-06-01-preview", "2024-07-01"] as const;
export type ApiVersion = typeof API_VERSIONS[number];

/** An endpoint with the first version that has it. */
export interface VersionedEndpoint extends Endpoint {
  readonly since: ApiVersion;
}

const DESCRIBED = { query: { "api-version": { schema: STRING, required: true } } };

/** A versioned read: `?api-version=` is checked first. Hidden from the document that is generated without a version. */
export function versionedRead(
  path: string,
  handler: (context: EndpointContext) => HttpResponse,
  since: ApiVersion = API_VERSIONS[0],
): VersionedEndpoint {
  const checked = (context: EndpointContext) => {
    requireApiVersion(context, since);
    return handler(context);
  };
  return { ...endpoint("GET", path, "read-only", checked, { hidden: true, described: DESCRIBED }), since };
}

/** A request that a member has signed, for the endpoint that takes this type of message. Its signature is checked first. */
export function versionedWrite(
  path: string,
  policy: MemberCosePolicy["native"],
  messageType: string,
  handler: (context: EndpointContext) => HttpResponse,
): VersionedEndpoint {
  const checked = (context: EndpointContext) => {
    requireApiVersion(context);
    return handler(context);
  };
  const policies = [{ native: policy, messageType }];
  return {
    ...endpoint("POST", path, "read-write", checked, { hidden: true, described: DESCRIBED, policies }),
    since: API_VERSIONS[0],
  };
}

/** @throws OdataError 400 where there is none that has been there since that version */
export function requireApiVersion({ request }: EndpointContext, since: ApiVersion = API_VERSIONS[0]): void {
  const supported = API_VERSIONS.slice(API_VERSIONS.indexOf(since));
  const version = request.parameter("api-version");
  const list = `The supported api-versions are: ${supported.join(", ")}`;
  if (version === undefined) {
    throw new OdataError(
      400,
      "MissingApiVersionParameter",
      `The api-version query parameter (?api-version=) is required for all requests. ${list}`,
    );
  }
  if (!(supported as readonly string[]).includes(version)) {
    throw new OdataError(400, "UnsupportedApiVersionValue", `Unsupported api-version '${version}'. ${list}`);
  }
}

/** @throws OdataError 400 where the ID is not 64 hex digits */
export function requireId(id: string, kind: "member" | "user" | "node" | "proposal"): string {
  if (!/^[0-9a-fA-F]{64}$/.test(id)) {
    throw new OdataError(400, "InvalidResourceName", `'${id}' is not a valid hex-encoded ${kind} ID`);
  }
  return id;
}

/** @throws OdataError 400 */
export function requireTxId(text: string): TxId {
  try {
    return parseTxId(text);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new OdataError(
      400,
      "InvalidQueryParameterValue",
      `The value '${text}' passed as parameter 'transactionId' could not be converted to a valid Transaction ID.`,
    );
  }
}

export function notFound(message: string): OdataError {
  return new OdataError(404, "ResourceNotFound", message);
}
