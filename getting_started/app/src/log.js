/**
 * The endpoints of the logging app: keep a message under an id, read it, count, delete.
 *
 * An app is a bundle: `app.json` says which path and verb lead to which function, and the files of `src/` are ordinary
 * ES modules. A node calls a function with a request, and answers with what the function returns. The functions are
 * synchronous, and each call is one transaction: its writes are kept if the status is 2xx, all together or not at all.
 *
 * Who may call is decided before a function runs, by `authn_policies` in `app.json`: here users with their certificate.
 * Reading one public record is an exception, as is leaving a message without saying who: there a caller without a
 * certificate passes as `no_auth`.
 *
 * There are two tables. The ledger encrypts what is in `records`; whatever is in a table whose name begins with
 * `public:` anybody who has the ledger can read. A key is the text of the id and a value is the text of the message,
 * both as UTF-8 and without JSON quotes, so that an auditor sees `42` and `hello` in the ledger.
 */

import { badRequest, notFound, ok, queryParameter } from "./http.js";

// `ccf` is the app's whole world besides its request: there are no files, no network and no timers.
// A table is asked for by name in every call, since each call has a transaction of its own.
const privateRecords = () => ccf.kv["records"];
const publicRecords = () => ccf.kv["public:records"];

export const getPrivate = (request) => read(privateRecords(), request);
export const getPublic = (request) => read(publicRecords(), request);

export const postPrivate = (request) => write(privateRecords(), request);
export const postPublic = (request) => write(publicRecords(), request);

/** Anybody may leave a message here, and the record says that nobody knows who did. */
export const postAnonymous = (request) => write(privateRecords(), request, "Anonymous: ");

export const deletePrivate = (request) => remove(privateRecords(), request);
export const deletePublic = (request) => remove(publicRecords(), request);

export const countPrivate = () => ok(privateRecords().size);
export const countPublic = () => ok(publicRecords().size);

export const deleteAllPrivate = () => removeAll(privateRecords());
export const deleteAllPublic = () => removeAll(publicRecords());

function read(records, request) {
  const id = queryParameter(request, "id");
  if (!id) return badRequest("The query must name a record, e.g. ?id=42");
  const message = records.get(ccf.strToBuf(id));
  if (message === undefined) return notFound(`There is no record ${id}`);
  return ok({ msg: ccf.bufToStr(message) });
}

function write(records, request, prefix = "") {
  const record = bodyOf(request);
  const id = record === undefined ? undefined : idOf(record);
  if (id === undefined || typeof record.msg !== "string") {
    return badRequest('The body must be a JSON object such as {"id": 42, "msg": "hello"}');
  }
  // Tables hold bytes; strToBuf and bufToStr are UTF-8.
  records.set(ccf.strToBuf(id), ccf.strToBuf(prefix + record.msg));
  return ok(true);
}

function remove(records, request) {
  const id = queryParameter(request, "id");
  if (!id) return badRequest("The query must name a record, e.g. ?id=42");
  const key = ccf.strToBuf(id);
  if (!records.has(key)) return notFound(`There is no record ${id}`);
  records.delete(key);
  return ok(true);
}

function removeAll(records) {
  records.clear();
  return ok(true);
}

/** The body as an object, or undefined where it is something else. */
function bodyOf(request) {
  try {
    const body = request.body.json();
    return typeof body === "object" && body !== null ? body : undefined;
  } catch {
    // Not JSON. Left alone, the exception would become a 500, as if the fault were ours.
    return undefined;
  }
}

/**
 * The id as text: 42 and "42" are the same record. Undefined where it cannot be an id.
 *
 * A query reaches an app percent-decoded, so an `&` inside an id could never be asked for again.
 */
function idOf({ id }) {
  if (Number.isSafeInteger(id)) return String(id);
  return typeof id === "string" && id !== "" && !id.includes("&") ? id : undefined;
}
