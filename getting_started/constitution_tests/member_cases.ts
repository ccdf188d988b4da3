/**
 * Cases of the actions on members and users.
 */

import { type ActionCases, ALICE, BAD_CERTS, BOB, CAROL, CERT, EXTRA, members, NOT_IDS, OTHER_CERT } from "./cases.ts";

export const MEMBER_CASES: Readonly<Record<string, ActionCases>> = {
  set_member: {
    accepts: [
      { cert: CERT + OTHER_CERT },
      // Quirks: an empty bundle is one, and nobody looks at the key before it is used.
      { cert: "" },
      { cert: CERT, encryption_pub_key: 7 },
      { cert: CERT, encryption_pub_key: "key", recovery_role: "NonParticipant" },
      { cert: CERT, encryption_pub_key: "key", recovery_role: "Participant" },
      { cert: CERT, member_data: [] },
    ],
    refuses: [
      undefined,
      null,
      ...BAD_CERTS.map((cert) => ({ cert })),
      { cert: CERT, member_data: "x" },
      { cert: CERT, member_data: 1 },
      { cert: CERT, encryption_pub_key: "key", recovery_role: null },
      { cert: CERT, encryption_pub_key: "key", recovery_role: "owner" },
      { cert: CERT, recovery_role: "Owner" },
      { cert: CERT, encryption_pub_key: null, recovery_role: "NonParticipant" },
    ],
    effects: [
      {
        title: "adds a member who must acknowledge the last signed state before it can vote",
        args: { cert: CERT, encryption_pub_key: "k", member_data: { name: "A" }, recovery_role: "Owner", ...EXTRA },
        writes: {
          "members.certs": { [ALICE]: CERT },
          "members.encryption_public_keys": { [ALICE]: "k" },
          "members.info": { [ALICE]: { member_data: { name: "A" }, recovery_role: "Owner", status: "Accepted" } },
          "members.acks": { [ALICE]: { state_digest: "abcd" } },
        },
      },
      {
        title: "makes a known member acknowledge again, and takes its key away where it names none",
        args: { cert: CERT, encryption_pub_key: null, member_data: null },
        before: members({ [ALICE]: "Active" }, [ALICE]),
        writes: {
          "members.certs": { [ALICE]: CERT },
          "members.encryption_public_keys": { [ALICE]: null },
          "members.info": { [ALICE]: { member_data: null, status: "Accepted" } },
          "members.acks": { [ALICE]: { state_digest: "abcd" } },
        },
      },
      { title: "fails where the certificate names nobody", args: { cert: "" }, fails: true },
    ],
  },
  remove_member: {
    accepts: [{ member_id: ALICE.toUpperCase(), ...EXTRA }],
    refuses: [undefined, ...NOT_IDS.map((member_id) => ({ member_id }))],
    effects: [
      {
        title: "leaves nothing of a member, and gives the ledger another key if the member held a share",
        args: { member_id: ALICE },
        before: members({ [ALICE]: "Active", [BOB]: "Active" }, [ALICE, BOB]),
        writes: {
          "members.certs": { [ALICE]: null },
          "members.encryption_public_keys": { [ALICE]: null },
          "members.info": { [ALICE]: null },
          "members.acks": { [ALICE]: null },
          "history": { [ALICE]: null },
        },
        calls: [["rekeyLedger"]],
      },
      ...[members({ [ALICE]: "Accepted" }, [ALICE]), members({ [ALICE]: "Active" })].map((before) => ({
        title: "asks nothing of the node if the member held no share",
        args: { member_id: ALICE },
        before,
        writes: {
          "members.certs": { [ALICE]: null },
          "members.encryption_public_keys": { [ALICE]: null },
          "members.info": { [ALICE]: null },
          "members.acks": { [ALICE]: null },
          "history": { [ALICE]: null },
        },
      })),
      { title: "does nothing to a stranger", args: { member_id: BOB } },
      {
        title: "fails where too few members would remain to recover the service",
        args: { member_id: ALICE },
        before: members({ [ALICE]: "Active", [BOB]: "Accepted", [CAROL]: "Active" }, [ALICE, BOB]),
        fails: true,
      },
    ],
  },
  set_member_data: {
    accepts: [{ member_id: BOB, member_data: null }],
    refuses: [
      undefined,
      ...NOT_IDS.map((member_id) => ({ member_id, member_data: {} })),
      { member_id: BOB },
      { member_id: BOB, member_data: "x" },
    ],
    effects: [
      {
        title: "replaces what is noted and nothing else",
        args: { member_id: ALICE, member_data: [1] },
        before: { "members.info": { [ALICE]: { member_data: {}, status: "Active" } } },
        writes: { "members.info": { [ALICE]: { member_data: [1], status: "Active" } } },
      },
      { title: "fails for a stranger", args: { member_id: BOB, member_data: {} }, fails: true },
    ],
  },
  set_user: {
    accepts: [{ cert: "" }],
    refuses: [undefined, ...BAD_CERTS.map((cert) => ({ cert })), { cert: CERT, user_data: 7 }],
    effects: [
      {
        title: "adds a user with data",
        args: { cert: CERT, user_data: { roles: ["reader"] }, ...EXTRA },
        writes: {
          "users.certs": { [ALICE]: CERT },
          "users.info": { [ALICE]: { user_data: { roles: ["reader"] } } },
        },
      },
      ...[{ cert: CERT }, { cert: CERT, user_data: null }].map((args) => ({
        title: "adds a user without data, and removes what there was",
        args,
        writes: { "users.certs": { [ALICE]: CERT }, "users.info": { [ALICE]: null } },
      })),
    ],
  },
  remove_user: {
    refuses: [undefined, ...NOT_IDS.map((user_id) => ({ user_id }))],
    effects: [{
      title: "removes a user, known or not",
      args: { user_id: BOB },
      writes: { "users.certs": { [BOB]: null }, "users.info": { [BOB]: null } },
    }],
  },
  set_user_data: {
    refuses: [undefined, ...NOT_IDS.map((user_id) => ({ user_id })), { user_id: BOB, user_data: "x" }],
    effects: [
      {
        title: "replaces what the app is told",
        args: { user_id: BOB, user_data: [] },
        writes: { "users.info": { [BOB]: { user_data: [] } } },
      },
      ...[{ user_id: BOB }, { user_id: BOB, user_data: null }].map((args) => ({
        title: "removes what the app is told",
        args,
        writes: { "users.info": { [BOB]: null } },
      })),
    ],
  },
};
