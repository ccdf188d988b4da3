/**
 * Every action of our constitution as a form: its fields with their types, in the words of who fills them in.
 *
 * In: nothing. Out: one specification for each action. Which of them a service knows is decided by its own constitution;
 * what is not here is written as JSON.
 * Format: governance.md §4.1; getting_started/constitution and constitution_virtual, which the test beside this compares
 */

export type Field =
  & {
    /** Name of the argument. */
    readonly name: string;
    readonly label: string;
    /** May be left out: then it is not in the JSON at all. */
    readonly isOptional?: boolean;
    readonly hint?: string;
  }
  & (
    | { readonly kind: "text" | "time" | "certificate" | "public key" | "source" | "bundle" | "boolean" }
    | { readonly kind: "id"; readonly of: "member" | "user" | "node" }
    | { readonly kind: "integer"; readonly min?: number; readonly max?: number }
    | { readonly kind: "choice"; readonly choices: readonly string[] }
    /** What JSON calls an object, or anything. */
    | { readonly kind: "json"; readonly isObject: boolean }
    | { readonly kind: "hex"; readonly digits: number }
  );

export type Theme = "Members" | "Users" | "Nodes" | "Trusted code" | "App" | "Service" | "Tokens";

export interface ActionForm {
  readonly name: string;
  readonly title: string;
  readonly theme: Theme;
  /** What it does, to whom. */
  readonly about: string;
  /** Once accepted, every other open proposal is dropped. */
  readonly dropsOthers?: boolean;
  readonly fields: readonly Field[];
}

const MEMBER_ID: Field = { name: "member_id", label: "Member", kind: "id", of: "member" };
const USER_ID: Field = { name: "user_id", label: "User", kind: "id", of: "user" };
const NODE_ID: Field = { name: "node_id", label: "Node", kind: "id", of: "node" };
const CERT: Field = { name: "cert", label: "Certificate (PEM)", kind: "certificate" };
const VALIDITY: readonly Field[] = [
  { name: "valid_from", label: "Valid from", kind: "time", hint: "UTC, such as 2026-01-31T00:00:00Z" },
  {
    name: "validity_period_days",
    label: "Valid for (days)",
    kind: "integer",
    min: 1,
    isOptional: true,
    hint: "Left out: as long as the service allows",
  },
];
const MEASUREMENT: Field = { name: "measurement", label: "Measurement", kind: "text", hint: "In hex" };
const hex = (name: string, label: string, digits: number): Field => ({ name, label, kind: "hex", digits });
const CPUID = hex("cpuid", "CPUID of the processor model", 8);
const TCB_STATUS: Field = {
  name: "status",
  label: "What Intel says of the platform",
  kind: "choice",
  choices: [
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "TDRelaunchAdvised",
    "TDRelaunchAdvisedConfigurationNeeded",
  ],
};
const ISSUER: Field = { name: "issuer", label: "Issuer", kind: "text", hint: "As in the tokens, mostly a URL" };
const JWKS: Field = { name: "jwks", label: "Key set (JWKS)", kind: "json", isObject: true };
const RECOVERY_THRESHOLD = { name: "recovery_threshold", label: "Recovery threshold", min: 1, max: 254 } as const;

/** An action that adds, by its fields; the removal takes the first of them. */
const trusted = (name: string, title: string, about: string, fields: readonly Field[]): ActionForm => ({
  name,
  title,
  theme: "Trusted code",
  about,
  fields,
});
const adds = (name: string, title: string, about: string, fields: readonly Field[]): ActionForm => ({
  ...trusted(name, title, about, fields),
  dropsOthers: true,
});

