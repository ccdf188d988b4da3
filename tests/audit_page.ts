/**
 * The script of a web page that audits ledgers in a worker: the lines of the console, with what a browser has.
 *
 * In: ledger files in folders, one for each ledger, which its server lists. Out: posted to `/answer`, by folder what the
 * audit reports, as `{value}` or `{error}`.
 */

import { runAudit } from "../console/ledger/audit.ts";
import type { AuditReport, LedgerState } from "../console/ledger/protocol.ts";
import { LedgerReading } from "../console/ledger/reading.ts";

export interface AuditPageAnswer {
  readonly reports: Readonly<Record<string, AuditReport>>;
  /** Names of runtimes other than a browser that the script could see. */
  readonly foreign: readonly string[];
}

async function answer(): Promise<AuditPageAnswer> {
  const names = await (await fetch("/names")).json() as string[];
  const folders = Map.groupBy(names, (name) => name.split("/")[0]!);
  const reports: Record<string, AuditReport> = {};
  for (const [folder, paths] of folders) {
    reports[folder] = await auditOf(
      await Promise.all(paths.map(async (path) => {
        const response = await fetch(`/files/${encodeURI(path)}`);
        return new File([await response.arrayBuffer()], path.split("/").at(-1)!);
      })),
    );
  }
  return { reports, foreign: ["Deno", "process", "require", "Buffer"].filter((name) => name in globalThis) };
}

async function auditOf(files: readonly File[]): Promise<AuditReport> {
  const rest = Promise.withResolvers<LedgerState>();
  const reading = new LedgerReading({
    audit: runAudit,
    onState: (state) => {
      if (state.status === "complete" || state.status === "stopped") rest.resolve(state);
    },
  });
  await reading.open({ kind: "files", files }, { lenient: true });
  const { status, problem } = await rest.promise;
  if (status === "stopped") throw new Error(JSON.stringify(problem));
  return await reading.audit({});
}

if (typeof document === "undefined") {
  const body = await answer().then(
    (value) => ({ value }),
    (error: Error) => ({ error: `${error.message}\n${error.stack}` }),
  );
  await fetch("/answer", { method: "POST", body: JSON.stringify(body) });
} else {
  const worker = new Worker("/script.js", { type: "module" });
  worker.onerror = ({ message }) => {
    void fetch("/answer", { method: "POST", body: JSON.stringify({ error: `The worker failed: ${message}` }) });
  };
}
