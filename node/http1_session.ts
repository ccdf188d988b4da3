/**
 * One HTTP/1.1 connection: bytes in, requests to the sink, answers back in the order of the requests.
 *
 * In: what a byte stream tells. Out: writes to it, and whether to read on. Knows nothing of TLS, timers or caps.
 * Behaviour: http-api.md §1.2. `connection: close`, HTTP/1.0 and `expect: 100-continue` change nothing here.
 */

import { assert } from "../shared/assert.ts";
import { concat } from "../shared/bytes.ts";
import { MAX_PARSED_FRAGMENT_BYTES, MAX_PIPELINED_REQUESTS, MAX_WRITE_BYTES } from "../shared/limits.ts";
import type { HttpRequest, HttpResponse } from "../enclave/messages.ts";
import { Http1Parser } from "./http1_parser.ts";
import { joinResponses, type SerialisedResponse, serialiseResponse } from "./http1_response.ts";
import type { Exchange, HttpLimits, InterfaceCounters, RequestBatcher, Session } from "./listener.ts";

/** What a session needs of its connection. */
export interface ByteStream {
  /** Sends bytes, which are not changed afterwards; false where nothing more should be written until `drained`. */
  write(bytes: Uint8Array): boolean;
  /** Says that nothing more will be written. What the client still sends is thrown away by the session. */
  end(): void;
  /** Whether more input is wanted. */
  setReading(reading: boolean): void;
}

export class Http1Session {
  readonly session: Session;
  readonly #stream: ByteStream;
  readonly #batcher: RequestBatcher;
  readonly #counters: InterfaceCounters;
  readonly #parser: Http1Parser;

  // Answers not yet written, given or not, in the order of their requests.
  #first: PendingAnswer | null = null;
  #last: PendingAnswer | null = null;
  #waiting = 0;

  /** Input that came while too much was waiting. */
  #unread: Uint8Array | null = null;
  /** The client has ended its side; what is unread is still parsed. */
  #inputEnded = false;
  /** No further input is parsed. */
  #inputOver = false;
  /** Our side is ended. */
  #outputOver = false;
  #gone = false;
  #reading = true;
  #writable = true;
  #writeScheduled = false;

  constructor(
    session: Session,
    stream: ByteStream,
    limits: HttpLimits,
    batcher: RequestBatcher,
    counters: InterfaceCounters,
  ) {
    this.session = session;
    this.#stream = stream;
    this.#batcher = batcher;
    this.#counters = counters;
    this.#parser = new Http1Parser(limits);
    batcher.opened(session);
  }

  /** Whether the last answer has been written. Only the client's side may still be open. */
  get outputOver(): boolean {
    return this.#outputOver;
  }

