/** The frame around every screen: skip link, origin banner, trust bar, rail, the page, palette, shortcuts, stop page. */

import type { ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Announcer } from "../parts/announce.tsx";
import { Page } from "../parts/page.tsx";
import { Loading, ProblemNote } from "../parts/states.tsx";
import { type Problem, problemOf } from "../problem.ts";
import { fragment, type PageName, type PageProps, PAGES, parseRoute, type Route } from "../routes.ts";
import { alarm, connection, origin } from "../service/session.ts";
import { ORIGIN_WORDS } from "../service/origin.ts";
import { Fault } from "./fault.tsx";
import { listenForKeys } from "./keyboard.ts";
import { isPaletteOpen, Palette } from "./palette.tsx";
import { isRailOpen, Rail } from "./rail.tsx";
import { areShortcutsOpen, Shortcuts } from "./shortcuts.tsx";
import { StopPage } from "./stop_page.tsx";
import { TrustBar } from "./trust_bar.tsx";

const HOME: Route = { page: "connect", id: undefined, query: new URLSearchParams() };

/** Where a page goes that names no address. */
function homeRoute(): Route {
  return { ...HOME, page: connection.peek() === undefined ? "connect" : "overview" };
}

export function App() {
  const named = parseRoute(fragment.value);
  const route = named ?? homeRoute();
  const isUnknown = named === undefined && !/^#?\/?$/.test(fragment.value);
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  useEffect(() => listenForKeys(), []);
  // A new page is read from its beginning; a change of its query is not a new page.
  useEffect(() => {
    isRailOpen.value = false;
    if (isFirst.current) isFirst.current = false;
    else {
      main.current?.focus();
      scrollTo(0, 0);
    }
  }, [route.page, route.id]);
  return (
    <>
      <div class="shell">
        <header class="trust-bar">
          <a
            class="button skip"
            href={fragment.value || "#/"}
            onClick={(event) => {
              event.preventDefault();
              main.current?.focus();
            }}
          >
            Skip to the page
          </a>
          {origin !== "relay" && origin !== "file" && (
            <div class="origin-banner" role="note">
              <p>{ORIGIN_WORDS[origin].long}</p>
            </div>
          )}
          <TrustBar />
        </header>
        <Rail current={route.page} isOpen={isRailOpen.value} />
        <main ref={main} class="main" tabIndex={-1}>
          {alarm.value !== undefined && route.page !== "connect" && route.page !== "settings"
            ? <StopPage {...alarm.value} />
            : isUnknown
            ? <NoSuchPage address={fragment.value} />
            : <Screen key={`${route.page}/${route.id ?? ""}`} route={route} />}
        </main>
      </div>
      {isPaletteOpen.value && <Palette />}
      {areShortcutsOpen.value && <Shortcuts />}
      <Announcer />
    </>
  );
}

/** A link that was cut or misspelt: another page in its place would look as if it were what was asked for. */
function NoSuchPage({ address }: { readonly address: string }) {
  return (
    <Page title="There is no such page">
      <ProblemNote
        problem={{
          code: "NoSuchPage",
          what: "The address names none of this console's pages",
          why: "The link was cut or misspelt, or is of another version",
          todo: "Go on by the list of pages, or ask for the link again",
          details: address.slice(0, MAX_SHOWN_ADDRESS),
        }}
      />
    </Page>
  );
}

const MAX_SHOWN_ADDRESS = 200;
const loaded = new Map<PageName, ComponentType<PageProps>>();

/** Loads a page's code when it is first shown. */
function Screen({ route }: PageProps) {
  const [, setTurn] = useState(0);
  const [problem, setProblem] = useState<Problem | undefined>();
  useEffect(() => {
    if (loaded.has(route.page)) return;
    PAGES[route.page].load().then(
      (module) => {
        loaded.set(route.page, module.default);
        setTurn((n) => n + 1);
      },
      (error) =>
        setProblem({ ...problemOf(error), code: "PageMissing", todo: "Reload the page: it may have been updated" }),
    );
  }, [route.page]);
  const Content = loaded.get(route.page);
  if (problem !== undefined) return <ProblemNote problem={problem} />;
  if (Content === undefined) return <Loading of="the page" />;
  return (
    <Fault>
      <Content route={route} />
    </Fault>
  );
}
