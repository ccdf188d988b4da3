/**
 * Whether this runtime does what the client-certificate listener needs of it. Run before a node opens its interfaces.
 *
 * In: an identity, used on both sides, and another key. Out: what is missing, in words. Deno's `node:tls` has had client
 * certificates since 2.9 and lost them silently before; and it has let through certificates without their keys. A node
 * that takes every caller for anonymous, or anybody for everybody, must not start.
 */

import { Buffer } from "node:buffer";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import * as tls from "node:tls";
import { equalBytes, toUtf8 } from "../shared/bytes.ts";
import { parseCertificateBundle } from "../shared/crypto/x509.ts";
import { DEFAULT_MAX_BODY_BYTES, DEFAULT_MAX_HEADER_BYTES, DEFAULT_MAX_HEADERS_COUNT } from "../shared/limits.ts";
import { impersonate } from "./tls_impostor.ts";
import { type Exchange, RequestBatcher } from "./listener.ts";
import { type TlsIdentity, TlsListener } from "./tls_server.ts";

export type TlsCheck = { readonly ok: true } | { readonly ok: false; readonly reason: string };

const TIMEOUT_MS = 5000;

/**
 * Connects to a listener of its own on 127.0.0.1: with a client certificate, without one, and with one whose key the
 * client does not have. Answers within seconds.
 *
 * @param identity with a P-384 or P-256 key
 * @param strangerKeyPem a key that is not the identity's, of the same curve
 */
export async function checkTls(identity: TlsIdentity, strangerKeyPem = keyLike(identity)): Promise<TlsCheck> {
  const seen: (Uint8Array | null)[] = [];
  const batcher = new RequestBatcher({
    sessionOpened: ({ callerCertificate }) => seen.push(callerCertificate),
    requests: (batch: readonly Exchange[]) => {
      for (const exchange of batch) exchange.respond({ status: 200, headers: [], body: toUtf8("ok"), close: true });
    },
    sessionClosed: () => {},
  });
  const listener = await TlsListener.listen({
    interfaceName: "tls-check",
    hostname: "127.0.0.1",
    port: 0,
    identity,
    limits: {
      maxBodyBytes: DEFAULT_MAX_BODY_BYTES,
      maxHeaderBytes: DEFAULT_MAX_HEADER_BYTES,
      maxHeadersCount: DEFAULT_MAX_HEADERS_COUNT,
    },
    maxOpenSessionsSoft: 2,
    maxOpenSessionsHard: 2,
    idleTimeoutMs: TIMEOUT_MS,
    batcher,
  });
  try {
    for (const client of [identity, null]) {
      const answer = await ask(listener.port, client);
      if (!answer.endsWith("\r\n\r\nok")) return failed(`a request was answered with ${JSON.stringify(answer)}`);
    }
    const own = parseCertificateBundle(identity.certificateChainPem)[0]!.der;
    const [shown, none] = seen;
    if (shown === null) return failed("a client certificate does not arrive");
    if (shown === undefined || !equalBytes(shown, own)) {
      return failed("another client certificate arrives than was sent");
    }
    if (none !== null) return failed("a client certificate arrives where none was sent");
    if (await impersonate(listener.port, own, identity.privateKeyPem) !== "accepted") {
      return failed("a client with the key of its certificate is refused");
    }
    if (await impersonate(listener.port, own, strangerKeyPem) !== "refused") {
      return failed("a client without the key of its certificate is accepted");
    }
    return listener.canStopReading ? { ok: true } : failed("reading from a connection cannot be stopped");
  } catch (error) {
    return failed((error as Error).message);
  } finally {
    await listener.stop();
  }
}

function keyLike(identity: TlsIdentity): string {
  return generateKeyPairSync("ec", {
    namedCurve: createPrivateKey(identity.privateKeyPem).asymmetricKeyDetails!.namedCurve!,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  }).privateKey;
}

function failed(reason: string): TlsCheck {
  return { ok: false, reason: `TLS does not work as it must on Deno ${Deno.version.deno}: ${reason}` };
}

/** Sends one request and takes all that comes until the server closes. */
function ask(port: number, client: TlsIdentity | null): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = "";
    const socket = tls.connect({
      host: "127.0.0.1",
      port,
      rejectUnauthorized: false,
      ...(client === null ? {} : { cert: client.certificateChainPem, key: client.privateKeyPem }),
    }, () => socket.write("GET / HTTP/1.1\r\n\r\n"));
    const timer = setTimeout(() => socket.destroy(new Error("a request was not answered")), TIMEOUT_MS);
    socket.on("data", (bytes) => received += Buffer.from(bytes).toString("latin1"));
    socket.on("error", reject);
    socket.on("end", () => socket.end());
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(received);
    });
  });
}
