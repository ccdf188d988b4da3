/**
 * Strict HTTP/1.1 request parser of the client-certificate listener, on llhttp.
 *
 * In: bytes of one connection in pieces of any size. Out: complete requests, in order, and at most one refusal with its
 * exact answer, after which the parser is finished. Synchronous; knows nothing of sockets.
 * Behaviour: http-api.md §1.2. Texts and positions are CCF's because the same llhttp words them (CCF
 * src/http/http_parser.h, src/http/http_session.h).
 *
 * Events only note where things are; text is cut from the input once a head is complete, so that no JavaScript runs for
 * each byte.
 */

import { Buffer } from "node:buffer";
import { ERROR } from "undici/lib/llhttp/constants.js";
import { assert } from "../shared/assert.ts";
import { concat, toUtf8 } from "../shared/bytes.ts";
import { MAX_PARSED_FRAGMENT_BYTES, MAX_REQUEST_HEAD_BYTES } from "../shared/limits.ts";
import type { HttpRequest, HttpResponse } from "../enclave/messages.ts";
import { bodyTooLarge, headerTooLarge, type HttpLimits, type RequestFault, tooManyHeaders } from "./listener.ts";
import { Llhttp, type LlhttpEvents, type LlhttpState } from "./llhttp.ts";

/** Why a connection cannot go on, and what to tell the client before it is closed. */
export interface RequestRefusal {
  readonly fault: RequestFault;
  readonly response: HttpResponse;
}

const TARGET = 0;
const NAME = 1;
const VALUE = 2;

const NO_BODY = new Uint8Array(0);
const NO_FRAGMENT = Buffer.alloc(0);
const NO_REQUESTS: HttpRequest[] = [];

/** Made with the first parser, since a process without listeners needs none. */
let llhttp: Llhttp | undefined;

/**
 * Pieces of a head in the fragment that is being parsed: kind, start, end of each. Shared by all parsers; empty between
 * fragments. A piece has a byte of its own, an empty value its colon; only one cut by the fragment's start has none.
 */
const pieces = new Int32Array(3 * (MAX_PARSED_FRAGMENT_BYTES + 2));
let piecesLength = 0;

export class Http1Parser {
  readonly #limits: HttpLimits;
  readonly #llhttp: Llhttp;
  #state: LlhttpState | null;
  readonly #reader: RequestReader;

  constructor(limits: HttpLimits) {
    this.#limits = limits;
    this.#llhttp = llhttp ??= new Llhttp();
    this.#state = this.#llhttp.take();
    this.#reader = new RequestReader(limits);
  }

  /**
   * Reads the next bytes of the connection. Requests that they complete are appended to `requests`. Header values and
   * targets are byte strings: one character is one byte.
   *
   * @returns the refusal that ends the connection, or null
   */
  read(bytes: Uint8Array, requests: HttpRequest[]): RequestRefusal | null {
    const input = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (input.length <= MAX_PARSED_FRAGMENT_BYTES) return this.#readFragment(input, requests);
    for (let start = 0; start < input.length; start += MAX_PARSED_FRAGMENT_BYTES) {
      const refusal = this.#readFragment(input.subarray(start, start + MAX_PARSED_FRAGMENT_BYTES), requests);
      if (refusal !== null) return refusal;
    }
    return null;
  }

