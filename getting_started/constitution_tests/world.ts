/**
 * A service without a node, for tests of constitutions: tables in a store, and the script engine as nodes have it.
 *
 * In: the text of a constitution, tables, proposals. Out: what the constitution says of them, what applying them writes,
 * and what it asks of the node, which is only noted down. Knows no particular constitution.
 */

import { type ByteString, fromByteString, fromUtf8, toByteString, toUtf8 } from "../../shared/bytes.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { Store } from "../../shared/kv/store.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import type { TableWrites } from "../../shared/kv/write_set.ts";
import type { AppContext, GovernanceEffects, ScriptOutcome, ScriptResults, Wanted } from "../../enclave/app_engine.ts";
import { DEFAULT_LIMITS } from "../../enclave/js/fake_context.ts";
import { CONSTITUTION_MODULE, constitutionProgram } from "../../enclave/js/governance_modules.ts";
import { loadScriptEngine, type ScriptEngine } from "../../enclave/js/runtime.ts";

export interface Action {
  readonly name: string;
  readonly args?: unknown;
}

/** One question to the node: a method of `GovernanceEffects`, and what it was given. */
export type Call = readonly [name: keyof GovernanceEffects, ...given: unknown[]];

/** The engine, loaded once a process. */
export const engine: ScriptEngine = await loadScriptEngine(() => performance.now());

/** The key of a table that holds one value. */
export const ONLY_KEY = "\0".repeat(8);

export class ConstitutionWorld {
  readonly #program: ReturnType<typeof constitutionProgram>;
  readonly #store = new Store();

  constructor(text: string) {
    this.#program = constitutionProgram(text, noblePrimitives);
  }

  /** Writes rows as one transaction. */
  write(tables: readonly TableWrites[]): void {
    const tx = this.#store.begin();
    for (const { name, writes, removes } of tables) {
      const table = tx.openRaw(name);
      for (const [key, value] of writes) table.put(key, value);
      for (const key of removes) table.remove(key);
    }
    this.#store.apply(this.#store.version + 1, tx.writeSet());
  }

