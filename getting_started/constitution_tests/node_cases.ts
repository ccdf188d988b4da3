/**
 * Cases of the actions on nodes.
 */

import { type ActionCases, BAD_PERIODS, CONFIGURATION, NODE, NOT_IDS, only, OTHER_NODE } from "./cases.ts";
import type { Rows } from "./world.ts";

const INFO = { rpchost: "127.0.0.1", certificate_signing_request: "request", node_data: { rack: 1 } };
const node = (status: string, info: Readonly<Record<string, unknown>> = INFO): Rows => ({
  "nodes.info": { [NODE]: { ...info, status } },
});
const NO_CONFIGURATION: Rows = { "service.config": only(null) };
const NO_LIMIT: Rows = { "service.config": only({ recovery_threshold: 1 }) };

const BAD_VALIDITIES = [
  {},
  { valid_from: 7 },
  ...BAD_PERIODS.map((validity_period_days) => ({ valid_from: "now", validity_period_days })),
];
const VALIDITY = { valid_from: "now", validity_period_days: 30 };

export const NODE_CASES: Readonly<Record<string, ActionCases>> = {
  transition_node_to_trusted: {
    refuses: [
      undefined,
      ...NOT_IDS.map((node_id) => ({ node_id, ...VALIDITY })),
      ...BAD_VALIDITIES.map((validity) => ({ node_id: NODE, ...validity })),
    ],
    effects: [
      {
        title: "lets a node in that waits, with a certificate",
        args: { node_id: NODE, ...VALIDITY },
        before: node("Pending"),
        writes: {
          "nodes.info": { [NODE]: { ...INFO, status: "Trusted", ledger_secret_seqno: 17 } },
          "nodes.endorsed_certificates": { [NODE]: "certificate for request" },
        },
        calls: [["endorsedCertificate", "request", "now", 30]],
      },
      {
        title: "gives it the longest period where none is named, a year by default",
        args: { node_id: NODE, valid_from: "now" },
        before: { ...node("Pending"), ...NO_LIMIT },
        writes: {
          "nodes.info": { [NODE]: { ...INFO, status: "Trusted", ledger_secret_seqno: 17 } },
          "nodes.endorsed_certificates": { [NODE]: "certificate for request" },
        },
        calls: [["endorsedCertificate", "request", "now", 365]],
      },
      {
        title: "gives a node no certificate that has not asked for one",
        args: { node_id: NODE, valid_from: "now", validity_period_days: 31 },
        before: node("Pending", {}),
        writes: { "nodes.info": { [NODE]: { status: "Trusted", ledger_secret_seqno: 17 } } },
      },
      {
        title: "does nothing to a node that does not wait",
        args: { node_id: NODE, ...VALIDITY },
        before: node("Retired"),
      },
      {
        title: "fails above the longest period",
        args: { node_id: NODE, valid_from: "now", validity_period_days: 31 },
        before: node("Pending"),
        fails: true,
      },
      { title: "fails for an unknown node", args: { node_id: NODE, ...VALIDITY }, fails: true },
    ],
  },
  remove_node: {
    refuses: [undefined, ...NOT_IDS.map((node_id) => ({ node_id }))],
    effects: [
      {
        title: "forgets a node that waits",
        args: { node_id: NODE },
        before: node("Pending"),
        writes: { "nodes.info": { [NODE]: null } },
      },
      {
        title: "retires a trusted node",
        args: { node_id: NODE },
        before: node("Trusted"),
        writes: { "nodes.info": { [NODE]: { ...INFO, status: "Retired" } } },
      },
      { title: "does nothing where there is no such node", args: { node_id: NODE } },
    ],
  },
  set_node_data: {
    accepts: [{ node_id: NODE }, { node_id: NODE, node_data: "text" }],
    refuses: [undefined, ...NOT_IDS.map((node_id) => ({ node_id, node_data: {} }))],
    effects: [
      {
        title: "replaces what is noted and nothing else",
        args: { node_id: NODE, node_data: null },
        before: node("Trusted"),
        writes: { "nodes.info": { [NODE]: { ...INFO, node_data: null, status: "Trusted" } } },
      },
      {
        title: "removes what is noted where it names nothing",
        args: { node_id: NODE },
        before: node("Pending"),
        writes: {
          "nodes.info": {
            [NODE]: { rpchost: "127.0.0.1", certificate_signing_request: "request", status: "Pending" },
          },
        },
      },
      { title: "fails for an unknown node", args: { node_id: NODE, node_data: {} }, fails: true },
    ],
  },
  set_node_certificate_validity: {
    refuses: [
      undefined,
      ...NOT_IDS.map((node_id) => ({ node_id, ...VALIDITY })),
      ...BAD_VALIDITIES.map((validity) => ({ node_id: NODE, ...validity })),
    ],
    effects: [
      {
        title: "gives a trusted node another certificate",
        args: { node_id: NODE, valid_from: "now" },
        before: node("Trusted"),
        writes: { "nodes.endorsed_certificates": { [NODE]: "certificate for request" } },
        calls: [["endorsedCertificate", "request", "now", 30]],
      },
      ...[node("Pending"), node("Retired"), node("Trusted", {}), { ...node("Trusted"), ...NO_CONFIGURATION }].map(
        (before): ActionCases["effects"][number] => ({
          title: "fails for other nodes, for one without a request, and without a configuration",
          args: { node_id: NODE, ...VALIDITY },
          before,
          fails: true,
        }),
      ),
      {
        title: "fails above the longest period",
        args: { node_id: NODE, valid_from: "now", validity_period_days: 31 },
        before: node("Trusted"),
        fails: true,
      },
      { title: "fails for an unknown node", args: { node_id: NODE, ...VALIDITY }, fails: true },
    ],
  },
  set_all_nodes_certificate_validity: {
    refuses: [undefined, ...BAD_VALIDITIES],
    effects: [
      {
        title: "gives each trusted node another certificate",
        args: { valid_from: "now", validity_period_days: 7 },
        before: {
          "nodes.info": {
            [NODE]: { ...INFO, status: "Trusted" },
            [OTHER_NODE]: { status: "Pending" },
            ["22".repeat(32)]: { status: "Trusted", certificate_signing_request: "other" },
          },
        },
        writes: {
          "nodes.endorsed_certificates": {
            [NODE]: "certificate for request",
            ["22".repeat(32)]: "certificate for other",
          },
        },
        calls: [["endorsedCertificate", "other", "now", 7], ["endorsedCertificate", "request", "now", 7]],
      },
      { title: "does nothing without trusted nodes", args: VALIDITY, before: node("Retired") },
      {
        title: "fails where one trusted node has no request",
        args: VALIDITY,
        before: node("Trusted", {}),
        fails: true,
      },
      {
        title: "fails above the longest period",
        args: { valid_from: "now", validity_period_days: CONFIGURATION.maximum_node_certificate_validity_days + 1 },
        before: node("Trusted"),
        fails: true,
      },
    ],
  },
};
