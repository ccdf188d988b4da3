/**
 * Governance as members do it: every command of `member` against a sandbox, with keys in files and elsewhere.
 */

import { strict as assert } from "node:assert";
import { createPrivateKey, sign } from "node:crypto";
import { join } from "node:path";
import { generateEcPrivateKey } from "../../shared/crypto/ecdsa.ts";
import { memberIdOf } from "../../shared/crypto/identifiers.ts";
import { serialisePrivateKeyFile } from "../../shared/crypto/key_file.ts";
import { serialiseCertificatePem } from "../../shared/crypto/x509.ts";
import { memberCertificate, randomSerial, signCertificate, validityOfDays } from "../../shared/crypto/x509_build.ts";
import { nameFromText } from "../../shared/crypto/x509_name.ts";
import { makeTlsService } from "../tls_service.ts";
import { type CommandOutput, run, RunningSandbox } from "./sandbox.ts";

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));

/** A sandbox, a folder for files, and the command as its members run it. */
class Assembly {
  constructor(readonly sandbox: RunningSandbox, readonly folder: string) {}

  path(name: string): string {
    return join(this.folder, name);
  }

  write(name: string, content: string | object): string {
    const path = this.path(name);
    Deno.writeTextFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
    return path;
  }

  get service(): string[] {
    return ["--node", this.sandbox.url, "--service-cert", this.sandbox.credential("service_cert.pem")];
  }

  cert(name: string): string[] {
    return ["--cert", this.sandbox.credential(`${name}_cert.pem`)];
  }

  own(name: string): string[] {
    return [...this.cert(name), "--key", this.sandbox.credential(`${name}_privk.pem`)];
  }

  /** A command by a member of the sandbox, which must end so. */
  async by(name: string, code: number, command: string, ...args: string[]): Promise<CommandOutput> {
    return ended(await run("member", command, ...args, ...this.service, ...this.own(name)), code);
  }

  async json(name: string, command: string, ...args: string[]) {
    return JSON.parse((await this.by(name, 0, command, ...args, "--json")).stdout);
  }

  /** A key and certificate like those of the sandbox's members, in the same folder. */
  newMember(name: string): { pem: string; id: string } {
    const key = generateEcPrivateKey("P-256", random);
    const subject = nameFromText(`CN=${name}`);
    const validity = validityOfDays(Date.now() - 60_000, 1);
    const der = signCertificate(
      memberCertificate({ key: key.publicKey, subject, validity, serial: randomSerial(random) }),
      key,
    );
    const pem = serialiseCertificatePem(der);
    Deno.writeTextFileSync(this.sandbox.credential(`${name}_cert.pem`), pem);
    Deno.writeTextFileSync(this.sandbox.credential(`${name}_privk.pem`), serialisePrivateKeyFile(key));
    return { pem, id: memberIdOf(der) };
  }

  /** A proposal that changes nothing to speak of, of which no two are the same. */
  proposal(note: string): string {
    const actions = [{ name: "set_recovery_threshold", args: { recovery_threshold: 2 } }];
    return this.write(`${note}.json`, { actions, note });
  }
}

function ended(output: CommandOutput, code: number): CommandOutput {
  assert.equal(output.code, code, output.stdout + output.stderr);
  return output;
}

const ID = /\b[0-9a-f]{64}\b/;

