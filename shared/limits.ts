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
/** Views that a view history lists, so that a hostile one does not fill the memory: an election a second for half a year. */
export const MAX_VIEWS = 16 * 1024 * 1024;

// Consensus.
/** Entries in one AppendEntries; the formula for the size of batches gives no more (consensus.md §9). */
export const MAX_ENTRIES_PER_APPEND = 10_000;
/** AppendEntries that one sending makes for one peer: a new node is not handed the whole ledger in one go. */
export const MAX_APPENDS_PER_SENDING = 64;
/** Retired nodes whose requests for votes are still known to be those of retired nodes. */
export const MAX_RETIRED_NODES = 10_000;

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
/** Contents of one OBJECT IDENTIFIER; the longest in use carry a 128-bit number of 19 bytes. */
export const MAX_OID_BYTES = 64;
export const MAX_PEM_BYTES = MIB;
export const MAX_CERTIFICATE_BYTES = 64 * KIB;
/** Extensions of one certificate, request or revocation list; the most that chips have is a dozen. */
export const MAX_EXTENSIONS = 100;
/** A list of revoked certificates, and how many it may name: Intel's and AMD's name a few hundred at most. */
export const MAX_CRL_BYTES = 4 * MIB;
export const MAX_CRL_ENTRIES = 50_000;
/** Certificates from leaf to trusted one, both counted. CCF's own chains have at most three. */
export const MAX_CERTIFICATE_CHAIN = 10;
/** The same, where the chain arrives with evidence: chips have three, endorsements of utility VMs have three. */
export const MAX_EVIDENCE_CHAIN = 6;
/** The certificates that a host hands to its SEV-SNP guests: firmware takes 16 KiB, and knows four kinds. */
export const MAX_CERTIFICATE_TABLE_BYTES = 64 * KIB;
export const MAX_CERTIFICATE_TABLE_ENTRIES = 32;
/** Certificates offered to one chain check, trusted ones and intermediates together. */
export const MAX_CHAIN_CERTIFICATES = 512;
/** Signatures that one chain check may try, since many issuers may have one name. */
export const MAX_CHAIN_SIGNATURE_CHECKS = 64;
/** RSA moduli. AMD's roots have 4096 bits. */
export const MAX_RSA_MODULUS_BITS = 8192;
/** Public keys of which a table is kept to verify quickly: the nodes and services of a ledger, and busy callers. */
export const MAX_KNOWN_KEYS = 64;
/** Rounds of PBKDF2 in an encrypted key file: OpenSSL writes 2048. */
export const MAX_PBKDF2_ITERATIONS = 2_000_000;
/** Steps from a leaf to the root: a tree of 2^53 leaves has 53 levels. */
export const MAX_MERKLE_PATH_STEPS = 64;
/** Service identities that one endorsement chain may pass through, that is, disaster recoveries. */
export const MAX_ENDORSEMENT_CHAIN = 1024;
/** Certificates that a replay of a ledger keeps parsed. */
export const MAX_CACHED_CERTIFICATES = 1000;
/** Transactions in a row that no signature covers, in a replay that can go back to the last signature. */
export const MAX_UNSIGNED_TRANSACTIONS = 1_000_000;
/** Snapshots that a replay compares before their evidence has come. A node has at most five pending. */
export const MAX_PENDING_SNAPSHOTS = 1000;
/** Transactions between the one a proposal read and the one that wrote it, in a replay that derives proposal IDs. */
export const MAX_PROPOSAL_ROOT_DISTANCE = 50;
/** Findings that `ledger verify` lists one by one; of the rest it gives the number. */
export const MAX_LISTED_FINDINGS = 100_000;
export const MAX_RECEIPT_BYTES = MIB;
/** Transactions that one COSE receipt may prove. */
export const MAX_COSE_RECEIPT_PROOFS = 64;

