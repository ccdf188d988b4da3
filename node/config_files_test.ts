import { strict as assert } from "node:assert";
import { generateKeyPairSync } from "node:crypto";
import { FormatError } from "../shared/assert.ts";
import { generateEcPrivateKey } from "../shared/crypto/ecdsa.ts";
import { serialiseCertificatePem } from "../shared/crypto/x509.ts";
import { memberCertificate, signCertificate, validityOfDays } from "../shared/crypto/x509_build.ts";
import { nameFromConfiguration } from "../shared/crypto/x509_name.ts";
import { parseConfig } from "./config.ts";
import { expandEnvironment, readAttestationFiles, readConfigFiles } from "./config_files.ts";
import type { NodeConfig } from "./node_config.ts";

const key = generateEcPrivateKey("P-256", (length) => crypto.getRandomValues(new Uint8Array(length)));
const CERTIFICATE = serialiseCertificatePem(signCertificate(
  memberCertificate({
    key: key.publicKey,
    subject: nameFromConfiguration("CN=member"),
    validity: validityOfDays(0, 1),
    serial: new Uint8Array([1]),
  }),
  key,
));
const { publicKey: PUBLIC_KEY } = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
});
const PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";

function config(command: object, rest: object = {}): NodeConfig {
  const network = {
    node_to_node_interface: { bind_address: "127.0.0.1:0" },
    rpc_interfaces: { main: { bind_address: "127.0.0.1:0" } },
  };
  return parseConfig(JSON.stringify({ network, command, ...rest }), "node.json");
}

function reader(files: Readonly<Record<string, string>>): (path: string) => Promise<string> {
  return (path) => {
    const text = files[path];
    return text === undefined ? Promise.reject(new Deno.errors.NotFound("no such file")) : Promise.resolve(text);
  };
}

const start = {
  type: "Start",
  start: {
    constitution_files: ["actions.js", "apply.js"],
    members: [
      { certificate_file: "m0.pem", encryption_public_key_file: "m0_enc.pem", recovery_role: "Owner" },
      { certificate_file: "m1.pem", data_json_file: "m1.json", recovery_role: "Participant" },
    ],
  },
};

Deno.test("readConfigFiles() reads what a Start names", async () => {
  const read = reader({
    "actions.js": "const a = 1;",
    "apply.js": "const b = 2;",
    "m0.pem": CERTIFICATE,
    "m0_enc.pem": PUBLIC_KEY,
    "m1.pem": CERTIFICATE,
    "m1.json": `{"name":"Bob"}`,
    "node.json": "[1]",
    "service.json": `"x"`,
  });
  const named = config(start, { node_data_json_file: "node.json", service_data_json_file: "service.json" });
  assert.deepEqual(await readConfigFiles(named, read), {
    command: {
      type: "Start",
      constitution: ["const a = 1;", "const b = 2;"],
      members: [
        { certificatePem: CERTIFICATE, encryptionPublicKeyPem: PUBLIC_KEY, data: null, recoveryRole: "Owner" },
        // A role without an encryption key does not count.
        {
          certificatePem: CERTIFICATE,
          encryptionPublicKeyPem: undefined,
          data: { name: "Bob" },
          recoveryRole: undefined,
        },
      ],
    },
    nodeData: [1],
    serviceData: "x",
  });
});

Deno.test("readConfigFiles() reads the certificate that a Join or a Recover starts from", async () => {
  const join = config({ type: "Join", join: { target_rpc_address: "a:1" } }, { service_data_json_file: "unread" });
  assert.deepEqual(await readConfigFiles(join, reader({ "service_cert.pem": CERTIFICATE })), {
    command: { type: "Join", serviceCertificatePem: CERTIFICATE },
    nodeData: null,
    serviceData: null,
  });
  const recover = config({ type: "Recover", recover: { previous_service_identity_file: "old.pem" } });
  assert.deepEqual((await readConfigFiles(recover, reader({ "old.pem": CERTIFICATE }))).command, {
    type: "Recover",
    previousServiceIdentityPem: CERTIFICATE,
  });
});

Deno.test("readConfigFiles() names every file it cannot use, with the key that named it", async () => {
  const read = reader({ "apply.js": "", "m0.pem": PRIVATE_KEY, "m0_enc.pem": "not PEM", "m1.json": "{" });
  await assert.rejects(
    readConfigFiles(config(start, { node_data_json_file: "node.json" }), read),
    new FormatError([
      `Cannot read "actions.js", named by /command/start/constitution_files/0: there is no such file`,
      `Cannot read "m0.pem", named by /command/start/members/0/certificate_file: it is a private key; name the ` +
      "certificate or the public key",
      `Cannot read "m0_enc.pem", named by /command/start/members/0/encryption_public_key_file: Cannot read PEM: there ` +
      "is no block, expected PUBLIC KEY",
      `Cannot read "m1.pem", named by /command/start/members/1/certificate_file: there is no such file`,
      `Cannot read "m1.json", named by /command/start/members/1/data_json_file: it is not JSON`,
      `Cannot read "node.json", named by /node_data_json_file: there is no such file`,
    ].join("\n")),
  );
});

Deno.test("readConfigFiles() refuses what the enclave could not use: one kind of PEM for another, and nonsense", async () => {
  const nonsense = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
  for (const certificate of [PUBLIC_KEY, nonsense]) {
    const read = reader({
      "actions.js": "",
      "apply.js": "",
      "m0.pem": certificate,
      "m0_enc.pem": PUBLIC_KEY,
      "m1.pem": CERTIFICATE,
      "m1.json": "{}",
    });
    await assert.rejects(
      readConfigFiles(config(start), read),
      /^FormatError: Cannot read "m0.pem", named by \/command\/start\/members\/0\/certificate_file: Cannot [^\n]*$/,
    );
  }
});

Deno.test("readConfigFiles() says what kept a real file from being read", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const named = config({ type: "Join", service_certificate_file: directory, join: { target_rpc_address: "a:1" } });
    await assert.rejects(readConfigFiles(named, Deno.readTextFile), {
      message: `Cannot read ${
        JSON.stringify(directory)
      }, named by /command/service_certificate_file: it is a directory`,
    });
  } finally {
    await Deno.remove(directory);
  }
});

Deno.test("readAttestationFiles() expands the environment and warns of what is missing", async () => {
  const named = config(start, {
    attestation: {
      snp_security_policy_file: "$CONTEXT/policy",
      snp_uvm_endorsements_file: "$CONTEXT/uvm",
      snp_endorsements_file: "$ABSENT/endorsements",
    },
  });
  const read = reader({ "/context/policy": "cG9saWN5\n", "/context/uvm": "dXZt" });
  assert.deepEqual(
    await readAttestationFiles(named, read, (name) => name === "CONTEXT" ? "/context" : undefined),
    {
      securityPolicy: "cG9saWN5",
      uvmEndorsements: "dXZt",
      endorsements: undefined,
      dcapCollateral: undefined,
      warnings: [
        `Cannot read "$ABSENT/endorsements", named by /attestation/snp_endorsements_file: there is no such file`,
      ],
    },
  );
});

Deno.test("expandEnvironment() replaces whole path pieces only", () => {
  const environment = (name: string) => new Map([["A", "/x"], ["B_1", "y"]]).get(name);
  assert.equal(expandEnvironment("$A/b/${B_1}/c", environment), "/x/b/y/c");
  assert.equal(expandEnvironment("/$C/a$A/$", environment), "/$C/a$A/$");
});
