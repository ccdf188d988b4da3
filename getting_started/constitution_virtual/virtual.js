/**
 * Actions on trusted code for the virtual platform, where no hardware proves anything: whoever runs such a node can make
 * it claim what it likes. For trying things out, never for secrets.
 *
 * This folder holds what is added to `constitution`; a sandbox begins with both.
 */

const virtualMeasurements = () => jsonTable("public:ccf.gov.nodes.virtual.measurements");
const virtualHostData = () => textSet("public:ccf.gov.nodes.virtual.host_data");

/** Lets nodes join that claim to be this build. Other open proposals are dropped. */
actions.set("add_virtual_measurement", {
  check(args) {
    checkType("string", args.measurement, "measurement");
  },
  perform({ measurement }, proposalId) {
    virtualMeasurements().set(measurement, ALLOWED);
    dropOtherProposals(proposalId);
  },
});

/** Keeps nodes that claim to be this build out from now on. */
actions.set("remove_virtual_measurement", {
  check(args) {
    checkType("string", args.measurement, "measurement");
  },
  perform({ measurement }) {
    virtualMeasurements().delete(measurement);
  },
});

/** Lets nodes join whose program or policy has this digest, as they claim. Other open proposals are dropped. */
actions.set("add_virtual_host_data", {
  check(args) {
    checkType("string", args.host_data, "host_data");
  },
  perform({ host_data }, proposalId) {
    virtualHostData().add(host_data);
    dropOtherProposals(proposalId);
  },
});

/** Keeps nodes with this digest out from now on. */
actions.set("remove_virtual_host_data", {
  check(args) {
    checkType("string", args.host_data, "host_data");
  },
  perform({ host_data }) {
    virtualHostData().delete(host_data);
  },
});
