/**
 * Cases of the actions on the service as a whole.
 */

import {
  type ActionCases,
  ALICE,
  BAD_CERTS,
  BAD_PERIODS,
  BOB,
  CAROL,
  CERT,
  CONFIGURATION,
  dropped,
  json,
  members,
  only,
  OTHER_CERT,
} from "./cases.ts";
import type { Rows } from "./world.ts";

const TINY = "export function validate(a) {}\nexport function resolve(a, b, c) {}\nexport function apply(a, b) {}";
const opening = (status: string): Rows => ({ "service.info": only({ cert: CERT, status }) });
const TWO_KEY_HOLDERS = members({ [ALICE]: "Active", [BOB]: "Active", [CAROL]: "Accepted" }, [ALICE, BOB, CAROL]);
const BAD_THRESHOLDS = [0, 255, 1.5, -1, "2", null];

export const SERVICE_CASES: Readonly<Record<string, ActionCases>> = {
  set_constitution: {
    accepts: [{ constitution: TINY.replace("b, c", "b, c, d") }],
    refuses: [
      undefined,
      {},
      ...[null, 7, "", "function", TINY.replace("export", ""), TINY.replace("(a)", "(a, b)")].map((constitution) => ({
        constitution,
      })),
    ],
    effects: [{
      title: "replaces the rules",
      args: { constitution: TINY },
      writes: { "constitution": only(json(TINY)), ...dropped },
    }],
  },
  transition_service_to_open: {
    refuses: [
      undefined,
      ...BAD_CERTS.map((next_service_identity) => ({ next_service_identity })),
      // The specification lets it be null; CCF's text takes that for a certificate that is none.
      ...BAD_CERTS.slice(1).map((previous) => ({ next_service_identity: CERT, previous_service_identity: previous })),
    ],
    effects: [
      {
        title: "hands on the identity",
        args: { next_service_identity: CERT },
        before: opening("Opening"),
        calls: [["openService", undefined, CERT]],
      },
      {
        title: "hands on both identities of a recovering service",
        args: { previous_service_identity: OTHER_CERT, next_service_identity: CERT },
        before: opening("Recovering"),
        calls: [["openService", OTHER_CERT, CERT]],
      },
      {
        title: "fails for a recovering service without the previous identity",
        args: { next_service_identity: CERT },
        before: opening("Recovering"),
        fails: true,
      },
    ],
  },
  assert_service_identity: {
    refuses: [undefined, ...BAD_CERTS.map((service_identity) => ({ service_identity })), {
      service_identity: OTHER_CERT,
    }, { service_identity: `${CERT}\n` }],
    effects: [{ title: "changes nothing", args: { service_identity: CERT } }],
  },
  set_recovery_threshold: {
    accepts: [{ recovery_threshold: 1 }, { recovery_threshold: 254 }],
    refuses: [undefined, {}, ...BAD_THRESHOLDS.map((recovery_threshold) => ({ recovery_threshold }))],
    effects: [
      {
        title: "issues new shares",
        args: { recovery_threshold: 2 },
        before: TWO_KEY_HOLDERS,
        writes: { "service.config": only({ ...CONFIGURATION, recovery_threshold: 2 }) },
        calls: [["refreshRecoveryShares"]],
      },
      {
        title: "issues no shares where nothing changes",
        args: { recovery_threshold: 1 },
        writes: { "service.config": only(CONFIGURATION) },
      },
      {
        title: "fails above the number of active key holders",
        args: { recovery_threshold: 3 },
        before: TWO_KEY_HOLDERS,
        fails: true,
      },
      {
        title: "does not ask for key holders before the service is open",
        args: { recovery_threshold: 3 },
        before: opening("Opening"),
        writes: { "service.config": only({ ...CONFIGURATION, recovery_threshold: 3 }) },
        calls: [["refreshRecoveryShares"]],
      },
      {
        title: "fails while shares are collected",
        args: { recovery_threshold: 3 },
        before: opening("WaitingForRecoveryShares"),
        fails: true,
      },
    ],
  },
  set_service_configuration: {
    accepts: [{ recent_cose_proposals_window_size: 10000 }, { reconfiguration_type: "anything" }, {
      // The specification refuses null here too; CCF's text does so only when it is applied.
      reconfiguration_type: null,
    }],
    refuses: [
      undefined,
      null,
      { maximum_node_certificate_validity_days: 1 },
      { reconfiguration_type: 7 },
      ...BAD_THRESHOLDS.map((recovery_threshold) => ({ recovery_threshold })),
      ...[0, 10001, 1.5, "2", null].map((size) => ({ recent_cose_proposals_window_size: size })),
    ],
    effects: [
      {
        title: "writes the settings even where none changes",
        args: {},
        writes: { "service.config": only(CONFIGURATION) },
      },
      {
        title: "changes what it names",
        args: { recent_cose_proposals_window_size: 20, recovery_threshold: 2, reconfiguration_type: "TwoTransaction" },
        before: TWO_KEY_HOLDERS,
        writes: {
          "service.config": only({
            ...CONFIGURATION,
            recovery_threshold: 2,
            reconfiguration_type: "TwoTransaction",
            recent_cose_proposals_window_size: 20,
          }),
        },
        calls: [["refreshRecoveryShares"]],
      },
      { title: "fails for an unknown type", args: { reconfiguration_type: "OneTransaction" }, fails: true },
      {
        title: "fails to take a type back",
        args: { reconfiguration_type: "OneTransaction" },
        before: { "service.config": only({ ...CONFIGURATION, reconfiguration_type: "TwoTransaction" }) },
        fails: true,
      },
      {
        title: "fails above the number of active key holders",
        args: { recovery_threshold: 3 },
        before: TWO_KEY_HOLDERS,
        fails: true,
      },
    ],
  },
  set_service_certificate_validity: {
    accepts: [{ valid_from: "whatever", validity_period_days: 1_000_000 }],
    refuses: [
      undefined,
      {},
      { valid_from: null },
      ...BAD_PERIODS.map((validity_period_days) => ({ valid_from: "now", validity_period_days })),
    ],
    effects: [
      {
        title: "replaces the certificate and nothing else",
        args: { valid_from: "now", validity_period_days: 365 },
        writes: {
          "service.info": only({ cert: "certificate of the service", status: "Open", recovery_count: 0 }),
        },
        calls: [["serviceCertificate", "now", 365]],
      },
      {
        title: "takes the most that is allowed where no period is named",
        args: { valid_from: "now" },
        before: { "service.config": only({ ...CONFIGURATION, maximum_service_certificate_validity_days: 5 }) },
        writes: {
          "service.info": only({ cert: "certificate of the service", status: "Open", recovery_count: 0 }),
        },
        calls: [["serviceCertificate", "now", 5]],
      },
      {
        title: "fails above the most, a year by default",
        args: { valid_from: "", validity_period_days: 366 },
        fails: true,
      },
    ],
  },
  trigger_recovery_shares_refresh: {
    accepts: [null],
    refuses: [{}, [], 0, false, ""],
    effects: [{ title: "asks for new shares", calls: [["refreshRecoveryShares"]] }],
  },
  trigger_ledger_rekey: {
    accepts: [null],
    refuses: [{}, [], 0, false, ""],
    effects: [{ title: "asks for another key", calls: [["rekeyLedger"]] }],
  },
  trigger_ledger_chunk: {
    accepts: [null, {}, 7],
    refuses: [],
    effects: [{ title: "asks for the end of a ledger file", calls: [["endLedgerChunk"]] }],
  },
  trigger_snapshot: {
    accepts: [null, {}, 7],
    refuses: [],
    effects: [{ title: "asks for a snapshot", calls: [["takeSnapshot"]] }],
  },
};
