/**
 * Why a node did not start, or could not go on, as a sentence for the operator: a port in use, a command that is not
 * there yet, what the enclave refused. Not a bug of ours, so it is shown without a stack trace.
 */
export class StartFailure extends Error {
  override name = "StartFailure";
}
