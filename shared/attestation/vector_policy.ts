/**
 * What a test vector wants of evidence, typed.
 *
 * In: the policy of a vector, over the defaults of its file. Out: the policies of our verifiers.
 * A wish that the verifier of this kind of evidence does not have is refused: a test that asks for nothing proves nothing.
 * Format: attestation/vectors/README.md
 */

import { FormatError } from "../assert.ts";
import { boolean, recordOf, type Shape, text, unsigned } from "../json_shape.ts";
import type { DcapPolicy } from "./dcap/policy.ts";
import type { SnpPolicy } from "./snp.ts";
import type { UvmPolicy } from "./uvm.ts";
import { closed, hexBytes, type JsonMembers, shortListOf, type VectorKind } from "./vector_file.ts";

const MAX_LIST = 100;
const TCB_COMPONENTS = ["fmc", "boot_loader", "tee", "snp", "microcode"];

/** Levels that the parts of a processor must reach. */
const minTcb: Shape<Readonly<Record<string, number>>> = (value, at) => {
  const read = recordOf(unsigned)(value, at);
  const strange = Object.keys(read).find((name) => !TCB_COMPONENTS.includes(name));
  if (strange !== undefined) {
    throw new FormatError(`Cannot read JSON at "${at}": no component ${JSON.stringify(strange.slice(0, 60))} is known`);
  }
  return read;
};

/** The report data that is wanted; fewer than 64 bytes are followed by zeros. */
const reportData = hexBytes(1, 64);
const digest32 = hexBytes(32);
const digest48 = hexBytes(48);

const UVM_SHAPES = {
  roots: shortListOf(closed({ did: text, feed: text, minSvn: unsigned }), MAX_LIST),
  contentTypes: shortListOf(text, MAX_LIST),
};
const SNP_SHAPES = {
  allowDebug: boolean,
  reportData,
  measurement: digest48,
  hostData: digest32,
  vmpl: unsigned,
  minTcb,
};
const DCAP_SHAPES = {
  allowDebug: boolean,
  allowTrailing: boolean,
  // A status that Intel does not know is one that no platform has.
  acceptTcbStatus: shortListOf(text, MAX_LIST),
  allowMissingCrl: boolean,
  noCollateral: boolean,
  reportData,
};
const SHAPES = {
  "snp": { ...SNP_SHAPES, ...UVM_SHAPES },
  "snp-parse": {},
  "sgx": { ...DCAP_SHAPES, mrenclave: digest32, mrsigner: digest32, minIsvSvn: unsigned },
  "tdx": { ...DCAP_SHAPES, mrtd: digest48, rtmr0: digest48, rtmr1: digest48, rtmr2: digest48, rtmr3: digest48 },
  "uvm": { ...UVM_SHAPES, measurement: digest48 },
} as const satisfies Readonly<Record<VectorKind, Readonly<Record<string, Shape<unknown>>>>>;

const ALL_SHAPES: Readonly<Record<string, Shape<unknown>>> = Object.assign({}, ...Object.values(SHAPES));

/** What our verifiers want, of each kind of evidence. */
export interface VectorPolicy {
  readonly snp: SnpPolicy;
  readonly uvm: Omit<UvmPolicy, "at">;
  readonly dcap: DcapPolicy;
}

/**
 * @param defaults of the file: what they say of other kinds of evidence does not count
 * @param wishes of a vector, and of a negative over them
 * @throws FormatError
 */
export function readVectorPolicy(
  kind: VectorKind,
  defaults: JsonMembers,
  ...wishes: readonly JsonMembers[]
): VectorPolicy {
  const shapes: Readonly<Record<string, Shape<unknown>>> = SHAPES[kind];
  closed({}, ALL_SHAPES)({ ...defaults }, "/policyDefaults");
  const own = Object.fromEntries(Object.entries(defaults).filter(([name]) => Object.hasOwn(shapes, name)));
  const merged = Object.fromEntries([own, ...wishes].flatMap((members) => Object.entries(members)));
  const policy = closed({}, shapes)(merged, "/policy");
  return split(kind, policy);
}

/** Into the wishes for each verifier: an endorsement that comes with a report is judged beside it. */
function split(kind: VectorKind, policy: JsonMembers): VectorPolicy {
  const nothing = { snp: {}, uvm: {}, dcap: {} };
  // What the shapes have read is what the types say.
  switch (kind) {
    case "uvm":
      return { ...nothing, uvm: policy as VectorPolicy["uvm"] };
    case "sgx":
    case "tdx":
      return { ...nothing, dcap: policy as DcapPolicy };
    default: {
      const isForUvm = ([name]: [string, unknown]) => Object.hasOwn(UVM_SHAPES, name);
      const members = Object.entries(policy);
      const snp = Object.fromEntries(members.filter((member) => !isForUvm(member)));
      return { ...nothing, snp, uvm: Object.fromEntries(members.filter(isForUvm)) };
    }
  }
}
