/** The app: what it offers and to whom, its source, how it changed, and a way to try it. */

import { useId, useState } from "preact/hooks";
import { DataTable } from "../../parts/data_table.tsx";
import { fromUtf8Lenient } from "../../../shared/bytes.ts";
import { useLedger } from "../../hooks.ts";
import { CodeView } from "../../parts/code_view.tsx";
import { Page, Section } from "../../parts/page.tsx";
import { useNames } from "../../parts/party.tsx";
import { Empty, ProblemNote, Region } from "../../parts/states.tsx";
import { Tabs } from "../../parts/tabs.tsx";
import { Time } from "../../parts/time.tsx";
import { type Problem, problemOf } from "../../problem.ts";
import { linkTo, type PageProps, replaceQuery } from "../../routes.ts";
import type { NodeAnswer } from "../../service/node_api.ts";
import { api } from "../../service/session.ts";
import {
  appChanges,
  type AppEndpoint,
  type AppFacts,
  appFacts,
  callableFromPage,
  fillPath,
  parametersOf,
  policiesText,
  shellQuoted,
} from "./app_facts.ts";

const MAX_SHOWN_BODY = 100_000;

export default function AppsPage({ route }: PageProps) {
  const facts = useLedger(appFacts, []);
  const tab = route.query.get("tab") ?? "endpoints";
  return (
    <Page
      title="Apps"
      lead="The code that members approved, and that users call. Folded from the ledger."
      actions={<a class="button" href={linkTo("compose", undefined, { action: "set_js_app" })}>Propose another app</a>}
    >
      <Region of={facts} loading="the app">
        {(value) =>
          value.endpoints.length === 0 && value.modules.length === 0 ? <NoApp /> : (
            <Section title="The app in force">
              <Tabs
                label="Parts of the app"
                chosen={tab}
                onChoose={(name) => replaceQuery({ tab: name })}
                tabs={[
                  {
                    name: "endpoints",
                    label: `Endpoints (${value.endpoints.length})`,
                    content: () => <Endpoints facts={value} query={route.query} />,
                  },
                  {
                    name: "modules",
                    label: `Source (${value.modules.length})`,
                    content: () => <Modules facts={value} query={route.query} />,
                  },
                  { name: "history", label: "History", content: () => <Changes /> },
                ]}
              />
            </Section>
          )}
      </Region>
    </Page>
  );
}

function NoApp() {
  return (
    <Empty>
      <p>
        The ledger has no app as of here. A node may still have one built in.{" "}
        <a href={linkTo("compose", undefined, { action: "set_js_app" })}>Propose one</a>: a folder with{" "}
        <code>app.json</code> and <code>src</code>.
      </p>
    </Empty>
  );
}

const keyOf = ({ method, path }: AppEndpoint) => `${method} ${path}`;

function Endpoints({ facts, query }: { readonly facts: AppFacts; readonly query: URLSearchParams }) {
  const chosen = facts.endpoints.find((endpoint) => keyOf(endpoint) === query.get("endpoint"));
  const options = Object.entries(facts.options ?? {});
  return (
    <div class="stack">
      <DataTable label="Table of endpoints" columns={["Endpoint", "Who may call", "Mode", "Runs"]}>
        {facts.endpoints.map((endpoint) => (
          <tr key={keyOf(endpoint)}>
            <th scope="row">
              <a
                data-item
                class="foreign"
                href={linkTo("apps", undefined, { endpoint: keyOf(endpoint) })}
                {...(endpoint === chosen && { "aria-current": "true" as const })}
              >
                {keyOf(endpoint)}
              </a>
            </th>
            <td>{policiesText(endpoint.properties)}</td>
            <td>{endpoint.properties.mode ?? "readwrite"}</td>
            <td class="foreign">
              <a href={linkTo("apps", undefined, { tab: "modules", module: moduleName(endpoint) })}>
                {endpoint.properties.js_module}
              </a>: {endpoint.properties.js_function}
            </td>
          </tr>
        ))}
      </DataTable>
      {options.length > 0 && (
        <p class="soft">Limits of a call: {options.map(([name, value]) => `${name} ${value}`).join(", ")}</p>
      )}
      {chosen !== undefined && <TryIt key={keyOf(chosen)} endpoint={chosen} />}
    </div>
  );
}

/** Modules are kept under their path from the root. */
const moduleName = ({ properties }: AppEndpoint) =>
  properties.js_module.startsWith("/") ? properties.js_module : `/${properties.js_module}`;