  /** The rows of one table, by key. */
  rows(name: string): [key: ByteString, value: Uint8Array][] {
    return [...this.#store.beginReadOnly().openRaw(name).entries()] as [ByteString, Uint8Array][];
  }

  /** @throws Error where the constitution throws */
  validate(proposal: string): { readonly valid: boolean; readonly description: string | undefined } {
    const result = valueOf(this.#run(this.#store.beginReadOnly(), "validate", [proposal], "validation"));
    if (result === null) throw new Error("validate() returned no object");
    return result;
  }

  /** @throws Error where the constitution throws */
  resolve(
    proposal: string,
    proposerId: string,
    votes: readonly { readonly member_id: string; readonly vote: boolean }[],
    proposalId: string,
  ): string | null {
    return valueOf(
      this.#run(this.#store.beginReadOnly(), "resolve", [proposal, proposerId, votes, proposalId], "status"),
    );
  }

  /**
   * Applies a proposal and answers what that wrote to public tables. Kept only if `keep` is set.
   *
   * @throws Error where the constitution throws; then nothing is kept
   */
  apply(proposal: string, proposalId: string, effects: GovernanceEffects, keep = false): readonly TableWrites[] {
    const tx = this.#store.begin();
    valueOf(this.#run(tx, "apply", [proposal, proposalId], "nothing", effects));
    const writeSet = tx.writeSet();
    if (keep) this.#store.apply(this.#store.version + 1, writeSet);
    return writeSet.publicTables;
  }

  #run<W extends Wanted>(
    tx: Transaction,
    functionName: string,
    given: readonly unknown[],
    wanted: W,
    effects?: GovernanceEffects,
  ): ScriptOutcome<ScriptResults[W]> {
    const context: AppContext = {
      execution: effects === undefined ? "read-only governance" : "read-write governance",
      table: (name) => tx.openRaw(name),
      nowMs: 1_700_000_000_000,
      random: (length) => new Uint8Array(length),
      log: () => {},
      setApplyWrites: () => {},
      setClaimsDigest: () => {},
      lastCommittedTxId: () => ({ view: 2, seqno: this.#store.version }),
      statusOf: () => "Unknown",
      viewOf: () => 2,
      ...(effects !== undefined && { effects }),
    };
    return engine.run({
      program: this.#program,
      module: CONSTITUTION_MODULE,
      functionName,
      arguments: given,
      context,
      limits: DEFAULT_LIMITS,
    }, wanted);
  }
}

function valueOf<T>(outcome: ScriptOutcome<T>): T {
  switch (outcome.kind) {
    case "returned":
      return outcome.value;
    case "threw":
      throw new Error(outcome.exception.message);
    case "unusable":
      throw new Error(outcome.message);
  }
}

/** Notes what a constitution asks of its node. Certificates are texts that say what they are for. */
export class NotedEffects implements GovernanceEffects {
  readonly calls: Call[] = [];

  rekeyLedger(): void {
    this.calls.push(["rekeyLedger"]);
  }
  openService(previousIdentityPem: string | undefined, nextIdentityPem: string): void {
    this.calls.push(["openService", previousIdentityPem, nextIdentityPem]);
  }
  refreshRecoveryShares(): void {
    this.calls.push(["refreshRecoveryShares"]);
  }
  endLedgerChunk(): void {
    this.calls.push(["endLedgerChunk"]);
  }
  takeSnapshot(): void {
    this.calls.push(["takeSnapshot"]);
  }
  latestLedgerSecretSeqno(): number {
    return 17;
  }
  endorsedCertificate(requestPem: string, validFrom: string, validityDays: number): string {
    this.calls.push(["endorsedCertificate", requestPem, validFrom, validityDays]);
    return `certificate for ${requestPem}`;
  }
  serviceCertificate(validFrom: string, validityDays: number): string {
    this.calls.push(["serviceCertificate", validFrom, validityDays]);
    return "certificate of the service";
  }
  refreshBytecodeCache(): void {
    this.calls.push(["refreshBytecodeCache"]);
  }
  setJwtPublicSigningKeys(issuer: string, metadata: unknown, jwks: unknown): void {
    this.calls.push(["setJwtPublicSigningKeys", issuer, metadata, jwks]);
  }
  removeJwtPublicSigningKeys(issuer: string): void {
    this.calls.push(["removeJwtPublicSigningKeys", issuer]);
  }
}

/** Rows by table and key, for people to write: text as it is, null for a removed row, anything else as JSON. */
export type Rows = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** `members.info` is `public:ccf.gov.members.info`, `internal.tree` is `public:ccf.internal.tree`. */
export function tableName(name: string): string {
  if (name.startsWith("public:")) return name;
  return name.startsWith("internal.") ? `public:ccf.${name}` : `public:ccf.gov.${name}`;
}

export function tableWritesOf(rows: Rows): TableWrites[] {
  return Object.entries(rows).map(([name, row]) => ({
    name: tableName(name),
    writes: Object.entries(row).filter(([, value]) => value !== null)
      .map(([key, value]) => [toByteString(toUtf8(key)), toUtf8(textOf(value))] as const),
    removes: Object.entries(row).filter(([, value]) => value === null).map(([key]) => toByteString(toUtf8(key))),
  }));
}

const textOf = (value: unknown) => typeof value === "string" ? value : JSON.stringify(value);

/** Writes as text, to be compared: null stands for a removed row. */
export function readable(tables: readonly TableWrites[]): Record<string, Record<string, string | null>> {
  const text = (key: ByteString) => fromUtf8(fromByteString(key));
  return Object.fromEntries(tables.map(({ name, writes, removes }) => [
    name,
    Object.fromEntries([
      ...writes.map(([key, value]) => [text(key), fromUtf8(value)] as const),
      ...removes.map((key) => [text(key), null] as const),
    ]),
  ]));
}
