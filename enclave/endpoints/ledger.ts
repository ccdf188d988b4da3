/**
 * `/node/ledger`: the ledger for everybody (our own; CCF has no such paths).
 *
 * In: seqnos, or a table and a key. Out: which committed entries, or which place in its index, the host is to answer with.
 * Nothing is decrypted, and nothing need be believed: entries are proved by the signatures among them, and what the index
 * says is a hint where to look. There is no endpoint for the value of a table at a seqno, since it could not be proved.
 */

import { FormatError } from "../../shared/assert.ts";
import { type ByteString, fromHex, toByteString } from "../../shared/bytes.ts";
import { checkTableName, domainOf } from "../../shared/kv/table_name.ts";
import { MAX_LEDGER_ANSWER_BYTES, MAX_LEDGER_WRITES, MAX_SEQNO } from "../../shared/limits.ts";
import type { Seqno } from "../../shared/tx_id.ts";
import { type Endpoint, endpoint, type EndpointContext } from "../frontend/endpoint.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { NO_BODY } from "../frontend/replies.ts";
import type { ParsedRequest } from "../frontend/request.ts";
import { STRING, UINT64 } from "../frontend/schema.ts";
import type { HttpResponse } from "../messages.ts";
import { LEDGER_WRITES } from "./node_schemas.ts";

/** Each node answers from its own files. */
const LEDGER_READ = { forwarding: "never", operatorFeature: "LedgerRead", sendsFile: true } as const;

export const ledgerEndpoints: readonly Endpoint[] = [
  endpoint("GET", "/ledger/entries", "command", getEntries, {
    ...LEDGER_READ,
    described: {
      summary: "Committed entries of the ledger, byte for byte",
      description:
        "Whole entries back to back, private tables still encrypted. The header x-quorate-ledger-range says " +
        `which ("12-57"): as many from 'from' on as make ${MAX_LEDGER_ANSWER_BYTES} bytes, and at least one. Where more ` +
        "of what was asked for is there, x-quorate-ledger-next says with which to go on. Without 'to', all that are " +
        "committed are asked for.",
      query: { from: { schema: UINT64, required: true }, to: { schema: UINT64, required: false } },
      answers: { bytes: "application/octet-stream" },
    },
  }),
  endpoint("GET", "/ledger/writes", "command", getWrites, {
    ...LEDGER_READ,
    described: {
      summary: "Which entries wrote to a public table",
      description:
        "A hint where to look in the ledger: seqnos of committed entries that wrote or removed 'key', given " +
        `in hex, or any key where none is given; newest first, ${MAX_LEDGER_WRITES} at most, only those below 'before' ` +
        "where it is given. 'next_before' is there where there may be more. The index of this node begins with entry " +
        "'first_seqno' and has come to 'indexed_seqno'.",
      query: {
        table: { schema: STRING, required: true },
        key: { schema: STRING, required: false },
        before: { schema: UINT64, required: false },
      },
      answers: LEDGER_WRITES,
    },
  }),
];

function getEntries({ node, request }: EndpointContext): HttpResponse {
  const from = readSeqno(request, "from");
  if (from === undefined) throw invalid("The parameter 'from' is missing: the seqno of the first entry that is wanted");
  const to = readSeqno(request, "to") ?? MAX_SEQNO;
  if (to < from) throw invalid(`The parameters 'from' and 'to' are the wrong way round: ${to} is before ${from}`);
  const committed = node.committedTxId.seqno;
  if (from > committed) {
    throw new OdataError(
      404,
      "ResourceNotFound",
      `Entry ${from} is not committed: the ledger of this node is committed up to ${committed}`,
    );
  }
  return {
    status: 200,
    headers: [["content-type", "application/octet-stream"]],
    body: NO_BODY,
    fromHost: { kind: "entries", from, to: Math.min(to, committed) },
  };
}

function getWrites({ request }: EndpointContext): HttpResponse {
  const table = request.parameter("table");
  if (table === undefined) throw invalid("The parameter 'table' is missing: the name of a public table");
  const keyText = request.parameter("key");
  const fromHost = {
    kind: "writes",
    table: readTable(table),
    key: keyText === undefined ? null : readKey(keyText),
    before: readSeqno(request, "before") ?? null,
  } as const;
  return { status: 200, headers: [["content-type", "application/json"]], body: NO_BODY, fromHost };
}

function readTable(name: string): string {
  try {
    checkTableName(name);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw invalid(error.message);
  }
  if (domainOf(name) === "public") return name;
  throw invalid(`There is no index of the private table ${JSON.stringify(name)}: only names with "public:" have one`);
}

function readKey(text: string): ByteString {
  try {
    return toByteString(fromHex(text));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw invalid(`The parameter 'key' is the key in hex: ${error.message}`);
  }
}

function readSeqno(request: ParsedRequest, name: string): Seqno | undefined {
  const text = request.parameter(name);
  if (text === undefined) return undefined;
  const value = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : NaN;
  if (value <= MAX_SEQNO) return value;
  throw invalid(`The parameter '${name}' is a seqno, a whole number from 1 on: ${JSON.stringify(text.slice(0, 40))}`);
}

function invalid(message: string): OdataError {
  return new OdataError(400, "InvalidQueryParameterValue", message);
}
