/**
 * `/gov`: the versioned endpoints, and the documents that describe them (http-api.md §7).
 */

import { type Endpoint, endpoint, type EndpointContext } from "../frontend/endpoint.ts";
import { openApiDocument } from "../frontend/openapi.ts";
import { jsonHandler } from "../frontend/replies.ts";
import { API_VERSIONS, requireApiVersion } from "./api_version.ts";
import { commonEndpoints, getApi } from "./common.ts";
import { govDryRunEndpoint } from "./gov_dry_run.ts";
import { govProposalEndpoints } from "./gov_proposals.ts";
import { govRecoveryEndpoints } from "./gov_recovery.ts";
import { govServiceEndpoints } from "./gov_service.ts";
import { govStateDigestEndpoints } from "./gov_state_digests.ts";

const versionedEndpoints = [
  ...govServiceEndpoints,
  ...govProposalEndpoints,
  ...govStateDigestEndpoints,
  ...govRecoveryEndpoints,
  govDryRunEndpoint,
];

export const govEndpoints: readonly Endpoint[] = [
  endpoint("GET", "/api", "read-only", jsonHandler(getGovApi), { described: { summary: "This document" } }),
  ...versionedEndpoints,
  ...commonEndpoints,
];

/** Without a version the document of what has none; with one that of the versioned endpoints. */
function getGovApi(context: EndpointContext): unknown {
  const version = context.request.parameter("api-version");
  if (version === undefined) return getApi(context);
  requireApiVersion(context);
  const since = API_VERSIONS.findIndex((known) => known === version);
  const info = { title: "CCF Governance", description: "What members decide, and what they have decided", version };
  const present = versionedEndpoints.filter((each) => API_VERSIONS.indexOf(each.since) <= since);
  return openApiDocument("gov", info, present.map((each) => ({ ...each, hidden: false })));
}
