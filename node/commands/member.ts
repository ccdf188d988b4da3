/**
 * `member`: governance from a terminal: propose, vote, withdraw, list, show, ack, share; prepare and finish for keys that
 * are elsewhere.
 *
 * In: a node, the certificate of its service, the member's own files. Out: requests that were shown before they were sent;
 * exit code 0 done, 1 refused by the service, 2 wrong usage or files, 3 could not reach, 130 interrupted.
 */

import { Command, Option } from "commander";
import { join } from "node:path";
import { loadNativePrimitives } from "../../enclave/native_primitives.ts";
import { MAX_CREATED_AT_SECONDS } from "../../shared/governance/member_request.ts";
import { ExitCode, keepPermissions, UsageError } from "./exit.ts";
import { TerminalOutput } from "./ledger_output.ts";
import { connectTo, GovernanceClient, Refusal } from "./member/connection.ts";
import { Declined, Lost, type MemberContext, type MemberSession } from "./member/context.ts";
import { type MemberIdentity, readEncryptionKey, readIdentity, readSigningKey } from "./member/credentials.ts";
import { tryProposal } from "./member/dry_run.ts";
import { Interrupted } from "./member/hidden_line.ts";
import { memberOutput } from "./member/output.ts";
import { listProposals, resolveProposalId, showProposal, UnknownProposal } from "./member/proposals.ts";
import { explainRefusal } from "./member/refusals.ts";
import {
  acknowledge,
  type BallotOptions,
  inspectShare,
  propose,
  readProposal,
  type Signatory,
  submitShare,
  vote,
  withdraw,
} from "./member/requests.ts";
import { requireNewFile } from "./member/secret_file.ts";
import { assemble, finish, keep, prepare, PREPARED_KINDS, type PreparedKind } from "./member/two_step.ts";
import { Unreachable } from "./node_client.ts";
import { adviceToAsk, credentialsOf, readSandbox } from "./sandbox_description.ts";

export interface MemberOptions {
  readonly node?: string;
  readonly serviceCert?: string;
  readonly as?: string;
  readonly workspace: string;
  readonly cert?: string;
  readonly key?: string;
  readonly passphraseFile?: string;
  readonly createdAt?: string;
  readonly ask?: boolean;
  readonly json?: boolean;
}

interface DryRunOption {
  readonly dryRun?: boolean;
}

interface ShareOptions extends MemberOptions {
  readonly encKey?: string;
  readonly encPassphraseFile?: string;
  readonly out?: string;
  readonly submit?: boolean;
}

interface PrepareCommandOptions extends MemberOptions, BallotOptions {
  readonly out: string;
  readonly toBeSigned?: string;
  readonly stateDigest?: string;
}

interface FinishOptions extends MemberOptions {
  readonly signature: string;
  readonly out?: string;
}

const COMMIT_QUESTION_MS = 500;

export function memberCommand(): Command {
  return new Command("member")
    .description("Take part in governance: propose, vote, acknowledge, hold a recovery share")
    .addCommand(proposeCommand())
    .addCommand(voteCommand())
    .addCommand(withdrawCommand())
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(ackCommand())
    .addCommand(shareCommand())
    .addCommand(prepareCommand())
    .addCommand(finishCommand());
}

// ---- The commands ----

function proposeCommand(): Command {
  return signing("propose", "Make a proposal")
    .option("--dry-run", "only ask what would become of it")
    .argument("<FILE>", 'the proposal, JSON: {"actions": [{"name": …, "args": …}]}; - for standard input')
    .addHelpText(
      "after",
      examples(
        "member propose set_user.json --as member0 --dry-run",
        "member propose set_user.json --as member0",
        "member propose - --node https://ledger.example:8000 --service-cert service_cert.pem --cert me.pem --key key.pem",
      ),
    )
    .action((file: string, options: MemberOptions & DryRunOption) =>
      runSigning(
        options,
        (session, by) =>
          options.dryRun === true
            ? tryProposal(session, by, { proposal: readProposal(file) })
            : propose(session, by, file),
      )
    );
}

function voteCommand(): Command {
  return ballotOptions(signing("vote", "Vote on a proposal, which is shown first"))
    .argument("<PROPOSAL>", "its ID, or the first digits of it")
    .addHelpText(
      "after",
      `
A ballot is a program that is run at each count. --yes and --no send one that always says so; it cannot be changed later.
${examples("member vote ac60cf1a --yes --as member1", "member vote ac60cf1a --ballot only_until_may.js --as member1")}`,
    )
    .action((prefix: string, options: MemberOptions & BallotOptions) =>
      runSigning(options, (session, by) => vote(session, by, prefix, options))
    );
}