/** Arrays and objects around a value in JSON that is written or checked; the deepest of CCF's own are eight. */
export const MAX_JSON_DEPTH = 512;

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
/** Request target and headers together; above what any one of `max_header_size` and `max_headers_count` allows alone. */
export const MAX_REQUEST_HEAD_BYTES = MIB;
/** Bytes parsed in one go, which is what a 400 answer shows of malformed input: one TLS record, as CCF reads them. */
export const MAX_PARSED_FRAGMENT_BYTES = 16 * KIB;
/** Answers of one connection joined into one write: no more are added once there is this much. */
export const MAX_WRITE_BYTES = MIB;
/** Client certificates of which it is remembered whether the runtime checks that the client has the key. */
export const MAX_REMEMBERED_CLIENT_CERTIFICATES = 1024;
/** Parsers of closed connections kept for new ones. */
export const MAX_POOLED_PARSERS = 1024;
/** After the last answer of a connection, time for the client to take it before the connection is cut. */
export const MAX_CLOSE_LINGER_MS = 2000;

// JSON-RPC.
export const MAX_JSON_RPC_BATCH = 1000;
/** Characters of JSON in the answers of one JSON-RPC request: a batch multiplies what one small call asks for. */
export const MAX_JSON_RPC_ANSWER_CHARACTERS = 16 * 1024 * 1024;
/** Characters of an unknown name that an error repeats. */
export const MAX_QUOTED_NAME_CHARACTERS = 200;

// Joining.
/** Redirects that a joining node follows before it begins again with the node that it was told of. */
export const MAX_JOIN_REDIRECTS = 20;
/** After which it is logged again, by the joining node and by the one that it asks, what has not changed. */
export const JOIN_LOG_REPEAT_MS = 60_000;
/** Nodes of which it is known why they were not let in, so as not to log it every time. */
export const MAX_REFUSED_JOINERS = 64;
/** Characters of another node's answer that a log repeats. */
export const MAX_QUOTED_ANSWER_CHARACTERS = 1000;

// Transactions.
/** Uncommitted transactions before new ones are refused (operations.md §2, `consensus.max_uncommitted_tx_count`). */
export const DEFAULT_MAX_UNCOMMITTED_TRANSACTIONS = 10_000;
/** Characters of a table name: every entry that changes the table repeats it. */
export const MAX_TABLE_NAME_CHARACTERS = KIB;
/** Bytes of one table key or value. */
export const MAX_KEY_BYTES = MIB;
export const MAX_VALUE_BYTES = 64 * MIB;
/** Keys and values that one transaction writes, together: an entry has room for them and all that goes with them. */
export const MAX_TRANSACTION_BYTES = 128 * MIB;

// Signatures (operations.md §2).
export const DEFAULT_SIGNATURE_TX_COUNT = 5000;
/** CCF's is 1000. A signature costs 2 to 3 ms, and whoever waits for a commit waits for half of this on average. */
export const DEFAULT_SIGNATURE_DELAY_MS = 100;
/** Sooner where nothing more is written for so long: then a signature keeps nobody waiting. */
export const SIGNATURE_QUIET_MS = 10;
export const DEFAULT_CHUNK_BYTES = 5 * MIB;
export const DEFAULT_SNAPSHOT_TX_COUNT = 10_000;

// Governance.
/** Proposals that are remembered, so that none counts twice (governance.md §3.2); members may set 1 to 10000. */
export const DEFAULT_RECENT_PROPOSALS_WINDOW = 100;
/** Missing votes of which a dry run tries every combination. */
export const MAX_DRY_RUN_MISSING_VOTES = 6;
/** All scripts of one dry run together. */
export const MAX_DRY_RUN_MS = 1000;
/** Of one member, and of all, in a window. */
export const MAX_DRY_RUN_MS_PER_MEMBER = 5000;
export const MAX_DRY_RUN_MS_PER_WINDOW = 15_000;
/** Dry runs of one member in a window. */
export const MAX_DRY_RUNS_PER_WINDOW = 60;
export const DRY_RUN_WINDOW_MS = 60_000;
/** Changed rows that a dry run lists, and bytes of a value that it shows whole. */
export const MAX_DRY_RUN_CHANGES = 1000;
export const MAX_DRY_RUN_VALUE_CHARACTERS = 4096;

