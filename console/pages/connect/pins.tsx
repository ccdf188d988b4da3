/** Services that this browser remembers, and pinning the one that is open. */

import { useState } from "preact/hooks";
import { FormatError } from "../../../shared/assert.ts";
import { announce } from "../../parts/announce.tsx";
import { FileDrop } from "../../parts/file_drop.tsx";
import { Hash } from "../../parts/hash.tsx";
import { Facts, Section } from "../../parts/page.tsx";
import { saveFile } from "../../parts/save_file.ts";
import { Empty, ProblemNote } from "../../parts/states.tsx";
import { Time } from "../../parts/time.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import type { Problem } from "../../problem.ts";
import {
  acceptRecovery,
  connect,
  connection,
  expectedPin,
  forgetService,
  ledgerState,
  nodeConnection,
  noMemory,
  origin,
  pinFile,
  pinned,
  pinOfFile,
  pinService,
  recoveredSince,
  remembered,
} from "../../service/session.ts";
import type { PinnedService } from "../../service/pin_store.ts";

const IDENTITY = "SHA-256 of the service's public key";

/** Of the service that is open: pin it, or what the pin says. */
export function ThisService() {
  const { service, signed, status, fromSnapshot } = ledgerState.value;
  const [name, setName] = useState("");
  if (connection.value === undefined || service === undefined || signed === undefined) return null;
  const pin = pinned.value;
  const isRead = status === "following" || status === "complete";
  return (
    <Section title="This service">
      <Facts
        of={[
          ["State", service.status],
          ["Identity", <Hash value={service.identity} of={IDENTITY} whole />],
          ...(service.identities.length > 1
            ? [["First identity", <Hash value={service.identities[0]!.identity} of={IDENTITY} whole />] as const]
            : []),
          ["Highest signature", signed.txId],
          ["Its root", <Hash value={signed.root} of="Merkle root that was signed" />],
        ]}
      />
      {recoveredSince.value !== undefined && <Recovered />}
      {expectedPin.value?.isHeld === true && (
        <p>
          <Verdict kind="verified">It continues the pin of {expectedPin.value.name}</Verdict>
        </p>
      )}
      {pin !== undefined
        ? (
          <p>
            {isRead
              ? (
                <Verdict kind="verified">
                  Pinned as “{pin.name}”; it continues what was verified at {pin.pin.lastSigned}
                </Verdict>
              )
              : (
                <Verdict kind="unchecked">
                  Pinned as “{pin.name}”; whether it continues what was verified at {pin.pin.lastSigned}{" "}
                  is known when the ledger is read to its end
                </Verdict>
              )}
          </p>
        )
        : fromSnapshot !== undefined
        ? (
          <p>
            <Verdict kind="cannot">
              It cannot be pinned from a snapshot: which key the service began with is not known
            </Verdict>
          </p>
        )
        : (
          <form
            class="stack-tight"
            onSubmit={(event) => {
              event.preventDefault();
              void pinService(name.trim()).then((isPinned) => isPinned && announce("The service is pinned"));
            }}
          >
            <p>
              Pin it once you know from somebody you trust that this is the identity: from then on an older state,
              another branch or another key at its place stops the page.
            </p>
            <div class="row">
              <label htmlFor="pin-name">Name</label>
              <input
                id="pin-name"
                required
                maxLength={100}
                value={name}
                onInput={(event) => setName(event.currentTarget.value)}
              />
              <button type="submit" class="button button-main" disabled={!isRead || name.trim() === ""}>
                Pin this service
              </button>
            </div>
            {!isRead && <p class="small soft">It can be pinned when the ledger is read to its end.</p>}
          </form>
        )}
      {origin === "served" && (
        <p class="small soft">
          Pins are kept by the address that the page came from: those of the relay and of console.html are others.
        </p>
      )}
    </Section>
  );
}

/** The identity changed by a recovery, which the ledger shows. */
function Recovered() {
  const { of, next } = recoveredSince.value!;
  const { service, fromSnapshot } = ledgerState.value;
  const lives = service?.identities ?? [];
  return (
    <div class="notice notice-warn stack-tight" role="group" aria-label="The service was recovered">
      <p>
        <strong>The service was recovered since it was pinned.</strong> Its ledger goes on: the pinned signature{" "}
        {of.pin.lastSigned}{" "}
        is in it, with the same root. From then on it has another key. Whoever has the public ledger can write a
        recovery behind it, but cannot sign for the members: see under Audit and Nodes who opened it again, or ask them.
      </p>
      <Facts
        of={[
          ["Pinned identity", <Hash value={of.pin.serviceIdentity} of={IDENTITY} whole />],
          ["Identity now", <Hash value={next.pin.serviceIdentity} of={IDENTITY} whole />],
          ["Its lives", lives.map(({ fromSeqno }, i) => i === 0 ? "started" : `recovered at ${fromSeqno}`).join(", ")],
        ]}
      />
      {fromSnapshot !== undefined
        ? <p>The pin moves by the whole ledger alone: open its files from the first one on, or connect to a node.</p>
        : (
          <div>
            <button type="button" class="button" onClick={() => void acceptRecovery()}>
              Move the pin to the new identity
            </button>
          </div>
        )}
    </div>
  );
}

