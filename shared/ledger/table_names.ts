/**
 * Names of the tables that say something about the ledger itself. What is in each: the files that parse them.
 *
 * Format: ledger-and-receipts.md §10.2, §10.3. Every table of the service, typed, is in `governance/tables.ts`.
 */

export const SIGNATURES = "public:ccf.internal.signatures";
export const COSE_SIGNATURES = "public:ccf.internal.cose_signatures";
export const TREE = "public:ccf.internal.tree";

export const RECOVERY_SHARES = "public:ccf.internal.recovery_shares";
export const HISTORICAL_SECRET = "public:ccf.internal.historical_encrypted_ledger_secret";
export const SECRET_BROADCAST = "public:ccf.internal.encrypted_ledger_secrets";
export const SUBMITTED_SHARES = "public:ccf.internal.encrypted_submitted_shares";

export const SNAPSHOT_EVIDENCE = "public:ccf.internal.snapshot_evidence";
export const IDENTITY_ENDORSEMENT = "public:ccf.internal.previous_service_identity_endorsement";
export const LAST_SIGNED_ROOT = "public:ccf.internal.previous_service_last_signed_root";

export const SERVICE_INFO = "public:ccf.gov.service.info";
export const PREVIOUS_SERVICE_IDENTITY = "public:ccf.gov.service.previous_service_identity";
export const NODES_INFO = "public:ccf.gov.nodes.info";
export const NODES_ENDORSED_CERTIFICATES = "public:ccf.gov.nodes.endorsed_certificates";
export const MEMBERS_CERTS = "public:ccf.gov.members.certs";
export const USERS_CERTS = "public:ccf.gov.users.certs";
export const PROPOSALS = "public:ccf.gov.proposals";
export const COSE_HISTORY = "public:ccf.gov.cose_history";