function withdrawCommand(): Command {
  return signing("withdraw", "Withdraw a proposal of your own that is still open")
    .argument("<PROPOSAL>", "its ID, or the first digits of it")
    .addHelpText("after", examples("member withdraw ac60cf1a --as member0"))
    .action((prefix: string, options: MemberOptions) =>
      runSigning(options, (session, by) => withdraw(session, by, prefix))
    );
}

function listCommand(): Command {
  return asking("list", "List proposals: those that are open, and the last that was closed")
    .addHelpText(
      "after",
      `
With --cert or --as it also says on which of them you have voted.
${
        examples(
          "member list --as member0",
          "member list --node https://ledger.example:8000 --service-cert service_cert.pem",
        )
      }`,
    )
    .action((options: MemberOptions) =>
      runAsking(options, (session, target) => {
        const memberId = target.cert === undefined ? undefined : readIdentity(target.cert).memberId;
        return listProposals(session, memberId);
      })
    );
}

function showCommand(): Command {
  return signing("show", "Show a proposal: its actions, who voted what, who has not voted yet")
    .argument("<PROPOSAL>", "its ID, or the first digits of it")
    .option("--dry-run", "also ask whose votes it takes and what it would change; for members, with --key or --as")
    .addHelpText("after", examples("member show ac60cf1a", "member show ac60cf1a --dry-run --as member0"))
    .action((prefix: string, options: MemberOptions & DryRunOption) =>
      options.dryRun === true
        ? runSigning(options, async (session, by) => {
          const proposalId = await resolveProposalId(session.node, prefix);
          if (options.json !== true) await showProposal(session, proposalId);
          return await tryProposal(session, by, { proposalId });
        })
        : runAsking(options, async (session) => showProposal(session, await resolveProposalId(session.node, prefix)))
    );
}

function ackCommand(): Command {
  return signing("ack", "Acknowledge the newest state of the service, which makes a new member active")
    .addHelpText("after", examples("member ack --cert member3_cert.pem --key member3_privk.pem"))
    .action((options: MemberOptions) => runSigning(options, acknowledge));
}

function shareCommand(): Command {
  return signing("share", "Check that you can open your recovery share, or submit it to a service that recovers")
    .option("--enc-key <FILE>", "private encryption key (PEM, RSA); --as knows it")
    .option("--enc-passphrase-file <FILE>", "passphrase of the encryption key, if it is encrypted")
    .addOption(new Option("--out <FILE>", "write the share to a new file, base64, for you alone").conflicts("submit"))
    .option("--submit", "send the share to the service, which must be waiting for shares")
    .addHelpText(
      "after",
      `
Without --out and --submit the share is decrypted and forgotten; --key is needed for --submit only.
${examples("member share --as member0", "member share --as member0 --submit")}`,
    )
    .action((options: ShareOptions) =>
      guarded(options, options.out === undefined ? [] : ["write"], async (context, target) => {
        if (options.out !== undefined) requireNewFile(options.out, "the recovery share");
        const encryptionKey = await readEncryptionKeyOf(options, target);
        const identity = readIdentity(target.cert);
        const by = options.submit === true ? await signatoryOf(options, target, identity) : undefined;
        return await connected(
          context,
          target,
          (session) =>
            by === undefined
              ? inspectShare(session, identity, encryptionKey, options.out)
              : submitShare(session, by, encryptionKey),
        );
      })
    );
}

function prepareCommand(): Command {
  const command = common("prepare", "Write what is to be signed by a key that is elsewhere, and send nothing")
    .addArgument(kindArgument())
    .argument("[ABOUT]", "file of the proposal or of the share; ID of the proposal for a ballot or a withdrawal")
    .requiredOption("--out <FILE>", "the new file, for `member finish`")
    .option("--to-be-signed <FILE>", "also write the bare bytes to sign, for tools that hash by themselves")
    .option("--state-digest <HEX>", "for ack: what to acknowledge (default: what the service has for you)")
    .addOption(createdAtOption());
  return ballotOptions(command)
    .addHelpText(
      "after",
      `
Needs --cert, and no key. Without --node it works offline, but for what it would have to look up.
The file holds the digest to sign in hex and base64, with the algorithm: ES256, ES384 or ES512, by the curve of the key.
${
        examples(
          "member prepare ballot ac60cf1a --yes --as member1 --out ballot.json --to-be-signed ballot.tbs",
          "openssl dgst -sha384 -sign key.pem -out ballot.sig ballot.tbs",
          "member finish ballot.json --signature ballot.sig --as member1",
        )
      }`,
    )
    .action((kind: PreparedKind, about: string | undefined, options: PrepareCommandOptions) =>
      guarded(options, ["write"], async (context, target) => {
        const identity = readIdentity(target.cert);
        const parameters = { ...options, createdAtSeconds: createdAtSeconds(options) };
        if (target.node === undefined) return await prepare(context, undefined, identity, kind, about, parameters);
        return await connected(
          context,
          target,
          ({ node }) => prepare(context, node, identity, kind, about, parameters),
        );
      })
    );
}