// JavaScript (js-apps.md §6).
export const DEFAULT_JS_HEAP_BYTES = 100 * MIB;
export const DEFAULT_JS_STACK_BYTES = MIB;
export const DEFAULT_JS_EXECUTION_TIME_MS = 5000;
export const DEFAULT_JS_CACHED_INTERPRETERS = 10;
/** No configured limit reaches beyond these; a script's memory has some room over its heap for gaps between blocks. */
export const MAX_JS_HEAP_BYTES = 512 * MIB;
export const MAX_JS_MEMORY_BYTES = 768 * MIB;
export const MAX_JS_EXECUTION_TIME_MS = 10 * 60 * 1000;
export const MAX_JS_CACHED_INTERPRETERS = 100;
/** Programs whose evaluated modules are kept: one for each entry module of the app, the constitution, recent ballots. */
export const MAX_JS_PROGRAM_IMAGES = 64;
/** Modules that fill more memory than this are evaluated anew for each call. */
export const MAX_JS_IMAGE_BYTES = 4 * MIB;
/** Calls within 16 MiB after one that needed more, before its memory is given back. */
export const MAX_JS_CALLS_BEFORE_GIVING_BACK = 10_000;
/** Of a line that is searched for a function, to write a stack trace. */
export const MAX_JS_TRACED_LINE_CHARACTERS = 2000;
/** Modules that one program may import, the entry included. */
export const MAX_JS_MODULES = 10_000;
/** A script call inside a script call: a constitution that checks another one. */
export const MAX_JS_NESTED_CALLS = 4;

// The host's configuration and files.
/** The configuration, and each text file it names (a constitution is about 50 KiB). */
export const MAX_CONFIG_BYTES = MIB;
export const MAX_CONFIGURED_FILE_BYTES = 16 * MIB;
export const MAX_RPC_INTERFACES = 64;
/** Mistakes of a configuration told at once. */
export const MAX_CONFIG_PROBLEMS = 20;
/** Unwritten ledger entries that are written without waiting for a signature. */
export const LEDGER_WRITE_BYTES = 256 * KIB;
/** Ledger entries held in memory while the disk refuses them; beyond, the node cannot go on. */
export const MAX_UNWRITTEN_LEDGER_BYTES = 256 * MIB;
/** One read while the entries of an open chunk are looked for. */
export const LEDGER_SCAN_BYTES = MIB;
/** Ledger files held open for reading, with their positions tables. */
export const MAX_OPEN_LEDGER_FILES = 64;
/** Attempts of one read that a rollback or a renamed file gets in the way of. */
export const MAX_LEDGER_READ_ATTEMPTS = 4;
/** Looking again for new files in read-only directories. */
export const READ_ONLY_RESCAN_INTERVAL_MS = 1000;
/** `.ignored` files of one name. */
export const MAX_IGNORED_COPIES = 1000;
export const MAX_SNAPSHOT_FILES = 100_000;
export const MAX_LOG_MESSAGE_CHARACTERS = 64 * KIB;

// Deno KV refuses more than 64 KiB a value, 800 KiB and 1000 mutations an atomic write, 80 KiB of keys in it, 2 KiB a key.
export const MAX_INDEX_VALUE_BYTES = 60 * KIB;
export const MAX_INDEX_ATOMIC_MUTATIONS = 500;
export const MAX_INDEX_ATOMIC_BYTES = 700 * KIB;
export const MAX_INDEX_ATOMIC_KEY_BYTES = 64 * KIB;
/** Table names and keys longer than this are indexed by their digest. */
export const MAX_INDEX_KEY_PART_BYTES = 256;
/** Ledger bytes and entries that the index reads at once. */
export const INDEX_READ_BYTES = MIB;
export const MAX_INDEX_READ_ENTRIES = 4096;
/** Seqnos that one look-up in the index returns. */
export const MAX_INDEX_RESULTS = 10_000;

