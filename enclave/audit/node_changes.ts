/**
 * Changes to governance tables that no member asked for: those that nodes make themselves, and what they look like.
 *
 * In: the public tables of an entry without a member's request, tables before it. Out: sentences about what no node does
 * by itself; none where all is explained.
 * Knows nothing of requests. Rules: ledger-and-receipts.md §10.2, §10.4; nodes-and-attestation.md; governance.md §5, §6
 *
 * What nodes do: start a service (its first transaction); take part in the recovery of one, from its first transaction to
 * its opening; register a joining node, complete the retirement of one and forget it; fetch keys of token issuers that
 * members have set to be refreshed; hand a member the state digest to acknowledge.
 */

import { equalBytes, fromByteString, fromUtf8Lenient } from "../../shared/bytes.ts";
import { parseJsonBytes, stableJson } from "../../shared/json.ts";
import { object, text } from "../../shared/json_shape.ts";
import {
  DCAP_TCB_STATUSES,
  JWT_ISSUERS,
  JWT_PUBLIC_SIGNING_KEY_ISSUER,
  JWT_PUBLIC_SIGNING_KEYS,
  JWT_PUBLIC_SIGNING_KEYS_METADATA,
  JWT_PUBLIC_SIGNING_KEYS_METADATA_V2,
  MEMBERS_ACKS,
  NODES_CODE_IDS,
  NODES_ENDORSED_CERTIFICATES,
  NODES_INFO,
  PREVIOUS_SERVICE_IDENTITY_ENDORSEMENT,
  RECOVERY_SHARES,
  SELF_HEALING_OPEN_CHOSEN_NODE,
  SERVICE_INFO,
  SERVICE_PREVIOUS_IDENTITY,
  SGX_MEASUREMENTS,
  SIGNATURES,
  SNP_HOST_DATA,
  SNP_MEASUREMENTS,
  SNP_TCB_VERSIONS,
  SNP_UVM_ENDORSEMENTS,
  TDX_HOST_DATA,
  TDX_MEASUREMENTS,
  VIRTUAL_HOST_DATA,
  VIRTUAL_MEASUREMENTS,
} from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import type { TableWrites } from "../../shared/kv/write_set.ts";

const GOVERNANCE = "public:ccf.gov.";
const SELF_HEALING = "public:ccf.gov.self_healing_open.";

/** What the first transaction of a recovered service sets besides its status: its own node, and which code may join. */
const RECOVERY_START: ReadonlySet<string> = new Set(
  [
    NODES_INFO,
    NODES_ENDORSED_CERTIFICATES,
    NODES_CODE_IDS,
    VIRTUAL_HOST_DATA,
    VIRTUAL_MEASUREMENTS,
    SNP_HOST_DATA,
    SNP_MEASUREMENTS,
    SNP_UVM_ENDORSEMENTS,
    SNP_TCB_VERSIONS,
    SGX_MEASUREMENTS,
    TDX_HOST_DATA,
    TDX_MEASUREMENTS,
    DCAP_TCB_STATUSES,
    SERVICE_INFO,
    SERVICE_PREVIOUS_IDENTITY,
  ].map(({ name }) => name),
);

const JWT_KEYS: ReadonlySet<string> = new Set(
  [
    JWT_PUBLIC_SIGNING_KEYS,
    JWT_PUBLIC_SIGNING_KEY_ISSUER,
    JWT_PUBLIC_SIGNING_KEYS_METADATA,
    JWT_PUBLIC_SIGNING_KEYS_METADATA_V2,
  ].map(({ name }) => name),
);

type Tables = readonly TableWrites[];

/** Whether an entry changes what members govern, or who can recover the ledger. */
export function concernsGovernance(tables: Tables): boolean {
  return tables.some(({ name }) => name.startsWith(GOVERNANCE) || name === RECOVERY_SHARES.name);
}

/**
 * What of an entry's changes no node makes by itself.
 *
 * @param before tables before the entry
 * @throws FormatError where a table that matters here cannot be read
 */
export function unexplainedChanges(before: Transaction, tables: Tables): string[] {
  if (before.readVersion === 0) return []; // the first transaction of a ledger: it is what all else rests on
  const service = before.open(SERVICE_INFO).get();
  if (service === undefined) return ["tables change though the ledger has no record of the service"];
  const next = valueOf(tables, SERVICE_INFO.name);
  const becomes = next === undefined ? undefined : SERVICE_INFO.value.decode(next);
  const startsRecovery = becomes?.status === "Recovering" && becomes.cert !== service.cert ||
    // Before 4.0 a service that was recovered began as Opening.
    becomes?.status === "Opening" && becomes.cert !== service.cert && has(tables, SERVICE_PREVIOUS_IDENTITY.name);
  const problems: string[] = [];
  for (const table of tables) {
    const { name } = table;
    if (startsRecovery && RECOVERY_START.has(name)) continue;
    if (name === SERVICE_INFO.name) problems.push(...serviceProblems(before, service.status, becomes?.status));
    else if (name === RECOVERY_SHARES.name) {
      // Quirk: a service may seal its secret a second time after a recovery; it endorses its predecessor again then.
      const isOpening = becomes?.status === "Open" || has(tables, PREVIOUS_SERVICE_IDENTITY_ENDORSEMENT.name);
      if (!isOpening) problems.push("recovery shares are issued anew");
    } else if (name === NODES_INFO.name) problems.push(...nodeProblems(before, table, service.status === "Open"));
    else if (name === NODES_ENDORSED_CERTIFICATES.name) problems.push(...certificateProblems(table, tables));
    else if (name === MEMBERS_ACKS.name) problems.push(...digestProblems(before, table));
    else if (JWT_KEYS.has(name)) problems.push(...keyProblems(before, table));
    else if (name.startsWith(SELF_HEALING)) {
      if (service.status === "Open") problems.push(`table ${name} changes while the service is open`);
    } else if (name.startsWith(GOVERNANCE)) problems.push(`table ${name} changes`);
  }
  return problems;
}