export const ACTION_FORMS: readonly ActionForm[] = [
  {
    name: "set_member",
    title: "Add or replace a member",
    theme: "Members",
    about: "The member can vote once it has acknowledged the state of the service with its own key.",
    fields: [
      CERT,
      {
        name: "encryption_pub_key",
        label: "Encryption key (PEM)",
        kind: "public key",
        isOptional: true,
        hint: "RSA; with it the member holds a recovery share",
      },
      { name: "member_data", label: "Data about the member", kind: "json", isObject: true, isOptional: true },
      {
        name: "recovery_role",
        label: "Recovery role",
        kind: "choice",
        choices: ["NonParticipant", "Participant", "Owner"],
        isOptional: true,
        hint: "Needs an encryption key. An owner can recover the service alone",
      },
    ],
  },
  {
    name: "remove_member",
    title: "Remove a member",
    theme: "Members",
    about: "It can no longer vote. If it held a recovery share, the ledger gets a new key.",
    fields: [MEMBER_ID],
  },
  {
    name: "set_member_data",
    title: "Change a member's data",
    theme: "Members",
    about: "Replaces what is noted about a member, such as its name. Its rights stay.",
    fields: [MEMBER_ID, { name: "member_data", label: "Data about the member", kind: "json", isObject: true }],
  },
  {
    name: "set_user",
    title: "Add or replace a user",
    theme: "Users",
    about: "Lets somebody with this certificate use the app.",
    fields: [CERT, { name: "user_data", label: "Data about the user", kind: "json", isObject: true, isOptional: true }],
  },
  {
    name: "remove_user",
    title: "Remove a user",
    theme: "Users",
    about: "Takes access to the app away. What the user wrote stays.",
    fields: [USER_ID],
  },
  {
    name: "set_user_data",
    title: "Change a user's data",
    theme: "Users",
    about: "Replaces what the app is told about a user; left out, it is removed.",
    fields: [USER_ID, {
      name: "user_data",
      label: "Data about the user",
      kind: "json",
      isObject: true,
      isOptional: true,
    }],
  },
  {
    name: "transition_node_to_trusted",
    title: "Let a waiting node take part",
    theme: "Nodes",
    about: "It receives the ledger's keys, keeps a copy of everything and serves users.",
    fields: [NODE_ID, ...VALIDITY],
  },
  {
    name: "remove_node",
    title: "Take a node out",
    theme: "Nodes",
    about: "One that waits is forgotten; one that takes part is retired, and can then be switched off.",
    fields: [NODE_ID],
  },
  {
    name: "set_node_data",
    title: "Change a node's data",
    theme: "Nodes",
    about: "Replaces what is noted about a node, such as where it stands.",
    fields: [NODE_ID, {
      name: "node_data",
      label: "Data about the node",
      kind: "json",
      isObject: false,
      isOptional: true,
    }],
  },
  {
    name: "set_node_certificate_validity",
    title: "Renew a node's certificate",
    theme: "Nodes",
    about: "The node keeps its key.",
    fields: [NODE_ID, ...VALIDITY],
  },
  {
    name: "set_all_nodes_certificate_validity",
    title: "Renew the certificates of all nodes",
    theme: "Nodes",
    about: "The nodes keep their keys.",
    fields: VALIDITY,
  },
  adds(
    "add_snp_measurement",
    "Trust an SEV-SNP measurement",
    "Nodes with it may join.",
    [MEASUREMENT],
  ),
  trusted("remove_snp_measurement", "No longer trust an SEV-SNP measurement", "Keeps such nodes out.", [MEASUREMENT]),
  adds("add_snp_host_data", "Trust an SEV-SNP security policy", "Nodes that are started so may join.", [
    {
      name: "security_policy",
      label: "Security policy",
      kind: "source",
      hint: "Its SHA-256 must be the host data; empty: nobody can read what is trusted",
    },
    { name: "host_data", label: "Host data", kind: "text", hint: "SHA-256 of the policy, in hex" },
  ]),
  trusted("remove_snp_host_data", "No longer trust an SEV-SNP security policy", "Keeps such nodes out.", [
    { name: "host_data", label: "Host data", kind: "text", hint: "In hex" },
  ]),
  adds(
    "add_snp_uvm_endorsement",
    "Trust a signer of SEV-SNP images",
    "Whatever this signer vouches for under this name, from this version on, without another vote.",
    [
      { name: "did", label: "Signer (DID)", kind: "text" },
      { name: "feed", label: "Name of the image (feed)", kind: "text" },
      { name: "svn", label: "Lowest security version", kind: "text", hint: "Digits, as text" },
    ],
  ),
  trusted("remove_snp_uvm_endorsement", "No longer trust a signer of SEV-SNP images", "Keeps such nodes out.", [
    { name: "did", label: "Signer (DID)", kind: "text" },
    { name: "feed", label: "Name of the image (feed)", kind: "text" },
  ]),
  adds(
    "set_snp_minimum_tcb_version",
    "Demand firmware of SEV-SNP, part by part",
    "Processors of this model must run at least these versions.",
    [CPUID, {
      name: "tcb_version",
      label: "Lowest versions",
      kind: "json",
      isObject: true,
      hint: 'Such as {"boot_loader": 4, "tee": 0, "snp": 24, "microcode": 219}',
    }],
  ),
  adds(
    "set_snp_minimum_tcb_version_hex",
    "Demand firmware of SEV-SNP, as the processor writes it",
    "Processors of this model must run at least these versions.",
    [CPUID, hex("tcb_version", "Lowest versions", 16)],
  ),
  trusted(
    "remove_snp_minimum_tcb_version",
    "Demand no firmware of a model any more",
    "Nodes on such processors can then not join at all.",
    [CPUID],
  ),
  adds("add_node_code", "Trust an SGX build of before CCF 6.0", "Nobody joins by that table any more.", [
    { name: "code_id", label: "Measurement", kind: "text", hint: "In hex" },
  ]),
  trusted("remove_node_code", "No longer trust an SGX build of before CCF 6.0", "Takes it out of that table.", [
    { name: "code_id", label: "Measurement", kind: "text", hint: "In hex" },
  ]),
  adds("add_sgx_measurement", "Trust an SGX build", "Named by MRENCLAVE.", [hex("measurement", "MRENCLAVE", 64)]),
  trusted("remove_sgx_measurement", "No longer trust an SGX build", "Keeps such nodes out.", [
    hex("measurement", "MRENCLAVE", 64),
  ]),
  adds("add_tdx_measurement", "Trust a TDX measurement", "All that a domain was started with.", [
    hex("measurement", "MRTD, RTMR0, RTMR1, RTMR2, RTMR3", 480),
  ]),
  trusted("remove_tdx_measurement", "No longer trust a TDX measurement", "Keeps such nodes out.", [
    hex("measurement", "MRTD, RTMR0, RTMR1, RTMR2, RTMR3", 480),
  ]),
  adds("add_tdx_host_data", "Trust a TDX security policy", "Named by MRCONFIGID.", [
    {
      name: "security_policy",
      label: "Security policy",
      kind: "source",
      hint: "Its SHA-256, then 32 zeros, must be the host data; empty: nobody can read what is trusted",
    },
    hex("host_data", "MRCONFIGID", 96),
  ]),
  trusted("remove_tdx_host_data", "No longer trust a TDX security policy", "Keeps such nodes out.", [
    hex("host_data", "MRCONFIGID", 96),
  ]),
  adds("add_dcap_tcb_status", "Accept a state of Intel platforms", "Nodes on such platforms may join.", [TCB_STATUS]),
  trusted("remove_dcap_tcb_status", "No longer accept a state of Intel platforms", "Keeps such nodes out.", [
    TCB_STATUS,
  ]),
  adds(
    "add_virtual_measurement",
    "Trust a virtual measurement",
    "Only for trying things out: no hardware proves it.",
    [{ name: "measurement", label: "Measurement", kind: "text" }],
  ),
  trusted("remove_virtual_measurement", "No longer trust a virtual measurement", "Keeps such nodes out.", [
    { name: "measurement", label: "Measurement", kind: "text" },
  ]),
  adds("add_virtual_host_data", "Trust virtual host data", "Only for trying things out: no hardware proves it.", [
    { name: "host_data", label: "Host data", kind: "text" },
  ]),
  trusted("remove_virtual_host_data", "No longer trust virtual host data", "Keeps such nodes out.", [
    { name: "host_data", label: "Host data", kind: "text" },
  ]),
  {
    name: "set_js_app",
    title: "Replace the app",
    theme: "App",
    about: "What users stored stays, and from then on this code decides who may read and change it.",
    fields: [
      { name: "bundle", label: "App bundle", kind: "bundle", hint: "JSON with modules and metadata" },
      { name: "disable_bytecode_cache", label: "Compile at each call", kind: "boolean", isOptional: true },
    ],
  },
  {
    name: "remove_js_app",
    title: "Remove the app",
    theme: "App",
    about: "Users can call nothing until another is set. What they stored stays.",
    fields: [],
  },
  {
    name: "set_js_runtime_options",
    title: "Change the app's limits",
    theme: "App",
    about: "How much memory and time one call may take, and whether its errors are shown to callers.",
    fields: [
      { name: "max_heap_bytes", label: "Heap (bytes)", kind: "integer", min: 0 },
      { name: "max_stack_bytes", label: "Stack (bytes)", kind: "integer", min: 0 },
      { name: "max_execution_time_ms", label: "Time of a call (ms)", kind: "integer", min: 0 },
      { name: "log_exception_details", label: "Log details of errors", kind: "boolean", isOptional: true },
      { name: "return_exception_details", label: "Tell callers details of errors", kind: "boolean", isOptional: true },
      { name: "max_cached_interpreters", label: "Interpreters kept", kind: "integer", min: 0, isOptional: true },
    ],
  },
  {
    name: "refresh_js_app_bytecode_cache",
    title: "Compile the app again",
    theme: "App",
    about: "For the nodes' present version; the app stays as it is.",
    fields: [],
  },
  {
    name: "set_constitution",
    title: "Replace the constitution",
    theme: "Service",
    about: "It decides what can be proposed afterwards and whose votes count. Read all of the new text.",
    dropsOthers: true,
    fields: [{ name: "constitution", label: "Constitution", kind: "source" }],
  },
  {
    name: "transition_service_to_open",
    title: "Open the service",
    theme: "Service",
    about: "To its users; after a recovery, members are then asked for their shares.",
    fields: [
      { name: "next_service_identity", label: "Identity of this service (PEM)", kind: "certificate" },
      {
        name: "previous_service_identity",
        label: "Identity of the service that it continues (PEM)",
        kind: "certificate",
        isOptional: true,
        hint: "Needed after a recovery",
      },
    ],
  },
  {
    name: "assert_service_identity",
    title: "Make sure which service it is for",
    theme: "Service",
    about: "Changes nothing, and cannot be proposed to any other service. Put it first.",
    fields: [{ name: "service_identity", label: "Identity of the service (PEM)", kind: "certificate" }],
  },
  {
    name: "set_recovery_threshold",
    title: "Change the recovery threshold",
    theme: "Service",
    about: "How many members must come together to recover the service. Every member receives a new share.",
    fields: [{ ...RECOVERY_THRESHOLD, kind: "integer" }],
  },
  {
    name: "set_service_configuration",
    title: "Change settings of the service",
    theme: "Service",
    about: "The recovery threshold, and how many recent proposals are remembered to recognise a copy.",
    fields: [
      { ...RECOVERY_THRESHOLD, kind: "integer", isOptional: true },
      {
        name: "recent_cose_proposals_window_size",
        label: "Recent proposals remembered",
        kind: "integer",
        min: 1,
        max: 10_000,
        isOptional: true,
      },
      { name: "reconfiguration_type", label: "Reconfiguration type", kind: "text", isOptional: true },
    ],
  },
  {
    name: "set_service_certificate_validity",
    title: "Renew the service's certificate",
    theme: "Service",
    about: "The service keeps its key; whoever trusts the certificate itself must be given the new one.",
    fields: VALIDITY,
  },
  {
    name: "trigger_recovery_shares_refresh",
    title: "Give every member a new recovery share",
    theme: "Service",
    about: "The old ones become useless.",
    fields: [],
  },
  {
    name: "trigger_ledger_rekey",
    title: "Give the ledger a new key",
    theme: "Service",
    about: "From the next transaction on; what was written before stays under the old key.",
    fields: [],
  },
  {
    name: "trigger_ledger_chunk",
    title: "End the ledger file",
    theme: "Service",
    about: "At the next signature; for operators.",
    fields: [],
  },
  {
    name: "trigger_snapshot",
    title: "Write a snapshot",
    theme: "Service",
    about: "At the next signature; for operators.",
    fields: [],
  },
  {
    name: "set_ca_cert_bundle",
    title: "Store authorities for issuers' web sites",
    theme: "Tokens",
    about: "Replaces what had the name before.",
    fields: [
      { name: "name", label: "Name", kind: "text" },
      { name: "cert_bundle", label: "Certificates (PEM)", kind: "certificate" },
    ],
  },
  {
    name: "remove_ca_cert_bundle",
    title: "Forget authorities",
    theme: "Tokens",
    about: "Keys of issuers that name them are not fetched any more.",
    fields: [{ name: "name", label: "Name", kind: "text" }],
  },
  {
    name: "set_jwt_issuer",
    title: "Accept an issuer of tokens",
    theme: "Tokens",
    about: "The app serves holders of tokens that were signed with one of its keys.",
    fields: [
      ISSUER,
      { name: "auto_refresh", label: "Nodes fetch its keys again and again", kind: "boolean", isOptional: true },
      {
        name: "ca_cert_bundle_name",
        label: "Authorities by name",
        kind: "text",
        isOptional: true,
        hint: "Needed to fetch keys",
      },
      { ...JWKS, isOptional: true },
    ],
  },
  {
    name: "set_jwt_public_signing_keys",
    title: "Replace an issuer's keys",
    theme: "Tokens",
    about: "Tokens signed with keys that are not among the new ones stop being accepted.",
    fields: [ISSUER, JWKS],
  },
  {
    name: "remove_jwt_issuer",
    title: "No longer accept an issuer",
    theme: "Tokens",
    about: "What its users wrote stays.",
    fields: [ISSUER],
  },
  {
    name: "cleanup_legacy_jwt_records",
    title: "Clear issuers' keys of older versions",
    theme: "Tokens",
    about: "Nobody reads those tables now.",
    fields: [
      { name: "ensure_new_records_exist", label: "Fail without newer records", kind: "boolean", isOptional: true },
    ],
  },
];

const BY_NAME = new Map(ACTION_FORMS.map((form) => [form.name, form]));

/** undefined: a custom action of some constitution, which is written as JSON. */
export function actionForm(name: string): ActionForm | undefined {
  return BY_NAME.get(name);
}

/**
 * What an action starts with: `cleanup_legacy_jwt_records` and the settings want arguments, if only empty ones, and
 * those that trigger something want none at all.
 */
export function emptyAction(form: ActionForm): { readonly name: string; readonly args?: Record<string, unknown> } {
  if (form.fields.length === 0) return { name: form.name };
  const args: Record<string, unknown> = {};
  for (const field of form.fields) if (!field.isOptional) args[field.name] = startOf(field);
  return { name: form.name, args };
}

function startOf(field: Field): unknown {
  switch (field.kind) {
    case "boolean":
      return false;
    case "json":
      return {};
    case "bundle":
      return { metadata: { endpoints: {} }, modules: [] };
    case "choice":
      return field.choices[0];
    case "time":
    case "text":
    case "certificate":
    case "public key":
    case "source":
    case "id":
    case "hex":
    case "integer": // The least that may be given is no harmless start: a lower threshold is a proposal of its own.
      return "";
  }
}