function finishCommand(): Command {
  return common("finish", "Put a prepared request and its signature together, verify, and send")
    .argument("<FILE>", "what `member prepare` wrote")
    .requiredOption("--signature <FILE>", "r and s, or DER; bytes, hex or base64")
    .option("--out <FILE>", "write the signed request to a new file instead of sending it")
    .addOption(askOption())
    .addHelpText(
      "after",
      `
Nothing is sent unless the signature verifies with the certificate of --cert or --as.
${
        examples(
          "member finish ballot.json --signature ballot.sig --as member1",
          "member finish ballot.json --signature ballot.sig --cert me.pem --out ballot.cose",
        )
      }`,
    )
    .action((file: string, options: FinishOptions) =>
      guarded(options, options.out === undefined ? [] : ["write"], async (context, target) => {
        const identity = readIdentity(target.cert);
        const finished = assemble(context, identity, file, options.signature);
        if (finished === undefined) return ExitCode.refused;
        if (options.out !== undefined) return keep(context, finished, options.out);
        return await connected(context, target, (session) => finish(session, identity, finished));
      })
    );
}

// ---- What they have in common ----

function common(name: string, description: string): Command {
  return new Command(name)
    .exitOverride()
    .showHelpAfterError("(add --help for the options)")
    .description(description)
    .option("--node <URL>", "a node of the service, e.g. https://127.0.0.1:8000 (default: that of the sandbox)")
    .option("--service-cert <FILE>", "certificate of the service to trust (PEM)")
    .option("--cert <FILE>", "your member certificate (PEM)")
    .option(
      "--key <FILE>",
      "your private key (PEM), which never leaves this machine; read only where something is signed",
    )
    .addOption(new Option("--as <NAME>", "a member of the sandbox: member0, member1, …").conflicts(["cert", "key"]))
    .option("--workspace <DIR>", "the sandbox", "./workspace")
    .option("--json", "print one JSON document instead of text");
}

function asking(name: string, description: string): Command {
  return common(name, description);
}

function signing(name: string, description: string): Command {
  return common(name, description)
    .option("--passphrase-file <FILE>", "passphrase of the key, if it is encrypted (default: ask for it)")
    .addOption(createdAtOption())
    .addOption(askOption());
}

function ballotOptions(command: Command): Command {
  return command
    .option("--yes", "vote for it")
    .option("--no", "vote against it")
    .option("--ballot <FILE>", "vote by a program: a module that exports vote(proposal, proposerId)");
}

function createdAtOption(): Option {
  return new Option("--created-at <SECONDS>", "time of the request since 1970 (default: now)");
}

function askOption(): Option {
  return new Option("--no-ask", "on a terminal: send without asking first");
}

function kindArgument() {
  return new Command().createArgument("<KIND>", "what to prepare").choices(PREPARED_KINDS);
}

function examples(...lines: string[]): string {
  const commands = lines.map((line) => `  ${line.startsWith("member ") ? `deno task run ${line}` : line}`);
  return `\nExamples:\n${commands.join("\n")}`;
}

/** Where to, and the paths of the member's files. */
interface Target {
  readonly node: string | undefined;
  readonly serviceCert: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly encKey: string | undefined;
  /** Where the node is that of the sandbox: the URLs of its others. */
  readonly others?: readonly string[];
}

/** Completes what the user gave from the description of the sandbox, if there is one. @throws UsageError */
function readTarget({ as: name, node, serviceCert, cert, key, workspace }: MemberOptions): Target {
  if (name === undefined && (node !== undefined || !isSandbox(workspace))) {
    return { node, serviceCert, cert, key, encKey: undefined };
  }
  const { nodes: [first], urls, service_cert, common_dir } = readSandbox(workspace);
  const own = name === undefined
    ? { cert, key, encKey: undefined }
    : { ...credentialsOf(name, common_dir), encKey: join(common_dir, `${name}_enc_privk.pem`) };
  const others = node === undefined ? urls.slice(1) : [];
  return { node: node ?? first.url, serviceCert: serviceCert ?? service_cert, ...own, others };
}

