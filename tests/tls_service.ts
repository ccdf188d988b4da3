/**
 * What a TLS server at 127.0.0.1 needs to be a node of some service, for tests of clients.
 *
 * In: the service's name. Out: the service's certificate, and the node's with its key, all PEM.
 */

import { generateEcPrivateKey } from "../shared/crypto/ecdsa.ts";
import { serialisePrivateKeyFile } from "../shared/crypto/key_file.ts";
import { serialiseCertificatePem } from "../shared/crypto/x509.ts";
import {
  memberCertificate,
  randomSerial,
  serviceCertificate,
  signCertificate,
  validityOfDays,
} from "../shared/crypto/x509_build.ts";
import { parseSubjectAltName, subjectAltNameExtension } from "../shared/crypto/x509_extensions.ts";
import { nameFromText } from "../shared/crypto/x509_name.ts";

const DAY_MS = 86_400_000;
const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));

/**
 * @param name of the service, its common name
 * @param startDays when the certificates begin to be valid for a day, in days from now
 */
export function makeTlsService(name: string, startDays = 0) {
  const [serviceKey, nodeKey] = [generateEcPrivateKey("P-384", random), generateEcPrivateKey("P-384", random)];
  const subject = nameFromText(`CN=${name}`);
  const more = { validity: validityOfDays(Date.now() + startDays * DAY_MS - 60_000, 1), serial: randomSerial(random) };
  const service = serviceCertificate({ key: serviceKey.publicKey, subject, ...more });
  const node = {
    ...memberCertificate({ key: nodeKey.publicKey, subject: nameFromText("CN=node"), ...more }),
    issuer: subject,
    extensions: [subjectAltNameExtension([parseSubjectAltName("iPAddress:127.0.0.1")])],
  };
  return {
    service: serialiseCertificatePem(signCertificate(service, serviceKey)),
    certificate: serialiseCertificatePem(signCertificate(node, serviceKey)),
    key: serialisePrivateKeyFile(nodeKey),
  };
}