// Channels between nodes (nodes-and-attestation.md §1.2, §1.3).
/** One message of a key exchange: a certificate in PEM, and little more. */
export const MAX_KEY_EXCHANGE_BYTES = 128 * KIB;
/** Of each of three kinds of connections (enclave/channels/check_budget.ts); each check takes a few milliseconds. */
export const MAX_KEY_EXCHANGE_CHECKS_PER_SECOND = 50;
/** On one connection. An honest one needs one or two in two seconds. */
export const MAX_KEY_EXCHANGE_CHECKS_OF_CONNECTION = 10;
/** Connections whose checks are counted, also when they have been closed. */
export const MAX_CHECKED_CONNECTIONS = 1024;
/** Nodes that showed an endorsed certificate, or that this node speaks to. */
export const MAX_CHANNELS = 128;
/** Nodes of which nothing has come but frames with their ID, which anybody can send. */
export const MAX_CLAIMED_CHANNELS = 64;
/** Forwarded messages that wait for a key, as in CCF. */
export const MAX_WAITING_FORWARDED = 10;
/** Lines on channels in a window: anybody can cause one. */
export const MAX_CHANNEL_LOG_LINES = 20;
export const CHANNEL_LOG_WINDOW_MS = 10_000;

// Reading the ledger (operator feature LedgerRead).
/** Entries in one answer; one alone may be larger. */
export const MAX_LEDGER_ANSWER_BYTES = MIB;
/** Seqnos in one answer. */
export const MAX_LEDGER_WRITES = 1000;
/** Of a snapshot in one answer, whatever range is asked for: joining nodes ask for 4 MiB. */
export const MAX_SNAPSHOT_ANSWER_BYTES = 64 * MIB;

// Historical queries.
/** Past transactions kept ready, with their receipts. */
export const MAX_HISTORICAL_STATES = 1000;
/** Their entries and the signatures over them together (operations.md §2, `historical_cache_soft_limit`). */
export const MAX_HISTORICAL_BYTES = 512 * MIB;
/** Entries read at once, and their bytes, while the signature over one of before a node's own time is looked for. */
export const HISTORICAL_SEARCH_ENTRIES = 128;
export const MAX_HISTORICAL_READ_BYTES = 4 * MIB;
/** After which a host that has not answered is asked again. */
export const HISTORICAL_RETRY_MS = 5000;

// Snapshots.
/** Snapshots whose names and sizes the enclave keeps, to tell joining nodes of them. */
export const MAX_REMEMBERED_SNAPSHOTS = 1000;
/** Snapshots whose evidence is in the ledger and not yet committed (ledger-and-receipts.md §9.3). */
export const MAX_UNPROVED_SNAPSHOTS = 5;
/** A piece of a snapshot, which is encrypted and sent to the host in one go: whole blocks of AES. */
export const SNAPSHOT_PART_BYTES = 64 * KIB;
/** Keys that are hashed, or written, without a break: about as long as a part of long values takes. */
export const SNAPSHOT_WORK_KEYS = 512;
/** Keys of a table that are put in order together. */
export const SNAPSHOT_SORTED_KEYS = 512;
/** Pieces of work on a snapshot in one go, each about half a millisecond: while there are writes, and while there are none. */
export const SNAPSHOT_BUSY_WORK = 3;
export const SNAPSHOT_IDLE_WORK = 12;
/** Time between them, which belongs to requests; while there are writes so many of those, or at most so long. */
export const SNAPSHOT_PAUSE_MS = 10;
export const SNAPSHOT_BUSY_TRANSACTIONS = 500;
export const MAX_SNAPSHOT_PAUSE_MS = 50;
/** Sent to the host and not yet written by it: a disk that is slower than we are must not fill the memory. */
export const MAX_UNWRITTEN_SNAPSHOT_BYTES = 8 * MIB;

