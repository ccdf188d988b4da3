/**
 * Actions on members, who decide, and on users, who use the app.
 */

const acknowledgements = () => jsonTable("public:ccf.gov.members.acks");
const memberHistory = () => textTable("public:ccf.gov.history");
const userCerts = () => textTable("public:ccf.gov.users.certs");
const userInfo = () => jsonTable("public:ccf.gov.users.info");

// Members.

/**
 * Adds a member, or replaces what is known of one. The member can vote once it has acknowledged the state of the
 * service with its own key, so also a member that was active must acknowledge again. A member with an encryption key
 * receives a share of what is needed to recover the service; as an "Owner" it receives the whole.
 */
actions.set("set_member", {
  check(args) {
    checkCertificate(args.cert, "cert");
    checkOptional("object", args.member_data, "member_data");
    if (args.recovery_role === undefined) return;
    checkOneOf(["NonParticipant", "Participant", "Owner"], args.recovery_role, "recovery_role");
    must(!isAbsent(args.encryption_pub_key), "A recovery_role needs an encryption_pub_key");
  },
  perform(args) {
    const memberId = ccf.pemToId(args.cert);
    memberCerts().set(memberId, args.cert);
    if (isAbsent(args.encryption_pub_key)) memberKeys().delete(memberId);
    else memberKeys().set(memberId, args.encryption_pub_key);
    const { member_data, recovery_role } = args;
    memberInfo().set(memberId, { member_data, recovery_role, status: "Accepted" });
    // What the member must sign to become active: the root of the ledger as it was last signed.
    acknowledgements().set(memberId, { state_digest: single("public:ccf.internal.signatures").get()?.root ?? "" });
  },
});

/**
 * Removes a member: it can no longer vote. Refused if too few members would remain to recover the service. If the
 * member held a share, the ledger gets a new key, so that the share opens nothing that is written from now on.
 */
actions.set("remove_member", {
  check(args) {
    checkId(args.member_id, "member_id");
  },
  perform(args) {
    const memberId = args.member_id;
    const info = memberInfo().get(memberId);
    if (info === undefined) return; // Already gone.
    const heldShare = info.status === "Active" && memberKeys().has(memberId);
    if (heldShare) {
      const remaining = activeKeyHolders() - 1;
      const threshold = serviceConfiguration().mustGet().recovery_threshold;
      must(
        remaining >= threshold,
        `Cannot remove member ${memberId}: ${remaining} members with an encryption key would remain, ` +
          `and recovery takes ${threshold}`,
      );
    }
    for (const each of [memberInfo(), memberKeys(), memberCerts(), acknowledgements(), memberHistory()]) {
      each.delete(memberId);
    }
    if (heldShare) ccf.node.triggerLedgerRekey();
  },
});

/** Replaces what is noted about a member, e.g. its name or organisation. Its rights stay as they are. */
actions.set("set_member_data", {
  check(args) {
    checkId(args.member_id, "member_id");
    checkType("object", args.member_data, "member_data");
  },
  perform(args) {
    const info = memberInfo().get(args.member_id);
    must(info !== undefined, `Member ${args.member_id} does not exist`);
    memberInfo().set(args.member_id, { ...info, member_data: args.member_data });
  },
});

// Users.

/** Lets somebody with this certificate use the app. The app sees `user_data` and may grant rights by it. */
actions.set("set_user", {
  check(args) {
    checkCertificate(args.cert, "cert");
    checkOptional("object", args.user_data, "user_data");
  },
  perform(args) {
    const userId = ccf.pemToId(args.cert);
    userCerts().set(userId, args.cert);
    setUserData(userId, args.user_data);
  },
});

/** Takes a user's access to the app away. What the user wrote stays. */
actions.set("remove_user", {
  check(args) {
    checkId(args.user_id, "user_id");
  },
  perform(args) {
    userCerts().delete(args.user_id);
    userInfo().delete(args.user_id);
  },
});

/** Replaces what the app is told about a user, or removes it where no `user_data` is given. */
actions.set("set_user_data", {
  check(args) {
    checkId(args.user_id, "user_id");
    checkOptional("object", args.user_data, "user_data");
  },
  perform(args) {
    setUserData(args.user_id, args.user_data);
  },
});

function setUserData(userId, userData) {
  if (isAbsent(userData)) userInfo().delete(userId);
  else userInfo().set(userId, { user_data: userData });
}
