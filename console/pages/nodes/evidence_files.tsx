/** Evidence from files, judged here with nothing connected. */

import { useState } from "preact/hooks";
import { FormatError } from "../../../shared/assert.ts";
import { noblePrimitives } from "../../../shared/crypto/primitives.ts";
import { MAX_BUNDLE_CHARACTERS, MAX_COLLATERAL_FILES } from "../../../shared/limits.ts";
import { toBase64 } from "../../../shared/bytes.ts";
import { FileDrop } from "../../parts/file_drop.tsx";
import { Section } from "../../parts/page.tsx";
import { Loading, ProblemNote } from "../../parts/states.tsx";
import { Ladder, rungsOf } from "../../parts/trust_ladder.tsx";
import { Time } from "../../parts/time.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import { type Loaded, problemOf } from "../../problem.ts";
import { type JudgedFile, judgeEvidenceFiles } from "./evidence_file.ts";
import { FieldTable } from "./field_table.tsx";

export function EvidenceFiles() {
  const [judged, setJudged] = useState<Loaded<JudgedFile> | undefined>();
  const take = async (files: readonly File[]) => {
    setJudged({ kind: "loading", of: "the evidence" });
    try {
      if (files.length > MAX_COLLATERAL_FILES) throw new FormatError(`They are more than ${MAX_COLLATERAL_FILES}`);
      const named = await Promise.all(files.map(async (file) => ({
        name: file.name,
        // One byte more than may be there, so that too large a file is seen to be one.
        bytes: new Uint8Array(await file.slice(0, MAX_BUNDLE_CHARACTERS + 1).arrayBuffer()),
      })));
      const value = await judgeEvidenceFiles(named, {
        nowMs: Date.now(),
        primitives: noblePrimitives,
        pause: () => new Promise((resolve) => setTimeout(resolve, 0)),
        onEntry: (done, of) => setJudged({ kind: "loading", of: `the bundle's ledger, entry ${done} of ${of}` }),
      });
      setJudged({ kind: "ready", value });
    } catch (error) {
      const problem = problemOf(error);
      setJudged({
        kind: "error",
        problem: error instanceof FormatError
          ? {
            code: "EvidenceUnreadable",
            what: "The files cannot be judged as evidence",
            why: error.message,
            todo: "Drop one bundle, or one report or quote with its certificates and lists beside it",
          }
          : problem,
      });
    }
  };
  return (
    <Section title="Evidence from files">
      <FileDrop label="Choose evidence" multiple onFiles={(files) => void take(files)}>
        <p class="small">
          A bundle that this page or <code>quote verify --save</code>{" "}
          wrote, what a node answers, or a bare report or quote together with its certificates, revocation list and{" "}
          <code>collateral.json</code>. It is judged here; nothing needs to be connected.
        </p>
      </FileDrop>
      {judged?.kind === "loading" && <Loading of={judged.of} />}
      {judged?.kind === "error" && <ProblemNote problem={judged.problem} />}
      {judged?.kind === "ready" && <Judged judged={judged.value} />}
    </Section>
  );
}

function Judged({ judged: { name, report, at, format, raw, bundle } }: { readonly judged: JudgedFile }) {
  const kind = report.verdict === "refused" ? "failed" : report.verdict === "virtual" ? "virtual" : "verified";
  return (
    <div class="stack">
      <p role="status">
        <Verdict kind={kind}>
          <span class="foreign">{name}</span>:{" "}
          {report.verdict === "virtual" ? "virtual, no hardware protection" : report.verdict}
        </Verdict>
      </p>
      {report.reason !== undefined && <p class="foreign">{report.reason}</p>}
      <p class="small soft">
        Judged as of <Time ms={at} />
        {bundle?.savedAtMs === at ? ", when the file says that it was saved" : ""}
        {bundle?.source === undefined ? "" : ` · it says that it came from ${bundle.source.slice(0, 200)}`}
      </p>
      <Ladder label="Ladder of the file" rungs={rungsOf(report.rungs)} />
      <FieldTable format={format} raw={toBase64(raw)} />
      <h3>What this does not prove</h3>
      <ul>
        {report.notProved.map((sentence) => <li key={sentence}>{sentence}</li>)}
      </ul>
    </div>
  );
}
