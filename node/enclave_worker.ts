/**
 * The enclave's Worker as the host holds it: inputs are gathered and sent in batches, outputs come back in order.
 *
 * In: inputs. Out: outputs, to one function. Knows nothing of what they mean.
 */

import type { EnclaveInput, EnclaveOutput } from "../enclave/messages.ts";
import { type PackedOutputs, packInputs, transferOf, unpackOutputs } from "../enclave/batch.ts";
import { ENCLAVE_BATCH_INPUTS, MAX_ENCLAVE_BATCHES_IN_FLIGHT, MAX_WAITING_INPUTS } from "../shared/limits.ts";

export class EnclaveWorker {
  readonly #worker: Worker;
  readonly #onOutputs: (outputs: readonly EnclaveOutput[]) => void;
  readonly #onFailure: (message: string) => void;
  #waiting: EnclaveInput[] = [];
  #inFlight = 0;
  #scheduled = false;
  /** Of those who wait until less is waiting here. */
  #caughtUp: PromiseWithResolvers<void> | undefined;

  private constructor(
    worker: Worker,
    onOutputs: (outputs: readonly EnclaveOutput[]) => void,
    onFailure: (message: string) => void,
  ) {
    this.#worker = worker;
    this.#onOutputs = onOutputs;
    this.#onFailure = onFailure;
    worker.onmessage = ({ data }: MessageEvent<PackedOutputs>) => {
      this.#inFlight--;
      this.#flush();
      this.#onOutputs(unpackOutputs(data));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#onFailure(event.message);
    };
  }

  /** Starts the Worker, without any permission, and waits until it has loaded. */
  static start(
    onOutputs: (outputs: readonly EnclaveOutput[]) => void,
    onFailure: (message: string) => void,
  ): Promise<EnclaveWorker> {
    const worker = new Worker(new URL("../enclave/worker.ts", import.meta.url), {
      type: "module",
      name: "enclave",
      deno: { permissions: "none" },
    });
    return new Promise((resolve, reject) => {
      worker.onmessage = () => resolve(new EnclaveWorker(worker, onOutputs, onFailure));
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(`Cannot start the enclave: ${event.message}`));
      };
    });
  }

  /** Sends one input; those of one turn of the event loop travel together. */
  send(...inputs: readonly EnclaveInput[]): void {
    this.#waiting.push(...inputs);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  /** Undefined, or where much waits for the enclave a promise for whoever can hold back what it brings. */
  caughtUp(): Promise<void> | undefined {
    if (this.#waiting.length < MAX_WAITING_INPUTS) return undefined;
    this.#caughtUp ??= Promise.withResolvers();
    return this.#caughtUp.promise;
  }

  terminate(): void {
    this.#worker.terminate();
    this.#caughtUp?.resolve();
  }

  /**
   * Small batches keep both threads busy: while the enclave works on one, the host writes the answers of the one before.
   * While enough are under way the next one grows instead: under load, messages are few and large.
   */
  #flush(): void {
    while (this.#waiting.length > 0 && this.#inFlight < MAX_ENCLAVE_BATCHES_IN_FLIGHT) {
      const isLast = this.#inFlight === MAX_ENCLAVE_BATCHES_IN_FLIGHT - 1;
      const size = isLast ? this.#waiting.length : ENCLAVE_BATCH_INPUTS;
      const message = packInputs(this.#waiting.splice(0, size), Date.now());
      this.#inFlight++;
      this.#worker.postMessage(message, transferOf(message));
    }
    if (this.#waiting.length >= MAX_WAITING_INPUTS) return;
    this.#caughtUp?.resolve();
    this.#caughtUp = undefined;
  }
}
