import { strict as assert } from "node:assert";
import { noblePrimitives as primitives } from "../../crypto/primitives.ts";
import { sealBox } from "../../crypto/aes_gcm.ts";
import { stableJson, stableJsonBytes } from "../../json.ts";
import { fromUtf8, toBase64 } from "../../bytes.ts";
import { assertRefused, findingsIn } from "../../../tests/ledger_failures.ts";
import { base64Json, type Changes, LedgerForge, one } from "../../../tests/ledger_forge.ts";
import { FORCE_CHUNK_BEFORE } from "../entry.ts";
import {
  HISTORICAL_SECRET,
  NODES_INFO,
  RECOVERY_SHARES,
  SECRET_BROADCAST,
  SERVICE_INFO,
  SUBMITTED_SHARES,
} from "../table_names.ts";

type Json = Record<string, unknown>;

/** Changes with the one value of a table edited as JSON. */
function editing(changes: Changes, name: string, edit: (json: Json) => unknown): Changes {
  const bytes = Object.values(changes[name]!)[0] as Uint8Array;
  return { ...changes, [name]: one(stableJson(edit(JSON.parse(fromUtf8(bytes))))) };
}

function opened(forge: LedgerForge): LedgerForge {
  return forge.genesis().open().sign();
}

Deno.test("a replay refuses a rekey that does not continue the chain of secrets", () => {
  const rekeying = (edit: (changes: Changes) => Changes) => (forge: LedgerForge) => {
    opened(forge);
    forge.write(edit(forge.rekeyChanges()));
  };
  const previous = (edit: Json) => (changes: Changes) =>
    editing(changes, HISTORICAL_SECRET, ({ previous_ledger_secret }) => ({
      previous_ledger_secret: { ...previous_ledger_secret as Json, ...edit },
    }));
  assertRefused(primitives, [
    ["5: The new secret seals that from 2, and the one before is from 1", rekeying(previous({ version: 2 }))],
    [
      "5: The new secret seals that from nowhere, and the one before is from 1",
      rekeying((changes) => editing(changes, HISTORICAL_SECRET, () => ({}))),
    ],
    [
      "5: The secret from 1 is said to be stored at 2, not 3",
      rekeying(previous({ previous_secret_stored_version: 2 })),
    ],
    [
      "5: The secret from 1 is said to be stored at nowhere, not 3",
      rekeying(previous({ previous_secret_stored_version: undefined })),
    ],
    [
      "5: The rekey does not share the new secret with members and nodes",
      rekeying(({ [RECOVERY_SHARES]: _, ...changes }) => changes),
    ],
    [
      "5: The rekey does not share the new secret with members and nodes",
      rekeying(({ [SECRET_BROADCAST]: _, ...changes }) => changes),
    ],
    [
      "5: The value of the historical ledger secret is not written as a current node writes it",
      rekeying((changes) => editing(changes, HISTORICAL_SECRET, (json) => ({ ...json, other: 1 }))),
    ],
  ]);
});

Deno.test("a replay refuses an opening that names another secret than the service's", () => {
  assertRefused(primitives, [
    ["3: The secret of the service is said to be from 2, and it is from 1", (forge) => {
      forge.genesis();
      const box = toBase64(sealBox(primitives, new Uint8Array(32), new Uint8Array(12), new Uint8Array(32)));
      const wrong = { next_version: 2, previous_ledger_secret: { encrypted_data: box, version: 1 } };
      forge.write(editing(forge.openingChanges(), HISTORICAL_SECRET, () => wrong));
    }],
    ["7: The new secret seals that from nowhere, and the one before is from 1", (forge) => {
      opened(forge).write(forge.recoveryChanges(), { flags: FORCE_CHUNK_BEFORE });
      forge.write({ [SERVICE_INFO]: one(forge.serviceInfo("WaitingForRecoveryShares")) });
      forge.write(editing(forge.openingChanges(), HISTORICAL_SECRET, ({ next_version }) => ({ next_version })));
    }],
    ["3: The value of the recovery shares is not written as a current node writes it", (forge) => {
      forge.genesis();
      forge.write(editing(forge.openingChanges(), RECOVERY_SHARES, (json) => ({ ...json, other: 1 })));
    }],
    ["3: The shares of a new secret say where the one before is stored", (forge) => {
      forge.genesis();
      const stored = { previous_secret_stored_version: 1 };
      forge.write(editing(forge.openingChanges(), RECOVERY_SHARES, (json) => ({ ...json, ...stored })));
    }],
    ["3: The wrapped ledger secret does not have the IV of zeros", (forge) => {
      forge.genesis();
      const wrapped = { wrapped_latest_ledger_secret: toBase64(new Uint8Array(60).fill(1)) };
      forge.write(editing(forge.openingChanges(), RECOVERY_SHARES, (json) => ({ ...json, ...wrapped })));
    }],
  ]);
});

