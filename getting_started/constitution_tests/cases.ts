/**
 * What a case of `suite.ts` is, and the service that all of them start from.
 *
 * Source: governance.md §4.1, and CCF's own constitution as recorded services have it in their tables: it passes every
 * case. Where that text and the specification differ, a case follows the text and says so.
 */

import { ecPrivateKey } from "../../shared/crypto/ecdsa.ts";
import { memberIdOf } from "../../shared/crypto/identifiers.ts";
import { serialiseCertificatePem } from "../../shared/crypto/x509.ts";
import { memberCertificate, signCertificate, validityOfDays } from "../../shared/crypto/x509_build.ts";
import { nameFromConfiguration } from "../../shared/crypto/x509_name.ts";
import { type Call, ONLY_KEY, type Rows } from "./world.ts";

/** One proposal with this action alone, and what it does. */
export interface Effect {
  /** Goes on after the action's name. */
  readonly title: string;
  readonly args?: unknown;
  /** Rows besides those of `SERVICE`, or in place of them; null takes a row away. */
  readonly before?: Rows;
  /** Every row that is written or removed. */
  readonly writes?: Rows;
  /** What is asked of the node. */
  readonly calls?: readonly Call[];
  /** The action passes validation and throws when it is applied. */
  readonly fails?: true;
}

export interface ActionCases {
  /** Arguments that pass validation, besides those of `effects`. */
  readonly accepts?: readonly unknown[];
  /** Arguments that do not; undefined: the action comes without any. */
  readonly refuses: readonly unknown[];
  readonly effects: readonly Effect[];
}

// A service --------------------------------------------------------------------------------------------------------

/** A self-signed certificate, always the same bytes. */
function certificateOf(name: string, scalar: number): { readonly der: Uint8Array; readonly pem: string } {
  const key = ecPrivateKey("P-256", new Uint8Array(32).fill(scalar));
  const subject = nameFromConfiguration(`CN=${name}`);
  const validity = validityOfDays(1_700_000_000_000, 365);
  const fields = memberCertificate({ key: key.publicKey, subject, validity, serial: Uint8Array.of(scalar) });
  const der = signCertificate(fields, key);
  return { der, pem: serialiseCertificatePem(der) };
}

const alice = certificateOf("alice", 1);
export const CERT = alice.pem;
export const OTHER_CERT = certificateOf("authority", 2).pem;
/** The member or user of `CERT`. */
export const ALICE = memberIdOf(alice.der);
export const BOB = "81b637d8fcd2c6da6359e6963113a1170de795e4b725b84d1e0b4cfd9ec58ce9";
export const CAROL = "4c26d9074c27d89ede59270c0ac14b71e071b15239519f75474b2f3ba63481f5";
export const NODE = "d5bce3d4e5bd0a1a1dd5ba4e0a56d0a4d9f67ee7d5bce3d4e5bd0a1a1dd5ba4e";
export const OTHER_NODE = "11".repeat(32);
/** The proposal that is applied, and two others. */
export const PROPOSAL_ID = "77".repeat(32);
const OPEN_PROPOSAL = "88".repeat(32);
const CLOSED_PROPOSAL = "99".repeat(32);

export const only = (value: unknown) => ({ [ONLY_KEY]: value });
/** A JSON text, as a row has it. */
export const json = (value: unknown) => JSON.stringify(value);

export const CONFIGURATION = { maximum_node_certificate_validity_days: 30, recovery_threshold: 1 };

/** What is in the tables before each action. */
export const SERVICE: Rows = {
  "service.info": only({ cert: CERT, status: "Open", recovery_count: 0 }),
  "service.config": only(CONFIGURATION),
  "internal.signatures": only({ seqno: 9, root: "abcd" }),
  "proposals_info": {
    [PROPOSAL_ID]: { proposer_id: BOB, state: "Accepted" },
    [OPEN_PROPOSAL]: { proposer_id: BOB, state: "Open", ballots: {} },
    [CLOSED_PROPOSAL]: { proposer_id: BOB, state: "Withdrawn" },
  },
};

/** Members as rows of several tables; each of `keyHolders` has an encryption key. */
export function members(statuses: Readonly<Record<string, string>>, keyHolders: readonly string[] = []): Rows {
  const rows = (value: (id: string) => unknown) =>
    Object.fromEntries(Object.keys(statuses).map((id) => [id, value(id)]));
  return {
    "members.info": rows((id) => ({ status: statuses[id] })),
    "members.certs": rows(() => CERT),
    "members.acks": rows(() => ({ state_digest: "" })),
    "members.encryption_public_keys": Object.fromEntries(keyHolders.map((id) => [id, "key"])),
  };
}

/** ⊘ in the specification: an action that changes what other open proposals mean. */
export const dropped: Rows = {
  "proposals_info": { [OPEN_PROPOSAL]: { proposer_id: BOB, state: "Dropped", ballots: {} } },
};

export const NOT_IDS = [undefined, 7, "", "ab", `${BOB.slice(1)}g`, `${BOB}00`, ` ${BOB.slice(1)}`];
export const BAD_CERTS = [
  undefined,
  null,
  7,
  {},
  "text",
  "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
];
/** Members that an action does not know are ignored. */
export const EXTRA = { whatever: [1] };

/** Arguments with each of them in turn replaced by something that is no text. */
export const badTexts = (good: Readonly<Record<string, unknown>>) =>
  Object.keys(good).flatMap((name) => [undefined, null, 7, ["a"], {}].map((bad) => ({ ...good, [name]: bad })));

/** For how many days a certificate cannot last. */
export const BAD_PERIODS = [null, 0, -1, 1.5, "7"];