export function PinnedServices({ marked }: { readonly marked?: string | undefined }) {
  const [problem, setProblem] = useState<Problem | undefined>();
  const services = remembered.value;
  const take = async ([file]: readonly File[]) => {
    try {
      expectedPin.value = { name: file!.name, pin: pinOfFile(await file!.slice(0, 10_000).text()), isHeld: false };
      setProblem(undefined);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      setProblem({
        code: "PinUnreadable",
        what: `${file!.name} is not a pin`,
        why: error.message,
        todo: "Choose a file that this page exported, or that `deno task run ledger verify --pin` wrote",
      });
    }
  };
  return (
    <Section title="Pinned services">
      {noMemory.value !== undefined && (
        <ProblemNote
          problem={{
            code: "StorageOff",
            what: "This browser keeps nothing for the page",
            why: noMemory.value,
            todo: "Leave the private window or allow storage; until then export pins as files",
          }}
        />
      )}
      {services.length === 0
        ? <Empty>No service is pinned in this browser for this address of the page.</Empty>
        : services.map((service) => (
          <Remembered
            // Asked about by a link, it is shown anew, with the question open.
            key={`${service.genesisIdentity} ${marked}`}
            service={service}
            isMarked={marked === service.genesisIdentity}
          />
        ))}
      {expectedPin.value !== undefined && (
        <div class="notice notice-warn row row-apart">
          <span class="foreign">
            {expectedPin.value.isHeld
              ? `What is open continues ${expectedPin.value.name}`
              : `What is opened next must continue the signature ${expectedPin.value.pin.lastSigned} of ${expectedPin.value.name}`}
          </span>
          <button type="button" class="button" onClick={() => expectedPin.value = undefined}>
            Do not compare with it
          </button>
        </div>
      )}
      <FileDrop label="Import a pin file" accept=".json,.pin,application/json" onFiles={(files) => void take(files)}>
        <p class="small">
          A pin of another browser, or of <code>ledger verify --pin</code>: what is opened next must continue it.
        </p>
      </FileDrop>
      {problem !== undefined && <ProblemNote problem={problem} />}
    </Section>
  );
}

function Remembered({ service, isMarked }: { readonly service: PinnedService; readonly isMarked: boolean }) {
  const { name, genesisIdentity, pin, url, verifiedAtMs } = service;
  const [isAsking, setIsAsking] = useState(isMarked);
  return (
    <article class="notice stack-tight" aria-label={`Pinned service ${name}`}>
      <h3 class="foreign">{name}</h3>
      <Facts
        of={[
          ["Address", url === "" ? "opened from files" : url],
          ["Identity", <Hash value={pin.serviceIdentity} of={IDENTITY} />],
          ...(pin.serviceIdentity === genesisIdentity
            ? []
            : [["First identity", <Hash value={genesisIdentity} of={IDENTITY} />] as const]),
          ["Highest signature", pin.lastSigned],
          ["Root", <Hash value={pin.root} of="Merkle root that was signed" />],
          ["Verified", <Time ms={verifiedAtMs} />],
        ]}
      />
      <div class="row">
        {url !== "" && origin !== "relay" && (
          <button
            type="button"
            class="button"
            onClick={() => void connect(nodeConnection(url))}
          >
            Connect to {name}
          </button>
        )}
        <button
          type="button"
          class="button"
          onClick={() => saveFile(`${fileName(name)}.pin.json`, pinFile(pin), "application/json")}
        >
          Export the pin of {name}
        </button>
        {isAsking
          ? (
            <>
              <span>Without its pin an older or another ledger is not noticed any more.</span>
              <button type="button" class="button" onClick={() => void forgetService(genesisIdentity)}>
                Forget {name} for good
              </button>
              <button type="button" class="button" onClick={() => setIsAsking(false)}>Keep it</button>
            </>
          )
          : <button type="button" class="button" onClick={() => setIsAsking(true)}>Forget {name}…</button>}
      </div>
    </article>
  );
}

const fileName = (name: string) => name.replace(/[^A-Za-z0-9_-]+/g, "_").slice(0, 60) || "service";