  /** Bytes from the client. They are not changed afterwards. */
  receive(bytes: Uint8Array): void {
    if (this.#inputOver) return;
    this.#unread = this.#unread === null ? bytes : concat(this.#unread, bytes);
    this.#readOn();
  }

  /** The client will send nothing more; what it has asked is still answered. Also how the node says that it stops. */
  inputEnded(): void {
    this.#inputEnded = true;
    this.#readOn();
  }

  /** What was written has gone out. */
  drained(): void {
    this.#writable = true;
    this.#write();
  }

  /** The connection is gone. */
  closed(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#endInput();
    this.#outputOver = true;
    this.#forgetAnswers();
    this.#batcher.closed(this.session);
  }

  /** An answer has been given. Writing waits for the others of this turn. For `PendingAnswer` alone. */
  answered(): void {
    if (this.#writeScheduled || this.#first === null || this.#first.response === null) return;
    this.#writeScheduled = true;
    queueMicrotask(() => {
      this.#writeScheduled = false;
      this.#write();
    });
  }

  /**
   * Parses what is unread as far as the number of waiting requests allows, and says whether more is wanted. One fragment
   * may go over, by no more requests than its bytes can hold. Reading goes on when half of the requests are answered; and
   * once input is over, since a client that is still sending would else be cut off before it has read its answer.
   */
  #readOn(): void {
    if (this.#gone) return;
    const limit = this.#reading ? MAX_PIPELINED_REQUESTS : MAX_PIPELINED_REQUESTS / 2;
    while (this.#unread !== null && !this.#inputOver && this.#writable && this.#waiting < limit) {
      const bytes: Uint8Array = this.#unread;
      this.#unread = bytes.length > MAX_PARSED_FRAGMENT_BYTES ? bytes.subarray(MAX_PARSED_FRAGMENT_BYTES) : null;
      this.#parse(this.#unread === null ? bytes : bytes.subarray(0, MAX_PARSED_FRAGMENT_BYTES));
    }
    if (this.#inputEnded && this.#unread === null) {
      this.#endInput();
      if (this.#waiting === 0) this.#endOutput();
    }
    const reading = this.#inputOver || (this.#unread === null && this.#writable && this.#waiting < limit);
    if (reading === this.#reading) return;
    this.#reading = reading;
    this.#stream.setReading(reading);
  }

  #parse(fragment: Uint8Array): void {
    const requests: HttpRequest[] = [];
    const refusal = this.#parser.read(fragment, requests);
    for (const request of requests) {
      const exchange = new PendingExchange(this, request);
      this.#append(exchange);
      this.#batcher.add(exchange);
    }
    if (refusal === null) return;
    this.#counters.errors[refusal.fault]++;
    this.#endInput();
    const answer = new PendingAnswer(this, "");
    this.#append(answer);
    answer.respond({ ...refusal.response, close: true });
  }

  /** Writes the answers that are next in order, as many at once as one write may hold. */
  #write(): void {
    while (this.#writable && !this.#outputOver && this.#first !== null && this.#first.response !== null) {
      const ready: SerialisedResponse[] = [];
      let readyBytes = 0;
      let closes = false;
      while (this.#first !== null && this.#first.response !== null && readyBytes < MAX_WRITE_BYTES && !closes) {
        const { method, response, next }: PendingAnswer = this.#first;
        const serialised = serialiseResponse(response, method);
        ready.push(serialised);
        readyBytes += serialised.head.length + serialised.body.length;
        closes = response.close === true;
        this.#first = next;
        this.#waiting--;
      }
      if (this.#first === null) this.#last = null;
      this.#writable = this.#stream.write(joinResponses(ready));
      if (closes) this.#endOutput();
    }
    if (this.#inputOver && this.#waiting === 0) this.#endOutput();
    this.#readOn();
  }

  #append(answer: PendingAnswer): void {
    if (this.#last === null) this.#first = answer;
    else this.#last.next = answer;
    this.#last = answer;
    this.#waiting++;
  }

  #forgetAnswers(): void {
    this.#first = this.#last = null;
    this.#waiting = 0;
  }

  #endInput(): void {
    this.#inputOver = true;
    this.#unread = null;
    this.#parser.release();
  }

  #endOutput(): void {
    if (this.#outputOver) return;
    this.#outputOver = true;
    this.#endInput();
    this.#forgetAnswers();
    this.#stream.end();
  }
}

/** A place in the order of answers. */
class PendingAnswer {
  response: HttpResponse | null = null;
  next: PendingAnswer | null = null;
  readonly #owner: Http1Session;

  /** @param method of the request, empty for an answer that no request asked for */
  constructor(owner: Http1Session, readonly method: string) {
    this.#owner = owner;
  }

  respond(response: HttpResponse): void {
    assert(this.response === null, "A request is answered once");
    this.response = response;
    this.#owner.answered();
  }
}

class PendingExchange extends PendingAnswer implements Exchange {
  readonly session: Session;

  constructor(owner: Http1Session, readonly request: HttpRequest) {
    super(owner, request.method);
    this.session = owner.session;
  }
}
