/**
 * Clients of a simulated service: they write, read, ask what became of their transactions, and fetch receipts.
 *
 * In: the world, whose nodes they reach over connections that may break. Out: a history, checked as it grows.
 */

import type { HttpRequest, HttpResponse } from "../../../enclave/messages.ts";
import { fromUtf8Lenient, toUtf8 } from "../../../shared/bytes.ts";
import { parseReceipt } from "../../../shared/receipt/receipt.ts";
import { verifyReceipt } from "../../../shared/receipt/verify_receipt.ts";
import { formatTxId, parseTxId, type TxId } from "../../../shared/tx_id.ts";
import { quorumOf } from "../picture.ts";
import { Violation } from "../world.ts";
import type { History, Operation } from "./history.ts";
import type { Host } from "./host.ts";
import type { TreeEntry } from "./ledger_tree.ts";
import type { EnclaveWorld } from "./world.ts";

/** After which a client takes a connection for broken. */
const PATIENCE_MS = 1000;
const TX_ID = "x-ms-ccf-transaction-id";
/** Transactions that clients remember, to ask about them again. */
const MAX_REMEMBERED = 50;

interface Connection {
  readonly name: string;
  readonly host: Host;
  readonly session: number;
}

export class Client {
  #connection: Connection | undefined;
  #connections = 0;
  #requests = 0;
  /** Of all clients. */
  readonly #remembered: TxId[];

  constructor(
    readonly name: string,
    readonly world: EnclaveWorld,
    readonly history: History,
    remembered: TxId[],
  ) {
    this.#remembered = remembered;
  }

