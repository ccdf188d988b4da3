/**
 * A folder with a small file of test vectors of evidence, and the one document that it names.
 */

import { join } from "node:path";
import { cwtDocument, UVM_FEED, UVM_NOW_MS, uvmSigner } from "./uvm_documents.ts";

export interface VectorFolder {
  readonly folder: string;
  /** Of `vectors.json`. */
  readonly path: string;
  /** Writes it: one vector, called "vector", with these members in place of good ones, and a negative of it. */
  readonly write: (changes: Record<string, unknown>) => void;
}

/** Makes the folder, runs the test, and takes the folder away. */
export async function withVectors(test: (folder: VectorFolder) => void | Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "quorate_vectors_" });
  const path = join(folder, "vectors.json");
  const write = (changes: Record<string, unknown>) => {
    Deno.writeFileSync(join(folder, "document.cose"), cwtDocument());
    const vector = {
      id: "vector",
      kind: "uvm",
      files: { uvm: "document.cose" },
      verifyAt: new Date(UVM_NOW_MS).toISOString().replace(".000Z", "Z"),
      policy: { roots: [{ did: uvmSigner().did, feed: UVM_FEED, minSvn: 100 }] },
      expect: { verdict: "accept", svn: 105 },
      ...changes,
    };
    const negative = {
      id: "negative",
      base: "vector",
      replace: { uvm: "document.cose" },
      mutations: [{ file: "uvm", op: "truncate", length: 100 }],
      expect: { verdict: "reject", reasons: ["malformed"] },
    };
    const file = { format: 1, generated: "", policyDefaults: {}, vectors: [vector], negatives: [negative] };
    Deno.writeTextFileSync(path, JSON.stringify(file));
  };
  try {
    write({});
    await test({ folder, path, write });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
