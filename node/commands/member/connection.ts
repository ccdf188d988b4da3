/**
 * Governance requests to one node, and what it answers.
 *
 * In: targets and bodies. Out: answers, read as far as commands need them. Follows a node that names another one.
 * Knows nothing of keys, nor of what is shown to whom.
 * Format: http-api.md §4.3 and §7
 */

import { FormatError } from "../../../shared/assert.ts";
import { fromUtf8Lenient } from "../../../shared/bytes.ts";
import {
  COSE_CONTENT_TYPE,
  GOVERNANCE_API_VERSION,
  type ReadRequest,
  type SignedMemberRequest,
} from "../../../shared/governance/member_request.ts";
import { parseJsonBytes } from "../../../shared/json.ts";
import {
  anything,
  boolean,
  listOf,
  object,
  type Of,
  oneOf,
  recordOf,
  type Shape,
  text,
  unsigned,
} from "../../../shared/json_shape.ts";
import {
  MAX_COMMIT_QUESTIONS,
  MAX_MEMBER_ANSWER_BYTES,
  MAX_MEMBER_ANSWER_MS,
  MAX_NODE_REDIRECTS,
} from "../../../shared/limits.ts";
import { exchangeOnce, makeClient, Unreachable } from "../node_client.ts";
import { UsageError } from "../exit.ts";

export interface NodeAnswer {
  readonly status: number;
  readonly body: Uint8Array;
  /** The transaction that was written, or as of which the answer holds. */
  readonly txId: string | undefined;
  /** What the node takes for the time, if it says so. */
  readonly dateMs: number | undefined;
}

/** A way to a node; tests have another one. */
export interface NodeConnection {
  /** @throws Unreachable */
  exchange(method: "GET" | "POST", target: string, body?: Uint8Array): Promise<NodeAnswer>;
  close(): void;
}

/** The node did not do as it was asked. */
export class Refusal extends Error {
  override name = "Refusal";
  /** What was signed, where the refusal answers a signed request. */
  asked: ReadRequest | undefined;

  /** @param code of the error, e.g. "ProposalNotOpen"; empty where the answer names none */
  constructor(
    readonly answer: NodeAnswer,
    readonly code: string,
    message: string,
    /** What the authentication policies said. */
    readonly reasons: readonly string[],
  ) {
    super(message);
  }
}

const PROPOSAL_STATES = ["Open", "Accepted", "Rejected", "Withdrawn", "Failed", "Dropped"] as const;

const PROPOSAL = object({
  proposalId: text,
  proposerId: text,
  proposalState: oneOf(...PROPOSAL_STATES),
  ballotCount: unsigned,
}, {
  finalVotes: recordOf(boolean),
  voteFailures: recordOf(object({ reason: text }, { trace: text })),
});
export type Proposal = Of<typeof PROPOSAL>;

const MEMBER = object({ memberId: text, status: text }, {
  certificate: text,
  memberData: anything,
  publicEncryptionKey: text,
});
export type Member = Of<typeof MEMBER>;

const PROPOSALS = object({ value: listOf(PROPOSAL) });
const MEMBERS = object({ value: listOf(MEMBER) });
const SERVICE = object({ status: text });
const STATE_DIGEST = object({ stateDigest: text });
const SHARE = object({ encryptedShare: text });
const TRANSACTION = object({ status: text });
const ERROR = object({
  error: object({ code: text, message: text }, { details: listOf(object({}, { message: text })) }),
});

/** What was read, and the transaction as of which it holds. */
export interface AsOf<T> {
  readonly value: T;
  readonly txId: string | undefined;
}

/** @param nodeUrl scheme, host and port @throws UsageError */
export function connectTo(nodeUrl: string, serviceCert: string): NodeConnection {
  const origin = originOf(nodeUrl);
  const client = makeClient({ serviceCert });
  return {
    exchange: (method, target, body) => exchange(new URL(target, origin).href, client, method, body),
    close: () => client.close(),
  };
}

function originOf(nodeUrl: string): string {
  const url = URL.parse(nodeUrl);
  if (url === null || url.protocol !== "https:" || url.pathname !== "/" || url.search !== "" || url.username !== "") {
    throw new UsageError(
      `Cannot ask the node ${JSON.stringify(nodeUrl)}: --node must look like "https://127.0.0.1:8000"`,
    );
  }
  return url.origin;
}