Deno.test("a replay refuses secrets sent to the wrong nodes, or in the wrong form", () => {
  const sending =
    (edit: (json: Json, forge: LedgerForge) => unknown, status?: string, mark: Json = {}) => (forge: LedgerForge) => {
      const other = forge.makeNode(forge.service);
      opened(forge);
      if (status !== undefined) {
        const row = { ...JSON.parse(fromUtf8(forge.nodeInfo(other, status))), ...mark };
        forge.write({ [NODES_INFO]: { [other.id]: stableJsonBytes(row) } });
      }
      forge.write(editing(forge.rekeyChanges(), SECRET_BROADCAST, (json) => edit(json, forge)));
    };
  const toOther = (json: Json, forge: LedgerForge) => {
    const [[, secrets]] = Object.entries(json) as [[string, unknown]];
    const other = new LedgerForge(primitives).makeNode(forge.service);
    return { ...json, [other.id]: secrets };
  };
  assertRefused(primitives, [
    [/^5: Node "[0-9a-f]{64}" is "Trusted", and is not sent the ledger secrets$/, sending(() => ({}))],
    [/^6: Node "[0-9a-f]{64}" is "Trusted", and is not sent the ledger secrets$/, sending((json) => json, "Trusted")],
    [/^6: Node "[0-9a-f]{64}" is "Pending", and is sent the ledger secrets$/, sending(toOther, "Pending")],
    [
      /^5: A secret for node "[0-9a-f]{64}" is not encrypted to a key of 2048 bits$/,
      sending((_, { node }) => ({
        [node.id]: [{ encrypted_secret: "AAAA", version: null }],
      })),
    ],
    [
      /^5: The rekey sends node "[0-9a-f]{64}" something else than the one new secret$/,
      sending((json, { node }) => {
        const [secret] = json[node.id] as [Json];
        return { [node.id]: [{ ...secret, version: 6 }] };
      }),
    ],
    [
      /^5: The value of the broadcast of ledger secrets is not written as a current node writes it$/,
      sending((json, { node }) => {
        const [secret] = json[node.id] as [Json];
        return { [node.id]: [{ encrypted_secret: secret.encrypted_secret }] };
      }),
    ],
  ]);
  // Whether the mark is committed, where the secret is sent, no ledger tells.
  for (const mark of [{}, { retired_committed: true }]) {
    const retired = new LedgerForge(primitives);
    sending(toOther, "Retired", mark)(retired);
    retired.sign();
    assert.deepEqual(findingsIn(primitives, retired.entries), []);
  }
});

Deno.test("a replay that knows the secrets opens the boxes in the ledger", () => {
  assertRefused(primitives, [
    ["5: The secret from 6 does not open the one from 1", (forge) => {
      opened(forge);
      const box = toBase64(sealBox(primitives, new Uint8Array(32), new Uint8Array(12), new Uint8Array(32)));
      forge.write(editing(forge.rekeyChanges(), HISTORICAL_SECRET, ({ previous_ledger_secret }) => ({
        previous_ledger_secret: { ...previous_ledger_secret as Json, encrypted_data: box },
      })));
    }],
    [`3: The share that member "abc" submitted is not sealed with the ledger secret`, (forge) => {
      forge.genesis().write({ [SUBMITTED_SHARES]: { abc: base64Json(new Uint8Array(72)) } });
    }],
  ], "with secrets");
  const forge = new LedgerForge(primitives).genesis();
  const share = sealBox(primitives, forge.secrets.at(1)!.key, forge.random(12), forge.random(44));
  forge.write({ [SUBMITTED_SHARES]: { abc: base64Json(share) } });
  forge.sign();
  assert.deepEqual(findingsIn(primitives, forge.entries, { secrets: forge.secrets }), []);
});
