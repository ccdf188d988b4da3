/**
 * What stands between a frontend and whatever runs member-approved code.
 *
 * In: an app's program, the function that a route names, a request, and the transaction of one call. Out: a response,
 * or a failure to be sent as one. Nothing in the store, the ledger or consensus may know which engine ran.
 * `js/runtime.ts` is the engine for JavaScript; it also runs constitutions and ballots.
 */

import type { Seqno, TxId, TxStatus, View } from "../shared/tx_id.ts";
import type { RawTable } from "../shared/kv/table.ts";
import type { Caller } from "./frontend/caller.ts";

export interface AppEngine {
  /** Calls one endpoint of an app. Never throws for what the app does. */
  callEndpoint(invocation: EndpointInvocation): AppOutcome;
  /** Calls a function of a constitution or of a ballot. Never throws for what it does. */
  run<W extends Wanted>(invocation: ScriptInvocation, wanted: W): ScriptOutcome<ScriptResults[W]>;
  /**
   * Why a text cannot be a constitution, in CCF's words (governance.md §4); undefined where it can. The text is evaluated
   * for that, in a world without `ccf`, so it may take a while, up to the time that scripts have by default.
   */
  constitutionProblem(text: string): string | undefined;
  /** Milliseconds from any beginning, by the clock that time limits are kept by. */
  nowMs(): number;
  /** Names the form of what `compileAhead` makes; stored beside it (js-apps.md §7). */
  readonly bytecodeVersion: string;
  /**
   * Compiles modules, so that one that does not compile, or imports what is missing, is found when it is installed.
   *
   * What it makes is proof of that for a reader of the tables, and nothing that a call is run from.
   *
   * @param names with a leading slash; of several that do not compile, the first is named
   * @returns what to store for each, never empty
   * @throws FormatError naming the module, in CCF's words (js-apps.md §2)
   */
  compileAhead(program: Program, names: readonly string[]): ReadonlyMap<string, Uint8Array>;
}

/** A call of one function of a program that is no endpoint. */
export interface ScriptInvocation {
  readonly program: Program;
  /** As `Program.source` takes it: of an app with a leading slash, of governance as `js/governance_modules.ts` says. */
  readonly module: string;
  readonly functionName: string;
  /** JSON values; a `Uint8Array` becomes an ArrayBuffer. */
  readonly arguments: readonly unknown[];
  readonly context: AppContext;
  readonly limits: ScriptLimits;
}

/**
 * What is read of a result before its world is gone, by JavaScript's own rules of conversion.
 *
 * `validation`: the members `valid`, by its truthiness, and `description`, where it is a string; null for what is no
 * object. `status`: as text, whatever it is. `truth`: truthiness. `nothing`: whatever it is, it is not looked at.
 */
export interface ScriptResults {
  readonly validation: { readonly valid: boolean; readonly description: string | undefined } | null;
  readonly status: string;
  readonly truth: boolean;
  readonly nothing: undefined;
}

export type Wanted = keyof ScriptResults;

export type ScriptOutcome<T> =
  | { readonly kind: "returned"; readonly value: T }
  | { readonly kind: "threw"; readonly exception: ScriptException; readonly timedOut: boolean }
  /** There is no such function to call. */
  | { readonly kind: "unusable"; readonly message: string };

export interface ScriptException {
  readonly message: string;
  /** In CCF's form (js-apps.md §5). */
  readonly trace?: string;
}

/** Everything about one call of one endpoint. */
export interface EndpointInvocation {
  readonly program: Program;
  /** The endpoint's module, as the modules table has it: with a leading slash. */
  readonly module: string;
  readonly functionName: string;
  readonly request: AppRequest;
  readonly context: AppContext;
  readonly limits: ScriptLimits;
  /** Whether a failure's details are sent to the caller, and whether they are logged (js-apps.md §5). */
  readonly returnExceptionDetails: boolean;
  readonly logExceptionDetails: boolean;
  /** Calls with one key share an interpreter, whose state persists (js-apps.md §7). */
  readonly reuse?: { readonly key: string; readonly maxCachedInterpreters: number };
}

/** The modules of an app, or the one module of a constitution or a ballot. */
export interface Program {
  /** Equal if and only if all modules are: what is kept of a program is kept under it. */
  readonly id: string;
  /** Source of a module by its name with a leading slash; undefined where there is none. */
  source(name: string): string | undefined;
  /** Names in stack traces have a leading slash: CCF's do where it has compiled the modules ahead (js-apps.md §5). */
  readonly slashInTraces?: boolean;
  /** One text of governance, which may import nothing: CCF says of those that they do not compile, and not why. */
  readonly isSingleText?: boolean;
  /** Is called so seldom that keeping an image of it would cost more than evaluating it for each call. */
  readonly isShortLived?: boolean;
}