// Joining.
/** Ledger secrets that a joining node takes: one for each rekey and recovery of its service. */
export const MAX_JOIN_SECRETS = 100_000;
/** Messages of other nodes that one which waits to be trusted keeps, one of each connection. */
export const MAX_EARLY_KEY_EXCHANGES = 16;
/** Nodes that have asked to join and that members have not decided on. */
export const MAX_PENDING_NODES = 64;
/** Nodes of a service that is not open yet, which takes those that ask without a decision. */
export const MAX_NODES_BEFORE_OPENING = 64;
/** Of the body of a request to join. Evidence of hardware, with its certificates, has 20 KB. */
export const MAX_JOIN_REQUEST_BYTES = 128 * KIB;
/** What the operator of a node says of it, as JSON. */
export const MAX_NODE_DATA_BYTES = 16 * KIB;
/** Evidence of a node's platform: a report of SEV-SNP has 1184 bytes, one of SGX came with its certificates. */
export const MAX_EVIDENCE_BYTES = 64 * KIB;
/** All that comes with evidence to endorse it: three certificates, or a signed statement. */
export const MAX_ENDORSEMENTS_BYTES = 256 * KIB;
/** The name of an issuer (did:x509), what it may want of a signer's certificate, and a kind of VM that it signs for. */
export const MAX_DID_CHARACTERS = 2048;
export const MAX_DID_PREDICATES = 16;
export const MAX_FEED_CHARACTERS = 1024;
/** JSON that Intel signs about a kind of platform or an enclave; 20 levels of a platform make 8 KB. */
export const MAX_STATEMENT_CHARACTERS = 256 * KIB;
export const MAX_STATEMENT_DEPTH = 16;
/** Levels of a platform, a module or an enclave in it, and security advisories of one of them. */
export const MAX_TCB_LEVELS = 1000;
export const MAX_ADVISORIES = 1000;
/** A file of test vectors of evidence, the vectors and the negatives in it, one file that it names, and changes of one. */
export const MAX_VECTORS_JSON_BYTES = 64 * MIB;
export const MAX_VECTORS = 10_000;
export const MAX_VECTOR_FILE_BYTES = 16 * MIB;
export const MAX_VECTOR_MUTATIONS = 100;
export const MAX_VECTOR_PATH_CHARACTERS = 1024;
/** Of the measurement that virtual evidence claims. */
export const MAX_VIRTUAL_MEASUREMENT_CHARACTERS = 1024;

// Asking hardware for evidence (attestation/formats.md §5).
/** Attempts at a report that nobody else disturbs, and at a name for its directory. */
export const MAX_TSM_ATTEMPTS = 5;
/** How often, and how long, the kernel's provider may be busy with an earlier request: a quote of TDX takes seconds. */
export const MAX_TSM_BUSY_WAITS = 50;
export const TSM_BUSY_WAIT_MS = 200;
/** What one report, quote or table of certificates may have; newer kernels would give 16 MiB. */
export const MAX_TSM_REPORT_BYTES = 64 * KIB;
/** A larger answer of TDX is a token of another kind (the ABI's rule). */
export const MAX_TDX_QUOTE_BYTES = 8 * KIB;
/** The hypervisor limits how often the security processor is asked, to about twice a second. */
export const MAX_SEV_GUEST_WAITS = 20;
export const SEV_GUEST_WAIT_MS = 500;
/** Certificates that come with a report; Linux takes no more (`SEV_FW_BLOB_MAX_SIZE`). */
export const MAX_SEV_CERTIFICATE_BYTES = 16 * KIB;
/** A secret that a node seals for its own next start. */
export const MAX_SEALED_BYTES = 64 * KIB;
/** Endorsements from a server: one request from the look-up of its name on, its answer, and what lies between two. */
export const MAX_ENDORSEMENTS_REQUEST_MS = 10_000;
export const MAX_ENDORSEMENTS_ANSWER_BYTES = 128 * KIB;
export const ENDORSEMENTS_RETRY_MS = 1000;
/** What a server may ask for with `retry-after`. */
export const MAX_ENDORSEMENTS_RETRY_MS = 60_000;
/** An answer of Intel's service: a list of revoked certificates may be long. Attempts after the first, of all four. */
export const MAX_PCS_ANSWER_BYTES = MIB;
export const PCS_RETRIES = 3;
/** Servers (operations.md §2), and what may be configured as `max_retries_count`. */
export const MAX_ENDORSEMENTS_SERVERS = 16;
export const MAX_ENDORSEMENTS_RETRIES = 100;

