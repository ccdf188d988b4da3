/**
 * Our constitution against CCF's: proposals that members of real services accepted are applied by ours, and must leave
 * the same bytes in the same tables.
 */

import { strict as assert } from "node:assert";
import { ledgerDirectory, readEntries } from "../tests/services.ts";
import { teamTest } from "../tests/team_data.ts";
import { fromByteString, fromUtf8, toByteString } from "../shared/bytes.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import type { TableWrites } from "../shared/kv/write_set.ts";
import { FakeCcf } from "./fake_ccf.ts";
import { constitution } from "./load_constitution.ts";

// What actions themselves write. Other tables of the same transactions are the node's doing, e.g. shares.
const TABLES = [
  "constitution",
  "endpoints",
  "history",
  "interpreter.flush",
  "js_runtime_options",
  "jwt.issuers",
  "members.acks",
  "members.certs",
  "members.encryption_public_keys",
  "members.info",
  "modules",
  "nodes.endorsed_certificates",
  "nodes.info",
  "nodes.snp.host_data",
  "nodes.snp.measurements",
  "nodes.snp.uvm_endorsements",
  "proposals_info",
  "service.config",
  "tls.ca_cert_bundles",
  "users.certs",
  "users.info",
].map((name) => `public:ccf.gov.${name}`);

const PROPOSALS_INFO = "public:ccf.gov.proposals_info";

/** Tables of a service as its ledger has built them up. */
type State = Map<string, Map<string, Uint8Array>>;

function fold(state: State, tables: readonly TableWrites[]): void {
  for (const { name, writes, removes } of tables) {
    const rows = state.get(name) ?? new Map<string, Uint8Array>();
    state.set(name, rows);
    for (const [key, value] of writes) rows.set(key, value);
    for (const key of removes) rows.delete(key);
  }
}

function fakeOf(state: State): FakeCcf {
  const ccf = new FakeCcf();
  for (const [name, rows] of state) {
    for (const [key, value] of rows) {
      ccf.kv[name]!.set(fromByteString(key).slice().buffer, value.slice().buffer as ArrayBuffer);
    }
  }
  return ccf;
}

/** Rows with one character a byte: exact, and for people to compare. */
function byteStrings(rows: Iterable<readonly [string, Uint8Array]>): Record<string, string> {
  return Object.fromEntries([...rows].sort().map(([key, value]) => [key, toByteString(value)]));
}

const stateOf = (info: Uint8Array): string => JSON.parse(fromUtf8(info)).state;

/** What a node does when a proposal is accepted, before it applies it: it forgets the closed ones, and notes the votes. */
function closeProposals(state: State, tables: readonly TableWrites[]): void {
  const proposals = state.get(PROPOSALS_INFO)!;
  for (const [id, info] of proposals) if (stateOf(info) !== "Open") proposals.delete(id);
  const accepted = tables.find(({ name }) => name === PROPOSALS_INFO)!.writes.find(([, info]) =>
    stateOf(info) === "Accepted"
  )!;
  proposals.set(...accepted);
}

/** What nodes computed for the script, as its transaction wrote it down. */
function answerAsRecorded(ccf: FakeCcf, state: State): void {
  const nodes = [...state.get("public:ccf.gov.nodes.info") ?? []].map(([id, info]) =>
    [id, JSON.parse(fromUtf8(info))] as const
  );
  ccf.network = {
    getLatestLedgerSecretSeqno: () => Math.max(0, ...nodes.map(([, info]) => info.ledger_secret_seqno ?? 0)),
    generateEndorsedCertificate: (request) => {
      const [id] = nodes.find(([, info]) => info.certificate_signing_request === request)!;
      return fromUtf8(state.get("public:ccf.gov.nodes.endorsed_certificates")!.get(id)!);
    },
    generateNetworkCertificate: () =>
      JSON.parse(fromUtf8([...state.get("public:ccf.gov.service.info")!.values()][0]!)).cert,
  };
}

/** The proposal that a transaction accepted, if it did. */
function acceptedProposal(state: State, tables: readonly TableWrites[]): [id: string, text: string] | undefined {
  const changes = tables.find(({ name }) => name === PROPOSALS_INFO)?.writes ?? [];
  const accepted = changes.find(([, info]) => stateOf(info) === "Accepted");
  const text = state.get("public:ccf.gov.proposals")?.get(accepted?.[0] ?? "");
  return accepted === undefined || text === undefined ? undefined : [accepted[0], fromUtf8(text)];
}

// How many proposals each ledger accepted.
const LEDGERS = [
  ["recorded_governance", 33],
  ["recorded_rekey", 13],
  ["recorded_recovery", 7],
  ["recorded_nodes/node0", 5],
  ["recorded_nodes/node1", 9],
  ["recorded_join", 6],
  ["recorded_recovery_shares", 4],
  ["cose_flipflop_service", 3],
  ["double_sealed_service", 3],
  ["recorded_recovery/before_recovery", 2],
  ["recorded_rekey/before_recovery", 11],
  ["recorded_orphans/new_primary", 6],
] as const;

for (const [service, expected] of LEDGERS) {
  teamTest(`apply() leaves in the tables what CCF's constitution left there: ${service}`, () => {
    const state: State = new Map();
    let compared = 0;
    for (const bytes of readEntries(ledgerDirectory(service))) {
      const tables = LedgerEntry.parse(bytes).publicTables();
      // A proposal that is accepted at once is stored by the same transaction.
      fold(state, tables.filter(({ name }) => name === "public:ccf.gov.proposals"));
      const proposal = acceptedProposal(state, tables);
      if (proposal === undefined) {
        fold(state, tables);
        continue;
      }
      closeProposals(state, tables);
      const ccf = fakeOf(state);
      fold(state, tables);
      answerAsRecorded(ccf, state);
      const [id, text] = proposal;
      const { valid, description } = ccf.run(() => constitution.validate(text));
      assert.ok(valid, `${text}: ${description}`);
      ccf.run(() => constitution.apply(text, id));
      for (const name of TABLES) {
        const ours = byteStrings(ccf.kv[name]!.rows());
        const theirs = byteStrings(state.get(name) ?? []);
        assert.deepEqual(ours, theirs, `${name} after ${text.slice(0, 200)}`);
      }
      compared++;
    }
    assert.equal(compared, expected);
  });
}