  /** Begins with the next thing; one follows the other until the world is calm. */
  begin(): void {
    const { world } = this;
    if (world.isCalm) return;
    world.after(world.random.between(...world.plan.thinkMs), () => world.isCalm || this.#next());
  }

  /** Writes, and goes on until it is known what became of it. @param done is told the transaction once it is committed */
  writeUntilCommitted(key: string, done: (id: TxId) => void): void {
    const again = () => {
      // The node may have been retired without ever hearing of it.
      this.#disconnect();
      this.world.after(100, () => this.writeUntilCommitted(key, done));
    };
    this.#write(key, (id) => {
      if (id === undefined) return again();
      this.#askUntilKnown(id, (status) => status === "Committed" ? done(id) : again());
    });
  }

  /** Reads a record from the primary, when all nodes agree and nobody writes. */
  readLast(key: string): void {
    this.#call("read", key, undefined, { method: "GET", target: `/app/log/private?id=${key}` }, () => {}, true);
  }

  #askUntilKnown(id: TxId, done: (status: string) => void): void {
    this.#askStatus(id, (status) => {
      if (status === "Committed" || status === "Invalid") return done(status);
      this.#disconnect();
      this.world.after(50, () => this.#askUntilKnown(id, done));
    });
  }

  #next(): void {
    const { random, plan } = this.world;
    if (random.chance(plan.reconnect)) this.#disconnect();
    const key = `k${random.below(plan.keys)}`;
    const what = random.below(20);
    const done = () => this.begin();
    if (what < 8) return this.#write(key, done);
    if (what < 10) return this.#remove(key, done);
    if (what < 14) return this.#read(key, done);
    if (this.#remembered.length === 0) return done();
    const id = random.pick(this.#remembered);
    if (what < 18) return this.#askStatus(id, done);
    this.#fetchReceipt(id, 5, done);
  }

  #write(key: string, done: (id: TxId | undefined) => void): void {
    const value = `${this.name}.${this.#requests++}`;
    const body = { id: key, msg: value };
    this.#call("write", key, value, { method: "POST", target: "/app/log/private", body }, done);
  }

  #remove(key: string, done: () => void): void {
    this.#call("remove", key, undefined, { method: "DELETE", target: `/app/log/private?id=${key}` }, done);
  }

  #read(key: string, done: () => void): void {
    this.#call("read", key, undefined, { method: "GET", target: `/app/log/private?id=${key}` }, done);
  }

  #call(
    kind: Operation["kind"],
    key: string,
    value: string | undefined,
    request: { readonly method: string; readonly target: string; readonly body?: unknown },
    done: (id: TxId | undefined) => void,
    isLast = false,
  ): void {
    const { world, history } = this;
    const connection = this.#connect(isLast);
    if (connection === undefined) return done(undefined);
    const operation = history.invoke({ client: this.name, connection: connection.name, kind, key, value, isLast });
    this.#send(connection, request, (response) => {
      const txId = response?.headers.find(([name]) => name === TX_ID)?.[1];
      const what = `${this.name} ${kind} ${key}${value === undefined ? "" : ` := ${value}`} at ${connection.host.name}`;
      if (response?.status !== 200 || txId === undefined) {
        world.note(`${what}: ${response === undefined ? "the connection broke" : textOf(response)}`);
        return done(undefined);
      }
      const id = parseTxId(txId);
      const observed = kind === "read" ? JSON.parse(textOf(response)).msg : undefined;
      world.note(`${what}: ${observed === undefined ? "" : `${observed} `}at ${txId}`);
      history.succeed(operation, id, world.tree.find(id), observed);
      if (kind !== "read") this.#remember(id);
      done(id);
    });
  }

  #remember(id: TxId): void {
    this.#remembered.push(id);
    if (this.#remembered.length > MAX_REMEMBERED) this.#remembered.shift();
  }

  #askStatus(id: TxId, done: (status: string) => void): void {
    const connection = this.#connect();
    if (connection === undefined) return done("Unknown");
    const target = `/app/tx?transaction_id=${formatTxId(id)}`;
    this.#send(connection, { method: "GET", target }, (response) => {
      if (response?.status !== 200) return done("Unknown");
      const { status } = JSON.parse(textOf(response));
      this.world.note(`${connection.host.name} tells ${this.name} that ${formatTxId(id)} is ${status}`);
      this.history.status(connection.host.name, id, status, () => this.#isHeld(id));
      done(status);
    });
  }

  /** Whether a quorum of a configuration that somebody commits by has a transaction, or had it before it went on. */
  #isHeld(id: TxId): boolean {
    const entry = this.world.tree.find(id);
    const pictures = [...this.world.pictures.values()];
    const holds = ({ log }: { readonly log: readonly TreeEntry[] }) => log[id.seqno - 1] === entry;
    return entry !== undefined &&
      pictures.some(({ configurations, log, committed }) =>
        log[id.seqno - 1] === entry && committed >= id.seqno &&
        configurations.some(({ members }) =>
          members.filter((name) => {
            const picture = this.world.pictures.get(name);
            return picture !== undefined && holds(picture);
          }).length >= quorumOf(members)
        )
      );
  }

  #fetchReceipt(id: TxId, tries: number, done: () => void): void {
    const connection = this.#connect();
    if (connection === undefined || tries === 0) return done();
    const target = `/app/receipt?transaction_id=${formatTxId(id)}`;
    this.#send(connection, { method: "GET", target }, (response) => {
      if (response?.status === 202) {
        this.world.after(30, () => this.#fetchReceipt(id, tries - 1, done));
        return;
      }
      if (response?.status !== 200) return done();
      const json = textOf(response);
      requireReceipt(this.world, id, json, connection.host.servicePem);
      this.world.note(`${this.name} has a receipt of ${formatTxId(id)} from ${connection.host.name}`);
      this.history.status(connection.host.name, id, "Committed", () => this.#isHeld(id));
      this.history.receipts.push({ txId: id, json });
      done();
    });
  }

  #connect(toPrimary = false): Connection | undefined {
    const { world } = this;
    const current = this.#connection;
    if (!toPrimary && current !== undefined && !current.host.isDead) return current;
    const hosts = toPrimary ? [world.primary!] : world.alive.filter(({ takesPart }) => takesPart);
    if (hosts.length === 0) return undefined;
    const host = world.random.pick(hosts);
    const session = host.openSession(world.service.user.certificate);
    this.#connection = { name: `${this.name}/${this.#connections++}`, host, session };
    return this.#connection;
  }

  #disconnect(connection: Connection | undefined = this.#connection): void {
    if (connection === undefined) return;
    connection.host.closeSession(connection.session);
    if (this.#connection === connection) this.#connection = undefined;
  }

  #send(
    connection: Connection,
    { method, target, body }: { readonly method: string; readonly target: string; readonly body?: unknown },
    done: (response: HttpResponse | undefined) => void,
  ): void {
    let isDone = false;
    const end = (response: HttpResponse | undefined) => {
      if (isDone) return;
      isDone = true;
      // Somebody else may know more.
      const isUnhelpful = response !== undefined && response.status >= 500 && this.world.random.chance(0.5);
      if (response === undefined || response.close === true || isUnhelpful) this.#disconnect(connection);
      done(response);
    };
    const request: HttpRequest = {
      method,
      target,
      headers: [["content-type", "application/json"]],
      body: body === undefined ? new Uint8Array() : toUtf8(JSON.stringify(body)),
    };
    this.world.exchange(connection.host, connection.session, request, end);
    this.world.after(PATIENCE_MS, () => end(undefined));
  }
}

/** A receipt is of the transaction that was asked for, and holds against the service's certificate. */
export function requireReceipt({ machinery }: EnclaveWorld, txId: TxId, json: string, servicePem: string): void {
  const { verdict, reason } = verifyReceipt(machinery.primitives, parseReceipt(json), servicePem, { txId });
  if (verdict !== "verified") {
    throw new Violation("ReceiptsHold", `the receipt of ${formatTxId(txId)} is refused: ${reason}`);
  }
}

function textOf({ body }: HttpResponse): string {
  return fromUtf8Lenient(body);
}
