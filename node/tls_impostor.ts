/**
 * A TLS client that shows a certificate whether or not it has the key, to see whether a server notices.
 *
 * In: a server's port on this machine, a certificate, a key. Out: whether the handshake went through. For the check at
 * start-up and for tests: no ordinary client can be brought to do this. It speaks TLS 1.2 with one suite and one group,
 * as far as the server's answer to its signature, and looks at nothing that the server says of itself.
 * Format: RFC 5246 §7.4, RFC 5288, RFC 8422.
 */

import { Buffer } from "node:buffer";
import {
  createCipheriv,
  createECDH,
  createHash,
  createHmac,
  createPrivateKey,
  createSign,
  type KeyObject,
  randomBytes,
} from "node:crypto";
import * as net from "node:net";

const VERSION = 0x0303;
const RECORD = { changeCipherSpec: 20, alert: 21, handshake: 22 } as const;
const HANDSHAKE = {
  clientHello: 1,
  serverHello: 2,
  certificate: 11,
  serverKeyExchange: 12,
  serverHelloDone: 14,
  certificateVerify: 15,
  clientKeyExchange: 16,
  finished: 20,
} as const;
const TIMEOUT_MS = 5000;

/** Signature schemes by the curve of the key that signs, as `node:crypto` names it. */
const SCHEMES: Readonly<Record<string, { readonly code: number; readonly hash: string }>> = {
  prime256v1: { code: 0x0403, hash: "sha256" },
  secp384r1: { code: 0x0503, hash: "sha384" },
};

/**
 * Shows a certificate and signs with a key, which should be of the same curve, P-256 or P-384.
 *
 * @param certificate DER
 * @returns "refused" as it must be where the key is another one, or "accepted"
 * @throws Error where the handshake does not come so far, in words
 */
export async function impersonate(
  port: number,
  certificate: Uint8Array,
  privateKeyPem: string,
): Promise<"refused" | "accepted"> {
  const connection = new Records(port);
  try {
    return await handshake(connection, certificate, createPrivateKey(privateKeyPem));
  } finally {
    connection.close();
  }
}

async function handshake(
  connection: Records,
  certificate: Uint8Array,
  privateKey: KeyObject,
): Promise<"refused" | "accepted"> {
  const scheme = SCHEMES[privateKey.asymmetricKeyDetails?.namedCurve ?? ""];
  if (scheme === undefined) throw new Error("Cannot sign a handshake with a key that is neither P-256 nor P-384");
  const transcript: Buffer[] = [];
  const send = (type: number, body: Buffer): void => {
    const message = Buffer.concat([Buffer.of(type), vector(3, body)]);
    transcript.push(message);
    connection.send(RECORD.handshake, message);
  };
  const clientRandom = randomBytes(32);
  send(HANDSHAKE.clientHello, clientHello(clientRandom));

  let serverRandom: Buffer | undefined;
  let serverPoint: Buffer | undefined;
  for (;;) {
    const message = await connection.handshakeMessage();
    transcript.push(message);
    const [type, body] = [message[0], message.subarray(4)];
    if (type === HANDSHAKE.serverHello) serverRandom = body.subarray(2, 34);
    // Curve type, group, then the point with its length.
    if (type === HANDSHAKE.serverKeyExchange) serverPoint = body.subarray(4, 4 + body[3]!);
    if (type === HANDSHAKE.serverHelloDone) break;
  }
  if (serverRandom === undefined || serverPoint === undefined) {
    throw new Error("The server's key exchange is incomplete");
  }

  send(HANDSHAKE.certificate, vector(3, vector(3, Buffer.from(certificate))));
  const ecdh = createECDH("prime256v1");
  send(HANDSHAKE.clientKeyExchange, vector(1, ecdh.generateKeys()));
  const signature = createSign(scheme.hash).update(Buffer.concat(transcript)).sign(privateKey);
  send(HANDSHAKE.certificateVerify, Buffer.concat([uint(2, scheme.code), vector(2, signature)]));

  const randoms = Buffer.concat([clientRandom, serverRandom]);
  const master = prf(ecdh.computeSecret(serverPoint), "master secret", randoms, 48);
  const keys = prf(master, "key expansion", Buffer.concat([serverRandom, clientRandom]), 40);
  const digest = createHash("sha256").update(Buffer.concat(transcript)).digest();
  const verifyData = prf(master, "client finished", digest, 12);
  const finished = Buffer.concat([Buffer.of(HANDSHAKE.finished), vector(3, verifyData)]);
  connection.send(RECORD.changeCipherSpec, Buffer.of(1));
  connection.send(RECORD.handshake, encrypt(keys.subarray(0, 16), keys.subarray(32, 36), finished));
  return await connection.verdict();
}