function serviceProblems(before: Transaction, from: string, to: string | undefined): string[] {
  if (to === undefined) return ["the service's record is removed"];
  if (from === "WaitingForRecoveryShares" && to === "Open") return [];
  // Nodes that recover without members open the service themselves, once they have chosen who does.
  if (from === "Recovering" && before.open(SELF_HEALING_OPEN_CHOSEN_NODE).has()) return [];
  return [`the service, which was ${from}, is ${to}`];
}

const NODE = object({ status: text });

function nodeProblems(before: Transaction, { writes, removes }: TableWrites, isOpen: boolean): string[] {
  const problems: string[] = [];
  const table = before.openRaw(NODES_INFO.name);
  const idOf = (key: string) => fromUtf8Lenient(fromByteString(key));
  for (const [key, value] of writes) {
    const known = table.get(key);
    const { status } = NODE(parseJsonBytes(value), "");
    if (known === undefined) {
      if (status === "Pending" || (status === "Trusted" && !isOpen)) continue;
      problems.push(`node ${idOf(key)} joins as ${status}`);
    } else if (!onlyRetirementCompletes(known, value)) {
      const was = NODE(parseJsonBytes(known), "").status;
      problems.push(
        was === status
          ? `the record of node ${idOf(key)} changes`
          : `node ${idOf(key)}, which was ${was}, is ${status}`,
      );
    }
  }
  for (const key of removes) {
    const known = table.get(key);
    const status = known === undefined ? "unknown" : NODE(parseJsonBytes(known), "").status;
    if (status === "Trusted") problems.push(`node ${idOf(key)} is removed though it is Trusted`);
  }
  return problems;
}

/** Whether nothing changes but that a retired node's retirement is committed. Scripts order JSON otherwise than nodes. */
function onlyRetirementCompletes(known: Uint8Array, value: Uint8Array): boolean {
  if (NODE(parseJsonBytes(known), "").status !== "Retired") return false;
  const without = (bytes: Uint8Array) => stableJson({ ...(parseJsonBytes(bytes) as object), retired_committed: true });
  return without(known) === without(value);
}

/** A node gets its certificate when it is trusted, and loses it with its record. */
function certificateProblems({ writes, removes }: TableWrites, tables: Tables): string[] {
  const nodes = tables.find(({ name }) => name === NODES_INFO.name);
  const joins = new Set(nodes?.writes.map(([key]) => key));
  const leaves = new Set(nodes?.removes);
  return [
    ...writes.filter(([key]) => !joins.has(key)).map(([key]) => `node ${key} gets another certificate`),
    ...removes.filter((key) => !leaves.has(key)).map((key) => `node ${key} loses its certificate`),
  ];
}

/** The digest to acknowledge is the newest signed root; a request that was signed with it stays as it is. */
function digestProblems(before: Transaction, { writes, removes }: TableWrites): string[] {
  const problems = removes.map((member) => `member ${member} has nothing to acknowledge any more`);
  const root = before.open(SIGNATURES).get()?.root;
  for (const [key, value] of writes) {
    const member = MEMBERS_ACKS.key.decode(key);
    const known = before.open(MEMBERS_ACKS).get(member);
    const expected = MEMBERS_ACKS.value.encode({ ...known, state_digest: root ?? "" });
    if (!equalBytes(expected, value)) {
      problems.push(`member ${member} is given another state digest than the newest signed root, ${root ?? "none"}`);
    }
  }
  return problems;
}

/** Keys are fetched for issuers that members have set to be refreshed; whose they are is in another table before 3.0. */
function keyProblems(before: Transaction, { name, writes, removes }: TableWrites): string[] {
  const refreshed = new Set<string>();
  for (const [issuer, { auto_refresh }] of before.open(JWT_ISSUERS).entries()) if (auto_refresh) refreshed.add(issuer);
  if (refreshed.size === 0) return ["keys of token issuers change though none is set to be refreshed"];
  if (name !== JWT_PUBLIC_SIGNING_KEYS_METADATA_V2.name) return [];
  const table = before.openRaw(name);
  const others = (bytes: Uint8Array | undefined) => {
    const keys = bytes === undefined ? [] : JWT_PUBLIC_SIGNING_KEYS_METADATA_V2.value.decode(bytes);
    return stableJson(keys.filter(({ issuer }) => !refreshed.has(issuer)));
  };
  const changes: readonly (readonly [key: string, value: Uint8Array | undefined])[] = [
    ...writes,
    ...removes.map((key) => [key, undefined] as const),
  ];
  return changes.filter(([key, value]) => others(table.get(key)) !== others(value)).map(([key]) =>
    `key ${
      JSON.stringify(JWT_PUBLIC_SIGNING_KEYS_METADATA_V2.key.decode(key))
    } changes for an issuer that is not set to be refreshed`
  );
}

function has(tables: Tables, wanted: string): boolean {
  return tables.some(({ name }) => name === wanted);
}

function valueOf(tables: Tables, wanted: string): Uint8Array | undefined {
  return tables.find(({ name }) => name === wanted)?.writes[0]?.[1];
}
