/**
 * HTTP exchanges recorded from a real CCF node, and a node of ours in the place of that one.
 *
 * In: `ccf/transcripts` of the team folder. Out: its lines; an inline node with the same members, clock and seqnos, so
 * that even transaction IDs can be compared. What its members signed is signed again where it names what is called
 * otherwise here: proposals, and digests of the ledger. What makes a line agree is in `transcripts_comparison.ts`.
 */

import { strict as assert } from "node:assert";
import { FormatError } from "../shared/assert.ts";
import { equalBytes, fromHex, fromUtf8Lenient, toUtf8 } from "../shared/bytes.ts";
import { encodeCbor } from "../shared/crypto/cbor.ts";
import {
  type CoseSign1,
  serialiseCoseSign1,
  toBeSigned,
  verifyCoseSign1,
  withSignature,
} from "../shared/crypto/cose.ts";
import { parseGovernanceRequest } from "../shared/crypto/cose_headers.ts";
import { ecdsaSign, parseEcPrivateKey } from "../shared/crypto/ecdsa.ts";
import { parsePemBlock } from "../shared/crypto/pem.ts";
import { noblePrimitives } from "../shared/crypto/primitives.ts";
import { CONSTITUTION, NODES_ENDORSED_CERTIFICATES, NODES_INFO, SERVICE_INFO } from "../shared/governance/tables.ts";
import { SINGLETON_KEY } from "../shared/kv/codecs.ts";
import type { TableWrites } from "../shared/kv/write_set.ts";
import { parseChunk } from "../shared/ledger/chunk.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import { parseJsonBytes } from "../shared/json.ts";
import type { HttpResponse, StartConfig, StartMember } from "../enclave/messages.ts";
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

const MEMBERS = ["member0", "member1", "member2", "member3"];

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
  readonly #learnt = new Map<string, string>();
  readonly #signers = MEMBERS.map((name) => ({
    key: parseEcPrivateKey(parsePemBlock(readCommon(`${name}_privk.pem`), "PRIVATE KEY")),
  }));

  constructor(powers: EnclavePowers) {
    this.node = InlineNode.start(powers, this.#startConfig(), START_MS);
    this.node.send({ kind: "metrics", ...RECORDED_METRICS });
    assert.equal(this.node.entries.length, 2, "a service begins with its genesis and a signature");
  }

  /** Everything up to here is in the ledger. */
  get version(): number {
    return this.node.entries.length;
  }

  /** Asks what the recorded node was asked. */
  ask(exchange: Exchange): HttpResponse {
    const [method, recordedTarget] = methodAndTarget(exchange);
    const target = translated(recordedTarget, this.translation);
    const { client, request } = exchange;
    const certificate = client === null ? {} : { certificate: this.#certificate(client) };
    const body = this.#signedAgain(bodyOf(request));
    const ask = () => this.node.request({ method, target, headers: request.headers, body, ...certificate });
    let response = ask();
    if (response.status === 202 && exchange.response.status !== 202) {
      // The recorded client came again until the node had read its ledger.
      this.node.deliverReads();
      response = ask();
    }
    this.#learn(exchange, response);
    return response;
  }

  /** Notes what a new proposal, or the digest of the ledger, is called here. */
  #learn({ response: recorded }: Exchange, ours: HttpResponse): void {
    if (recorded.status !== 200 || ours.status !== 200 || recorded.body?.startsWith("{") !== true) return;
    const theirs = JSON.parse(recorded.body), here = JSON.parse(fromUtf8Lenient(ours.body));
    for (const name of ["proposalId", "stateDigest"]) {
      if (typeof theirs[name] === "string" && typeof here[name] === "string") {
        this.#learnt.set(theirs[name], here[name]);
      }
    }
  }

  /** A member's request as it would have been made here; anything else as it is, and what was spoilt on purpose, too. */
  #signedAgain(body: Uint8Array): Uint8Array {
    let message: CoseSign1;
    try {
      message = parseGovernanceRequest(body).message;
    } catch (error) {
      if (error instanceof FormatError) return body;
      throw error;
    }
    const signer = this.#signers.find(({ key }) => verifyCoseSign1(noblePrimitives, key.publicKey, message));
    if (signer === undefined) return body;
    const { translation } = this;
    const header = new Map(message.protectedHeader);
    for (const [label, value] of header) {
      if (label === "ccf.gov.msg.proposal_id") header.set(label, translated(value as string, translation));
    }
    const payload = toUtf8(translated(fromUtf8Lenient(message.payload!), translation));
    const protectedBytes = encodeCbor(header);
    if (equalBytes(protectedBytes, message.protectedBytes) && equalBytes(payload, message.payload!)) return body;
    const signature = ecdsaSign(signer.key, toBeSigned(protectedBytes, payload));
    return serialiseCoseSign1(withSignature(protectedBytes, payload, signature));
  }

  /** What is called otherwise here. */
  get translation(): Translation {
    const genesis = this.recorded.get(1);
    const nodeId = genesis!.find(({ name }) => name === NODES_INFO.name)!.writes[0]![0];
    const service = parseJsonBytes(recordedValue(genesis, SERVICE_INFO.name)) as { cert: string };
    const certificates = NODES_ENDORSED_CERTIFICATES;
    const snapshot = [...this.node.snapshots][0];
    const names: [theirs: string, ours: string][] = [
      [nodeId, this.node.nodeId],
      [service.cert, this.node.servicePem],
      [certificates.value.decode(recordedValue(genesis, certificates.name)), this.node.enclave.node!.endorsedPem],
      ...(snapshot === undefined ? [] : renamedSnapshot(...snapshot)),
      ...this.#learnt,
    ];
    // Inside JSON that is inside something else, the lines of a certificate end otherwise.
    const inJson = (text: string) => JSON.stringify(text).slice(1, -1);
    return new Map([...names, ...names.map(([theirs, ours]) => [inJson(theirs), inJson(ours)] as const)]);
  }

  sign(): void {
    this.node.advance(SIGNATURE_DELAY_MS);
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
        members: MEMBERS.map((name) => this.#member(name)),
        coseSignatures: { issuer: "service.example.com", subject: "ledger.signature" },
      },
      platform: { kind: "virtual", hostData },
      signatures: { txCount: 5000, delayMs: SIGNATURE_DELAY_MS },
      chunkBytes: 5 * 1024 * 1024,
      snapshotTxCount: 10_000,
      consensus: { messageTimeoutMs: 100, electionTimeoutMs: 5000, maxUncommittedTransactions: 10_000 },
      nodeToNodeMessageLimit: 23_726_566,
      logLevel: "info",
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
