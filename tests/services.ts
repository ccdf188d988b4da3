/**
 * The real services of the team folder, one ledger directory each, for tests that walk through all of them.
 *
 * What each shows: the README beside it. The keys are public test keys.
 */

import { join, statSyncOrUndefined } from "./paths.ts";
import { teamData } from "./team_data.ts";
import { parseRsaPrivateKeyFile } from "../shared/crypto/key_file.ts";
import { type ChunkName, compareChunkNames, parseChunk, parseChunkName } from "../shared/ledger/chunk.ts";

import { parseSnapshotName, type SnapshotName } from "../shared/ledger/snapshot.ts";

/** One ledger directory, as one node left it. */
export interface LedgerDirectory {
  readonly name: string;
  readonly ledger: string;
  readonly common: string;
  readonly snapshots?: string;
  readonly expected?: string;
}

const DIRECTORIES: readonly string[] = [
  "cose_flipflop_service",
  "double_sealed_service",
  "eol_service",
  "recorded_governance",
  "recorded_join",
  "recorded_nodes/node0",
  "recorded_nodes/node1",
  "recorded_nodes/node2",
  "recorded_nodes/node3",
  "recorded_orphans/dead_primary",
  "recorded_orphans/joiner",
  "recorded_orphans/new_primary",
  "recorded_recovery",
  "recorded_recovery/before_recovery",
  "recorded_recovery_shares",
  "recorded_recovery_shares/before_recovery",
  "recorded_rekey",
  "recorded_rekey/before_recovery",
];

/** Every ledger directory there is. */
export function ledgerDirectories(): LedgerDirectory[] {
  return DIRECTORIES.map((name) => {
    const [service, part] = name.split("/");
    const testdata = teamData("ccf/testdata");
    const snapshots = join(testdata, name, "snapshots");
    const expected = join(testdata, service!, "expected", part ?? "");
    return {
      name,
      ledger: join(testdata, name, "ledger"),
      common: join(testdata, service!, "common"),
      ...(statSyncOrUndefined(snapshots)?.isDirectory && { snapshots }),
      ...(statSyncOrUndefined(join(expected, "summary.json")) !== undefined && { expected }),
    };
  });
}

/** @throws where there is no such directory */
export function ledgerDirectory(name: string): LedgerDirectory {
  const found = findDirectory(name);
  if (found === undefined) throw new Error(`There is no ledger directory ${name}`);
  return found;
}

function findDirectory(name: string): LedgerDirectory | undefined {
  return ledgerDirectories().find((directory) => directory.name === name);
}

export interface ChunkFile {
  readonly fileName: string;
  readonly name: ChunkName;
  readonly bytes: Uint8Array;
}

/** The ledger files in order of reading, without those a node set aside. */
export function readChunkFiles(directory: LedgerDirectory): ChunkFile[] {
  return [...Deno.readDirSync(directory.ledger)]
    .map(({ name: fileName }) => ({ fileName, name: parseChunkName(fileName) }))
    .filter((file): file is { fileName: string; name: ChunkName } => file.name !== undefined && !file.name.ignored)
    .sort((a, b) => compareChunkNames(a.name, b.name))
    .map((file) => ({ ...file, bytes: Deno.readFileSync(join(directory.ledger, file.fileName)) }));
}

/** Every whole entry, in order. */
export function readEntries(directory: LedgerDirectory): Uint8Array[] {
  return readChunkFiles(directory).flatMap(({ bytes }) => parseChunk(bytes).content.map((entry) => entry.bytes));
}

/** `expected/summary.json`, as much of it as tests use. */
export interface ExpectedSummary {
  readonly firstSeqno?: number;
  readonly entries: number;
  readonly lastSigned: string;
  readonly rootAfterLastEntry: string;
  readonly viewHistory: number[];
  readonly ledgerSecrets: Record<string, string>;
  readonly signatures: { seqno: number; view: number; root: string; cose: boolean; treeFirst: number }[];
  readonly serviceIdentitiesFromSeqno: number[];
}

/** One line of `expected/entries.jsonl`. Keys and values are hex; long ones are "sha256:" and their digest. */
export interface ExpectedEntry {
  readonly txid: string;
  readonly file: string;
  readonly flags: number;
  readonly entryType: number;
  readonly rawLength: number;
  readonly writeSetDigest: string;
  readonly claimsDigest: string | null;
  readonly commitEvidence: string | null;
  readonly commitEvidenceDigest: string | null;
  readonly leaf: string;
  readonly rootBefore: string | null;
  readonly secretFrom: number | null;
  readonly public: Record<string, { writes: [string, string][]; removes: string[] }>;
  readonly private: Record<string, { writes: [string, string][]; removes: string[] }> | null;
}

export interface SnapshotFile {
  readonly fileName: string;
  readonly name: SnapshotName;
  readonly bytes: Uint8Array;
}

/** The snapshot files, oldest first. */
export function readSnapshotFiles({ snapshots }: LedgerDirectory): SnapshotFile[] {
  if (snapshots === undefined) return [];
  return [...Deno.readDirSync(snapshots)]
    .map(({ name: fileName }) => ({ fileName, name: parseSnapshotName(fileName) }))
    .filter((file): file is { fileName: string; name: SnapshotName } => file.name !== undefined)
    .sort((a, b) => a.name.seqno - b.name.seqno)
    .map((file) => ({ ...file, bytes: Deno.readFileSync(join(snapshots, file.fileName)) }));
}

/** First seqno and hex of each ledger secret; a directory without a summary shares those of the service's other nodes. */
export function readLedgerSecrets(directory: LedgerDirectory): [firstSeqno: number, hex: string][] {
  const service = directory.name.split("/")[0]!;
  const source = [directory, findDirectory(service), findDirectory(`${service}/new_primary`)]
    .find((candidate) => candidate?.expected !== undefined)!;
  const { ledgerSecrets, serviceIdentitiesFromSeqno } = readExpectedSummary(source);
  // What a node wrote before a recovery is sealed with the secrets of its own service, also behind the last signature.
  const later = directory.name.endsWith("/before_recovery") ? serviceIdentitiesFromSeqno.slice(1) : [];
  return Object.entries(ledgerSecrets).map(([first, hex]) => [Number(first), hex] as [number, string])
    .filter(([first]) => !later.includes(first));
}

/** The members' private encryption keys, PKCS#8 DER. */
export function readMemberKeys(directory: LedgerDirectory): Uint8Array[] {
  return [...Deno.readDirSync(directory.common)]
    .map((file) => file.name)
    .filter((name) => /^member\d+_enc_privk\.pem$/.test(name))
    .map((name) => parseRsaPrivateKeyFile(Deno.readTextFileSync(join(directory.common, name))).pkcs8);
}

export function readExpectedSummary(directory: LedgerDirectory): ExpectedSummary {
  return JSON.parse(Deno.readTextFileSync(join(directory.expected!, "summary.json")));
}

export function readExpectedEntries(directory: LedgerDirectory): ExpectedEntry[] {
  const lines = Deno.readTextFileSync(join(directory.expected!, "entries.jsonl")).trim().split("\n");
  return lines.map((line) => JSON.parse(line));
}
