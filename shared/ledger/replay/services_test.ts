import { strict as assert } from "node:assert";
import { fromUtf8, toUtf8 } from "../../bytes.ts";
import { generateEcPrivateKey } from "../../crypto/ecdsa.ts";
import { noblePrimitives as primitives } from "../../crypto/primitives.ts";
import { stableJson, stableJsonBytes } from "../../json.ts";
import { assertRefused, findingsIn } from "../../../tests/ledger_failures.ts";
import { type Changes, LedgerForge, one } from "../../../tests/ledger_forge.ts";
import { FORCE_CHUNK_BEFORE } from "../entry.ts";
import { LedgerVerifier } from "../replay.ts";
import {
  HISTORICAL_SECRET,
  IDENTITY_ENDORSEMENT,
  LAST_SIGNED_ROOT,
  MEMBERS_CERTS,
  NODES_ENDORSED_CERTIFICATES,
  NODES_INFO,
  PREVIOUS_SERVICE_IDENTITY,
  RECOVERY_SHARES,
  SERVICE_INFO,
  USERS_CERTS,
} from "../table_names.ts";

function without(changes: Changes, ...names: string[]): Changes {
  return Object.fromEntries(Object.entries(changes).filter(([name]) => !names.includes(name)));
}

Deno.test("a replay follows a service through opening, rekey and recovery, and knows its lives", () => {
  const forge = new LedgerForge(primitives).genesis().open().sign();
  const first = forge.service;
  forge.write({ records: { a: "1" }, "public:records": { a: "1" } });
  forge.rekey().sign().recover();
  forge.write({ records: { a: "2" } });
  forge.sign();
  for (const secrets of [undefined, forge.secrets]) {
    const verifier = new LedgerVerifier({
      primitives,
      mode: "strict",
      serviceCertificatePem: forge.service.certificatePem,
      ...(secrets && { secrets }),
    });
    for (const bytes of forge.entries) assert.deepEqual(verifier.add(bytes), []);
    assert.deepEqual(verifier.finish(), []);
    assert.deepEqual(verifier.identities.map(({ from, created, certificatePem }) => [from, created, certificatePem]), [
      [1, { view: 2, seqno: 1 }, first.certificatePem],
      [8, { view: 4, seqno: 8 }, forge.service.certificatePem],
    ]);
    assert.deepEqual(verifier.viewHistory.starts, [1, 1, 8, 8]);
    assert.deepEqual(verifier.lastSigned, verifier.last);
    assert.equal(verifier.tree.size, forge.tree.size);
    const value = verifier.store.table("records")?.valueAt(verifier.store.version, "a");
    assert.equal(value && fromUtf8(value), secrets && "2");
  }
});

Deno.test("a replay refuses the service that a pinned certificate is not for, and names where it began", () => {
  const forge = new LedgerForge(primitives).genesis().open().sign();
  const first = forge.service;
  forge.recover();
  const findings = findingsIn(primitives, forge.entries, { serviceCertificatePem: first.certificatePem });
  assert.deepEqual(findings, [{
    kind: "failure",
    seqno: 5,
    reason: `The service has key ${forge.service.id}, and the given certificate is for ${first.id}`,
  }]);
});

Deno.test("a replay refuses a service that does not become what it can become", () => {
  const status = (...all: string[]) => (forge: LedgerForge) => {
    forge.genesis();
    for (const next of all) forge.write({ [SERVICE_INFO]: one(forge.serviceInfo(next)) });
  };
  assertRefused(primitives, [
    [`3: The service goes from Opening to "Recovering"`, status("Recovering")],
    [`4: The service goes from WaitingForRecoveryShares to "Opening"`, status("WaitingForRecoveryShares", "Opening")],
    [`3: The service goes from Opening to "Shut"`, status("Shut")],
    [`1: The service goes from nothing to "Open"`, (forge) => {
      forge.write({ ...forge.genesisChanges(), [SERVICE_INFO]: one(forge.serviceInfo("Open")) });
    }],
    [
      `3: The service opens without ${[IDENTITY_ENDORSEMENT, RECOVERY_SHARES, HISTORICAL_SECRET].join(", ")}`,
      status("Open"),
    ],
    ["1: The service says it was created by 2.9, not by this transaction", (forge) => {
      forge.write(forge.withCreated({ view: 2, seqno: 9 }).genesisChanges());
    }],
    ["1: The service says it was created by nobody, not by this transaction", (forge) => {
      const info = forge.serviceInfo("Opening", { current_service_create_txid: undefined });
      forge.write({ ...forge.genesisChanges(), [SERVICE_INFO]: one(info) });
    }],
  ]);
});

Deno.test("a replay refuses service certificates that are not the service's own", () => {
  assertRefused(primitives, [
    ["1: The service's certificate is not signed by its own key", (forge) => {
      const other = forge.makeService();
      forge.service = forge.endorse(forge.service.key, other);
      forge.write(without(forge.genesisChanges(), NODES_ENDORSED_CERTIFICATES));
    }],
    ["1: The service's key is on P-521, and must be on P-384 or P-256", (forge) => {
      const key = generateEcPrivateKey("P-521", forge.random);
      forge.service = forge.endorse(key, forge.service);
      forge.write(forge.genesisChanges());
    }],
    // The key may stay while the certificate is renewed; it may not be replaced without a recovery.
    ["3: Another service begins in view 2, and a recovery goes on in 4", (forge) => {
      forge.genesis().service = forge.makeService();
      forge.withCreated({ view: 2, seqno: 3 }).write({ [SERVICE_INFO]: one(forge.serviceInfo("Opening")) });
    }],
  ]);
});

