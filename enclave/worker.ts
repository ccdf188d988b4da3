/**
 * Runs the enclave in a Worker without permissions: the folder line between enclave and host made real.
 *
 * In: `{inputs, nowMs}` messages, one a batch. Out: `{outputs}`, one a batch, in the order of the inputs.
 * What the host's clock says comes with each batch; script time-outs use this thread's own.
 */

import { Enclave } from "./enclave.ts";
import type { EnclaveInput, EnclaveOutput } from "./messages.ts";
import { loadNativePowers } from "./native_powers.ts";

/** Host → worker. */
export interface WorkerInput {
  readonly inputs: readonly EnclaveInput[];
  readonly nowMs: number;
}

/** Worker → host. The first one, empty, says that the worker is ready. */
export interface WorkerOutput {
  readonly outputs: readonly EnclaveOutput[];
}

// Only the part of the Worker's global scope that is used here; the DOM library's types describe a window.
const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<WorkerInput>) => void) | null;
  postMessage(message: WorkerOutput): void;
};

const enclave = new Enclave(await loadNativePowers());
scope.onmessage = ({ data: { inputs, nowMs } }) => {
  scope.postMessage({ outputs: enclave.handle(inputs, nowMs) });
};
scope.postMessage({ outputs: [] });
