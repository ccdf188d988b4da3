/**
 * `ledger verify`, `compare`, `nodes`, `show`, `decrypt`: a ledger as it lies in files, without a node.
 *
 * In: arguments. Out: exit code 0, 1 or 2.
 */

import { Command } from "commander";
import { assert, FormatError } from "../../shared/assert.ts";
import { fromHex } from "../../shared/bytes.ts";
import { parseRsaPrivateKeyFile } from "../../shared/crypto/key_file.ts";
import type { Primitives } from "../../shared/crypto/primitives.ts";
import { parseCertificatePem } from "../../shared/crypto/x509.ts";
import { LEDGER_SECRET_BYTES, LedgerSecret, LedgerSecrets } from "../../shared/ledger/secrets.ts";
import { MAX_SEQNO } from "../../shared/limits.ts";
import type { Seqno } from "../../shared/tx_id.ts";
import type { AppEngine } from "../../enclave/app_engine.ts";
import { loadScriptEngine } from "../../enclave/js/runtime.ts";
import { loadNativePrimitives } from "../../enclave/native_primitives.ts";
import { type LedgerListing, listLedger, listSnapshots } from "../ledger_listing.ts";
import { readPin } from "../ledger_pin.ts";
import { type MemberKey, type RestoredSecrets, restoreSecrets } from "../ledger_secret_search.ts";
import { chooseStart } from "../ledger_start.ts";
import { keepPermissions, readTextFile, requireDirectoryOf, UsageError } from "./exit.ts";
import { runCompare } from "./ledger_compare.ts";
import { showNodes } from "./ledger_nodes.ts";
import { type LedgerOutput, TerminalOutput } from "./ledger_output.ts";
import { showLedger, type ShowRequest } from "./ledger_show.ts";
import { parseKey } from "./ledger_values.ts";
import { verifyLedger } from "./ledger_verify.ts";

/** What reading a ledger takes: its files, and whether to use colours. */
export const READING_PERMISSIONS: readonly Deno.PermissionName[] = ["read", "env"];
/** What `--pin` takes besides. */
export const PINNING_PERMISSIONS: readonly Deno.PermissionName[] = [...READING_PERMISSIONS, "write"];

export function ledgerCommand(): Command {
  return new Command("ledger")
    .description("Read and verify a ledger from its files, without a node")
    .exitOverride()
    .addCommand(verifyCommand())
    .addCommand(compareCommand())
    .addCommand(nodesCommand())
    .addCommand(showCommand())
    .addCommand(decryptCommand());
}

export interface VerifyOptions {
  readonly snapshots?: string;
  readonly serviceCert?: string;
  readonly memberKey?: readonly string[];
  readonly passphraseFile?: string;
  readonly governance?: boolean;
  readonly lenient?: boolean;
  readonly pin?: string;
  readonly json?: boolean;
}

function verifyCommand(): Command {
  return ledgerSubcommand("verify")
    .description("Verify every transaction, signature and snapshot")
    .option(
      "--snapshots <DIR>",
      "compare the snapshots there; also where a ledger begins that has lost its first files",
    )
    .option("--service-cert <FILE>", "certificate (PEM) that the last service identity must be that of")
    .option(
      "--member-key <FILE...>",
      "members' private encryption keys (PEM), as many as recovery takes: verify private tables too",
    )
    .option("--passphrase-file <FILE>", "passphrase of the member keys, if they are encrypted")
    .option("--governance", "print what members decided, and decide it again under the constitution of its time")
    .option("--lenient", "accept what older versions of CCF wrote, and list it")
    .option(
      "--pin <FILE>",
      "remember service identity, last signature and its root there; refuse a ledger that does not continue it",
    )
    .option("--json", "print one JSON document instead of text")
    .addHelpText(
      "after",
      `
Without member keys private tables stay encrypted, and only the public part and the signatures are verified; with them
everything is. A tail that no signature covers yet, and an entry that was not written to its end, are warnings.

--governance decides every member's request again, with the constitution and the tables of its time, and refuses a ledger
in which a decision does not follow. What depended on the time, or was signed before 4.0, is said not to be checked.
Services before 7.0 wrote some of it otherwise, which counts as a difference.

--pin makes the first run write FILE. Later runs refuse a ledger that does not have the pinned signature with the same
root, one that was cut short or exchanged, and write FILE again where the ledger verifies. Keep it where whoever runs the
nodes cannot write.

Exit code: 0 verified, 1 refused, 2 wrong usage or unreadable input.

Examples:
  deno task run ledger verify workspace/node0/ledger --snapshots workspace/node0/snapshots \\
    --service-cert workspace/sandbox_common/service_cert.pem
  deno task run ledger verify ledger archive --member-key member0_enc_privk.pem member1_enc_privk.pem --pin ledger.pin`,
    )
    .action(async (directory: string, others: readonly string[], options: VerifyOptions) => {
      keepPermissions(options.pin === undefined ? READING_PERMISSIONS : PINNING_PERMISSIONS);
      const engine = options.governance === true ? await loadScriptEngine(() => performance.now()) : undefined;
      Deno.exitCode = runVerify(directory, others, options, new TerminalOutput(options.json === true), engine);
    });
}

