/**
 * For tests of partitions: a TCP proxy on 127.0.0.1 that can be cut, stalled or slowed down while it runs.
 *
 * In: where to forward to, and what goes wrong. Out: a port to connect to instead. Of what passes it knows only where a
 * node says who it is, so that the way from one node to another can be cut: with a proxy before each node (its published
 * node-to-node address), every partition can be made.
 */

/** As seen from who connects: "up" towards the target, "down" back from it. */
export type Direction = "up" | "down";

/** What is read at once. */
const PIECE_BYTES = 64 * 1024;

export class FaultProxy {
  readonly #target: { readonly hostname: string; readonly port: number };
  readonly #port: number;
  #listener: Deno.TcpListener | null = null;
  readonly #connections = new Set<Deno.TcpConn>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #stalled = new Set<Direction>();
  #wake = Promise.withResolvers<void>();
  #delayMs = 0;
  #isCut = false;
  /** Nodes that do not get through. */
  readonly #cutNodes = new Set<string>();
  readonly #connectionsOf = new Map<Deno.TcpConn, string>();
  /** Connections that were accepted since it began. */
  accepted = 0;
  /** Bytes that passed in each direction. */
  readonly passed = { up: 0, down: 0 };

  /** @param target "host:port" */
  constructor(target: string) {
    const at = target.lastIndexOf(":");
    this.#target = { hostname: target.slice(0, at), port: Number(target.slice(at + 1)) };
    this.#port = this.#listen(0);
  }

  /** The same for as long as it lives. */
  get port(): number {
    return this.#port;
  }

  /** "host:port" to connect to. */
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Closes every connection, and refuses new ones, as if the machine were gone. */
  cut(): void {
    if (this.#isCut) return;
    this.#isCut = true;
    this.#listener?.close();
    this.#listener = null;
    for (const connection of [...this.#connections]) this.#close(connection);
    this.#changed();
  }

  /** The same for one node alone: its connections are closed, and new ones as soon as it says who it is. */
  cutNode(nodeId: string): void {
    this.#cutNodes.add(nodeId);
    for (const [connection, from] of this.#connectionsOf) if (from === nodeId) this.#close(connection);
    this.#changed();
  }

  /** Connections stay, and new ones are accepted, but nothing passes any more: as when packets are lost. */
  stall(...directions: Direction[]): void {
    for (const direction of directions.length === 0 ? ["up", "down"] as const : directions) {
      this.#stalled.add(direction);
    }
  }

  /** Every piece waits for so long, in both directions. Order is kept, and so is the rate where pieces come seldom. */
  delay(delayMs: number): void {
    this.#delayMs = delayMs;
  }

  /** Forwards again. What was stalled arrives now; what was cut stays lost. */
  heal(): void {
    this.#stalled.clear();
    this.#cutNodes.clear();
    this.#delayMs = 0;
    if (this.#isCut) {
      this.#isCut = false;
      this.#listen(this.#port);
    }
    this.#changed();
  }

  /** Ends it, with all its connections. */
  async stop(): Promise<void> {
    this.cut();
    await Promise.all(this.#tasks);
  }

  #listen(port: number): number {
    const listener = Deno.listen({ hostname: "127.0.0.1", port });
    this.#listener = listener;
    this.#run(this.#accept(listener));
    return listener.addr.port;
  }

  async #accept(listener: Deno.TcpListener): Promise<void> {
    for (;;) {
      let client: Deno.TcpConn;
      try {
        client = await listener.accept();
      } catch {
        // Closed by `cut`.
        return;
      }
      this.accepted += 1;
      this.#run(this.#serve(client));
    }
  }

  async #serve(client: Deno.TcpConn): Promise<void> {
    this.#connections.add(client);
    let target: Deno.TcpConn;
    try {
      target = await Deno.connect(this.#target);
    } catch {
      // Nobody listens there, and the client sees just that.
      this.#close(client);
      return;
    }
    this.#connections.add(target);
    client.setNoDelay(true);
    target.setNoDelay(true);
    if (this.#isCut || !this.#connections.has(client)) {
      this.#close(client);
      this.#close(target);
      return;
    }
    await Promise.all([this.#pump(client, target, "up"), this.#pump(target, client, "down")]);
    this.#close(client);
    this.#close(target);
  }

  /** Passes bytes on until the source ends or either is lost. */
  async #pump(source: Deno.TcpConn, sink: Deno.TcpConn, direction: Direction): Promise<void> {
    const buffer = new Uint8Array(PIECE_BYTES);
    try {
      for (;;) {
        const count = await source.read(buffer);
        if (count !== null && direction === "up" && !this.#connectionsOf.has(source)) {
          const from = nodeIdIn(buffer.subarray(0, count));
          this.#connectionsOf.set(source, from);
          if (this.#cutNodes.has(from)) throw new Error("This node does not get through");
        }
        await this.#mayPass(source, direction);
        if (count === null) {
          await sink.closeWrite();
          return;
        }
        for (let at = 0; at < count;) at += await sink.write(buffer.subarray(at, count));
        this.passed[direction] += count;
      }
    } catch {
      // One side is lost or was cut: so is the other.
      this.#close(source);
      this.#close(sink);
    }
  }

  async #mayPass(source: Deno.TcpConn, direction: Direction): Promise<void> {
    if (this.#delayMs > 0) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const over = new Promise<void>((resolve) => timer = setTimeout(resolve, this.#delayMs));
      await Promise.race([over, this.#wake.promise]);
      clearTimeout(timer);
    }
    while (this.#stalled.has(direction) && this.#connections.has(source)) await this.#wake.promise;
  }

  /** Wakes what waits, to look again. */
  #changed(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }

  #close(connection: Deno.TcpConn): void {
    this.#connectionsOf.delete(connection);
    if (this.#connections.delete(connection)) connection.close();
  }

  #run(task: Promise<void>): void {
    const running = task.finally(() => this.#tasks.delete(running));
    this.#tasks.add(running);
  }
}

/** Whose frames these are (nodes-and-attestation.md §1.1), from the first piece of a connection; "" where they are none. */
function nodeIdIn(bytes: Uint8Array): string {
  const text = String.fromCharCode(...bytes.subarray(20, 84));
  return /^[0-9a-f]{64}$/.test(text) ? text : "";
}
