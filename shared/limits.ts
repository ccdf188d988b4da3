/**
 * Every named maximum of Quorate, in one place. Sizes are bytes unless the name says otherwise.
 *
 * A limit that a configuration may change is named `DEFAULT_…`.
 */

const KIB = 1024;
const MIB = 1024 * KIB;

// Numbers on the wire.
/** Seqnos and views are u64 in files and `number` in memory: 2^53 - 1 is the last safe one. */
export const MAX_SEQNO = Number.MAX_SAFE_INTEGER;
/** A view enters the AES-GCM IV as 31 bits (ledger-and-receipts.md §3.1). */
export const MAX_VIEW = 0x7fffffff;

// Ledger files.
/** The positions table of a chunk has 32-bit offsets, so a chunk ends below 4 GiB. */
export const MAX_CHUNK_BYTES = 0xffffffff;
/** One ledger entry. Its size field has 48 bits; no writer comes near this. */
export const MAX_ENTRY_BYTES = 256 * MIB;
/** A snapshot file. */
export const MAX_SNAPSHOT_BYTES = 1024 * MIB;
/** Files read from one ledger directory. */
export const MAX_LEDGER_FILES = 1_000_000;

// Small structured inputs.
export const MAX_CBOR_BYTES = 16 * MIB;
export const MAX_CBOR_DEPTH = 16;
export const MAX_DER_DEPTH = 32;
export const MAX_PEM_BYTES = MIB;
export const MAX_CERTIFICATE_BYTES = 64 * KIB;
/** Steps from a leaf to the root: a tree of 2^53 leaves has 53 levels. */
export const MAX_MERKLE_PATH_STEPS = 64;
/** Service identities that one endorsement chain may pass through, that is, disaster recoveries. */
export const MAX_ENDORSEMENT_CHAIN = 1024;
export const MAX_RECEIPT_BYTES = MIB;

// Secret sharing (ledger-and-receipts.md §4.3).
export const MAX_SHARES = 255;

// HTTP (operations.md §2).
export const DEFAULT_MAX_BODY_BYTES = MIB;
export const DEFAULT_MAX_HEADER_BYTES = 16 * KIB;
export const DEFAULT_MAX_HEADERS_COUNT = 256;
/** Header fields accepted from a listener of the runtime's own HTTP server (decisions.md §4). */
export const MAX_WEB_HEADERS_COUNT = 100;
export const DEFAULT_MAX_OPEN_SESSIONS_SOFT = 1000;
export const DEFAULT_MAX_OPEN_SESSIONS_HARD = 1010;
/** Requests of one connection that may wait for their answers before reading stops. */
export const MAX_PIPELINED_REQUESTS = 1024;
/** Requests handed to the enclave in one message. */
export const MAX_REQUESTS_PER_MESSAGE = 1024;

// JSON-RPC.
export const MAX_JSON_RPC_BATCH = 1000;

// Transactions.
/** Uncommitted transactions before new ones are refused (operations.md §2, `consensus.max_uncommitted_tx_count`). */
export const DEFAULT_MAX_UNCOMMITTED_TRANSACTIONS = 10_000;
/** Bytes of one table key or value. */
export const MAX_KEY_BYTES = MIB;
export const MAX_VALUE_BYTES = 64 * MIB;

// Signatures (operations.md §2).
export const DEFAULT_SIGNATURE_TX_COUNT = 5000;
export const DEFAULT_SIGNATURE_DELAY_MS = 1000;
export const DEFAULT_CHUNK_BYTES = 5 * MIB;
export const DEFAULT_SNAPSHOT_TX_COUNT = 10_000;

// JavaScript (js-apps.md §6).
export const DEFAULT_JS_HEAP_BYTES = 100 * MIB;
export const DEFAULT_JS_STACK_BYTES = MIB;
export const DEFAULT_JS_EXECUTION_TIME_MS = 5000;
export const DEFAULT_JS_CACHED_INTERPRETERS = 10;