/**
 * `ledger verify`, all but its permissions.
 *
 * @param engine for `--governance`, which runs constitutions and ballots again
 * @throws UsageError
 */
export function runVerify(
  directory: string,
  others: readonly string[],
  options: VerifyOptions,
  output: LedgerOutput,
  engine?: AppEngine,
): number {
  assert(options.governance !== true || engine !== undefined, "Decisions are made again by an engine");
  if (options.pin !== undefined) requireDirectoryOf(options.pin, "write the pin");
  const request = {
    audit: {
      primitives: loadNativePrimitives(),
      memberKeys: readMemberKeys(options),
      serviceCertificatePem: readServiceCertificate(options.serviceCert),
      snapshots: options.snapshots === undefined ? [] : listSnapshots(options.snapshots),
      listing: list(directory, others),
      mode: options.lenient === true ? "lenient" as const : "strict" as const,
      pin: options.pin === undefined ? undefined : readPin(options.pin),
    },
    governance: options.governance === true ? engine : undefined,
    pinPath: options.pin,
    json: options.json === true,
  };
  return verifyLedger(request, output);
}

function compareCommand(): Command {
  return new Command("compare")
    .exitOverride()
    .showHelpAfterError("(add --help for the options)")
    .argument("<DIR>", "ledger directory of a node")
    .argument("<OTHER_DIR>", "that of another node of the same service")
    .option("--json", "print one JSON document instead of text")
    .description("Say how far two copies of a ledger are the same, and what it means where they part")
    .addHelpText(
      "after",
      `
A primary that was cut off may have written, and even signed, what the others went on without: such a tail was never
committed, although it verifies. Only another node's ledger shows it.
Exit code: 0 the same as far as both go, 1 they part, 2 wrong usage or unreadable input.
Example:
  deno task run ledger compare workspace/node0/ledger workspace/node1/ledger`,
    )
    .action((one: string, other: string, { json }: { json?: boolean }) => {
      keepPermissions(READING_PERMISSIONS);
      Deno.exitCode = runCompare(one, other, json === true, new TerminalOutput(json === true));
    });
}

function nodesCommand(): Command {
  return ledgerSubcommand("nodes")
    .description("Print which nodes the service had and which led it in each view. Nothing is verified")
    .option("--json", "print one JSON document instead of text")
    .action((directory: string, others: readonly string[], { json }: { json?: boolean }) => {
      keepPermissions(READING_PERMISSIONS);
      Deno.exitCode = showNodes(list(directory, others), json === true, new TerminalOutput(json === true));
    });
}

export interface ShowOptions {
  readonly from?: string;
  readonly to?: string;
  readonly table?: string;
  readonly key?: string;
  readonly json?: boolean;
}

