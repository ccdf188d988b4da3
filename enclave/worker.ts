/**
 * Runs the enclave in a Worker without permissions: the folder line between enclave and host made real.
 *
 * In: packed batches of inputs. Out: packed batches of outputs, one for each, in the same order; and before them an
 * empty one, which says that the worker is ready.
 * What the host's clock says comes with each batch; script time-outs use this thread's own.
 */

import { type PackedInputs, type PackedOutputs, packOutputs, transferOf, unpackInputs } from "./batch.ts";
import { Enclave } from "./enclave.ts";
import { loadNativePowers } from "./native_powers.ts";

// Only the part of the Worker's global scope that is used here; the DOM library's types describe a window.
const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<PackedInputs>) => void) | null;
  postMessage(message: PackedOutputs, transfer: Transferable[]): void;
};

const enclave = new Enclave(await loadNativePowers());

function post(packed: PackedOutputs): void {
  scope.postMessage(packed, transferOf(packed));
}

scope.onmessage = ({ data }) => post(packOutputs(enclave.handle(unpackInputs(data), data.nowMs)));
post(packOutputs([]));
