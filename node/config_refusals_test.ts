import { strict as assert } from "node:assert";
import { parseConfig } from "./config.ts";
import { changed, message, parse, RPC } from "./config_fixtures.ts";

const bad: readonly (readonly [pointer: string, value: unknown, message: string])[] = [
  [
    "/ledgr",
    {},
    `the file has the unknown property "ledgr"; allowed are "$schema", "network", "command", ` +
    `"node_certificate", "node_data_json_file", "service_data_json_file", "attestation", "ledger", "snapshots", ` +
    `"logging", "consensus", "ledger_signatures", "jwt", "output_files", "tick_interval", "slow_io_logging_threshold", ` +
    `"node_client_interface", "client_connection_timeout", "idle_connection_timeout", "worker_threads", "memory", ` +
    `"ignore_first_sigterm", "node_to_node_message_limit", "historical_cache_soft_limit", "native_app", "storage", ` +
    `"durability", "console_directory"`,
  ],
  ["/network", 5, "/network is 5 and must be an object"],
  [
    "/network/rpc_interfaces",
    {},
    "/network/rpc_interfaces is {} and must be an object with at least one RPC interface",
  ],
  [
    RPC,
    {},
    `${RPC} lacks the property "bind_address", which must be an address such as "127.0.0.1:8000" or "[::1]:8000"`,
  ],
  [
    `${RPC}/bind_address`,
    "localhost",
    `${RPC}/bind_address is "localhost" and must be an address such as "127.0.0.1:8000" or "[::1]:8000"`,
  ],
  [
    `${RPC}/bind_address`,
    "localhost:70000",
    `${RPC}/bind_address: Cannot read "localhost:70000" as an address: it must look like "127.0.0.1:8000" or ` +
    `"[::1]:8000", with a port up to 65535`,
  ],
  [
    `${RPC}/bind_address`,
    "127.0.0.1:8001",
    `${RPC}/bind_address is "127.0.0.1:8001" and must not be the address of "node_to_node_interface" too`,
  ],
  [`${RPC}/client_certificates`, "yes", `${RPC}/client_certificates is "yes" and must be true or false`],
  [
    `${RPC}/endorsement`,
    { authority: "ACME" },
    `${RPC}/endorsement/authority is "ACME" and must be "Service", "Node" or "Unsecured": ACME is not supported`,
  ],
  [
    `${RPC}/endorsement`,
    {},
    `${RPC}/endorsement lacks the property "authority", which must be one of "Service", "Node", "Unsecured", "ACME"`,
  ],
  [`${RPC}/protocol`, "udp", `${RPC}/protocol is "udp" and must be "tcp": UDP is not supported`],
  [
    `${RPC}/app_protocol`,
    "QUIC",
    `${RPC}/app_protocol is "QUIC" and must be "HTTP1" or "HTTP2": other protocols are not supported`,
  ],
  [
    `${RPC}/app_protocol`,
    "HTTP2",
    `${RPC}/app_protocol is "HTTP2" and must be "HTTP1", unless client_certificates is false`,
  ],
  [
    `${RPC}/max_open_sessions_soft`,
    1010,
    `${RPC}/max_open_sessions_hard is 1010 and must be above max_open_sessions_soft, 1010`,
  ],
  [`${RPC}/accepted_endpoints`, ["/app/("], `${RPC}/accepted_endpoints/0 is "/app/(" and must be a regular expression`],
  [
    `${RPC}/http_configuration`,
    { max_body_size: "1 MB" },
    `${RPC}/http_configuration/max_body_size is "1 MB" and must be a size such as "5MB": a whole number and B, KB, MB, ` +
    `GB, TB or PB (powers of 1024)`,
  ],
  [
    `${RPC}/http_configuration`,
    { max_frame_size: "1KB" },
    `${RPC}/http_configuration/max_frame_size is "1KB" and must be between 16KB and 16MB`,
  ],
  [
    `${RPC}/redirections`,
    { to_primary: { kind: "StaticAddress" } },
    `${RPC}/redirections/to_primary lacks the property "target", which must be an object`,
  ],
  [
    `${RPC}/redirections`,
    { to_backup: { kind: "NodeByRole", target: { role: "leader" } } },
    `${RPC}/redirections/to_backup/target/role is "leader" and must be one of "primary", "backup"`,
  ],
  [
    `${RPC}/enabled_operator_features`,
    ["LedgerWrite"],
    `${RPC}/enabled_operator_features/0 is "LedgerWrite" and must be one of "SnapshotRead", "LedgerRead"`,
  ],
  [
    "/attestation",
    { test_only_host_data: "AB".repeat(32) },
    `/attestation/test_only_host_data is "${
      "AB".repeat(29)
    }A… and must be 64 hex digits that stand for other code than ` +
    "that which runs, which only a test may do",
  ],
  [
    "/attestation",
    { platform: "SNP" },
    `/attestation/platform is "SNP" and must be one of "virtual", "snp", "tdx", "sgx"`,
  ],
  [
    "/attestation",
    { snp_endorsements_servers: [{ url: "x", max_retries_count: 101 }] },
    "/attestation/snp_endorsements_servers/0/max_retries_count is 101 and must be at most 100",
  ],
  [
    "/attestation",
    { snp_endorsements_servers: new Array(17).fill({ url: "x" }) },
    '/attestation/snp_endorsements_servers is [{"url":"x"},{"url":"x"},{"url":"x"},{"url":"x"},{"url":"x"}… and must ' +
    "have at most 16 servers",
  ],
  ["/command/type", "Stop", `/command/type is "Stop" and must be one of "Start", "Join", "Recover"`],
  ["/command/type", "Join", `/command lacks the property "join", which must be an object`],
  [
    "/command/start/members",
    [{ certificate_file: "a", role: 1 }],
    `/command/start/members/0 has the unknown property "role"; allowed are "certificate_file", ` +
    `"encryption_public_key_file", "data_json_file", "recovery_role"`,
  ],
  [
    "/command/start/service_configuration",
    { recovery_threshold: 1 },
    "/command/start/service_configuration/recovery_threshold is 1 and must be at most 0, the number of members with an " +
    "encryption key who take part in recovery",
  ],
  [
    "/command/start/service_configuration",
    { recovery_threshold: -1 },
    "/command/start/service_configuration/recovery_threshold is -1 and must be a whole number, at least 0",
  ],
  [
    "/consensus/election_timeout",
    "5 seconds",
    `/consensus/election_timeout is "5 seconds" and must be a time such as "100ms": a whole number and us, ms, s, min or h`,
  ],
  [
    "/consensus/election_timeout",
    "9999999999999999h",
    `/consensus/election_timeout: Cannot read "9999999999999999h" as a time: it is longer than 285 years`,
  ],
  [
    "/ledger/chunk_size",
    "4GB",
    `/ledger/chunk_size is "4GB" and must be between 1B and 2GB: a ledger file ends below 4GB`,
  ],
  [
    "/ledger/chunk_size",
    5,
    `/ledger/chunk_size is 5 and must be a size such as "5MB": a whole number and B, KB, MB, GB, ` +
    `TB or PB (powers of 1024)`,
  ],
  ["/snapshots/tx_count", 0.5, "/snapshots/tx_count is 0.5 and must be a whole number, at least 1"],
  ["/logging/format", "text", `/logging/format is "text" and must be one of "Text", "Json"`],
  [
    "/node_certificate/subject_alt_names",
    ["127.0.0.1"],
    `/node_certificate/subject_alt_names/0 is "127.0.0.1" and must be a name such as "iPAddress:127.0.0.1" or ` +
    `"dNSName:example.com"`,
  ],
  ["/durability", "sometimes", `/durability is "sometimes" and must be one of "none", "commit", "always"`],
  ["/native_app", "x".repeat(100), `/native_app is "${"x".repeat(59)}… and must be one of "logging", "smallbank"`],
];

