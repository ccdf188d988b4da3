/**
 * TCB info: which states of one kind of platform Intel knows, and what it thinks of them.
 *
 * In: the JSON that Intel signed. Out: its levels, highest first, and what it says of TDX modules.
 * Knows nothing of its signature and of any quote.
 * Format: attestation/formats.md §3.5; Intel's PCS API version 4, TCB info versions 2 (legacy, SGX alone) and 3
 */

import { FormatError } from "../../assert.ts";
import { fromHex } from "../../bytes.ts";
import { listOf, object, type Of, oneOf, type Shape, text, unsigned } from "../../json_shape.ts";
import { MAX_ADVISORIES, MAX_TCB_LEVELS } from "../../limits.ts";
import { parseStatementJson, quoted } from "./statement_json.ts";

/** What Intel thinks of a level of a platform. */
export const TCB_STATUSES = [
  "UpToDate",
  "SWHardeningNeeded",
  "ConfigurationNeeded",
  "ConfigurationAndSWHardeningNeeded",
  "OutOfDate",
  "OutOfDateConfigurationNeeded",
  "Revoked",
] as const;
export type TcbStatus = typeof TCB_STATUSES[number];

/** What Intel thinks of a version of a TDX module. */
export type ModuleStatus = "UpToDate" | "OutOfDate" | "Revoked";

export interface TcbLevel {
  /** Sixteen SVNs of the processor's components. */
  readonly sgxComponents: readonly number[];
  /** Sixteen SVNs for TEE_TCB_SVN; of TDX alone. */
  readonly tdxComponents?: readonly number[];
  readonly pceSvn: number;
  /** As it is written. */
  readonly date: string;
  readonly status: TcbStatus;
  readonly advisoryIds: readonly string[];
}

/** Of a TDX module or a quoting enclave. */
export interface IsvLevel<Status extends string> {
  readonly isvSvn: number;
  /** As it is written. */
  readonly date: string;
  readonly status: Status;
  readonly advisoryIds: readonly string[];
}

/** Who signed a TDX module, and what it may be. */
export interface TdxModule {
  /** 48 bytes. */
  readonly mrsigner: Uint8Array;
  /** 8 bytes. */
  readonly attributes: Uint8Array;
  readonly attributesMask: Uint8Array;
}

export interface TdxModuleIdentity extends TdxModule {
  readonly levels: readonly IsvLevel<ModuleStatus>[];
}

export interface TcbInfo {
  readonly id: "SGX" | "TDX";
  readonly version: 2 | 3;
  /** Milliseconds since 1970. */
  readonly issueDateMs: number;
  /** Milliseconds since 1970. */
  readonly nextUpdateMs: number;
  /** Hex, lower case, 6 bytes. */
  readonly fmspc: string;
  /** Hex, lower case, 2 bytes. */
  readonly pceId: string;
  /** How levels are compared; 0 is the only way there is. */
  readonly tcbType: number;
  /** Rises with every generation of Intel's data. */
  readonly evaluationDataNumber: number;
  readonly levels: readonly TcbLevel[];
  /** Of modules of major version 0; of TDX alone. */
  readonly tdxModule?: TdxModule;
  /** Of later modules, by ID in upper case: `TDX_01`. */
  readonly tdxModuleIdentities: ReadonlyMap<string, TdxModuleIdentity>;
}

const COMPONENTS = 16;

/** Text in hex of so many bytes, either case. */
export function hexOf(length: number): Shape<string> {
  return (value, at) => {
    const digits = text(value, at);
    if (digits.length !== 2 * length || !/^[0-9a-fA-F]*$/.test(digits)) {
      throw new FormatError(`Cannot read JSON at "${at}": it must be ${length} bytes in hex`);
    }
    return digits.toLowerCase();
  };
}

/** A moment as Intel writes it: `2026-01-12T15:46:45Z`. Answers the text. */
export const moment: Shape<string> = (value, at) => {
  const written = text(value, at);
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(written) ? Date.parse(written) : NaN;
  // A date that does not exist, such as 30 February, is not read or comes back as another one.
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== written.replace("Z", ".000Z")) {
    throw new FormatError(`Cannot read JSON at "${at}": it must be a time such as 2026-01-12T15:46:45Z`);
  }
  return written;
};

/** Neither shorter nor longer than this. */
export function boundedList<T>(item: Shape<T>, min: number, max: number): Shape<readonly T[]> {
  return (value, at) => {
    if (Array.isArray(value) && (value.length < min || value.length > max)) {
      throw new FormatError(
        `Cannot read JSON at "${at}": it has ${value.length} elements and must have ${min} to ${max}`,
      );
    }
    return listOf(item)(value, at);
  };
}

/** Whole, from 0 to a maximum. */
export function upTo(max: number): Shape<number> {
  return (value, at) => {
    const number = unsigned(value, at);
    if (number > max) throw new FormatError(`Cannot read JSON at "${at}": it must be at most ${max}`);
    return number;
  };
}

const advisoryIds = boundedList(text, 0, MAX_ADVISORIES);

const component = upTo(0xff);
const componentList = boundedList(object({ svn: component }), COMPONENTS, COMPONENTS);
const components: Shape<readonly number[]> = (value, at) => componentList(value, at).map(({ svn }) => svn);

const LEGACY_COMPONENTS = Object.fromEntries(
  Array.from({ length: COMPONENTS }, (_, i) => [`sgxtcbcomp${String(i + 1).padStart(2, "0")}svn`, component]),
);

