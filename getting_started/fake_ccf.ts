/**
 * A small stand-in for the global `ccf` of apps, for tests that need no node.
 *
 * Tables are maps in memory, with the strictness that scripts meet in a node: binary arguments are `ArrayBuffer`s and
 * nothing else, and a table may be read-only. Shapes and error texts: js-apps.md §8.
 */

import { type ByteString, fromByteString, fromUtf8, toByteString, toUtf8 } from "../shared/bytes.ts";

/** A table as scripts see it (js-apps.md §8.2). */
export class FakeTable {
  readonly #entries = new Map<string, Uint8Array>();
  readonly #mayWrite: () => boolean;

  constructor(mayWrite: () => boolean) {
    this.#mayWrite = mayWrite;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(key: ArrayBuffer): boolean {
    return this.#entries.has(keyOf(key));
  }

  get(key: ArrayBuffer): ArrayBuffer | undefined {
    const value = this.#entries.get(keyOf(key));
    return value === undefined ? undefined : bufferOf(value);
  }

  set(key: ArrayBuffer, value: ArrayBuffer): this {
    this.#write();
    this.#entries.set(keyOf(key), bytesOf(value).slice());
    return this;
  }

  delete(key: ArrayBuffer): void {
    this.#write();
    this.#entries.delete(keyOf(key));
  }

  clear(): void {
    this.#write();
    this.#entries.clear();
  }

  forEach(visit: (value: ArrayBuffer, key: ArrayBuffer, table: FakeTable) => void): void {
    for (const [key, value] of [...this.#entries]) visit(bufferOf(value), bufferOf(fromByteString(key)), this);
  }

  /** What the table holds, for comparison in a test. */
  rows(): (readonly [key: ByteString, value: Uint8Array])[] {
    return [...this.#entries];
  }

  /** The same as text. */
  texts(): Record<string, string> {
    return Object.fromEntries(this.rows().map(([key, value]) => [fromUtf8(fromByteString(key)), fromUtf8(value)]));
  }

  #write(): void {
    if (!this.#mayWrite()) throw new TypeError("This table is read-only in this execution context");
  }
}

export class FakeCcf {
  /** Whether tables may be written, as in a read-write endpoint. */
  writable = true;
  readonly kv: Record<string, FakeTable>;

  constructor() {
    const tables = new Map<string, FakeTable>();
    this.kv = new Proxy({}, {
      get: (_, name) => {
        const text = String(name);
        let table = tables.get(text);
        if (table === undefined) tables.set(text, table = new FakeTable(() => this.writable));
        return table;
      },
    });
  }

  readonly strToBuf = (text: string): ArrayBuffer => {
    if (typeof text !== "string") throw new TypeError("Argument must be a string");
    return bufferOf(toUtf8(text));
  };
  readonly bufToStr = (buffer: ArrayBuffer): string => fromUtf8(bytesOf(buffer));
  readonly jsonCompatibleToBuf = (value: unknown): ArrayBuffer => this.strToBuf(JSON.stringify(value));
  readonly bufToJsonCompatible = (buffer: ArrayBuffer): unknown => JSON.parse(this.bufToStr(buffer));

  /** Runs a function with this object as the global `ccf`, as a node does around each call. */
  run<T>(call: () => T): T {
    const world = globalThis as { ccf?: unknown };
    const before = world.ccf;
    world.ccf = this;
    try {
      return call();
    } finally {
      world.ccf = before;
    }
  }
}

function bytesOf(buffer: unknown): Uint8Array {
  if (!(buffer instanceof ArrayBuffer)) throw new TypeError("Argument must be an ArrayBuffer");
  return new Uint8Array(buffer);
}

function keyOf(buffer: unknown): string {
  return toByteString(bytesOf(buffer));
}

function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer as ArrayBuffer;
}
