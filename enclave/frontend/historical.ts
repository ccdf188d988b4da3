/**
 * Endpoints that look at one committed transaction of the past (http-api.md §5.1).
 *
 * In: a transaction ID from the request. Out: the endpoint's answer, or 202 until the host has delivered the entries.
 * Fetching and checking is `historical_cache.ts`.
 */

import { FormatError } from "../../shared/assert.ts";
import { SERVICE_INFO } from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { formatTxId, parseTxId, type TxId } from "../../shared/tx_id.ts";
import type { HistoricalState } from "../historical_cache.ts";
import type { HttpResponse } from "../messages.ts";
import type { EndpointContext } from "./endpoint.ts";
import { OdataError } from "./odata_error.ts";
import { text } from "./replies.ts";

/** Seconds after which a client asks again for what was not there yet. */
const RETRY_AFTER_SECONDS = "3";

/** A handler that runs once the transaction named by the request is here, verified. */
export function historicalEndpoint(
  idOf: (context: EndpointContext) => string | undefined,
  answer: (context: EndpointContext, state: HistoricalState) => HttpResponse,
): (context: EndpointContext) => HttpResponse {
  return (context) => {
    const { node, tx } = context;
    const id = readTxId(idOf(context));
    const status = node.statusOf(id);
    if (status !== "Committed") {
      const message = `Only committed transactions can be queried. Transaction ${formatTxId(id)} is ${status}`;
      if (status === "Invalid") throw new OdataError(404, "TransactionInvalid", message);
      throw new OdataError(404, "TransactionPendingOrUnknown", message, [], [["cache-control", "no-cache"]]);
    }
    requireReadable(tx, id);
    const state = node.historical.get(id.seqno, node.steadyMs);
    if (state === "failed") {
      throw new OdataError(500, "TransactionPendingOrUnknown", `Transaction ${formatTxId(id)} could not be fetched.`);
    }
    if (state === "pending") {
      const waiting = text(`Historical transaction ${formatTxId(id)} is not currently available.`, 202);
      return { ...waiting, headers: [...waiting.headers, ["retry-after", RETRY_AFTER_SECONDS]] };
    }
    return answer(context, state);
  };
}

/** Until a recovered service is open, it does not show what was written before its time. */
function requireReadable(tx: Transaction, id: TxId): void {
  const service = tx.open(SERVICE_INFO).get();
  if (service === undefined || service.status === "Open") return;
  const created = service.current_service_create_txid;
  if (created === undefined || id.view >= parseTxId(created).view) return;
  throw new OdataError(
    404,
    "TransactionInvalid",
    `Only transactions of this service can be queried until it is open. Transaction ${formatTxId(id)} is older`,
  );
}

function readTxId(idText: string | undefined): TxId {
  try {
    if (idText !== undefined) return parseTxId(idText);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  }
  throw new OdataError(404, "TransactionInvalid", "Could not extract Transaction Id");
}
