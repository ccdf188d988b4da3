/**
 * The four endpoints that every frontend has: commit, tx, receipt, api (http-api.md §5).
 */

import { FormatError } from "../../shared/assert.ts";
import { formatTxId, parseTxId, type TxId } from "../../shared/tx_id.ts";
import { type Endpoint, endpoint, type EndpointContext, type FrontendName } from "../frontend/endpoint.ts";
import { historicalEndpoint } from "../frontend/historical.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { type DocumentInfo, openApiDocument } from "../frontend/openapi.ts";
import { json, jsonHandler } from "../frontend/replies.ts";
import { BOOLEAN, listOf, oneOf, struct, TRANSACTION_ID, UINT64 } from "../frontend/schema.ts";

const TRANSACTION_ID_PARAMETER = { transaction_id: { schema: TRANSACTION_ID, required: true } };

export const commonEndpoints: readonly Endpoint[] = [
  endpoint("GET", "/commit", "command", jsonHandler(getCommit), {
    described: {
      summary: "How far transactions are committed",
      description: "ID of the last committed transaction, and where views began",
      query: {
        view_history: { schema: BOOLEAN, required: false },
        view_history_since: { schema: UINT64, required: false },
      },
      answers: struct("GetCommit__Out", { transaction_id: TRANSACTION_ID }, { view_history: listOf(TRANSACTION_ID) }),
    },
  }),
  endpoint("GET", "/tx", "command", jsonHandler(getTx), {
    described: {
      summary: "What became of a transaction",
      description: "Committed and Invalid are final",
      query: TRANSACTION_ID_PARAMETER,
      answers: struct("GetTxStatus__Out", {
        transaction_id: TRANSACTION_ID,
        status: oneOf("TxStatus", "Unknown", "Pending", "Committed", "Invalid"),
      }),
    },
  }),
  endpoint(
    "GET",
    "/receipt",
    "read-only",
    historicalEndpoint(
      ({ request }) => request.parameter("transaction_id"),
      (_context, state) => json(state.receiptJson()),
    ),
    {
      described: {
        summary: "Proof that a transaction is in the ledger",
        description: "Signed by a node of this service, and checked without asking it again",
        query: TRANSACTION_ID_PARAMETER,
      },
    },
  ),
  endpoint("GET", "/api", "read-only", jsonHandler(getApi), { described: { summary: "This document" } }),
];

const DOCUMENTS: Readonly<Record<FrontendName, DocumentInfo>> = {
  node: {
    title: "CCF Public Node API",
    description: "What anybody may know about a node and its service",
    version: "4.14.0",
  },
  // Placeholders, as CCF answers for a JavaScript app and for the generated governance document.
  app: { title: "Empty title", description: "Empty description", version: "0.0.1" },
  gov: { title: "Empty title", description: "Empty description", version: "0.0.1" },
};

/** The OpenAPI document of the frontend that was asked. */
export function getApi({ node, frontend, tx, interfaceName }: EndpointContext): unknown {
  const { features } = node.interfaceRules(interfaceName);
  // What an interface does not let through is not in the document that it gives.
  const endpoints = node.frontends[frontend].tables(tx).flatMap(({ endpoints }) => endpoints)
    .filter(({ operatorFeature }) => operatorFeature === undefined || features.has(operatorFeature));
  return openApiDocument(frontend, DOCUMENTS[frontend], endpoints);
}

/** `{transaction_id, view_history?}` of the last committed transaction. */
function getCommit({ request, node }: EndpointContext): unknown {
  let since: number | undefined;
  const sinceText = request.parameter("view_history_since");
  if (sinceText !== undefined && /^[0-9]+$/.test(sinceText)) {
    since = Number(sinceText);
    if (since < 1 || since > node.view) {
      throw new OdataError(
        since < 1 ? 400 : 404,
        "InvalidQueryParameterValue",
        "Invalid value for view_history_since, must be in range [1, current_term]",
      );
    }
  }
  const wanted = request.parameter("view_history");
  if (wanted !== undefined && wanted !== "true" && wanted !== "false") {
    throw new OdataError(
      400,
      "InvalidQueryParameterValue",
      "Invalid value for view_history, must be one of [true, false] when present",
    );
  }
  const transaction_id = formatTxId(node.committedTxId);
  const first = wanted === "true" ? 1 : wanted === "false" ? undefined : since;
  if (first === undefined) return { transaction_id };
  return { transaction_id, view_history: node.viewHistory.slice(first - 1).map((seqno, i) => `${first + i}.${seqno}`) };
}

/** `{transaction_id, status}`. */
function getTx({ request, node }: EndpointContext): unknown {
  const text = request.parameter("transaction_id");
  if (text === undefined) {
    throw new OdataError(400, "InvalidQueryParameterValue", "Missing query parameter 'transaction_id'");
  }
  let id: TxId;
  try {
    id = parseTxId(text);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new OdataError(
      400,
      "InvalidQueryParameterValue",
      `The value '${text}' passed as query parameter 'transaction_id' could not be converted to a valid Transaction ID.`,
    );
  }
  return { status: node.statusOf(id), transaction_id: formatTxId(id) };
}