/** Limits of one call (js-apps.md §6). A negative one is no limit of its own; the named maxima hold for all. */
export interface ScriptLimits {
  readonly maxHeapBytes: number;
  readonly maxStackBytes: number;
  readonly maxExecutionTimeMs: number;
}

/** What an app's endpoint is given (js-apps.md §4). */
export interface AppRequest {
  /** Upper case. */
  readonly method: string;
  /** With the frontend: `/app/log/1`, not percent-decoded. */
  readonly path: string;
  /** With the frontend: `/app/log/{id}`. */
  readonly route: string;
  /** Percent-decoded, without `?`. */
  readonly query: string;
  /** Raw template values. */
  readonly params: Readonly<Record<string, string>>;
  /** Lower-case names; of a header sent twice the first value. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** null where the endpoint asks for no authentication. */
  readonly caller: Caller | null;
}

export type AppOutcome =
  | { readonly kind: "response"; readonly response: AppResponse }
  | { readonly kind: "failure"; readonly failure: AppFailure };

export interface AppResponse {
  readonly status: number;
  /** Names as the app gave them, each once whatever its case; `content-type` first where the body has a default one. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
}

/** Sent as 500 `InternalError`. Writes are not applied, unless the app forced them before it failed. */
export interface AppFailure {
  readonly message: string;
  /** The exception, where the service returns details (js-apps.md §5). */
  readonly details?: readonly ExceptionDetail[];
}

export interface ExceptionDetail {
  readonly code: "JSException";
  readonly message: string;
  readonly trace?: string;
}

/** Under which rights a script runs (js-apps.md §8.2). The words are those of error messages. */
export type Execution =
  | "application"
  | "read-only application"
  | "read-only governance"
  | "read-write governance";

/** What a running script may reach outside itself: one call's transaction and a few questions to the node. */
export interface AppContext {
  readonly execution: Execution;
  /** A table of the call's transaction, by name; the engine checks rights (js-apps.md §8.2) before it asks. */
  table(name: string): RawTable;
  /** Milliseconds since 1970, for `Date`, when the call begins; the engine's own clock adds what passes in the call. */
  readonly nowMs: number;
  /** Bytes for `Math.random` and keys. */
  random(length: number): Uint8Array;
  log(level: "info" | "fail" | "fatal", tag: "app" | "gov" | "js", message: string): void;
  /** Whether writes are applied, whatever the status. */
  setApplyWrites(apply: boolean): void;
  setClaimsDigest(digest: Uint8Array): void;
  lastCommittedTxId(): TxId;
  statusOf(id: TxId): TxStatus;
  viewOf(seqno: Seqno): View | undefined;
  /** Present exactly in "read-write governance". */
  readonly effects?: GovernanceEffects;
}

/**
 * What an accepted proposal can bring about besides its writes to public tables (js-apps.md §8.7).
 *
 * Everything is part of the transaction, or begins when the transaction is committed. All throw FormatError for what is
 * refused, with the sentence that the script's exception carries.
 */
export interface GovernanceEffects {
  /** Set once one of them is refused: the transaction must then not be committed, whatever the script makes of that. */
  readonly failure?: string | undefined;
  /** `ccf.node.triggerLedgerRekey` */
  rekeyLedger(): void;
  /** `ccf.node.transitionServiceToOpen`: certificates, PEM. */
  openService(previousIdentityPem: string | undefined, nextIdentityPem: string): void;
  /** `ccf.node.triggerRecoverySharesRefresh` */
  refreshRecoveryShares(): void;
  /** `ccf.node.triggerLedgerChunk`: at the next signature. */
  endLedgerChunk(): void;
  /** `ccf.node.triggerSnapshot`: at the next signature. */
  takeSnapshot(): void;
  /** `ccf.network.getLatestLedgerSecretSeqno` */
  latestLedgerSecretSeqno(): Seqno;
  /** `ccf.network.generateEndorsedCertificate`: from a node's request, PEM; answers PEM. */
  endorsedCertificate(requestPem: string, validFrom: string, validityDays: number): string;
  /** `ccf.network.generateNetworkCertificate`: the service's own, with the same key; answers PEM. */
  serviceCertificate(validFrom: string, validityDays: number): string;
  /** `ccf.refreshAppBytecodeCache` */
  refreshBytecodeCache(): void;
  /** `ccf.setJwtPublicSigningKeys`: a JSON Web Key Set as the script gave it (governance.md §6). */
  setJwtPublicSigningKeys(issuer: string, metadata: unknown, jwks: unknown): void;
  /** `ccf.removeJwtPublicSigningKeys` */
  removeJwtPublicSigningKeys(issuer: string): void;
}
