/**
 * The script of a web page that verifies evidence: the verifiers of `shared/attestation`, with the primitives that a
 * browser has.
 *
 * In: the files of test vectors, which its server lists; in the query perhaps the ID of one vector, and how often to
 * verify it. Out: posted to `/answer`, `{value}` or `{error}`.
 */

import { evaluateVectors, type VectorResults } from "../shared/attestation/vectors.ts";
import { noblePrimitives } from "../shared/crypto/primitives.ts";

/** What a page answers. */
export interface PageAnswer {
  readonly results: VectorResults;
  /** How long each verification took, in milliseconds, the first one too; none where all vectors are evaluated. */
  readonly durationsMs: readonly number[];
  /** Names of runtimes other than a browser that the script could see. */
  readonly foreign: readonly string[];
}

async function answer(query: URLSearchParams): Promise<PageAnswer> {
  const files = await loadFiles();
  const readFile = (path: string) => {
    const bytes = files.get(path);
    if (bytes === undefined) throw new Error(`there is no file ${path}`);
    return bytes;
  };
  const text = new TextDecoder().decode(readFile("vectors.json"));
  const foreign = ["Deno", "process", "require", "Buffer"].filter((name) => name in globalThis);
  const [id, times] = [query.get("id"), Number(query.get("times"))];
  if (id === null) {
    return { results: evaluateVectors(JSON.parse(text), readFile, noblePrimitives), durationsMs: [], foreign };
  }

  const file = JSON.parse(text) as { vectors: { id: string }[] };
  const one = { ...file, vectors: file.vectors.filter((vector) => vector.id === id), negatives: [] };
  const durationsMs: number[] = [];
  let results: VectorResults = { passed: 0, failed: 0, deviations: [] };
  for (let i = 0; i < times && results.failed === 0; i++) {
    const json = structuredClone(one);
    const begin = performance.now();
    results = evaluateVectors(json, readFile, noblePrimitives);
    durationsMs.push(performance.now() - begin);
  }
  return { results, durationsMs, foreign };
}

async function loadFiles(): Promise<ReadonlyMap<string, Uint8Array>> {
  const names = await (await fetch("/names")).json() as string[];
  return new Map(
    await Promise.all(names.map(async (name) => {
      const response = await fetch(`/files/${encodeURI(name)}`);
      if (!response.ok) throw new Error(`${name} was not served: ${response.status}`);
      return [name, new Uint8Array(await response.arrayBuffer())] as const;
    })),
  );
}

const body = await answer(new URLSearchParams(location.search))
  .then((value) => ({ value }), (error: Error) => ({ error: `${error.message}\n${error.stack}` }));
await fetch("/answer", { method: "POST", body: JSON.stringify(body) });
