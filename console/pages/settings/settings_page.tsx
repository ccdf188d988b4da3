/** Settings, and what this page is: its source, its policy, how to check it, whose code is in it. */

import { buildFacts, licences } from "../../build_facts.ts";
import { CopyButton } from "../../parts/copy.tsx";
import { Hash } from "../../parts/hash.tsx";
import { Facts, Page, Section } from "../../parts/page.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import { ORIGIN_WORDS } from "../../service/origin.ts";
import { origin } from "../../service/session.ts";
import { changeSettings, type Settings, settings } from "../../service/settings.ts";

const THEMES: readonly (readonly [Settings["theme"], string])[] = [
  ["system", "As the system is"],
  ["light", "Light"],
  ["dark", "Dark"],
  ["contrast", "High contrast"],
];

export default function SettingsPage() {
  return (
    <Page title="Settings and about" lead="How the page looks here, and how to know that it is the page it says it is.">
      <div class="columns">
        <Look />
        <Promises />
      </div>
      <About />
      <Licences />
    </Page>
  );
}

function Look() {
  const { theme, density } = settings.value;
  return (
    <Section title="Look">
      <fieldset class="field">
        <legend>Colours</legend>
        {THEMES.map(([value, label]) => (
          <label key={value} class="row">
            <input
              type="radio"
              name="theme"
              checked={theme === value}
              onChange={() => changeSettings({ theme: value })}
            />
            {label}
          </label>
        ))}
      </fieldset>
      <label class="row">
        <input
          type="checkbox"
          checked={density === "compact"}
          onChange={(event) => changeSettings({ density: event.currentTarget.checked ? "compact" : "comfortable" })}
        />
        Compact rows
      </label>
      <p class="small soft">
        Times are shown in{" "}
        {Intl.DateTimeFormat().resolvedOptions().timeZone}, as this browser has it, with UTC beside them where there is
        room. Press <kbd>?</kbd> for the keys.
      </p>
    </Section>
  );
}

function Promises() {
  return (
    <Section title="What this page does not do">
      <ul>
        <li>It loads nothing from anywhere but where it came from, and counts nothing about you.</li>
        <li>What you look at stands in the fragment of the address, which browsers do not send.</li>
        <li>It asks the node you connect to, and no other machine.</li>
        <li>It sends no private key anywhere. What it signs it shows again, read from the bytes, before it signs.</li>
      </ul>
    </Section>
  );
}

function About() {
  const { kind, source, policy } = buildFacts();
  const hashes = [...policy.matchAll(/'(sha256-[^']+)'/g)].map((match) => match[1]!);
  const command = kind === "single"
    ? "sha256sum console.html"
    : "deno task console && cat console/dist/console.html.sha256";
  const again = source.commit === null ? "deno task console" : `git checkout ${source.commit} && deno task console`;
  return (
    <Section title="About this page">
      <Facts
        of={[
          ["Came from", ORIGIN_WORDS[origin].long],
          ["Form", kind === "single" ? "one file, console.html" : "in pieces, as servers send it"],
          [
            "Built from commit",
            source.commit === null
              ? <Verdict kind="cannot">The sources were no checkout, so the page names no commit</Verdict>
              : <Hash value={source.commit} of="git commit that the page says it was built from" whole />,
          ],
          ...(source.changed === true
            ? [
              [
                "Changes",
                <Verdict kind="cannot">The sources differed from that commit when it was built</Verdict>,
              ] as const,
            ]
            : []),
          ["Content-Security-Policy", <code class="anywhere">{policy}</code>],
          ...hashes.map((hash, i) =>
            [i === 0 ? "Hash of its script" : "Hash of its styles", <code class="anywhere">{hash}</code>] as const
          ),
        ]}
      />
      <p>
        A page cannot know its own hash: one that lies would show the right one. Compare the file with the published
        {" "}
        <code>console.html.sha256</code> outside the browser:
      </p>
      <Command text={command} what="the command that hashes the page" />
      <p>Two builds of one commit are equal byte for byte, so you can make it yourself and compare:</p>
      <Command text={again} what="the command that builds the page again" />
    </Section>
  );
}

function Command({ text, what }: { readonly text: string; readonly what: string }) {
  return (
    <div class="row">
      <code class="anywhere">{text}</code>
      <CopyButton text={text} what={what} />
    </div>
  );
}

function Licences() {
  const all = licences();
  return (
    <Section title="Licences">
      <p>Quorate, and {all.length} packages of others that are part of this page:</p>
      {all.map(({ name, version, licence, text }) => (
        <details key={name}>
          <summary>
            {name} {version} ({licence})
          </summary>
          <pre class="small">{text}</pre>
        </details>
      ))}
    </Section>
  );
}
