/**
 * What the tests of the configuration share: one with nothing more than it must have, and one with everything.
 */

import { strict as assert } from "node:assert";
import { FormatError } from "../shared/assert.ts";
import { parseConfig } from "./config.ts";
import type { NodeConfig } from "./node_config.ts";

export const minimal = {
  network: {
    node_to_node_interface: { bind_address: "127.0.0.1:8001" },
    rpc_interfaces: { primary_rpc_interface: { bind_address: "127.0.0.1:8000" } },
  },
  command: { type: "Start", start: { constitution_files: ["actions.js"], members: [{ certificate_file: "m.pem" }] } },
};

// Every key of operations.md §2, in the form that CCF's test framework writes (tests/config.jinja).
export const complete = {
  $schema: "https://example.com/schema.json",
  network: {
    node_to_node_interface: { bind_address: "[::1]:0", published_address: "node0.example.com:8081" },
    rpc_interfaces: {
      primary_rpc_interface: {
        bind_address: "0.0.0.0:8080",
        published_address: "node0.example.com:8080",
        protocol: "tcp",
        app_protocol: "HTTP1",
        max_open_sessions_soft: 2000,
        max_open_sessions_hard: 2010,
        http_configuration: {
          max_body_size: "200KB",
          max_header_size: "8KB",
          max_headers_count: 40,
          max_concurrent_streams_count: 50,
          initial_window_size: "128KB",
          max_frame_size: "32KB",
        },
        endorsement: { authority: "Node" },
        accepted_endpoints: ["/node/(state|version)"],
        forwarding_timeout_ms: 4000,
        redirections: {
          to_primary: { kind: "NodeByRole", target: { role: "primary", interface: "primary_rpc_interface" } },
          to_backup: { kind: "StaticAddress", target: { address: "backup.example.com:443" } },
        },
        enabled_operator_features: ["SnapshotRead", "LedgerRead"],
        client_certificates: true,
      },
      web_rpc_interface: { bind_address: "0.0.0.0:9080", app_protocol: "HTTP2", client_certificates: false },
      plain: { bind_address: "127.0.0.1:7080", endorsement: { authority: "Unsecured" } },
    },
  },
  command: {
    type: "Start",
    service_certificate_file: "service.pem",
    start: {
      constitution_files: ["actions.js", "apply.js"],
      members: [
        { certificate_file: "m0.pem", encryption_public_key_file: "m0_enc.pem", data_json_file: null },
        {
          certificate_file: "m1.pem",
          encryption_public_key_file: "",
          recovery_role: "Owner",
          data_json_file: "m1.json",
        },
      ],
      service_configuration: {
        recovery_threshold: 1,
        maximum_node_certificate_validity_days: 100,
        maximum_service_certificate_validity_days: 200,
        recent_cose_proposals_window_size: 50,
      },
      initial_service_certificate_validity_days: 90,
      service_subject_name: "CN=Our Service",
      cose_signatures: { issuer: "service.example.com", subject: "ledger.signature" },
    },
    join: { target_rpc_address: "" },
    recover: { previous_service_identity_file: "" },
  },
  node_certificate: {
    subject_name: "CN=Our Node",
    subject_alt_names: ["iPAddress:127.0.0.1", "dNSName:node0.example.com"],
    curve_id: "Secp256R1",
    initial_validity_days: 7,
  },
  node_data_json_file: "node.json",
  service_data_json_file: "service.json",
  attestation: {
    platform: "snp",
    snp_security_policy_file: "$UVM_SECURITY_CONTEXT_DIR/policy",
    snp_uvm_endorsements_file: null,
    snp_endorsements_file: "",
    snp_endorsements_servers: [{ type: "AMD", url: "kdsintf.amd.com" }, {
      url: "cache.example.com",
      max_retries_count: 5,
    }],
    dcap_collateral_file: "collateral.json",
    dcap_collateral_server: "pccs.example.com:8081",
    test_only_host_data: "ab".repeat(32),
  },
  ledger: { directory: "/data/ledger", read_only_directories: ["/old/ledger"], chunk_size: "10MB" },
  snapshots: { directory: "/data/snapshots", tx_count: 500, read_only_directory: "/old/snapshots" },
  logging: { format: "Json", host_level: "Info" },
  consensus: { message_timeout: "50ms", election_timeout: "2s", max_uncommitted_tx_count: 0 },
  ledger_signatures: { tx_count: 100, delay: "500ms" },
  jwt: { key_refresh_interval: "1h" },
  output_files: {
    node_certificate_file: "node0.pem",
    pid_file: "node0.pid",
    node_to_node_address_file: "node0.address",
    rpc_addresses_file: "node0.rpc",
    sealed_ledger_secret_location: null,
  },
  tick_interval: "1ms",
  slow_io_logging_threshold: "500us",
  node_client_interface: "127.0.0.2:0",
  client_connection_timeout: "3s",
  idle_connection_timeout: null,
  worker_threads: 2,
  memory: { circuit_size: "16MB", max_msg_size: "64MB", max_fragment_size: "256KB" },
  ignore_first_sigterm: true,
  node_to_node_message_limit: 1000,
  historical_cache_soft_limit: "64MB",
  native_app: "logging",
  storage: "files",
  durability: "commit",
  console_directory: "console/dist/app",
};

export function parse(json: unknown): NodeConfig {
  return parseConfig(JSON.stringify(json), "node.json");
}

export function message(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof FormatError, `${error}`);
    return error.message;
  }
  throw new Error("Nothing was thrown");
}

/** The minimal configuration with one value replaced, by its JSON pointer. */
export function changed(pointer: string, value: unknown): unknown {
  const json = structuredClone(minimal) as Record<string, unknown>;
  const keys = pointer.slice(1).split("/");
  let at = json;
  for (const key of keys.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>;
  at[keys.at(-1)!] = value;
  return json;
}

export const RPC = "/network/rpc_interfaces/primary_rpc_interface";