// What a ledger says about its nodes.
/** Nodes, changes of what may join, and things that are wrong with any of it, each; after which nobody reads on. */
export const MAX_TRUST_EVENTS = 100_000;
/** Of a ledger that is read from a node to verify its evidence, entry by entry. */
export const MAX_TRUST_LEDGER_BYTES = 4 * 1024 * MIB;
/** Addresses of nodes that are asked for it. */
export const MAX_TRUST_LEDGER_SOURCES = 16;
/** Of a ledger that is kept in an evidence bundle, and characters of the whole file: base64 is a third longer. */
export const MAX_BUNDLE_LEDGER_BYTES = 64 * MIB;
export const MAX_BUNDLE_CHARACTERS = 96 * MIB;
/** Evidence of hardware that a node checks for those who want to join: up to 11 ms each, on the thread that leads. */
export const MAX_EVIDENCE_CHECKS_PER_SECOND = 10;
/** By which a bundle of evidence may have been saved later than it is now: clocks differ. */
export const MAX_BUNDLE_AHEAD_MS = 5 * 60_000;
/** Of a directory with what vouches for evidence. */
export const MAX_COLLATERAL_FILES = 100;

// Between host and enclave.
/** Messages to the enclave that are not answered yet; what comes meanwhile waits and travels together. */
export const MAX_ENCLAVE_BATCHES_IN_FLIGHT = 6;
/** Inputs that wait for the enclave before what other nodes send is left with them. Clients wait for answers anyway. */
export const MAX_WAITING_INPUTS = 1024;
/** Inputs in a message, unless that many messages are under way already. */
export const ENCLAVE_BATCH_INPUTS = 8;
/** How long a host waits for the enclave's last signature. */
export const MAX_ENCLAVE_STOP_MS = 10_000;
/** How often the enclave is told of sessions and memory. */
export const METRICS_INTERVAL_MS = 100;

// Between nodes (nodes-and-attestation.md §1.1).
/** One message with the entries that travel with it; one entry always has room. */
export const MAX_PEER_FRAME_BYTES = MAX_ENTRY_BYTES + MIB;
/** Memory taken for a message whose length is announced, before any of it has come. */
export const PEER_FRAME_ROOM_BYTES = MIB;
/** Unfinished messages of all incoming connections together. */
export const MAX_PEER_UNFINISHED_BYTES = 2 * MAX_PEER_FRAME_BYTES;
/** Incoming connections; and those from one address of which nothing has proved that they are a node's. */
export const MAX_PEER_CONNECTIONS = 256;
export const MAX_PEER_CONNECTIONS_OF_ADDRESS = 64;
/** An incoming connection may prove that it is a node's for so long before it makes room for another. */
export const PEER_PROOF_MS = 5000;
/** Connections taken from one address: so many a second, after so many at once; and the addresses counted. */
export const MAX_PEER_ACCEPTS_PER_SECOND = 16;
export const MAX_PEER_ACCEPTS_AT_ONCE = 128;
export const MAX_PEER_ADDRESSES = 1024;
/** An incoming connection that completes no message in so long is closed: idle, or sending one byte at a time. */
export const MAX_PEER_FRAME_MS = 60_000;
/** Messages to one node that wait to be sent, and their bytes without entries, which are read when they leave. */
export const MAX_PEER_QUEUE_MESSAGES = 4096;
export const MAX_PEER_QUEUE_BYTES = 64 * MIB;
/** Messages joined into one write: no more are added once there is this much. */
export const MAX_PEER_WRITE_BYTES = MIB;
export const MAX_PEER_CONNECT_MS = 2000;
/** Between attempts to connect: doubled from the first up to the last. */
export const PEER_RETRY_MS = 50;
export const MAX_PEER_RETRY_MS = 1000;
/** A node that answers nothing for so long is connected to anew: the old connection may be in a black hole. */
export const MAX_PEER_SILENCE_MS = 4000;
/** Lines on connections between nodes in a minute: anybody can cause one. */
export const MAX_PEER_LOG_LINES = 60;
/** Entries appended last that are kept in memory, so that no file is read to send them; and a piece of that memory. */
export const RECENT_ENTRIES_BYTES = 16 * MIB;
export const RECENT_ENTRIES_BLOCK_BYTES = MIB;

