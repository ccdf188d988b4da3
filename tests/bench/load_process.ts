/**
 * `load.ts` in a process of its own, so that the load's work is not the measuring program's.
 *
 * In: what to send, to whom, as whom. Out: what came of it; an answer other than 200 is an error.
 */

import { join } from "node:path";
import { ROOT } from "../readme.ts";
import type { LoadResult } from "./load.ts";

export interface LoadRequest {
  /** Connections are spread over them in turn. */
  readonly urls: readonly string[];
  readonly method: string;
  /** `{i}` here or in the URL becomes a number below `variants`. */
  readonly body?: string | undefined;
  readonly variants: number;
  readonly connections: number;
  readonly pipeline?: number;
  /** How long; "once": until every variant has been sent once. */
  readonly seconds: number | "once";
  /** Paths of PEM files. */
  readonly serviceCertificate: string;
  readonly credentials?: { readonly certificate: string; readonly key: string } | undefined;
}

export async function runLoadProcess(load: LoadRequest): Promise<LoadResult> {
  const { urls, method, body, variants, connections, pipeline = 1, seconds, serviceCertificate, credentials } = load;
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: [
      ..."run --no-prompt --allow-net=127.0.0.1 --allow-read --allow-sys".split(" "),
      join(ROOT, "tests/bench/load.ts"),
      ...urls.flatMap((url) => ["--url", url]),
      ...["--method", method, "--variants", String(variants), "--service-cert", serviceCertificate],
      ...(credentials === undefined ? [] : ["--cert", credentials.certificate, "--key", credentials.key]),
      ...["--connections", String(connections), "--pipeline", String(pipeline)],
      ...(seconds === "once" ? ["--once"] : ["--seconds", String(seconds)]),
      ...(body === undefined ? [] : ["--header", "content-type: application/json", "--body", body]),
    ],
  }).output();
  if (code !== 0) throw new Error(`The load failed: ${new TextDecoder().decode(stderr)}`);
  const result: LoadResult = JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1)!);
  const statuses = Object.keys(result.statuses);
  if (statuses.length !== 1 || statuses[0] !== "200") {
    throw new Error(`Not every answer was 200: ${JSON.stringify(result.statuses)}`);
  }
  return result;
}