const levelMembers = { tcbDate: moment, tcbStatus: oneOf(...TCB_STATUSES) };
const tcbV3Sgx = object({ sgxtcbcomponents: components, pcesvn: upTo(0xffff) });
const tcbV3Tdx = object({ sgxtcbcomponents: components, tdxtcbcomponents: components, pcesvn: upTo(0xffff) });
/** Version 2 has a member for each component; it is read as if it were version 3. */
const tcbV2: typeof tcbV3Sgx = (value, at) => {
  const svns = object(LEGACY_COMPONENTS)(value, at);
  const { pcesvn } = object({ pcesvn: upTo(0xffff) })(value, at);
  return { sgxtcbcomponents: Object.keys(LEGACY_COMPONENTS).map((name) => svns[name]!), pcesvn };
};
const levelV2 = object({ ...levelMembers, tcb: tcbV2 }, { advisoryIDs: advisoryIds });
const levelV3Sgx = object({ ...levelMembers, tcb: tcbV3Sgx }, { advisoryIDs: advisoryIds });
const levelV3Tdx = object({ ...levelMembers, tcb: tcbV3Tdx }, { advisoryIDs: advisoryIds });

/** Levels of what has one SVN. `statuses`: those that there can be. */
export function isvLevels<const Status extends string>(
  ...statuses: readonly Status[]
): Shape<readonly IsvLevel<Status>[]> {
  const level = object(
    { tcb: object({ isvsvn: upTo(0xffff) }), tcbDate: moment, tcbStatus: oneOf(...statuses) },
    { advisoryIDs: advisoryIds },
  );
  return (value, at) =>
    boundedList(level, 1, MAX_TCB_LEVELS)(value, at).map(({ tcb, tcbDate, tcbStatus, advisoryIDs = [] }) => ({
      isvSvn: tcb.isvsvn,
      date: tcbDate,
      status: tcbStatus,
      advisoryIds: advisoryIDs,
    }));
}

const moduleMembers = { mrsigner: hexOf(48), attributes: hexOf(8), attributesMask: hexOf(8) };
const tdxModule = object(moduleMembers);
const tdxModuleIdentity = object({
  ...moduleMembers,
  id: text,
  tcbLevels: isvLevels("UpToDate", "OutOfDate", "Revoked"),
});

const infoMembers = {
  issueDate: moment,
  nextUpdate: moment,
  fmspc: hexOf(6),
  pceId: hexOf(2),
  tcbType: unsigned,
  tcbEvaluationDataNumber: unsigned,
};
const infoV2 = object({ ...infoMembers, tcbLevels: boundedList(levelV2, 1, MAX_TCB_LEVELS) });
const infoV3Sgx = object({ ...infoMembers, tcbLevels: boundedList(levelV3Sgx, 1, MAX_TCB_LEVELS) });
const infoV3Tdx = object(
  { ...infoMembers, tcbLevels: boundedList(levelV3Tdx, 1, MAX_TCB_LEVELS), tdxModule },
  // No more than major versions there can be.
  { tdxModuleIdentities: boundedList(tdxModuleIdentity, 0, 0x100) },
);
const kind = object({ version: unsigned }, { id: text });

/** Reads the inner object of an answer. @throws FormatError also where its version is not known */
export function parseTcbInfo(json: string): TcbInfo {
  const { value } = parseStatementJson(json);
  const { version, id } = kind(value, "");
  if (version === 2) {
    const info = infoV2(value, "");
    return {
      id: "SGX",
      version,
      ...common(info),
      levels: info.tcbLevels.map(level),
      tdxModuleIdentities: new Map(),
    };
  }
  if (version !== 3) throw new FormatError(`Cannot read TCB info: version ${version} is not known`);
  if (id === "SGX") {
    const info = infoV3Sgx(value, "");
    return { id, version, ...common(info), levels: info.tcbLevels.map(level), tdxModuleIdentities: new Map() };
  }
  if (id !== "TDX") throw new FormatError(`Cannot read TCB info: it is for ${quoted(id)}, not for SGX or TDX`);
  const info = infoV3Tdx(value, "");
  return {
    id,
    version,
    ...common(info),
    levels: info.tcbLevels.map((one) => ({ ...level(one), tdxComponents: one.tcb.tdxtcbcomponents })),
    tdxModule: module(info.tdxModule),
    tdxModuleIdentities: identitiesById(info.tdxModuleIdentities ?? []),
  };
}

function common(info: Of<typeof infoV2> | Of<typeof infoV3Sgx> | Of<typeof infoV3Tdx>) {
  return {
    issueDateMs: Date.parse(info.issueDate),
    nextUpdateMs: Date.parse(info.nextUpdate),
    fmspc: info.fmspc,
    pceId: info.pceId,
    tcbType: info.tcbType,
    evaluationDataNumber: info.tcbEvaluationDataNumber,
  };
}

function level({ tcb, tcbDate, tcbStatus, advisoryIDs = [] }: Of<typeof levelV3Sgx>): TcbLevel {
  return {
    sgxComponents: tcb.sgxtcbcomponents,
    pceSvn: tcb.pcesvn,
    date: tcbDate,
    status: tcbStatus,
    advisoryIds: advisoryIDs,
  };
}

function module({ mrsigner, attributes, attributesMask }: Of<typeof tdxModule>): TdxModule {
  return {
    mrsigner: fromHex(mrsigner),
    attributes: fromHex(attributes),
    attributesMask: fromHex(attributesMask),
  };
}

function identitiesById(list: readonly Of<typeof tdxModuleIdentity>[]): ReadonlyMap<string, TdxModuleIdentity> {
  const byId = new Map<string, TdxModuleIdentity>();
  for (const identity of list) {
    const id = identity.id.toUpperCase();
    if (byId.has(id)) throw new FormatError(`Cannot read TCB info: its TDX module ${quoted(id)} is there twice`);
    byId.set(id, { ...module(identity), levels: identity.tcbLevels });
  }
  return byId;
}
