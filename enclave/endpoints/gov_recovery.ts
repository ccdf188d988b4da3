/**
 * `/gov/recovery`: the shares by which members recover the service (http-api.md §7, governance.md §5).
 */

import { RECOVERY_SHARES, SERVICE_INFO } from "../../shared/governance/tables.ts";
import type { EndpointContext } from "../frontend/endpoint.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { jsonHandler } from "../frontend/replies.ts";
import { notFound, requireId, type VersionedEndpoint, versionedRead, versionedWrite } from "./api_version.ts";

export const govRecoveryEndpoints: readonly VersionedEndpoint[] = [
  versionedRead("/recovery/encrypted-shares/{memberId}", jsonHandler(getEncryptedShare)),
  versionedWrite(
    "/recovery/members/{memberId}:recover",
    "active_member_cose_sign1",
    "recovery_share",
    jsonHandler(recover),
  ),
];

function getEncryptedShare({ tx, params }: EndpointContext): unknown {
  const memberId = requireId(params.memberId!, "member");
  const shares = tx.open(RECOVERY_SHARES).get();
  if (shares === undefined) {
    throw new OdataError(500, "InternalError", "Failed to retrieve current recovery shares info");
  }
  const encryptedShare = shares.encrypted_shares[memberId];
  if (encryptedShare === undefined) throw notFound(`Recovery share not found for member m[${memberId}].`);
  return { encryptedShare, memberId };
}

/** A node that can recover a service comes with a later version; until then no service here waits for shares. */
function recover({ tx }: EndpointContext): never {
  if (tx.open(SERVICE_INFO).get()?.status !== "WaitingForRecoveryShares") {
    throw new OdataError(403, "ServiceNotWaitingForRecoveryShares", "Service is not waiting for recovery shares.");
  }
  throw new OdataError(501, "NotImplemented", "This version cannot recover a service");
}