function showCommand(): Command {
  return selectionOptions(ledgerSubcommand("show"))
    .description("Print transactions; private tables stay encrypted. Nothing is verified")
    .addHelpText(
      "after",
      `
Examples:
  deno task run ledger show workspace/node0/ledger --from 10 --to 20
  deno task run ledger show workspace/node0/ledger --table public:ccf.gov.members.info --json | jq .`,
    )
    .action((directory: string, others: readonly string[], options: ShowOptions) => {
      keepPermissions(READING_PERMISSIONS);
      Deno.exitCode = runShow(directory, others, options, new TerminalOutput(true));
    });
}

/** `ledger show`, all but its permissions. @throws UsageError */
export function runShow(
  directory: string,
  others: readonly string[],
  options: ShowOptions,
  output: LedgerOutput,
): number {
  const primitives = loadNativePrimitives();
  return show(readSelection(options, primitives, list(directory, others)), output);
}

export interface DecryptOptions extends ShowOptions {
  readonly snapshots?: string;
  readonly memberKey?: readonly string[];
  readonly passphraseFile?: string;
  readonly secrets?: string;
}

function decryptCommand(): Command {
  return selectionOptions(ledgerSubcommand("decrypt"))
    .description("Print transactions with their private tables, decrypted by members' keys. Nothing is verified")
    .option("--member-key <FILE...>", "members' private encryption keys (PEM), as many as recovery takes")
    .option("--passphrase-file <FILE>", "passphrase of the member keys, if they are encrypted")
    .option("--secrets <FILE>", 'ledger secrets instead: JSON, first seqno to hex, {"1": "…", "35": "…"}')
    .option("--snapshots <DIR>", "where a ledger begins that has lost its first files")
    .addHelpText(
      "after",
      `
Secrets are never printed.

Examples:
  deno task run ledger decrypt workspace/node0/ledger --member-key workspace/sandbox_common/member*_enc_privk.pem
  deno task run ledger decrypt ledger --secrets secrets.json --table records --key 42`,
    )
    .action((directory: string, others: readonly string[], options: DecryptOptions) => {
      keepPermissions(READING_PERMISSIONS);
      Deno.exitCode = runDecrypt(directory, others, options, new TerminalOutput(true));
    });
}

/** `ledger decrypt`, all but its permissions. @throws UsageError */
export function runDecrypt(
  directory: string,
  others: readonly string[],
  options: DecryptOptions,
  output: LedgerOutput,
): number {
  if (options.memberKey === undefined && options.secrets === undefined) {
    throw new UsageError("Cannot decrypt without secrets: give --member-key, or --secrets");
  }
  const primitives = loadNativePrimitives();
  const listing = list(directory, others);
  const request = readSelection(options, primitives, listing);
  return show({ ...request, ...readSecrets(options, primitives, listing) }, output);
}

function ledgerSubcommand(name: string): Command {
  return new Command(name)
    .exitOverride()
    .showHelpAfterError("(add --help for the options)")
    .argument("<DIR>", "ledger directory of a node")
    .argument("[READ_ONLY_DIR...]", "directories with more of its committed files");
}

function selectionOptions(command: Command): Command {
  return command
    .option("--from <SEQNO>", "first transaction to print")
    .option("--to <SEQNO>", "last transaction to print")
    .option("--table <NAME>", "only changes to this table")
    .option("--key <KEY>", "only changes to this key: text, or hex behind 0x")
    .option("--json", "print one JSON object a line, with values in full");
}

/** @throws UsageError */
function list(directory: string, others: readonly string[]): LedgerListing {
  for (const path of [directory, ...others]) {
    if (isFile(path)) {
      throw new UsageError(
        `Cannot read the ledger directory ${path}: it is a file; give the directory that ledger files are in`,
      );
    }
  }
  return listLedger(directory, others);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    // Whoever reads it says why it cannot be read.
    return false;
  }
}

function readSelection(options: ShowOptions, primitives: Primitives, { files }: LedgerListing): ShowRequest {
  const from = options.from === undefined ? undefined : readSeqno("--from", options.from);
  const to = options.to === undefined ? undefined : readSeqno("--to", options.to);
  if (from !== undefined && to !== undefined && from > to) {
    throw new UsageError(`Cannot show transactions ${from} to ${to}: --from must not be behind --to`);
  }
  if (options.table === "") throw new UsageError("Cannot use --table: it is empty; give the name of a table");
  return {
    primitives,
    files,
    from,
    to,
    table: options.table,
    key: options.key === undefined ? undefined : readKey(options.key),
    json: options.json === true,
  };
}

