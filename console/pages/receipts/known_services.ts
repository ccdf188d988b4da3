/**
 * Services whose certificates are at hand for receipts: pinned ones, those of the ledger that is open, one that was given.
 *
 * In: what this browser remembers, what the worker has folded, a certificate. Out: services, each with how well it is known.
 */

import type { ServiceFacts } from "../../ledger/protocol.ts";
import type { PinnedService } from "../../service/pin_store.ts";
import type { KnownService } from "./judge_receipt.ts";

/**
 * @param open of the ledger that is open; undefined: nothing is
 * @param openPin what is remembered of it, where it continues that
 * @param givenPem a certificate that somebody pasted
 */
export function knownServices(
  remembered: readonly PinnedService[],
  open: ServiceFacts | undefined,
  openPin: PinnedService | undefined,
  givenPem: string | undefined,
): readonly KnownService[] {
  const pinnedOnes = remembered.filter(({ certificatePem }) => certificatePem !== "").map((
    { certificatePem, name },
  ): KnownService => ({ certificatePem, name, known: "pinned" }));
  const lives = open?.identities ?? [];
  // A ledger that continues a pin has in it who its service was before; what came after the pin is not pinned.
  const at = lives.findIndex(({ identity }) => identity === openPin?.pin.serviceIdentity);
  const ofLedger = lives.map(({ certificatePem }, i): KnownService => ({
    certificatePem,
    name: openPin?.name ?? "the open ledger",
    known: i <= at ? "pinned" : "open",
  }));
  return [
    ...pinnedOnes,
    ...ofLedger,
    ...(givenPem === undefined
      ? []
      : [{ certificatePem: givenPem, name: "the given certificate", known: "given" } as const]),
  ];
}
