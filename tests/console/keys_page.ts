/**
 * Keys, envelopes and drafts in a real browser's storage, for `keys_browser_test.ts`: made, then read after a reload.
 *
 * In: key files below `/files/`. Out: what was found after the reload, posted to `/answer`.
 */

import { toBase64, toUtf8 } from "../../shared/bytes.ts";
import { openKeyFile } from "../../console/keys/key_file.ts";
import { browserSigner, offerKeys, openShareWith } from "../../console/keys/key_store.ts";
import { browserRecords } from "../../console/keys/record_store.ts";
import { ProblemError } from "../../console/problem.ts";
import type { SignedEnvelope } from "../../console/sign/envelope.ts";
import { Drafts, Outbox } from "../../console/sign/outbox.ts";

export interface KeysAnswer {
  readonly keys: readonly {
    readonly name: string;
    readonly certificatePem: string;
    /** r ‖ s over `MESSAGE`, base64. */
    readonly signature: string;
    readonly uses: number;
    readonly exported: boolean;
    readonly opened: string | undefined;
  }[];
  readonly envelopes: readonly string[];
  readonly drafts: readonly string[];
  /** Of a change that was refused: what is there afterwards, and the code. */
  readonly refusedChange: readonly [number, string];
  /** Base64 signatures by key file, or what became of it. */
  readonly files: Readonly<Record<string, string>>;
}

export const MESSAGE = "what is signed";
const bytes = toUtf8(MESSAGE);

async function make(): Promise<void> {
  const offer = offerKeys("relay");
  if (!offer.offered) throw new Error(offer.problem.why);
  const { keys } = offer;
  const alice = await keys.create({ name: "Alice", encryption: true }, Date.now());
  await keys.create({ name: "Bob", curve: "P-256" }, Date.now() + 1);
  // At the same time, as two tabs would.
  await Promise.all([1, 2, 3].map((atMs) => keys.recordUse(alice.id, { what: "x", atMs })));
  const envelope: SignedEnvelope = {
    id: "ab",
    kind: "ack",
    memberId: "",
    createdAtSeconds: 1,
    signedAtMs: 1,
    target: "/",
    body: bytes,
  };
  await new Outbox().keep(envelope);
  await new Drafts().save({ id: "d", kind: "proposal", title: "t", text: '{"actions":', changedAtMs: 1 });
}

async function read(): Promise<KeysAnswer> {
  const offer = offerKeys("relay");
  if (!offer.offered) throw new Error(offer.problem.why);
  const keys = await Promise.all((await offer.keys.list()).map(async (key) => {
    const exported = await crypto.subtle.exportKey("pkcs8", key.signingKey).then(() => true, () => false);
    const share = key.encryption === undefined
      ? undefined
      : await openShareWith(key, await encrypted(key.encryption.publicKeyPem));
    return {
      name: key.name,
      certificatePem: key.certificatePem,
      signature: toBase64(await browserSigner(key).sign(bytes)),
      uses: key.uses.length,
      exported,
      opened: share === undefined ? undefined : toBase64(share),
    };
  }));
  const names: string[] = await (await fetch("/names")).json();
  const files: Record<string, string> = {};
  for (const name of names) {
    const opened = await openKeyFile(await (await fetch(`/files/${name}`)).text(), "correct horse");
    files[name] = opened.kind === "signing" ? toBase64(await opened.file.sign(bytes)) : opened.kind;
  }
  return {
    keys,
    envelopes: (await new Outbox().list()).map(({ body }) => toBase64(body)),
    drafts: (await new Drafts().list()).map(({ text }) => text),
    refusedChange: await refusedChange(),
    files,
  };
}

async function encrypted(publicKeyPem: string): Promise<Uint8Array> {
  const der = Uint8Array.from(
    atob(publicKeyPem.replace(/-----.*?-----|\s/g, "")),
    (character) => character.charCodeAt(0),
  );
  const oaep = { name: "RSA-OAEP", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("spki", der, oaep, false, ["encrypt"]);
  return new Uint8Array(await crypto.subtle.encrypt({ name: "RSA-OAEP" }, key, new Uint8Array(bytes)));
}

async function refusedChange(): Promise<[number, string]> {
  const records = browserRecords<{ id: string; n: number }>("quorate-test");
  await records.update("a", () => ({ id: "a", n: 1 }));
  let code = "none";
  try {
    await records.update("a", () => {
      throw new ProblemError({ code: "No", what: "w", why: "w", todo: "t" });
    });
  } catch (error) {
    if (error instanceof ProblemError) code = error.problem.code;
  }
  return [(await records.get("a"))!.n, code];
}

/** A script that is bundled for a page runs there; a test that takes only its types and constants does not run it. */
if (globalThis.location?.protocol === "http:") {
  try {
    if (sessionStorage.getItem("made") === null) {
      await make();
      sessionStorage.setItem("made", "yes");
      location.reload();
    } else {
      await fetch("/answer", { method: "POST", body: JSON.stringify({ value: await read() }) });
    }
  } catch (error) {
    await fetch("/answer", { method: "POST", body: JSON.stringify({ error: String(error) }) });
  }
}