function clientHello(random: Buffer): Buffer {
  const extension = (type: number, body: Buffer) => Buffer.concat([uint(2, type), vector(2, body)]);
  const extensions = Buffer.concat([
    // supported_groups: secp256r1
    extension(10, vector(2, uint(2, 0x0017))),
    // ec_point_formats: uncompressed
    extension(11, vector(1, Buffer.of(0))),
    // signature_algorithms: ECDSA with P-256, with P-384; RSA-PSS and RSA with SHA-256
    extension(13, vector(2, Buffer.concat([0x0403, 0x0503, 0x0804, 0x0401].map((scheme) => uint(2, scheme))))),
  ]);
  return Buffer.concat([
    uint(2, VERSION),
    random,
    vector(1, Buffer.alloc(0)),
    // ECDHE_ECDSA and ECDHE_RSA with AES_128_GCM_SHA256, and no renegotiation
    vector(2, Buffer.concat([0xc02b, 0xc02f, 0x00ff].map((suite) => uint(2, suite)))),
    vector(1, Buffer.of(0)),
    vector(2, extensions),
  ]);
}

/** The first record under the new keys. */
function encrypt(key: Buffer, salt: Buffer, plaintext: Buffer): Buffer {
  const sequence = Buffer.alloc(8);
  const cipher = createCipheriv("aes-128-gcm", key, Buffer.concat([salt, sequence]));
  cipher.setAAD(Buffer.concat([sequence, Buffer.of(RECORD.handshake), uint(2, VERSION), uint(2, plaintext.length)]));
  return Buffer.concat([sequence, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** RFC 5246 §5, with SHA-256. */
function prf(secret: Buffer, label: string, seed: Buffer, length: number): Buffer {
  const hmac = (data: Buffer) => createHmac("sha256", secret).update(data).digest();
  const labelled = Buffer.concat([Buffer.from(label), seed]);
  let a: Buffer = labelled;
  let output: Buffer = Buffer.alloc(0);
  while (output.length < length) {
    a = hmac(a);
    output = Buffer.concat([output, hmac(Buffer.concat([a, labelled]))]);
  }
  return output.subarray(0, length);
}

function uint(widthBytes: number, value: number): Buffer {
  const bytes = Buffer.alloc(widthBytes);
  bytes.writeUIntBE(value, 0, widthBytes);
  return bytes;
}

/** Bytes behind their length. */
function vector(widthBytes: number, content: Buffer): Buffer {
  return Buffer.concat([uint(widthBytes, content.length), content]);
}

/** TLS records on a connection to this machine. */
class Records {
  readonly #socket: net.Socket;
  #received: Buffer = Buffer.alloc(0);
  #handshake: Buffer = Buffer.alloc(0);
  #isClosed = false;
  #wake: () => void = () => {};

  constructor(port: number) {
    this.#socket = net.connect(port, "127.0.0.1");
    this.#socket.setTimeout(TIMEOUT_MS, () => this.#socket.destroy());
    this.#socket.on("data", (bytes) => {
      this.#received = Buffer.concat([this.#received, bytes]);
      this.#wake();
    });
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => {
      this.#isClosed = true;
      this.#wake();
    });
  }

  send(type: number, body: Buffer): void {
    this.#socket.write(Buffer.concat([Buffer.of(type), uint(2, VERSION), vector(2, body)]));
  }

  /** The next message of the handshake, its head included. */
  async handshakeMessage(): Promise<Buffer> {
    for (;;) {
      const length = this.#handshake.length < 4 ? Infinity : 4 + this.#handshake.readUIntBE(1, 3);
      if (this.#handshake.length >= length) {
        const message = this.#handshake.subarray(0, length);
        this.#handshake = this.#handshake.subarray(length);
        return message;
      }
      const record = await this.#record();
      if (record === null) throw new Error("The server closed the connection during the handshake");
      if (record.type !== RECORD.handshake) throw new Error(`The server sent a record of type ${record.type}`);
      this.#handshake = Buffer.concat([this.#handshake, record.body]);
    }
  }

  /** What the server makes of the client's signature: it changes to the new keys, or it sends an alert or closes. */
  async verdict(): Promise<"refused" | "accepted"> {
    for (;;) {
      const record = await this.#record();
      if (record === null || record.type === RECORD.alert) return "refused";
      if (record.type === RECORD.changeCipherSpec) return "accepted";
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  /** null once the connection is closed. */
  async #record(): Promise<{ readonly type: number; readonly body: Buffer } | null> {
    for (;;) {
      const length = this.#received.length < 5 ? Infinity : 5 + this.#received.readUInt16BE(3);
      if (this.#received.length >= length) {
        const record = this.#received.subarray(0, length);
        this.#received = this.#received.subarray(length);
        return { type: record[0]!, body: record.subarray(5) };
      }
      if (this.#isClosed) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}