Deno.test("member: proposals, votes, acknowledgements, shares and keys that are elsewhere, against a sandbox", async (t) => {
  await using sandbox = await RunningSandbox.start();
  const assembly = new Assembly(sandbox, join(sandbox.workspace, ".."));
  let added: { pem: string; id: string };

  await t.step("a proposal is shown, made, voted on and accepted", async () => {
    added = assembly.newMember("member3");
    const args = { cert: added.pem, member_data: { name: "Dora" } };
    const file = assembly.write("add.json", { actions: [{ name: "set_member", args }] });
    const proposed = await assembly.by("member0", 0, "propose", file);
    assert.match(proposed.stdout, /1\. set_member/);
    assert.match(proposed.stdout, new RegExp(`certificate of CN=member3, ID ${added.id}`));
    const id = /^Proposal ([0-9a-f]{64}): Open/m.exec(proposed.stdout)![1]!;

    const shown = await assembly.by("member1", 0, "show", id.slice(0, 12));
    for (const words of [id, "set_member", "Open", "as of transaction 2.", "still to vote: "]) {
      assert(shown.stdout.includes(words), shown.stdout);
    }
    const tried = await assembly.by("member1", 0, "show", id.slice(0, 12), "--dry-run");
    assert.match(tried.stdout, /It passes if \S.* and .* vote yes[\s\S]*public:ccf\.gov\.members\.info/);
    const before = await assembly.json("member2", "propose", file, "--dry-run");
    assert.deepEqual(before.validation, { valid: true });
    const first = await assembly.by("member1", 0, "vote", id.slice(0, 12), "--yes");
    assert.match(first.stdout, /1\. set_member/, "what is voted on is shown");
    assert.match(first.stdout, new RegExp(`${id}: Open`));
    const listed = await assembly.json("member1", "list");
    const entry = listed.proposals.find((each: { proposal_id: string }) => each.proposal_id === id);
    assert.deepEqual([entry.state, entry.ballot_count, entry.you_voted], ["Open", 1, true]);
    const other = await assembly.by("member0", 0, "list");
    assert.match(other.stdout, new RegExp(`${id.slice(0, 8)}  Open .*1 ballot, you have not voted`));

    const again = await assembly.by("member1", 1, "vote", id, "--no");
    assert.match(again.stderr, /you have voted on it before/);
    const ballot = assembly.write(
      "ballot.js",
      "export function vote(p, id) {\n  return JSON.parse(p).actions.length === 1;\n}\n",
    );
    const second = await assembly.by("member0", 0, "vote", id, "--ballot", ballot);
    assert.match(second.stdout, /JSON\.parse\(p\)\.actions/, "the program is shown");
    assert.match(second.stdout, new RegExp(`${id}: Accepted`));
    const late = await assembly.by("member2", 1, "vote", id, "--yes");
    assert.match(late.stderr, /closed/);
    const closed = await assembly.json("member2", "show", id);
    assert.deepEqual(Object.values(closed.final_votes), [true, true]);
  });

  await t.step("a new member acknowledges before it can do anything else", async () => {
    const early = await assembly.by("member3", 1, "propose", assembly.proposal("early"));
    assert.match(early.stderr, /run `member ack` first/);
    const done = await assembly.by("member3", 0, "ack");
    assert.match(done.stdout, /Acknowledged/);
    const { text } = await sandbox.request("GET", `/gov/service/members/${added.id}?api-version=2024-07-01`);
    assert.equal(JSON.parse(text).status, "Active");
    const { answer } = await assembly.json("member3", "propose", assembly.proposal("dora"));
    const shown = await assembly.by("member0", 0, "show", answer.proposalId);
    assert.match(shown.stdout, /proposed by Dora/);
  });

  await t.step("only who made a proposal withdraws it", async () => {
    const { answer } = await assembly.json("member2", "propose", assembly.proposal("mistake"));
    assert.match(answer.proposalId, ID);
    const foreign = await assembly.by("member0", 1, "withdraw", answer.proposalId);
    assert.match(foreign.stderr, /only who made a proposal can withdraw it/);
    const own = await assembly.by("member2", 0, "withdraw", answer.proposalId);
    assert.match(own.stdout, new RegExp(`${answer.proposalId}: Withdrawn`));
    const unknown = await assembly.by("member2", 1, "withdraw", "0".repeat(64));
    assert.match(unknown.stdout + unknown.stderr, /there is no such proposal/);
  });

  await t.step("the service says what is wrong with a proposal, and when it was made too long ago", async () => {
    const invalid = await assembly.by(
      "member0",
      1,
      "propose",
      assembly.write("bad.json", { actions: [{ name: "x" }] }),
    );
    assert.match(invalid.stderr, /no such action[\s\S]*nothing was stored/);
    const old = await assembly.by("member0", 1, "propose", assembly.proposal("old"), "--created-at", "1700000000");
    assert.match(old.stderr, /ProposalCreatedTooLongAgo[\s\S]*this one says 2023-11-14T22:13:20Z/);
  });

  await t.step("a share opens with its member's key, and is handed in only where it is needed", async () => {
    const key = ["--enc-key", sandbox.credential("member0_enc_privk.pem")];
    const out = assembly.path("share.txt");
    const opened = await assembly.by("member0", 0, "share", ...key, "--out", out);
    assert.match(opened.stdout, /opens with this key: number [1-3]\b/);
    assert.equal(Deno.statSync(out).mode! & 0o777, 0o600);
    const share = Deno.readTextFileSync(out).trim();
    assert(!(opened.stdout + opened.stderr).includes(share), "the share is in the file alone");
    const foreign = await assembly.by("member0", 1, "share", "--enc-key", sandbox.credential("member1_enc_privk.pem"));
    assert.match(foreign.stderr, /does not open/);
    const submitted = await assembly.by("member0", 1, "share", ...key, "--submit");
    assert.match(submitted.stderr, /the service is not recovering/);
    assert(!(submitted.stdout + submitted.stderr).includes(share));
  });

  await t.step("a key that is elsewhere signs what was prepared, and nothing else is sent", async () => {
    const { answer } = await assembly.json("member0", "propose", assembly.proposal("elsewhere"));
    const file = assembly.path("vote.json");
    const prepare = ["prepare", "ballot", answer.proposalId, "--yes", ...assembly.cert("member1"), "--out", file];
    const prepared = ended(await run("member", ...prepare, ...assembly.service), 0);
    assert.match(prepared.stdout, /set_recovery_threshold/, "what is voted on is shown");
    // In another's hands: another implementation signs, as a device would, and answers DER in base64.
    const { to_be_signed, algorithm } = JSON.parse(Deno.readTextFileSync(file));
    assert.equal(algorithm, "ES384");
    const device = createPrivateKey(Deno.readTextFileSync(sandbox.credential("member1_privk.pem")));
    const signature = sign("sha384", Uint8Array.fromBase64(to_be_signed), device);
    const signatureFile = assembly.write("signature", signature.toString("base64"));
    const finish = ["finish", file, ...assembly.cert("member1"), "--signature"];

    const other = sign("sha384", new TextEncoder().encode("something else"), device).toString("hex");
    const wrong = ended(await run("member", ...finish, assembly.write("wrong", other), ...assembly.service), 1);
    assert.match(wrong.stderr, /Nothing was sent: the signature .* is not one of/);
    const body = assembly.path("vote.cose");
    ended(await run("member", ...finish, signatureFile, "--out", body), 0);
    assert.equal(Deno.readFileSync(body)[0], 0xd2, "a COSE_Sign1 message");
    const before = await assembly.json("member0", "show", answer.proposalId);
    assert.deepEqual(before.ballots, [], "nothing was sent so far");
    const sent = ended(await run("member", ...finish, signatureFile, ...assembly.service), 0);
    assert.match(sent.stdout, new RegExp(`${answer.proposalId}: Open`));
    const { ballots } = await assembly.json("member0", "show", answer.proposalId);
    assert.deepEqual(ballots.map((each: { plain_vote: string }) => each.plain_vote), ["yes"]);
  });

  await t.step("wrong usage ends with 2, and a node that is not there with 3", async () => {
    const mixed = [...assembly.cert("member0"), "--key", sandbox.credential("member1_privk.pem")];
    const foreign = ended(await run("member", "ack", ...assembly.service, ...mixed), 2);
    assert.match(foreign.stderr, /it is not the key of the certificate/);
    await assembly.by("member0", 2, "propose", assembly.write("broken.json", "{"));
    await assembly.by("member0", 2, "vote", "0".repeat(64));
    const absent = ["--node", "https://127.0.0.1:9", "--service-cert", sandbox.credential("service_cert.pem")];
    const unreached = ended(await run("member", "list", ...absent), 3);
    assert.match(unreached.stderr, /Cannot reach/);
  });
});

Deno.test("member names the other nodes of a sandbox whose first one cannot be reached", async () => {
  const workspace = await Deno.makeTempDir({ prefix: "quorate_e2e_" });
  try {
    const file = (name: string) => join(workspace, name);
    Deno.writeTextFileSync(file("service_cert.pem"), makeTlsService("a").service);
    // Nobody listens there.
    const nodes = [1, 2, 3].map((port) => ({ url: `https://127.0.0.1:${port}`, web_url: `https://127.0.0.1:${port}` }));
    const description = { nodes, service_cert: file("service_cert.pem"), common_dir: workspace };
    Deno.writeTextFileSync(file("sandbox.json"), JSON.stringify(description));
    const listed = ended(await run("member", "list", "--workspace", workspace), 3);
    assert.match(
      listed.stderr,
      /is the node running\? The sandbox has others: --node https:\/\/127\.0\.0\.1:2, --node https:\/\/127\.0\.0\.1:3$/m,
    );
    const chosen = ended(await run("member", "list", "--workspace", workspace, "--node", nodes[0]!.url), 2);
    assert.match(chosen.stderr, /^Cannot trust the node: give --service-cert FILE/);
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
});
