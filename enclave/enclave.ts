/**
 * The machine itself: inputs in, outputs out, one synchronous step a batch.
 *
 * In: `EnclaveInput`s and the moment they arrived. Out: `EnclaveOutput`s, to be performed in order.
 * No clock, no entropy and no I/O but through inputs and the powers given at birth; the same object runs in the worker,
 * in tests and in the simulator.
 */

import { FormatError, unreachable } from "../shared/assert.ts";
import { answerRequest } from "./forwarding/answer.ts";
import { OdataError } from "./frontend/odata_error.ts";
import { Session } from "./frontend/session.ts";
import type { NodeIdentity } from "./identity.ts";
import { Joining } from "./join.ts";
import type { CommonConfig, EnclaveInput, EnclaveOutput, HardwarePlatform, SessionId } from "./messages.ts";
import type { Node } from "./node.ts";
import { checkOwnEvidence, type OwnEvidence, virtualEvidence } from "./platform/own_evidence.ts";
import type { EnclavePowers } from "./powers.ts";
import { prepareStart, startService } from "./start.ts";

export class Enclave {
  readonly #powers: EnclavePowers;
  readonly #sessions = new Map<SessionId, Session>();
  #outputs: EnclaveOutput[] = [];
  #node: Node | undefined;
  /** While this node is not admitted to the service that it wants to join. */
  #joining: Joining | undefined;
  /** While evidence of the hardware is waited for: what it is to be about, and what is done with it. */
  #attesting: {
    readonly platform: HardwarePlatform;
    readonly keyHash: Uint8Array;
    readonly go: (evidence: OwnEvidence, nowMs: number) => void;
  } | undefined;
  #stopped = false;

  constructor(powers: EnclavePowers) {
    this.#powers = powers;
  }

  /** What was started, if anything. For tests, which put into its tables what no request can put there yet. */
  get node(): Node | undefined {
    return this.#node;
  }

  /**
   * Handles what arrived since the last call.
   *
   * @param nowMs milliseconds since 1970 by the host's clock: used for time-outs and certificate dates, never for order
   */
  handle(inputs: readonly EnclaveInput[], nowMs: number): EnclaveOutput[] {
    this.#node?.setClock(nowMs);
    try {
      for (const input of inputs) if (!this.#stopped) this.#handleOne(input, nowMs);
      if (!this.#stopped) this.#node?.settle();
    } catch (error) {
      // A bug of ours: nothing after it can be trusted, what was emitted before it stands.
      this.#fail(error instanceof Error ? error.message : String(error));
    }
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  #handleOne(input: EnclaveInput, nowMs: number): void {
    switch (input.kind) {
      case "start":
        return this.#start(() => {
          const prepared = prepareStart(input.config, this.#powers, nowMs);
          this.#attest(input.config.platform, prepared.identity, (evidence, nowMs) => {
            const emit = (output: EnclaveOutput) => void this.#outputs.push(output);
            this.#node = startService(prepared, evidence, this.#powers, nowMs, emit);
          }, nowMs);
        });
      case "join":
        return this.#start(() => {
          const { config, snapshot } = input;
          const emit = (output: EnclaveOutput) => void this.#outputs.push(output);
          const joining = this.#joining = new Joining(config, snapshot, this.#powers, nowMs, emit);
          this.#node = joining.node;
          this.#attest(config.platform, joining.node.identity, (evidence) => joining.attested(evidence), nowMs);
        });
      case "quote":
        return this.#start(() => this.#takeQuote(input, nowMs));
      case "tick":
        this.#joining?.tick();
        return this.#node?.tick();
      case "nodeInbound":
        if (this.#joining !== undefined) return this.#joining.received(input);
        return this.#node?.receive(input.connection, input.from, input.messageType, input.payload);
      case "httpResult":
        return this.#start(() => {
          this.#joining?.answered(input.id, input.response ?? input.reason ?? "there was no answer");
          if (this.#joining?.isDone === true) this.#joining = undefined;
        });
      case "sessionOpened":
        this.#sessions.set(input.session, new Session(input.interfaceName, input.callerCertificate));
        return;
      case "sessionClosed":
        this.#sessions.delete(input.session);
        return;
      case "request":
        return this.#answer(input);
      case "ledgerEntries":
        return this.#node?.historical.deliver(input.from, input.to, input.entries);
      case "snapshotWritten":
        return this.#node?.snapshotter.onWritten(input.seqno, input.sizeBytes);
      case "metrics":
        if (this.#node !== undefined) {
          this.#node.sessionMetrics = input.sessions;
          this.#node.heapBytes = input.heapBytes;
        }
        return;
      case "stop":
        this.#node?.signWhatIsLeft();
        this.#node?.handOver();
        this.#stopped = true;
        this.#outputs.push({ kind: "stopped" });
        return;
      case "stopNotice":
        if (this.#node !== undefined) this.#node.stopNotice = true;
        return this.#node?.handOver();
      default:
        unreachable(input);
    }
  }

  /** Gets evidence over a node's key, which hardware gives later and the virtual platform at once. */
  #attest(
    platform: CommonConfig["platform"],
    { key }: NodeIdentity,
    go: (evidence: OwnEvidence, nowMs: number) => void,
    nowMs: number,
  ): void {
    const keyHash = this.#powers.primitives.sha256(key.publicKey.spki);
    if (platform.kind === "virtual") return go(virtualEvidence(platform, keyHash), nowMs);
    this.#attesting = { platform, keyHash, go };
    this.#outputs.push({ kind: "quoteRequest", reportData: keyHash });
  }

  /** @throws FormatError where there is no evidence, or none that this node can show */
  #takeQuote({ evidence, reason }: EnclaveInput & { readonly kind: "quote" }, nowMs: number): void {
    if (this.#attesting === undefined) return;
    if (evidence === null) {
      throw new FormatError(reason ?? "Cannot start: there is no evidence of this node's hardware");
    }
    const { platform, keyHash, go } = this.#attesting;
    this.#attesting = undefined;
    const { primitives, evidenceAnchors: anchors } = this.#powers;
    go(checkOwnEvidence(platform, evidence, { keyHash, atMs: nowMs, anchors }, primitives), nowMs);
  }

  /** Answers a request, unless another node is asked: then the answer comes later. */
  #answer(input: EnclaveInput & { readonly kind: "request" }): void {
    const { session: sessionId, id } = input;
    const session = this.#sessions.get(sessionId);
    const response = this.#node === undefined || session === undefined
      ? new OdataError(503, "InternalError", "This node has not started yet; try again later").toResponse()
      : answerRequest(this.#node, this.#node.forwarder, session, input);
    if (response !== undefined) this.#outputs.push({ kind: "response", session: sessionId, id, response });
    this.#node?.signIfMany();
  }

  /** What is wrong with the configuration is the operator's to mend: the node stops with that sentence. */
  #start(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#fail(error.message);
    }
  }

  #fail(message: string): void {
    this.#stopped = true;
    this.#outputs.push({ kind: "fatal", message });
  }
}