Deno.test("parseConfig() refuses what is wrong with a sentence of file, pointer, value and what is allowed", () => {
  for (const [pointer, value, expected] of bad) {
    assert.equal(message(() => parse(changed(pointer, value))), `Cannot use node.json: ${expected}`);
  }
});

Deno.test("parseConfig() tells all mistakes at once, and no more than 20 of them", () => {
  const two = changed("/ledger", { chunk_size: "big" }) as Record<string, unknown>;
  two["durability"] = 1;
  assert.deepEqual(message(() => parse(two)).split("\n").map((line) => line.slice(0, 45)), [
    `Cannot use node.json: /ledger/chunk_size is "`,
    `Cannot use node.json: /durability is 1 and mu`,
  ]);
  const many = changed("/ledger/read_only_directories", new Array(30).fill(7));
  const lines = message(() => parse(many)).split("\n");
  assert.equal(lines.length, 21);
  assert.equal(lines[20], "node.json has 10 more mistakes");
});

Deno.test("parseConfig() refuses what is not JSON, and what is too long", () => {
  assert.match(message(() => parseConfig(`{"network":`, "a.json")), /^Cannot use a\.json: it is not JSON: /);
  assert.equal(message(() => parseConfig("[]", "a.json")), "Cannot use a.json: the file is [] and must be an object");
  assert.equal(
    message(() => parseConfig(" ".repeat(1048577), "a.json")),
    "Cannot use a.json: it is longer than 1048576 characters",
  );
});