// Requests that one node forwards to another.
/** How long a client waits for another node's answer (operations.md §2, `forwarding_timeout_ms`). */
export const DEFAULT_FORWARDING_TIMEOUT_MS = 3000;
/** How long its answer is waited for once another node is primary: what it has sent is under way. */
export const FORWARDED_GRACE_MS = 100;
/** Of this node's clients, waiting for the primary's answer. */
export const MAX_FORWARDED_REQUESTS = 10_000;
/** One request or response on its way between nodes: less than what may wait for a connection. */
export const MAX_FORWARDED_BYTES = 32 * MIB;
/** Characters of answers of JSON-RPC batches that wait for the rest of their batch. */
export const MAX_HELD_ANSWER_CHARACTERS = 64 * MIB;
/** Of other nodes' clients, whose certificates are kept parsed. */
export const MAX_FORWARDED_SESSIONS = 1024;

/** A request to another node, from the look-up of its name to the last byte; and the answer's body. */
export const MAX_OUTBOUND_REQUEST_MS = 10_000;
export const MAX_OUTBOUND_ANSWER_BYTES = 16 * MIB;

// Fetching a snapshot from another node (nodes-and-attestation.md §3.3).
export const MAX_SNAPSHOT_REDIRECTS = 20;
/** Of a snapshot, asked for at once. */
export const SNAPSHOT_RANGE_BYTES = 4 * MIB;
/** One such request, with its answer. */
export const MAX_SNAPSHOT_REQUEST_MS = 30_000;

// Sandbox.
export const MAX_SANDBOX_NODES = 5;
export const MAX_SANDBOX_MEMBERS = 254;
export const MAX_SANDBOX_USERS = 1000;
/** A node of several: until it is part of the network, how often that is asked, and how long it may take to stop. */
export const MAX_SANDBOX_START_MS = 60_000;
export const SANDBOX_POLL_MS = 50;
export const MAX_SANDBOX_STOP_MS = 15_000;
/** One that does not answer: how long it is looked at whether it has ended. */
export const SANDBOX_END_MS = 1000;
/** Of a line of its log that is shown. */
export const MAX_SHOWN_LOG_CHARACTERS = 200;

// Command line.
/** How often `call --wait` asks, a second apart. */
export const MAX_CALL_ATTEMPTS = 30;
/** Characters of an argument or a text that is shown of a proposal; of longer ones the rest is told by its digest. */
export const MAX_SHOWN_ARGUMENT_CHARACTERS = 200;
/** Bytes of a file that `member prepare` wrote: a proposal may be as large as an app, and stands in it twice in base64. */
export const MAX_PREPARED_FILE_BYTES = 64 * MIB;
/** A proposal or a ballot that a member gives in a file. Nodes take less, see DEFAULT_MAX_BODY_BYTES. */
export const MAX_MEMBER_INPUT_BYTES = 16 * MIB;
/** A signature in a file: that of P-521 has 132 bytes, and base64 or hex make it longer. */
export const MAX_SIGNATURE_FILE_BYTES = 4 * KIB;
export const MAX_PASSPHRASE_BYTES = KIB;
/** Nodes that send a request on to each other. */
export const MAX_NODE_REDIRECTS = 4;
/** How often a member's command asks whether its transaction is final, half a second apart. */
export const MAX_COMMIT_QUESTIONS = 20;
/** Of a node, to a member's command: how long it may be, and how long it may take; scripts have less time than that. */
export const MAX_MEMBER_ANSWER_BYTES = 64 * MIB;
export const MAX_MEMBER_ANSWER_MS = 60_000;

