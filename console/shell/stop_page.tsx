/** The whole page stops here: what the service shows contradicts what this browser verified before. */

import type { ComponentChildren } from "preact";
import { Facts } from "../parts/page.tsx";
import { Hash } from "../parts/hash.tsx";
import { saveFile } from "../parts/save_file.ts";
import { ProblemNote } from "../parts/states.tsx";
import { Time } from "../parts/time.tsx";
import type { Problem } from "../problem.ts";
import { linkTo } from "../routes.ts";
import type { PinnedService } from "../service/pin_store.ts";
import { connection, disconnect, expectedPin, ledgerState, pinFile } from "../service/session.ts";

const TITLES: Readonly<Record<string, string>> = {
  LedgerOlderThanPinned: "Stop: this is an older state than was verified here before",
  LedgerForked: "Stop: this is another branch than was verified here before",
};

const IDENTITY = "SHA-256 of the service's public key";

export function StopPage({ problem, pinned }: { readonly problem: Problem; readonly pinned?: PinnedService }) {
  const { service, signed } = ledgerState.value;
  const expected = expectedPin.value;
  const pin = pinned?.pin ?? expected?.pin;
  const to = connection.value;
  return (
    <div class="stack" role="alert">
      <h1>{TITLES[problem.code] ?? "Stop: this is not the service that was verified here before"}</h1>
      <ProblemNote problem={problem} />
      <div class="columns">
        {pin !== undefined && (
          <section class="card stack">
            <h2>What {pinned === undefined ? "the pin file says" : "this browser remembers"}</h2>
            <Facts
              of={[
                ["Name", pinned?.name ?? expected?.name],
                ...(pinned === undefined
                  ? []
                  : [["First identity", <Hash value={pinned.genesisIdentity} of={IDENTITY} whole />] as const]),
                ["Identity", <Hash value={pin.serviceIdentity} of={IDENTITY} whole />],
                ["Highest signature", pin.lastSigned],
                ["Its root", <Hash value={pin.root} of="root that was signed" whole />],
                ...(pinned === undefined ? [] : [["Verified", <Time ms={pinned.verifiedAtMs} />] as const]),
              ]}
            />
          </section>
        )}
        <section class="card stack">
          <h2>What is shown now</h2>
          <Facts
            of={[
              ["From", to?.kind === "files" ? "files" : to?.url ?? "nothing is open"],
              ["First identity", identityOf(service?.identities[0]?.identity)],
              ["Identity", identityOf(service?.identity)],
              ["Highest signature", signed?.txId ?? "none was read"],
              [
                "Its root",
                signed === undefined ? "none was read" : <Hash value={signed.root} of="root that was signed" whole />,
              ],
            ]}
          />
        </section>
      </div>
      <section class="card stack">
        <h2>Could it be a recovery?</h2>
        <p>
          No. A service that was recovered after a disaster keeps its ledger: its first identity and its earlier
          signatures stay what they were, its new identity comes after them, and that is checked entry by entry. Such a
          service goes on here without a stop. This is not that.
        </p>
        <p>
          A node that is behind shows an older state for a while; one that was put in front of you looks like this too.
          Ask the members which signature and root they see, by another way than this one, and keep the pin as evidence.
        </p>
      </section>
      <div class="row">
        <button type="button" class="button button-main" onClick={() => void leave()}>Disconnect</button>
        {pin !== undefined && (
          <button
            type="button"
            class="button"
            onClick={() => saveFile("remembered.pin.json", pinFile(pin), "application/json")}
          >
            Export the pin
          </button>
        )}
        {pinned !== undefined && (
          <a class="button" href={linkTo("connect", undefined, { forget: pinned.genesisIdentity })}>
            Look at what is remembered
          </a>
        )}
      </div>
    </div>
  );
}

async function leave(): Promise<void> {
  await disconnect();
  location.hash = linkTo("connect");
}

function identityOf(identity: string | undefined): ComponentChildren {
  return identity === undefined ? "none was read" : <Hash value={identity} of={IDENTITY} whole />;
}
