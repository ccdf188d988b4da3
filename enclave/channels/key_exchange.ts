/**
 * The three messages by which two nodes agree on keys, and the keys that come of it.
 *
 * In: key shares, signatures, certificates; or bytes from another node. Out: bytes; messages; keys.
 * Knows nothing of what was sent before, and checks no signature.
 * Format: nodes-and-attestation.md §1.2; integers are little-endian u64, `buffer` is one before so many bytes
 *
 *     init      0, version, buffer(share), buffer(signature), buffer(certificate), buffer(salt)
 *     response  1, version, buffer(share), buffer(signature), buffer(certificate)
 *     final     2, buffer(signature)                                               (no version, oddly)
 */

import { FormatError } from "../../shared/assert.ts";
import { concat, Reader, toUtf8, Writer } from "../../shared/bytes.ts";
import { ecdhSharedSecret } from "../../shared/crypto/ecdh.ts";
import { type EcPrivateKey, type EcPublicKey, ecPublicKey } from "../../shared/crypto/ecdsa.ts";
import { GCM_KEY_BYTES } from "../../shared/crypto/aes_gcm.ts";
import { hkdfSha256 } from "../../shared/crypto/hkdf.ts";
import { MAX_KEY_EXCHANGE_BYTES } from "../../shared/limits.ts";
import type { NodeId } from "../../shared/consensus/messages.ts";

/** The curve of the shares, whatever curve the nodes' own keys are on. */
export const EXCHANGE_CURVE = "P-384";
export const SALT_BYTES = 32;

const PROTOCOL_VERSION = 1;
const POINT_BYTES = 97;

/** What initiator and responder say alike. All parts are as they travel; the shares are checked, the rest is not. */
export interface SignedShare {
  readonly share: Uint8Array;
  /** DER. */
  readonly signature: Uint8Array;
  /** PEM. */
  readonly certificate: Uint8Array;
}

export type KeyExchangeMessage =
  | (SignedShare & { readonly kind: "init"; readonly salt: Uint8Array })
  | (SignedShare & { readonly kind: "response" })
  | { readonly kind: "final"; readonly signature: Uint8Array };

/**
 * @throws FormatError where a part is missing, empty, or too much, the version is another, or the share no point
 */
export function parseKeyExchange(payload: Uint8Array): KeyExchangeMessage {
  if (payload.length > MAX_KEY_EXCHANGE_BYTES) {
    throw new FormatError(`Cannot read a key exchange of ${payload.length} bytes: over ${MAX_KEY_EXCHANGE_BYTES}`);
  }
  const reader = new Reader(payload);
  const message = readMessage(reader);
  if (!reader.done) throw new FormatError(`Cannot read a key exchange: ${reader.remaining} bytes too many`);
  return message;
}

function readMessage(reader: Reader): KeyExchangeMessage {
  const tag = reader.u64();
  switch (tag) {
    case 0: {
      const signed = readSignedShare(reader);
      const salt = readPart(reader, "salt");
      if (salt.length !== SALT_BYTES) {
        throw new FormatError(`Cannot read a key exchange: its salt has ${salt.length} bytes and not ${SALT_BYTES}`);
      }
      return { kind: "init", ...signed, salt };
    }
    case 1:
      return { kind: "response", ...readSignedShare(reader) };
    case 2:
      return { kind: "final", signature: readPart(reader, "signature") };
    default:
      throw new FormatError(`Cannot read a key exchange: there is no message ${tag}`);
  }
}

function readSignedShare(reader: Reader): SignedShare {
  const version = reader.u64();
  if (version !== PROTOCOL_VERSION) {
    throw new FormatError(`Cannot read a key exchange of version ${version}: only ${PROTOCOL_VERSION} is known`);
  }
  const share = readPart(reader, "key share");
  parseShare(share);
  return { share, signature: readPart(reader, "signature"), certificate: readPart(reader, "certificate") };
}

function readPart(reader: Reader, name: string): Uint8Array {
  const length = reader.u64();
  if (length === 0) throw new FormatError(`Cannot read a key exchange: its ${name} is empty`);
  return reader.bytes(length);
}

export function serialiseKeyExchange(message: KeyExchangeMessage): Uint8Array {
  const writer = new Writer(2048);
  if (message.kind === "final") return writer.u64(2).lengthPrefixed(message.signature).finish().slice();
  writer.u64(message.kind === "init" ? 0 : 1).u64(PROTOCOL_VERSION);
  writer.lengthPrefixed(message.share).lengthPrefixed(message.signature).lengthPrefixed(message.certificate);
  if (message.kind === "init") writer.lengthPrefixed(message.salt);
  return writer.finish().slice();
}

/** A key share: the length of the uncompressed point in one byte, then the point. @throws FormatError */
export function parseShare(share: Uint8Array): EcPublicKey {
  if (share.length !== 1 + POINT_BYTES || share[0] !== POINT_BYTES) {
    throw new FormatError(`Cannot read a key share of ${share.length} bytes: it is ${POINT_BYTES} and as many bytes`);
  }
  return ecPublicKey(EXCHANGE_CURVE, share.slice(1));
}

export function serialiseShare({ point }: EcPublicKey): Uint8Array {
  return concat(Uint8Array.of(POINT_BYTES), point);
}

/** AES-256 keys, one for each direction. */
export interface ChannelKeys {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
}

/**
 * The keys of an exchange, as one end has them; the other has them the other way round.
 *
 * Each key is bound to the direction by the IDs of both nodes as text: the sender's first.
 */
export function deriveChannelKeys(
  own: EcPrivateKey,
  peerShare: Uint8Array,
  salt: Uint8Array,
  selfId: NodeId,
  peerId: NodeId,
): ChannelKeys {
  const secret = ecdhSharedSecret(own, parseShare(peerShare));
  const key = (sender: NodeId, receiver: NodeId) => hkdfSha256(secret, salt, toUtf8(sender + receiver), GCM_KEY_BYTES);
  return { send: key(selfId, peerId), receive: key(peerId, selfId) };
}