Deno.test("a replay refuses a recovery from something else than the service before", () => {
  const recovering = (edit: (changes: Changes, forge: LedgerForge) => Changes) => (forge: LedgerForge) => {
    forge.genesis().open().sign();
    forge.write(edit(forge.recoveryChanges(), forge), { flags: FORCE_CHUNK_BEFORE });
  };
  assertRefused(primitives, [
    [
      "5: The service is recovered and does not say from which",
      recovering((changes) => without(changes, PREVIOUS_SERVICE_IDENTITY)),
    ],
    [
      "5: The service is recovered and does not say from which",
      recovering((changes) => without(changes, LAST_SIGNED_ROOT)),
    ],
    [
      "5: The service is recovered from an identity that is not the one before",
      recovering((changes, forge) => ({
        ...changes,
        [PREVIOUS_SERVICE_IDENTITY]: one(stableJsonBytes(forge.service.certificatePem)),
      })),
    ],
    [
      `5: The service is recovered from root "${"00".repeat(32)}", and the last signature is over another`,
      recovering((changes) => ({ ...changes, [LAST_SIGNED_ROOT]: one(stableJsonBytes("00".repeat(32))) })),
    ],
    [
      `5: The service goes from Open to "WaitingForRecoveryShares"`,
      recovering((changes, forge) => ({
        ...changes,
        [SERVICE_INFO]: one(forge.serviceInfo("WaitingForRecoveryShares")),
      })),
    ],
  ]);
});

Deno.test("a replay refuses nodes, members and users under IDs that are not theirs", () => {
  assertRefused(primitives, [
    [
      `3: The public key of node "abc" has another ID`,
      (forge) => forge.genesis().write({ [NODES_INFO]: { abc: forge.nodeInfo(forge.node, "Pending") } }),
    ],
    [
      `3: The certificate of node "abc" is for another key`,
      (forge) => forge.genesis().write({ [NODES_ENDORSED_CERTIFICATES]: { abc: forge.node.certificatePem } }),
    ],
    [/^3: The service did not endorse the certificate of node "[0-9a-f]{64}"$/, (forge) => {
      const other = forge.makeNode(forge.makeService());
      forge.genesis().write({ [NODES_ENDORSED_CERTIFICATES]: { [other.id]: other.certificatePem } });
    }],
    [
      `3: The certificate under "abc" in table ${MEMBERS_CERTS} has another ID`,
      (forge) => forge.genesis().write({ [MEMBERS_CERTS]: { abc: forge.member.certificatePem } }),
    ],
    [
      `3: The certificate under "abc" in table ${USERS_CERTS} has another ID`,
      (forge) => forge.genesis().write({ [USERS_CERTS]: { abc: forge.member.certificatePem } }),
    ],
    [
      "3: Cannot read PEM: there is no block, expected CERTIFICATE",
      (forge) => forge.genesis().write({ [USERS_CERTS]: { abc: "?" } }),
    ],
  ]);
});

Deno.test("a replay refuses an endorsement that is not of the service before", () => {
  const openingWith = (recovered: boolean, endorsement: (forge: LedgerForge, right: Uint8Array) => Uint8Array) => {
    return (forge: LedgerForge) => {
      forge.genesis();
      if (recovered) {
        forge.open().sign();
        forge.write(forge.recoveryChanges(), { flags: FORCE_CHUNK_BEFORE });
        forge.write({ [SERVICE_INFO]: one(forge.serviceInfo("WaitingForRecoveryShares")) });
      }
      const changes = forge.openingChanges();
      const right = Object.values(changes[IDENTITY_ENDORSEMENT]!)[0] as Uint8Array;
      forge.write({ ...changes, [IDENTITY_ENDORSEMENT]: one(endorsement(forge, right)) });
    };
  };
  const impostor = new LedgerForge(primitives, "impostor");
  const foreign = Object.values(impostor.openingChanges()[IDENTITY_ENDORSEMENT]!)[0] as Uint8Array;
  const json = (bytes: Uint8Array, edit: (text: string) => string) => toUtf8(edit(fromUtf8(bytes)));
  assertRefused(primitives, [
    ["3: The endorsement names another key than the service's", openingWith(false, () => foreign)],
    [
      "3: The service did not sign the endorsement",
      openingWith(false, (_forge, right) => {
        const { endorsement } = JSON.parse(fromUtf8(foreign));
        return json(right, (text) => stableJson({ ...JSON.parse(text), endorsement }));
      }),
    ],
    [
      "3: The endorsement is not that of the service from 2.1 to now",
      openingWith(false, (forge) => {
        const other = new LedgerForge(primitives); // the same keys
        other.withCreated({ view: 2, seqno: 2 });
        assert.equal(other.service.id, forge.service.id);
        return Object.values(other.openingChanges()[IDENTITY_ENDORSEMENT]!)[0] as Uint8Array;
      }),
    ],
    [
      "3: The endorsement is not written as a current node writes it",
      openingWith(false, (_, right) => json(right, (text) => text.replace(`,"endorsing_key"`, `, "endorsing_key"`))),
    ],
    [
      "7: The endorsement continues that of 2, and the one before is of 3",
      openingWith(
        true,
        (_, right) => json(right, (text) => text.replace(`"previous_version":3`, `"previous_version":2`)),
      ),
    ],
  ]);
});
