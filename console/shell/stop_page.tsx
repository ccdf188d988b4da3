/** The whole page stops here: what the service shows contradicts what this browser verified before. */

import { Facts } from "../parts/page.tsx";
import { Hash } from "../parts/hash.tsx";
import { ProblemNote } from "../parts/states.tsx";
import { Time } from "../parts/time.tsx";
import type { Problem } from "../problem.ts";
import { linkTo } from "../routes.ts";
import type { PinnedService } from "../service/pin_store.ts";
import { disconnect, ledgerState } from "../service/session.ts";

export function StopPage({ problem, pinned }: { readonly problem: Problem; readonly pinned?: PinnedService }) {
  const { service, signed } = ledgerState.value;
  return (
    <div class="stack" role="alert">
      <h1>Stop: this is not the service that was verified here before</h1>
      <ProblemNote problem={problem} />
      {pinned !== undefined && (
        <section class="card stack">
          <h2>What this browser remembers</h2>
          <Facts
            of={[
              ["Name", pinned.name],
              [
                "First identity",
                <Hash value={pinned.genesisIdentity} of="SHA-256 of the service's first public key" whole />,
              ],
              ["Highest signature", `${pinned.pin.lastSigned}`],
              ["Its root", <Hash value={pinned.pin.root} of="root that was signed" whole />],
              ["Verified", <Time ms={pinned.verifiedAtMs} />],
            ]}
          />
        </section>
      )}
      <section class="card stack">
        <h2>What is shown now</h2>
        <Facts
          of={[
            [
              "First identity",
              service?.identities[0] === undefined
                ? "none was read"
                : <Hash value={service.identities[0].identity} of="SHA-256 of the service's first public key" whole />,
            ],
            ["Highest signature", signed?.txId ?? "none was read"],
            [
              "Its root",
              signed === undefined ? "none was read" : <Hash value={signed.root} of="root that was signed" whole />,
            ],
          ]}
        />
        <p>
          A recovered service keeps its ledger: its first identity and its earlier signatures stay what they were, and
          the new identity is endorsed in the ledger. That is checked, and this is not that. Ask the members what
          happened before you go on; a node that was put in front of you looks like this too.
        </p>
      </section>
      <div class="row">
        <a class="button button-main" href={linkTo("connect")} onClick={() => void disconnect()}>Disconnect</a>
        <a class="button" href={linkTo("connect", undefined, { forget: pinned?.genesisIdentity })}>
          Look at what is remembered
        </a>
      </div>
    </div>
  );
}
