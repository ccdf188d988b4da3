/**
 * Actions on nodes, the machines that run the service. Which code they may run is decided in `trusted_code.js`.
 */

const nodeInfo = () => jsonTable("public:ccf.gov.nodes.info");

/**
 * Lets a node that waits take part: it receives the ledger's keys, keeps a copy of everything and serves users. Its code
 * was checked when it asked to join. Without effect on a node that does not wait.
 */
actions.set("transition_node_to_trusted", {
  check(args) {
    checkId(args.node_id, "node_id");
    checkValidity(args);
  },
  perform(args) {
    const node = existingNode(args.node_id);
    if (node.status !== "Pending") return;
    const ledger_secret_seqno = ccf.network.getLatestLedgerSecretSeqno();
    nodeInfo().set(args.node_id, { ...node, status: "Trusted", ledger_secret_seqno });
    if (node.certificate_signing_request !== undefined) endorse(args.node_id, node, args);
  },
});

/**
 * Takes a node out of the service. One that still waits is forgotten at once. One that takes part is retired: it stops
 * serving users once the other nodes know, and can then be switched off.
 */
actions.set("remove_node", {
  check(args) {
    checkId(args.node_id, "node_id");
  },
  perform({ node_id }) {
    const node = nodeInfo().get(node_id);
    if (node === undefined) return; // Already gone.
    if (node.status === "Pending") nodeInfo().delete(node_id);
    else nodeInfo().set(node_id, { ...node, status: "Retired" });
  },
});

/** Replaces what is noted about a node, e.g. where it stands. It runs on as before. */
actions.set("set_node_data", {
  check(args) {
    checkId(args.node_id, "node_id");
  },
  perform({ node_id, node_data }) {
    nodeInfo().set(node_id, { ...existingNode(node_id), node_data });
  },
});

/** Renews the certificate by which a trusted node is recognised, before it runs out. The node keeps its key. */
actions.set("set_node_certificate_validity", {
  check(args) {
    checkId(args.node_id, "node_id");
    checkValidity(args);
  },
  perform(args) {
    const node = existingNode(args.node_id);
    must(node.status === "Trusted", `Node ${args.node_id} is not trusted but ${node.status}`);
    endorse(args.node_id, node, args);
  },
});

/** The same for every trusted node. */
actions.set("set_all_nodes_certificate_validity", {
  check: checkValidity,
  perform(args) {
    for (const [nodeId, node] of nodeInfo().entries()) {
      if (node.status === "Trusted") endorse(nodeId, node, args);
    }
  },
});

function existingNode(nodeId) {
  const node = nodeInfo().get(nodeId);
  must(node !== undefined, `Node ${nodeId} does not exist`);
  return node;
}

/** The service signs a certificate for the key that the node named in its request. */
function endorse(nodeId, node, args) {
  must(node.certificate_signing_request !== undefined, `Node ${nodeId} has not asked for a certificate`);
  const days = validityDays(args, "maximum_node_certificate_validity_days");
  const cert = ccf.network.generateEndorsedCertificate(node.certificate_signing_request, args.valid_from, days);
  textTable("public:ccf.gov.nodes.endorsed_certificates").set(nodeId, cert);
}
