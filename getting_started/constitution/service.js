/**
 * Actions on the service as a whole: its rules, its opening and identity, its ledger, and what recovers it.
 */

const SERVICE_SETTINGS = ["reconfiguration_type", "recovery_threshold", "recent_cose_proposals_window_size"];

/**
 * Replaces these rules by others, for everybody, from the next proposal on. Whoever votes for this should read all of
 * the new text: it decides what can be proposed afterwards and whose votes count. Other open proposals are dropped.
 */
actions.set("set_constitution", {
  check(args) {
    checkType("string", args.constitution, "constitution");
    ccf.gov.validateConstitution(args.constitution);
  },
  perform(args, proposalId) {
    single("public:ccf.gov.constitution").set(args.constitution);
    dropOtherProposals(proposalId);
  },
});

/**
 * Opens the service to its users. After a disaster recovery the members thereby agree that this service, with its new
 * identity, continues the previous one, and are then asked for their shares.
 */
actions.set("transition_service_to_open", {
  check(args) {
    checkCertificate(args.next_service_identity, "next_service_identity");
    if (args.previous_service_identity !== undefined) {
      checkCertificate(args.previous_service_identity, "previous_service_identity");
    }
  },
  perform(args) {
    const { previous_service_identity: previous, next_service_identity: next } = args;
    must(
      serviceInfo().mustGet().status !== "Recovering" || previous !== undefined,
      "Cannot open a recovering service without its previous_service_identity",
    );
    ccf.node.transitionServiceToOpen(previous === undefined ? undefined : ccf.strToBuf(previous), ccf.strToBuf(next));
  },
});

/**
 * Changes nothing, and cannot be proposed to any service but the one that is named. Put it before other actions to be
 * sure that they reach the service they were meant for.
 */
actions.set("assert_service_identity", {
  check(args) {
    checkCertificate(args.service_identity, "service_identity");
    must(serviceInfo().mustGet().cert === args.service_identity, "This service has another identity");
  },
  perform() {},
});

/** Changes how many members must come together to recover the service. Every member receives a new share. */
actions.set("set_recovery_threshold", {
  check(args) {
    checkBetween(1, 254, args.recovery_threshold, "recovery_threshold");
  },
  perform(args) {
    configureService({ recovery_threshold: args.recovery_threshold });
  },
});

/** Changes settings of the service: as above, and how many recent proposals are remembered to recognise a copy. */
actions.set("set_service_configuration", {
  check(args) {
    checkArguments(args);
    for (const name of Object.keys(args)) {
      must(SERVICE_SETTINGS.includes(name), `Cannot change ${name} of the service configuration`);
    }
    const { reconfiguration_type, recovery_threshold, recent_cose_proposals_window_size } = args;
    checkOptional("string", reconfiguration_type, "reconfiguration_type");
    if (recovery_threshold !== undefined) checkBetween(1, 254, recovery_threshold, "recovery_threshold");
    if (recent_cose_proposals_window_size !== undefined) {
      checkBetween(1, 10000, recent_cose_proposals_window_size, "recent_cose_proposals_window_size");
    }
  },
  perform(args) {
    configureService(args);
  },
});

/**
 * Renews the service's certificate, before it runs out. The service keeps its key, so all that it ever signed stays
 * valid; whoever trusts the certificate itself must be given the new one.
 */
actions.set("set_service_certificate_validity", {
  check: checkValidity,
  perform(args) {
    const days = validityDays(args, "maximum_service_certificate_validity_days");
    const cert = ccf.network.generateNetworkCertificate(args.valid_from, days);
    serviceInfo().set({ ...serviceInfo().mustGet(), cert });
  },
});

/** Gives every member a new share in place of the old one, which becomes useless. */
actions.set("trigger_recovery_shares_refresh", {
  check: checkNoArguments,
  perform() {
    ccf.node.triggerRecoverySharesRefresh();
  },
});

/** Gives the ledger a new key from the next transaction on. What was written before stays under the old key. */
actions.set("trigger_ledger_rekey", {
  check: checkNoArguments,
  perform() {
    ccf.node.triggerLedgerRekey();
  },
});

/** Ends the current ledger file at the next signature. For operators; members and users see no difference. */
actions.set("trigger_ledger_chunk", {
  check: anyArguments,
  perform() {
    ccf.node.triggerLedgerChunk();
  },
});

/** Writes a snapshot at the next signature. For operators; members and users see no difference. */
actions.set("trigger_snapshot", {
  check: anyArguments,
  perform() {
    ccf.node.triggerSnapshot();
  },
});

/** Changes some settings of the service and leaves the others as they are. */
function configureService(changes) {
  const configuration = serviceConfiguration().mustGet();
  const { reconfiguration_type: type, recovery_threshold: threshold } = changes;
  const typeBefore = configuration.reconfiguration_type;
  const thresholdBefore = configuration.recovery_threshold;

  const typeChanges = type !== undefined && type !== typeBefore;
  const knownChange = [undefined, "OneTransaction"].includes(typeBefore) && type === "TwoTransaction";
  must(!typeChanges || knownChange, `Cannot change the reconfiguration type from ${typeBefore} to ${type}`);

  const thresholdChanges = threshold !== undefined && threshold !== thresholdBefore;
  if (thresholdChanges) checkNewThreshold(threshold);

  for (const name of SERVICE_SETTINGS) {
    if (changes[name] !== undefined) configuration[name] = changes[name];
  }
  serviceConfiguration().set(configuration);
  // The shares that members hold fit the old threshold only.
  if (thresholdChanges) ccf.node.triggerRecoverySharesRefresh();
}

function checkNewThreshold(threshold) {
  const { status } = serviceInfo().mustGet();
  must(status !== "WaitingForRecoveryShares", "Cannot change the recovery threshold during a recovery");
  if (status !== "Open") return;
  const holders = activeKeyHolders();
  must(
    threshold <= holders,
    `Cannot set the recovery threshold to ${threshold}: only ${holders} active members hold an encryption key`,
  );
}
