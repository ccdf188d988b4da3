/**
 * What must hold of a whole node that bare consensus has not: keys, signatures and certificates.
 *
 * In: steps of watched nodes, and what each node's arithmetic was asked. Out: what is wrong, as a sentence.
 */

import type { Property } from "../picture.ts";
import type { LedgerTree, TreeEntry } from "./ledger_tree.ts";

/** What a rule looks at besides steps. */
export interface NodeFacts {
  readonly tree: LedgerTree;
  /** Hex digests of which a node has found a signature to be good. */
  verifiedBy(name: string): ReadonlySet<string>;
}

export function nodeProperties({ tree, verifiedBy }: NodeFacts): Property[] {
  return [
    { name: "ViewsBeginWithASignature", check: viewsBeginWithASignature },
    {
      name: "BackupsCheckSignatures",
      check: ({ event, before, after }) => {
        if (event.kind !== "receive" || after.log === before?.log) return undefined;
        // What was replaced and what is new: everything behind the last entry that is the same.
        for (let at = after.log.length - 1; at >= 0 && after.log[at] !== before?.log[at]; at--) {
          const { signedRoot } = after.log[at] as TreeEntry;
          if (signedRoot !== undefined && !verifiedBy(after.id).has(signedRoot)) {
            return `${after.id} took signature ${at + 1} and did not verify it`;
          }
        }
        return undefined;
      },
    },
    {
      name: "SecretsGoToTrustedNodes",
      check: ({ after }) =>
        after.log.length === 0 || tree.everTrusted.has(after.id)
          ? undefined
          : `${after.id} reads the ledger, and no entry says that it is trusted`,
    },
  ];
}

const viewsBeginWithASignature: Property["check"] = ({ event, after }) => {
  const [last, previous] = [after.log.at(-1), after.log.at(-2)];
  if (event.kind !== "append" || previous === undefined) return undefined;
  return last!.view !== previous.view && !last!.committable
    ? `${after.id} began view ${last!.view} with entry ${after.log.length}, which is no signature`
    : undefined;
};