function show(request: ShowRequest, output: LedgerOutput): number {
  output.note("Nothing is verified here: ledger verify does that");
  try {
    return showLedger(request, output);
  } finally {
    output.finish();
  }
}

function readSeqno(option: string, text: string): Seqno {
  const seqno = Number(text);
  if (/^[1-9][0-9]*$/.test(text) && seqno <= MAX_SEQNO) return seqno;
  throw new UsageError(`Cannot use ${option} ${text}: it must be a seqno, a whole number from 1 on`);
}

function readKey(text: string) {
  return orUsage(`Cannot use --key ${text}`, () => parseKey(text));
}

function readServiceCertificate(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const pem = readTextFile(path, "the service certificate");
  orUsage(`Cannot use the service certificate ${path}`, () => parseCertificatePem(pem));
  return pem;
}

function readMemberKeys(options: Pick<DecryptOptions, "memberKey" | "passphraseFile">): MemberKey[] {
  const passphrase = options.passphraseFile === undefined
    ? undefined
    : readTextFile(options.passphraseFile, "the passphrase").replace(/\r?\n$/, "");
  return (options.memberKey ?? []).map((path) => {
    const text = readTextFile(path, "the member key");
    try {
      return { path, key: parseRsaPrivateKeyFile(text, passphrase) };
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      const remedy = /EC key/.test(error.message)
        ? "; of a member's two keys give the one for encryption (…_enc_privk.pem)"
        : /encrypted; give/.test(error.message)
        ? " with --passphrase-file"
        : "";
      throw new UsageError(`Cannot use the member key ${path}: ${error.message}${remedy}`);
    }
  });
}

function readSecrets(options: DecryptOptions, primitives: Primitives, { files }: LedgerListing): RestoredSecrets {
  const given = options.secrets === undefined ? undefined : readSecretsFile(options.secrets, primitives);
  const memberKeys = readMemberKeys(options);
  if (memberKeys.length === 0) return { secrets: given ?? new LedgerSecrets(), unsharedFrom: undefined };
  const snapshots = options.snapshots === undefined ? [] : listSnapshots(options.snapshots);
  const restored = orUsage(
    "Cannot decrypt this ledger",
    () => restoreSecrets(primitives, chooseStart(files, snapshots), memberKeys),
  );
  for (const { first, secret } of given ?? []) {
    if (restored.secrets.startingAt(first) === undefined) restored.secrets.add(first, secret);
  }
  return restored;
}

/** First seqno → 64 hex digits. Messages do not quote the file: it is secret. @throws UsageError */
function readSecretsFile(path: string, primitives: Primitives): LedgerSecrets {
  const refuse = (why: string): never => {
    throw new UsageError(`Cannot read the ledger secrets ${path}: ${why}; it must look like {"1": "<64 hex digits>"}`);
  };
  let json: unknown;
  try {
    json = JSON.parse(readTextFile(path, "the ledger secrets"));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    refuse("it is not JSON");
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) return refuse("it is not a JSON object");
  const secrets = new LedgerSecrets();
  for (const [first, hex] of Object.entries(json)) {
    const isSeqno = /^[1-9][0-9]*$/.test(first) && Number(first) <= MAX_SEQNO;
    if (!isSeqno) refuse("a member's name is no seqno");
    if (typeof hex !== "string" || !/^[0-9a-fA-F]*$/.test(hex) || hex.length !== 2 * LEDGER_SECRET_BYTES) {
      return refuse(`the secret from seqno ${first} is not 64 hex digits`);
    }
    secrets.add(Number(first), new LedgerSecret(primitives, fromHex(hex)));
  }
  return secrets;
}

/** @throws UsageError for a FormatError */
function orUsage<T>(doing: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof FormatError) throw new UsageError(`${doing}: ${error.message}`);
    throw error;
  }
}