// The console.
/** Of a node, to the page, but for ledger entries. */
export const MAX_API_ANSWER_BYTES = 64 * MIB;
/** Of a table of the service, to one screen: more are counted, and looked at in the time machine page by page. */
export const MAX_PAGE_TABLE_ROWS = 10_000;
/** Versions of one key whose values the page reads at once. */
export const MAX_PAGE_KEY_VERSIONS = 10_000;
/** Constitutions that one screen lists. */
export const MAX_CONSTITUTION_VERSIONS = 100;
/** Entries about proposals that one screen reads: older ones are counted, and looked at one proposal at a time. */
export const MAX_PAGE_GOVERNANCE_ENTRIES = 1000;
/** Questions of one screen to the ledger worker at a time. */
export const MAX_PAGE_QUESTIONS_AT_ONCE = 16;
/** Of the ways in which missing votes may fall, as one screen lists them. */
export const MAX_SIMULATION_ROWS = 64;
/** Receipts of signed requests that one browser keeps. */
export const MAX_KEPT_RECEIPTS = 500;
/** Of a file with claims, whose SHA-256 the page takes. */
export const MAX_CLAIMS_FILE_BYTES = 64 * MIB;
/** Changes of the app that one screen lists. */
export const MAX_APP_VERSIONS = 100;
/** Bytes of ledger entries that the page's worker keeps at hand; it reads others again. */
export const MAX_PAGE_KEPT_BYTES = 128 * MIB;
/** How long a node may take to answer the page's worker. */
export const MAX_PAGE_LEDGER_WAIT_MS = 20_000;
/** Bytes of a ledger file that are read at once. */
export const PAGE_FILE_SLICE_BYTES = 4 * MIB;
/** How long the page's worker works before it looks whether it was asked something. */
export const PAGE_TURN_MS = 20;
/** Files that can be opened together. */
export const MAX_PAGE_FILES = 100_000;
/** Of a transaction: how many of its writes are shown with what was there before. */
export const MAX_PAGE_WRITES_WITH_BEFORE = 500;
/** Strange things about a ledger that are listed. */
export const MAX_PAGE_WARNINGS = 100;
/** Rows of the list of entries that are saved as one file. */
export const MAX_PAGE_EXPORT_ROWS = 1_000_000;
/** Entries that are saved as one ledger file. */
export const MAX_PAGE_EXPORT_ENTRIES = 20_000;
/** Of the built page, as a node or the relay serves it from memory. */
export const MAX_CONSOLE_FILES = 256;
export const MAX_CONSOLE_BYTES = 32 * MIB;
/** Of a request that the relay passes on: a proposal may be an app. Nodes take less, see DEFAULT_MAX_BODY_BYTES. */
export const MAX_RELAY_REQUEST_BYTES = 64 * MIB;
/** Of an answer that the relay passes on, piece by piece: the longest are snapshots. */
export const MAX_RELAY_ANSWER_BYTES = MAX_SNAPSHOT_BYTES;
/** Requests that the relay has under way at once; more are answered with 503. */
export const MAX_RELAY_REQUESTS = 64;
/** Connections that the relay keeps to one node, and to all of them. */
export const MAX_RELAY_CONNECTIONS_EACH = 6;
export const MAX_RELAY_CONNECTIONS = 32;
/** Of a look-up with a connection, and of a TLS handshake. */
export const MAX_RELAY_CONNECT_MS = 5000;
/** How long a node may take to begin its answer, and to go on with it; the page has less patience of its own. */
export const MAX_RELAY_ANSWER_MS = 60_000;
/** Receipts that the page checks together. */
export const MAX_RECEIPTS_AT_ONCE = 1000;
/** Of a receipt in a link: longer addresses are cut by programs that people send them with. */
export const MAX_RECEIPT_LINK_CHARACTERS = 16_000;
/** Keys that one browser keeps, and of each, uses that are listed: older ones are counted. */
export const MAX_BROWSER_KEYS = 32;
export const MAX_KEY_USES = 200;
/** Signed requests that wait in a browser for a service's answer, and drafts. */
export const MAX_KEPT_ENVELOPES = 100;
export const MAX_DRAFTS = 100;
/** Of one draft. */
export const MAX_DRAFT_CHARACTERS = 16 * MIB;
/** A key file, in characters: the longest RSA key takes less. */
export const MAX_KEY_FILE_CHARACTERS = 64 * KIB;
