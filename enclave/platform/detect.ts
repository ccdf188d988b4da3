/**
 * Which platform a node runs on: the configured one, if it is there; else the one that is there; else none.
 *
 * In: what is configured. Out: the platform and how it is asked, or a failure that says what was looked for. Where there is
 * hardware that cannot be used, a node that was not told to be virtual does not become so.
 * Where each is found: attestation/formats.md §5
 */

import { TSM_DIRECTORY, tsmProvider } from "./configfs_tsm.ts";
import { adviceFor, failureOf, NO_PERMISSION, PlatformFailure, type Protocol } from "./devices.ts";
import { GRAMINE_DIRECTORY, gramineAttestationType } from "./gramine.ts";
import { SEV_GUEST } from "./sev_guest.ts";

export type PlatformKind = "virtual" | "snp" | "tdx" | "sgx";

/** How evidence is asked for. */
export type Detected =
  /** `notice`: what an operator should know of how that came about. */
  | { readonly kind: "virtual"; readonly notice: string }
  | { readonly kind: "snp"; readonly by: "configfs-tsm" | "sev-guest" }
  | { readonly kind: "tdx" }
  | { readonly kind: "sgx" };

const TDX_GUEST = "/dev/tdx_guest";

/**
 * Looks for hardware.
 *
 * @param configured undefined: take what there is
 * @param name for directories of one's own, which nobody else uses
 * @throws PlatformFailure
 */
export function* detectPlatform(configured: PlatformKind | undefined, name: string): Protocol<Detected> {
  if (configured === "virtual") return { kind: "virtual", notice: "as /attestation/platform says" };
  const cannotLook = yield* whyCannotLook();
  if (cannotLook !== undefined) {
    if (configured === undefined) {
      return { kind: "virtual", notice: `whether there is hardware was not looked for: ${cannotLook}` };
    }
    throw new PlatformFailure(`Cannot use the platform ${JSON.stringify(configured)}: ${cannotLook}`);
  }
  const found = yield* detectHardware(name);
  if (found === undefined) {
    if (configured === undefined) return { kind: "virtual", notice: "no attested hardware was found" };
    throw new PlatformFailure(
      `Cannot use the platform ${JSON.stringify(configured)}, which /attestation/platform asks for: there is none of ` +
        `${LOOKED_FOR}; run the node on such a machine, or take that key out of the configuration`,
    );
  }
  if (configured !== undefined && found.kind !== configured) {
    throw new PlatformFailure(
      `Cannot use the platform ${JSON.stringify(configured)}, which /attestation/platform asks for: this machine is ` +
        `${JSON.stringify(found.kind)}; take that key out of the configuration, or correct it`,
    );
  }
  return found;
}

const LOOKED_FOR =
  `${GRAMINE_DIRECTORY} (Gramine), ${TSM_DIRECTORY} (Linux 6.7 or later, with the driver sev-guest or ` +
  `tdx-guest) and ${SEV_GUEST}`;

/** The runtime's own refusal comes before the kernel's, for every path alike. */
function* whyCannotLook(): Protocol<string | undefined> {
  const looked = yield { kind: "look", path: SEV_GUEST };
  return !looked.isDone && looked.code === NO_PERMISSION ? adviceFor(looked) : undefined;
}

/** Inside an enclave the machine's own devices may be seen too, and do not speak for it: so Gramine is looked for first. */
function* detectHardware(name: string): Protocol<Detected | undefined> {
  const type = yield* gramineAttestationType();
  if (type === "dcap") return { kind: "sgx" };
  if (type !== undefined) {
    throw new PlatformFailure(
      `Cannot get evidence from Gramine: its attestation type is ${JSON.stringify(type)}; put ` +
        `sgx.remote_attestation = "dcap" into the manifest`,
    );
  }
  const provider = yield* tsmProvider(name);
  if (provider === "sev_guest") return { kind: "snp", by: "configfs-tsm" };
  if (provider === "tdx_guest") return { kind: "tdx" };
  if (provider !== undefined) {
    throw new PlatformFailure(
      `Cannot use ${TSM_DIRECTORY}: its reports come from ${JSON.stringify(provider)}, which this version does not ` +
        'know; set /attestation/platform to "virtual" to run without protection',
    );
  }
  if (yield* exists(SEV_GUEST)) return { kind: "snp", by: "sev-guest" };
  if (yield* exists(TDX_GUEST)) {
    throw new PlatformFailure(
      `Cannot get evidence of TDX: there is ${TDX_GUEST}, but no ${TSM_DIRECTORY}; use Linux 6.7 or later and mount ` +
        'configfs on /sys/kernel/config, or set /attestation/platform to "virtual" to run without protection',
    );
  }
  return undefined;
}

function* exists(path: string): Protocol<boolean> {
  const looked = yield { kind: "look", path };
  if (looked.isDone) return true;
  if (looked.code === "ENOENT" || looked.code === "ENOTDIR") return false;
  throw failureOf(`look for ${path}`, looked, "look into the kernel's log");
}
