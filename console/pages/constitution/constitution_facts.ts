/**
 * The constitution in force, the ones before it, and by which proposal each came.
 *
 * In: the worker. Out: versions, newest first.
 */

import { FormatError } from "../../../shared/assert.ts";
import { fromByteString, fromUtf8Lenient } from "../../../shared/bytes.ts";
import { CONSTITUTION } from "../../../shared/governance/tables.ts";
import { SINGLETON_KEY } from "../../../shared/kv/codecs.ts";
import { MAX_CONSTITUTION_VERSIONS } from "../../../shared/limits.ts";
import type { Seqno } from "../../../shared/tx_id.ts";
import { type DecidedBy, deciderOf } from "../../governance/decider.ts";
import type { LedgerApi } from "../../ledger/protocol.ts";

export interface ConstitutionVersion {
  readonly seqno: Seqno;
  readonly timeMs?: number;
  /** JavaScript; or why the value is none. */
  readonly text: string;
  readonly isReadable: boolean;
  /** undefined: it came with the service's first transaction, or nothing in its transaction tells. */
  readonly decidedBy: DecidedBy | undefined;
}

export interface ConstitutionFacts {
  readonly versions: readonly ConstitutionVersion[];
  /** There are more than are listed. */
  readonly isCut: boolean;
}

export async function constitutionFacts(ledger: LedgerApi): Promise<ConstitutionFacts> {
  const history = await ledger.history(CONSTITUTION.name, fromByteString(SINGLETON_KEY));
  const written = history.filter(({ value }) => value !== undefined);
  const listed = written.slice(0, MAX_CONSTITUTION_VERSIONS);
  const versions = await Promise.all(listed.map(async ({ seqno, value, timeMs }): Promise<ConstitutionVersion> => ({
    seqno,
    ...(timeMs !== undefined && { timeMs }),
    ...textIn(value!),
    decidedBy: await deciderOf(ledger, seqno),
  })));
  return { versions, isCut: written.length > listed.length };
}

function textIn(value: Uint8Array): { readonly text: string; readonly isReadable: boolean } {
  try {
    return { text: CONSTITUTION.value.decode(value), isReadable: true };
  } catch (error) {
    if (error instanceof FormatError) return { text: fromUtf8Lenient(value), isReadable: false };
    throw error;
  }
}