  /** Gives the parser's memory back. Harmless when repeated. */
  release(): void {
    if (this.#state === null) return;
    this.#llhttp.giveBack(this.#state);
    this.#state = null;
  }

  #readFragment(fragment: Buffer, requests: HttpRequest[]): RequestRefusal | null {
    assert(this.#state !== null, "A released parser reads nothing");
    const reader = this.#reader;
    assert(reader.refusal === null, "A parser reads nothing after a refusal");
    reader.begin(fragment, requests);
    this.#llhttp.load(fragment);
    let start = 0;
    for (;;) {
      const error = this.#llhttp.execute(this.#state, start, fragment.length, reader);
      if (error === ERROR.OK || reader.refusal !== null) break;
      const position = this.#llhttp.errorPosition(this.#state);
      if (error !== ERROR.PAUSED_UPGRADE) {
        reader.refuseUnparseable(this.#llhttp.errorText(this.#state, error), position);
        break;
      }
      // Nothing here speaks another protocol: the upgrade is not taken, and HTTP goes on behind the request.
      // (CCF drops what came in the same read and goes on with the next.)
      this.#llhttp.resumeAfterUpgrade(this.#state);
      if (position >= fragment.length) break;
      start = position;
    }
    reader.end();
    return reader.refusal;
  }
}

/** Builds requests from llhttp's events and watches the limits. One for each connection. */
class RequestReader implements LlhttpEvents {
  readonly #limits: HttpLimits;
  readonly #maxHeadBytes: number;
  #fragment: Buffer = NO_FRAGMENT;
  #requests = NO_REQUESTS;
  refusal: RequestRefusal | null = null;

  // The request being read.
  #method = "";
  #target = "";
  #headers: [string, string][] = [];
  /** Fields being read: the headers, or after the body has begun the trailers, which are counted and dropped. */
  #fields = this.#headers;
  #fieldsCount = 0;
  /** Kind of the last piece that was noted, and of the last that was made text. */
  #lastNoted = TARGET;
  #lastTaken = TARGET;
  /** Bytes so far of the name or value being read, and of the whole head. */
  #pieceBytes = 0;
  #headBytes = 0;
  /** Holds `#bodyBytes` bytes of body and room for more. */
  #body = NO_BODY;
  #bodyBytes = 0;

  constructor(limits: HttpLimits) {
    this.#limits = limits;
    this.#maxHeadBytes = Math.max(MAX_REQUEST_HEAD_BYTES, 2 * limits.maxHeaderBytes);
  }

  /** Before a fragment is parsed. */
  begin(fragment: Buffer, requests: HttpRequest[]): void {
    this.#fragment = fragment;
    this.#requests = requests;
  }

  /** After a fragment is parsed: what it has of an unfinished head is kept as text. */
  end(): void {
    this.#takePieces();
    this.#fragment = NO_FRAGMENT;
    this.#requests = NO_REQUESTS;
  }

  onMessageBegin(): void {
    this.#target = "";
    this.#headers = [];
    this.#fields = this.#headers;
    this.#fieldsCount = 0;
    this.#lastNoted = TARGET;
    this.#lastTaken = TARGET;
    this.#headBytes = 0;
  }

  onTarget(start: number, end: number): boolean {
    return this.#note(TARGET, start, end);
  }

  onHeaderName(start: number, end: number): boolean {
    const { maxHeadersCount, maxHeaderBytes } = this.#limits;
    if (this.#lastNoted !== NAME) {
      this.#lastNoted = NAME;
      this.#pieceBytes = 0;
      this.#fieldsCount++;
      if (this.#fieldsCount > maxHeadersCount) return this.#refuseHeader(tooManyHeaders(maxHeadersCount));
    }
    if (!this.#note(NAME, start, end)) return false;
    this.#pieceBytes += end - start;
    if (this.#pieceBytes <= maxHeaderBytes) return true;
    return this.#refuseHeader(headerTooLarge(`Header key for '${this.#currentName()}'`, maxHeaderBytes));
  }

  onHeaderValue(start: number, end: number): boolean {
    const { maxHeaderBytes } = this.#limits;
    if (this.#lastNoted !== VALUE) {
      this.#lastNoted = VALUE;
      this.#pieceBytes = 0;
    }
    if (!this.#note(VALUE, start, end)) return false;
    this.#pieceBytes += end - start;
    if (this.#pieceBytes <= maxHeaderBytes) return true;
    return this.#refuseHeader(headerTooLarge(`Header value for '${this.#currentName()}'`, maxHeaderBytes));
  }

  onHeadersComplete(method: string): boolean {
    const headEnd = piecesLength === 0 ? 0 : pieces[piecesLength - 1]!;
    this.#takePieces();
    this.#method = method;
    this.#fields = [];
    this.#lastTaken = TARGET;
    for (const [name, value] of this.#headers) {
      if (name === "content-length") {
        // llhttp has checked that it is a number and that there is one.
        if (Number(value) > this.#limits.maxBodyBytes) return this.#refuseBody();
      } else if (name !== "transfer-encoding") {
        continue;
      }
      // llhttp takes what follows a CONNECT for another protocol, so a body would be read as the next request.
      if (method === "CONNECT") {
        this.refuseUnparseable("HPE_USER: A body is announced for CONNECT", headEnd);
        return false;
      }
    }
    return true;
  }

  onBody(start: number, end: number): boolean {
    const total = this.#bodyBytes + (end - start);
    if (total > this.#limits.maxBodyBytes) return this.#refuseBody();
    if (total > this.#body.length) {
      // The room doubles, so that a body in many small chunks is not copied again for each of them.
      const room = this.#bodyBytes === 0 ? total : Math.min(2 * total, this.#limits.maxBodyBytes);
      const body = new Uint8Array(room);
      if (this.#bodyBytes > 0) body.set(this.#body.subarray(0, this.#bodyBytes));
      this.#body = body;
    }
    this.#body.set(this.#fragment.subarray(start, end), this.#bodyBytes);
    this.#bodyBytes = total;
    return true;
  }

  onMessageComplete(): void {
    // Its own bytes, not a view of something larger: a message to the Worker would carry all of that.
    const body = this.#body.length === this.#bodyBytes ? this.#body : this.#body.slice(0, this.#bodyBytes);
    this.#requests.push({ method: this.#method, target: this.#target, headers: this.#headers, body });
    this.#body = NO_BODY;
    this.#bodyBytes = 0;
    // Trailers, if any.
    piecesLength = 0;
  }

  /** @param text llhttp's name and reason */
  refuseUnparseable(text: string, position: number): void {
    const message = "Unable to parse data as a HTTP request. Error message is: " +
      `HTTP parsing failed (${text}) around byte ${position}\nError occurred while parsing fragment:\n`;
    this.refusal = {
      fault: "parsing",
      response: {
        status: 400,
        headers: [["content-type", "text/plain"]],
        body: concat(toUtf8(message), this.#fragment),
      },
    };
  }

  #refuseBody(): false {
    this.refusal = { fault: "request_payload_too_large", response: bodyTooLarge(this.#limits) };
    return false;
  }

  #refuseHeader(response: HttpResponse): false {
    this.refusal = { fault: "request_header_too_large", response };
    return false;
  }

  #note(kind: number, start: number, end: number): boolean {
    pieces[piecesLength] = kind;
    pieces[piecesLength + 1] = start;
    pieces[piecesLength + 2] = end;
    piecesLength += 3;
    this.#headBytes += end - start;
    if (this.#headBytes <= this.#maxHeadBytes) return true;
    return this.#refuseHeader(headerTooLarge("Request head", this.#maxHeadBytes));
  }

  /** Turns the pieces noted so far into text. */
  #takePieces(): void {
    if (piecesLength === 0) return;
    const base = pieces[1]!;
    const text = this.#fragment.toString("latin1", base, pieces[piecesLength - 1]!);
    for (let i = 0; i < piecesLength; i += 3) {
      this.#takePiece(pieces[i]!, text.substring(pieces[i + 1]! - base, pieces[i + 2]! - base));
    }
    piecesLength = 0;
  }

  /** A piece of the same kind as the one before goes on with it. */
  #takePiece(kind: number, piece: string): void {
    const isNext = kind !== this.#lastTaken;
    this.#lastTaken = kind;
    if (kind === TARGET) this.#target += piece;
    else if (kind === VALUE) this.#fields[this.#fields.length - 1]![1] += piece;
    else if (isNext) this.#fields.push([piece.toLowerCase(), ""]);
    else this.#fields[this.#fields.length - 1]![0] += piece.toLowerCase();
  }

  /** The header name read last; of an endless one only what is already too much, however its bytes arrived. */
  #currentName(): string {
    this.#takePieces();
    const name = this.#fields[this.#fields.length - 1]![0];
    return name.substring(0, this.#limits.maxHeaderBytes + 1);
  }
}
