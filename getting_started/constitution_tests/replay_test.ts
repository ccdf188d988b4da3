/**
 * Our constitution against CCF's: proposals that members of real services accepted are applied by ours, and must write
 * the same bytes to the same tables.
 */

import { strict as assert } from "node:assert";
import { fromUtf8 } from "../../shared/bytes.ts";
import {
  NODES_ENDORSED_CERTIFICATES,
  NODES_INFO,
  PROPOSALS,
  PROPOSALS_INFO,
  SERVICE_INFO,
} from "../../shared/governance/tables.ts";
import type { TableWrites } from "../../shared/kv/write_set.ts";
import { LedgerEntry } from "../../shared/ledger/entry.ts";
import { ledgerDirectory, readEntries } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import { ourText } from "./constitutions.ts";
import { ConstitutionWorld, NotedEffects, readable } from "./world.ts";

// How many proposals each ledger accepted.
const LEDGERS = [
  ["cose_flipflop_service", 3],
  ["double_sealed_service", 3],
  ["eol_service", 26],
  ["recorded_governance", 33],
  ["recorded_join", 6],
  ["recorded_nodes/node0", 5],
  ["recorded_nodes/node1", 9],
  ["recorded_orphans/new_primary", 6],
  ["recorded_recovery", 7],
  ["recorded_recovery/before_recovery", 2],
  ["recorded_recovery_shares", 4],
  ["recorded_rekey", 13],
  ["recorded_rekey/before_recovery", 11],
] as const;

/**
 * Proposals of a service that began in 2022, and what its constitutions did otherwise: no interpreters were kept that
 * would have to be flushed, and a service was opened without its identities.
 */
const OLDER: Readonly<Record<string, readonly string[]>> = {
  eol_service: ["set_js_app", "set_user, transition_service_to_open", "set_js_app"],
};

/** Tables that nodes write in the same transaction too: only what ours writes there is compared. */
const ALSO_WRITTEN_BY_NODES = [
  "cose_history",
  "cose_recent_proposals",
  "history",
  "jwt.public_signing_keys_metadata_v2",
  "jwt.public_signing_keys_metadata",
  "jwt.public_signing_keys",
  "jwt.public_signing_key_issuer",
  "modules_quickjs_bytecode",
  "modules_quickjs_version",
  "proposals",
  "service.info",
].map((name) => `public:ccf.gov.${name}`);

type Tables = readonly TableWrites[];
type Proposal = readonly [id: string, text: string];

const rowsOf = (tables: Tables, name: string) => tables.find((table) => table.name === name)?.writes ?? [];
const parsed = (value: Uint8Array) => JSON.parse(fromUtf8(value));

/** The ID of the proposal that a transaction accepted. */
function acceptedId(tables: Tables): string | undefined {
  return rowsOf(tables, PROPOSALS_INFO.name).find(([, info]) => parsed(info).state === "Accepted")?.[0];
}

/** What a node does when a proposal is accepted, before it applies it: it forgets closed ones, and notes the votes. */
function close(world: ConstitutionWorld, tables: Tables, id: string): void {
  const closed = world.rows(PROPOSALS_INFO.name).filter(([, info]) => parsed(info).state !== "Open");
  const accepted = rowsOf(tables, PROPOSALS_INFO.name).filter(([key]) => key === id);
  world.write([{ name: PROPOSALS_INFO.name, writes: accepted, removes: closed.map(([key]) => key) }]);
}

/** Answers what the node of that time answered, as the transaction wrote it down. */
class RecordedEffects extends NotedEffects {
  readonly #tables: Tables;
  readonly #nodes: readonly (readonly [id: string, info: Uint8Array])[];

  constructor(tables: Tables, nodesBefore: readonly (readonly [id: string, info: Uint8Array])[]) {
    super();
    this.#tables = tables;
    this.#nodes = [...nodesBefore, ...rowsOf(tables, NODES_INFO.name)];
  }

  override latestLedgerSecretSeqno(): number {
    return parsed(rowsOf(this.#tables, NODES_INFO.name)[0]![1]).ledger_secret_seqno;
  }

  override endorsedCertificate(requestPem: string): string {
    const [node] = this.#nodes.find(([, info]) => parsed(info).certificate_signing_request === requestPem)!;
    return fromUtf8(rowsOf(this.#tables, NODES_ENDORSED_CERTIFICATES.name).find(([id]) => id === node)![1]);
  }

  override serviceCertificate(): string {
    return parsed(rowsOf(this.#tables, SERVICE_INFO.name)[0]![1]).cert;
  }
}

/** What the constitution wrote in a transaction, as far as the tables tell. */
function writtenByConstitution(
  tables: Tables,
  ours: Tables,
  id: string,
): Record<string, Record<string, string | null>> {
  const oursToo = new Set(ours.map(({ name }) => name));
  const written = tables.filter(({ name }) =>
    name.startsWith("public:ccf.gov.") && (oursToo.has(name) || !ALSO_WRITTEN_BY_NODES.includes(name))
  ).map((table) =>
    table.name === PROPOSALS_INFO.name
      ? { ...table, writes: table.writes.filter(([key]) => key !== id), removes: [] }
      : table
  );
  return readable(written.filter(({ writes, removes }) => writes.length + removes.length > 0));
}

for (const [service, expected] of LEDGERS) {
  teamTest(`apply() writes what CCF's constitution wrote: ${service}`, () => {
    const world = new ConstitutionWorld(ourText("constitution"));
    let compared = 0;
    const different: string[] = [];
    for (const bytes of readEntries(ledgerDirectory(service))) {
      const tables = LedgerEntry.parse(bytes).publicTables().filter(({ name }) =>
        name.startsWith("public:ccf.gov.") || name === "public:ccf.internal.signatures"
      );
      const id = acceptedId(tables);
      const proposal = id === undefined ? undefined : textOf(world, tables, id);
      if (proposal !== undefined) {
        try {
          compare(world, tables, proposal);
        } catch (error) {
          if (OLDER[service] === undefined) throw error;
          different.push(JSON.parse(proposal[1]).actions.map(({ name }: { name: string }) => name).join(", "));
        }
        compared++;
      }
      world.write(tables);
    }
    assert.equal(compared, expected);
    assert.deepEqual(different, OLDER[service] ?? []);
  });
}

/** A proposal that is accepted at once is stored by the same transaction. */
function textOf(world: ConstitutionWorld, tables: Tables, id: string): Proposal | undefined {
  const text = [...rowsOf(tables, PROPOSALS.name), ...world.rows(PROPOSALS.name)].find(([key]) => key === id)?.[1];
  return text === undefined ? undefined : [id, fromUtf8(text)];
}

function compare(world: ConstitutionWorld, tables: Tables, [id, text]: Proposal): void {
  const { valid, description } = world.validate(text);
  assert.ok(valid, `${text.slice(0, 200)}: ${description}`);
  close(world, tables, id);
  const ours = world.apply(text, id, new RecordedEffects(tables, world.rows(NODES_INFO.name)));
  assert.deepEqual(readable(ours), writtenByConstitution(tables, ours, id), text.slice(0, 200));
}