function TryIt({ endpoint }: { readonly endpoint: AppEndpoint }) {
  const id = useId();
  const [values, setValues] = useState<Readonly<Record<string, string>>>({});
  const [query, setQuery] = useState("");
  const [body, setBody] = useState("");
  const [token, setToken] = useState("");
  const [answer, setAnswer] = useState<NodeAnswer | undefined>();
  const [problem, setProblem] = useState<Problem | undefined>();
  const [isBusy, setIsBusy] = useState(false);
  const node = api.value;
  const parameters = parametersOf(endpoint.path);
  const hasBody = !["GET", "HEAD", "DELETE"].includes(endpoint.method);
  const path = `/app${fillPath(endpoint.path, values)}${query === "" ? "" : `?${query.replace(/^\?/, "")}`}`;
  const isCallable = callableFromPage(endpoint.properties);
  const canSend = ["GET", "HEAD", "POST"].includes(endpoint.method);
  const send = async () => {
    setIsBusy(true);
    setProblem(undefined);
    setAnswer(undefined);
    try {
      setAnswer(
        await node!.ask(path, {
          method: endpoint.method as "GET",
          ...(hasBody && { body, headers: { "content-type": "application/json" } }),
          ...(token !== "" &&
            { headers: { authorization: `Bearer ${token}`, ...(hasBody && { "content-type": "application/json" }) } }),
        }),
      );
    } catch (error) {
      setProblem(problemOf(error));
    }
    setIsBusy(false);
  };
  return (
    <section class="notice stack" aria-label={`Try ${keyOf(endpoint)}`}>
      <h3 class="foreign">Try {keyOf(endpoint)}</h3>
      {!isCallable && (
        <p>
          A page has no client certificate, and this endpoint asks for one, or for a signed request. From the command
          line: <code class="anywhere">deno task run call {shellQuoted(path)} --as user0</code>
        </p>
      )}
      {!canSend && <p>Pages may send GET, HEAD and POST to a node; use the command line for {endpoint.method}.</p>}
      {parameters.map((name) => (
        <div class="field" key={name}>
          <label htmlFor={`${id}-${name}`}>{name}</label>
          <input
            id={`${id}-${name}`}
            value={values[name] ?? ""}
            onInput={(event) => setValues({ ...values, [name]: event.currentTarget.value })}
          />
        </div>
      ))}
      <div class="field">
        <label htmlFor={`${id}-query`}>Query</label>
        <input
          id={`${id}-query`}
          placeholder="id=42"
          value={query}
          onInput={(event) => setQuery(event.currentTarget.value)}
        />
      </div>
      {hasBody && (
        <div class="field">
          <label htmlFor={`${id}-body`}>Body, JSON</label>
          <textarea id={`${id}-body`} rows={4} value={body} onInput={(event) => setBody(event.currentTarget.value)} />
        </div>
      )}
      <div class="field">
        <label htmlFor={`${id}-token`}>Token (JWT), where one is asked for</label>
        <input
          id={`${id}-token`}
          type="password"
          autocomplete="off"
          value={token}
          onInput={(event) => setToken(event.currentTarget.value)}
        />
      </div>
      <div class="row">
        <button
          type="button"
          class="button button-main"
          disabled={node === undefined || isBusy || !canSend}
          onClick={send}
        >
          Send to the node
        </button>
        <code class="anywhere">{endpoint.method} {path}</code>
      </div>
      {node === undefined && <p class="soft">Files are open: only a node can run the app.</p>}
      {problem !== undefined && <ProblemNote problem={problem} />}
      {answer !== undefined && <Answer answer={answer} />}
    </section>
  );
}

/** What the node answered: its word, until a receipt proves it. */
function Answer({ answer: { status, headers, body } }: { readonly answer: NodeAnswer }) {
  const txId = headers.get("x-ms-ccf-transaction-id");
  const text = fromUtf8Lenient(body.subarray(0, MAX_SHOWN_BODY));
  return (
    <div class="stack-tight" role="status">
      <p>
        The node answered with HTTP status <strong>{status}</strong>
        {txId !== null && (
          <>
            , transaction <a href={linkTo("transaction", txId)}>{txId}</a>
          </>
        )}
        . That is its word; a receipt for the transaction proves what was written.
      </p>
      {body.length === 0 ? <p class="soft">No body</p> : <pre class="foreign">{text}</pre>}
      {body.length > MAX_SHOWN_BODY && <p class="soft">{body.length} bytes; the first {MAX_SHOWN_BODY} are shown</p>}
    </div>
  );
}

function Modules({ facts, query }: { readonly facts: AppFacts; readonly query: URLSearchParams }) {
  const id = useId();
  const chosen = facts.modules.find(({ name }) => name === query.get("module")) ?? facts.modules[0];
  if (chosen === undefined) return <Empty>There are endpoints, and no module: they cannot run.</Empty>;
  return (
    <div class="stack">
      <div class="field">
        <label htmlFor={id}>Module</label>
        <select id={id} value={chosen.name} onChange={(event) => replaceQuery({ module: event.currentTarget.value })}>
          {facts.modules.map(({ name }) => <option key={name} value={name}>{name}</option>)}
        </select>
      </div>
      <p class="soft">
        Since <a href={linkTo("transaction", String(chosen.writtenAt))}>seqno {chosen.writtenAt}</a>
      </p>
      <CodeView text={chosen.source} language="javascript" label={`Source of ${chosen.name}`} />
    </div>
  );
}

function Changes() {
  const changes = useLedger(appChanges, []);
  const names = useNames();
  return (
    <Region of={changes} loading="the app's history">
      {(value) =>
        value.length === 0
          ? <Empty>No transaction that is known here changed the app.</Empty>
          : (
            <DataTable label="Table of changes of the app" columns={["Transaction", "Decided by", "What it wrote"]}>
              {value.map(({ seqno, timeMs, touched, decidedBy }) => (
                <tr key={seqno}>
                  <td>
                    <a href={linkTo("transaction", String(seqno))}>seqno {seqno}</a>
                    {timeMs !== undefined && (
                      <>
                        , <Time ms={timeMs} />
                      </>
                    )}
                  </td>
                  <td>
                    {decidedBy === undefined ? "no proposal" : (
                      <a href={linkTo("proposal", decidedBy.proposalId)}>
                        proposal of {names.get(decidedBy.proposerId) ?? `${decidedBy.proposerId.slice(0, 8)}…`}
                      </a>
                    )}
                  </td>
                  <td>
                    <details>
                      <summary>{touched.length} endpoints and modules</summary>
                      <ul class="foreign">{touched.map((name) => <li key={name}>{name}</li>)}</ul>
                    </details>
                  </td>
                </tr>
              ))}
            </DataTable>
          )}
    </Region>
  );
}