/** A node that is not the primary may name another one; the same service's certificate is asked of that too. */
async function exchange(
  firstUrl: string,
  client: Deno.HttpClient,
  method: string,
  body: Uint8Array | undefined,
): Promise<NodeAnswer> {
  let url = firstUrl;
  for (let redirects = 0;; redirects++) {
    const answer = await exchangeOnce(url, {
      client,
      method,
      redirect: "manual",
      signal: AbortSignal.timeout(MAX_MEMBER_ANSWER_MS),
      ...(body !== undefined && {
        body: body as Uint8Array<ArrayBuffer>,
        headers: { "content-type": COSE_CONTENT_TYPE },
      }),
    }, MAX_MEMBER_ANSWER_BYTES);
    const { status, headers } = answer.response;
    const location = headers.get("location");
    if ((status !== 307 && status !== 308) || location === null) {
      const date = Date.parse(headers.get("date") ?? "");
      return {
        status,
        body: answer.body,
        txId: headers.get("x-ms-ccf-transaction-id") ?? undefined,
        dateMs: Number.isNaN(date) ? undefined : date,
      };
    }
    const next = URL.parse(location, url);
    if (next === null || next.protocol !== "https:" || redirects === MAX_NODE_REDIRECTS) {
      throw new Unreachable(`Cannot reach ${firstUrl}: nodes name each other and none answers, the last ${location}`);
    }
    url = next.href;
  }
}

/** Questions to a service, and members' requests. Every method throws Refusal, Unreachable, or FormatError for an answer that is none. */
export class GovernanceClient {
  readonly #connection: NodeConnection;

  constructor(connection: NodeConnection) {
    this.#connection = connection;
  }

  proposals(): Promise<AsOf<readonly Proposal[]>> {
    return this.#list("/members/proposals", PROPOSALS);
  }

  proposal(id: string): Promise<AsOf<Proposal>> {
    return this.#get(`/members/proposals/${id}`, PROPOSAL);
  }

  /** As it was proposed, byte for byte. */
  async actions(id: string): Promise<Uint8Array> {
    return (await this.#read(`/members/proposals/${id}/actions`)).body;
  }

  /** undefined where the member has not voted. */
  async ballot(proposalId: string, memberId: string): Promise<string | undefined> {
    try {
      return fromUtf8Lenient((await this.#read(`/members/proposals/${proposalId}/ballots/${memberId}`)).body);
    } catch (error) {
      if (error instanceof Refusal && error.code === "VoteNotFound") return undefined;
      throw error;
    }
  }

  members(): Promise<AsOf<readonly Member[]>> {
    return this.#list("/service/members", MEMBERS);
  }

  async serviceStatus(): Promise<string> {
    return (await this.#get("/service/info", SERVICE)).value.status;
  }

  /** What the member is to acknowledge, hex; empty before there was a signature. */
  async stateDigest(memberId: string): Promise<string> {
    return (await this.#get(`/members/state-digests/${memberId}`, STATE_DIGEST)).value.stateDigest;
  }

  /** The member's share, encrypted to its key, base64. */
  async encryptedShare(memberId: string): Promise<string> {
    return (await this.#get(`/recovery/encrypted-shares/${memberId}`, SHARE)).value.encryptedShare;
  }

  async send({ method, target, body }: SignedMemberRequest): Promise<NodeAnswer> {
    return accepted(await this.#connection.exchange(method, target, body));
  }

  /**
   * Waits until a transaction is final.
   *
   * @returns "Committed", "Invalid", or the last status that was heard
   */
  async outcomeOf(txId: string, wait: () => Promise<void>): Promise<string> {
    for (let asked = 1;; asked++) {
      const { status } = (await this.#get(`/service/transactions/${txId}`, TRANSACTION)).value;
      if (status === "Committed" || status === "Invalid" || asked === MAX_COMMIT_QUESTIONS) return status;
      await wait();
    }
  }

  close(): void {
    this.#connection.close();
  }

  async #list<T>(path: string, shape: Shape<{ readonly value: T }>): Promise<AsOf<T>> {
    const { value: { value }, txId } = await this.#get(path, shape);
    return { value, txId };
  }

  async #get<T>(path: string, shape: Shape<T>): Promise<AsOf<T>> {
    const { body, txId } = await this.#read(path);
    return { value: shapedAnswer(body, shape), txId };
  }

  async #read(path: string): Promise<NodeAnswer> {
    const target = `/gov${path}?api-version=${GOVERNANCE_API_VERSION}`;
    return accepted(await this.#connection.exchange("GET", target));
  }
}

/** Of an answer to a proposal, ballot or withdrawal. @throws FormatError */
export function proposalIn({ body }: NodeAnswer): Proposal {
  return shapedAnswer(body, PROPOSAL);
}

/** Of an answer to a request for a state digest. @throws FormatError */
export function stateDigestIn({ body }: NodeAnswer): string {
  return shapedAnswer(body, STATE_DIGEST).stateDigest;
}

function shapedAnswer<T>(body: Uint8Array, shape: Shape<T>): T {
  try {
    return shape(parseJsonBytes(body), "");
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError(`Cannot read what the node answers: ${error.message}`);
  }
}

/** @throws Refusal */
function accepted(answer: NodeAnswer): NodeAnswer {
  if (answer.status >= 200 && answer.status < 300) return answer;
  let parsed: Of<typeof ERROR>;
  try {
    parsed = ERROR(parseJsonBytes(answer.body), "");
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new Refusal(answer, "", fromUtf8Lenient(answer.body).slice(0, 1000), []);
  }
  const { code, message, details = [] } = parsed.error;
  throw new Refusal(answer, code, message, details.flatMap(({ message }) => message ?? []));
}
