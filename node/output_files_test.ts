import { strict as assert } from "node:assert";
import { parseConfig } from "./config.ts";
import type { NodeConfig } from "./node_config.ts";
import { removePidFile, writeAddresses, writeCertificates, writePidFile } from "./output_files.ts";
import { directoryContent, withTempDirectory } from "./test_file_system.ts";

function config(directory: string, command: object): NodeConfig {
  return parseConfig(
    JSON.stringify({
      network: {
        node_to_node_interface: { bind_address: "[::1]:0" },
        rpc_interfaces: { web: { bind_address: "0.0.0.0:0" }, main: { bind_address: "127.0.0.1:8000" } },
      },
      command: { service_certificate_file: `${directory}/common/service_cert.pem`, ...command },
      output_files: {
        node_certificate_file: `${directory}/nodecert.pem`,
        node_to_node_address_file: `${directory}/node.address`,
        rpc_addresses_file: `${directory}/rpc.addresses`,
      },
    }),
    "node.json",
  );
}

const start = { type: "Start", start: { constitution_files: [], members: [] } };

function texts(directory: string): Record<string, string> {
  const decoder = new TextDecoder();
  return Object.fromEntries([...directoryContent(directory)].map(([name, bytes]) => [name, decoder.decode(bytes)]));
}

Deno.test("writePidFile() marks a running node once, and removePidFile() takes the mark away", async () => {
  await withTempDirectory((directory) => {
    const path = `${directory}/run/node.pid`;
    writePidFile(path);
    assert.equal(Deno.readTextFileSync(path), String(Deno.pid));
    assert.throws(() => writePidFile(path, 1), {
      name: "StorageError",
      message: `PID file ${path} already exists. Exiting.`,
    });
    assert.equal(Deno.readTextFileSync(path), String(Deno.pid));
    removePidFile(path);
    removePidFile(path);
    writePidFile(path, 4711);
    assert.equal(Deno.readTextFileSync(path), "4711");
    return Promise.resolve();
  });
});

Deno.test("writeAddresses() writes the addresses really bound, in the form of CCF", async () => {
  await withTempDirectory((directory) => {
    const parsed = config(directory, start);
    writeAddresses(parsed.outputFiles, new Map([["web", 4711], ["main", 8000]]), parsed, 4712);
    assert.deepEqual(texts(directory), {
      "node.address": `{"node_to_node_interface":"[::1]:4712"}`,
      "rpc.addresses": `{"main":"127.0.0.1:8000","web":"0.0.0.0:4711"}`,
    });
    // None are written that the configuration does not name.
    const outputFiles = { ...parsed.outputFiles, nodeToNodeAddressFile: undefined, rpcAddressesFile: undefined };
    Deno.removeSync(`${directory}/node.address`);
    writeAddresses(outputFiles, new Map(), parsed);
    assert.deepEqual(Object.keys(texts(directory)), ["rpc.addresses"]);
    return Promise.resolve();
  });
});

Deno.test("writeCertificates() writes the service's certificate, except on a node that was given it", async () => {
  await withTempDirectory((directory) => {
    const certificates = { nodePem: "node\n", servicePem: "service\n" };
    writeCertificates(config(directory, { type: "Join", join: { target_rpc_address: "a:1" } }), certificates);
    assert.deepEqual(texts(directory), { "nodecert.pem": "node\n" });
    writeCertificates(config(directory, start), certificates);
    assert.deepEqual(texts(`${directory}/common`), { "service_cert.pem": "service\n" });
    writeCertificates(config(directory, start), { ...certificates, servicePem: "renewed\n" });
    assert.deepEqual(texts(`${directory}/common`), { "service_cert.pem": "renewed\n" });
    return Promise.resolve();
  });
});

Deno.test("writeCertificates() says which file cannot be written, and why", async () => {
  await withTempDirectory((directory) => {
    Deno.mkdirSync(`${directory}/nodecert.pem`);
    assert.throws(() => writeCertificates(config(directory, start), { nodePem: "", servicePem: "" }), {
      name: "StorageError",
      message: `Cannot write ${JSON.stringify(`${directory}/nodecert.pem`)}: it is a directory; choose another path`,
    });
    assert.deepEqual(texts(directory), {});
    return Promise.resolve();
  });
});
