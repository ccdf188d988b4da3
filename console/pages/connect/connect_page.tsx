/** Connect: a node or files, the ladder of checks, and the services that this browser remembers. */

import { useEffect, useState } from "preact/hooks";
import { Page, Section } from "../../parts/page.tsx";
import { Loading, ProblemNote } from "../../parts/states.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import { type Loaded, type Problem, problemOf } from "../../problem.ts";
import { fragment, linkTo, type PageProps, parseRoute, replaceQuery } from "../../routes.ts";
import { fetchPeer, type RelayPeer } from "../../service/evidence.ts";
import { ORIGIN_WORDS } from "../../service/origin.ts";
import { alarm, connect, connection, disconnect, ledgerState, nodeConnection, origin } from "../../service/session.ts";
import { StopPage } from "../../shell/stop_page.tsx";
import { FileChecks, NodeChecks } from "./checks.tsx";
import { OpenFiles } from "./open_files.tsx";
import { PinnedServices, ThisService } from "./pins.tsx";
import { checkUrl, stagesOf } from "./reach.ts";
import "./connect.css";

export default function ConnectPage({ route }: PageProps) {
  const to = connection.value;
  // Without an address of its own the page would give way to another as soon as something is open.
  useEffect(() => {
    if (parseRoute(location.hash) !== undefined) return;
    history.replaceState(null, "", linkTo("connect"));
    fragment.value = location.hash;
  }, []);
  if (alarm.value !== undefined) {
    return (
      <div class="stack">
        <StopPage {...alarm.value} />
        <PinnedServices marked={route.query.get("forget") ?? undefined} />
      </div>
    );
  }
  return (
    <Page
      title="Connect"
      lead="Open a service by one of its nodes, or by its ledger's files, and see what about it can be proved."
      actions={to !== undefined && (
        <>
          <a class="button button-main" href={linkTo("overview")}>Go to the overview</a>
          <button type="button" class="button" onClick={() => void disconnect()}>Disconnect</button>
        </>
      )}
    >
      {to === undefined && <Choose url={route.query.get("url") ?? ""} />}
      {to?.kind === "node" && <NodeChecks key={to.url} url={to.url} />}
      {to?.kind === "files" && <FileChecks files={to.files} />}
      {to !== undefined && <Reading />}
      {to !== undefined && <ThisService />}
      <PinnedServices marked={route.query.get("forget") ?? undefined} />
      {to !== undefined && (
        <details>
          <summary>Open something else</summary>
          <Choose url="" />
        </details>
      )}
    </Page>
  );
}

function Reading() {
  const { status, readSeqno, sourceSeqno, entriesPerSecond, problem } = ledgerState.value;
  if (status === "stopped" && problem !== undefined) return <ProblemNote problem={problem} />;
  if (status !== "reading") return null;
  return (
    <div class="stack-tight" role="status">
      <p>
        Reading the ledger: entry {readSeqno}
        {sourceSeqno > 0 && ` of ${sourceSeqno}`}
        {entriesPerSecond > 0 && `, ${entriesPerSecond.toLocaleString()} a second`}
      </p>
      <progress aria-label="Entries read" max={Math.max(1, sourceSeqno)} value={readSeqno} />
      {problem !== undefined && <ProblemNote problem={problem} />}
    </div>
  );
}

function Choose({ url }: { readonly url: string }) {
  return (
    <div class="columns">
      {origin === "relay" ? <ByRelay /> : <ByUrl url={url} />}
      <OpenFiles onFiles={(files) => void connect({ kind: "files", files })} />
    </div>
  );
}

function ByUrl({ url }: { readonly url: string }) {
  const [text, setText] = useState(url);
  const [problem, setProblem] = useState<Problem | undefined>();
  const submit = (event: Event) => {
    event.preventDefault();
    const checked = checkUrl(text, location.protocol === "https:");
    if ("problem" in checked) return setProblem(checked.problem);
    setProblem(undefined);
    replaceQuery({ url: checked.url });
    connect(nodeConnection(checked.url)).catch((error) => setProblem(problemOf(error)));
  };
  return (
    <Section title="Connect to a node">
      {origin === "served" && (
        <div class="stack-tight">
          <p>{ORIGIN_WORDS.served.long}</p>
          <div>
            <button type="button" class="button button-main" onClick={() => void connect(nodeConnection(undefined))}>
              Connect to this node
            </button>
          </div>
        </div>
      )}
      <form class="stack-tight" onSubmit={submit} noValidate>
        <div class="field">
          <label htmlFor="node-url">URL of a node</label>
          <input
            id="node-url"
            type="url"
            inputMode="url"
            placeholder="https://127.0.0.1:9000"
            autoComplete="off"
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
            aria-describedby="node-url-hint"
          />
        </div>
        <p id="node-url-hint" class="small soft">
          Of an interface without client certificates: a sandbox (<code>deno task run node</code>) prints it as{" "}
          <code>web_url</code>, and has it in{" "}
          <code>sandbox.json</code>. A browser takes a certificate that the service itself made only through the relay.
        </p>
        <div>
          <button type="submit" class={origin === "served" ? "button" : "button button-main"}>Connect</button>
        </div>
      </form>
      {problem !== undefined && <ProblemNote problem={problem} />}
    </Section>
  );
}

/** The relay speaks to one node, and says what it saw of it. */
function ByRelay() {
  const [turn, setTurn] = useState(0);
  const [peer, setPeer] = useState<Loaded<RelayPeer>>({ kind: "loading" });
  useEffect(() => {
    const abort = new AbortController();
    setPeer({ kind: "loading" });
    fetchPeer(abort.signal).then(
      (value) => value !== undefined && setPeer({ kind: "ready", value }),
      (error) => !abort.signal.aborted && setPeer({ kind: "error", problem: problemOf(error) }),
    );
    return () => abort.abort();
  }, [turn]);
  return (
    <Section title="Connect to the relay's node">
      <p>
        {ORIGIN_WORDS.relay.long} It speaks to one node; for another start it with another <code>--node</code>.
      </p>
      {peer.kind === "loading" && <Loading of="what the relay sees" />}
      {peer.kind === "ready" && (
        <>
          <p>
            {peer.value.pinned
              ? (
                <Verdict kind="verified">
                  The node's certificate was issued by the service that the relay was given
                </Verdict>
              )
              : (
                <Verdict kind="unchecked">
                  The relay was given no certificate of the service: which service this is, is for you to say
                </Verdict>
              )}
          </p>
          <div>
            <button
              type="button"
              class="button button-main"
              onClick={() => void connect(nodeConnection(peer.value.node_url))}
            >
              Connect to <span class="foreign">{peer.value.node_url}</span>
            </button>
          </div>
        </>
      )}
      {peer.kind === "error" && (
        <>
          <ul class="ladder-steps" aria-label="How far the relay came">
            {stagesOf(peer.problem).map(({ name, kind }) => (
              <li key={name}>
                <Verdict kind={kind}>{name}{kind === "failed" ? ": no" : ""}</Verdict>
              </li>
            ))}
          </ul>
          <ProblemNote problem={peer.problem} />
          <div>
            <button type="button" class="button" onClick={() => setTurn((n) => n + 1)}>Try again</button>
          </div>
        </>
      )}
    </Section>
  );
}
