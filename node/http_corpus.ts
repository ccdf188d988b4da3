/**
 * Requests that servers have disagreed on, and what the client-certificate listener makes of each. For tests.
 *
 * A server in front of a node that reads one of them in another way lets a client smuggle a request past it. Strings are
 * byte strings. `requests` are the requests taken, as `METHOD target [body]`; `error` is what follows them, in llhttp's
 * words, where the connection ends there.
 */

export interface CorpusEntry {
  readonly name: string;
  readonly sent: string;
  readonly requests: readonly string[];
  readonly error?: string;
}

/** A request with a body. */
function post(headers: string, body: string): string {
  return `POST /x HTTP/1.1\r\nhost: h\r\n${headers}\r\n\r\n${body}`;
}

function chunked(body: string): string {
  return post("transfer-encoding: chunked", body);
}

const NEXT = "GET /next HTTP/1.1\r\nhost: h\r\n\r\n";

export const HTTP_CORPUS: readonly CorpusEntry[] = [
  // Nothing wrong with these.
  { name: "two requests", sent: NEXT + NEXT, requests: ["GET /next", "GET /next"] },
  { name: "length", sent: post("content-length: 5", "hello") + NEXT, requests: ["POST /x hello", "GET /next"] },
  {
    name: "chunks",
    sent: chunked("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n") + NEXT,
    requests: ["POST /x hello", "GET /next"],
  },
  { name: "empty lines before a request", sent: "\r\n\r\n" + NEXT, requests: ["GET /next"] },
  { name: "no host", sent: "GET /a HTTP/1.1\r\n\r\n", requests: ["GET /a"] },
  { name: "absolute target", sent: "GET https://h/a HTTP/1.1\r\nhost: h\r\n\r\n", requests: ["GET https://h/a"] },
  { name: "asterisk target", sent: "OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n", requests: ["OPTIONS *"] },
  { name: "fragment in the target", sent: "GET /a#f HTTP/1.1\r\nhost: h\r\n\r\n", requests: ["GET /a#f"] },
  { name: "empty header value", sent: "GET /a HTTP/1.1\r\nhost: h\r\na:\r\nb: \r\n\r\n", requests: ["GET /a"] },
  { name: "leading zeros in a length", sent: post("content-length: 0005", "hello"), requests: ["POST /x hello"] },
  {
    name: "bytes above ASCII in a value",
    sent: "GET /a HTTP/1.1\r\nhost: h\r\na: \xe9\xff\r\n\r\n",
    requests: ["GET /a"],
  },
  {
    name: "body of a GET",
    sent: "GET /a HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello" + NEXT,
    requests: ["GET /a hello", "GET /next"],
  },

  // Lines.
  {
    name: "bare LF after the request line",
    sent: "GET /a HTTP/1.1\nhost: h\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_VERSION: Expected CRLF after version",
  },
  {
    name: "bare LF after a header",
    sent: "GET /a HTTP/1.1\r\nhost: h\na: b\r\n\r\n",
    requests: [],
    error: "HPE_CR_EXPECTED: Missing expected CR after header value",
  },
  {
    name: "bare CR in a header",
    sent: "GET /a HTTP/1.1\r\nhost: h\ra: b\r\n\r\n",
    requests: [],
    error: "HPE_LF_EXPECTED: Missing expected LF after header value",
  },
  {
    name: "bare LF ends the head",
    sent: "GET /a HTTP/1.1\r\nhost: h\r\n\nGET /b HTTP/1.1\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_HEADER_TOKEN: Invalid header field char",
  },
  {
    name: "CR without LF ends the head",
    sent: "GET /a HTTP/1.1\r\nhost: h\r\n\rX",
    requests: [],
    error: "HPE_STRICT: Expected LF after headers",
  },
  {
    name: "folded header, space",
    sent: "GET /a HTTP/1.1\r\nhost: h\r\na: b\r\n c\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_HEADER_TOKEN: Unexpected whitespace after header value",
  },
  {
    name: "folded header, tab",
    sent: "GET /a HTTP/1.1\r\nhost: h\r\na: b\r\n\tc\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_HEADER_TOKEN: Unexpected whitespace after header value",
  },
  {
    name: "space before the first header",
    sent: "GET /a HTTP/1.1\r\n host: h\r\n\r\n",
    requests: [],
    error: "HPE_UNEXPECTED_SPACE: Unexpected space after start line",
  },
  {
    name: "space before the colon",
    sent: post("content-length : 5", "hello"),
    requests: [],
    error: "HPE_INVALID_HEADER_TOKEN: Invalid header field char",
  },
  {
    name: "header without a colon",
    sent: "GET /a HTTP/1.1\r\nhost: h\r\nabc\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_HEADER_TOKEN: Invalid header token",
  },
  {
    name: "header without a name",
    sent: "GET /a HTTP/1.1\r\nhost: h\r\n: abc\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_HEADER_TOKEN: Invalid header token",
  },
  {
    name: "parenthesis in a header name",
    sent: "GET /a HTTP/1.1\r\nhost: h\r\na(b): c\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_HEADER_TOKEN: Invalid header token",
  },
  {
    name: "NUL in a header name",
    sent: "GET /a HTTP/1.1\r\nhost: h\r\na\0: b\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_HEADER_TOKEN: Invalid header token",
  },
  {
    name: "NUL in a header value",
    sent: "GET /a HTTP/1.1\r\nhost: h\r\na: b\0c\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_HEADER_TOKEN: Invalid header value char",
  },
  {
    name: "control character in a header value",
    sent: "GET /a HTTP/1.1\r\nhost: h\r\na: b\x01c\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_HEADER_TOKEN: Invalid header value char",
  },

  // The request line.
  {
    name: "lower-case method",
    sent: "get /a HTTP/1.1\r\nhost: h\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_METHOD: Invalid method encountered",
  },
  {
    name: "unknown method",
    sent: "FOO /a HTTP/1.1\r\nhost: h\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_METHOD: Invalid method encountered",
  },
  {
    name: "tab after the method",
    sent: "GET\t/a HTTP/1.1\r\nhost: h\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_METHOD: Expected space after method",
  },
  { name: "two spaces after the method", sent: "GET  /a HTTP/1.1\r\nhost: h\r\n\r\n", requests: ["GET /a"] },
  {
    name: "space after the version",
    sent: "GET /a HTTP/1.1 \r\nhost: h\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_VERSION: Expected CRLF after version",
  },
  {
    name: "target without a slash",
    sent: "GET a HTTP/1.1\r\nhost: h\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_URL: Invalid characters in url",
  },
  {
    name: "NUL in the target",
    sent: "GET /a\0b HTTP/1.1\r\nhost: h\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_URL: Invalid char in url path",
  },
  {
    name: "byte above ASCII in the target",
    sent: "GET /\xe9 HTTP/1.1\r\nhost: h\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_URL: Invalid char in url path",
  },
  { name: "no version", sent: "GET /a\r\nhost: h\r\n\r\n", requests: ["GET /a"] },
  {
    name: "HTTP/1.2",
    sent: "GET /a HTTP/1.2\r\nhost: h\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_VERSION: Invalid HTTP version",
  },
  {
    name: "lower-case http/1.1",
    sent: "GET /a http/1.1\r\nhost: h\r\n\r\n",
    requests: [],
    error: "HPE_INVALID_CONSTANT: Expected HTTP/, RTSP/ or ICE/",
  },
  {
    name: "HTTP/1.0, then another request",
    sent: "GET /a HTTP/1.0\r\n\r\n" + NEXT,
    requests: ["GET /a"],
    error: "HPE_CLOSED_CONNECTION: Data after `Connection: close`",
  },
  {
    name: "connection: close, then another request",
    sent: "GET /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n" + NEXT,
    requests: ["GET /a"],
    error: "HPE_CLOSED_CONNECTION: Data after `Connection: close`",
  },
  {
    name: "HTTP/2 preface",
    sent: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    requests: [],
    error: "HPE_PAUSED_H2_UPGRADE: Pause on PRI/Upgrade",
  },

  // Where a body ends.
  {
    name: "length, then chunked",
    sent: post("content-length: 5\r\ntransfer-encoding: chunked", "0\r\n\r\n" + NEXT),
    requests: [],
    error: "HPE_INVALID_TRANSFER_ENCODING: Transfer-Encoding can't be present with Content-Length",
  },
  {
    name: "chunked, then length",
    sent: post("transfer-encoding: chunked\r\ncontent-length: 5", "0\r\n\r\n" + NEXT),
    requests: [],
    error: "HPE_INVALID_CONTENT_LENGTH: Content-Length can't be present with Transfer-Encoding",
  },
  {
    name: "same length twice",
    sent: post("content-length: 5\r\ncontent-length: 5", "hello"),
    requests: [],
    error: "HPE_UNEXPECTED_CONTENT_LENGTH: Duplicate Content-Length",
  },
  {
    name: "two lengths",
    sent: post("content-length: 5\r\ncontent-length: 6", "hello!"),
    requests: [],
    error: "HPE_UNEXPECTED_CONTENT_LENGTH: Duplicate Content-Length",
  },
  {
    name: "list of lengths",
    sent: post("content-length: 5, 5", "hello"),
    requests: [],
    error: "HPE_INVALID_CONTENT_LENGTH: Invalid character in Content-Length",
  },
  {
    name: "length with a plus",
    sent: post("content-length: +5", "hello"),
    requests: [],
    error: "HPE_INVALID_CONTENT_LENGTH: Invalid character in Content-Length",
  },
  {
    name: "length with a minus",
    sent: post("content-length: -5", "hello"),
    requests: [],
    error: "HPE_INVALID_CONTENT_LENGTH: Invalid character in Content-Length",
  },
  {
    name: "hexadecimal length",
    sent: post("content-length: 0x5", "hello"),
    requests: [],
    error: "HPE_INVALID_CONTENT_LENGTH: Invalid character in Content-Length",
  },
  {
    name: "length that is no number",
    sent: post("content-length: NaN", "hello"),
    requests: [],
    error: "HPE_INVALID_CONTENT_LENGTH: Invalid character in Content-Length",
  },
  {
    name: "empty length",
    sent: post("content-length: ", "hello"),
    requests: [],
    error: "HPE_INVALID_CONTENT_LENGTH: Empty Content-Length",
  },
  {
    name: "length with a space in it",
    sent: post("content-length: 1 0", "hello"),
    requests: [],
    error: "HPE_INVALID_CONTENT_LENGTH: Invalid character in Content-Length",
  },
  {
    name: "length beyond 64 bits",
    sent: post("content-length: 18446744073709551621", "hello"),
    requests: [],
    error: "HPE_INVALID_CONTENT_LENGTH: Content-Length overflow",
  },
  {
    name: "identity coding",
    sent: post("transfer-encoding: identity", "hello"),
    requests: [],
    error: "HPE_INVALID_TRANSFER_ENCODING: Request has invalid `Transfer-Encoding`",
  },
  {
    name: "unknown coding",
    sent: post("transfer-encoding: xchunked", "0\r\n\r\n"),
    requests: [],
    error: "HPE_INVALID_TRANSFER_ENCODING: Request has invalid `Transfer-Encoding`",
  },
  {
    name: "chunked, but not last",
    sent: post("transfer-encoding: chunked, gzip", "0\r\n\r\n"),
    requests: [],
    error: "HPE_INVALID_TRANSFER_ENCODING: Invalid `Transfer-Encoding` header value",
  },
  {
    name: "chunked twice",
    sent: post("transfer-encoding: chunked\r\ntransfer-encoding: chunked", "0\r\n\r\n"),
    requests: [],
    error: "HPE_INVALID_TRANSFER_ENCODING: Invalid `Transfer-Encoding` header value",
  },
  {
    name: "vertical tab before chunked",
    sent: post("transfer-encoding: \x0bchunked", "0\r\n\r\n"),
    requests: [],
    error: "HPE_INVALID_HEADER_TOKEN: Invalid header value char",
  },
  {
    name: "another coding before chunked",
    sent: post("transfer-encoding: gzip, chunked", "5\r\nhello\r\n0\r\n\r\n"),
    requests: ["POST /x hello"],
  },

  // Chunks.
  {
    name: "chunk extension",
    sent: chunked('5;a=b;c="d"\r\nhello\r\n0\r\n\r\n') + NEXT,
    requests: ["POST /x hello", "GET /next"],
  },
  {
    name: "chunk extension ended by bare LF",
    sent: chunked("5;a\nhello\r\n0\r\n\r\n"),
    requests: [],
    error: "HPE_CR_EXPECTED: Missing expected CR after chunk extension name",
  },
  {
    name: "chunk size ended by bare LF",
    sent: chunked("5\nhello\r\n0\r\n\r\n"),
    requests: [],
    error: "HPE_CR_EXPECTED: Missing expected CR after chunk size",
  },
  {
    name: "chunk size with 0x",
    sent: chunked("0x5\r\nhello\r\n0\r\n\r\n"),
    requests: [],
    error: "HPE_INVALID_CHUNK_SIZE: Invalid character in chunk size",
  },
  {
    name: "chunk size with a plus",
    sent: chunked("+5\r\nhello\r\n0\r\n\r\n"),
    requests: [],
    error: "HPE_INVALID_CHUNK_SIZE: Invalid character in chunk size",
  },
  {
    name: "chunk size with a minus",
    sent: chunked("-5\r\nhello\r\n0\r\n\r\n"),
    requests: [],
    error: "HPE_INVALID_CHUNK_SIZE: Invalid character in chunk size",
  },
  {
    name: "chunk size with a space",
    sent: chunked("5 \r\nhello\r\n0\r\n\r\n"),
    requests: [],
    error: "HPE_INVALID_CHUNK_SIZE: Invalid character in chunk size",
  },
  {
    name: "no chunk size",
    sent: chunked("\r\nhello\r\n0\r\n\r\n"),
    requests: [],
    error: "HPE_INVALID_CHUNK_SIZE: Invalid character in chunk size",
  },
  {
    name: "chunk size beyond 64 bits",
    sent: chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"),
    requests: [],
    error: "HPE_INVALID_CHUNK_SIZE: Chunk size overflow",
  },
  {
    name: "chunk longer than its size",
    sent: chunked("5\r\nhello!\r\n0\r\n\r\n"),
    requests: [],
    error: "HPE_STRICT: Expected LF after chunk data",
  },
  {
    name: "chunk ended by bare LF",
    sent: chunked("5\r\nhello\n0\r\n\r\n"),
    requests: [],
    error: "HPE_CR_EXPECTED: Missing expected CR after chunk data",
  },
  {
    name: "length among the trailers",
    sent: chunked("5\r\nhello\r\n0\r\ncontent-length: 5\r\n\r\n" + NEXT),
    requests: [],
    error: "HPE_INVALID_CONTENT_LENGTH: Content-Length can't be present with Transfer-Encoding",
  },
  {
    name: "trailers",
    sent: chunked("5\r\nhello\r\n0\r\nhost: other\r\n\r\n") + NEXT,
    requests: ["POST /x hello", "GET /next"],
  },

  // Other protocols.
  {
    name: "upgrade",
    sent: "GET /a HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n" + NEXT,
    requests: ["GET /a", "GET /next"],
  },
  {
    name: "upgrade with a body",
    sent: post("connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 5", "hello") + NEXT,
    requests: ["POST /x hello", "GET /next"],
  },
  { name: "CONNECT", sent: "CONNECT h:1 HTTP/1.1\r\nhost: h\r\n\r\n" + NEXT, requests: ["CONNECT h:1", "GET /next"] },
  {
    name: "CONNECT with a body",
    sent: "CONNECT h:1 HTTP/1.1\r\ncontent-length: 32\r\n\r\n" + NEXT,
    requests: [],
    error: "HPE_USER: A body is announced for CONNECT",
  },
];
