/**
 * Answers and queries: what the endpoints need of HTTP.
 *
 * A returned `body` that is an object, a number or a boolean is sent as JSON; without a `statusCode` the status is 200.
 */

export function ok(body) {
  return { body };
}

export function badRequest(message) {
  return failure(400, "InvalidInput", message);
}

export function notFound(message) {
  return failure(404, "ResourceNotFound", message);
}

/** An error in the same envelope that the node itself uses, so that a client needs to know only one. */
function failure(statusCode, code, message) {
  return { statusCode, body: { error: { code, message } } };
}

/** The first value of a name in the query, or undefined. A name without `=` has the value "". */
export function queryParameter(request, name) {
  for (const pair of request.query.split("&")) {
    const equals = pair.indexOf("=");
    const key = equals < 0 ? pair : pair.slice(0, equals);
    if (key === name) return equals < 0 ? "" : pair.slice(equals + 1);
  }
  return undefined;
}