function isSandbox(workspace: string): boolean {
  try {
    return Deno.statSync(join(workspace, "sandbox.json")).isFile;
  } catch {
    return false; // also where it cannot be looked at
  }
}

function readEncryptionKeyOf(options: ShareOptions, { encKey }: Target) {
  const path = options.encKey ?? encKey;
  if (path === undefined) throw new UsageError("Cannot open a recovery share: give --enc-key FILE");
  return readEncryptionKey(path, options.encPassphraseFile);
}

async function signatoryOf(options: MemberOptions, target: Target, identity: MemberIdentity): Promise<Signatory> {
  const key = await readSigningKey(target.key, options.passphraseFile, identity);
  return { identity, key, createdAtSeconds: createdAtSeconds(options) };
}

/** @throws UsageError */
function createdAtSeconds({ createdAt }: MemberOptions): number | undefined {
  if (createdAt === undefined) return undefined;
  const seconds = /^\d{1,10}$/.test(createdAt) ? Number(createdAt) : NaN;
  if (seconds <= MAX_CREATED_AT_SECONDS) return seconds;
  throw new UsageError(`Cannot use --created-at ${createdAt}: it must be seconds since 1970, at most ten digits`);
}

function runAsking(
  options: MemberOptions,
  ask: (session: MemberSession, target: Target) => Promise<void>,
): Promise<void> {
  return guarded(options, [], (context, target) =>
    connected(context, target, async (session) => {
      await ask(session, target);
      return ExitCode.done;
    }));
}

function runSigning(
  options: MemberOptions,
  act: (session: MemberSession, by: Signatory) => Promise<number>,
): Promise<void> {
  return guarded(options, [], async (context, target) => {
    const by = await signatoryOf(options, target, readIdentity(target.cert));
    return await connected(context, target, (session) => act(session, by));
  });
}

async function connected(
  context: MemberContext,
  { node, serviceCert, others = [] }: Target,
  act: (session: MemberSession) => Promise<number>,
): Promise<number> {
  if (node === undefined) {
    throw new UsageError(
      "Cannot tell which node to ask: give --node URL and --service-cert FILE, or --workspace DIR of a sandbox",
    );
  }
  if (serviceCert === undefined) throw new UsageError("Cannot trust the node: give --service-cert FILE");
  const client = new GovernanceClient(connectTo(node, serviceCert));
  try {
    return await act({ ...context, node: client });
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    throw new Unreachable(error.message + adviceToAsk(others));
  } finally {
    client.close();
  }
}

/** Gives up permissions, runs a command, and ends it with the right exit code and sentence. */
async function guarded(
  options: MemberOptions,
  more: readonly Deno.PermissionName[],
  act: (context: MemberContext, target: Target) => Promise<number>,
): Promise<void> {
  keepPermissions(["read", "net", "env", ...more]);
  const json = options.json === true;
  const output = memberOutput(new TerminalOutput(json), json);
  const context: MemberContext = {
    primitives: loadNativePrimitives(),
    output,
    nowMs: () => Date.now(),
    wait: () => new Promise((done) => setTimeout(done, COMMIT_QUESTION_MS)),
    agree: (question) => json || options.ask === false || !Deno.stdin.isTerminal() || confirm(question),
  };
  Deno.exitCode = await endsWell(context, () => act(context, readTarget(options)));
}

/** Turns what is no fault of the user's into a sentence and an exit code. */
export async function endsWell(context: MemberContext, act: () => Promise<number>): Promise<number> {
  const { output, nowMs } = context;
  try {
    return await act();
  } catch (error) {
    if (error instanceof Refusal) {
      const { message, explanation } = explainRefusal(error, nowMs());
      output.note(`Refused: ${message}`);
      if (explanation !== undefined) output.note(`  ${explanation}`);
      output.document({
        refused: { status: error.answer.status, code: error.code, message, explanation: explanation ?? null },
      });
      return ExitCode.refused;
    }
    if (error instanceof UnknownProposal || error instanceof Declined || error instanceof Lost) {
      output.note(error.message);
      output.document({ refused: { message: error.message } });
      return ExitCode.refused;
    }
    if (error instanceof Unreachable) {
      output.note(error.message);
      return ExitCode.unreachable;
    }
    if (error instanceof Interrupted) return ExitCode.interrupted;
    throw error;
  }
}
