/**
 * HTTP exchanges recorded from a real CCF node, and a node of ours in the place of that one.
 *
 * In: `ccf/transcripts` of the team folder. Out: its lines; an inline node with the same members, users, app, clock and
 * seqnos, so that even transaction IDs can be compared. What makes a line agree is in `transcripts_comparison.ts`.
 */

import { strict as assert } from "node:assert";
import { fromHex, toUtf8 } from "../shared/bytes.ts";
import { parsePemBlock } from "../shared/crypto/pem.ts";
import {
  CONSTITUTION,
  MEMBERS_ACKS,
  MEMBERS_INFO,
  NODES_ENDORSED_CERTIFICATES,
  NODES_INFO,
  PROPOSALS,
  SERVICE_INFO,
} from "../shared/governance/tables.ts";
import { SINGLETON_KEY } from "../shared/kv/codecs.ts";
import type { TableWrites } from "../shared/kv/write_set.ts";
import { parseChunk } from "../shared/ledger/chunk.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import { parseJsonBytes } from "../shared/json.ts";
import type { AppBundle, HttpResponse, ServiceOpening, StartConfig, StartMember } from "../enclave/messages.ts";
import type { EnclavePowers } from "../enclave/powers.ts";
import { InlineNode } from "./inline_node.ts";
import { statSyncOrUndefined } from "./paths.ts";
import { teamData } from "./team_data.ts";

/** Text that stands for the same thing in the recorded service and in ours. */
export type Translation = ReadonlyMap<string, string>;

export function translated(text: string, translation: Translation): string {
  for (const [theirs, ours] of translation) text = text.replaceAll(theirs, ours);
  return text;
}

interface RecordedBody {
  readonly body?: string;
  readonly bodyHex?: string;
  readonly bodySha256?: string;
  readonly bodyLength?: number;
}

/** One line of a transcript. */
export interface Exchange {
  readonly client: string | null;
  readonly note?: string;
  readonly request: RecordedBody & { readonly line: string; readonly headers: [string, string][] };
  readonly response: RecordedBody & { readonly status: number; readonly headers: [string, string][] };
}

/** When the recorded service started, as its certificate says. */
const START_MS = Date.UTC(2026, 10, 22, 9, 6, 26);
/** Long enough for whatever is unsigned to be signed. */
const SIGNATURE_DELAY_MS = 1000;

/** The recorded transactions by which members opened the service, without the signature between them. */
const OPENING_SEQNOS = [3, 4, 5, 6, 8, 9, 10, 11, 12];
/** The first seqno that belongs to a user. */
const FIRST_USER_SEQNO = 15;

/** What the recorded host had counted. Another order of members, so that ours is put right. */
const RECORDED_METRICS = {
  sessions: {
    active: 1,
    peak: 1,
    interfaces: {
      primary_rpc_interface: {
        active: 1,
        peak: 1,
        soft_cap: 1000,
        hard_cap: 1010,
        errors: { parsing: 0, request_payload_too_large: 0, request_header_too_large: 0 },
      },
    },
  },
  heapBytes: { current: 1, peak: 2, max: 3 },
};

/** @param name of the file, without `.jsonl` */
export function readTranscript(name: string): Exchange[] {
  const lines = Deno.readTextFileSync(teamData(`ccf/transcripts/${name}.jsonl`)).trim().split("\n");
  return lines.map((line) => JSON.parse(line));
}

function bodyOf({ body, bodyHex }: RecordedBody): Uint8Array {
  assert(body !== undefined || bodyHex !== undefined, "requests are recorded whole");
  return bodyHex === undefined ? toUtf8(body!) : fromHex(bodyHex);
}

/** `GET`, `/node/state` of a recorded request line. */
export function methodAndTarget({ request }: Exchange): [method: string, target: string] {
  const [method, target] = request.line.split(" ");
  return [method!, target!];
}

