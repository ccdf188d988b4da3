/**
 * PEM blocks of real services in the team folder: those in ledgers, snapshots, transcripts, receipts and key folders.
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "./paths.ts";
import { teamData } from "./team_data.ts";

const FOLDERS = ["ccf/testdata", "ccf/transcripts", "attestation/vectors"];

const found = new Map<string, string[]>();

/** Every different block with this label, as text of its own. */
export function realPemBlocks(label: string): readonly string[] {
  const blocks = found.get(label) ?? [...search(label)];
  found.set(label, blocks);
  return blocks;
}

function search(label: string): Set<string> {
  const blocks = new Set<string>();
  // In JSON a line ends in the two characters \n, and in JSON inside JSON in the three characters \\n.
  const pattern = new RegExp(`-----BEGIN ${label}-----((?:\\s|\\\\+n|[A-Za-z0-9+/=])*?)-----END ${label}-----`, "g");
  for (const folder of FOLDERS) {
    for (const entry of readdirSync(teamData(folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const text = readFileSync(join(entry.parentPath, entry.name), "latin1");
      for (const [, body] of text.matchAll(pattern)) {
        const base64 = body!.replaceAll(/\\+n|\s/g, "");
        blocks.add(`-----BEGIN ${label}-----\n${base64.replaceAll(/.{1,64}/g, "$&\n")}-----END ${label}-----\n`);
      }
    }
  }
  return blocks;
}