/** The seqno at which a recorded answer was given, where it says so: in its header, or as the last committed one. */
export function seqnoOf({ headers, body }: Exchange["response"]): number | undefined {
  const id = headers.find(([name]) => name === "x-ms-ccf-transaction-id")?.[1] ??
    /^\{"transaction_id":"(2\.\d+)"/.exec(body ?? "")?.[1];
  return id === undefined ? undefined : Number(id.split(".")[1]);
}

export function readCommon(file: string): string {
  return Deno.readTextFileSync(teamData(`ccf/transcripts/common/${file}`));
}

/** Public tables that the recorded node wrote, by seqno. */
export function readRecordedTables(): Map<number, readonly TableWrites[]> {
  const tables = new Map<number, readonly TableWrites[]>();
  for (const file of ["ledger_1-13.committed", "ledger_14"]) {
    const { content } = parseChunk(Deno.readFileSync(teamData(`ccf/transcripts/ledger/${file}`)));
    for (const { bytes } of content) {
      const entry = LedgerEntry.parse(bytes);
      tables.set(entry.seqno, entry.publicTables());
    }
  }
  return tables;
}

/** The value of a singleton, or of the only key, of a recorded transaction. */
export function recordedValue(tables: readonly TableWrites[] | undefined, name: string): Uint8Array {
  const writes = tables?.find((table) => table.name === name)?.writes;
  const value = writes?.find(([key]) => key === SINGLETON_KEY)?.[1] ?? writes?.[0]?.[1];
  assert(value !== undefined, `the recorded ledger has table ${name}`);
  return value;
}

/** The recorded snapshot is another state's; its size shows in ranges. */
function renamedSnapshot(name: string, { length }: Uint8Array): [theirs: string, ours: string][] {
  const recordedBytes = 106_824;
  return [
    ["snapshot_13_14.committed", name],
    [String(recordedBytes), String(length)],
    [String(recordedBytes - 10), String(length - 10)],
  ];
}

/** A node of ours that is asked what the recorded one was asked. */
export class TranscriptNode {
  readonly recorded = readRecordedTables();
  readonly node: InlineNode;
  readonly #certificates = new Map<string, Uint8Array>();

  constructor(powers: EnclavePowers) {
    this.node = InlineNode.start(powers, this.#startConfig(), START_MS);
    this.node.send({ kind: "metrics", ...RECORDED_METRICS });
    assert.equal(this.node.entries.length, 2, "a service begins with its genesis and a signature");
  }

  /** Everything up to here is in the ledger. */
  get version(): number {
    return this.node.entries.length;
  }

  /** Opens the service as the recorded members did, in as many transactions. */
  open(): void {
    this.node.send({ kind: "openService", opening: this.opening() });
    assert.equal(this.node.fatal, undefined);
    // Opening did most of what they did; this makes the rest the same: proposals, ballots, keys of token issuers, and who
    // has acknowledged. What names keys of the service stays ours.
    const rest = OPENING_SEQNOS.map((seqno) => this.recorded.get(seqno)!);
    const late = rest.splice(FIRST_USER_SEQNO - 1 - this.version - 1).flat();
    for (const tables of [...rest, late]) {
      this.node.write((tx) => {
        for (const { name, writes, removes } of tables) {
          if (!name.startsWith("public:ccf.gov.") || name === SERVICE_INFO.name || name.includes("quickjs")) continue;
          for (const [key, value] of writes) tx.openRaw(name).put(key, value);
          for (const key of removes) tx.openRaw(name).remove(key);
        }
        if (tables === late) this.#restoreBystanders(tx.openRaw(MEMBERS_INFO.name), tx.openRaw(MEMBERS_ACKS.name));
      });
    }
    assert.equal(this.version, FIRST_USER_SEQNO - 1);
  }

  /** Asks what the recorded node was asked. */
  ask(exchange: Exchange): HttpResponse {
    const [method, recordedTarget] = methodAndTarget(exchange);
    const target = translated(recordedTarget, this.translation);
    const { client, request } = exchange;
    const certificate = client === null ? {} : { certificate: this.#certificate(client) };
    const ask = () =>
      this.node.request({ method, target, headers: request.headers, body: bodyOf(request), ...certificate });
    const response = ask();
    if (response.status !== 202 || exchange.response.status === 202) return response;
    // The recorded client came again until the node had read its ledger.
    this.node.deliverReads();
    return ask();
  }

  /** What is called otherwise here. */
  get translation(): Translation {
    const genesis = this.recorded.get(1);
    const nodeId = genesis!.find(({ name }) => name === NODES_INFO.name)!.writes[0]![0];
    const service = parseJsonBytes(recordedValue(genesis, SERVICE_INFO.name)) as { cert: string };
    const certificates = NODES_ENDORSED_CERTIFICATES;
    const snapshot = [...this.node.snapshots][0];
    return new Map([
      [nodeId, this.node.nodeId],
      [service.cert, this.node.servicePem],
      [certificates.value.decode(recordedValue(genesis, certificates.name)), this.node.enclave.node!.endorsedPem],
      ...(snapshot === undefined ? [] : renamedSnapshot(...snapshot)),
    ]);
  }

  sign(): void {
    this.node.advance(SIGNATURE_DELAY_MS);
  }

  /** What the accepted proposals said. */
  opening(): ServiceOpening {
    const proposal = parseJsonBytes(recordedValue(this.recorded.get(10), PROPOSALS.name)) as {
      readonly actions: readonly { readonly name: string; readonly args: Record<string, unknown> }[];
    };
    const argsOf = (name: string) => proposal.actions.filter((action) => action.name === name).map(({ args }) => args);
    return {
      users: argsOf("set_user").map(({ cert, user_data }) => ({
        certificatePem: cert as string,
        ...(user_data !== undefined && user_data !== null && { data: user_data }),
      })),
      app: argsOf("set_js_app")[0]!.bundle as AppBundle,
    };
  }

  /** Members who never acknowledged did nothing in the recorded service. */
  #restoreBystanders(...tables: { readonly name: string; put(key: string, value: Uint8Array): void }[]): void {
    const acted = new Set(
      OPENING_SEQNOS.flatMap((seqno) =>
        this.recorded.get(seqno)!.filter(({ name }) => name === MEMBERS_ACKS.name).flatMap(({ writes }) =>
          writes.map(([key]) => key)
        )
      ),
    );
    for (const table of tables) {
      const genesis = this.recorded.get(1)!.find(({ name }) => name === table.name)!;
      for (const [key, value] of genesis.writes) if (!acted.has(key)) table.put(key, value);
    }
  }

  #startConfig(): StartConfig {
    const genesis = this.recorded.get(1);
    const { recovery_threshold, ...service } = parseJsonBytes(
      recordedValue(genesis, "public:ccf.gov.service.config"),
    ) as {
      recovery_threshold: number;
      maximum_node_certificate_validity_days: number;
      maximum_service_certificate_validity_days: number;
    };
    const info = parseJsonBytes(recordedValue(genesis, "public:ccf.gov.nodes.info")) as {
      rpc_interfaces: StartConfig["rpcInterfaces"];
      node_to_node_interface: StartConfig["nodeToNodeInterface"];
    };
    const hostData = genesis!.find(({ name }) => name === "public:ccf.gov.nodes.virtual.host_data")!.writes[0]![0];
    return {
      nodeToNodeInterface: info.node_to_node_interface,
      rpcInterfaces: info.rpc_interfaces,
      node: {
        subjectName: "CN=CCF Node",
        subjectAltNames: ["iPAddress:127.0.0.1", "dNSName:localhost"],
        curve: "P-384",
        initialValidityDays: 90,
        data: null,
      },
      service: {
        subjectName: "CN=CCF Service",
        initialValidityDays: 90,
        data: null,
        configuration: {
          recoveryThreshold: recovery_threshold,
          maximumNodeCertificateValidityDays: service.maximum_node_certificate_validity_days,
          maximumServiceCertificateValidityDays: service.maximum_service_certificate_validity_days,
        },
        constitution: [CONSTITUTION.value.decode(recordedValue(genesis, CONSTITUTION.name))],
        members: ["member0", "member1", "member2", "member3"].map((name) => this.#member(name)),
        coseSignatures: { issuer: "service.example.com", subject: "ledger.signature" },
      },
      platform: { kind: "virtual", hostData },
      signatures: { txCount: 5000, delayMs: SIGNATURE_DELAY_MS },
      chunkBytes: 5 * 1024 * 1024,
      snapshotTxCount: 10_000,
      maxUncommittedTransactions: 10_000,
      logLevel: "info",
      allowOpenService: true,
    };
  }

  /** The recorded directory has private keys; the public one for recovery shares stands in the ledger. */
  #member(name: string): StartMember {
    const hasKey = statSyncOrUndefined(teamData(`ccf/transcripts/common/${name}_enc_privk.pem`)) !== undefined;
    const certificatePem = readCommon(`${name}_cert.pem`);
    const encryptionKeys = this.recorded.get(1)!.find(({ name }) => name.endsWith("encryption_public_keys"))!;
    const certificates = this.recorded.get(1)!.find(({ name }) => name.endsWith("members.certs"))!;
    const id = certificates.writes.find(([, value]) => new TextDecoder().decode(value) === certificatePem)![0];
    const key = encryptionKeys.writes.find(([member]) => member === id)?.[1];
    assert.equal(key !== undefined, hasKey, "a member's key is in the ledger");
    return {
      certificatePem,
      ...(key !== undefined && { encryptionPublicKeyPem: new TextDecoder().decode(key) }),
      ...(name === "member0" && { data: { n: 0 } }),
    };
  }

  #certificate(client: string): Uint8Array {
    let der = this.#certificates.get(client);
    if (der === undefined) {
      der = parsePemBlock(readCommon(`${client}_cert.pem`), "CERTIFICATE");
      this.#certificates.set(client, der);
    }
    return der;
  }
}
